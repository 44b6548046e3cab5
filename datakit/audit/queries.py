"""What several parts of a report ask SQL: rows, histograms, pairs, examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import polars as pl

from datakit.store import load_sql
from datakit.tables import Row, Rows

N_BINS = 9


class Queries(Protocol):
    """What SQL can be asked of: store.Run, and the one file of an export."""

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """The rows of one SELECT."""
        ...

    def make_table(self, name: str, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Keep the rows of a SELECT as a temporary table."""
        ...


def _pairs(tables: Queries) -> Row:
    """`pairs` of the report; reads the temporary table audit_pairs."""
    tables.make_table("amounts", load_sql("audit/pair_amounts"))
    drawn = {row["what"]: _histogram(row) for row in _rows(tables, "histograms", {"n_bins": N_BINS})}
    return _rows(tables, "margins")[0] | {
        "margin_histogram": drawn.get("margin"),
        "length_histogram": drawn.get("log_length_ratio"),
    }


def _examples(tables: Queries, texts: str) -> Rows:
    tables.make_table("examples", load_sql("audit/examples"))
    return _rows(tables, texts)


def _rows(tables: Queries, name: str, params: Mapping[str, Any] | None = None) -> Rows:
    """The rows that sql/audit/<name>.sql gives."""
    return tables.query(load_sql(f"audit/{name}"), params).to_dicts()


def _histogram(row: Row) -> Row:
    return {"edges": row["edges"], "counts": row["counts"]}
