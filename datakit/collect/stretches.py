"""An input in stretches: as columns, which is quick, where its rows are as the first of the file are; else row by row.

Columns hold what the rows would: the type of each is known from the first rows, or from the schema. Where a value is of
another, or a line is not one object, the stretch is read again row by row, which is exact about every fault and its place.
"""

from __future__ import annotations

import gzip
import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
from pydantic_core import from_json

from datakit.collect.formats import JSON_LINES, ROWS_AT_A_TIME, Found, kind_of, read_file, read_json_lines
from datakit.collect.rows import PEEK, Names, files_of, read_raw, read_rows, renamed, value_of
from datakit.collect.tally import Input, Tally
from datakit.errors import BadInput
from datakit.tables import Rows

if TYPE_CHECKING:
    import pyarrow as pa

BYTES_AT_A_TIME = 2 << 20
LINES_IN_HAND = 100  # more of them are no longer in the processor's cache when their columns are taken
INTEGERS = ("sample_index", "seed", "n_prompt_tokens", "n_tokens")
_AS_NUMBERS = ("prompt_id", "reference")
_TEXTS = ("prompt", "messages", "solution", "test_style", "entry_point", "text", "reasoning", "model", "finish_reason")

_KINDS: dict[Any, set[type]] = {pl.String: {str}, pl.Int64: {int}, pl.Float64: {int, float}, pl.Null: set()}
"""What a column of each type is made of."""

Types: TypeAlias = dict[str, Any]
"""Of each of our columns one of _KINDS."""
ArrowTypes: TypeAlias = "dict[str, pa.DataType]"
Places: TypeAlias = dict[str, tuple[str, ...]]
"""Of each of our columns the steps that lead to it."""


@dataclass(frozen=True)
class Stretch:
    """Some rows that stand one after the other."""

    columns: pl.DataFrame | None
    """Under our names, without those that have nothing; None where a row has to be looked at by itself."""
    rows: Callable[[], Iterator[Found]]
    """The same one by one; to be read before the next stretch is asked for."""


def read_stretches(given: Input, tally: Tally) -> Iterator[Stretch]:
    """All rows of an input, lazily. Raises what read_rows raises."""
    files = files_of(given)
    if not files or given.where:
        yield Stretch(None, partial(read_rows, given, tally))
        return
    first = list(islice(read_raw(given, tally.beside()), PEEK))
    names = Names.of(given, tally, first)
    places = _places(names)
    types = None if places is None else _types_of(places, first)
    for file, name in files:
        if places is not None and types is not None and kind_of(file) in JSON_LINES:
            yield from _of_json_lines(file, name, tally, names, places, types)
        elif places is not None and file.suffix == ".parquet":
            yield from _of_parquet(file, name, tally, names, places)
        else:
            yield Stretch(None, partial(_renamed, file, name, tally, names))


def _places(names: Names) -> Places | None:
    """None where one of ours is made of several columns."""
    if names.template is not None or any(len(places) > 1 for places in names.wanted.values()):
        return None
    return {ours: places[0] for ours, places in names.wanted.items()}


def _renamed(file: Path, name: str, tally: Tally, names: Names) -> Iterator[Found]:
    return renamed(read_file(file, name, tally), names, tally)


# -------------------------------------------------------------------------------------------------------- JSON Lines


def _of_json_lines(path: Path, name: str, tally: Tally, names: Names, places: Places, types: Types) -> Iterator[Stretch]:
    opener = gzip.open if path.suffix == ".gz" else open
    before = 0
    try:
        with opener(path, "rb") as file:
            if file.read(3) != b"\xef\xbb\xbf":  # a byte order mark
                file.seek(0)
            while lines := file.readlines(BYTES_AT_A_TIME):
                columns = _columns_of(lines, places, types)
                yield Stretch(columns, partial(_rows_of_lines, lines, name, before, tally, names))
                before += len(lines) if columns is not None else len(list(_as_text(lines)))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        deque(read_file(path, name, tally.beside()), maxlen=0)  # says where
        raise BadInput(f"{name}: cannot be read: {error}") from error


def _as_text(lines: list[bytes]) -> io.StringIO:
    """As read_json_lines reads it; there CR alone ends a line, too."""
    return io.StringIO(b"".join(lines).decode(), newline="")


def _rows_of_lines(lines: list[bytes], name: str, before: int, tally: Tally, names: Names) -> Iterator[Found]:
    return renamed(read_json_lines(_as_text(lines), name, tally, before), names, tally)


