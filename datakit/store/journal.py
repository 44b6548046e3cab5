"""Rows that arrive one by one, as JSON lines that are handed to the operating system at every append: kill -9 loses none.

Rows that are appended together (the samples of one request) form one line, so that they are stored all or not at all.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import polars as pl
from pydantic_core import to_json

from datakit.errors import RunError
from datakit.store.parts import MOVE_AWAY
from datakit.tables import TABLES, Row, Rows

ROWS_AT_A_TIME = 1_000


class JournalFile:
    """A journal that is open for writing; it also keeps its rows for the part that it becomes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_rows = self.n_bytes = 0
        self._began_at = time.monotonic()
        self._table = path.parent.name
        self._rows: Rows = []
        self._frames: list[pl.DataFrame] = []  # earlier rows, which take a fifth of the memory as frames
        self._file: BinaryIO = path.open("ab", buffering=0)  # unbuffered: nothing is written later, after a failure

    def append(self, rows: list[Row]) -> None:
        """Write the rows as one line, or leave the file unchanged."""
        data = memoryview(to_json(rows) + b"\n")
        end = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._file.truncate(end)
            raise
        self._rows += rows
        self.n_rows += len(rows)
        self.n_bytes += self._file.tell() - end
        if len(self._rows) >= ROWS_AT_A_TIME:
            self._gather()

    @property
    def age_s(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self._began_at

    def frame(self) -> pl.DataFrame:
        """Return all appended rows."""
        self._gather()
        return pl.concat(self._frames)

    def _gather(self) -> None:
        self._frames.append(TABLES[self._table].frame(self._rows))
        self._rows = []

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def part_of(journal: Path) -> Path:
    """Return the path of the part that a journal becomes."""
    return journal.with_name(journal.stem.replace("journal", "part") + ".parquet")


def journals_in(folder: Path) -> list[Path]:
    """Return the table's journals, oldest first."""
    return sorted(folder.glob("journal-*.jsonl"))


def read_journal(path: Path) -> list[Row]:
    """Return the rows of a journal; a last line without a line end was never acknowledged and is left out."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:  # it became a part after it was listed
        return []
    rows: list[Row] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            for row in json.loads(line):
                if not isinstance(row, dict):
                    raise TypeError(f"a row is an object, got {row!r:.60}")
                if "at" in row:
                    row["at"] = datetime.fromisoformat(row["at"])
                rows.append(row)
        except (ValueError, TypeError) as error:
            raise RunError(f"{path}: line {number} is not a list of rows ({error}); {MOVE_AWAY}") from error
    return rows
