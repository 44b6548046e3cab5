"""An input in stretches: as columns, which is quick, where its rows are as the first of the file are; else row by row.

Columns hold what the rows would: Arrow is told the type of each, and refuses what is of another, or no JSON. Then, and wherever
a line is not one object, the stretch is read again, row by row, which is exact about every fault and where it stands.
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
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import polars as pl

from datakit.collect.formats import JSON_LINES, ROWS_AT_A_TIME, Found, kind_of, read_file, read_json_lines
from datakit.collect.rows import PEEK, Names, files_of, read_raw, read_rows, renamed
from datakit.collect.tally import Input, Tally
from datakit.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

BYTES_AT_A_TIME = 2 << 20
INTEGERS = ("sample_index", "seed", "n_prompt_tokens", "n_tokens")
_AS_NUMBERS = ("prompt_id", "reference")
_TEXTS = ("prompt", "messages", "solution", "test_style", "entry_point", "text", "reasoning", "model", "finish_reason")

Types: TypeAlias = "dict[str, pa.DataType]"
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
    first = list(islice(read_raw(given, Tally(given)), PEEK))
    names = Names.of(given, tally, first)
    places = _places(names)
    types = None if places is None else _types_of(places, first)
    for file, name in files:
        if places is not None and types is not None and kind_of(file) in JSON_LINES:
            yield from _of_json_lines(file, name, tally, names, _Columns(places, types))
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


@dataclass(frozen=True)
class _Columns:
    """Our columns in a file: where each stands, and of which type it has to be."""

    places: Places
    types: Types

    def fields(self) -> list[pa.Field] | None:
        """The schema of the file's own columns; None where two of ours do not fit into one."""
        import pyarrow as pa

        tree: dict[str, Any] = {}
        for ours, kind in self.types.items():
            *above, last = self.places[ours]
            inside = tree
            for step in above:
                inside = inside.setdefault(step, {})
                if not isinstance(inside, dict):
                    return None
            if inside.setdefault(last, kind) != kind:
                return None

        def field(name: str, kind: Any) -> pa.Field:
            return pa.field(name, pa.struct([field(*one) for one in kind.items()]) if isinstance(kind, dict) else kind)

        return [field(*one) for one in tree.items()]

    def frame(self, table: pa.Table | pa.RecordBatch) -> pl.DataFrame | None:
        """Columns under our names; None where one is of another type."""
        import pyarrow as pa
        from pyarrow import compute

        found: dict[str, Any] = {}
        for ours, kind in self.types.items():
            first, *more = self.places[ours]
            if first not in table.schema.names:
                continue
            column = table.column(first)
            for step in more:
                column = compute.struct_field(column, step)
            if column.null_count < len(column):
                try:
                    found[ours] = column if column.type == kind else column.cast(kind)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    return None
        frame = pl.from_arrow(pa.table(found)) if found else pl.DataFrame(height=table.num_rows)
        return frame if isinstance(frame, pl.DataFrame) else None


# -------------------------------------------------------------------------------------------------------- JSON Lines


def _of_json_lines(path: Path, name: str, tally: Tally, names: Names, columns: _Columns) -> Iterator[Stretch]:
    read = _json_reader(columns)
    opener = gzip.open if path.suffix == ".gz" else open
    before = 0
    try:
        with opener(path, "rb") as file:
            for chunk in _chunks(file):
                n_lines = _count_lines(chunk)
                text = partial(io.StringIO, chunk.decode(), newline="")
                yield Stretch(read(chunk, n_lines), partial(_rows_of_lines, text, name, before, tally, names))
                before += n_lines
    except (OSError, EOFError, UnicodeDecodeError) as error:
        deque(read_file(path, name, Tally(tally.given)), maxlen=0)  # says where
        raise BadInput(f"{name}: cannot be read: {error}") from error


def _rows_of_lines(text: Callable[[], IO[str]], name: str, before: int, tally: Tally, names: Names) -> Iterator[Found]:
    return renamed(read_json_lines(text(), name, tally, before), names, tally)


def _chunks(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    """Whole lines, of a file without its byte order mark."""
    begin = file.read(3).removeprefix(b"\xef\xbb\xbf")
    while block := begin + file.read(BYTES_AT_A_TIME):
        yield block if block.endswith(b"\n") else block + file.readline()
        begin = b""


def _count_lines(chunk: bytes) -> int:
    """As Python counts them, which takes CR alone for the end of a line, too."""
    ends = chunk.count(b"\n") + (chunk.count(b"\r") - chunk.count(b"\r\n") if b"\r" in chunk else 0)
    return ends + (not chunk.endswith((b"\n", b"\r")))


def _json_reader(columns: _Columns) -> Callable[[bytes, int], pl.DataFrame | None]:
    """What makes columns of a chunk of so many lines."""
    import pyarrow as pa
    from pyarrow import json

    fields = columns.fields()
    if fields is None:
        return lambda chunk, n_lines: None
    options = json.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior="ignore")

    def read(chunk: bytes, n_lines: int) -> pl.DataFrame | None:
        if not chunk.startswith(b"{") or chunk.count(b"\n{") + 1 != n_lines:
            return None
        try:
            whole = json.ReadOptions(use_threads=False, block_size=len(chunk) + 1)
            table = json.read_json(io.BytesIO(chunk), read_options=whole, parse_options=options)
        except pa.ArrowInvalid:
            return None
        return columns.frame(table) if table.num_rows == n_lines else None

    return read


def _types_of(places: Places, first: list[Found]) -> Types | None:
    """The type of each of our columns by what the first rows have; None where one has values of other types."""
    import pyarrow as pa

    types: Types = {}
    for ours, steps in places.items():
        kinds = {type(value) for _, _, row in first if (value := _inside(row, steps)) is not None}
        if ours == "score" and kinds <= {int, float}:
            types[ours] = pa.float64()
        elif (ours in INTEGERS and kinds <= {int}) or (ours in _AS_NUMBERS and kinds == {int}):
            types[ours] = pa.int64()
        elif ours in (*_TEXTS, *_AS_NUMBERS) and kinds <= {str}:
            types[ours] = pa.string()
        elif not kinds:
            types[ours] = pa.null()
        else:
            return None
    return types


def _inside(row: dict[str, Any], steps: tuple[str, ...]) -> Any:
    value: Any = row
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


# ----------------------------------------------------------------------------------------------------------- Parquet


def _of_parquet(path: Path, name: str, tally: Tally, names: Names, places: Places) -> Iterator[Stretch]:
    from pyarrow import ArrowException, parquet

    where, before = f"{name}: row", 0
    try:
        with parquet.ParquetFile(path) as file:
            types = _types_in(file.schema_arrow, places)
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                columns = None if types is None else _Columns(places, types).frame(batch)
                yield Stretch(columns, partial(_rows_of_batch, batch, where, before, tally, names))
                before += batch.num_rows
    except (ArrowException, OSError) as error:
        raise BadInput(f"{name}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def _rows_of_batch(batch: pa.RecordBatch, where: str, before: int, tally: Tally, names: Names) -> Iterator[Found]:
    found = ((where, number, row) for number, row in enumerate(batch.to_pylist(), start=before + 1))
    return renamed(found, names, tally)


def _types_in(schema: pa.Schema, places: Places) -> Types | None:
    """The type of each of our columns by the file's schema; None where one is of another kind."""
    import pyarrow as pa

    types: Types = {}
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
