"""Rows of what exists already: JSON Lines and Parquet files, hub datasets, all under our own column names."""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

from datakit.errors import BadInput, needs_extra
from datakit.recipe import FilePrompts, HubPrompts, ResponsesSource
from datakit.tables import Row, canonical_json

COLUMNS = (
    *("prompt_id", "prompt", "messages", "reference", "solution", "test_style", "entry_point"),
    *("text", "reasoning", "model", "sample_index", "finish_reason", "n_prompt_tokens", "n_tokens", "seed", "score"),
)
ROWS_AT_A_TIME = 5_000
PEEK = 1000  # a mapped column must be seen in this many rows; JSON rows may leave out what is null


Input: TypeAlias = FilePrompts | HubPrompts | ResponsesSource
"""A section of the recipe that names a file or a dataset."""


def read_rows(given: Input) -> Iterator[Row]:
    """The rows, lazily, with our column names only. BadInput where the file, a line or a mapped column is not there."""
    for ours in given.columns:
        if ours not in COLUMNS:
            near = difflib.get_close_matches(ours, COLUMNS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(COLUMNS)}"
            raise BadInput(f"{given.name}: columns.{ours}: not a column of ours; {hint}")
    if isinstance(given, HubPrompts) or given.path is None:
        raw = _read_dataset(given)
    elif given.location is None or not given.location.is_file():
        looked = f"looked at {given.location}"
        raise BadInput(f"{given.name}: no such file ({looked}); relative paths start from the recipe's folder")
    elif given.location.name.endswith(".parquet"):
        raw = _read_parquet(given.location, given.name)
    elif given.location.name.endswith((".jsonl", ".jsonl.gz", ".json", ".json.gz", ".ndjson")):
        raw = _read_json_lines(given.location, given.name)
    else:
        raise BadInput(f"{given.name}: not a known kind of file; give .jsonl, .jsonl.gz or .parquet")
    wanted = {column: column for column in COLUMNS} | given.columns
    first = list(islice(raw, PEEK))
    there = sorted({column for row in first for column in row})
    for ours, theirs in given.columns.items():
        if first and theirs not in there:
            raise BadInput(
                f"{given.name}: columns.{ours}: there is no column '{theirs}'; the file has {', '.join(there)}. "
                f"Write the file's own name after '{ours}:'"
            )
    for row in chain(first, raw):
        yield {ours: row[theirs] for ours, theirs in wanted.items() if row.get(theirs) is not None}


def _read_parquet(path: Path, name: str) -> Iterator[Row]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_A_TIME):
                yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise BadInput(f"{name}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def _read_json_lines(path: Path, name: str) -> Iterator[Row]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parse_line(line, name, number)
    except (OSError, EOFError, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise BadInput(f"{name}: cannot be read after line {number}: {error}") from error


def _parse_line(line: str, name: str, number: int) -> Row:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise BadInput(f"{name}: line {number} is not valid JSON ({error}): {line.strip()[:60]!r}; fix or remove it") from None
    try:
        canonical_json(row).encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{name}: line {number} holds half a character ({error.object[error.start]!r}); fix or remove it"
        ) from None
    if not isinstance(row, dict):
        raise BadInput(f"{name}: line {number} is not a JSON object: {line.strip()[:60]!r}")
    return row


def _read_dataset(given: HubPrompts | ResponsesSource) -> Iterator[Row]:
    """Rows of `datasets.load_dataset`; a dataset's name that is a folder means that folder."""
    name = given.name
    with needs_extra("hub", f"the dataset {name}"):
        import datasets
    place, commit = (name, given.revision) if given.location is None else (str(given.location), None)
    try:
        rows: Iterable[Row] = datasets.load_dataset(place, split=given.split, revision=commit)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{name}: the dataset (split {given.split}, revision {given.revision or 'default'}) cannot be loaded: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return iter(rows)
