"""The tables and views of a run that can be queried, with their columns."""

from __future__ import annotations

from dataclasses import dataclass

from datakit.store import Run, load_sql
from datakit.tables import TABLES

VIEWS = ("current_responses", "current_failures", "current_flags", "pairs_with_texts", "wanted_responses", "asked_prompts")
"""The views that are useful to query; the others only serve these."""


@dataclass(frozen=True)
class Readable:
    """A table or a view, as `datakit sql RUN` lists it."""

    name: str
    kind: str
    rows: int
    doc: str
    columns: dict[str, str]
    """DuckDB's type, by column name."""


def contents(run: Run) -> list[Readable]:
    """Return all tables, then VIEWS."""
    return [_readable(run, name, "table", table.doc) for name, table in TABLES.items()] + [
        _readable(run, name, "view", _first_sentence(load_sql(f"views/{name}"))) for name in VIEWS
    ]


def _readable(run: Run, name: str, kind: str, doc: str) -> Readable:
    columns = {row["column_name"]: row["column_type"] for row in run.query(f'DESCRIBE SELECT * FROM "{name}"').to_dicts()}
    return Readable(name, kind, run.query(f'SELECT count(*) FROM "{name}"').item(), doc, columns)


def _first_sentence(statement: str) -> str:
    """Return the header of a statement up to the line that names what it reads or returns."""
    lines = []
    for line in statement.splitlines():
        text = line.removeprefix("-- ")
        if not line.startswith("--") or text.startswith(("Reads", "Returns")):
            break
        lines.append(text)
    return " ".join(lines)
