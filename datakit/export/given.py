"""What one run contributes to an export: the rows of both phases, and the facts about how they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from datakit.errors import RunError, command
from datakit.recipe import Recipe, digest, spell_end
from datakit.select.changes import find_changes, hold_stored
from datakit.select.rule import Rule, Selected, excluded_in, select
from datakit.store import Database, Run, load_sql
from datakit.tables import EXPORTED, Phase, Row, finite
from datakit.wording import counted

NOT_WRITTEN = ("messages_digest", "row_digest", "mix_place", "test_place", "prompt_chars", "takes_turns")
"""Columns of the statements that only serve mixing, splitting and counting; see sql/export/demos.sql."""
Kind = Literal["sft", "dpo", "wrpo"]
"""The kind of rows in a folder: demos, pairs, or pairs with a source's answer (in a run with a target)."""
TEXTS: dict[Kind, tuple[str, ...]] = {
    "sft": ("prompt", "completion"),
    "dpo": ("prompt", "chosen", "rejected"),
    "wrpo": ("prompt", "chosen", "rejected", "source_chosen"),
}
ROWS_AT_A_TIME = 5_000


def kind_of(phase: Phase, has_target: bool) -> Kind:
    """Return the kind of rows in a phase's folder. `has_target`: the rule names the model that is trained."""
    return "wrpo" if phase == "dpo" and has_target else phase


def statement(kind: Kind) -> str:
    """Return the SELECT for the rows of a folder."""
    if kind != "wrpo":
        return load_sql("export/demos" if kind == "sft" else "export/pairs")
    pairs, sources = load_sql("export/pairs"), load_sql("export/source_answers")
    return (
        f"SELECT p.*, s.* EXCLUDE (prompt_id, model) FROM ({pairs}) AS p "
        f"INNER JOIN ({sources}) AS s ON p.prompt_id = s.prompt_id AND p.model = s.model ORDER BY p.prompt_id, p.model"
    )


@dataclass(frozen=True)
class Given:
    """The rows and facts of one run. `frames` holds the rows of each phase without their texts, with the columns NOT_WRITTEN
    and `at`, their position; `facts` is JSON: recipe, judge, rule, sources, ..."""

    name: str
    frames: Mapping[Phase, pl.DataFrame]
    facts: Row
    run: Run
    selected: Selected
    params: Mapping[str, bool]
    has_target: bool

    def kind_of(self, phase: Phase) -> Kind:
        """Return the kind of rows in a phase's folder, which is also its name."""
        return kind_of(phase, self.has_target)

    def texts(self, phase: Phase) -> Iterator[pl.DataFrame]:
        """Stream the phase's rows with their texts, in the same order; always at least one frame."""
        with self.run.snapshot() as run:
            keep_selected(run, self.selected)
            sql = statement(self.kind_of(phase))
            yield run.query(f"FROM ({sql}) LIMIT 0", self.params)
            yield from run.stream(sql, self.params, ROWS_AT_A_TIME)

    def facts_of(self, rows: pl.DataFrame) -> Row:
        """Return the facts, with the number of these rows from each source model."""
        counts = dict(rows["model"].value_counts().iter_rows())
        return {**self.facts, "sources": [{**one, "rows": counts.get(one["model"], 0)} for one in self.facts["sources"]]}


def read_given(run: Run, recipe: Recipe, rule: Rule, name: str = "", selected: Selected | None = None) -> Given:
    """Read the rows of the run's demos and pairs. `selected`: what the rule has just selected and the run has stored.

    Raises RunError if texts are missing, or if the rows are not what the rule selects now: the manifest names the rule.
    """
    if selected is None:
        selected = select(run, rule)
        keep_selected(run, selected)
        if is_out_of_date(run):
            again = command("select", run.folder)
            raise RunError(f"{run.folder}: pairs and demos are not what its recipe selects now; run: {again}")
        run.drop_made(keep=("selected_demos", "selected_pairs"))  # frees the table of answers, which may be millions
    else:
        keep_selected(run, selected)
    params = {"keep_reasoning": recipe.export.reasoning == "keep", "keep_system": recipe.export.system == "keep"}
    frames: dict[Phase, pl.DataFrame] = {}
    stored_rows: dict[Phase, int] = {"sft": selected.demos.height, "dpo": selected.pairs.height}
    has_target = recipe.select.target is not None
    for phase, stored in stored_rows.items():
        kind = kind_of(phase, has_target)
        frame = run.query(f"SELECT * EXCLUDE ({', '.join(TEXTS[kind])}) FROM ({statement(kind)})", params)
        if stored != frame.height:  # the join drops pairs without texts, and repeats pairs whose texts are stored twice
            met = f"{run.folder}: {counted(stored, EXPORTED[phase])}"
            if stored > frame.height:
                again = command("select", run.folder)
                raise RunError(f"{met}, but only {frame.height:,} with their prompts and responses; run: {again}")
            raise RunError(
                f"{met} would be {frame.height:,} rows, for prompts or responses are stored more than once: "
                f"{command('inspect', run.folder)} names the table; move a copied part away, or merge shards into a new folder"
            )
        frames[phase] = frame.with_row_index("at")
    return Given(name, frames, _facts(run, recipe, rule, selected), run, selected, params, has_target)


def keep_selected(run: Run | Database, selected: Selected) -> None:
    """Make the tables that the statements of sql/export read."""
    run.keep("selected_demos", selected.demos)
    run.keep("selected_pairs", selected.pairs)


def is_out_of_date(run: Run) -> bool:
    """Return whether the run has stored anything other than what `keep_selected` got."""
    hold_stored(run)
    for table in ("pairs", "demos"):
        run.make_view(f"after_{table}", f"SELECT * FROM selected_{table}")
    return find_changes(run) > 0 or run.query(load_sql("export/other_scores")).height > 0


def _facts(run: Run, recipe: Recipe, rule: Rule, selected: Selected) -> Row:
    """Return how a run's rows were made, for manifests and cards."""
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
        "notes": run.frame("notes").to_dicts(),
        "flags": {"obeyed": recipe.select.flags == "obey", **excluded_in(rule)},
        "select": recipe.select.model_dump(mode="json"),
        "limits": recipe.limits.model_dump(mode="json"),
        "export": recipe.export.model_dump(mode="json"),
        "recipe": recipe.model_dump(mode="json"),
    }  # fmt: skip
    return dict(finite(facts))
