"""The elements of terminal reports: tables, bars, one-line histograms, foreign text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from datakit.wording import UNSEEN

BLANK = Text(" ")
LEAST_NAME = 12  # characters, even in a narrow terminal
INDENT = 2  # of what is below a title


@dataclass(frozen=True)
class Ink:
    """The characters and styles of drawings."""

    ascii_only: bool

    def text(self, value: object, style: str = "") -> Text:
        """Return a value as literal text."""
        shown = UNSEEN.sub("?", str(value).replace("\t", " "))
        if self.ascii_only:
            shown = shown.encode("ascii", "backslashreplace").decode()
        return Text(shown, style=style)

    def bar(self, part: float, whole: float, width: int) -> Text:
        """Return a horizontal bar, `width` long if part equals whole; any part above zero is visible."""
        if not part or not whole:
            return Text()
        if self.ascii_only:
            return Text("#" * max(1, round(width * part / whole)), style="cyan")
        eighths = max(1, round(8 * width * part / whole))
        return Text("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip(), style="cyan")

    def meter(self, part: float, whole: float, width: int, style: str = "cyan") -> Text:
        """Return a bar on its track, always `width` long."""
        halves = min(2 * width, math.floor(2 * width * part / whole)) if whole else 0
        if self.ascii_only:
            return Text("#" * (halves // 2), style=style).append("-" * (width - halves // 2), style="dim")
        drawn = "━" * (halves // 2) + "╸" * (halves % 2)
        return Text(drawn, style=style).append("━" * (width - len(drawn)), style="bright_black")

    def spark(self, counts: Sequence[int]) -> Text:
        """Return a one-line histogram, one character per bin; "-" if there are none."""
        if not counts:
            return Text("-", style="dim")
        levels = ".:-=+*#" if self.ascii_only else "▁▂▃▄▅▆▇█"
        most = max(counts)
        marks = (" " if not n else levels[math.ceil(n / most * len(levels)) - 1] for n in counts)
        return Text("".join(marks), style="cyan")


def room(console: Console, tables: Iterable[object]) -> int:
    """Return how many characters names may have: what the widest of these tables without names leaves of the terminal."""
    drawn = (one for one in tables if isinstance(one, Table))
    widest = max((Measurement.get(console, console.options, one).maximum for one in drawn), default=0)
    return max(LEAST_NAME, console.width - INDENT - widest)


def table(first: str, *others: str, no_wrap: bool = True) -> Table:
    """Return a table with names on the left, folded if the terminal is too narrow, and numbers on the right."""
    drawn = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    drawn.add_column(first, overflow="fold")
    for title in others:
        drawn.add_column(title, justify="right", no_wrap=no_wrap)
    return drawn
