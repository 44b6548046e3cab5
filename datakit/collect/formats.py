"""Common file formats, read row by row: JSON Lines, JSON arrays, CSV, TSV (each also as .gz), Parquet and Arrow."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

from datakit.collect.tally import Tally
from datakit.errors import UNREADABLE, BadInput, BadRow
from datakit.tables import Row, canonical_json

Found: TypeAlias = tuple[str, int, Row]
"""A row and its place: ("rows.jsonl: line", 7, {...})."""

ROWS_AT_A_TIME = 5_000
CHARACTERS_AT_A_TIME = 1 << 20
JSON_LINES = (".jsonl", ".ndjson")
KNOWN = ".jsonl, .json, .csv, .tsv (each also as .gz), .parquet or .arrow"


_decode = json.JSONDecoder().decode


def place_of(where: str, number: int) -> str:
    """Return a place for messages: rows.jsonl: line 7."""
    return f"{where} {number}"


def read_file(path: Path, name: str, tally: Tally) -> Iterator[Found]:
    """Yield the rows of one file, lazily. Raise BadInput if it cannot be read; malformed rows go to the tally."""
    if not path.exists():
        raise BadInput(f"{name}: no such file")
    if path.suffix == ".parquet":
        return _read_parquet(path, name)
    if path.suffix == ".arrow":
        return _read_arrow(path, name)
    kind = kind_of(path)
    if kind not in _TEXT_FORMATS:
        raise BadInput(f"{name}: not a known kind of file; give {KNOWN}")
    return _read_text(path, name, tally, _TEXT_FORMATS[kind])


def kind_of(path: Path) -> str:
    """Return the suffix of a file, without .gz."""
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _read_parquet(path: Path, name: str) -> Iterator[Found]:
    from pyarrow import ArrowException, parquet

    where, number = f"{name}: row", 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                for row in batch.to_pylist():
                    number += 1
                    yield where, number, row
    except (ArrowException, OSError) as error:
        raise BadInput(f"{name}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def _read_arrow(path: Path, name: str) -> Iterator[Found]:
    """Yield the rows of a stream of record batches, the format in which the `datasets` library saves a dataset."""
    from pyarrow import ArrowException, ipc

    where, number = f"{name}: row", 0
    try:
        with path.open("rb") as file, ipc.open_stream(file) as stream:
            for batch in stream:
                for row in batch.to_pylist():
                    number += 1
                    yield where, number, row
    except (ArrowException, OSError) as error:
        raise BadInput(f"{name}: not a readable Arrow stream ({str(error).splitlines()[0]})") from error


def _read_text(path: Path, name: str, tally: Tally, read: TextFormat) -> Iterator[Found]:
    opener = gzip.open if path.suffix == ".gz" else open
    where, number = "line", 0
    try:
        # utf-8-sig: with or without a byte order mark; newline: keep line ends inside a cell or a text
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            for found in read(file, name, tally):
                where, number, _ = found
                yield found
    except UNREADABLE as error:
        raise BadInput(f"{name}: cannot be read after {where.removeprefix(f'{name}: ')} {number}: {error}") from error


def read_json_lines(file: IO[str], name: str, tally: Tally, before: int = 0) -> Iterator[Found]:
    """Yield the rows of JSON Lines. `before`: the number of lines in the file before these."""
    where = f"{name}: line"
    for number, line in enumerate(file, start=before + 1):
        if not line or line.isspace():
            continue
        try:
            yield where, number, _parse(line, where)
        except BadRow as error:
            tally.n_rows += 1
            tally.drop(place_of(where, number), error)


def _parse(line: str, place: str) -> Row:
    try:
        row = _decode(line)
    except (ValueError, RecursionError) as error:
        raise BadRow(place, "not valid JSON", f" ({error}): {line.strip()[:60]!r}; fix or remove it") from None
    return _check_row(row, line, place)


def _check_row(row: Any, text: str, place: str) -> Row:
    """Return the row if it can be stored; raise BadRow otherwise."""
    if not isinstance(row, dict):
        raise BadRow(place, "not a JSON object", f": {text.strip()[:60]!r}")
    if "\\u" in text:  # the only way to a lone surrogate in a file of UTF-8
        try:
            canonical_json(row).encode()
        except UnicodeEncodeError as error:
            raise BadRow(place, "contains a lone surrogate", f" ({error.object[error.start]!r}); fix or remove it") from None
    return row


def _read_json(file: IO[str], name: str, tally: Tally) -> Iterator[Found]:
    """Yield the objects of an array; a file that does not begin with an array is read as JSON Lines."""
    start = file.read(1)
    while start and start.isspace():
        start = file.read(1)
    if start != "[":
        file.seek(0)
        yield from read_json_lines(file, name, tally)
        return
    where, number = f"{name}: item", 0
    for number, (text, row) in enumerate(_items(file, where), start=1):
        place = place_of(where, number)
        try:
            yield where, number, _check_row(row, text, place)
        except BadRow as error:
            tally.n_rows += 1
            tally.drop(place, error)


def _items(file: IO[str], where: str) -> Iterator[tuple[str, Any]]:
    """Yield the items of an array after its bracket, each with its text. Only what an item needs is held in memory."""
    decoder, buffer, at, number = json.JSONDecoder(), "", 0, 0
    size, more = CHARACTERS_AT_A_TIME, True
    while True:
        at = _after_space(buffer, at)
        if buffer[at : at + 1] == "]" and not number:
            return
        try:
            row, end = decoder.raw_decode(buffer, at)
            after = _after_space(buffer, end)
            if after == len(buffer):
                raise ValueError("the array has no end")
            if buffer[after] not in ",]":
                more = False
                raise ValueError(f"',' or ']' expected, not {buffer[after]!r}")
        except ValueError as error:
            read = file.read(size) if more else ""
            if not read:
                text = buffer[at : at + 60]
                raise BadInput(f"{where} {number + 1} is not valid JSON ({error}): {text!r}; fix the file") from None
            buffer, at, size = buffer[at:] + read, 0, max(size, len(buffer) - at)
            continue
        number, size = number + 1, CHARACTERS_AT_A_TIME
        yield buffer[at:end], row
        if buffer[after] == "]":
            return
        at = after + 1


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _read_table(file: IO[str], name: str, tally: Tally, delimiter: str) -> Iterator[Found]:
    """Yield the rows of a table of texts; an empty cell is null. A row's number is that of its first line."""
    csv.field_size_limit(sys.maxsize)
    cells = csv.reader(file, delimiter=delimiter, strict=True)
    where = f"{name}: line"
    header: list[str] | None = None
    while True:
        line = cells.line_num + 1
        try:
            row = next(cells, None)
            if row is None:
                return
            if header is None:
                header = row or None
                if twice := sorted({column for column in row if row.count(column) > 1}):
                    raise BadInput(f"{name}: its first line has the column '{twice[0]}' twice")
                continue
            if row and len(row) != len(header):
                what = f"not as many cells as the first line ({len(header)})"
                raise BadRow(where, what, f": {len(row)}; fix or remove it")
        except csv.Error as error:
            tally.n_rows += 1
            tally.drop(place_of(where, line), BadRow(where, "not a row of a table", f" ({error}); fix or remove it"))
        except BadRow as error:
            tally.n_rows += 1
            tally.drop(place_of(where, line), error)
        else:
            if row:
                yield where, line, {column: cell or None for column, cell in zip(header, row, strict=True)}


def _read_csv(file: IO[str], name: str, tally: Tally) -> Iterator[Found]:
    return _read_table(file, name, tally, ",")


def _read_tsv(file: IO[str], name: str, tally: Tally) -> Iterator[Found]:
    return _read_table(file, name, tally, "\t")


TextFormat: TypeAlias = Callable[[IO[str], str, Tally], Iterator[Found]]
_TEXT_FORMATS: dict[str, TextFormat] = {
    **dict.fromkeys(JSON_LINES, read_json_lines),
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
}
