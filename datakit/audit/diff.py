"""Compare two selections: what another rule, or another recipe, changes in pairs and demos."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datakit.domains import domain_of
from datakit.select.changes import find_changes, hold_selected, hold_stored
from datakit.select.kept import with_settings
from datakit.select.rule import Rule, excluded_in, make_candidates, match_answers, rank_right, rule_in
from datakit.store import Run, load_sql
from datakit.tables import FLAGGED, Messages, Row
from datakit.tables.intervals import wilson

CHANGES = ("came", "went", "changed")
SHOWN = 3  # changed pairs that are shown with texts


@dataclass(frozen=True)
class Selection:
    """The statistics of one of the two selections."""

    name: str
    pairs: int
    demos: int
    chosen_longer_share: float | None
    chosen_longer_interval: tuple[float, float] | None
    """The 95 % Wilson interval."""
    length_ratio_geomean: float | None
    margin_quantiles: list[float] | None
    """The minimum, the quartiles and the maximum."""
    judge_accuracy: float | None
    comparisons: int
    sources: dict[str, int]
    """The number of pairs by the source of their chosen answer."""
    excluded: dict[str, int] | None
    """The numbers of prompts, responses and pairs that flags excluded; None if the run does not say."""


@dataclass(frozen=True)
class Moved:
    """Prompts that changed phase: dpo, sft, both (never for one prompt in one selection), or neither."""

    before: str
    after: str
    prompts: int


@dataclass(frozen=True)
class Side:
    """The pair of a prompt in one of the two selections."""

    model: str
    rejected_model: str
    margin: float | None
    chosen: str | None
    rejected: str | None


@dataclass(frozen=True)
class ChangedPair:
    change: str
    prompt_id: str
    prompt: Messages | None
    before: Side | None
    after: Side | None


@dataclass(frozen=True)
class Diff:
    before: Selection
    after: Selection
    moved: list[Moved]
    pairs: dict[str, int]
    """The numbers of pairs that came, went and changed."""
    demos: dict[str, int]
    examples: list[ChangedPair]
    changes: pl.DataFrame
    """The columns phase, prompt_id, model, change, both answers' ids and the margin before and after (`_new`); a demo has the
    id of its answer as chosen_id. All changes, or as many as were asked for."""

    @property
    def n_changes(self) -> int:
        """The number of pairs and demos that came, went or changed."""
        return sum(self.pairs.values()) + sum(self.demos.values())

    def as_json(self) -> dict[str, Any]:
        """Return everything as dicts and lists."""
        return {**asdict(self), "changes": self.changes.to_dicts()}


@dataclass(frozen=True)
class Held:
    """A selection: the run that holds its texts, and figures that were found while selecting."""

    name: str
    run: Run
    accuracy: float | None
    comparisons: int
    excluded: dict[str, int] | None


def preview(folder: Path, settings: list[str], most: int | None = None) -> Diff:
    """Return what selecting again with the settings (`--set`) would change in a run's pairs and demos. Writes nothing.

    `most`: maximum number of listed changes; None: all.
    """
    with Run.open(folder) as run:
        recipe = run.recipe()
        _, rule = with_settings(run, settings)
        return diff_rules(run, rule_in(run, recipe, domain_of(recipe)), rule, most)


def diff_rules(run: Run, now: Rule, then: Rule, most: int | None = None) -> Diff:
    """Compare what the rule `then` would select with what the run has stored by the rule `now`."""
    make_candidates(run, then)
    hold_stored(run)
    hold_selected(run, then)
    worth = rank_right(run, then)
    is_judged_alike = (now.judge, now.verifier, now.any_source) == (then.judge, then.verifier, then.any_source)
    worth_now = worth if is_judged_alike else judge_worth(run, now)
    before = Held("now", run, *worth_now, _left_out(run))
    return compare(before, Held("then", run, *worth, _counted_targets(excluded_in(then))), most)


def diff_runs(first: Path, second: Path, most: int | None = None) -> Diff:
    """Compare two runs, which may have different recipes: prompts with equal ids are the same."""
    with Run.open(first) as one, Run.open(second) as other:
        names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
        held = [
            Held(name, run, *judge_worth(run, rule_in(run, recipe := run.recipe(), domain_of(recipe))), _left_out(run))
            for name, run in zip(names, (one, other), strict=True)
        ]
        hold_stored(one)
        for table in ("pairs", "demos"):
            one.keep(f"after_{table}", other.frame(table))
        return compare(held[0], held[1], most)


def judge_worth(run: Run, rule: Rule) -> tuple[float | None, int]:
    """Return how often the rule's scores rank a right answer above a wrong one, and the number of comparisons."""
    if rule.verifier is not None:
        match_answers(run, rule)
    return rank_right(run, rule)


def _left_out(run: Run) -> dict[str, int] | None:
    """Return what flags had excluded when the run was last selected, according to its exports."""
    try:
        said = json.loads((run.folder / "sft" / "manifest.json").read_text(encoding="utf-8"))
        return _counted_targets(said["flags"])
    except (OSError, ValueError, KeyError):
        return None


