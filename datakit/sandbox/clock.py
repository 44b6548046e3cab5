"""How much of its time a program has had.

What counts is the processor time of the program, and the time in which nothing of its execution moves (it sleeps, or waits
for what never comes). So a busy machine, on which a program waits for its turn, takes nothing away from it. What the tests'
process computes is the harness's, and so is the wire, whose work falls on both sides alike: as much is taken off again. By
the wall clock an execution gets PATIENCE times its limit, and tests TESTS times of processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from datakit.sandbox.inside.settings import Spent
from datakit.sandbox.warm import PATIENCE

_WINDOW_S = 0.25
_STILL = 0.005  # of a window's time: what uses less of a processor does not move
TESTS = 4


class Clock:
    """Of one execution, from now on."""

    def __init__(self, limit_s: float, spent: Callable[[], Spent]) -> None:
        self.limit_s = limit_s
        self.spent = spent
        self.began_at = self.seen_at = time.monotonic()
        self.window_s = min(_WINDOW_S, limit_s / 4)
        self._next_at = self.began_at + self.window_s
        self._seen_s = self._still_s = 0.0

    def wait_s(self) -> float:
        """How long to wait before `is_over` is asked again; 0 where it is time."""
        return max(0.0, self._next_at - time.monotonic())

    def is_over(self) -> bool:
        """Whether the program has had all of its time."""
        now = time.monotonic()
        spent = self.spent()
        self._next_at = now + self.window_s
        if "program" not in spent:  # no such clocks here: the wall's it is
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
