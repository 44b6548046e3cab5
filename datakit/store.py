"""A run: a folder of Parquet parts, one folder a table, and SQL over them.

Only one process writes (a lock in the folder), any number read. A part is written under a temporary name, synced and renamed:
it is there whole or not at all. Rows that come one by one go to a journal, a file of JSON lines that the operating system has
after every append, so that kill -9 loses nothing that was appended; a journal becomes a part when it is full or closed, or
when the next writer finds it.
"""

from __future__ import annotations

import fcntl
import glob
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import duckdb
import polars as pl

from datakit.errors import BadInput, RunError
from datakit.recipe import Recipe, digest, parse
from datakit.tables import TABLES, Row, canonical_json

VIEWS = ("wanted_responses", "current_responses", "current_failures")
JOURNAL_ROWS = 20_000
MOVE_AWAY = "move it away and build again: only the rows in it are made anew"


def load_sql(name: str) -> str:
    """The statement in sql/<name>.sql."""
    return (resources.files("datakit") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


class Run:
    """A run folder, open for reading or for writing.

    >>> with Run.create(folder) as run:                                        # doctest: +SKIP
    ...     run.append("scores", rows)
    ...     run.query("SELECT count(*) AS n FROM scores")
    """

    def __init__(self, folder: Path, lock: TextIO | None) -> None:
        self.folder = folder
        self._lock = lock
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._journals: dict[str, Journal] = {}

    @classmethod
    def create(cls, folder: Path) -> Run:
        """Open for writing, making the folder where there is none. RunError where another process writes to it."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(folder)
        run = cls(folder, lock)
        try:
            for table in TABLES:
                run._recover(table)
                run._check_parts(table)
        except BaseException:
            lock.close()
            raise
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open for reading. RunError where there is no run."""
        if not (folder / "recipe.json").is_file():
            raise RunError(f"{folder}: not a run folder (no recipe.json); make one with: datakit build --out {folder}")
        run = cls(folder, lock=None)
        for table in TABLES:
            run._check_parts(table)
        return run

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Turn open journals into parts and let the lock go."""
        try:
            for journal in self._journals.values():
                journal.close()
        finally:
            self._forget_views()
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def parts(self, table: str) -> list[Path]:
        """The table's Parquet parts, oldest first."""
        return sorted((self.folder / table).glob("part-*.parquet"))

    def append(self, table: str, rows: pl.DataFrame | Iterable[Mapping[str, Any]]) -> int:
        """Add rows as one part; returns how many. Nothing is written for no rows."""
        frame = rows if isinstance(rows, pl.DataFrame) else TABLES[table].frame(list(rows))
        if frame.height:
            self._write_part(table, frame, self._next_number(table))
        return frame.height

    def replace(self, table: str, frame: pl.DataFrame) -> None:
        """Put the frame in the place of the whole table, in one rename."""
        self._write_part(table, frame, 0)

    def journal(self, table: str) -> Journal:
        """The table's journal, for rows that come one by one."""
        if table not in self._journals:
            self._journals[table] = Journal(self, table)
        return self._journals[table]

    def frame(self, table: str) -> pl.DataFrame:
        """The whole table."""
        return self.query(f"SELECT * FROM {table}")

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Run one SELECT over the tables and the views of sql/. BadInput with DuckDB's message where it cannot be run."""
        try:
            relation = self._connect().sql(sql, params=dict(params or {}))
            frame: pl.DataFrame | None = None if relation is None else relation.pl()
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            raise BadInput(f"SQL over {self.folder}: {str(error).strip()}") from error
        if frame is None:
            raise BadInput(f"SQL over {self.folder}: no rows come from this; give one SELECT")
        return frame

    def make_table(self, name: str, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Keep the rows of a SELECT as a temporary table that later queries read; gone at the next write."""
        self._connect().execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", dict(params or {}))

    def save_recipe(self, recipe: Recipe) -> None:
        """Write the resolved recipe, with its digest and the folder that its paths start from, as recipe.json."""
        values = {"digest": digest(recipe), "folder": str(recipe.folder), "recipe": recipe.model_dump(mode="json")}
        with writing(self.folder):
            temporary = self.folder / "recipe.json.tmp"
            temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            temporary.rename(self.folder / "recipe.json")

    def recipe(self) -> Recipe | None:
        """The resolved recipe of the last build, None on a folder without one."""
        path = self.folder / "recipe.json"
        if not path.is_file():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return parse(values["recipe"], name=str(path), folder=Path(values["folder"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: cannot be read ({error}); build again with --recipe to write it anew") from error

    def missing(self, table: str, wanted: pl.DataFrame) -> pl.DataFrame:
        """The rows of `wanted` whose key (the columns that it shares with the table's key) has no row yet."""
        key = [column for column in TABLES[table].key if column in wanted.columns]
        return wanted.join(self.query(f"SELECT {', '.join(key)} FROM {table}"), on=key, how="anti", nulls_equal=True)

    def check_writable(self) -> None:
        """RunError where the run is open for reading only."""
        if self._lock is None:
            raise RunError(f"{self.folder}: open for reading only")

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = duckdb.connect()
            for setting in ("enable_progress_bar = false", "python_enable_replacements = false", "TimeZone = 'UTC'"):
                self._connection.execute(f"SET {setting}")
            for table in TABLES:
                self._make_view(self._connection, table)
            for view in VIEWS:
                self._connection.execute(f"CREATE VIEW {view} AS {load_sql(view)}")
        return self._connection

    def _make_view(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        """One view a table: its parts, and what still stands in journals.

        Journals are read before the parts are listed: one that becomes a part meanwhile counts as the part. Part 0 may be
        replaced at any time, so it is read here, in one go.
        """
        journals = {path: _read_journal(path) for path in sorted((self.folder / table).glob("journal-*.jsonl"))}
        parts = self.parts(table)
        rows = [row for path, found in journals.items() if _part_of(path) not in parts for row in found]
        loose = [TABLES[table].frame(rows)]
        if parts and parts[0].stem == "part-000000":
            loose.append(pl.read_parquet(io.BytesIO(parts.pop(0).read_bytes())))
        connection.register(f"{table}_loose", pl.concat(loose, how="diagonal"))
        files = ", ".join("'" + glob.escape(str(part)).replace("'", "''") + "'" for part in parts)
        read = f" UNION ALL BY NAME SELECT * FROM read_parquet([{files}], union_by_name = true)" if files else ""
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {table}_loose{read}")

    def _forget_views(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _recover(self, table: str) -> None:
        """What an interrupted writer left: journals become parts, temporary files go."""
        for leftover in (self.folder / table).glob("*.tmp"):
            leftover.unlink()
        for journal in sorted((self.folder / table).glob("journal-*.jsonl")):
            self._seal(table, journal)

    def _seal(self, table: str, journal: Path) -> None:
        """Turn a journal into the part of the same number, then remove it; a crash in between loses and repeats nothing."""
        number = int(journal.stem.removeprefix("journal-"))
        if not _part_of(journal).exists() and (rows := _read_journal(journal)):
            try:
                frame = TABLES[table].frame(rows)
            except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
                raise RunError(f"{journal}: not rows of {table} ({str(error).splitlines()[0]}); {MOVE_AWAY}") from error
            self._write_part(table, frame, number)
        journal.unlink()
        self._forget_views()

    def _check_parts(self, table: str) -> None:
        for part in self.parts(table):
            try:
                with part.open("rb") as file:  # a path would be a pattern
                    pl.read_parquet_schema(file)
            except (pl.exceptions.PolarsError, OSError) as error:
                raise RunError(f"{part}: not a readable Parquet file ({str(error).splitlines()[0]}); {MOVE_AWAY}") from error

    def _next_number(self, table: str) -> int:
        files = [*self.parts(table), *(self.folder / table).glob("journal-*.jsonl")]
        return max((int(file.stem.rpartition("-")[2]) for file in files), default=0) + 1

    def _write_part(self, table: str, frame: pl.DataFrame, number: int) -> None:
        self.check_writable()
        schema = TABLES[table].schema
        part = self.folder / table / f"part-{number:06d}.parquet"
        with writing(self.folder):
            part.parent.mkdir(exist_ok=True)
            temporary = part.with_suffix(".tmp")
            buffer = io.BytesIO()  # polars gives no OSError of its own where the disk is full
            frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items()).write_parquet(buffer)
            with temporary.open("wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(part)
        self._forget_views()


class Journal:
    """Rows of one table on their way into a part; every append is with the operating system when it returns."""

    def __init__(self, run: Run, table: str) -> None:
        self._run = run
        self._table = table
        self._file: BinaryIO | None = None
        self._path = Path()
        self._rows = 0

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows; a full journal becomes a part."""
        lines = [canonical_json({**row, "at": row["at"].isoformat()} if "at" in row else row) for row in rows]
        if not lines:
            return
        self._run.check_writable()
        with writing(self._run.folder):
            if self._file is None:
                folder = self._run.folder / self._table
                folder.mkdir(exist_ok=True)
                self._path = folder / f"journal-{self._run._next_number(self._table):06d}.jsonl"
                self._file = self._path.open("ab", buffering=0)  # no buffer that would be written later, after a failure
            _write_whole(self._file, "".join(line + "\n" for line in lines).encode())
        self._rows += len(lines)
        self._run._forget_views()
        if self._rows >= JOURNAL_ROWS:
            self.close()

    def close(self) -> None:
        """Turn the journal into a part."""
        if self._file is not None:
            self._file.close()
            self._file, self._rows = None, 0
            self._run._seal(self._table, self._path)
        self._run._forget_views()


def _part_of(journal: Path) -> Path:
    return journal.with_name(journal.stem.replace("journal", "part") + ".parquet")


def _read_journal(path: Path) -> list[Row]:
    """The rows of a journal; a last line without its end was never acknowledged and is left out."""
    rows = []
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:  # it became a part since it was listed
        return []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = dict(json.loads(line))
            if "at" in row:
                row["at"] = datetime.fromisoformat(row["at"])
        except (ValueError, TypeError) as error:
            raise RunError(f"{path}: line {number} is not a row ({error}); {MOVE_AWAY}") from error
        rows.append(row)
    return rows


def _write_whole(file: BinaryIO, data: bytes) -> None:
    """Write all of it, or leave the file as it was."""
    end = file.tell()
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        file.truncate(end)
        raise


def _take_lock(folder: Path) -> TextIO:
    lock = (folder / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise RunError(
            f"{folder}: another datakit process (pid {holder}) writes to this run; wait for it, or give --out another folder"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A full disk or a folder that may not be written to is the user's to mend: everything before it is intact."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: cannot write ({error.strerror or error}); what was stored before is intact") from error
