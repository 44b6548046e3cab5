"""Intervals of shares whose parts lean on each other; Wilson's own stand in tests/evaluation/test_statistics.py."""

from __future__ import annotations

import pytest

from datakit.tables.intervals import clustered, wilson


def spread(clusters: list[tuple[int, int]]) -> tuple[float, int, float, int]:
    """share, n, spread and number of clusters of (those that count, all)."""
    n = sum(size for _, size in clusters)
    share = sum(won for won, _ in clusters) / n
    return share, n, sum((won - share * size) ** 2 for won, size in clusters), len(clusters)


@pytest.mark.parametrize(
    ("clusters", "independent"),
    [
        ([(1, 1)] * 6 + [(0, 1)] * 4, 10),  # each by itself: Wilson's own
        ([(5, 5)] * 6 + [(0, 5)] * 4, 10),  # copies of ten
        ([(3, 4), (2, 4)] * 5, 40),  # less spread than coins have: no surer than coins
        ([(4, 4)] * 10, 10),  # nothing spreads: clusters count
    ],
)
def test_what_leans_on_each_other_counts_as_fewer(clusters: list[tuple[int, int]], independent: int) -> None:
    share, n, spreads, k = spread(clusters)
    assert tuple(clustered(share, n, spreads, k)) == pytest.approx(tuple(wilson(share, independent)))
