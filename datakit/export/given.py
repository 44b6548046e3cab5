"""What one run gives to an export: the rows of both phases, and all that made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datakit.errors import RunError, command
from datakit.recipe import Recipe, digest, spell_end
from datakit.select.rule import Rule, Selected, diff_pairs, excluded_in, select
from datakit.store import Database, Run, load_sql
from datakit.tables import EXPORTED, Phase, Row, finite

NOT_WRITTEN = ("messages_digest", "row_digest", "mix_place", "test_place", "prompt_chars", "takes_turns")
"""Columns of the statements that only serve mixing, splitting and counting, see sql/export/demos.sql."""
TEXTS: dict[Phase, tuple[str, ...]] = {"sft": ("prompt", "completion"), "dpo": ("prompt", "chosen", "rejected")}
ROWS_AT_A_TIME = 5_000
_STATEMENTS: dict[Phase, str] = {"sft": "export/demos", "dpo": "export/pairs"}


@dataclass(frozen=True)
class Given:
    """`frames` has the rows of each phase without their texts, with the columns NOT_WRITTEN and `at`, their places; `facts` is
    JSON: recipe, judge, rule, sources, ..."""

    name: str
    frames: Mapping[Phase, pl.DataFrame]
    facts: Row
    folder: Path
    selected: Selected
    params: Mapping[str, bool]

    def texts(self, phase: Phase) -> Iterator[pl.DataFrame]:
        """The same rows in the same order, whole, a few at a time, read as they are asked for; at least one frame."""
        with closing(Database(self.folder, spill=self.folder / ".spill")) as run:
            keep_selected(run, self.selected)
            sql = load_sql(_STATEMENTS[phase])
            yield run.query(f"FROM ({sql}) LIMIT 0", self.params)
            yield from run.stream(sql, self.params, ROWS_AT_A_TIME)

    def facts_of(self, rows: pl.DataFrame) -> Row:
        """The facts, with how many of these rows each source model gave."""
        counts = dict(rows["model"].value_counts().iter_rows())
        return {**self.facts, "sources": [{**one, "rows": counts.get(one["model"], 0)} for one in self.facts["sources"]]}


def read_given(run: Run, recipe: Recipe, rule: Rule, name: str = "", selected: Selected | None = None) -> Given:
    """The rows of the run's demos and pairs. `selected`: what the rule has just selected there, and the run has stored.

    RunError where they have lost their texts, or are not what the rule selects now: the manifest names the rule.
    """
    if selected is None:
        selected = select(run, rule)
        if is_out_of_date(run, selected):
            again = command("select", run.folder)
            raise RunError(f"{run.folder}: pairs and demos are not what its recipe selects now; run: {again}")
    params = {"keep_reasoning": recipe.export.reasoning == "keep", "keep_system": recipe.export.system == "keep"}
    keep_selected(run, selected)
    frames: dict[Phase, pl.DataFrame] = {}
    stored_rows: dict[Phase, int] = {"sft": selected.demos.height, "dpo": selected.pairs.height}
    for phase, stored in stored_rows.items():
        texts = ", ".join(TEXTS[phase])
        frame = run.query(f"SELECT * EXCLUDE ({texts}) FROM ({load_sql(_STATEMENTS[phase])})", params)
        if stored != frame.height:  # the join drops a pair whose texts are gone: that must not pass unseen
            raise RunError(
                f"{run.folder}: {stored:,} {EXPORTED[phase]}, but only {frame.height:,} with their prompts and "
                f"responses; run: {command('select', run.folder)}"
            )
        frames[phase] = frame.with_row_index("at")
    return Given(name, frames, _facts(run, recipe, rule, selected), run.folder, selected, params)


def keep_selected(run: Run | Database, selected: Selected) -> None:
    """Have them as the tables that the statements of sql/export read."""
    run.keep("selected_demos", selected.demos)
    run.keep("selected_pairs", selected.pairs)


def is_out_of_date(run: Run, selected: Selected) -> bool:
    """Whether the run has stored something else."""
    demos = ["prompt_id", "response_id", "score"]
    stored = run.frame("demos").select(demos)
    return diff_pairs(run.frame("pairs"), selected.pairs).height > 0 or not selected.demos.select(demos).equals(stored)


def _facts(run: Run, recipe: Recipe, rule: Rule, selected: Selected) -> Row:
    """What made a run's rows, for manifests and cards."""
    facts = {
        "domain": recipe.domain,
        "recipe_digest": digest(recipe),
        "verifier": rule.verifier,
        "judge": rule.judge,
        "judges": list(rule.judges),
        "judge_accuracy": {"value": selected.accuracy, "comparisons": selected.comparisons} if rule.judge else None,
        "margin_window": None if recipe.select.margin is None else [
            None if end is None else spell_end(end) for end in selected.window
        ],
        "sources": run.frame("sources").to_dicts(),
        "flags": {"obeyed": recipe.select.flags == "obey", **excluded_in(rule)},
        "select": recipe.select.model_dump(mode="json"),
        "limits": recipe.limits.model_dump(mode="json"),
        "export": recipe.export.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
    }  # fmt: skip
    return dict(finite(facts))
