"""DuckDB over the tables of a run folder, as they are at one moment."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import duckdb
import polars as pl
from duckdb.func import DEFAULT, SPECIAL

from datakit.errors import BadInput, command
from datakit.store.journal import journals_in, part_of, read_journal
from datakit.store.parts import compared_by, completed, has_digests, parts_in
from datakit.tables import TABLES, Row
from datakit.tables.answers import COMPLETE, MAY_THINK, split
from datakit.tables.compared import COMPARED
from datakit.tables.repetition import repetition
from datakit.tables.residue import LEADING, TRAILING, find_residue
from datakit.wording import did_you_mean

MACROS = (
    *("make_response_id", "make_judgement_id", "whole_answer", "asked_messages", "compared_text", "is_asked"),
    *("strip_residue", "written_answer", "count_of", "id_number", "id_text", "takes_turns", "length_free", "length_ratio"),
    *("why_no_pair", "request_of"),
)
VIEWS = (
    *(table for table in TABLES if table != "responses"),
    *("asked_prompts", "wanted_responses", "numbered_prompts", "numbered_sources"),
    *("responses", "current_responses", "current_failures", "current_flags"),
    *("pairs_with_texts", "value_counts"),
)
"""The tables and the views of sql/views; each depends only on names before it."""
PARTS = "STRUCT(text VARCHAR, reasoning VARCHAR, form VARCHAR)"
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], str, int]] = {
    "repetition": (repetition, "DOUBLE", 1),
    "split_answer": (lambda text: split(text)._asdict(), PARTS, 1),
    "find_residue": (find_residue, "VARCHAR", 2),
}
"""SQL functions over texts: (function, return type, number of arguments). With several arguments, NULLs are passed in."""
_NAMES = re.compile(rf"\b({'|'.join((*VIEWS, *MACROS, *FUNCTIONS))})\b", re.IGNORECASE)
_CATALOG = re.compile(r"\b(show|describe|information_schema|duckdb_\w+|pragma\w*)\b", re.IGNORECASE)
_NOT_IN_FRAMES = re.compile(r"\b(INTERVAL|UNION)\b")
_LITERAL = re.compile(r"'[^']*'")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_OVERLAPS = re.compile(r"\b((?:from|join)\s+)overlaps\b", re.IGNORECASE)
_NO_TABLE = re.compile(r"Table with name (\S+) does not exist!(\nDid you mean .*)?")
_SETTINGS = (
    *("enable_progress_bar = false", "python_enable_replacements = false", "TimeZone = 'UTC'"),
    "enable_external_file_cache = false",  # caches by path, but the path of an open descriptor may come to mean another file
)
_CHOOSE_SIDES = "build_side_probe_side,join_filter_pushdown"
"""The optimizers that swap the sides of joins and filter each side's rows by the keys of the other."""
_SMALL = 4 * 2**20
"""Bytes of parts below which one thread reads a run faster than two."""
_STREAMING = ("threads = 1", "disable_parquet_prefetching = true")
"""One thread returns rows in the order of the files and holds as few of them in memory as possible."""
_LITTLE, _MORE = "512MB", ("1GB", "2GB", "4GB", "8GB")
"""The memory of a streaming statement, and the larger limits to retry with: a vector has 2,048 texts, however long."""


