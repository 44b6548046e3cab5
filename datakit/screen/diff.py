"""Draws two selections side by side."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.audit.diff import ChangedPair, Diff, Selection, Side
from datakit.screen.ink import BLANK, Ink, table
from datakit.tables import Row
from datakit.wording import counted, decimal, number, share, short_names, shorten

SHOWN_CHARS = 300
NAME_CHARS = 60
LISTED = 20  # changes


def draw_diff(diff: Diff, console: Console) -> None:
    """Print both selections, what moved, a few changed pairs as text, and the first changes."""
    ink = Ink(console.options.ascii_only)
    for part in (*_numbers(diff, ink), *_moved(diff), *_sources(diff, ink)):
        console.print(part)
    for changed in diff.examples:
        console.print(BLANK)
        for part in _example(changed, diff, ink):
            console.print(Padding(part, (0, 0, 0, 2), expand=False))
    if diff.changes.height:
        console.print(BLANK)
        console.print(_listed(diff, ink))
    if (more := diff.n_changes - LISTED) > 0:
        console.print(Text(f"... {counted(more, 'more changes')}; --json gives all", style="dim"))


def _numbers(diff: Diff, ink: Ink) -> Iterator[RenderableType]:
    drawn = table("", *(ink.text(side.name).plain for side in (diff.before, diff.after)))
    for name, values in zip(_names(), zip(*map(_values, (diff.before, diff.after)), strict=True), strict=True):
        if any(value != "-" for value in values):
            drawn.add_row(name, *values)
    yield drawn


def _names() -> list[str]:
    numbers = ["pairs", "demos", "chosen is the longer one", "length ratio", "margin: least, quarters, most", "judge accuracy"]
    return [*numbers, "excluded by flags"]


def _values(side: Selection) -> list[str]:
    interval = "" if side.chosen_longer_interval is None else " ({:.0%}..{:.0%})".format(*side.chosen_longer_interval)
    accuracy = share(side.judge_accuracy) + (f" of {side.comparisons:,}" if side.comparisons else "")
    return [
        number(side.pairs),
        number(side.demos),
        share(side.chosen_longer_share) + interval,
        "-" if side.length_ratio_geomean is None else f"{side.length_ratio_geomean:.2f}",
        " ".join(map(decimal, side.margin_quantiles)) if side.margin_quantiles else "-",
        accuracy,
        _excluded(side),
    ]


def _excluded(side: Selection) -> str:
    """Return the number of flags as text; a dash if there are none."""
    return ", ".join(counted(n, what) for what, n in (side.excluded or {}).items() if n) or "-"


def _moved(diff: Diff) -> Iterator[RenderableType]:
    for what, counts in (("pairs", diff.pairs), ("demos", diff.demos)):
        yield Text(f"{what}: " + ", ".join(f"{count:,} {change}" for change, count in counts.items()))
    names = {"dpo": "DPO", "sft": "SFT", "neither": "neither"}
    moved = [f"{one.prompts:,} from {names[one.before]} to {names[one.after]}" for one in diff.moved]
    yield Text("prompts that changed phase: " + (", ".join(moved) or "none"))


def _sources(diff: Diff, ink: Ink) -> Iterator[RenderableType]:
    models = list(dict.fromkeys([*diff.before.sources, *diff.after.sources]))
    if not models:
        return
    short = short_names(models, NAME_CHARS)
    drawn = table("pairs by source", diff.before.name, diff.after.name)
    for model in models:
        drawn.add_row(ink.text(short[model]), *(f"{side.sources.get(model, 0):,}" for side in (diff.before, diff.after)))
    yield BLANK
    yield drawn


def _example(changed: ChangedPair, diff: Diff, ink: Ink) -> Iterator[RenderableType]:
    short = short_names([*diff.before.sources, *diff.after.sources], NAME_CHARS)
    yield ink.text(f"{changed.change}: prompt {changed.prompt_id}", "bold")
    yield ink.text(shorten("\n".join(message["content"] for message in changed.prompt or []), SHOWN_CHARS))
    for name, side in ((diff.before.name, changed.before), (diff.after.name, changed.after)):
        if side is not None:
            yield _pair(name, side, short, ink)


def _pair(name: str, side: Side, short: dict[str, str], ink: Ink) -> Table:
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in range(2):
        grid.add_column(ratio=1, overflow="fold")
    margin = "" if side.margin is None else f", margin {decimal(side.margin)}"
    chosen, rejected = (short.get(model, model) for model in (side.model, side.rejected_model))
    grid.add_row(
        ink.text(f"{name}, chosen: {chosen}{margin}", "bold green"),
        ink.text(f"rejected: {rejected}", "bold red"),
    )
    texts = ((side.chosen, "green"), (side.rejected, "red"))
    grid.add_row(*(ink.text(shorten(text or "", SHOWN_CHARS), colour) for text, colour in texts))
    return grid


def _listed(diff: Diff, ink: Ink) -> Table:
    drawn = table("change", "of", "prompt", "margin", "before", "after", no_wrap=False)
    for row in diff.changes.head(LISTED).iter_rows(named=True):
        margins = [decimal(row[name]) for name in ("margin", "margin_new") if row.get(name) is not None]
        what = "pair" if row["phase"] == "dpo" else "demo"
        drawn.add_row(row["change"], what, ink.text(row["prompt_id"]), " > ".join(margins), _ids(row, ""), _ids(row, "_new"))
    return drawn


def _ids(row: Row, end: str) -> str:
    return " ".join(row[f"{side}_id{end}"] for side in ("chosen", "rejected") if row[f"{side}_id{end}"])
