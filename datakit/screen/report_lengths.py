"""The part of the report that is about lengths: how far the judge prefers long answers, and what the rule makes of that."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from datakit.audit.length_report import Lengths, LongerWins, RuleResult
from datakit.audit.report import Report
from datakit.screen.ink import BLANK, Ink, table
from datakit.wording import counted, decimal, mean, number, share


def draw_lengths(report: Report, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    """Draw how often the longer of two answers wins, the rule with and without control of lengths, and the sources."""
    for one in report.longer_wins:
        yield Text(_longer_wins(one))
    lengths = report.lengths
    if lengths is None or not (lengths.before.pairs or lengths.after.pairs):
        return
    if report.longer_wins:
        yield BLANK
    yield _rules(lengths)
    yield BLANK
    yield draw_source_lengths(lengths, names, ink)


def draw_source_lengths(lengths: Lengths, names: dict[str, str], ink: Ink) -> Table:
    """Draw one row per source: mean characters of its answers in pairs and demos, and the score gained by twice the length."""
    known = any(one.slope is not None for one in lengths.sources_after)
    drawn = table("mean characters", "chosen", "rejected", "of demos", *(("2x length", "r") if known else ()))
    for one in lengths.sources_after:
        doubled = "-" if one.slope is None else f"{one.slope * math.log(2):+.3f}"
        related = "-" if one.correlation is None else f"{one.correlation:+.2f}"
        chars = (mean(one.chosen_chars), mean(one.rejected_chars), mean(one.demo_chars))
        drawn.add_row(ink.text(names.get(one.model, one.model)), *chars, *((doubled, related) if known else ()))
    return drawn


def _longer_wins(one: LongerWins) -> str:
    which = {"right": "two right answers", "wrong": "two wrong answers"}.get(one.among, "two answers")
    interval = "" if one.low is None or one.high is None else f" ({one.low:.0%}..{one.high:.0%})"
    return (
        f"of {which} of one prompt the longer one scores higher in {share(one.share)}{interval} of "
        f"{counted(one.comparisons, 'comparisons')}"
    )


def _rules(lengths: Lengths) -> Table:
    drawn = table("rule", "pairs", "longer chosen", "95 %", "ratio", "margin", "accuracy", "demos")
    drawn.add_row("as it is", *_result(lengths.after))
    if lengths.before.settings:
        drawn.add_row("without control of lengths", *_result(lengths.before))
    return drawn


def _result(one: RuleResult) -> list[str]:
    interval = "-" if one.longer_low is None or one.longer_high is None else f"{one.longer_low:.0%}..{one.longer_high:.0%}"
    ratio, margin = one.length_ratio_geomean, one.margin_mean
    shares = (share(one.longer_share), interval, "-" if ratio is None else f"{ratio:.2f}", decimal(margin))
    return [number(one.pairs), *shares, share(one.judge_accuracy), number(one.demos)]
