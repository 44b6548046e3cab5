"""What may change between two builds of one run folder, and what stops the second with the fields that differ.

Whatever shapes a response (messages, model, revision, sampling) must stay; n, added or reordered prompts, URLs, key names,
verify, score, select and limits may change freely.
"""

from __future__ import annotations

from datakit.collect.begin import Begun
from datakit.collect.inputs import Inputs
from datakit.errors import RunError
from datakit.recipe import Recipe, Sampled
from datakit.store import Run

SHOWN = 8


def check_same(run: Run, recipe: Recipe, begun: Begun, resample: bool) -> None:
    """RunError with the fields that differ where the run was made with other messages, models, revisions or sampling."""
    if not run.has_recipe:
        return
    old = run.recipe()
    if old.domain != recipe.domain:
        raise RunError(
            f"{run.folder}: this run is of domain '{old.domain}' and the recipe of '{recipe.domain}'; give another --out"
        )
    if imported := _imported_differences(run, begun.inputs):
        raise RunError(f"{run.folder}: made with other responses:\n  {_listed(imported)}\ngive another --out")
    changed = run.query(
        f"SELECT o.prompt_id FROM prompts AS o INNER JOIN {begun.prompts.relation} AS n ON o.prompt_id = n.prompt_id "
        "WHERE o.messages_digest <> n.messages_digest ORDER BY 1"
    )
    differences = _source_differences(run, old, recipe)
    differences += [f"prompts: the messages of '{prompt_id}' changed" for prompt_id in changed["prompt_id"]]
    if differences and not resample:
        raise RunError(
            f"{run.folder}: made with other sampled settings:\n  {_listed(differences)}\n"
            "give another --out, or go on with --resample (the old rows stay, but are not used)"
        )


def _listed(differences: list[str]) -> str:
    more = [f"... and {len(differences) - SHOWN} more"] if len(differences) > SHOWN else []
    return "\n  ".join(differences[:SHOWN] + more)


def _source_differences(run: Run, old: Recipe, new: Recipe) -> list[str]:
    """Fields of old and new sources that differ, matched by model, the rest in order.

    Sources may be added at will, and one that has given nothing yet may change.
    """
    stored = set(run.query("SELECT DISTINCT model, revision, sampling FROM responses").iter_rows())
    kept = {_identity(source) for source in new.sampled}
    gone: dict[str, Sampled] = {
        source.model: source for source in old.sampled if _identity(source) in stored and _identity(source) not in kept
    }
    added: list[tuple[int, Sampled]] = []
    pairs: list[tuple[int, Sampled, Sampled]] = []
    for at, source in enumerate(new.sources):
        if isinstance(source, Sampled) and _identity(source) not in {_identity(known) for known in old.sampled}:
            before = gone.pop(source.model, None)
            if before is None:
                added.append((at, source))
            else:
                pairs.append((at, before, source))
    pairs += [(at, before, after) for (at, after), before in zip(added, gone.values(), strict=False)]
    differences = []
    for at, before, after in pairs:
        for name in ("model", "revision", "system", "sampling", "extra_body", "omit"):
            was, now = getattr(before, name), getattr(after, name)
            if was != now:
                differences.append(f"sources.{at}.{name}: {_short(was)} -> {_short(now)}")
    return differences


def _identity(source: Sampled) -> tuple[str, str | None, str]:
    return source.model, source.revision, source.sampling_text


def _imported_differences(run: Run, inputs: Inputs) -> list[str]:
    """Stored responses that the files have otherwise, or no longer: an id does not say the text, so the old would stay."""
    stored = run.query("SELECT response_id, prompt_id, model, sample_index, text FROM responses WHERE sampling = 'imported'")
    models = {row["model"] for row in inputs.responses.values()}
    differences = []
    for row in stored.iter_rows(named=True):
        now = inputs.responses.get(row["response_id"])
        what = "changed" if now is not None else "is gone"
        if (row["prompt_id"] in inputs.prompt_ids and row["model"] in models) and (now is None or now["text"] != row["text"]):
            differences.append(
                f"responses: the text of sample {row['sample_index']} of {row['model']} to '{row['prompt_id']}' {what}"
            )
    return differences


def _short(value: object) -> str:
    dumped = value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value
    return f"{dumped!r:.80}"
