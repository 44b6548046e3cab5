"""What may change between two builds of one run folder, and what stops the second with the fields that differ.

Whatever shapes a response (messages, model, revision, sampling) must stay, and so must some of the prompts and of the sources:
else it is another dataset. n, added, removed or reordered prompts, URLs, key names, verify, score, select and limits may
change.
"""

from __future__ import annotations

from datakit.collect.begin import COUNT_SELECTED, Begun, name_gone
from datakit.collect.reading import NOT_WANTED
from datakit.errors import RunError
from datakit.recipe import Recipe, Sampled
from datakit.store import Run
from datakit.tables import IMPORTED, canonical_json
from datakit.wording import counted

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
    if imported := _imported_differences(run, begun):
        raise RunError(f"{run.folder}: made with other responses:\n  {_listed(imported)}\ngive another --out")
    changed = run.query(
        f"SELECT o.prompt_id FROM prompts AS o INNER JOIN {begun.prompts.relation} AS n ON o.prompt_id = n.prompt_id "
        "WHERE o.messages_digest <> n.messages_digest ORDER BY 1"
    )
    changes = differences(run, old, recipe)
    changes += [f"prompts: the messages of '{prompt_id}' changed" for prompt_id in changed["prompt_id"]]
    changes += _all_gone(run, recipe, begun)
    if changes and not resample:
        raise RunError(
            f"{run.folder}: made with other settings:\n  {_listed(changes)}\n"
            "give another --out, or go on with --resample (the old rows stay, but are not used)"
        )


def _all_gone(run: Run, recipe: Recipe, begun: Begun) -> list[str]:
    """What nothing is left of: then the recipe is of another dataset, and would take this one's place."""
    there = "in the recipe"
    if begun.cut_at is not None:
        there = f"in the first {counted(begun.cut_at, 'prompts')} of the recipe, and --limit reads no more"
    n, n_kept = run.query(
        f"SELECT count(*), count(n.prompt_id) FROM prompts AS o LEFT JOIN {begun.prompts.relation} AS n USING (prompt_id) "
        "WHERE o.dropped IS DISTINCT FROM $reason",
        {"reason": NOT_WANTED},
    ).row(0)
    stored = run.query("SELECT DISTINCT model, revision, sampling FROM responses ORDER BY ALL").rows()
    wanted = {way[:3] for source in recipe.sampled for way in _ways(source)}
    wanted |= {(model, None, IMPORTED) for model in begun.inputs.n_samples}
    found = [f"prompts: none of the {n:,} in the run is {there}"] if n and not n_kept else []
    if stored and wanted.isdisjoint(stored):
        models = ", ".join(dict.fromkeys(model for model, _, _ in stored))
        found.append(f"sources: none of those that have answered ({models:.200}) is {there}")
    return found


def name_shrunk(run: Run, begun: Begun) -> list[str]:
    """What a build ends with that has left fewer demos or pairs than there were, where prompts of the run are out of it."""
    n_gone, n = run.query(
        "SELECT count(*) FILTER (dropped = $reason), count(*) FILTER (dropped IS NULL OR dropped = $reason) FROM prompts",
        {"reason": NOT_WANTED},
    ).row(0)
    made = list(zip(("demos", "pairs"), run.query(COUNT_SELECTED).row(0), begun.selected, strict=True))
    if not n_gone or all(now >= was for _, now, was in made):
        return []
    fewer = " and ".join(f"{counted(now, things)} ({was:,} before)" for things, now, was in made)
    return [f"{fewer}: {name_gone(n_gone, n, begun.cut_at)}"]


def _listed(differences: list[str]) -> str:
    more = [f"... and {len(differences) - SHOWN} more"] if len(differences) > SHOWN else []
    return "\n  ".join(differences[:SHOWN] + more)


def differences(run: Run, old: Recipe, new: Recipe) -> list[str]:
    """Fields of old and new sources that differ, matched by model, the rest in order.

    Sources may be added at will, and one that has given nothing yet may change.
    """
    stored = set(run.query("SELECT DISTINCT model, revision, sampling FROM responses").iter_rows())
    known, kept = ({way for source in recipe.sampled for way in _ways(source)} for recipe in (old, new))
    gone: dict[str, Sampled] = {
        source.model: source for source in old.sampled if any(way[:3] in stored and way not in kept for way in _ways(source))
    }
    added: list[tuple[int, Sampled]] = []
    pairs: list[tuple[int, Sampled, Sampled]] = []
    for at, source in enumerate(new.sources):
        if isinstance(source, Sampled) and _ways(source) - known:
            before = gone.pop(source.model, None)
            if before is None:
                added.append((at, source))
            else:
                pairs.append((at, before, source))
    pairs += [(at, before, after) for (at, after), before in zip(added, gone.values(), strict=False)]
    found = []
    for at, before, after in pairs:
        for name in ("model", "revision", "system", "template", "prefill", "sampling", "sampling_by", "extra_body", "omit"):
            was, now = getattr(before, name, None), getattr(after, name, None)  # of a local source there are no requests
            if was != now:
                found.append(f"sources.{at}.{name}: {_short(was)} -> {_short(now)}")
    return found


def _ways(source: Sampled) -> set[tuple[str, str | None, str, str]]:
    """What tells the responses of a source, and the prompts that are asked so."""
    return {(way.source.model, way.source.revision, way.source.sampling_text, canonical_json(way.asks)) for way in source.ways}


def _imported_differences(run: Run, begun: Begun) -> list[str]:
    """Stored responses that the files have otherwise, or no longer: an id does not say the text, so the old would stay."""
    if not begun.imported or not run.query("SELECT 1 FROM responses WHERE sampling = 'imported' LIMIT 1").height:
        return []
    params = {"models": list(begun.inputs.n_samples)}
    with run.snapshot() as snapshot:
        changed = snapshot.query(
            "SELECT o.sample_index, o.model, o.prompt_id, n.response_id IS NULL, n.text IS DISTINCT FROM md5(o.text) "
            f"FROM responses AS o SEMI JOIN {begun.prompts.relation} AS p ON o.prompt_id = p.prompt_id "
            "LEFT JOIN (SELECT response_id, md5(text) AS text, md5(reasoning) AS reasoning "
            f"FROM {begun.imported['responses'].relation}) AS n ON o.response_id = n.response_id "
            "WHERE o.sampling = 'imported' AND list_contains($models::VARCHAR[], o.model) AND (n.response_id IS NULL "
            "OR n.text IS DISTINCT FROM md5(o.text) OR n.reasoning IS DISTINCT FROM md5(o.reasoning)) "
            "ORDER BY o.prompt_id, o.model, o.sample_index",
            params,
        )
    return [
        f"responses: the {'text' if is_gone or is_text else 'reasoning'} of sample {index} of {model} to '{prompt_id}' "
        f"{'is gone' if is_gone else 'changed'}"
        for index, model, prompt_id, is_gone, is_text in changed.iter_rows()
    ]


def _short(value: object) -> str:
    dumped = value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value
    return f"{dumped!r:.80}"
