"""Draws what judging.py found: the part of the report that is about judges."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from datakit.screen.ink import Ink, decimal, percent, span
from datakit.tables import Row, Rows

BLANK = Text(" ")
SHOWN_DECILES = (0, 1, 3, 5, 7, 9, 10)  # of the eleven that --json has


def draw_judges(report: dict[str, Any], names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    """Every judge with its scores by source, the margins that each would give, and how far each two agree."""
    for at, judge in enumerate(report["judges"]):
        if at:
            yield BLANK
        yield from _judge(judge, report["run"]["select"]["pairing"] == "any_source", names, ink)
    if any(row["candidates"] for row in report["margins"]):
        yield BLANK
        yield from _margins(report, ink)
    if report["agreement"]:
        yield BLANK
        yield _agreement(report["agreement"], ink)


def _judge(judge: Row, any_source: bool, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    facts = ["imported"] if judge["imported"] else []
    facts += ["selects"] if judge["selects"] else []
    yield ink.text(judge["judge"] + (f" ({', '.join(facts)})" if facts else ""), "bold")
    counts = [f"{judge['scored']:,} responses scored"]
    counts += [f"{judge['unscored']:,} not scored"] if judge["unscored"] else []
    counts += [f"{judge['non_finite']:,} scores not finite"] if judge["non_finite"] else []
    counts += [f"{judge['cut']:,} after the oldest tokens were cut"] if judge["cut"] else []
    yield Text(", ".join(counts))
    if not judge["scored"]:
        return
    if judge["ranking_accuracy"] is not None:
        same = "prompt" if any_source else "prompt and source"
        yield Text(
            f"a right answer outscores a wrong one of the same {same} in {judge['ranking_accuracy']:.0%} "
            f"of {judge['comparisons']:,} comparisons"
        )
    yield from _ties(judge)
    yield _by_source(judge, names, ink)


def _ties(judge: Row) -> Iterator[Text]:
    if judge["answer_pairs"]:
        tied = percent(judge["tied_pairs"], judge["answer_pairs"])
        yield Text(
            f"{tied} of {judge['answer_pairs']:,} answer pairs of one prompt tie; best and worst tie in {judge['flat']:,} of "
            f"{judge['groups']:,} prompts, the best is shared in {judge['best_shared']:,}"
        )


def _by_source(judge: Row, names: dict[str, str], ink: Ink) -> Table:
    """A row a source and one for all: what the scores are like, and what they go with."""
    edges = next((row["score_histogram"]["edges"] for row in judge["sources"] if row["score_histogram"]), [None, None])
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("scores", overflow="fold")  # the only one that gives way on a narrow terminal
    table.add_column(f"{decimal(edges[0])}..{decimal(edges[-1])}", no_wrap=True)
    titles = ["median", "mean", "+-", "length r"]
    titles += ["accuracy"] if judge["comparisons"] else []
    titles += ["ties"] if any(row["answer_pairs"] for row in judge["sources"]) else []
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    rows = [*judge["sources"], *([judge | {"model": None}] if len(judge["sources"]) > 1 else [])]
    for row in rows:
        cells = {
            **{name: decimal(row[key]) for name, key in (("median", "median"), ("mean", "mean"), ("+-", "deviation"))},
            "length r": _signed(row["length_correlation"]),
            "accuracy": "-" if row["ranking_accuracy"] is None else f"{row['ranking_accuracy']:.0%}",
            "ties": percent(row["tied_pairs"], row["answer_pairs"]),
        }
        label = "all" if row["model"] is None else names.get(row["model"], row["model"])
        table.add_row(ink.text(label), ink.spark(row["score_histogram"]), *(cells[title] for title in titles))
    return table


def _margins(report: dict[str, Any], ink: Ink) -> Iterator[RenderableType]:
    """The margins of the candidates by each judge, and how many of them the window keeps, so that one can be chosen."""
    rows = [row for row in report["margins"] if row["candidates"]]
    shown = _short_judges([row["judge"] for row in rows])
    each = "a prompt" if report["run"]["select"]["pairing"] == "any_source" else "a prompt and source"
    what = "the best right against the worst wrong answer" if report["run"]["verifier"] else "the best against the worst answer"
    yield Text(f"if each judge selected: the margins of its candidates ({what}, one {each})", style="dim")
    table = _table("margins", "n", "least", "10%", "30%", "50%", "70%", "90%", "most")
    for row in rows:
        deciles = (_margin(row["deciles"][at], row) for at in SHOWN_DECILES)
        table.add_row(ink.text(shown[row["judge"]]), f"{row['candidates']:,}", *deciles)
    yield table
    if any(row[end] is not None for row in rows for end in ("low", "high")):
        yield BLANK
        table = _table("window", "from..to", "of", "below", "inside", "above")
        for row in rows:
            window = span(row["low"], row["high"], partial(_margin, row=row))
            sides = ("below", "inside", "above")
            table.add_row(ink.text(shown[row["judge"]]), window, "candidates", *(f"{row[side]:,}" for side in sides))
            table.add_row("", "", "prompts", *(f"{row[f'prompts_{side}']:,}" for side in sides))
        yield table


def _margin(value: float, row: Row) -> str:
    """A digit more where all margins are small."""
    return f"{value:.4f}" if max(abs(end) for end in (row["deciles"][0], row["deciles"][-1])) < 0.1 else decimal(value)


def _agreement(rows: Rows, ink: Ink) -> Table:
    table = _table("agreement of", "answers", "Spearman", "answer pairs", "alike", "tied", "Kendall")
    shown = _short_judges([row[side] for row in rows for side in ("judge", "other")])
    for row in rows:
        alike = "-" if row["agreement"] is None else f"{row['agreement']:.0%}"
        tied = percent(row["tied"], row["answer_pairs"])
        numbers = (
            f"{row['answers']:,}",
            _signed(row["spearman"]),
            f"{row['answer_pairs']:,}",
            alike,
            tied,
            _signed(row["kendall"]),
        )
        table.add_row(ink.text(f"{shown[row['judge']]}, {shown[row['other']]}"), *numbers)
    return table


def _short_judges(judges: list[str]) -> dict[str, str]:
    """Names without their versions, where these are not needed to tell them apart."""
    short = {judge: judge.partition("@")[0] for judge in judges}
    return short if len(set(short.values())) == len(short) else {judge: judge for judge in judges}


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    for title in others:
        table.add_column(title, justify="right")
    return table


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
