"""Draws a report for a terminal of 80 columns or more; without colour, or piped, its content is the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.audit.limits import said, verdict
from datakit.audit.plotted import Histogram
from datakit.audit.report import Flagged, Report, Source
from datakit.audit.words import SERVES, name_steps
from datakit.screen.curation import draw_curation
from datakit.screen.ink import BLANK, INDENT, Ink, room, table
from datakit.screen.report_judges import draw_by_source, draw_judges
from datakit.screen.report_lengths import draw_lengths, draw_source_lengths
from datakit.tables import OUTCOMES
from datakit.wording import counted, decimal, mean, number, percent, share, short_names, shorten, span

SHOWN_CHARS = 420  # of a text in an example
BAR = 24


def draw(report: Report, console: Console) -> None:
    """Print the report."""
    ink = Ink(console.options.ascii_only)
    width = console.width
    names = _names(report, console, ink)
    console.print(_header(report, ink), width=width)
    warnings = _grid("left", "left")
    for warning in report.warnings:
        warnings.add_row(Text("!", style="bold yellow"), ink.text(warning, "yellow"))
    sections: dict[str, Iterable[RenderableType]] = {
        "Curation": draw_curation(report.curation, ink, n_samples=2),
        "Prompts to pairs": _funnel(report, ink),
        "Sources": _sources(report, names, ink),
        "Pairs": _pairs(report, ink),
        "Judges": draw_judges(report, names, ink),
        "Lengths": draw_lengths(report, names, ink),
        "Duplicates": _duplicates(report),
        "Failures": _failures(report, names, ink),
        "Warnings": [warnings] if report.warnings else [],
        "Examples": _examples(report, names, ink),
        "Limits": _limits(report),
    }
    for title, parts in sections.items():
        drawn = list(parts)
        if drawn:
            console.print(Text("\n" + title, style="bold"))
        for part in drawn:
            console.print(Padding(part, (0, 0, 0, INDENT), expand=False), width=width)


def _names(report: Report, console: Console, ink: Ink) -> dict[str, str]:
    """Return the names of the sources, shortened as the tables of numbers by source need."""
    models = [source.model for source in report.sources]
    without = dict.fromkeys(models, "")
    tables = [*_sources(report, without, ink), *(draw_by_source(judge, without, ink) for judge in report.judges)]
    tables += [draw_source_lengths(report.lengths, without, ink)] if report.lengths else []
    return short_names(models, room(console, tables))


# ----------------------------------------------------------------------------------------------------------------- sections


def _header(report: Report, ink: Ink) -> Table:
    run = report.run
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    mark = Text("OK", style="bold green") if report.ok else Text("LIMIT BROKEN", style="bold red")
    grid.add_row(ink.text(run.folder, "bold"), mark)
    facts = [f"{run.kind} of domain {run.domain}", f"recipe {run.recipe}"]
    facts += [f"verifier {run.verifier}" if run.verifier else "no verifier"]
    facts += [f"judge {run.judge}" if run.judge else "no judge"]
    grid.add_row(ink.text(", ".join(facts), "dim"))
    if run.select:
        unused = ("sft_share",) if run.select["split"] == "pairs_first" else ()
        used = {name: value for name, value in run.select.items() if value is not None and name not in unused}
        settings = (f"{name} {_setting(value)}" for name, value in used.items())
        grid.add_row(ink.text("select: " + ", ".join(settings), "dim"))
    return grid


def _funnel(report: Report, ink: Ink) -> Iterator[RenderableType]:
    labels = name_steps(report)
    if report.funnel:
        grid = _grid("left", "right", "right", "left")
        read = report.funnel[0].prompts
        for step in report.funnel:
            for loss in step.lost:
                if loss.reason == SERVES:
                    grid.add_row(Text("  > demos for SFT", style="green"), Text(f"{loss.prompts:,}", style="green"))
                else:
                    grid.add_row(ink.text(f"  - {loss.reason}", "yellow"), Text(f"-{loss.prompts:,}", style="yellow"))
            count = Text(f"{step.prompts:,}", style="bold")
            bar = ink.bar(step.prompts, read, BAR)
            grid.add_row(ink.text(labels[step.step]), count, Text(percent(step.prompts, read)), bar)
        yield grid
    if report.answers:
        yield _listing("responses, each text once", [(row.use, row.responses) for row in report.answers], ink)
    if (flags := report.flags) and (flagged := _flagged(flags)):
        yield ink.text(flagged, "yellow")
    if report.lost:
        title = "candidates (prompt and source) that are no pair"
        yield _listing(title, [(row.reason, row.candidates) for row in report.lost if row.reason != SERVES], ink)
        if serve := sum(row.candidates for row in report.lost if row.reason == SERVES):
            yield Text(f"{counted(serve, 'candidates')} for SFT")
    written = [counted(report.tables[name], name) for name in ("pairs", "demos") if name in report.tables]
    yield Text(f"{'stored' if report.funnel else 'exported'}: {', '.join(written)}", style="bold")


def _flagged(flags: Flagged) -> str:
    """Return a line about flags; empty if there are none."""
    counts = [(flags.prompts, "prompts"), (flags.responses, "responses"), (flags.pairs, "pairs")]
    excluded = ", ".join(counted(n, what) for n, what in counts if n)
    parts = [f"excluded {excluded}{'' if flags.obeyed else ' (select.flags: ignore)'}"] if excluded else []
    parts += [f"{flags.kept:,} kept"] if flags.kept else []
    parts += [counted(flags.notes, "notes")] if flags.notes else []
    return f"flags: {', '.join(parts)}" if parts else ""


def _sources(report: Report, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    sources = report.sources
    if not sources:
        yield Text("no sources", style="dim")
        return
    counts = table("model", "n", "responses", "distinct", "cut off", "right", "tokens", "pairs", "demos")
    for row in sources:
        whole = row.wanted in (None, row.responses)
        counts.add_row(
            ink.text(names[row.model]),
            number(row.n),
            number(row.responses) if whole else f"{row.responses:,} of {row.wanted:,}",
            percent(row.distinct, row.responses),
            percent(row.truncated, row.responses),
            share(row.pass_rate),
            _tokens(row),
            number(row.pairs),
            number(row.demos),
        )
    yield counts
    if any(row.mean_thought_tokens for row in sources):
        about = "" if all(row.thought_tokens_counted in (True, None) for row in sources) else ", about (by characters)"
        yield Text(f"tokens: of the thought + of the answer{about}", style="dim")
    for row in sources:
        if row.endings:
            named = ", ".join(f"{ending.responses:,} {ending.reason}" for ending in row.endings)
            yield ink.text(f"{names[row.model]}: not complete: {named}", "dim")
    if report.run.kind == "run":
        yield from _distributions(report, names, ink)


def _tokens(row: Source) -> str:
    """Return the mean length of the source's answers in tokens, preceded by that of its thoughts if it has any."""
    if not row.mean_thought_tokens:
        return mean(row.mean_tokens)
    return f"{mean(row.mean_thought_tokens)} + {mean(row.mean_answer_tokens)}"


