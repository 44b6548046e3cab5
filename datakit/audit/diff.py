"""Two selections side by side: what another rule, or another recipe, does to pairs and demos."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datakit.domains import domain_of
from datakit.select.kept import with_settings
from datakit.select.rule import Rule, Selected, diff_pairs, excluded_in, match_answers, rank_right, rule_in
from datakit.select.rule import select as select_by
from datakit.store import Run, load_sql
from datakit.tables import FLAGGED, Messages, Row
from datakit.tables.intervals import wilson

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
CHANGES = ("came", "went", "changed")
SHOWN = 3  # changed pairs whose texts are read


@dataclass(frozen=True)
class Selection:
    """What one of the two holds."""

    name: str
    pairs: int
    demos: int
    chosen_longer_share: float | None
    chosen_longer_interval: tuple[float, float] | None
    """Wilson's, of 95 %."""
    length_ratio_geomean: float | None
    margin_quantiles: list[float] | None
    """Of QUANTILES."""
    judge_accuracy: float | None
    comparisons: int
    sources: dict[str, int]
    """Pairs by the source of their chosen answer."""
    excluded: dict[str, int] | None
    """Prompts, responses and pairs that people's flags left out of it; None where the run does not say."""


@dataclass(frozen=True)
class Moved:
    """Prompts that serve another phase than before: dpo, sft, both (never in one selection of one prompt), or neither."""

    before: str
    after: str
    prompts: int


@dataclass(frozen=True)
class Side:
    """The pair of a prompt in one of the two."""

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
    """How many came, went and changed."""
    demos: dict[str, int]
    examples: list[ChangedPair]
    changes: pl.DataFrame
    """Every change: phase, prompt_id, model, change, both answers' ids and the margin before and after (`_new`); a demo has the
    id of its answer as chosen_id."""

    def as_json(self) -> dict[str, Any]:
        """All of it in dicts and lists."""
        return {**asdict(self), "changes": self.changes.to_dicts()}


@dataclass(frozen=True)
class Held:
    """A selection with the run that its texts are in."""

    name: str
    run: Run
    selected: Selected
    excluded: dict[str, int] | None


def preview(folder: Path, settings: list[str]) -> Diff:
    """What selecting anew with the settings (`--set`) would do to pairs and demos of a run. Writes nothing."""
    with Run.open(folder) as run:
        recipe = run.recipe()
        _, rule = with_settings(run, settings)
        return diff_rules(run, rule_in(run, recipe, domain_of(recipe)), rule)


def diff_rules(run: Run, now: Rule, then: Rule) -> Diff:
    """What `then` would select, against what the run holds by the rule `now`."""
    selected = select_by(run, then)
    if (now.judge, now.verifier, now.any_source) == (then.judge, then.verifier, then.any_source):
        accuracy, comparisons = selected.accuracy, selected.comparisons
    else:
        match_answers(run, now)
        accuracy, comparisons = rank_right(run, now)
    held = Selected(run.frame("demos"), run.frame("pairs"), selected.window, accuracy, comparisons)
    return compare(Held("now", run, held, _left_out(run)), Held("then", run, selected, _counted_targets(excluded_in(then))))


def diff_runs(first: Path, second: Path) -> Diff:
    """Two runs, also of different recipes: prompts are the same where their ids are."""
    with Run.open(first) as one, Run.open(second) as other:
        names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
        return compare(*(Held(name, run, stored(run), _left_out(run)) for name, run in zip(names, (one, other), strict=True)))


def stored(run: Run) -> Selected:
    """The demos and pairs that a run holds, with the accuracy of the judge that its recipe names."""
    recipe = run.recipe()
    today = select_by(run, rule_in(run, recipe, domain_of(recipe)))
    return Selected(run.frame("demos"), run.frame("pairs"), today.window, today.accuracy, today.comparisons)


def _left_out(run: Run) -> dict[str, int] | None:
    """What flags had excluded when the run was last selected in, as its exports say."""
    try:
        said = json.loads((run.folder / "sft" / "manifest.json").read_text(encoding="utf-8"))
        return _counted_targets(said["flags"])
    except (OSError, ValueError, KeyError):
        return None


def _counted_targets(said: Mapping[str, Any]) -> dict[str, int]:
    return {f"{target}s": int(said[f"{target}s"]) for target in FLAGGED}


def compare(before: Held, after: Held) -> Diff:
    old, new = before.selected, after.selected
    pairs = diff_pairs(old.pairs, new.pairs)
    demos = diff_demos(old.demos, new.demos)
    columns = [pl.lit("dpo").alias("phase"), pl.all()]
    every = pl.concat([pairs.select(columns), demos.select(pl.lit("sft").alias("phase"), pl.all())], how="diagonal")
    return Diff(
        before=_selection(before),
        after=_selection(after),
        moved=list(_moved(old, new)),
        pairs=_counts(pairs),
        demos=_counts(demos),
        examples=_examples(before, after, pairs),
        changes=every,
    )


