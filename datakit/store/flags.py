"""The flags of a run: what people said of its prompts, responses and pairs. Flags are never changed; a later one overrides.

A build holds the run's lock for hours, so flags have their own lock, held only while a line is written, and a single journal
(flags/journal-000001.jsonl), which never becomes a part: whoever opens the run for writing leaves it alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from datakit.store.journal import JournalFile, journals_in, read_journal
from datakit.store.parts import parts_in, writing
from datakit.tables import TABLES, Row, Rows

TABLE = "flags"
JOURNAL = "journal-000001.jsonl"


class Flags:
    """The flags of a run folder, for any number of concurrent readers and writers."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._folder = run / TABLE

    def add(self, rows: Rows) -> int:
        """Add rows of the table, all or none; return how many are new.

        A row without `at` gets the current time, in the order given; a row that exists already, to the microsecond, is skipped.
        """
        with writing(self._run):
            self._folder.mkdir(exist_ok=True)
            with self._locked():
                now = datetime.now(UTC)
                dated = [{**row, "at": row.get("at") or now + timedelta(microseconds=at)} for at, row in enumerate(rows)]
                there = {_identity(row) for row in self.rows()}
                new = list({_identity(row): row for row in dated if _identity(row) not in there}.values())
                if new:
                    self._append(new)
        return len(new)

    def rows(self) -> Rows:
        """Return all rows that were ever added, in the order in which they came."""
        stored = [row for part in parts_in(self._folder) for row in pl.read_parquet(part).to_dicts()]
        rows = stored + [row for journal in journals_in(self._folder) for row in read_journal(journal)]
        return [{name: row.get(name) for name in TABLES[TABLE].schema} for row in rows]

    @property
    def size(self) -> int:
        """The size in bytes, which changes whenever a row is added."""
        return sum(path.stat().st_size for path in (*parts_in(self._folder), *journals_in(self._folder)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _append(self, rows: Rows) -> None:
        path = self._folder / JOURNAL
        if path.exists():
            _end_whole(path)
        journal = JournalFile(path)
        try:
            journal.append(rows)
        finally:
            journal.close()


def _identity(row: Row) -> tuple[object, ...]:
    return tuple(row.get(name) for name in TABLES[TABLE].schema)


def _end_whole(path: Path) -> None:
    """Cut off a last line without a line end: its writer was killed before anybody was told that the line was stored."""
    with path.open("rb+") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            file.truncate(whole)
            file.flush()
            os.fsync(file.fileno())
