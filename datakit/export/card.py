"""What an export says of itself: the manifest, and a dataset card with the rules in words."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import polars as pl
import yaml

from datakit.errors import DISTRIBUTION
from datakit.recipe import MEAN_RANK, Quantiles, Recipe, Select, digest, spell_end
from datakit.select.rule import Rule
from datakit.tables import Phase


def make_manifest(
    kind: Phase,
    frame: pl.DataFrame,
    recipe: Recipe,
    rule: Rule,
    sources: pl.DataFrame,
    window: tuple[float | None, float | None],
) -> dict[str, Any]:
    """What the folder holds and what made it: recipe and digest, models with revisions, judges, counts, versions.

    `window` is the margin window in numbers.
    """
    counts = dict(frame["model"].value_counts().iter_rows())
    return {
        "kind": kind,
        "rows": frame.height,
        "columns": frame.columns,
        "domain": recipe.domain,
        "recipe_digest": digest(recipe),
        "verifier": rule.verifier,
        "judge": rule.judge,
        "judges": list(rule.judges),
        "margin_window": None if recipe.select.margin is None else [None if end is None else spell_end(end) for end in window],
        "sources": [{**source, "rows": counts.get(source["model"], 0)} for source in sources.to_dicts()],
        "select": recipe.select.model_dump(mode="json"),
        "limits": recipe.limits.model_dump(mode="json"),
        "export": recipe.export.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
        "versions": {name: version(name) for name in (DISTRIBUTION, "duckdb", "polars", "math-verify")},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def make_card(manifest: dict[str, Any]) -> str:
    """The dataset card: a YAML header as the Hugging Face hub reads it, the counts by source, and the rules in words."""
    kind, rows = manifest["kind"], manifest["rows"]
    header = {
        "task_categories": ["text-generation"],
        "tags": [kind, "preference" if kind == "dpo" else "demonstrations", manifest["domain"], "datakit"],
        "size_categories": [_size_category(rows)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train.parquet"}]}],
    }
    what = "preference pairs for DPO" if kind == "dpo" else "demonstrations for SFT"
    counts = "\n".join(
        f"| {source['model']} | {source['revision'] or '-'} | `{source['sampling']}` | {source['rows']:,} |"
        for source in manifest["sources"]
    )
    return f"""---
{yaml.safe_dump(header, sort_keys=False).strip()}
---

# {rows:,} {what} ({manifest["domain"]})

Built with datakit {manifest["versions"][DISTRIBUTION]} from recipe `{manifest["recipe_digest"]}` on {manifest["created"][:10]}.
`manifest.json` holds the whole recipe; every row names its prompt and its responses by id.

## Rows by source model

| model | revision | sampling | rows |
| --- | --- | --- | ---: |
{counts}

## How a row was chosen

{chr(10).join(f"- {rule}" for rule in rules_in_words(manifest))}

## Columns

`{"`, `".join(manifest["columns"])}`

Messages are lists of role and content. The terms of the prompts' and of the source models' licences apply to this data.
"""


def rules_in_words(manifest: dict[str, Any]) -> list[str]:
    """The recipe's selection as sentences."""
    select = Select.model_validate(manifest["select"])
    verifier, judge = manifest["verifier"], manifest["judge"]
    right = f"verified as right by `{verifier}`" if verifier else "not verified (this domain has no verifier)"
    best = f"the highest score of `{judge}`" if judge else "no judge, so one is taken by a stable hash"
    if judge == MEAN_RANK:
        named = ", ".join(f"`{name}`" for name in manifest["judges"])
        best = f"the highest mean rank (0 to 1), among the answers of its prompt, over the judges {named}"
    rules = [f"An answer that may be chosen is complete (not cut off) and {right}; among several: {best}."]
    if manifest["kind"] == "sft":
        rules.append("A demo is the best such answer of all source models.")
    else:
        rules.append(
            "A pair is the best right answer against the worst wrong answer of "
            + ("the same source model." if select.pairing == "same_source" else "any source models.")
        )
        rules += _pair_rules(select, manifest["margin_window"])
    kept = "stands in front of its answer, as it came" if manifest["export"]["reasoning"] == "keep" else "is left out"
    rules.append(f"What a model thought before its answer {kept}; lengths, verdicts and scores are of the answer alone.")
    if select.split == "pairs_first":
        rules.append("Prompts with a valid pair serve DPO, other prompts with a right answer serve SFT.")
    else:
        share = f"floor({select.sft_share:g} x N)"
        rules.append(f"Of the N prompts with a valid pair {share} serve SFT, the rest DPO, in a stable hash order.")
    return rules


def _pair_rules(select: Select, window: list[float | str | None] | None) -> list[str]:
    rules = []
    if window is not None and window[0] is not None and window[1] is not None:
        rules.append(f"The margin (chosen minus rejected score) lies in [{float(window[0]):g}, {float(window[1]):g}].")
    if isinstance(select.margin, Quantiles):
        low, high = select.margin.quantiles
        rules.append(f"That window is the quantiles {low:g} and {high:g} of the margins of this run's candidates.")
    if select.length_ratio_max is not None:
        rules.append(f"The longer text has at most {select.length_ratio_max:g} times the characters of the shorter.")
    if select.length_bins is not None:
        rules.append(
            f"In each bin of width {select.length_bins:g} of |ln(chosen/rejected characters)| there are as many pairs with the "
            "longer answer chosen as with the longer answer rejected."
        )
    each = "the pair with the largest margin" if select.per_prompt == "one" else "each source model's pair"
    return [*rules, f"Each prompt gives {each}."]


def _size_category(rows: int) -> str:
    edges = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for edge, name in edges if rows < edge), "n>1M")
