"""Win rates of one model against another, and mean grades.

A battle is one judgement of two answers. Several battles of a prompt (both orders, clear verdicts counted several times) are
not independent, so resampling draws whole prompts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from datakit.evaluation import statistics
from datakit.tables.intervals import Interval

PUBLISHED_ROUNDS = 100


class WinRate(NamedTuple):
    """A win rate and its uncertainty, as shares of 1."""

    share: float
    interval: Interval
    """The interval from resampling prompts."""
    error: float
    """The standard error, clustered by prompt."""
    published: Interval
    """The interval as Arena-Hard v0.1 computes it: battles are resampled as if independent, even those of one prompt. It is too
    short."""


def win_rate(prompts: pl.Series, values: pl.Series, weights: pl.Series) -> WinRate:
    """Return the win rate. One row per battle: its prompt, the preference for the model (0..1, 0.5 for a tie), and its weight.

    With one baseline the win rate that Arena-Hard derives from a Bradley-Terry fit is (wins + ties / 2) / battles (lmarena's
    show_result.py): no fit is needed.
    """
    counted = pl.DataFrame({"prompt": prompts, "value": values, "weight": weights})
    counted = counted.select(pl.all().exclude("weight").repeat_by("weight").explode())
    share = float(counted["value"].sum()) / counted.height
    drawn = statistics.interval(counted["value"], counted["prompt"], several=True)
    error = statistics.standard_error(counted["value"], counted["prompt"])
    return WinRate(share, drawn, error, statistics.bootstrap(counted["value"], rounds=PUBLISHED_ROUNDS))


def grade(
    values: pl.Series, prompts: pl.Series, categories: pl.Series, groups: Mapping[str, Sequence[str]]
) -> tuple[float, Interval, float]:
    """Return the mean grade, its interval by prompt and its standard error; with groups, the mean over groups of the mean over
    their categories' means.

    One row per graded answer. With groups, categories outside all groups do not count.
    """
    if not groups:
        share = float(values.sum()) / len(values)
        return share, statistics.interval(values, prompts, several=True), statistics.standard_error(values, prompts)
    rows = pl.DataFrame({"value": values, "category": categories})
    random, total, spread = np.random.default_rng(0), 0.0, np.zeros(statistics.ROUNDS)
    there = {name: [one for one in some if (rows["category"] == one).any()] for name, some in groups.items()}
    there = {name: some for name, some in there.items() if some}
    for some in there.values():
        for category in some:
            own = rows.filter(pl.col("category") == category)["value"].to_numpy()
            part = 1 / (len(there) * len(some))
            total += part * own.mean()
            spread += part * random.choice(own, (statistics.ROUNDS, len(own))).mean(axis=1)
    if not there:
        return math.nan, Interval(math.nan, math.nan), math.nan
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(total), Interval(float(low), float(high)), float(spread.std(ddof=1))
