"""Query results and changes of pairs as tables on stdout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datakit.audit.contents import Readable
from datakit.errors import BadInput
from datakit.screen.console import open_console
from datakit.screen.ink import Ink
from datakit.wording import counted

MOST_ROWS = 200


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with lists and structs as JSON text, for formats that have neither."""
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(pl.struct(name).struct.json_encode().alias(name) for name in nested)


def draw_table(frame: pl.DataFrame) -> None:
    """Print a frame as a table; long texts are folded, at most MOST_ROWS rows are shown."""
    table = Table(show_edge=False, header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in flat(frame.head(MOST_ROWS)).iter_rows():
        cells = ("" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value) for value in row)
        table.add_row(*map(Text, cells))
    console = open_console(None)
    console.print(table)
    if frame.height > MOST_ROWS:
        console.print(Text(f"... {counted(frame.height - MOST_ROWS, 'more rows')}; --format csv gives all", style="dim"))


def draw_upright(frame: pl.DataFrame) -> None:
    """Print each row on several lines: a name and its whole value; texts of several lines are below their name."""
    console, ink = Console(highlight=False, soft_wrap=True), Ink(Console().options.ascii_only)
    widest = max((len(name) for name in frame.columns), default=0)
    for number, row in enumerate(flat(frame).iter_rows(named=True), start=1):
        console.print(Text(f"-- {number:,} of {frame.height:,}", style="dim"))
        for name, value in row.items():
            text = "" if value is None else str(value)
            broken = "\n" if "\n" in text else ""
            console.print(Text(f"{name:{widest}}  {broken}", style="bold").append(ink.text(text)))
    if not frame.height:
        console.print(Text("no rows", style="dim"))


def draw_contents(contents: list[Readable]) -> None:
    """Print tables and views with their columns."""
    console = open_console(None)
    for one in contents:
        console.print(
            Text(one.name, style="bold").append(f"  {one.kind}, {counted(one.rows, 'rows')}. {one.doc}", style="not bold")
        )
        columns = ", ".join(
            f"{name} {kind if len(kind) < 20 else kind.partition('(')[0]}" for name, kind in one.columns.items()
        )
        console.print(Padding(Text(columns, style="dim"), (0, 0, 0, 4)))


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame as Parquet, CSV (lists and structs as JSON) or JSON Lines, by the file's suffix. BadInput if it cannot."""
    writers: dict[str, Callable[[Path], object]] = {
        ".parquet": frame.write_parquet,
        ".csv": flat(frame).write_csv,
        ".jsonl": frame.write_ndjson,
    }
    if path.suffix not in writers:
        raise BadInput(f"--out {path}: end it with {', '.join(writers)}")
    try:
        writers[path.suffix](path)
    except OSError as error:
        raise BadInput(f"--out {path}: cannot be written ({error.strerror or error})") from error
