"""Queries that several parts of a report share: rows, histograms, pairs, examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import polars as pl

from datakit.audit.plotted import Histogram
from datakit.audit.report import Example, Pairs
from datakit.errors import BadInput
from datakit.store import load_sql
from datakit.tables import finite

N_BINS = 9

Made = TypeVar("Made")


class Queries(Protocol):
    """Something that answers SQL: a Run of store, or Tables with the one file of an export."""

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> pl.DataFrame:
        """Return the rows of one SELECT."""
        ...

    def make_table(self, name: str, sql: str, params: Mapping[str, object] | None = None) -> None:
        """Keep the rows of a SELECT as a temporary table."""
        ...


def rows(tables: Queries, name: str, make: Callable[..., Made], params: Mapping[str, object] | None = None) -> list[Made]:
    """Call `make` on each row of sql/audit/<name>.sql; its columns are the arguments (TypeError if they do not match)."""
    return [make(**finite(row)) for row in tables.query(load_sql(f"audit/{name}"), params).iter_rows(named=True)]


def histograms(tables: Queries, amounts: str, n_bins: int = N_BINS) -> dict[tuple[str | int, int | None], Histogram]:
    """Return histograms of the amounts of sql/audit/<amounts>.sql, by `what` and the model's number (None: all models)."""
    tables.make_table("amounts", load_sql(f"audit/{amounts}"))
    drawn = rows(tables, "histograms", lambda what, model_no, **bins: ((what, model_no), Histogram(**bins)), {"n_bins": n_bins})
    return dict(drawn)


def model_numbers(tables: Queries) -> dict[str | None, int]:
    """Return the number that selection uses for each model."""
    return dict(tables.query("SELECT DISTINCT model, model_no FROM numbered_sources").iter_rows())


def describe_pairs(tables: Queries, drawn: bool = True) -> Pairs:
    """Return statistics of the temporary table audit_pairs. `drawn`: with histograms."""
    bins = histograms(tables, "pair_amounts") if drawn else {}
    margin, length = bins.get(("margin", None)), bins.get(("log_length_ratio", None))
    [pairs] = rows(tables, "margins", lambda **row: Pairs(**row, margin_histogram=margin, length_histogram=length))
    return pairs


@dataclass(frozen=True)
class Shown:
    """Which pairs are shown as examples: at most `most` of those for which the SQL condition `where` is true."""

    most: int = 3
    where: str | None = None


A_FEW = Shown()


def examples(tables: Queries, texts: str, shown: Shown, whole: str) -> list[Example]:
    """Return a few pairs with their texts, by sql/audit/<texts>.sql. Reads the temporary table audit_pairs.

    `whole`: the table of pairs with texts that the condition refers to. Raises BadInput if the condition is not valid.
    """
    if shown.where is None:
        tables.make_table("examined", "SELECT * FROM audit_pairs")
    else:
        matching = f"SELECT (prompt_id, chosen_id, rejected_id) FROM {whole} WHERE ({shown.where}\n)"
        try:
            condition = f"SELECT * FROM audit_pairs WHERE (prompt_id, chosen_id, rejected_id) IN ({matching})"
            tables.make_table("examined", condition)
        except BadInput as error:
            columns = ", ".join(tables.query(f"SELECT * FROM {whole} LIMIT 0").columns)
            raise BadInput(f"--where {shown.where}: {error}\ncolumns: {columns}") from error
    tables.make_table("examples", load_sql("audit/examples"), {"most": shown.most})
    return rows(tables, texts, Example)
