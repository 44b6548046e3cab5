"""Progress on stderr while a command works: live in a terminal, else a line every thirty seconds."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from datakit.audit.summary import Summary
from datakit.progress import Poll
from datakit.screen.costs import draw_spending
from datakit.screen.pace import Pace, Part, together
from datakit.screen.stage_table import WIDTH, StageView

LINE_EVERY_S = 30.0
LOOK_EVERY_S = 1.0  # how long a part may be done before it is noticed


class Watch:
    """A Monitor (stages.py) for people. Use it as a context manager; after an interruption it prints how to continue."""

    def __init__(
        self, go_on: str | None = None, interrupted: Callable[[], bool] = lambda: False, console: Console | None = None
    ) -> None:
        given = sys.stderr.isatty() or "COLUMNS" in os.environ
        self.console = console or Console(stderr=True, highlight=False, width=None if given else WIDTH)
        self._go_on = go_on
        self._interrupted = interrupted
        self._view = StageView({})
        self._showing: Live | Lines | None = None
        self._stage = ""
        self._sampled: list[Pace] = []
        self._said: set[str] = set()
        self.n_warnings = 0

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close_stage()
        if kind is not None and (self._interrupted() or not issubclass(kind, Exception)) and self._go_on:
            self.say(f"interrupted; what was received is stored. Go on with: {self._go_on}", warning=True)

    def stage(
        self,
        name: str,
        missing: dict[str, int],
        polls: Mapping[str, Poll] | None = None,
        there: Mapping[str, int] | None = None,
    ) -> None:
        """See progress.Monitor. A stage with nothing to do is not shown."""
        self.close_stage()
        self._stage = name
        polls, there = polls or {}, there or {}
        self._view = StageView({part: Part(n, polls.get(part), there=there.get(part, 0)) for part, n in missing.items()})
        if not missing:
            return
        self.console.print(Text(name, style="bold"))
        if self.console.is_interactive and self.console.file.isatty():
            self._showing = Live(self._view, console=self.console, refresh_per_second=4)
        else:
            self._showing = Lines(self._view, self.console)
        self._showing.start()

    def advance(self, part: str, done: int, failed: int, note: str) -> None:
        """See progress.Monitor."""
        row = self._view.parts[part]
        row.note = note
        row.advance(done, failed)

    def say(self, text: str, warning: bool = False) -> None:
        """See progress.Monitor."""
        self.n_warnings += warning
        self._said.add(text)
        self.console.print(Text("! " if warning else "  ", style="yellow") + Text(text, style="yellow" if warning else ""))

    def summary(self, summary: Summary) -> None:
        """Print the summary of a build: failures by cause, so that a successful build does not hide them, and what it cost."""
        self.close_stage()
        for cause in summary.failures:
            what = f"{cause.count:,} failed at {cause.stage}, {cause.source}: {cause.error} ({cause.example})"
            self.say(what, warning=True)
        for warning in summary.warnings:
            if warning not in self._said:  # warnings about prompts are also in the report
                self.say(warning, warning=True)
        draw_spending(summary.spending, together(self._sampled).now, self.console)

    def close_stage(self) -> None:
        """Stop the live display and leave the last state of the stage on the screen."""
        if self._showing is not None:
            self._view.ended = True
            self._showing.stop()
            self._showing = None
            if self._stage == "sample":
                self._sampled.append(self._view.whole)


class Lines:
    """A thread that looks every second, prints a line per part now and then, and once more at the end."""

    def __init__(self, view: StageView, console: Console) -> None:
        self._view = view
        self._console = console
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="progress lines", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._print("  ")

    def _go_on(self) -> None:
        line_at = time.monotonic() + LINE_EVERY_S
        while not self._ended.wait(min(LOOK_EVERY_S, LINE_EVERY_S)):
            self._view.look()
            if time.monotonic() >= line_at:
                self._print(time.strftime("  %H:%M:%S  "))
                line_at += LINE_EVERY_S

    def _print(self, start: str) -> None:
        for line in self._view.lines():
            self._console.print(Text(start + line), soft_wrap=True)
