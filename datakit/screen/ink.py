"""How a terminal report draws things: tables, bars and histograms in a line, text that others wrote."""

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
LEAST_NAME = 12  # characters, however narrow the terminal is
INDENT = 2  # of what stands below a title


@dataclass(frozen=True)
class Ink:
    """What bars are drawn with."""

    ascii_only: bool

    def text(self, value: object, style: str = "") -> Text:
        """A value as it is, for reading."""
        shown = UNSEEN.sub("?", str(value).replace("\t", " "))
        if self.ascii_only:
            shown = shown.encode("ascii", "backslashreplace").decode()
        return Text(shown, style=style)

    def bar(self, part: float, whole: float, width: int) -> Text:
        """A horizontal bar, `width` long where part is the whole; what is not zero can be seen."""
        if not part or not whole:
            return Text()
        if self.ascii_only:
            return Text("#" * max(1, round(width * part / whole)), style="cyan")
        eighths = max(1, round(8 * width * part / whole))
        return Text("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip(), style="cyan")

    def meter(self, part: float, whole: float, width: int, style: str = "cyan") -> Text:
        """A bar on its track, always `width` long."""
        halves = min(2 * width, math.floor(2 * width * part / whole)) if whole else 0
        if self.ascii_only:
            return Text("#" * (halves // 2), style=style).append("-" * (width - halves // 2), style="dim")
        drawn = "━" * (halves // 2) + "╸" * (halves % 2)
        return Text(drawn, style=style).append("━" * (width - len(drawn)), style="bright_black")

    def spark(self, counts: Sequence[int]) -> Text:
        """A histogram in one line, a character a bin; "-" for none."""
        if not counts:
            return Text("-", style="dim")
        levels = ".:-=+*#" if self.ascii_only else "▁▂▃▄▅▆▇█"
        most = max(counts)
        marks = (" " if not n else levels[math.ceil(n / most * len(levels)) - 1] for n in counts)
        return Text("".join(marks), style="cyan")


def room(console: Console, tables: Iterable[object]) -> int:
    """How many characters names may have: what the widest of these tables, drawn without names, leaves of the terminal."""
    drawn = (one for one in tables if isinstance(one, Table))
    widest = max((Measurement.get(console, console.options, one).maximum for one in drawn), default=0)
    return max(LEAST_NAME, console.width - INDENT - widest)


def table(first: str, *others: str, no_wrap: bool = True) -> Table:
    """Names on the left, which are folded where the terminal is too narrow, and numbers on the right."""
    drawn = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    drawn.add_column(first, overflow="fold")
    for title in others:
        drawn.add_column(title, justify="right", no_wrap=no_wrap)
    return drawn
