"""Plots of the report: one sentence, a picture, and a table of the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from markupsafe import Markup

from datakit import wording
from datakit.page.svg import Chart, Grid, Row, as_svg
from datakit.tables.intervals import wilson

Found = TypeVar("Found")
MOST_ROWS = 200  # rows of a table; the plots have fewer marks


@dataclass(frozen=True)
class Subject(Generic[Found]):
    """One run, export or evaluation, with its name on the page."""

    name: str
    found: Found
    short: Mapping[str, str]
    """The models' short names on the page."""


@dataclass(frozen=True)
class Figure(Generic[Found]):
    """One plot over any number of runs."""

    title: str
    good: str
    """What it looks like if all is well; `bad` if not."""
    bad: str
    rows: Callable[[Subject[Found]], list[Row]]
    """Returns the rows of one subject; the keys are the table's headings, except those that begin with _."""
    draw: Callable[[list[Row], Grid], Chart]
    """Returns a chart of the rows of all subjects, each with its `run`."""


@dataclass(frozen=True)
class Drawn:
    """A plot, ready for the template."""

    title: str
    good: str
    bad: str
    svg: Markup
    heads: list[str]
    cells: list[list[str]]
    numeric: list[bool]
    n_more: int


def draw_figures(figures: Sequence[Figure[Found]], subjects: Sequence[Subject[Found]], first: int = 0) -> list[Drawn]:
    """Return the figures that are not empty."""
    drawn = list[Drawn]()
    for figure in figures:
        rows = [{"run": subject.name, **row} for subject in subjects for row in figure.rows(subject)]
        if not rows:
            continue
        runs = [subject.name for subject in subjects if any(row["run"] == subject.name for row in rows)]
        svg = as_svg(figure.draw(rows, Grid(runs)), f"{figure.title}. The numbers are in the table below.", first + len(drawn))
        heads = [head for head in rows[0] if not head.startswith("_") and (head != "run" or len(subjects) > 1)]
        cells = [[written(row.get(head)) for head in heads] for row in rows[:MOST_ROWS]]
        numeric = [all(isinstance(row.get(head), int | float | None) for row in rows) for head in heads]
        drawn.append(Drawn(figure.title, figure.good, figure.bad, svg, heads, cells, numeric, len(rows) - len(cells)))
    return drawn


class Percent(float):
    """A share that tables show as percent."""


def share_of(value: float | None) -> Percent | None:
    return None if value is None else Percent(value)


def interval_of(share: float, n: int) -> Row:
    """Return the interval's columns. n counts prompts, because answers to one prompt are correlated; so it is rather wide."""
    low, high = wilson(share, n)
    return {"95% from": Percent(low), "95% to": Percent(high)}


def written(value: object) -> str:
    """Return a value as tables show it.

    >>> [written(value) for value in (None, 12345, 0.25, Percent(0.25), "x")]
    ['-', '12,345', '0.250', '25.0%', 'x']
    """
    match value:
        case None:
            return "-"
        case Percent():
            return f"{float(value):.1%}"
        case int() | float():
            return wording.number(value)
        case _:
            return str(value)
