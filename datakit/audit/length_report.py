"""The part of a report about lengths and rules, as values; it belongs to report.py's contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleResult:
    """The result of one rule: a point of a sweep, or one side of a comparison; see sql/audit/rule_result.sql."""

    settings: dict[str, object]
    """The fields of `select` that differ from the recipe."""
    pairs: int
    prompts: int
    longer: int
    longer_share: float | None
    longer_low: float | None
    longer_high: float | None
    """The upper end of the 95 % Wilson interval of the share of pairs whose chosen answer is longer."""
    length_ratio_geomean: float | None
    margin_mean: float | None
    margin_median: float | None
    judge_accuracy: float | None
    """How often the scores that select rank a right answer above a wrong one."""
    same_pairs: int
    """The pairs that the recipe's rule selects, too."""
    demos: int
    demo_chars: float | None
    demo_tokens: float | None


@dataclass(frozen=True)
class SourceLengths:
    """Mean lengths of a source's answers in pairs and demos, and how its scores grow with length; see source_lengths.sql."""

    model: str
    pairs: int
    """The pairs whose chosen answer it gave."""
    chosen_chars: float | None
    chosen_tokens: float | None
    rejected_chars: float | None
    rejected_tokens: float | None
    demos: int
    demo_chars: float | None
    demo_tokens: float | None
    slope: float | None
    """The slope of the scores that select on ln(characters), within prompts."""
    correlation: float | None
    """The correlation of the same two."""


@dataclass(frozen=True)
class Lengths:
    """The results of the rule, and of the same rule without its length control."""

    before: RuleResult
    after: RuleResult
    sources_before: list[SourceLengths]
    sources_after: list[SourceLengths]


@dataclass(frozen=True)
class LongerWins:
    """How often the longer of two answers scores higher; see sql/audit/longer_wins.sql."""

    among: str
    """right, wrong, or all if nothing is verified."""
    comparisons: int
    wins: int
    share: float | None
    low: float | None
    high: float | None
