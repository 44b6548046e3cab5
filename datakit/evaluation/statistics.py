"""How sure a score is. The unit is the prompt, or the cluster of prompts that belong together: never the single sample.

A prompt's value is the mean of its samples, so their noise is in the spread of the values already. Two models are compared on
the prompts that both have answered, difference by difference.

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
"""Standard errors that a difference must have to be seen at 5 % with a power of 80 %: 1.96 + 0.84."""
FLIPS = 0.15
"""The share of prompts on which two models of one size differ, where nothing else is known."""
_DRAWS_AT_A_TIME = 4_000_000
_NORMAL = NormalDist()


def standard_error(values: pl.Series, clusters: pl.Series | None = None) -> float:
    """Of the mean of the prompts' values; of whole clusters, where the prompts of one are no independent draws.

    NaN for a single one: it says nothing of a spread.
    """
    sums = _by_cluster(values - values.mean() if len(values) else values, clusters)["value"]
    if len(sums) < 2:
        return math.nan
    return math.sqrt(len(sums) / (len(sums) - 1) * float(sums.pow(2).sum())) / len(values)


def bootstrap(values: pl.Series, clusters: pl.Series | None = None, rounds: int = ROUNDS, seed: int = 0) -> Interval:
    """The interval of the mean of the prompts' values, by drawing prompts, or clusters, anew.

    Its percentiles lie a little further out than 2.5 and 97.5, as a t interval is wider than a normal one, for the plain ones
    are too near at some dozens of prompts. The same values and seed give the same interval.
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
    """The interval of a score: Wilson's where every prompt is right or wrong by itself, else the bootstrap's.

    Where all values are the same, resampling shows no spread; then they count as that many answers of one prompt each.
    """
    plain = clusters is None and not several
    n = len(values) if clusters is None else clusters.n_unique()
    if plain or values.n_unique() < 2:
        return wilson(_mean(values), n)
    low, high = bootstrap(values, clusters)
    return Interval(max(0.0, low), min(1.0, high)) if n > 1 else Interval(0.0, 1.0)


def mcnemar(won: int, lost: int) -> float:
    """How likely flips so unequal are where either direction is as likely: exact, two-sided. 1 where nothing flips."""
    n = won + lost
    tail = sum(math.comb(n, at) for at in range(min(won, lost) + 1))
    return min(1.0, 2 * tail / (1 << n))


def normal_p(difference: float, error: float) -> float:
    """The same for a difference that is no count of flips, by its standard error; 1 where there is no spread."""
    return 2 * _NORMAL.cdf(-abs(difference) / error) if error > 0 else 1.0


def smallest_difference(n: int) -> float:
    """Return the smallest paired difference that n prompts show with a power of 80 %, if a share FLIPS of them differs."""
    return POWER * math.sqrt(FLIPS / n) if n else math.nan


def pass_at_k(n: int, passed: int, k: int) -> float:
    """The chance that one of k answers is right, drawn from n of which so many are. ValueError for more than there are.

    >>> round(pass_at_k(10, 3, 5), 6)
    0.916667
    """
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} needs at least {k} answers (got {n})")
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


def _mean(values: pl.Series) -> float:
    return float(values.sum()) / len(values) if len(values) else math.nan


def _by_cluster(values: pl.Series, clusters: pl.Series | None) -> pl.DataFrame:
    """The sum and the number of the values of each cluster; without clusters every value is one."""
    frame = pl.DataFrame({"value": values.cast(pl.Float64)}).with_columns(n=pl.lit(1.0))
    if clusters is None:
        return frame
    grouped = frame.with_columns(clusters.alias("cluster")).group_by("cluster", maintain_order=True)
    return grouped.agg(pl.col("value", "n").sum())


def _sums(drawn: pl.Series, n: int) -> pl.Series:
    """Of each run of n values."""
    return drawn.reshape((-1, n)).arr.sum()


def _t(df: int) -> float:
    """Student's t at 97.5 %, by its expansion around the normal (Abramowitz and Stegun 26.7.5); to 0.001 from df 7 on."""
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(df) ** power for power, term in enumerate(terms, start=1))
