"""Plots of the quality of the judges' scores, and of the resulting margins."""

from __future__ import annotations

import math
from itertools import pairwise

import altair as alt

from datakit.audit.plotted import Histogram
from datakit.audit.report import Report
from datakit.page.figure import Figure, Percent
from datakit.page.plots_prompts import OTHERS, Run, named
from datakit.page.svg import ACCENT, BAD, GOOD, Chart, Grid, Row
from datakit.wording import decimal

WINDOW = 0.15  # opacity
MOST_AGREEMENTS = 6  # of two judges each


def _bins(histogram: Histogram) -> list[Row]:
    """The ends of a bin, and the ends as drawn: the outer bins are wide and would hide the others."""
    edges, step = histogram.edges, histogram.edges[2] - histogram.edges[1]
    drawn = [max(edges[0], edges[1] - step), *edges[1:-1], min(edges[-1], edges[-2] + step)]
    return [
        {"margin from": low, "margin to": high, "candidates": count, "_from": left, "_to": right}
        for (low, high), (left, right), count in zip(pairwise(edges), pairwise(drawn), histogram.counts, strict=True)
    ]


def _judge_margins(run: Run) -> list[Row]:
    plotted, windows = run.found.plotted, {one.judge: one for one in run.found.margins}
    if plotted is None:
        histogram = run.found.pairs.margin_histogram
        window = {"_low": None, "_high": None}
        return [{"judge": run.found.run.judge or "score", **row, **window} for row in _bins(histogram)] if histogram else []
    return [
        {"judge": one.judge, **row, "_low": windows[one.judge].low, "_high": windows[one.judge].high}
        for one in plotted.margins
        if one.model is None
        for row in _bins(one.histogram)
    ]


def _source_margins(run: Run) -> list[Row]:
    window = next((one for one in run.found.margins if one.judge == run.found.run.judge), None)
    if run.found.plotted is None or window is None:
        return []
    return [
        {"source": named(run, one.model), **row, "_low": window.low, "_high": window.high}
        for one in run.found.plotted.margins
        if one.model is not None and one.judge == window.judge and named(run, one.model) != OTHERS
        for row in _bins(one.histogram)
    ]


def _draw_margins(rows: list[Row], grid: Grid, by: str) -> Chart:
    drawn = alt.Chart()
    bars = drawn.mark_rect(color=ACCENT).encode(
        x=alt.X("_from:Q", title="margin"),
        x2="_to",
        y=alt.Y("candidates:Q", title="candidates"),
        y2=alt.datum(0),
    )
    chart = grid.draw(_closed(rows), *_window(rows), bars, by=by, height=150)
    return chart.resolve_scale(x="independent", y="independent") if by == "judge" or grid.several else chart


def _closed(rows: list[Row]) -> list[Row]:
    """Return an end of the window as drawn: an open one is at the end of the plot."""
    left, right = min(row["_from"] for row in rows), max(row["_to"] for row in rows)

    def closed(low: float | None, high: float | None) -> Row:
        if low is None and high is None:
            return {}
        return {"_low": left if low is None else low, "_high": right if high is None else high}

    return [{**row, **closed(row["_low"], row["_high"])} for row in rows]


def _window(rows: list[Row]) -> list[alt.Chart]:
    """Draw the window as a band behind the bars; none if it is open on both sides."""
    if all(row["_low"] is None and row["_high"] is None for row in rows):
        return []
    return [alt.Chart().mark_rect(color=GOOD, opacity=WINDOW).encode(x="min(_low):Q", x2="max(_high):Q")]


def _accuracy(run: Run) -> list[Row]:
    windows = {one.judge: one for one in run.found.margins}
    rows = []
    for one in run.found.plotted.accuracy if run.found.plotted else []:
        window = windows.get(one.judge)
        rows.append(
            {
                "judge": one.judge,
                "difference from": one.low,
                "difference to": one.high,
                "comparisons": one.comparisons,
                "prompts": one.prompts,
                "accuracy": Percent(one.accuracy),
                "95% from": Percent(one.lower),
                "95% to": Percent(one.upper),
                "_from": one.low,
                "_to": one.high,
                "_middle": (one.low + one.high) / 2,
                "_low": window.low if window else None,
                "_high": window.high if window else None,
            }
        )
    return rows


