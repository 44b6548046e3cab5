"""How sure a share is: Wilson's interval, for all who count."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


class Interval(NamedTuple):
    """Of 95 %."""

    low: float
    high: float


def wilson(share: float, n: float) -> Interval:
    """The interval of a share of n that are right or wrong by themselves (Wilson 1927); for n = 0 all that is possible.

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
    """Wilson's over as many independent ones as would spread like these n, which lean on each other within clusters (prompts).

    `spread`: the sum over clusters of (those that count - share * all)²; where nothing spreads, clusters count.
    """
    independent = min(n, share * (1 - share) * n**2 / spread) if spread else clusters
    return wilson(share, independent)
