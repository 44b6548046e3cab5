"""Mix several runs in one export: a prompt serves one phase, no row occurs twice, and runs may have caps or weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from datakit.errors import BadInput
from datakit.export.given import Given
from datakit.tables import EXPORTED, Phase, Row


@dataclass(frozen=True)
class Mix:
    """How much of each run an export takes, by the run's name. A row is never taken twice."""

    max_rows: Mapping[str, int] = field(default_factory=dict)
    """The maximum number of demos, and of pairs, per run."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """The proportion of the runs' rows, in each phase; as many rows as possible are taken. A run without a weight has 1."""

    def check(self, names: Sequence[str]) -> None:
        """Raise BadInput for a name that no run has, and for numbers that are not above 0."""
        for option, values in (("--max-rows", self.max_rows), ("--weight", self.weights)):
            for name, value in values.items():
                if name not in names:
                    raise BadInput(f"{option} {name}={value:g}: no run has this name; the runs are {', '.join(names)}")
                if not (value > 0 and math.isfinite(value)):
                    raise BadInput(f"{option} {name}={value:g}: give a number above 0, or leave the run out")


@dataclass(frozen=True)
class Mixed:
    """The rows of each phase, with the column `run` and the columns that are not written, and what was left out."""

    frames: Mapping[Phase, pl.DataFrame]
    left_out: list[Row]
    """Rows of run, phase, reason, rows."""


def mix_runs(given: Sequence[Given], mix: Mix) -> Mixed:
    """Return the rows of all runs, in the order of the runs; which ones are kept depends on their hashes, never on their
    order."""
    frames: dict[Phase, pl.DataFrame] = {
        phase: pl.concat([one.frames[phase].with_columns(run=pl.lit(one.name)) for one in given], how="vertical_relaxed")
        for phase in EXPORTED
    }
    left_out: list[Row] = []

    def keep(phase: Phase, wanted: pl.Expr, reason: str) -> None:
        out = frames[phase].filter(~wanted)["run"].value_counts(name="rows").sort("run")
        left_out.extend({"run": run, "phase": phase, "reason": reason, "rows": rows} for run, rows in out.iter_rows())
        frames[phase] = frames[phase].filter(wanted)

    paired = frames["dpo"]["messages_digest"].unique()
    keep("sft", ~pl.col("messages_digest").is_in(paired.implode()), "the prompt has a pair in the mix, and serves DPO")
    for phase in EXPORTED:
        keep(phase, pl.col("row_digest").is_first_distinct(), "the same row came from an earlier run")
        place = pl.struct("mix_place", "row_digest").rank("ordinal").over("run")
        if mix.max_rows:
            most = pl.col("run").replace_strict(dict(mix.max_rows), default=None, return_dtype=pl.Int64)
            keep(phase, (place <= most).fill_null(True), "max_rows")
        if mix.weights:
            shares = weighted(dict(frames[phase]["run"].value_counts().iter_rows()), mix.weights)
            keep(phase, place <= pl.col("run").replace_strict(shares, default=0, return_dtype=pl.Int64), "weight")
    return Mixed(frames, left_out)


def weighted(counts: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    """Return how many rows to take from each run: in proportion to the weights, and all rows of at least one run.

    >>> weighted({"a": 100, "b": 10}, {"b": 0.5})
    {'a': 20, 'b': 10}
    """
    each = min((rows / weights.get(name, 1.0) for name, rows in counts.items()), default=0.0)
    return {name: min(rows, math.floor(each * weights.get(name, 1.0) + 1e-9)) for name, rows in counts.items()}