def diff_demos(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Which demos came, went or changed, as diff_pairs says it of pairs; where a prompt has several, none changes."""
    single = not old["prompt_id"].is_duplicated().any() and not new["prompt_id"].is_duplicated().any()
    both = [frame.select("prompt_id", chosen_id="response_id", key="response_id") for frame in (old, new)]
    key = ["prompt_id"] if single else ["prompt_id", "key"]
    joined = both[0].join(both[1], on=key, how="full", coalesce=True, suffix="_new")
    return (
        joined.filter(pl.col("chosen_id").ne_missing(pl.col("chosen_id_new")))
        .select("prompt_id", _change(), "chosen_id", "chosen_id_new")
        .sort("change", "prompt_id", "chosen_id", "chosen_id_new")
    )


def _change() -> pl.Expr:
    gone, come = pl.col("chosen_id_new").is_null(), pl.col("chosen_id").is_null()
    return pl.when(come).then(pl.lit("came")).when(gone).then(pl.lit("went")).otherwise(pl.lit("changed")).alias("change")


def _counts(changes: pl.DataFrame) -> dict[str, int]:
    found = dict(changes["change"].value_counts().iter_rows())
    return {change: found.get(change, 0) for change in CHANGES}


def _selection(held: Held) -> Selection:
    pairs, demos = held.selected.pairs, held.selected.demos
    longer, n = int((pairs["log_length_ratio"] > 0).sum()), pairs.height
    margins = pairs["margin"].drop_nulls()
    ratio = pairs["log_length_ratio"].mean()
    return Selection(
        name=held.name,
        pairs=n,
        demos=demos.height,
        chosen_longer_share=longer / n if n else None,
        chosen_longer_interval=wilson(longer / n, n) if n else None,
        length_ratio_geomean=math.exp(ratio) if isinstance(ratio, float) else None,
        margin_quantiles=[float(margins.quantile(at, "linear") or 0.0) for at in QUANTILES] if margins.len() else None,
        judge_accuracy=held.selected.accuracy,
        comparisons=held.selected.comparisons,
        sources=dict(sorted(Counter(pairs["model"]).items())),
        excluded=held.excluded,
    )


def _moved(old: Selected, new: Selected) -> Iterator[Moved]:
    """The most frequent first."""
    places = [_phases(selected) for selected in (old, new)]
    joined = places[0].join(places[1], on="prompt_id", how="full", coalesce=True, suffix="_new")
    joined = joined.select(pl.col("phase", "phase_new").fill_null("neither")).filter(pl.col("phase") != pl.col("phase_new"))
    counted = joined.group_by("phase", "phase_new").len().sort(["len", "phase", "phase_new"], descending=[True, False, False])
    yield from (Moved(*row) for row in counted.iter_rows())


def _phases(selected: Selected) -> pl.DataFrame:
    phases = [
        frame.select("prompt_id", pl.lit(phase).alias("phase"))
        for frame, phase in ((selected.pairs, "dpo"), (selected.demos, "sft"))
    ]
    return pl.concat(phases).unique(subset="prompt_id", keep="first")


def _examples(before: Held, after: Held, changes: pl.DataFrame) -> list[ChangedPair]:
    """One of each kind and more of the first, by a hash of the prompt; no other texts are read."""
    if changes.is_empty():
        return []
    shuffled = changes.with_columns(at=pl.col("prompt_id").hash(0)).sort("at", "prompt_id", "model")
    each = pl.concat([shuffled.unique("change", keep="first", maintain_order=True), shuffled]).unique(maintain_order=True)
    rows = each.head(SHOWN).to_dicts()
    ids = [[row[f"{side}_id{end}"] for row in rows for side in ("chosen", "rejected")] for end in ("", "_new")]
    if before.run is after.run:
        texts = [_texts(before.run, rows, ids[0] + ids[1])] * 2
    else:
        texts = [_texts(held.run, rows, wanted) for held, wanted in zip((before, after), ids, strict=True)]
    sides = [_pairs_of(held, rows) for held in (before, after)]
    prompts = _prompts(before.run, rows) | ({} if before.run is after.run else _prompts(after.run, rows))
    found = []
    for row in rows:
        both = [
            _side(pairs.get((row["prompt_id"], row[f"chosen_id{end}"], row[f"rejected_id{end}"])), read)
            for pairs, read, end in zip(sides, texts, ("", "_new"), strict=True)
        ]
        found.append(ChangedPair(row["change"], row["prompt_id"], prompts.get(row["prompt_id"]), *both))
    return found


def _pairs_of(held: Held, rows: list[Row]) -> dict[tuple[str, str, str], Row]:
    """The pairs of these prompts, by prompt and both answers."""
    found = held.selected.pairs.filter(pl.col("prompt_id").is_in([row["prompt_id"] for row in rows]))
    return {(pair["prompt_id"], pair["chosen_id"], pair["rejected_id"]): pair for pair in found.iter_rows(named=True)}


def _side(pair: Row | None, texts: dict[str, str | None]) -> Side | None:
    if pair is None:
        return None
    chosen, rejected = texts.get(pair["chosen_id"]), texts.get(pair["rejected_id"])
    return Side(pair["model"], pair["rejected_model"], pair["margin"], chosen, rejected)


def _texts(run: Run, rows: list[Row], ids: list[str | None]) -> dict[str, str | None]:
    """The answers' texts. One that was asked for another prompt with the same messages does not stand under these prompts."""
    found: dict[str, str | None] = {}
    for prompts in ([row["prompt_id"] for row in rows], None):
        if wanted := [one for one in ids if one is not None and one not in found]:
            params = {"ids": wanted, "prompts": prompts}
            found |= dict(run.query(load_sql("audit/changed_texts"), params).iter_rows())
    return found


def _prompts(run: Run, rows: list[Row]) -> dict[str, Messages]:
    wanted = [row["prompt_id"] for row in rows]
    return dict(run.query(load_sql("audit/changed_prompts"), {"ids": wanted}).iter_rows())