def _columns_of(lines: list[bytes], places: Places, types: Types) -> pl.DataFrame | None:
    """Columns under our names; None where a line is not an object, or a value of another type than the first rows have."""
    n_rows, found = 0, {ours: list[Any]() for ours, kind in types.items() if kind != pl.Null}
    absent = [steps for ours, steps in places.items() if ours not in found]
    for at in range(0, len(lines), LINES_IN_HAND):
        rows = _objects(lines[at : at + LINES_IN_HAND])
        if rows is None or _has_any(rows, absent):
            return None
        n_rows += len(rows)
        for ours, values in found.items():
            values += _values(rows, places[ours])
    columns = []
    for ours, values in found.items():
        kinds = set(map(type, values)) - {NoneType}
        if not kinds <= _KINDS[types[ours]]:
            return None
        if kinds:
            try:
                columns.append(pl.Series(ours, values, dtype=types[ours]))
            except (OverflowError, TypeError):  # a whole number of more than 64 bits
                return None
    return pl.DataFrame(columns, height=n_rows)


def _objects(lines: list[bytes]) -> Rows | None:
    """What the lines hold, blank ones left out; None where one is not an object by itself."""
    if any(line.find(b"\r", 0, -2) >= 0 for line in lines):
        return None
    try:
        rows = [from_json(line, allow_inf_nan=False, cache_strings="keys") for line in lines if not line.isspace()]
    except ValueError:
        return None
    return rows if set(map(type, rows)) <= {dict} else None


def _values(rows: Rows, steps: tuple[str, ...]) -> list[Any]:
    name = steps[0]
    return [row.get(name) for row in rows] if len(steps) == 1 else [value_of(row, steps) for row in rows]


def _has_any(rows: Rows, places: list[tuple[str, ...]]) -> bool:
    seen = set[str]().union(*rows)
    return any(steps[0] in seen and any(value is not None for value in _values(rows, steps)) for steps in places)


def _types_of(places: Places, first: list[Found]) -> Types | None:
    """The type of each of our columns by what the first rows have; None where one has values of other types."""
    types: Types = {}
    for ours, steps in places.items():
        kinds = {type(value) for _, _, row in first if (value := value_of(row, steps)) is not None}
        if not kinds:
            types[ours] = pl.Null
        elif ours == "score" and kinds <= _KINDS[pl.Float64]:
            types[ours] = pl.Float64
        elif ours in (*INTEGERS, *_AS_NUMBERS) and kinds <= _KINDS[pl.Int64]:
            types[ours] = pl.Int64
        elif ours in (*_TEXTS, *_AS_NUMBERS) and kinds <= _KINDS[pl.String]:
            types[ours] = pl.String
        else:
            return None
    return types


# ----------------------------------------------------------------------------------------------------------- Parquet


def _of_parquet(path: Path, name: str, tally: Tally, names: Names, places: Places) -> Iterator[Stretch]:
    from pyarrow import ArrowException, parquet

    where, before = f"{name}: row", 0
    try:
        with parquet.ParquetFile(path) as file:
            types = _types_in(file.schema_arrow, places)
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                columns = None if types is None else _columns_in(batch, places, types)
                yield Stretch(columns, partial(_rows_of_batch, batch, where, before, tally, names))
                before += batch.num_rows
    except (ArrowException, OSError) as error:
        raise BadInput(f"{name}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def _columns_in(batch: pa.RecordBatch, places: Places, types: ArrowTypes) -> pl.DataFrame | None:
    """Columns under our names; None where one is of another type."""
    import pyarrow as pa
    from pyarrow import compute

    found: dict[str, Any] = {}
    for ours, kind in types.items():
        first, *more = places[ours]
        column = batch.column(first)
        for step in more:
            column = compute.struct_field(column, step)
        if column.null_count < len(column):
            try:
                found[ours] = column if column.type == kind else column.cast(kind)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                return None
    frame = pl.from_arrow(pa.table(found)) if found else pl.DataFrame(height=batch.num_rows)
    return frame if isinstance(frame, pl.DataFrame) else None


def _rows_of_batch(batch: pa.RecordBatch, where: str, before: int, tally: Tally, names: Names) -> Iterator[Found]:
    found = ((where, number, row) for number, row in enumerate(batch.to_pylist(), start=before + 1))
    return renamed(found, names, tally)


def _types_in(schema: pa.Schema, places: Places) -> ArrowTypes | None:
    """The type of each of our columns by the file's schema; None where one is of another kind."""
    import pyarrow as pa

    types: ArrowTypes = {}
    for ours, (first, *more) in places.items():
        if first not in schema.names:
            continue
        kind = schema.field(first).type
        for step in more:
            if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
                return None
            kind = kind.field(step).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_null(kind):
            continue
        if ours == "score" and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            types[ours] = pa.float64()
        elif ours in (*INTEGERS, *_AS_NUMBERS) and pa.types.is_integer(kind):
            types[ours] = pa.int64()
        elif ours in (*_TEXTS, *_AS_NUMBERS) and _is_text(kind):
            types[ours] = pa.string()
        else:
            return None
    return types


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