def _distributions(report: Report, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    """Draw outcomes (those that occur) and lengths by source; scores are shown with their judges."""
    sources = report.sources
    met = [outcome for outcome in (*OUTCOMES, "no_verdict") if any(getattr(row, outcome) for row in sources)]
    if met and met != ["no_verdict"]:
        verdicts = table("verdicts, repeats too", *(outcome.replace("_", " ") for outcome in met))
        for row in sources:
            verdicts.add_row(ink.text(names[row.model]), *(number(getattr(row, outcome)) for outcome in met))
        yield BLANK
        yield verdicts
    edges = next((row.chars_histogram.edges for row in sources if row.chars_histogram), None)
    if edges is not None:
        lengths = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        lengths.add_column("lengths", no_wrap=True)
        lengths.add_column(f"characters {edges[0]:,.0f}..{edges[-1]:,.0f}")
        lengths.add_column("mean", justify="right")
        for row in sources:
            bins = row.chars_histogram.counts if row.chars_histogram else []
            lengths.add_row(ink.text(names[row.model]), ink.spark(bins), mean(row.mean_chars))
        yield BLANK
        yield lengths


def _pairs(report: Report, ink: Ink) -> Iterator[RenderableType]:
    pairs = report.pairs
    if pairs.count is None:
        return
    if not pairs.count:
        yield Text("no pairs", style="yellow")
        return
    margins = f"{decimal(pairs.margin_min)} min, {decimal(pairs.margin_median)} median, {decimal(pairs.margin_max)} max"
    yield Text(counted(pairs.count, "pairs") + (f"; margin {margins}" if pairs.margin_min is not None else ""))
    yield Text(
        f"the chosen answer is the longer one in {pairs.chosen_longer:,} ({pairs.chosen_longer_share:.0%}); "
        f"length ratio (chosen/rejected characters) {pairs.length_ratio_geomean:.2f} in the geometric mean"
    )
    columns = Table.grid(padding=(0, 4))
    margin, length = pairs.margin_histogram, pairs.length_histogram
    drawn = [_histogram("margin", margin, decimal, ink)] if margin else []
    drawn += [_histogram("length ratio", length, lambda log: f"{math.exp(log):.2f}", ink)] if length else []
    columns.add_row(*drawn)
    yield BLANK
    yield columns


def _duplicates(report: Report) -> Iterator[RenderableType]:
    counts = report.duplicates
    if counts is None:
        return
    yield Text(f"{counted(counts.repeated_responses, 'responses')} with a text that its source gave before (used once)")
    yield Text(f"{counted(counts.shared_responses, 'texts')} came from several sources for one prompt")
    yield Text(f"{counted(counts.repeated_prompts, 'prompts')} with the messages of another")


def _failures(report: Report, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    pending = sum(source.pending or 0 for source in report.sources)
    if report.failures:
        drawn = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        drawn.add_column("count", justify="right")
        for title in ("stage", "source", "error", "again", "last message"):
            drawn.add_column(title, overflow="fold")
        for row in report.failures:
            source, again = names.get(row.source, row.source), "no" if row.permanent else "yes"
            cells = (row.stage, source, row.error, again, shorten(row.example or "", 160))
            drawn.add_row(f"{row.count:,}", *(ink.text(cell) for cell in cells))
        yield drawn
    elif report.run.kind == "run":
        yield Text("none", style="dim")
    if pending:
        yield Text(f"{counted(pending, 'wanted responses')} neither stored nor failed: not requested yet", style="yellow")


def _examples(report: Report, names: dict[str, str], ink: Ink) -> Iterator[RenderableType]:
    for at, pair in enumerate(report.examples):
        if at:
            yield BLANK
        picked = f"{pair.picked or 'margin'} {decimal(pair.margin)}" if pair.margin is not None else "no margin"
        yield ink.text(f"{picked}, prompt {pair.prompt_id}", "dim")
        yield ink.text(shorten("\n".join(message["content"] for message in pair.prompt or []), SHOWN_CHARS))
        grid = Table.grid(expand=True, padding=(0, 2))
        labels, texts = [], []
        for side, model, score, chars, text, colour in (
            ("chosen", pair.model, pair.chosen_score, pair.chosen_chars, pair.chosen, "green"),
            ("rejected", pair.rejected_model, pair.rejected_score, pair.rejected_chars, pair.rejected, "red"),
        ):
            grid.add_column(ratio=1, overflow="fold")
            scored = "" if score is None else f", score {decimal(score)}"
            labels.append(ink.text(f"{side}: {names.get(model, model)}{scored}, {counted(chars, 'chars')}", f"bold {colour}"))
            texts.append(ink.text(shorten(text or "", SHOWN_CHARS), colour))
        grid.add_row(*labels)
        grid.add_row(*texts)
        yield Padding(grid, (0, 0, 0, 2))


def _limits(report: Report) -> Iterator[RenderableType]:
    grid = _grid("left", "left")
    for limit in report.limits:
        grid.add_row(Text(verdict(limit), style="green" if limit.ok else "bold red"), said(limit))
    yield grid if report.limits else Text("none set", style="dim")


# ------------------------------------------------------------------------------------------------------------------- pieces


def _grid(*justify: JustifyMethod) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for side in justify:
        grid.add_column(justify=side)
    return grid


def _listing(title: str, counts: list[tuple[str, int]], ink: Ink) -> Text:
    total = sum(count for _, count in counts)
    return ink.text(f"{counted(total, title)}: " + ", ".join(f"{count:,} {what}" for what, count in counts))


def _histogram(title: str, histogram: Histogram, edge: Callable[[float], str], ink: Ink) -> Table:
    """Draw bins as rows: from, to, a bar and the count."""
    drawn = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    drawn.add_column(title, justify="left", no_wrap=True)
    drawn.add_column("", width=BAR // 2)
    drawn.add_column("", justify="right")
    edges, counts = histogram.edges, histogram.counts
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        drawn.add_row(f"{edge(low)}..{edge(high)}", ink.bar(count, max(counts), BAR // 2), f"{count:,}")
    return drawn


def _setting(value: object) -> str:
    if isinstance(value, dict):
        parts = (f"{name} {_setting(part)}" for name, part in value.items() if part is not None)
        return ", ".join(parts)
    if isinstance(value, list) and all(isinstance(part, str) for part in value) and not set(value) <= {"inf", "-inf"}:
        return " and ".join(value)
    return span(value[0], value[1], str) if isinstance(value, list) else str(value)
