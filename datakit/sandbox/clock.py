"""Measure how much of its time a program has used.

The program's processor time counts, and the time in which its whole execution is idle (it sleeps, or waits for something that
never comes). So waiting for a processor on a busy machine costs a program nothing. The processor time of the tests' process
does not count, nor does the wire, whose work is about equal on both sides: that much is subtracted. By
the wall clock an execution gets PATIENCE times its limit, and tests get TESTS times the limit of processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from datakit.sandbox.inside.settings import Spent
from datakit.sandbox.warm import PATIENCE

_WINDOW_S = 0.25
_STILL = 0.005  # share of a window's time: an execution that uses less of a processor is idle
TESTS = 4


class Clock:
    """The clock of one execution, from its creation on."""

    def __init__(self, limit_s: float, spent: Callable[[], Spent]) -> None:
        self.limit_s = limit_s
        self.spent = spent
        self.began_at = self.seen_at = time.monotonic()
        self.window_s = min(_WINDOW_S, limit_s / 4)
        self._next_at = self.began_at + self.window_s
        self._seen_s = self._still_s = 0.0

    def wait_s(self) -> float:
        """Return how many seconds to wait before calling `is_over` again; 0 if it is time."""
        return max(0.0, self._next_at - time.monotonic())

    def is_over(self) -> bool:
        """Return whether the program has used all of its time."""
        now = time.monotonic()
        spent = self.spent()
        self._next_at = now + self.window_s
        if "program" not in spent:  # no processor clocks on this system: use the wall clock
            return now - self.began_at >= self.limit_s
        moved_s = spent["program"] + spent["tests"]
        window_s = now - self.seen_at
        if window_s >= self.window_s:
            self._still_s += window_s if moved_s - self._seen_s < _STILL * window_s else 0.0
            self.seen_at, self._seen_s = now, moved_s
        left_s = self.limit_s - (spent["program"] - spent["tests"] + self._still_s)
        self._next_at = now + min(self.window_s, max(0.02, left_s))
        out_of_patience = now - self.began_at >= PATIENCE * self.limit_s or spent["tests"] >= TESTS * self.limit_s
        return left_s <= 0 or out_of_patience
