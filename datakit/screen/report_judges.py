"""The part of the report that is about judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from datakit.audit.report import Judge, Report
from datakit.screen.ink import BLANK, Ink, table
from datakit.wording import counted, decimal, percent, share, span

SHOWN_DECILES = (0, 1, 3, 5, 7, 9, 10)  # of the eleven in --json


def draw_judges(report: Report, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    """Draw every judge with its scores by source, the margins that each would give, and how far any two agree."""
    for at, judge in enumerate(report.judges):
        if at:
            yield BLANK
        yield from _judge(judge, report.run.any_source, names, ink)
    if any(row.candidates for row in report.margins):
        yield BLANK
        yield from _margins(report, ink)
    if report.agreement:
        yield BLANK
        drawn = table(
            *("agreement of", "answers", "Spearman", "answer pairs", "alike", "tied", "Kendall"),
            no_wrap=False,
        )
        shown = _short_judges(judge for row in report.agreement for judge in (row.judge, row.other))
        for row in report.agreement:
            drawn.add_row(
                ink.text(f"{shown[row.judge]}, {shown[row.other]}"),
                f"{row.answers:,}",
                _signed(row.spearman),
                f"{row.answer_pairs:,}",
                share(row.agreement),
                percent(row.tied, row.answer_pairs),
                _signed(row.kendall),
            )
        yield drawn


def _judge(judge: Judge, any_source: bool, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    facts = ["imported"] if judge.imported else []
    facts += ["selects"] if judge.selects else []
    yield ink.text(judge.judge + (f" ({', '.join(facts)})" if facts else ""), "bold")
    counts = [counted(judge.scored, "responses scored")]
    counts += [f"{judge.unscored:,} not scored"] if judge.unscored else []
    counts += [counted(judge.non_finite, "scores not finite")] if judge.non_finite else []
    counts += [f"{judge.cut:,} after the oldest tokens were cut"] if judge.cut else []
    yield Text(", ".join(counts))
    if not judge.scored:
        return
    if judge.ranking_accuracy is not None:
        same = "prompt" if any_source else "prompt and source"
        yield Text(
            f"a right answer outscores a wrong one of the same {same} in {judge.ranking_accuracy:.0%} "
            f"of {counted(judge.comparisons, 'comparisons')}"
        )
    if judge.answer_pairs:
        tied = percent(judge.tied_pairs, judge.answer_pairs)
        yield Text(
            f"{tied} of {counted(judge.answer_pairs, 'answer pairs')} of one prompt tied; best and worst tie in "
            f"{judge.flat:,} of {counted(judge.groups, 'prompts')}, the best is shared in {judge.best_shared:,}"
        )
    yield draw_by_source(judge, names, ink)


def draw_by_source(judge: Judge, names: dict[str, str], ink: Ink) -> Table:
    """Draw one row per source and one for all: the distribution of the scores, and their correlations."""
    drawn = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    drawn.add_column("scores", overflow="fold")  # the only column that shrinks on a narrow terminal
    drawable = (row.score_histogram.edges for row in judge.sources if row.score_histogram)
    edges: Sequence[float | None] = next(drawable, [None])
    drawn.add_column(f"{decimal(edges[0])}..{decimal(edges[-1])}", no_wrap=True)
    titles = ["median", "mean", "+-", "length r"]
    titles += ["accuracy"] if judge.comparisons else []
    titles += ["ties"] if any(row.answer_pairs for row in judge.sources) else []
    for title in titles:
        drawn.add_column(title, justify="right", no_wrap=True)
    for row in (*judge.sources, *([judge] if len(judge.sources) > 1 else [])):
        cells = {
            "median": decimal(row.median),
            "mean": decimal(row.mean),
            "+-": decimal(row.deviation),
            "length r": _signed(row.length_correlation),
            "accuracy": share(row.ranking_accuracy),
            "ties": percent(row.tied_pairs, row.answer_pairs),
        }
        label = "all" if row.model is None else names.get(row.model, row.model)
        bins = row.score_histogram.counts if row.score_histogram else []
        drawn.add_row(ink.text(label), ink.spark(bins), *(cells[title] for title in titles))
    return drawn


def _margins(report: Report, ink: Ink) -> Iterator[RenderableType]:
    """Draw the margins of the candidates by judge, and how many of them the window keeps, as a help to choose a window."""
    rows = [(row, row.deciles) for row in report.margins if row.candidates and row.deciles]
    shown = _short_judges(row.judge for row, _ in rows)
    each = "per prompt" if report.run.any_source else "per prompt and source"
    what = "the best right against the worst wrong answer" if report.run.verifier else "the best against the worst answer"
    yield Text(f"if each judge selected: the margins of its candidates ({what}, one {each})", style="dim")
    margins = table("margins", "n", "least", "10%", "30%", "50%", "70%", "90%", "most", no_wrap=False)
    windows = table("window", "from..to", "of", "below", "inside", "above", no_wrap=False)
    for row, deciles in rows:
        # one more digit if all margins are small
        written = "{:.4f}".format if max(abs(deciles[0]), abs(deciles[-1])) < 0.1 else decimal
        name = ink.text(shown[row.judge])
        margins.add_row(name, f"{row.candidates:,}", *(written(deciles[at]) for at in SHOWN_DECILES))
        sides = (f"{count:,}" for count in (row.below, row.inside, row.above))
        windows.add_row(name, span(row.low, row.high, written), "candidates", *sides)
        sides = (f"{count:,}" for count in (row.prompts_below, row.prompts_inside, row.prompts_above))
        windows.add_row("", "", "prompts", *sides)
    yield margins
    if any(end is not None for row, _ in rows for end in (row.low, row.high)):
        yield BLANK
        yield windows


def _short_judges(judges: Iterable[str]) -> dict[str, str]:
    """Return the names without their versions if they are unique without them."""
    short = {judge: judge.partition("@")[0] for judge in judges}
    return short if len(set(short.values())) == len(short) else {judge: judge for judge in short}


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
