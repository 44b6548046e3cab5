"""The uncertainty of scores. The unit is the prompt, or the cluster of prompts that belong together: never the single sample.

A prompt's value is the mean of its samples, so the spread of the values includes their noise. Two models are compared by their
differences on the prompts that both have answered.

Sources: Miller, "Adding error bars to evals" (arXiv 2411.00640) for standard errors; Bowyer et al. (arXiv 2503.01747) for
intervals that hold below some hundred prompts; Hesterberg, "What teachers should know about the bootstrap" (2015), section
5.3, for the correction of its percentiles; Chen et al. (arXiv 2107.03374) for pass@k.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import polars as pl

from datakit.tables.intervals import Interval, Z, wilson

ROUNDS = 2_000
POWER = 2.8
"""The size of a difference, in standard errors, that is detected at 5 % with a power of 80 %: 1.96 + 0.84."""
FLIPS = 0.15
"""The share of prompts on which two models of one size are assumed to differ, if nothing else is known."""
_DRAWS_AT_A_TIME = 4_000_000
_NORMAL = NormalDist()


def standard_error(values: pl.Series, clusters: pl.Series | None = None) -> float:
    """Return the standard error of the mean of the prompts' values, clustered if `clusters` are given.

    NaN for a single value or cluster, which has no spread.
    """
    sums = _by_cluster(values - values.mean() if len(values) else values, clusters)["value"]
    if len(sums) < 2:
        return math.nan
    return math.sqrt(len(sums) / (len(sums) - 1) * float(sums.pow(2).sum())) / len(values)


def bootstrap(values: pl.Series, clusters: pl.Series | None = None, rounds: int = ROUNDS, seed: int = 0) -> Interval:
    """Return the 95 % interval of the mean of the prompts' values, by resampling prompts or clusters.

    Its percentiles are slightly wider than 2.5 and 97.5, as a t interval is wider than a normal one, because the plain ones
    are too narrow with a few dozen prompts. The same values and seed give the same interval.
    """
    drawn = _by_cluster(values, clusters)
    n = drawn.height
    if n < 2:
        return Interval(math.nan, math.nan)
    means, at_a_time = list[pl.Series](), max(1, _DRAWS_AT_A_TIME // n)
    for begin in range(0, rounds, at_a_time):
        size, lot = n * min(at_a_time, rounds - begin), seed + begin
        if clusters is None:
            means.append(_sums(drawn["value"].sample(size, with_replacement=True, seed=lot), n) / n)
        else:
            lots = pl.int_range(n, dtype=pl.UInt32, eager=True).sample(size, with_replacement=True, seed=lot)
            means.append(_sums(drawn["value"].gather(lots), n) / _sums(drawn["n"].gather(lots), n))
    found = pl.concat(means)
    tail = _NORMAL.cdf(-math.sqrt(n / (n - 1)) * _t(n - 1))
    low, high = (found.quantile(q, "linear") for q in (tail, 1 - tail))
    return Interval(float(low or 0.0), float(high or 0.0))


def interval(values: pl.Series, clusters: pl.Series | None, several: bool) -> Interval:
    """Return the interval of a score: Wilson's if every prompt is independently right or wrong, else the bootstrap's.

    If all values are equal, resampling shows no spread; they count as one answer per prompt then.
    """
    plain = clusters is None and not several
    n = len(values) if clusters is None else clusters.n_unique()
    if plain or values.n_unique() < 2:
        return wilson(_mean(values), n)
    low, high = bootstrap(values, clusters)
    return Interval(max(0.0, low), min(1.0, high)) if n > 1 else Interval(0.0, 1.0)


def mcnemar(won: int, lost: int) -> float:
    """Return McNemar's exact two-sided p-value: how likely counts this unequal are if both directions are equally likely. 1
    without flips."""
    n = won + lost
    tail = sum(math.comb(n, at) for at in range(min(won, lost) + 1))
    return min(1.0, 2 * tail / (1 << n))


def normal_p(difference: float, error: float) -> float:
    """Return the two-sided p-value of a difference by its standard error; 1 if there is no spread."""
    return 2 * _NORMAL.cdf(-abs(difference) / error) if error > 0 else 1.0


def smallest_difference(n: int) -> float:
    """Return the smallest paired difference that n prompts show with a power of 80 %, if a share FLIPS of them differs."""
    return POWER * math.sqrt(FLIPS / n) if n else math.nan


def pass_at_k(n: int, passed: int, k: int) -> float:
    """Return the probability that at least one of k answers is right, drawn from n of which `passed` are. ValueError if k > n.

    >>> round(pass_at_k(10, 3, 5), 6)
    0.916667
    """
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} needs at least {k} answers (got {n})")
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


def _mean(values: pl.Series) -> float:
    return float(values.sum()) / len(values) if len(values) else math.nan


def _by_cluster(values: pl.Series, clusters: pl.Series | None) -> pl.DataFrame:
    """Return the sum and the number of the values of each cluster; without clusters every value is its own."""
    frame = pl.DataFrame({"value": values.cast(pl.Float64)}).with_columns(n=pl.lit(1.0))
    if clusters is None:
        return frame
    grouped = frame.with_columns(clusters.alias("cluster")).group_by("cluster", maintain_order=True)
    return grouped.agg(pl.col("value", "n").sum())


def _sums(drawn: pl.Series, n: int) -> pl.Series:
    """Return the sum of each run of n values."""
    return drawn.reshape((-1, n)).arr.sum()


def _t(df: int) -> float:
    """Return Student's t at 97.5 %, by its expansion around the normal (Abramowitz and Stegun 26.7.5); within 0.001 from df 7
    on."""
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(df) ** power for power, term in enumerate(terms, start=1))
