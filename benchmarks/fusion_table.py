"""Tables and the plot of the fusion demonstration and its ablations, from the value of each model on each problem.

A model's score is the mean over its seeds and the problems. Differences are paired: problem by problem, the mean over the seeds
of one minus that of the other; their standard error is over the problems (datakit/evaluation/statistics.py). It does not
include the variation between seeds, so each seed's own figure is shown as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from datakit.evaluation.statistics import standard_error

BENCHMARKS = {"fusion_greedy": "greedy", "fusion_sampled": "T 0.8"}


class Row(NamedTuple):
    """The name of one or several models in the tables: one model per seed, or one for all."""

    label: str
    models: Sequence[str]


class Difference(NamedTuple):
    points: float
    error: float
    by_seed: list[float]

    def __str__(self) -> str:
        return f"{self.points:+.1f} ± {self.error:.1f} ({', '.join(f'{one:+.1f}' for one in self.by_seed)})"


def scores(values: pl.DataFrame, rows: Sequence[Row]) -> str:
    """Return a row per model: its mean, greedy and sampled, and each seed's."""
    lines = [f"| | {' | | '.join(BENCHMARKS.values())} | |", "| --- | ---: | --- | ---: | --- |"]
    for row in rows:
        cells = []
        for benchmark in BENCHMARKS:
            means = [100 * _mean(_of(values, benchmark, model)["value"]) for model in row.models]
            cells += [f"{sum(means) / len(means):.1f}", ", ".join(f"{mean:.1f}" for mean in means) if len(means) > 1 else ""]
        lines.append(f"| {row.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(values: pl.DataFrame, pairs: Sequence[tuple[Row, Row]]) -> str:
    """Return a row per comparison: points, standard error over problems, each seed's points."""
    lines = [f"| | {' | '.join(BENCHMARKS.values())} |", "| --- | --- | --- |"]
    for one, other in pairs:
        cells = [str(difference(values, benchmark, one, other)) for benchmark in BENCHMARKS]
        lines.append(f"| {one.label} over {other.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def difference(values: pl.DataFrame, benchmark: str, one: Row, other: Row) -> Difference:
    """Return the difference of the problems' means over the seeds; also by seed if one of the two has several models."""
    both = _over_seeds(values, benchmark, one).join(_over_seeds(values, benchmark, other), on="prompt_id", suffix="_other")
    found = both["value"] - both["value_other"]
    n = max(len(one.models), len(other.models))
    each = [
        _mean(_of(values, benchmark, one.models[at % len(one.models)])["value"])
        - _mean(_of(values, benchmark, other.models[at % len(other.models)])["value"])
        for at in range(n)
    ]
    return Difference(100 * _mean(found), 100 * standard_error(found), [100 * value for value in each])


def kinds(values: pl.DataFrame, rows: Sequence[Row], benchmark: str = "fusion_sampled") -> str:
    """Return a row per kind of problem, with a column per model."""
    named = list(values["kind"].unique(maintain_order=True))
    means = [_over_seeds(values, benchmark, row).group_by("kind").agg(pl.col("value").mean()) for row in rows]
    lines = [f"| | {' | '.join(row.label for row in rows)} |", f"| --- |{' ---: |' * len(rows)}"]
    for kind in named:
        cells = [f"{100 * float(mean.filter(pl.col('kind') == kind)['value'].item()):.0f}" for mean in means]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(values: pl.DataFrame, rows: Sequence[Row], file: Path) -> None:
    """Plot a dot per seed and a bar for the mean, greedy and sampled. Needs the extra `view`."""
    import altair

    points = [
        {"model": row.label, "asked": called, "right": 100 * _mean(_of(values, benchmark, model)["value"])}
        for row in rows
        for benchmark, called in BENCHMARKS.items()
        for model in row.models
    ]
    base = altair.Chart(altair.Data(values=points)).encode(y=altair.Y("model:N", sort=[row.label for row in rows], title=None))
    right = "right answers of 600 problems, %"
    bars = base.mark_bar(opacity=0.5).encode(x=altair.X("mean(right):Q", title=right, scale=altair.Scale(domain=[0, 100])))
    dots = base.mark_point(filled=True, color="black", size=18).encode(x="right:Q")
    chart = (bars + dots).properties(width=260, height=22 * len(rows)).facet(column=altair.Column("asked:N", title=None))
    chart.save(file)


def _of(values: pl.DataFrame, benchmark: str, model: str) -> pl.DataFrame:
    return values.filter((pl.col("benchmark") == benchmark) & (pl.col("name") == model))


def _over_seeds(values: pl.DataFrame, benchmark: str, row: Row) -> pl.DataFrame:
    """Return prompt_id, kind, value: per problem the mean over the row's models."""
    chosen = values.filter((pl.col("benchmark") == benchmark) & pl.col("name").is_in(list(row.models)))
    return chosen.group_by("prompt_id", "kind", maintain_order=True).agg(pl.col("value").mean())


def _mean(series: pl.Series) -> float:
    return float(series.sum()) / len(series)
