"""Shared by the benchmarks: real rows, repeated and interleaved runs, and a table of medians."""

from __future__ import annotations

import gzip
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]


def read_rows(path: Path, limit: int | None) -> list[Row]:
    """Return the rows of a JSON Lines file (also .gz); at most `limit`, evenly spread over the file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return rows if limit is None or limit >= len(rows) else [rows[at * len(rows) // limit] for at in range(limit)]


def interleaved(contestants: dict[str, Callable[[], float]], repeat: int) -> dict[str, list[float]]:
    """Return the seconds of every run, the contestants taking turns so that a busy period of the machine affects all of them.

    The order is reversed in every other turn, so none always follows the same one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeat):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            seconds[name].append(contestants[name]())
    return seconds


def show(title: str, seconds: dict[str, list[float]], n: int) -> None:
    """Print medians as rows per second, and the speed relative to the first contestant as the median over the turns."""
    table = Table("", "median s", "fastest and slowest s", "rows/s", "ratio", title=f"{title}: {n:,} rows")
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        middle = statistics.median(times)
        spread = f"{min(times):.1f} - {max(times):.1f}"
        table.add_row(name, f"{middle:.2f}", spread, f"{n / middle:,.1f}", f"{ratio(first, times):.2f}")
    Console().print(table)


def ratio(a: list[float], b: list[float]) -> float:
    """Return how many times longer a takes than b: the median over the turns, in which both ran one after the other."""
    return statistics.median(one / other for one, other in zip(a, b, strict=True))
