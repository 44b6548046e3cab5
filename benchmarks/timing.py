"""What the benchmarks share: real rows, repeated and interleaved runs, and a table of medians."""

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
    """The rows of a JSON Lines file (.gz too), `limit` of them taken evenly from the whole."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return rows if limit is None or limit >= len(rows) else [rows[at * len(rows) // limit] for at in range(limit)]


def interleaved(contestants: dict[str, Callable[[], float]], repeat: int) -> dict[str, list[float]]:
    """Seconds of every run, the contestants taking turns so that a busy spell of the machine meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeat):
        for name, run in contestants.items():
            seconds[name].append(run())
    return seconds


def show(title: str, seconds: dict[str, list[float]], n: int) -> None:
    """Medians as rows a second, and as a multiple of the first contestant's."""
    table = Table("", "median s", "fastest and slowest s", "rows/s", "ratio", title=f"{title}: {n:,} rows")
    first = statistics.median(next(iter(seconds.values())))
    for name, times in seconds.items():
        middle = statistics.median(times)
        spread = f"{min(times):.1f} - {max(times):.1f}"
        table.add_row(name, f"{middle:.2f}", spread, f"{n / middle:,.0f}", f"{first / middle:.2f}")
    Console().print(table)
