"""What a report says of lengths and of who met whom, as values; part of report.py's contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleResult:
    """What one rule gives: a point of a sweep, or one side of before and after; see sql/audit/rule_result.sql."""

    settings: dict[str, object]
    """Fields of `select` that are set otherwise than in the recipe."""
    pairs: int
    prompts: int
    longer: int
    longer_share: float | None
    longer_low: float | None
    longer_high: float | None
    """Pairs whose chosen answer is the longer one, with the 95 % interval of their share (Wilson)."""
    length_ratio_geomean: float | None
    margin_mean: float | None
    margin_median: float | None
    judge_accuracy: float | None
    """How often the scores that select put a right answer above a wrong one."""
    same_pairs: int
    """Those that the recipe's rule gives, too."""
    demos: int
    demo_chars: float | None
    demo_tokens: float | None


@dataclass(frozen=True)
class SourceLengths:
    """Mean lengths of what a source gives to pairs and demos, and how its scores grow with length; see source_lengths.sql."""

    model: str
    pairs: int
    """Whose chosen answer it gave."""
    chosen_chars: float | None
    chosen_tokens: float | None
    rejected_chars: float | None
    rejected_tokens: float | None
    demos: int
    demo_chars: float | None
    demo_tokens: float | None
    slope: float | None
    """Of the scores that select on ln(characters), within prompts."""
    correlation: float | None
    """The same as a correlation."""


@dataclass(frozen=True)
class Lengths:
    """The rule, and the same without its control of lengths."""

    before: RuleResult
    after: RuleResult
    sources_before: list[SourceLengths]
    sources_after: list[SourceLengths]


@dataclass(frozen=True)
class LongerWins:
    """How often the longer of two answers scores higher, see sql/audit/longer_wins.sql."""

    among: str
    """right, wrong, or all where nothing is verified."""
    comparisons: int
    wins: int
    share: float | None
    low: float | None
    high: float | None
