"""What a person sees while a command works: progress on stderr, live in a terminal, a line every thirty seconds without."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from datakit.progress import Poll
from datakit.store import Run

LINE_EVERY_S = 30.0


@dataclass
class Part:
    """What is known of one line of the display."""

    total: int
    done: int = 0
    failed: int = 0
    note: str = ""
    began_at: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Rows a second since the stage began."""
        return (self.done + self.failed) / max(time.monotonic() - self.began_at, 1e-6)

    def line(self, name: str) -> str:
        """One line for a log file."""
        left = self.total - self.done - self.failed
        eta = f", {left / self.rate:,.0f} s left" if left and self.rate > 0.01 else ""
        failed = f", {self.failed:,} failed" if self.failed else ""
        note = f", {self.note}" if self.note else ""
        return f"  {name}: {self.done:,} of {self.total:,}{failed}, {self.rate:,.1f}/s{note}{eta}"


class Watch:
    """A Monitor (stages.py) for people. Use as a context manager; an interruption says how to go on."""

    def __init__(self, go_on: str | None = None, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._go_on = go_on
        self._interrupted = interrupted
        self._parts: dict[str, Part] = {}
        self._tasks: dict[str, TaskID] = {}
        self._progress: Progress | None = None
        self._said_at = time.monotonic()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close_stage()
        if kind is not None and (self._interrupted() or not issubclass(kind, Exception)) and self._go_on:
            self.say(f"interrupted; what was received is stored. Go on with: {self._go_on}", warning=True)

    def stage(self, name: str, totals: dict[str, int], polls: Mapping[str, Poll] | None = None) -> None:
        """See stages.Monitor. A stage without anything to do passes unseen."""
        self.close_stage()
        self._said_at = time.monotonic()
        self._parts = {part: Part(total) for part, total in totals.items()}
        if not totals:
            return
        self.console.print(Text(name, style="bold"))
        if self.console.is_terminal:
            self._progress = _progress(self.console)
            self._progress.start()
            self._tasks = {part: self._progress.add_task(part, total=total, note="") for part, total in totals.items()}

    def advance(self, part: str, done: int, failed: int, note: str) -> None:
        """See stages.Monitor."""
        row = self._parts[part]
        row.done, row.failed, row.note = row.done + done, row.failed + failed, note
        if self._progress is not None:
            failures = f"{row.failed:,} failed " if row.failed else ""
            self._progress.update(
                self._tasks[part], completed=row.done + row.failed, note=f"{row.rate:,.1f}/s {failures}{row.note}"
            )
        elif time.monotonic() - self._said_at > LINE_EVERY_S:
            self._said_at = time.monotonic()
            self._lines()

    def say(self, text: str, warning: bool = False) -> None:
        """See stages.Monitor."""
        self.console.print(Text("! " if warning else "  ", style="yellow") + Text(text, style="yellow" if warning else ""))

    def failures(self, folder: Path) -> None:
        """Failures by cause, so that a build that ended well does not hide them."""
        with Run.open(folder) as run:
            causes = run.query(
                "SELECT stage, source, error, count(*) AS n, any_value(message) AS example "
                "FROM current_failures GROUP BY ALL ORDER BY n DESC"
            )
        for row in causes.iter_rows(named=True):
            self.say(f"{row['n']:,} failed at {row['stage']}, {row['source']}: {row['error']} ({row['example']})", warning=True)

    def close_stage(self) -> None:
        """Leave the last state of the stage on the screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._tasks = None, {}
        elif self._parts:
            self._lines()
        self._parts = {}

    def _lines(self) -> None:
        for name, part in self._parts.items():
            self.console.print(Text(part.line(name)), soft_wrap=True)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
        refresh_per_second=4,
    )


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists and structs as JSON text, for formats that have neither."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(pl.struct(name).struct.json_encode().alias(name) for name in nested)


def draw_table(frame: pl.DataFrame, rows: int = 200) -> None:
    """A frame as a table on stdout; long texts fold, at most `rows` rows are shown."""
    table = Table(show_edge=False, header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in flat(frame.head(rows)).iter_rows():
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console(highlight=False)
    console.print(table)
    if frame.height > rows:
        console.print(Text(f"... {frame.height - rows:,} more rows; --format csv gives all", style="dim"))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw_diff(changes: pl.DataFrame) -> None:
    """Which pairs come, go or change, counted and then listed."""
    counts = dict(changes["change"].value_counts().iter_rows())
    Console().print(Text(", ".join(f"{counts.get(kind, 0):,} {kind}" for kind in ("came", "went", "changed"))))
    if changes.height:
        draw_table(changes, rows=40)
