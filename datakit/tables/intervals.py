"""Confidence intervals of shares: Wilson's, wherever one is shown."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


class Interval(NamedTuple):
    """A confidence interval of 95 %."""

    low: float
    high: float


def wilson(share: float, n: float) -> Interval:
    """Return the interval of a share of n independent observations (Wilson 1927); for n = 0 all that is possible.

    >>> [round(end, 3) for end in wilson(0.5, 10)]
    [0.237, 0.763]
    """
    if not n:
        return Interval(0.0, 1.0)
    square = Z * Z / n
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / n + square / (4 * n)) / (1 + square)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def clustered(share: float, n: int, spread: float, clusters: int) -> Interval:
    """Return Wilson's interval for n observations that depend on each other within clusters (prompts).

    It is that of as many independent observations as would vary as much. `spread`: the sum over clusters of (its observations
    that count - share * all of its observations)²; if that is 0, n is the number of clusters.
    """
    independent = min(n, share * (1 - share) * n**2 / spread) if spread else clusters
    return wilson(share, independent)
