"""Ctrl-C and SIGTERM: the first asks the work to end well where it can, else it ends at once; a second always does.

While `draining` is in force the first signal only calls its function. What the process then exits with is the signal's own
status (130, 143), whatever a library made of the exception on the way.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Signals:
    """The signals that asked this process to end, in order."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._drain: Callable[[], None] | None = None

    def listen(self) -> None:
        """Take both signals from now on (in the main thread)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    @property
    def exit_status(self) -> int | None:
        """128 + the first signal; None where none came."""
        return 128 + self.received[0] if self.received else None

    @contextmanager
    def draining(self, drain: Callable[[], None]) -> Iterator[None]:
        """Inside the block the first signal calls `drain` (at any moment: it should only leave a note); the block ends by
        itself then, and leaving it raises what the signal would have."""
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
        """On the way out every `finally` runs. asyncio lets only these two exceptions through its callbacks."""
        if self.received[-1] == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.received[0])