def _draw_accuracy(rows: list[Row], grid: Grid) -> Chart:
    least = min(0.4, *(row["95% from"] for row in rows))
    across = alt.X("_from:Q", title="difference of the two scores")
    share = alt.Scale(domain=[math.floor(10 * least) / 10, 1])
    axis = alt.Axis(format=".0%")
    steps = alt.Chart().mark_rule(color=ACCENT, strokeWidth=3)
    steps = steps.encode(
        x=across, x2="_to", y=alt.Y("accuracy:Q", scale=share, axis=axis, title="the right answer scores higher")
    )
    ranges = alt.Chart().mark_rule(color=ACCENT).encode(x="_middle:Q", y=alt.Y("95% from:Q", scale=share), y2="95% to")
    dots = alt.Chart().mark_circle(color=ACCENT, size=40, opacity=1).encode(x="_middle:Q", y=alt.Y("accuracy:Q", scale=share))
    coin = alt.Chart().mark_rule(color=BAD, strokeDash=[4, 4]).encode(y=alt.YDatum(0.5, scale=share))
    chart: Chart = grid.draw(_closed(rows), *_window(rows), coin, ranges, dots, steps, by="judge", height=240)
    apart: Chart = chart.resolve_scale(x="independent")
    return apart


def _agreement(run: Run) -> list[Row]:
    """Return the pairs of judges, those with the selecting judge first."""
    selects = run.found.run.judge
    both = sorted(run.found.agreement, key=lambda one: selects not in (one.judge, one.other))[:MOST_AGREEMENTS]
    told = {(one.judge, one.other): f"{one.judge}, {one.other}: Spearman {decimal(one.spearman)}" for one in both}
    return [
        {
            "judges": told[one.judge, one.other],
            "below, of the first": Percent(one.low),
            "below, of the second": Percent(one.other_low),
            "answers": one.answers,
            "_low": one.low,
            "_other": one.other_low,
        }
        for one in (run.found.plotted.ranks if run.found.plotted else [])
        if (one.judge, one.other) in told
    ]


def _draw_agreement(rows: list[Row], grid: Grid) -> Chart:
    step = min(high - low for low, high in pairwise(sorted({0.0, 1.0, *(row["_low"] for row in rows)})))
    wide = [{**row, "_to": row["_low"] + step, "_other_to": row["_other"] + step} for row in rows]
    share = alt.Axis(format=".0%")
    squares = alt.Chart().mark_rect(color=ACCENT)
    squares = squares.encode(
        x=alt.X("_low:Q", axis=share, title="scores below, of the first judge"),
        x2="_to",
        y=alt.Y("_other:Q", axis=share, title="of the second"),
        y2="_other_to",
        opacity=alt.Opacity("answers:Q", scale=alt.Scale(range=[0.05, 1]), legend=None),
    )
    return grid.draw(wide, squares, by="judges", height=200, width=320)


SCORES: tuple[Figure[Report], ...] = (
    Figure(
        "Is the judge right, and from which margin on?",
        "well above the dashed line (a coin toss), rising to the right.",
        "near or below it: begin the window (shaded) where the interval is above the line.",
        _accuracy,
        _draw_accuracy,
    ),
    Figure(
        "Margins by judge",
        "most candidates inside the window (shaded).",
        "most outside, or many at its ends: choose another window.",
        _judge_margins,
        lambda rows, grid: _draw_margins(rows, grid, "judge"),
    ),
    Figure(
        "Margins by source",
        "the same shape for all.",
        "a source far to one side: it gives no pairs, or the judge scores something other than the answer.",
        _source_margins,
        lambda rows, grid: _draw_margins(rows, grid, "source"),
    ),
    Figure(
        "Do the judges agree?",
        "a band from the lower left to the upper right.",
        "an even field: the judges rank by different things, and which of them selects decides what the pairs teach.",
        _agreement,
        _draw_agreement,
    ),
)
