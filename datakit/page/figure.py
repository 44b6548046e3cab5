"""What a plot of the report is: one sentence, a picture, and the table of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from markupsafe import Markup

from datakit import wording
from datakit.page.svg import Chart, Grid, Row, as_svg
from datakit.tables.intervals import wilson

Found = TypeVar("Found")
MOST_ROWS = 200  # of a table; the plots have fewer marks


@dataclass(frozen=True)
class Subject(Generic[Found]):
    """One run, export or evaluation with the name that the page calls it by."""

    name: str
    found: Found
    short: Mapping[str, str]
    """The models' names as the page has them."""


@dataclass(frozen=True)
class Figure(Generic[Found]):
    """One plot over any number of runs."""

    title: str
    good: str
    """What it looks like where all is well."""
    bad: str
    rows: Callable[[Subject[Found]], list[Row]]
    """What is drawn of one of them; the keys are the heads of the table, those that begin with _ are not in it."""
    draw: Callable[[list[Row], Grid], Chart]
    """A chart of the rows of all, each with its `run`."""


@dataclass(frozen=True)
class Drawn:
    """A plot as the template has it."""

    title: str
    good: str
    bad: str
    svg: Markup
    heads: list[str]
    cells: list[list[str]]
    numeric: list[bool]
    n_more: int


def draw_figures(figures: Sequence[Figure[Found]], subjects: Sequence[Subject[Found]], first: int = 0) -> list[Drawn]:
    """Those that have something to show."""
    drawn = list[Drawn]()
    for figure in figures:
        rows = [{"run": subject.name, **row} for subject in subjects for row in figure.rows(subject)]
        if not rows:
            continue
        runs = [subject.name for subject in subjects if any(row["run"] == subject.name for row in rows)]
        svg = as_svg(
            figure.draw(rows, Grid(runs)), f"{figure.title}. The numbers stand in the table below.", first + len(drawn)
        )
        heads = [head for head in rows[0] if not head.startswith("_") and (head != "run" or len(subjects) > 1)]
        cells = [[written(row.get(head)) for head in heads] for row in rows[:MOST_ROWS]]
        numeric = [all(isinstance(row.get(head), int | float | None) for row in rows) for head in heads]
        drawn.append(Drawn(figure.title, figure.good, figure.bad, svg, heads, cells, numeric, len(rows) - len(cells)))
    return drawn


class Percent(float):
    """A share, written as percent in tables."""


def share_of(value: float | None) -> Percent | None:
    return None if value is None else Percent(value)


def interval_of(share: float, n: int) -> Row:
    """The columns of its interval. n: prompts, for answers of one prompt lean on each other; so it is rather too wide."""
    low, high = wilson(share, n)
    return {"95% from": Percent(low), "95% to": Percent(high)}


def written(value: object) -> str:
    """A value as tables have it.

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