def _counted_targets(said: Mapping[str, Any]) -> dict[str, int]:
    return {f"{target}s": int(said[f"{target}s"]) for target in FLAGGED}


def compare(before: Held, after: Held, most: int | None) -> Diff:
    """Compare the tables before_pairs, before_demos, after_pairs and after_demos in the run of `before`."""
    run = before.run
    run.drop_made(keep=("after_pairs", "after_demos"))  # frees the table of answers, which may be millions
    find_changes(run)
    one, other = _selections(before, after)
    return Diff(
        before=one,
        after=other,
        moved=[Moved(*row) for row in run.query(load_sql("audit/moved_prompts")).iter_rows()],
        pairs=_counts(run, "pair_changes"),
        demos=_counts(run, "demo_changes"),
        examples=_examples(before, after),
        changes=run.query(load_sql("audit/listed_changes"), {"most": most}),
    )


def _counts(run: Run, table: str) -> dict[str, int]:
    found = dict(run.query(f"SELECT change, count(*) FROM {table} GROUP BY change").iter_rows())
    return {change: found.get(change, 0) for change in CHANGES}


def _selections(before: Held, after: Held) -> list[Selection]:
    run = before.run
    numbers = run.query(load_sql("audit/compared_pairs"))
    found = []
    for side, held, row in zip(("before", "after"), (before, after), numbers.iter_rows(named=True), strict=True):
        n = row["pairs"]
        share = row["longer"] / n if n else None
        sources = run.query(f"SELECT model, count(*) FROM {side}_pairs GROUP BY model ORDER BY model")
        found.append(
            Selection(
                name=held.name,
                pairs=n,
                demos=int(run.query(f"SELECT count(*) AS n FROM {side}_demos")["n"][0]),
                chosen_longer_share=share,
                chosen_longer_interval=wilson(share, n) if share is not None else None,
                length_ratio_geomean=math.exp(row["log_ratio"]) if row["log_ratio"] is not None else None,
                margin_quantiles=row["margins"],
                judge_accuracy=held.accuracy,
                comparisons=held.comparisons,
                sources=dict(sources.iter_rows()),
                excluded=held.excluded,
            )
        )
    return found


def _examples(before: Held, after: Held) -> list[ChangedPair]:
    """Return the changed pairs that are shown with texts; no other texts are read."""
    rows = before.run.query(load_sql("audit/changed_pairs"), {"most": SHOWN}).to_dicts()
    if not rows:
        return []
    ids = [[row[f"{side}_id{end}"] for row in rows for side in ("chosen", "rejected")] for end in ("", "_new")]
    if before.run is after.run:
        texts = [_texts(before.run, rows, ids[0] + ids[1])] * 2
    else:
        texts = [_texts(held.run, rows, wanted) for held, wanted in zip((before, after), ids, strict=True)]
    sides = [_pairs_of(before.run, f"{side}_pairs", rows) for side in ("before", "after")]
    prompts = _prompts(before.run, rows) | ({} if before.run is after.run else _prompts(after.run, rows))
    found = []
    for row in rows:
        both = [
            _side(pairs.get((row["prompt_id"], row[f"chosen_id{end}"], row[f"rejected_id{end}"])), read)
            for pairs, read, end in zip(sides, texts, ("", "_new"), strict=True)
        ]
        found.append(ChangedPair(row["change"], row["prompt_id"], prompts.get(row["prompt_id"]), *both))
    return found


def _pairs_of(run: Run, table: str, rows: list[Row]) -> dict[tuple[str, str, str], Row]:
    """Return the pairs of these prompts, by prompt and both answers."""
    sql = f"SELECT * FROM {table} WHERE prompt_id IN (SELECT unnest($prompts::VARCHAR []))"
    found = run.query(sql, {"prompts": [row["prompt_id"] for row in rows]})
    return {(pair["prompt_id"], pair["chosen_id"], pair["rejected_id"]): pair for pair in found.iter_rows(named=True)}


def _side(pair: Row | None, texts: dict[str, str | None]) -> Side | None:
    if pair is None:
        return None
    chosen, rejected = texts.get(pair["chosen_id"]), texts.get(pair["rejected_id"])
    return Side(pair["model"], pair["rejected_model"], pair["margin"], chosen, rejected)


def _texts(run: Run, rows: list[Row], ids: list[str | None]) -> dict[str, str | None]:
    """Return the answers' texts. An answer to another prompt with the same messages is not stored under these prompts."""
    found: dict[str, str | None] = {}
    for prompts in ([row["prompt_id"] for row in rows], None):
        if wanted := [one for one in ids if one is not None and one not in found]:
            params = {"ids": wanted, "prompts": prompts}
            found |= dict(run.query(load_sql("audit/changed_texts"), params).iter_rows())
    return found


def _prompts(run: Run, rows: list[Row]) -> dict[str, Messages]:
    wanted = [row["prompt_id"] for row in rows]
    return dict(run.query(load_sql("audit/changed_prompts"), {"ids": wanted}).iter_rows())
