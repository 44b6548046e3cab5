"""Plots of an evaluation: the models' scores and how they differ."""

from __future__ import annotations

import altair as alt

from datakit.evaluation.table import ENDINGS, Evaluation
from datakit.page.figure import Figure, Subject, interval_of, share_of
from datakit.page.svg import ACCENT, INK, Chart, Grid, Row, cells

Evaluated = Subject[Evaluation]


def _scores(one: Evaluated) -> list[Row]:
    return [
        {
            "benchmark": results.benchmark,
            "model": one.short.get(score.model, score.model),
            "score": share_of(score.score),
            "95% from": share_of(score.low),
            "95% to": share_of(score.high),
            "prompts": score.n,
        }
        for results in one.found.benchmarks
        for score in results.scores
    ]


def _draw_scores(rows: list[Row], grid: Grid) -> Chart:
    return _ranges(rows, grid, "score", "95% from", "95% to", alt.Scale(domain=[0, 1]))


def _differences(one: Evaluated) -> list[Row]:
    return [
        {
            "benchmark": results.benchmark,
            "model": one.short.get(pair.model, pair.model),
            f"minus {one.short.get(str(one.found.base), str(one.found.base))}": share_of(pair.difference),
            "95% from": share_of(pair.low),
            "95% to": share_of(pair.high),
            "won": pair.won,
            "lost": pair.lost,
            "p": pair.p,
            "prompts": pair.n,
            "_difference": pair.difference,
        }
        for results in one.found.benchmarks
        for pair in results.differences
    ]


def _draw_differences(rows: list[Row], grid: Grid) -> Chart:
    nothing = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4]).encode(x=alt.datum(0))
    return _ranges(rows, grid, "_difference", "95% from", "95% to", alt.Scale(), nothing)


def _ranges(rows: list[Row], grid: Grid, middle: str, low: str, high: str, scale: alt.Scale, *behind: alt.Chart) -> Chart:
    """Draw a dot with its interval for each model, by benchmark."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    up = alt.Y("model:N", sort=models, title=None)
    across = alt.X(f"{middle}:Q", scale=scale, axis=alt.Axis(format=".0%"), title=None)
    lines = alt.Chart().mark_rule(color=ACCENT).encode(y=up, x=alt.X(f"{low}:Q", scale=scale), x2=high)
    dots = alt.Chart().mark_circle(color=ACCENT, size=60, opacity=1).encode(y=up, x=across)
    return grid.draw(rows, *behind, lines, dots, by="benchmark", height=30 * len(models))


def _endings(one: Evaluated) -> list[Row]:
    several = len(one.found.benchmarks) > 1
    return [
        {
            "model": (f"{results.benchmark}: " if several else "") + one.short.get(score.model, score.model),
            "ending": ending.replace("_", " "),
            "answers": count,
            "share": share_of(count / score.answers),
            **interval_of(count / score.answers, score.n),
        }
        for results in one.found.benchmarks
        for score in results.scores
        for ending in ENDINGS
        if (count := score.endings.get(ending, 0)) and score.answers
    ]


def _draw_endings(rows: list[Row], grid: Grid) -> Chart:
    endings = [name for name in (ending.replace("_", " ") for ending in ENDINGS) if any(row["ending"] == name for row in rows)]
    return cells(rows, grid, "ending", "model", endings, list(dict.fromkeys(row["model"] for row in rows)))


EVALUATION: tuple[Figure[Evaluation], ...] = (
    Figure(
        "Scores",
        "intervals that do not overlap, so the order of the models is certain.",
        "intervals as wide as the differences: more prompts are needed to tell the models apart.",
        _scores,
        _draw_scores,
    ),
    Figure(
        "Differences from the base, prompt by prompt",
        "an interval right of the dashed line: the model is better than the base.",
        "one that crosses the line: no difference is shown.",
        _differences,
        _draw_differences,
    ),
    Figure(
        "How answers ended",
        "right or wrong answers only.",
        "many without an answer or cut off: the score then says more about the protocol than about the model.",
        _endings,
        _draw_endings,
    ),
)
