"""Rows for a table, or for its replacement, written to disk as they arrive, however many they are."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from datakit.store.parts import ROWS_AT_A_TIME, as_stored, completed, metadata_of
from datakit.tables import TABLES

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter


ALL_UNLIKE = ("response_id", "text", "reasoning", "text_hash", "score")
"""Columns whose values are nearly all distinct, so that a dictionary would be useless."""


class Spool:
    """Rows of one table in a Parquet file of their own. The table does not change until a Run takes the file."""

    def __init__(self, table: str, path: Path) -> None:
        self.table = table
        self.path = path
        self._rows: list[Mapping[str, Any]] = []
        self._frames: list[pl.DataFrame] = []
        self._n_gathered = 0
        self._writer: ParquetWriter | None = None
        self._metadata: dict[str, str] | None = None

    def add(self, rows: Mapping[str, Any] | pl.DataFrame) -> None:
        """Add one row, or a frame of several."""
        if isinstance(rows, pl.DataFrame):
            self._gather()
            self._frames.append(as_stored(self.table, rows))
            self._n_gathered += rows.height
        else:
            self._rows.append(rows)
        if self._n_gathered + len(self._rows) >= ROWS_AT_A_TIME:
            self._flush()

    def finish(self) -> None:
        """Write everything to disk; the file can be read from now on."""
        self._flush(whole_groups=False)
        if self._writer is None:
            self._write(TABLES[self.table].frame([]))
        if self._writer is not None:
            self._writer.add_key_value_metadata(self._metadata or {})
            self._writer.close()
            self._writer = None

    def frames(self, rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the finished rows in order, in frames of at most `rows`, each with the number of its first row."""
        from pyarrow import parquet

        first = 0
        with parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(rows):
                frame = pl.DataFrame(pl.from_arrow(batch))
                yield first, as_stored(self.table, frame)
                first += frame.height

    @property
    def relation(self) -> str:
        """The finished file as DuckDB reads it, for the FROM of a query."""
        return "read_parquet('" + glob.escape(str(self.path)).replace("'", "''") + "')"

    def _gather(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._frames.append(TABLES[self.table].frame(rows))
            self._n_gathered += len(rows)

    def _flush(self, whole_groups: bool = True) -> None:
        """Write the rows so far; from large frames only whole row groups."""
        self._gather()
        if self._n_gathered:
            frame = pl.concat(self._frames)
            n_written = frame.height // ROWS_AT_A_TIME * ROWS_AT_A_TIME if whole_groups else frame.height
            self._write(frame[:n_written])
            self._frames, self._n_gathered = [frame[n_written:]], frame.height - n_written

    def _write(self, frame: pl.DataFrame) -> None:
        from pyarrow import parquet

        frame = completed(self.table, frame)
        found = metadata_of(self.table, frame)
        self._metadata = found if self._metadata in (None, found) else {}
        table = frame.to_arrow()
        if self._writer is None:
            self.path.parent.mkdir(exist_ok=True)
            by_value = [name for name in frame.columns if name not in ALL_UNLIKE]
            self._writer = parquet.ParquetWriter(self.path, table.schema, compression="zstd", use_dictionary=by_value)
        self._writer.write_table(table, row_group_size=ROWS_AT_A_TIME)
