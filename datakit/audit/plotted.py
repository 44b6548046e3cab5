"""The data of a report's plots, as values: counted by SQL, so that no plot grows with the run.

The fields of each class, in their order, are the keys of its object in JSON. Intervals are 95 % intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

from datakit.sample.spending import SourceSpent


@dataclass(frozen=True)
class Histogram:
    edges: list[float]
    """The edges of the bins, one more than `counts`."""
    counts: list[int]


@dataclass(frozen=True)
class Share:
    """See sql/audit/source_steps.sql."""

    step: str
    model: str
    count: int


@dataclass(frozen=True)
class Kind:
    """See sql/audit/verdict_kinds.sql."""

    model: str
    kind: str
    responses: int


@dataclass(frozen=True)
class Way:
    """See sql/audit/found_ways.sql."""

    model: str
    way: str
    passed: int
    failed: int


@dataclass(frozen=True)
class Solved:
    """See sql/audit/solved.sql."""

    model: str
    answers: int
    passed: int
    prompts: int


@dataclass(frozen=True)
class Against:
    """See sql/audit/matrix.sql."""

    model: str
    rejected_model: str
    pairs: int


@dataclass(frozen=True)
class SideLengths:
    """See sql/audit/side_lengths.sql."""

    step: str
    side: str
    n: int
    chars: list[float]
    """The 10th, 25th, 50th, 75th and 90th percentile."""


@dataclass(frozen=True)
class Accuracy:
    """How often a judge scores a right answer above a wrong one, by their distance; see sql/audit/judge_accuracy.sql."""

    judge: str
    low: float
    high: float
    """The upper end of the bin; `low` and `high` are differences of scores."""
    comparisons: int
    prompts: int
    accuracy: float
    lower: float
    upper: float
    """The upper end of the interval; comparisons of one prompt do not count as independent."""


@dataclass(frozen=True)
class LengthCell:
    """See sql/audit/length_cells.sql."""

    judge: str
    chars_low: float
    chars_high: float
    score_low: float
    score_high: float
    answers: int


@dataclass(frozen=True)
class LengthMedian:
    """See sql/audit/length_medians.sql."""

    judge: str
    model: str | None
    """None: all sources together."""
    chars_low: float
    chars_high: float
    answers: int
    median: float


@dataclass(frozen=True)
class RankCell:
    """See sql/audit/rank_cells.sql."""

    judge: str
    other: str
    low: float
    other_low: float
    """The lower end of the cell: the share of the judge's scores that are lower."""
    answers: int


@dataclass(frozen=True)
class Latency:
    """See sql/audit/latency.sql."""

    model: str
    n: int
    seconds: list[float]
    """The 10th, 25th, 50th, 75th and 90th percentile."""


@dataclass(frozen=True)
class MarginHistogram:
    """The margins of the candidates if this judge selected, for one source or (None) for all."""

    judge: str
    model: str | None
    histogram: Histogram


@dataclass(frozen=True, kw_only=True)
class Plotted:
    """Everything that plots need and the report does not have."""

    shares: list[Share]
    kinds: list[Kind]
    ways: list[Way]
    solved: list[Solved]
    matrix: list[Against]
    lengths: list[SideLengths]
    accuracy: list[Accuracy]
    length_cells: list[LengthCell]
    length_medians: list[LengthMedian]
    margins: list[MarginHistogram]
    ranks: list[RankCell]
    latency: list[Latency]
    spending: list[SourceSpent]
