"""The run as a build begins with it: its prompts, and the responses that exist already."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from datakit.collect.inputs import NOT_WANTED, Inputs, prompt_row, read_inputs
from datakit.domains import Domain
from datakit.progress import Monitor
from datakit.recipe import Recipe
from datakit.rewards.judges import judges
from datakit.store import Run, Spool, load_sql
from datakit.tables import TABLES, failure_row


@dataclass(frozen=True)
class Begun:
    """All that the recipe names, read and not yet part of the run."""

    inputs: Inputs
    prompts: Spool


def begin(run: Run, recipe: Recipe, domain: Domain, limit: int | None, earlier: Run | None = None) -> Begun:
    """Read all that the recipe names, the prompts into a spool: errors are met before anything is changed.

    `earlier`: the run whose responses' ids are to stay, where it is another one.
    """
    prompts = run.spool("prompts")
    stored = (earlier or run).query(load_sql("collect/imported_prompts")).rows() if recipe.imported else []
    inputs = read_inputs(recipe, domain.read, limit, lambda prompt: prompts.add(prompt_row(prompt)), stored)
    prompts.finish()
    return Begun(inputs, prompts)


def collect(run: Run, recipe: Recipe, begun: Begun, monitor: Monitor) -> None:
    """inputs -> prompts, and the responses that exist already. Prompts that are no longer wanted stay, marked as dropped."""
    inputs = begun.inputs
    run.replace_by(_with_old_prompts(run, begun.prompts))
    run.replace("sources", inputs.source_frame(recipe))
    run.replace("judges", TABLES["judges"].frame([{"judge": name, "type": kind} for name, kind in judges(recipe).items()]))
    run.append("scores", run.missing("scores", TABLES["scores"].frame(inputs.scores)))
    imported = run.missing("responses", TABLES["responses"].frame(list(inputs.responses.values())))
    run.append("responses", imported.filter(pl.col("text").is_not_null()))
    empty = imported.filter(pl.col("text").is_null()).rename({"response_id": "key"}).with_columns(stage=pl.lit("sample"))
    failed = run.missing("failures", empty).select("key", "model").iter_rows()
    run.append("failures", [failure_row("sample", key, model, "empty", "no text in the imported row") for key, model in failed])
    for note, count in [*inputs.notes.items(), *((f"prompts dropped: {reason}", n) for reason, n in inputs.dropped.items())]:
        monitor.say(f"{count:,} {note}", warning=True)
    kept = len(inputs.prompt_ids) - inputs.dropped.total()
    monitor.say(f"{kept:,} prompts, {len(inputs.responses):,} responses imported")


def _with_old_prompts(run: Run, new: Spool) -> Spool:
    """The new prompts, and those of earlier builds that the recipe has no longer."""
    gone = f"FROM prompts WHERE prompt_id NOT IN (SELECT prompt_id FROM {new.relation})"
    if not run.query(f"SELECT 1 {gone} LIMIT 1").height:
        return new
    both = run.spool("prompts", "both.tmp")
    rows = f"SELECT * FROM {new.relation} UNION ALL BY NAME SELECT * REPLACE ($dropped AS dropped) {gone}"
    for frame in run.stream(rows, {"dropped": NOT_WANTED}, rows=10_000):
        both.extend(frame)
    both.finish()
    new.path.unlink()
    return both
