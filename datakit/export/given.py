"""What one run gives to an export: the rows of both phases, and all that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from datakit.errors import RunError, command
from datakit.recipe import Recipe, digest, spell_end
from datakit.select.rule import Rule, diff_pairs, excluded_in, make_candidates, margin_window, select_demos, select_pairs
from datakit.store import Run, load_sql
from datakit.tables import EXPORTED, Phase, Row, finite

NOT_WRITTEN = ("messages_digest", "row_digest", "mix_place", "test_place")
"""Columns of the statements that only serve mixing and splitting, see sql/export/demos.sql."""


@dataclass(frozen=True)
class Given:
    """`frames` has the rows of each phase, with the columns NOT_WRITTEN; `facts` is JSON: recipe, judge, rule, sources, ..."""

    name: str
    frames: Mapping[Phase, pl.DataFrame]
    facts: Row

    def facts_of(self, rows: pl.DataFrame) -> Row:
        """The facts, with how many of these rows each source model gave."""
        counts = dict(rows["model"].value_counts().iter_rows())
        return {**self.facts, "sources": [{**one, "rows": counts.get(one["model"], 0)} for one in self.facts["sources"]]}


def read_given(run: Run, recipe: Recipe, rule: Rule, name: str = "") -> Given:
    """The rows of the run's demos and pairs.

    RunError where they have lost their texts, or are not what the rule selects now: the manifest names the rule.
    """
    make_candidates(run, rule)
    params = {"keep_reasoning": recipe.export.reasoning == "keep", "keep_system": recipe.export.system == "keep"}
    frames: dict[Phase, pl.DataFrame] = {
        "sft": run.query(load_sql("export/demos"), params),
        "dpo": run.query(load_sql("export/pairs"), params),
    }
    for kind, frame in frames.items():
        stored = run.frame(EXPORTED[kind]).height
        if stored != frame.height:  # the join drops a pair whose texts are gone: that must not pass unseen
            raise RunError(
                f"{run.folder}: {stored:,} {EXPORTED[kind]}, but only {frame.height:,} with their prompts and responses; "
                f"run: {command('select', run.folder)}"
            )
    if diff_pairs(run.frame("pairs"), select_pairs(run)).height or not select_demos(run, rule).equals(run.frame("demos")):
        again = command("select", run.folder)
        raise RunError(f"{run.folder}: pairs and demos are not what its recipe selects now; run: {again}")
    return Given(name, frames, _facts(run, recipe, rule))


def _facts(run: Run, recipe: Recipe, rule: Rule) -> Row:
    """What made a run's rows, for manifests and cards."""
    params = {"judge": rule.judge, "wrong": list(rule.wrong), "any_source": rule.any_source}
    worth = run.query(load_sql("audit/scores"), params).row(0, named=True)
    facts = {
        "domain": recipe.domain,
        "recipe_digest": digest(recipe),
        "verifier": rule.verifier,
        "judge": rule.judge,
        "judges": list(rule.judges),
        "judge_accuracy": {"value": worth["ranking_accuracy"], "comparisons": worth["comparisons"]} if rule.judge else None,
        "margin_window": None if recipe.select.margin is None else [
            None if end is None else spell_end(end) for end in margin_window(run, rule)
        ],
        "sources": run.frame("sources").to_dicts(),
        "flags": {"obeyed": recipe.select.flags == "obey", **excluded_in(rule)},
        "select": recipe.select.model_dump(mode="json"),
        "limits": recipe.limits.model_dump(mode="json"),
        "export": recipe.export.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
    }  # fmt: skip
    return dict(finite(facts))
