"""Ctrl-C and SIGTERM. The first signal drains the work if it can, and otherwise ends it; a second one always ends it.

Inside `draining` the first signal only calls its function. The process then exits with the status of the signal (130,
143), whatever a library made of the exception on the way.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Signals:
    """The signals that asked this process to end, in order of arrival."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._drain: Callable[[], None] | None = None

    def listen(self) -> None:
        """Handle both signals from now on (call it in the main thread)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    @property
    def exit_status(self) -> int | None:
        """128 + the number of the first signal; None if there was none."""
        return 128 + self.received[0] if self.received else None

    @contextmanager
    def draining(self, drain: Callable[[], None]) -> Iterator[None]:
        """Inside the block, let the first signal call `drain`, at any moment: it should only set a flag. The block then has to
        end by itself; leaving it raises the exception of the signal."""
        if self.received:
            self._leave()
        self._drain = drain
        try:
            yield
        finally:
            self._drain = None
        if self.received:
            self._leave()

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)
        if self._drain is not None and len(self.received) == 1:
            self._drain()
        else:
            self._leave()

    def _leave(self) -> None:
        """Raise the exception of the signal, so that every `finally` runs. asyncio lets only these two out of its callbacks."""
        if self.received[-1] == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.received[0])