@cache
def load_sql(name: str) -> str:
    """Return the statement in sql/<room>/<name>.sql: load_sql("select/select_pairs")."""
    return (resources.files("datakit") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def _needed(sql: str, own: str = "") -> tuple[str, ...]:
    """Return the tables, views, macros and functions that a statement names, dependencies first; all if it queries the catalog.

    `own`: the name of the view or macro that the statement makes, if it is one of datakit's. Those have no names in quotes,
    unlike a user's query, which may say FROM 'pairs'.
    """
    code = _COMMENT.sub("", sql)
    if _CATALOG.search(code):
        return (*FUNCTIONS, *MACROS, *VIEWS)
    needed: dict[str, None] = {}
    for name in map(str.lower, _NAMES.findall(_LITERAL.sub("", code) if own else code)):
        if name != own:
            made_by_sql = name not in TABLES and name not in FUNCTIONS
            needed |= dict.fromkeys(_needed(load_sql(f"views/{name}"), name) if made_by_sql else ())
            needed[name] = None
    return tuple(needed)


class Tables:
    """SQL over tables in memory, or in a DuckDB file (`place`) of which at most `memory` is held in memory.

    `say` turns DuckDB's message into that of the BadInput that is raised if a statement cannot be run.
    """

    def __init__(self, say: Callable[[str], str], place: Path | None = None, memory: str | None = None) -> None:
        self.connection = duckdb.connect(str(place) if place is not None else ":memory:")
        self._say = say
        self._made: dict[str, frozenset[str]] = {}
        """Temporary tables, each with the tables and views that it was made from."""
        self._viewed: dict[str, frozenset[str]] = {}
        """The same for temporary views."""
        limit = (f"memory_limit = {_quoted(memory)}",) if memory is not None else ()
        self.connection.execute("; ".join(f"SET {setting}" for setting in (*_SETTINGS, *limit)))

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of one SELECT. Raise BadInput if it cannot be run."""
        try:
            self._define(sql)
            relation = self.connection.sql(_as_read(sql), params=dict(params or {}))
            frame = None if relation is None else _frame(relation)
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            raise BadInput(self._say(str(error).strip())) from error
        if frame is None:
            raise BadInput(self._say("this returns no rows; give one SELECT"))
        return frame

    def make_table(self, name: str, sql: str, params: Mapping[str, Any] | None = None, as_written: bool = False) -> None:
        """Keep the rows of a SELECT as a temporary table. Raise BadInput if it cannot be run.

        `as_written` turns off DuckDB's choice of join sides: a join looks up the rows on its left among those on its right. For
        callers that know better than DuckDB's estimates which side is smaller.
        """
        try:
            self._define(sql)
            if as_written:
                self.connection.execute(f"SET disabled_optimizers = '{_CHOOSE_SIDES}'")
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {_as_read(sql)}", dict(params or {}))
            self._made[name] = self._made_of(sql)
        except duckdb.Error as error:
            raise BadInput(self._say(str(error).strip())) from error
        finally:
            if as_written:
                self.connection.execute("RESET disabled_optimizers")

    def make_view(self, name: str, sql: str) -> None:
        """Define a temporary view as a SELECT without parameters."""
        self._define(sql)
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {_as_read(sql)}")
        self._viewed[name] = self._made_of(sql)

    def change_table(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Run one UPDATE of a temporary table. Raise BadInput if it cannot be run."""
        try:
            self._define(sql)
            self.connection.execute(_as_read(sql), dict(params or {}))
        except duckdb.Error as error:
            raise BadInput(self._say(str(error).strip())) from error

    def keep(self, name: str, frame: pl.DataFrame) -> None:
        """Keep a frame as the temporary table `name`, replacing one of that name."""
        self.connection.register("kept_frame", frame.__arrow_c_stream__())
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM kept_frame")
        self.connection.unregister("kept_frame")
        self._made[name] = frozenset()

    def add(self, name: str, frame: pl.DataFrame) -> None:
        """Append rows to an existing table; the columns must be in its order."""
        self.connection.register("added_frame", frame.__arrow_c_stream__())
        self.connection.execute(f"INSERT INTO {name} FROM added_frame")
        self.connection.unregister("added_frame")

    def close(self) -> None:
        """Close the connection and its files."""
        self.connection.close()

    def _define(self, sql: str) -> None:
        """Define what a statement names."""

    def _made_of(self, sql: str) -> frozenset[str]:
        parts = (self._viewed | self._made).items()
        return frozenset(_needed(sql)).union(*(found for name, found in parts if re.search(rf"\b{name}\b", sql)))


class Database(Tables):
    """A run's tables, and the views and macros of sql/. Later writes become visible with `renew`.

    The files are listed at construction; a view or a macro is made when a statement first names it: each takes milliseconds.

    `spill`: for streaming with little memory, a folder for what does not fit.
    """

    def __init__(self, folder: Path, spill: Path | None = None) -> None:
        super().__init__(lambda error: f"SQL over {folder}: {_with_our_names(error, folder)}")
        self.folder = folder
        self.changed: set[str] = set()
        """Tables that were written to since their files were last listed."""
        self._open: dict[Path, BinaryIO] = {}  # the parts that are held open
        self._there: set[str] = set()
        self._found: dict[str, tuple[list[Row], list[Path]]] = {}
        """For each table, the rows in journals and the parts."""
        self._names: dict[Path, str] = {}  # the path of each part as DuckDB is given it
        for table in TABLES:
            self._look_at(table)
        if spill is not None:
            streaming = (*_STREAMING, f"memory_limit = {_quoted(_LITTLE)}", f"temp_directory = {_quoted(str(spill))}")
            self.connection.execute("; ".join(f"SET {setting}" for setting in streaming))
        self._streams = spill is not None
        self._set_threads()
        self.connection.execute("SET VARIABLE complete_reasons = $reasons", {"reasons": list(COMPLETE)})
        self.connection.execute("SET VARIABLE leading_residue = $pattern", {"pattern": LEADING})
        self.connection.execute("SET VARIABLE trailing_residue = $pattern", {"pattern": TRAILING})

    def renew(self) -> None:
        """Make the changed tables visible as they are now, and drop the temporary tables that were made from them."""
        if not self.changed.isdisjoint(("judgements", "verdicts", "judges", "responses", "prompts", "sources")):
            self.changed.add("scores")  # some follow from these
        self._drop(name for name, parts in self._made.items() if parts & self.changed)
        while self.changed:
            table = self.changed.pop()
            self._look_at(table)
            if table in self._there:
                self._make_view(table)
        self._set_threads()

    def hold(self, view: str) -> None:
        """Keep a view's rows as a temporary table, which later statements that name the view read."""
        if view not in self._made:
            self.make_table(view, f"FROM memory.main.{view}")

    def drop_made(self, keep: Collection[str] = ()) -> None:
        """Drop the temporary tables, except for those in `keep`, and free their memory."""
        self._drop(name for name in self._made if name not in keep)

    def _drop(self, names: Iterable[str]) -> None:
        for name in list(names):
            self.connection.execute(f'DROP TABLE temp."{name}"')
            del self._made[name]

    def stream(self, sql: str, params: Mapping[str, Any], rows: int) -> Generator[pl.DataFrame, None, None]:
        """Yield the rows of one SELECT in frames of at most `rows`, read from disk on demand.

        If memory runs out before the first frame, the statement is run again with more.
        """
        self._define(sql)
        given = False
        for memory in (_LITTLE, *_MORE):
            self.connection.execute(f"SET memory_limit = {_quoted(memory)}")
            try:
                for batch in self.connection.sql(_as_read(sql), params=dict(params)).to_arrow_reader(rows):
                    frame = pl.from_arrow(batch)
                    if isinstance(frame, pl.DataFrame) and frame.height:
                        given = True
                        yield frame
                return
            except duckdb.OutOfMemoryException as error:
                if given or memory == _MORE[-1]:
                    raise BadInput(self._say(str(error).strip())) from error

    def close(self) -> None:
        super().close()
        for file in self._open.values():
            file.close()

    def _define(self, sql: str) -> None:
        for name in _needed(sql):
            if name in self._there:
                continue
            if name in TABLES:
                self._make_view(name)
            elif name in FUNCTIONS:
                function, gives, n_given = FUNCTIONS[name]
                nulls = SPECIAL if n_given > 1 else DEFAULT
                self.connection.create_function(name, function, ["VARCHAR"] * n_given, gives, null_handling=nulls)
            elif name in MACROS:
                self.connection.execute(load_sql(f"views/{name}"))
            else:
                self.connection.execute(f"CREATE VIEW {name} AS " + load_sql(f"views/{name}"))
            self._there.add(name)

    def _set_threads(self) -> None:
        """Use one thread if it reads the run faster than two; a run may have grown since the last call."""
        if not self._streams:
            size = sum(part.stat().st_size for _, parts in self._found.values() for part in parts)
            self.connection.execute("SET threads = 1" if size < _SMALL else "RESET threads")

    def _look_at(self, table: str) -> None:
        """List where the table's rows are.

        Journals are read before the parts are listed: one that becomes a part meanwhile counts as the part.
        """
        folder = self.folder / table
        journals = {path: read_journal(path) for path in journals_in(folder)}
        parts = parts_in(folder)
        rows = [row for path, found in journals.items() if part_of(path) not in parts for row in found]
        self._found[table] = rows, parts
        self._names |= {part: self._fixed(part) for part in parts}

    def _make_view(self, table: str) -> None:
        """Define the view of a table: its parts, and the rows still in journals."""
        rows, parts = self._found[table]
        loose = completed(table, TABLES[table].frame(rows))
        if table == "responses":
            self._make_view_of_responses(loose, parts)
        elif table == "scores":
            self._unite(table, loose, parts, self._derived_scores())
        else:
            self._unite(table, loose, parts)

    def _derived_scores(self) -> list[str]:
        """Return queries for the scores that are not stored but follow from judgements and from verdicts."""
        self._define("FROM judges")
        counting = self.connection.execute("FROM judges WHERE verifier IS NOT NULL").fetchone()
        names = ["judged_scores"] * any(self._found["judgements"]) + ["counted_scores"] * (counting is not None)
        queries = [load_sql(f"views/{name}") for name in names]
        self._define("\n".join(queries))
        return queries

    def _make_view_of_responses(self, loose: pl.DataFrame, parts: list[Path]) -> None:
        """Define the view of responses; parts that are older or compared by another rule are completed as they are read."""
        older = [part for part in parts if compared_by(part) != COMPARED]
        whole = [part for part in older if _is_whole(part)]
        more: tuple[str, ...] = ()
        lacking = loose.clear() if has_digests(loose) else loose
        if older or lacking.height:
            splits = (self._split_responses(whole),) if whole else ()
            self._unite("older_responses", lacking, [part for part in older if part not in whole], splits)
            more = (load_sql("views/compared_responses"),)
            self._define(more[0])
        self._unite(
            "responses", loose.clear() if lacking.height else loose, [part for part in parts if part not in older], more
        )

    def _split_responses(self, whole: list[Path]) -> str:
        """Return a query over parts that were stored before thoughts were separated from answers."""
        self._unite("whole_responses", None, whole)
        self.connection.execute("SET VARIABLE may_think = $pattern", {"pattern": MAY_THINK})
        splits = load_sql("views/split_responses")
        self._define(splits)
        return splits

    def _unite(self, view: str, loose: pl.DataFrame | None, parts: list[Path], more: Sequence[str] = ()) -> None:
        """Define a view as the union of rows in memory, parts, and other queries."""
        queries = list(more)
        if loose is not None and loose.height:
            self.connection.register(f"{view}_loose", loose)
            queries.insert(0, f"SELECT * FROM {view}_loose")
        elif loose is not None:
            queries.insert(0, _no_rows(tuple(loose.schema.items())))
        if files := ", ".join(_quoted(self._names[part]) for part in parts):
            queries.append(f"SELECT * FROM read_parquet([{files}], union_by_name = true)")
        united = " UNION ALL BY NAME ".join(f"({query})" for query in queries)
        self.connection.execute(f'CREATE OR REPLACE VIEW "{view}" AS {united}')

    def _fixed(self, part: Path) -> str:
        """Return a path that keeps pointing to this file. Part 0 may be replaced at any time, so a descriptor is used."""
        if part.stem != "part-000000" or not Path("/dev/fd").is_dir():
            return glob.escape(str(part))
        with self._open.pop(part, nullcontext()):
            self._open[part] = part.open("rb")
        return f"/dev/fd/{self._open[part].fileno()}"


def _frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Return the rows as a frame, without pyarrow, whose import is slower than most statements, unless names repeat."""
    columns = relation.columns
    for name, kind in zip(columns, map(str, relation.types), strict=True):
        if _NOT_IN_FRAMES.search(kind):
            raise pl.exceptions.ComputeError(f'column "{name}" is of type {kind}; write CAST("{name}" AS VARCHAR)')
    if len(set(columns)) < len(columns):
        found: pl.DataFrame = relation.pl()
        return found
    # Polars remembers the classes that it has read, and DuckDB complains about one of its own when the interpreter exits
    return pl.DataFrame(SimpleNamespace(__arrow_c_stream__=relation.__arrow_c_stream__))


def _with_our_names(error: str, folder: Path) -> str:
    """Return DuckDB's message; for an unknown table, suggest a near name of a datakit table or view instead of DuckDB's own."""
    found = _NO_TABLE.search(error)
    if found is None:
        return error
    hint = did_you_mean(found[1], VIEWS) or f"; {command('sql', folder)} lists those that there are"
    return f"{error[: found.start()]}there is no table {found[1]}{hint}{error[found.end() :]}"


@cache
def _no_rows(schema: tuple[tuple[str, pl.DataType], ...]) -> str:
    """Return a query with these columns, in DuckDB's types, and no rows: much faster than registering an empty frame."""
    columns = duckdb.from_arrow(pl.DataFrame(schema=dict(schema)).__arrow_c_stream__())
    typed = (f'NULL::{kind} AS "{name}"' for name, kind in zip(columns.columns, columns.types, strict=True))
    return f"SELECT {', '.join(typed)} WHERE FALSE"


def _is_whole(part: Path) -> bool:
    """Return True if the part's responses were stored before thoughts were separated from answers."""
    with part.open("rb") as file:
        return "reasoning_form" not in pl.read_parquet_schema(file)


def _as_read(sql: str) -> str:
    """Return the statement with the table `overlaps` in quotes: unquoted, the word is an SQL operator; users need not know."""
    return _OVERLAPS.sub(r'\1"overlaps"', sql)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
