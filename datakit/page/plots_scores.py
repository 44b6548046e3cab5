"""Plots of what the judges' scores are worth, and of the pairs that come from them."""

from __future__ import annotations

import math
from itertools import pairwise

import altair as alt

from datakit.audit.plotted import Histogram
from datakit.audit.report import Report
from datakit.page.figure import Figure, Percent
from datakit.page.plots_prompts import OTHERS, Run, named
from datakit.page.svg import ACCENT, BAD, DIM, GOOD, INK, Chart, Grid, Row

WINDOW = 0.15  # opacity


# ------------------------------------------------------------------------------------------------------------------ margins


def _bins(histogram: Histogram) -> list[Row]:
    """Ends as they are, and as they are drawn: the outer bins reach far, and would hide the others."""
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
    """An end of a window that is open lies at the end of the plot."""
    left, right = min(row["_from"] for row in rows), max(row["_to"] for row in rows)

    def closed(low: float | None, high: float | None) -> Row:
        if low is None and high is None:
            return {}
        return {"_low": left if low is None else low, "_high": right if high is None else high}

    return [{**row, **closed(row["_low"], row["_high"])} for row in rows]


def _window(rows: list[Row]) -> list[alt.Chart]:
    """The window as a band behind the bars; none where it is open on both sides."""
    if all(row["_low"] is None and row["_high"] is None for row in rows):
        return []
    return [alt.Chart().mark_rect(color=GOOD, opacity=WINDOW).encode(x="min(_low):Q", x2="max(_high):Q")]


# ----------------------------------------------------------------------------------------------------------------- accuracy


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


# ------------------------------------------------------------------------------------------------------------------ lengths


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
    """Boxes: a line over four fifths, a bar over the half in the middle, a tick at the median."""
    order = list(dict.fromkeys(row["whose"] for row in rows))
    logarithm = alt.Scale(type="log", nice=False)
    colour = alt.Color("_side:N", scale=alt.Scale(domain=["chosen", "rejected"], range=[GOOD, BAD]), legend=None)
    drawn = alt.Chart().encode(y=alt.Y("whose:N", sort=order, title=None), color=colour)
    across = alt.X("10% below:Q", scale=logarithm, title="characters")
    lines = drawn.mark_rule().encode(x=across, x2="90% below")
    bars = drawn.mark_bar(size=12, opacity=0.6).encode(x=alt.X("25% below:Q", scale=logarithm), x2="75% below")
    ticks = alt.Chart().mark_tick(color=INK, size=18, thickness=2)
    ticks = ticks.encode(y=alt.Y("whose:N", sort=order), x=alt.X("median:Q", scale=logarithm))
    return grid.draw(rows, lines, bars, ticks, height=32 * len(order))


SCORES: tuple[Figure[Report], ...] = (
    Figure(
        "Is the judge right, and from which margin on?",
        "well above the dashed line of a coin, rising to the right.",
        "near or below it: begin the window (shaded) where the interval leaves the coin behind.",
        _accuracy,
        _draw_accuracy,
    ),
    Figure(
        "Margins by judge",
        "most candidates inside of the window (shaded).",
        "most outside, or heaps at its ends: choose another window.",
        _judge_margins,
        lambda rows, grid: _draw_margins(rows, grid, "judge"),
    ),
    Figure(
        "Margins by source",
        "the same shape for all.",
        "a source far to one side: it gives no pairs, or the judge tells it apart by something else than the answer.",
        _source_margins,
        lambda rows, grid: _draw_margins(rows, grid, "source"),
    ),
    Figure(
        "Score against length",
        "a cloud that does not lean.",
        "one that rises to the right: the judge pays for length, and so will the pairs.",
        _cells,
        _draw_cells,
    ),
    Figure(
        "Median score by length and source",
        "flat lines.",
        "lines that rise with length, or one source far above all (dashed) at every length: a favourite.",
        _medians,
        _draw_medians,
    ),
    Figure(
        "Lengths of chosen and rejected answers, before and after the rule",
        "both sides of the pairs alike, and like the candidates.",
        "chosen answers far right of the rejected ones: the rule did not control length (length_adjust, length_ratio_max).",
        _lengths,
        _draw_lengths,
    ),
    Figure(
        "Length of the chosen answer by that of the rejected one",
        "as much on the left of the dashed line as on the right.",
        "nearly all on the right: DPO will learn to write long.",
        _ratios,
        _draw_ratios,
    ),
)
