"""Plots of lengths: how far the judge prefers long answers, and what the rule makes of that."""

from __future__ import annotations

import math
from itertools import pairwise

import altair as alt

from datakit.audit.length_report import RuleResult
from datakit.audit.report import Report
from datakit.page.figure import Figure, share_of
from datakit.page.plots_prompts import OTHERS, Run, named
from datakit.page.svg import ACCENT, BAD, DIM, GOOD, INK, Chart, Grid, Row, boxes


def _cells(run: Run) -> list[Row]:
    plotted = run.found.plotted
    return [
        {
            "judge": one.judge,
            "characters from": round(one.chars_low),
            "characters to": round(one.chars_high),
            "score from": one.score_low,
            "score to": one.score_high,
            "answers": one.answers,
            "_left": one.chars_low,
            "_right": one.chars_high,
        }
        for one in (plotted.length_cells if plotted else [])
    ]


def _draw_cells(rows: list[Row], grid: Grid) -> Chart:
    logarithm = alt.Scale(type="log", nice=False)
    squares = alt.Chart().mark_rect(color=ACCENT)
    squares = squares.encode(
        x=alt.X("_left:Q", scale=logarithm, title="characters of the answer"),
        x2="_right",
        y=alt.Y("score from:Q", title="score", scale=alt.Scale(zero=False)),
        y2="score to",
        opacity=alt.Opacity("answers:Q", scale=alt.Scale(type="sqrt", range=[0.06, 1]), legend=None),
    )
    chart = grid.draw(rows, squares, by="judge", height=260)
    return (
        chart.resolve_scale(x="independent", y="independent", opacity="independent")
        if len({row["judge"] for row in rows}) > 1 or grid.several
        else chart
    )


def _medians(run: Run) -> list[Row]:
    plotted, judge = run.found.plotted, run.found.run.judge
    found = [one for one in (plotted.length_medians if plotted else []) if one.judge == judge]
    together = {one.chars_low: one.median for one in found if one.model is None}
    return [
        {
            "source": named(run, one.model),
            "characters from": round(one.chars_low),
            "characters to": round(one.chars_high),
            "answers": one.answers,
            "median score": one.median,
            "of all sources": together.get(one.chars_low),
            "_middle": math.sqrt(one.chars_low * one.chars_high),
        }
        for one in found
        if one.model is not None and named(run, one.model) != OTHERS
    ]


def _draw_medians(rows: list[Row], grid: Grid) -> Chart:
    across = alt.X("_middle:Q", scale=alt.Scale(type="log", nice=False), title="characters of the answer")
    y = alt.Scale(zero=False)
    own = alt.Chart().mark_line(color=ACCENT)
    own = own.encode(x=across, y=alt.Y("median score:Q", scale=y, title="median score"))
    every = alt.Chart().mark_line(color=DIM, strokeDash=[4, 3]).encode(x=across, y=alt.Y("of all sources:Q", scale=y))
    chart = grid.draw(rows, every, own, by="source", height=130)
    return chart.resolve_scale(x="independent", y="independent") if grid.several else chart


def _longer_wins(run: Run) -> list[Row]:
    return [
        {
            "two answers": {"right": "both right", "wrong": "both wrong"}.get(one.among, "any"),
            "comparisons": one.comparisons,
            "the longer scores higher": share_of(one.share),
            "95% from": share_of(one.low),
            "95% to": share_of(one.high),
        }
        for one in run.found.longer_wins
    ]


def _draw_longer_wins(rows: list[Row], grid: Grid) -> Chart:
    return _shares(rows, grid, "two answers", "the longer scores higher")


def _rules(run: Run) -> list[Row]:
    lengths = run.found.lengths
    if lengths is None or not (lengths.after.pairs or lengths.before.pairs):
        return []
    both = [("this rule", lengths.after)]
    both += [("without its control of lengths", lengths.before)] if lengths.before.settings else []
    return [_rule(name, one) for name, one in both]


def _rule(name: str, one: RuleResult) -> Row:
    return {
        "rule": name,
        "pairs": one.pairs,
        "the chosen answer is longer": share_of(one.longer_share),
        "95% from": share_of(one.longer_low),
        "95% to": share_of(one.longer_high),
        "length ratio": one.length_ratio_geomean,
        "mean margin": one.margin_mean,
        "scores put right above wrong": share_of(one.judge_accuracy),
        "pairs of this rule": one.same_pairs,
        "demos": one.demos,
        "characters of a demo": None if one.demo_chars is None else round(one.demo_chars),
    }


def _draw_rules(rows: list[Row], grid: Grid) -> Chart:
    return _shares(rows, grid, "rule", "the chosen answer is longer")


