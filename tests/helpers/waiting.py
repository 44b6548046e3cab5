"""Waiting for what happens elsewhere: in other threads and processes, on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 90.0) -> T:
    """What the condition gives as soon as that is true. The time only ends a test that hangs."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.01)
    return value
