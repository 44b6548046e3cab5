"""The Parquet parts of a table, each written whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from datakit.errors import RunError
from datakit.tables import TABLES
from datakit.tables.compared import COMPARED
from datakit.tables.measured import measured

ROWS_AT_A_TIME = 5_000  # rows of a row group: the most that are in memory at once where rows are streamed
COMPARED_BY = "datakit.compared"
MOVE_AWAY = "move it away and build again: only the rows in it are made again"


def parts_in(folder: Path) -> list[Path]:
    """Return the table's parts, oldest first."""
    return sorted(folder.glob("part-*.parquet"))


def part_path(folder: Path, number: int) -> Path:
    """Return the path of the part with this number; part 0 holds a table that is replaced whole."""
    return folder / f"part-{number:06d}.parquet"


def check_parts(folder: Path) -> None:
    """Raise RunError if a part cannot be read."""
    for part in parts_in(folder):
        try:
            with part.open("rb") as file:  # a path would be read as a pattern
                pl.read_parquet_schema(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise RunError(f"{part}: not a readable Parquet file ({str(error).splitlines()[0]}); {MOVE_AWAY}") from error


def as_stored(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the table's columns, in their order and types; missing ones are null."""
    schema = TABLES[table].schema.items()
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None).alias(name)).cast(dtype) for name, dtype in schema
    )


def completed(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Complete rows that are about to be written: the columns of responses that derive from their texts are computed here."""
    if table != "responses" or not frame.height:
        return frame
    return pl.concat([measured(rows) for rows in frame.iter_slices(ROWS_AT_A_TIME)])


def has_digests(frame: pl.DataFrame) -> bool:
    """Return True if all responses have the digest of their messages, which cannot be computed; older versions had none."""
    return not frame["messages_digest"].has_nulls()


def metadata_of(table: str, frame: pl.DataFrame) -> dict[str, str]:
    """Return the file metadata for completed rows: for responses, the rule by which they are compared."""
    return {COMPARED_BY: COMPARED} if table == "responses" and has_digests(frame) else {}


def compared_by(part: Path) -> str | None:
    """Return the rule by which a part of responses is compared; None if columns are missing."""
    with part.open("rb") as file:
        return pl.read_parquet_metadata(file).get(COMPARED_BY)


def write_part(part: Path, table: str, frame: pl.DataFrame) -> None:
    """Write the frame under a temporary name, sync it, and rename it."""
    frame = completed(table, frame)
    if table == "distributions":  # DuckDB reads half floats from Parquet, but not from memory
        frame = frame.with_columns(pl.col("top_logprobs").cast(pl.List(pl.Float16)))
    part.parent.mkdir(exist_ok=True)
    temporary = part.with_suffix(".tmp")
    buffer = io.BytesIO()  # polars raises no OSError of its own if the disk is full
    frame.write_parquet(buffer, row_group_size=ROWS_AT_A_TIME, metadata=metadata_of(table, frame))
    try:
        with temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(part)
    except OSError:
        temporary.unlink(missing_ok=True)  # the room that it takes is what is lacking
        raise


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError (a full disk, a read-only folder) into a RunError for the user; what was stored before is intact."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: cannot write ({error.strerror or error}); what was stored before is intact") from error