def _shares(rows: list[Row], grid: Grid, names: str, share: str) -> Chart:
    """Draw a dot with its interval for each row, from 0 to 1, and a line in the middle."""
    order = list(dict.fromkeys(row[names] for row in rows))
    up, scale = alt.Y(f"{names}:N", sort=order, title=None), alt.Scale(domain=[0, 1])
    even = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(x=alt.datum(0.5))
    ranges = alt.Chart().mark_rule(color=ACCENT).encode(y=up, x=alt.X("95% from:Q", scale=scale), x2="95% to")
    across = alt.X(f"{share}:Q", scale=scale, axis=alt.Axis(format=".0%", tickCount=5), title=share)
    dots = alt.Chart().mark_circle(color=ACCENT, size=60, opacity=1).encode(y=up, x=across)
    return grid.draw(rows, even, ranges, dots, height=32 * len(order))


def _slopes(run: Run) -> list[Row]:
    lengths = run.found.lengths
    return [
        {
            "source": named(run, one.model),
            "score for twice the length": one.slope * math.log(2),
            "correlation": one.correlation,
            "pairs": one.pairs,
            "characters, chosen": None if one.chosen_chars is None else round(one.chosen_chars),
            "rejected": None if one.rejected_chars is None else round(one.rejected_chars),
            "demo": None if one.demo_chars is None else round(one.demo_chars),
        }
        for one in (lengths.sources_after if lengths else [])
        if one.slope is not None and named(run, one.model) != OTHERS
    ]


def _draw_slopes(rows: list[Row], grid: Grid) -> Chart:
    order = list(dict.fromkeys(row["source"] for row in rows))
    nothing = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(x=alt.datum(0))
    bars = alt.Chart().mark_bar(color=ACCENT, size=14)
    across = alt.X("score for twice the length:Q", title="score for twice the length, of one prompt's answers")
    return grid.draw(rows, bars.encode(y=alt.Y("source:N", sort=order, title=None), x=across), nothing, height=26 * len(order))


def _lengths(run: Run) -> list[Row]:
    names = ("10% below", "25% below", "median", "75% below", "90% below")
    return [
        {
            "whose": f"{one.step}: {one.side}",
            "n": one.n,
            **{name: round(chars) for name, chars in zip(names, one.chars, strict=True)},
            "_side": one.side,
        }
        for one in (run.found.plotted.lengths if run.found.plotted else [])
    ]


def _draw_lengths(rows: list[Row], grid: Grid) -> Chart:
    colour = alt.Color("_side:N", scale=alt.Scale(domain=["chosen", "rejected"], range=[GOOD, BAD]), legend=None)
    return boxes(rows, grid, "whose", "characters", colour)


def _ratios(run: Run) -> list[Row]:
    histogram = run.found.pairs.length_histogram
    if histogram is None:
        return []
    rows = zip(pairwise(histogram.edges), histogram.counts, strict=True)
    return [{"ratio from": math.exp(low), "ratio to": math.exp(high), "pairs": count} for (low, high), count in rows]


def _draw_ratios(rows: list[Row], grid: Grid) -> Chart:
    bars = alt.Chart().mark_bar(color=ACCENT)
    across = alt.X(
        "ratio from:Q", scale=alt.Scale(type="log", nice=False), title="characters of the chosen / the rejected answer"
    )
    bars = bars.encode(x=across, x2="ratio to", y=alt.Y("pairs:Q", title="pairs"), y2=alt.datum(0))
    equal = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(x=alt.datum(1))
    return grid.draw(rows, bars, equal, height=180)


LENGTHS: tuple[Figure[Report], ...] = (
    Figure(
        "Score against length",
        "a cloud without a slope.",
        "one that rises to the right: the judge rewards length, and so will the pairs.",
        _cells,
        _draw_cells,
    ),
    Figure(
        "Median score by length and source",
        "flat lines.",
        "lines that rise with length, or one source far above all sources (dashed) at every length: a favourite.",
        _medians,
        _draw_medians,
    ),
    Figure(
        "Does the longer answer score higher?",
        "about half the time, if both answers are right or both are wrong.",
        "far on the right: among answers that are equally right the judge rewards length.",
        _longer_wins,
        _draw_longer_wins,
    ),
    Figure(
        "What twice the length is worth, by source",
        "bars near the dashed line.",
        "bars as long as a usual margin: within a prompt, length alone decides the pair.",
        _slopes,
        _draw_slopes,
    ),
    Figure(
        "How often the chosen answer is the longer one",
        "this rule is nearer to the middle than the same rule without control of lengths.",
        "both far on the right: the rule does not control length (length_adjust, length_ratio_max, length_bins).",
        _rules,
        _draw_rules,
    ),
    Figure(
        "Lengths of chosen and rejected answers, before and after the rule",
        "similar lengths on both sides, and similar to the candidates.",
        "chosen answers far right of the rejected ones: the rule did not control length (length_adjust, length_ratio_max).",
        _lengths,
        _draw_lengths,
    ),
    Figure(
        "Length of the chosen answer by that of the rejected one",
        "as many on the left of the dashed line as on the right.",
        "nearly all on the right: DPO will learn to write long.",
        _ratios,
        _draw_ratios,
    ),
)
