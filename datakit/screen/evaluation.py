"""Draws an evaluation: one table per benchmark, and flips side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.evaluation.table import UNKNOWN, Contact, Evaluation, Figure, Flip, Mean, Results, Score, Side
from datakit.screen.evaluation_judged import remarks_of, scores_of, written
from datakit.screen.ink import Ink, table
from datakit.wording import counted, shorten

COUNTED = {
    "no_answer": "no answer",
    "cut_off": "cut off",
    "timeout": "timeout",
    "failed": "failed",
    "cannot_judge": "cannot judge",
}
ALWAYS = ("no_answer", "cut_off")
SHOWN_CHARS = 600  # of a text in a flip


def draw(evaluation: Evaluation, console: Console) -> None:
    """Print an evaluation."""
    ink = Ink(console.options.ascii_only)
    for results in evaluation.benchmarks:
        console.print(ink.text(f"\n{results.benchmark}", "bold").append(ink.text(_facts(results), "dim")))
        for part in _benchmark(results, evaluation.base, ink):
            console.print(Padding(part, (0, 0, 0, 2), expand=False))
    if evaluation.means:
        console.print(Text(f"\nmean of {len(evaluation.benchmarks)} benchmarks", style="bold"))
        console.print(Padding(_means(evaluation.means, evaluation.base, ink), (0, 0, 0, 2), expand=False))
    for flip in evaluation.flips:
        for line in _flip(flip, ink):
            console.print(line)


def _facts(results: Results) -> str:
    asked = counted(results.samples, "answers") + " each"
    groups = "" if results.clusters is None else f" in {counted(results.clusters, 'groups')}"
    metric = "" if results.metric == "accuracy" else f", {results.metric}"
    return f"  {results.version}, {counted(results.prompts, 'prompts')}{groups}, {asked}{metric}, {results.verifier}"


def _benchmark(results: Results, base: str | None, ink: Ink) -> Iterator[RenderableType]:
    if results.judging is not None:
        yield scores_of(results, ink)
    else:
        yield from _scores(results, ink)
    for score in results.scores:
        if note := _unknown(score, results.full):
            yield ink.text(note, "yellow")
    if results.differences:
        yield _differences(results, base, ink)
    if results.judging is not None:
        yield from remarks_of(results.judging, results.metric, ink)
    else:
        smallest = f"{counted(results.fewest, 'prompts')} show differences from {100 * results.smallest:.1f} points on"
        yield ink.text(f"{smallest} (power 80 %, 15 % flips)", "dim")
    for contact in results.contacts:
        yield _contact(contact, results, ink)


def _scores(results: Results, ink: Ink) -> Iterator[RenderableType]:
    shown = [name for name in COUNTED if name in ALWAYS or any(score.endings[name] for score in results.scores)]
    published = any(score.published for score in results.scores)
    titles = ["score", "95 %", "n", *(name.replace("_", " ") for name in shown), *(["published"] if published else [])]
    drawn = table("model", *titles)
    for score in results.scores:
        counts = [f"{score.endings[name]:,}" for name in shown]
        figures = [_figures(score.published)] if published else []
        drawn.add_row(ink.text(score.model), *_estimate(score), f"{score.n:,}", *counts, *figures)
    yield drawn
    for score in results.scores:
        if score.at_k:
            each = ", ".join(f"{name} {points(value)}" for name, value in score.at_k.items())
            yield ink.text(f"{score.model}: {each}", "dim")


def _estimate(score: Score) -> tuple[str, str]:
    if score.score is None:
        return "-", "-" if score.worst is None or score.best is None else f"{points(score.worst)}..{points(score.best)} *"
    return points(score.score), "-" if score.low is None or score.high is None else f"{points(score.low)}..{points(score.high)}"


def _figures(published: Sequence[Figure]) -> str:
    marks = {True: "", False: " !", None: ""}
    return ", ".join(
        f"{points(one.score)}{marks[one.inside]}" + (f" ({one.protocol})" if one.protocol else "") for one in published
    )


def _unknown(score: Score, full: float) -> str:
    """Yield a line for each model with answers that are not judged: why, and the worst and best possible score."""
    causes = {
        "no_verdict": "without a verdict",
        "failed": "failed",
        "cannot_judge": "cannot be judged",
        "missing": "not there yet",
    }
    named = ", ".join(f"{score.endings[name]:,} {causes[name]}" for name in UNKNOWN if score.endings[name])
    if not named or score.worst is None or score.best is None:
        return ""
    why = "" if score.score is not None else " (* too many for a score)"
    return f"{score.model}: {named}: between {written(score.worst, full)} and {written(score.best, full)}{why}"


def _differences(results: Results, base: str | None, ink: Ink) -> Table:
    full = results.full
    drawn = table(f"minus {base}", "points", "SE", "95 %", "won", "lost", "p", "n")
    for one in results.differences:
        interval = "-" if one.low is None or one.high is None else f"{signed(one.low, full)}..{signed(one.high, full)}"
        p = f"{one.p:.3f}" if one.p >= 0.001 else f"{one.p:.0e}"
        clear = one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)
        drawn.add_row(
            ink.text(one.model),
            Text(signed(one.difference, full), style=("green" if one.difference > 0 else "red") if clear else ""),
            written(one.error, full),
            interval,
            f"{one.won:,}",
            f"{one.lost:,}",
            p,
            f"{one.n:,}",
        )
    return drawn


def _contact(contact: Contact, results: Results, ink: Ink) -> Text:
    met = f"{contact.met:,} of {counted(contact.prompts, 'prompts')}"
    what = f"{met} among the items of {results.benchmark} ({contact.items:,} of its items)"
    return ink.text(f"{contact.data}: {what}", "yellow" if contact.met else "dim")


def _means(means: Sequence[Mean], base: str | None, ink: Ink) -> Table:
    drawn = table("model", "score", "SE", f"minus {base}", "SE")
    for mean in means:
        difference = "-" if mean.difference is None else signed(mean.difference)
        drawn.add_row(ink.text(mean.model), points(mean.score), points(mean.error), difference, points(mean.difference_error))
    return drawn


def _flip(flip: Flip, ink: Ink) -> Iterator[RenderableType]:
    title = f"\n{flip.benchmark}: {flip.right.model} right, {flip.wrong.model} wrong"
    yield ink.text(title, "bold").append(ink.text(f"  prompt {flip.prompt_id}", "dim"))
    yield Padding(ink.text(shorten(flip.prompt, SHOWN_CHARS)), (0, 0, 0, 2))
    if flip.reference is not None:
        yield Padding(ink.text(f"reference: {shorten(flip.reference, SHOWN_CHARS // 2)}", "dim"), (0, 0, 0, 2))
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in range(2):
        grid.add_column(ratio=1, overflow="fold")
    sides = ((flip.right, "green"), (flip.wrong, "red"))
    grid.add_row(*(ink.text(_said_of(side), f"bold {colour}") for side, colour in sides))
    grid.add_row(*(ink.text(shorten(side.text or "(no answer)", SHOWN_CHARS), colour) for side, colour in sides))
    yield Padding(grid, (0, 0, 0, 2))


def _said_of(side: Side) -> str:
    extracted = "" if side.extracted is None else f": {shorten(side.extracted, 40)}"
    return f"{side.model}, {side.outcome}{extracted}"


def points(value: float | None) -> str:
    """Return a share as percent.

    >>> points(0.8537)
    '85.4'
    """
    return "-" if value is None else f"{100 * value:.1f}"


def signed(value: float, full: float = 100.0) -> str:
    return f"{full * value:+.{1 if full >= 100 else 2}f}"
