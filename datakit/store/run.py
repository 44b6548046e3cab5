"""A run: a folder of Parquet parts, one folder per table, and SQL over them.

Only one process writes (a lock in the folder); any number read. A part is written under a temporary name, synced and renamed,
so it is there whole or not at all. Rows that arrive one by one go to a journal (journal.py), which becomes a part when it is
full or closed, or when the next writer finds it. The replacement of a large table is written to a Spool first.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import polars as pl

from datakit.errors import RunError, command
from datakit.recipe import Recipe, digest, parse
from datakit.store.database import Database
from datakit.store.flags import TABLE as FLAGS
from datakit.store.journal import JournalFile, journals_in, part_of, read_journal
from datakit.store.parts import MOVE_AWAY, ROWS_AT_A_TIME, as_stored, check_parts, part_path, parts_in, write_part, writing
from datakit.store.spool import Spool
from datakit.tables import TABLES, Row

JOURNAL_ROWS = 20_000
JOURNAL_BYTES = 64 * 2**20


class Run:
    """A run folder, open for reading or for writing.

    >>> with Run.create(folder) as run:                                        # doctest: +SKIP
    ...     run.append("scores", rows)
    ...     run.query("SELECT count(*) AS n FROM scores")
    """

    def __init__(self, folder: Path, lock: TextIO | None, is_new: bool = False) -> None:
        self.folder = folder
        self.is_new = is_new
        self._lock = lock
        self._database: Database | None = None
        self._snapshots: list[Database] = []
        self._idle: list[Database] = []
        self._is_closed = False
        self._journals: dict[str, Journal] = {}
        self.seal_after_s = math.inf
        """Seconds after its first row at which a journal becomes a part, at the next append: a mirror copies only parts."""
        self.copy_away: Callable[[], object] = lambda: None
        """Copies what is on disk to the mirror, if there is one that can be reached, and then returns."""

    @classmethod
    def create(cls, folder: Path) -> Run:
        """Open for writing; make the folder if there is none. Raise RunError if another process writes to it."""
        is_new = not folder.exists()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(folder)
        run = cls(folder, lock, is_new)
        try:
            for left in folder.glob(".scratch-*"):
                shutil.rmtree(left, ignore_errors=True)
            for table in TABLES:
                if table != FLAGS:  # others may be writing there
                    run._recover(table)
                check_parts(folder / table)
        except BaseException:
            lock.close()
            raise
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open for reading. Raise RunError if there is no run."""
        run = cls(folder, lock=None)
        if not run.has_recipe:
            raise _no_run(folder)
        for table in TABLES:
            check_parts(folder / table)
        return run

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def abandoned_if_new(self) -> Iterator[None]:
        """Remove the folder if the block raises and this process made the folder."""
        try:
            yield
        except BaseException:
            if self.is_new:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def close(self) -> None:
        """Turn open journals into parts and release the lock."""
        try:
            self.seal()
        finally:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for database in (*idle, *([self._database] if self._database is not None else [])):
                database.close()
            self._database = None
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def seal(self) -> None:
        """Turn open journals into parts."""
        for journal in self._journals.values():
            journal.close()

    def parts(self, table: str) -> list[Path]:
        """Return the table's Parquet parts, oldest first."""
        return parts_in(self.folder / table)

    def append(self, table: str, rows: pl.DataFrame | Iterable[Mapping[str, Any]]) -> int:
        """Add rows as one part; return how many. Nothing is written if there are no rows."""
        frame = rows if isinstance(rows, pl.DataFrame) else TABLES[table].frame(list(rows))
        if frame.height:
            self._write_part(table, frame, self._next_number(table))
        return frame.height

    def replace(self, table: str, frame: pl.DataFrame) -> None:
        """Replace the whole table with the frame, in one rename. Raise RunError if it has other parts: they would stay."""
        self._write_part(table, frame, self._only_number(table))

    def journal(self, table: str) -> Journal:
        """Return the table's journal, for rows that arrive one by one."""
        if table not in self._journals:
            self._journals[table] = Journal(self, table)
        return self._journals[table]

    def frame(self, table: str) -> pl.DataFrame:
        """Return the whole table."""
        return self.query(f"SELECT * FROM {table}")

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of one SELECT over the tables and views. Raise BadInput, with DuckDB's message, if it fails."""
        return self._connect().query(sql, params)

    def stream(self, sql: str, params: Mapping[str, Any], rows: int) -> Generator[pl.DataFrame, None, None]:
        """Yield the rows of one SELECT over the run as it is now, in frames of at most `rows`, in bounded memory."""
        with self.snapshot() as snapshot:
            yield from snapshot.stream(sql, params, rows)

    @contextmanager
    def snapshot(self) -> Iterator[Database]:
        """Yield the run as it is now, unaffected by later writes; for streaming with little memory."""
        if self._idle:
            snapshot = self._idle.pop()
            snapshot.renew()
        else:
            snapshot = Database(self.folder, spill=self.folder / ".spill")
            self._snapshots.append(snapshot)
        try:
            yield snapshot
        finally:
            if self._is_closed:
                snapshot.close()
            else:
                snapshot.drop_made()
                self._idle.append(snapshot)

    def make_table(self, name: str, sql: str, params: Mapping[str, Any] | None = None, as_written: bool = False) -> None:
        """Keep the rows of a SELECT as a temporary table, until its sources are written to. See Tables."""
        self._connect().make_table(name, sql, params, as_written)

    def hold(self, *views: str) -> None:
        """Keep the rows of small views of sql/views for the statements that name them, as make_table does."""
        for view in views:
            self._connect().hold(view)

    def keep(self, name: str, frame: pl.DataFrame) -> None:
        """Keep a frame as a temporary table."""
        self._connect().keep(name, frame)

    def look_again(self) -> None:
        """Make flags visible that others have added since."""
        self._note(FLAGS)

    def drop_made(self, keep: Collection[str] = ()) -> None:
        """Drop all temporary tables except these, and free their memory."""
        self._connect().drop_made(keep)

    def make_view(self, name: str, sql: str) -> None:
        """Define a temporary view as a SELECT."""
        self._connect().make_view(name, sql)

    def change_table(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Run one UPDATE of a temporary table."""
        self._connect().change_table(sql, params)

    def spool(self, table: str, name: str = "new.tmp") -> Spool:
        """Return an empty spool for rows of a table."""
        self.check_writable()
        return Spool(table, self.folder / table / name)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a temporary folder on the run's disk, which the end of the block removes."""
        self.check_writable()
        with writing(self.folder), TemporaryDirectory(prefix=".scratch-", dir=self.folder) as folder:
            yield Path(folder)

    def replace_by(self, spool: Spool) -> None:
        """Replace a table with the rows of its finished spool, as `replace` does."""
        self._take(spool, self._only_number(spool.table))

    def append_by(self, spool: Spool) -> None:
        """Add a finished spool's rows as one part."""
        self._take(spool, self._next_number(spool.table))

    def append_missing(self, spool: Spool, also: Sequence[str] = ()) -> int:
        """Add the rows of a finished spool whose key (with the columns `also`) is not there yet; return how many."""
        table, key = spool.table, (*TABLES[spool.table].key, *also)
        if not self.query(f"SELECT 1 FROM {table} LIMIT 1").height:
            missing, n_missing = spool, int(self.query(f"SELECT count(*) AS n FROM {spool.relation}")["n"][0])
        else:
            missing, n_missing = self.spool(table, "missing.tmp"), 0
            alike = " AND ".join(f"new.{name} IS NOT DISTINCT FROM old.{name}" for name in key)  # a revision may be null
            sql = f"SELECT * FROM {spool.relation} AS new ANTI JOIN {table} AS old ON {alike}"
            for frame in self.stream(sql, {}, ROWS_AT_A_TIME):
                missing.add(frame)
                n_missing += frame.height
            missing.finish()
            spool.path.unlink()
        if n_missing:
            self.append_by(missing)
        else:
            missing.path.unlink()
        return n_missing

    def _take(self, spool: Spool, number: int) -> None:
        self.check_writable()
        with writing(self.folder):
            with spool.path.open("rb") as file:
                os.fsync(file.fileno())
            spool.path.rename(part_path(self.folder / spool.table, number))
        self._note(spool.table)

    def save_recipe(self, recipe: Recipe, own: Mapping[str, Any] | None = None) -> None:
        """Write the resolved recipe, with its digest and the folder that its paths start from, to recipe.json.

        `own`: the select, limits and export of the recipe file, if the run has others (select/kept.py).
        """
        values = {"digest": digest(recipe), "folder": str(recipe.folder), "recipe": recipe.model_dump(mode="json")}
        if own is not None:
            values["own"] = dict(own)
        with writing(self.folder):
            temporary = self.folder / "recipe.json.tmp"
            temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            temporary.rename(self.folder / "recipe.json")

    @property
    def has_recipe(self) -> bool:
        """True if a build has begun here."""
        return (self.folder / "recipe.json").is_file()

    def recipe(self) -> Recipe:
        """Return the resolved recipe of the last build. Raise RunError on a folder without one."""
        path = self.folder / "recipe.json"
        values = self._recipe_values()
        try:
            return parse(values["recipe"], name=str(path), folder=Path(values["folder"]))
        except (KeyError, TypeError) as error:
            raise self._unreadable(error) from error

    def own_selection(self) -> dict[str, Any] | None:
        """Return the select, limits and export of the recipe file if the run has others, else None."""
        own: dict[str, Any] | None = self._recipe_values().get("own")
        return own

    def _recipe_values(self) -> dict[str, Any]:
        if not self.has_recipe:
            raise _no_run(self.folder)
        try:
            values: dict[str, Any] = json.loads((self.folder / "recipe.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise self._unreadable(error) from error
        if not isinstance(values, dict):
            raise self._unreadable(TypeError("not an object"))
        return values

    def _unreadable(self, error: Exception) -> RunError:
        return RunError(f"{self.folder / 'recipe.json'}: cannot be read ({error}); build again with --recipe to rewrite it")

    def check_writable(self) -> None:
        """Raise RunError if the run is open for reading only."""
        if self._lock is None:
            raise RunError(f"{self.folder}: open for reading only")

    def _connect(self) -> Database:
        """Return the database, up to date."""
        if self._database is None:
            self._database = Database(self.folder)
        elif self._database.changed:
            self._database.renew()
        return self._database

    def _note(self, table: str) -> None:
        """Tell the databases that a table was written to."""
        for database in (*self._snapshots, *([self._database] if self._database is not None else [])):
            database.changed.add(table)

    def _recover(self, table: str) -> None:
        """Clean up after an interrupted writer: journals become parts, temporary files are removed."""
        for leftover in (self.folder / table).glob("*.tmp"):
            leftover.unlink()
        for journal in journals_in(self.folder / table):
            try:
                frame = TABLES[table].frame(read_journal(journal))
            except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
                raise RunError(f"{journal}: not rows of {table} ({str(error).splitlines()[0]}); {MOVE_AWAY}") from error
            self._seal(table, journal, frame)

    def _seal(self, table: str, journal: Path, frame: pl.DataFrame) -> None:
        """Turn a journal into the part of the same number, then remove it; a crash in between loses and repeats nothing."""
        if frame.height and not part_of(journal).exists():
            self._write_part(table, frame, int(journal.stem.removeprefix("journal-")))
        journal.unlink()
        self._note(table)

    def _only_number(self, table: str) -> int:
        if others := [part for part in self.parts(table) if part != part_path(self.folder / table, 0)]:
            raise RunError(f"{others[0]}: {table} has one part, part-000000; move this one away, and run the command again")
        return 0

    def _next_number(self, table: str) -> int:
        files = [*self.parts(table), *journals_in(self.folder / table)]
        return max((int(file.stem.rpartition("-")[2]) for file in files), default=0) + 1

    def _write_part(self, table: str, frame: pl.DataFrame, number: int) -> None:
        self.check_writable()
        with writing(self.folder):
            write_part(part_path(self.folder / table, number), table, as_stored(table, frame))
        self._note(table)


class Journal:
    """Rows of one table on their way into a part; after each append the operating system has them."""

    def __init__(self, run: Run, table: str) -> None:
        self._run = run
        self._table = table
        self._file: JournalFile | None = None

    def append(self, rows: list[Row]) -> None:
        """Add rows, all or none; a full journal becomes a part."""
        if not rows:
            return
        self._run.check_writable()
        with writing(self._run.folder):
            if self._file is None:
                folder = self._run.folder / self._table
                folder.mkdir(exist_ok=True)
                self._file = JournalFile(folder / f"journal-{self._run._next_number(self._table):06d}.jsonl")
            self._file.append(rows)
        self._run._note(self._table)
        is_full = self._file.n_rows >= JOURNAL_ROWS or self._file.n_bytes >= JOURNAL_BYTES
        if is_full or self._file.age_s >= self._run.seal_after_s:
            self.close()

    def close(self) -> None:
        """Turn the journal into a part."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._run._seal(self._table, file.path, file.frame())


def _no_run(folder: Path) -> RunError:
    return RunError(f"{folder}: not a run folder (no recipe.json); make one with: {command('build', '--out', folder)}")


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
