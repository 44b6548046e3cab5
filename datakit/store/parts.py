"""The Parquet parts of a table: each is there whole or not at all."""

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

ROWS_AT_A_TIME = 5_000  # of a row group: as many as are in memory at once where rows are streamed
COMPARED_BY = "datakit.compared"
MOVE_AWAY = "move it away and build again: only the rows in it are made anew"


def parts_in(folder: Path) -> list[Path]:
    """The table's parts, oldest first."""
    return sorted(folder.glob("part-*.parquet"))


def part_path(folder: Path, number: int) -> Path:
    """The part of this number; 0 is the one that takes the place of a whole table."""
    return folder / f"part-{number:06d}.parquet"


def check_parts(folder: Path) -> None:
    """RunError where one cannot be read."""
    for part in parts_in(folder):
        try:
            with part.open("rb") as file:  # a path would be a pattern
                pl.read_parquet_schema(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise RunError(f"{part}: not a readable Parquet file ({str(error).splitlines()[0]}); {MOVE_AWAY}") from error


def as_stored(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the table's columns, in their order and types; one that it leaves out is null."""
    schema = TABLES[table].schema.items()
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None).alias(name)).cast(dtype) for name, dtype in schema
    )


def completed(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows on their way to a file: of responses what each text says of itself is computed here, wherever they come from."""
    if table != "responses" or not frame.height:
        return frame
    return pl.concat([measured(rows) for rows in frame.iter_slices(ROWS_AT_A_TIME)])


def has_digests(frame: pl.DataFrame) -> bool:
    """Whether responses say what was asked, which is not computed from them; those of older versions did not."""
    return not frame["messages_digest"].has_nulls()


def metadata_of(table: str, frame: pl.DataFrame) -> dict[str, str]:
    """What the file of completed rows says beside them: for responses, by which rule they are compared."""
    return {COMPARED_BY: COMPARED} if table == "responses" and has_digests(frame) else {}


def compared_by(part: Path) -> str | None:
    """The rule by which a part of responses is compared; None where columns are missing."""
    with part.open("rb") as file:
        return pl.read_parquet_metadata(file).get(COMPARED_BY)


def write_part(part: Path, table: str, frame: pl.DataFrame) -> None:
    """Write it under a temporary name, synced, and rename that."""
    frame = completed(table, frame)
    if table == "distributions":  # DuckDB reads half floats from Parquet, though not from memory
        frame = frame.with_columns(pl.col("top_logprobs").cast(pl.List(pl.Float16)))
    part.parent.mkdir(exist_ok=True)
    temporary = part.with_suffix(".tmp")
    buffer = io.BytesIO()  # polars gives no OSError of its own where the disk is full
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
    """A full disk or a folder that may not be written to is the user's to fix: everything before it is intact."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: cannot write ({error.strerror or error}); what was stored before is intact") from error
