"""Query results and changes of pairs as tables on stdout."""

from __future__ import annotations

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists and structs as JSON text, for formats that have neither."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(pl.struct(name).struct.json_encode().alias(name) for name in nested)


def draw_table(frame: pl.DataFrame, rows: int = 200) -> None:
    """A frame as a table on stdout; long texts fold, at most `rows` rows are shown."""
    table = Table(show_edge=False, header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in flat(frame.head(rows)).iter_rows():
        cells = ("" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value) for value in row)
        table.add_row(*map(Text, cells))
    console = Console(highlight=False)
    console.print(table)
    if frame.height > rows:
        console.print(Text(f"... {frame.height - rows:,} more rows; --format csv gives all", style="dim"))
