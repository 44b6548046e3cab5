"""Draws what curation did: prompts before and after, reasons, how near the rest is to benchmarks, samples."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from datakit.audit.report import Curation, Overlap
from datakit.screen.ink import BLANK, Ink
from datakit.wording import counted, decimal, percent, shorten

SHOWN_CHARS = 200  # of a prompt


def draw_curation(curation: Curation | None, ink: Ink, n_samples: int) -> Iterator[RenderableType]:
    """Yield the parts of the drawing, with at most this many samples per reason."""
    if curation is None:
        return
    gone = percent(curation.before - curation.after, curation.before)
    yield Text(f"{counted(curation.before, 'prompts')} before, {curation.after:,} after ({gone} dropped)")
    if curation.reasons or curation.noted:
        yield _reasons(curation, ink)
    if curation.clusters:
        largest = ", ".join(f"{one.prompts:,} of {one.met} ({one.near:,} near)" for one in curation.clusters)
        yield ink.text(f"most repeated: {largest}", "dim")
    if curation.nearest is not None:
        yield Text("kept prompts by the share of the nearest benchmark item:")
        yield _nearest(curation, ink)
    for reason, samples in groupby(curation.samples, lambda sample: sample.reason):
        yield BLANK
        yield ink.text(reason, "bold")
        for sample in list(samples)[:n_samples]:
            yield _sample(sample, ink)


def print_curation(curation: Curation | None, console: Console) -> None:
    """Print the drawing on stdout, with all samples."""
    if curation is None:
        console.print("the recipe's curate section names nothing that drops a prompt: filters, duplicates, decontaminate")
    for part in draw_curation(curation, Ink(console.options.ascii_only), n_samples=10):
        console.print(part)


def _reasons(curation: Curation, ink: Ink) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(justify="right")
    for one in curation.reasons:
        grid.add_row(ink.text(f"- {one.reason}", "yellow"), Text(f"-{one.prompts:,}", style="yellow"))
    for one in curation.noted:
        grid.add_row(ink.text(f"  kept, {one.reason}", "dim"), Text(f"{one.prompts:,}", style="dim"))
    return grid


def _nearest(curation: Curation, ink: Ink) -> Table:
    drawn = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    drawn.add_column(no_wrap=True)
    drawn.add_column(width=24)
    drawn.add_column(justify="right")
    edges, counts = curation.nearest.edges, curation.nearest.counts  # type: ignore[union-attr]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        drawn.add_row(f"{low:.1f}..{high:.1f}", ink.bar(count, max(counts), 24), f"{count:,}")
    return drawn


def _sample(sample: Overlap, ink: Ink) -> Text:
    prompt = " ".join(shorten(sample.prompt, SHOWN_CHARS).split())
    share = "" if sample.share is None else f", share {decimal(sample.share)}"
    common = f"; in common: {sample.text}" if sample.text else ""
    return ink.text(f"  {sample.prompt_id}: {prompt}") + ink.text(f"\n      met {sample.met}{share}{common}", "dim")
