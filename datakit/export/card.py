"""The dataset card of an export, for people and for the hub: README.md with a YAML header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from datakit.collect.reading import Note
from datakit.errors import DISTRIBUTION
from datakit.export.manifest import runs_of
from datakit.export.rules import rules_in_words
from datakit.tables import Row
from datakit.wording import counted

_KINDS = {
    "sft": ("demonstrations for SFT", "demonstrations"),
    "dpo": ("preference pairs for DPO", "preference"),
    "wrpo": ("triples for WRPO", "preference"),
    "fusion": ("texts with token distributions", "distillation"),
    "kto": ("labelled answers for KTO", "preference"),
}
UNKNOWN = "unknown"


def make_card(manifests: Mapping[str, Row], configs: Sequence[Row]) -> str:
    """Return the card for these phases: a header as the Hugging Face hub reads it, counts, lengths, and the rules in words.

    `configs`: the hub's list of configurations with their files.
    """
    first = next(iter(manifests.values()))
    runs = {run.get("name", ""): run for run in runs_of(first)}
    rows = {kind: made["rows"] + made.get("test_rows", 0) for kind, made in manifests.items()}
    domains = sorted({str(run["domain"]) for run in runs.values()})
    what = " and ".join(f"{count:,} {_KINDS[kind][0]}" for kind, count in rows.items())
    recipes = ", ".join(f"`{run['recipe_digest']}`{f' ({name})' if name else ''}" for name, run in runs.items())
    parts = [
        f"---\n{yaml.safe_dump(_header(manifests, list(runs.values()), rows, configs), sort_keys=False).strip()}\n---",
        f"# {what} ({', '.join(domains)})",
        f"Built with datakit {first['versions'][DISTRIBUTION]} from recipe {recipes} on {first['created'][:10]}.\n"
        "`manifest.json` holds the whole recipe; every row names its prompt and its responses by id.",
        "## Rows by source model\n\n" + "\n\n".join(_sources(kind, made) for kind, made in manifests.items()),
        *(_about_run(name, run, list(manifests)) for name, run in runs.items()),
        *(["## Lengths\n\n" + _lengths(manifests)] if any(rows.values()) else []),
        "## Columns\n\n" + "\n\n".join(f"{kind}: `{'`, `'.join(made['columns'])}`" for kind, made in manifests.items()),
        "## Licence and language\n\n" + _terms(runs),
    ]
    return "\n\n".join(parts) + "\n"


def _header(manifests: Mapping[str, Row], runs: list[Row], rows: Mapping[str, int], configs: Sequence[Row]) -> Row:
    licenses = sorted({run["export"]["license"] or UNKNOWN for run in runs})
    languages = sorted({language for run in runs for language in run["export"]["language"]})
    tags = {tag: None for kind in manifests for tag in (kind, _KINDS[kind][1])} | {str(run["domain"]): None for run in runs}
    return {
        "license": licenses[0] if len(licenses) == 1 else licenses,
        **({"language": languages} if languages else {}),
        "task_categories": ["text-generation"],
        "tags": [*tags, "datakit"],
        "size_categories": [_size_category(sum(rows.values()))],
        "configs": list(configs),
    }


def _sources(kind: str, manifest: Row) -> str:
    several = "runs" in manifest
    lines = [
        (f"| {run['name']} " if several else "")
        + f"| {source['model']} | {source['revision'] or '-'} | `{source['sampling']}` | {source['rows']:,} |"
        for run in runs_of(manifest)
        for source in run["sources"]
    ]
    head = ("| run " if several else "") + "| model | revision | sampling | rows |"
    rule = ("| --- " if several else "") + "| --- | --- | --- | ---: |"
    return "\n".join([f"{manifest['rows'] + manifest.get('test_rows', 0):,} {_KINDS[kind][0]}:", "", head, rule, *lines])


def _about_run(name: str, run: Row, kinds: list[str]) -> str:
    title = "## How a row was chosen" + (f": {name}" if name else "")
    judge = [] if run["judge_accuracy"] is None else [_judge(run, run["judge_accuracy"])]
    rules = [f"- {rule}" for rule in [*rules_in_words(run, kinds), *judge]]
    noted = [f"- {Note(one['things'], one['what'], one['first']).of(one['n'])}" for one in run["notes"]]
    inputs = ["", "Of the files and datasets that it was made from:", "", *noted] if noted else []
    return "\n".join([title, "", *rules, *inputs])


def _judge(run: Row, accuracy: Row) -> str:
    if not accuracy["comparisons"]:
        return (
            f"How often the judge (`{run['judge']}`) is right is not known: there were no right and wrong answers to compare."
        )
    return (
        f"The judge (`{run['judge']}`) scores a right answer above a wrong one, by the verifier, in {accuracy['value']:.1%} of "
        f"{counted(accuracy['comparisons'], 'comparisons')} within this run."
    )


def _lengths(manifests: Mapping[str, Row]) -> str:
    lines = ["| | median | 95 % up to | longest |", "| --- | ---: | ---: | ---: |"]
    for kind, made in manifests.items():
        for name, found in made["lengths"].items():
            numbers = " | ".join(f"{found[number]:,.0f}" for number in ("median", "p95", "max"))
            lines.append(f"| {kind}: {name.replace('_', ' ')} | {numbers} |")
    if any(name.endswith("_tokens") for made in manifests.values() for name in made["lengths"]):
        lines += ["", "Tokens are those that each source counted; they are not those of the model that you train."]
    for kind, made in manifests.items():
        if target := made.get("target_tokens"):
            over = ", ".join(f"{count:,} have more than {size}" for size, count in target["rows_over"].items())
            lines.append(
                f"\nTokens of {target['tokenizer']} with its chat template, {kind}: {over}, of "
                f"{counted(target['rows'], 'rows')}; the longest has {target['max']:,}."
            )
    return "\n".join(lines)


def _terms(runs: Mapping[str, Row]) -> str:
    lines = []
    for name, run in runs.items():
        of = f"{name}: " if name else ""
        languages = ", ".join(run["export"]["language"]) or f"{UNKNOWN} (export.language of the recipe does not say)"
        licence = run["export"]["license"] or f"{UNKNOWN} (export.license of the recipe does not say)"
        lines.append(f"- {of}licence: {licence}; language: {languages}")
    return "\n".join([*lines, "", "The terms of the prompts' and of the source models' licences apply to this data."])


def _size_category(rows: int) -> str:
    edges = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for edge, name in edges if rows < edge), "n>1M")
