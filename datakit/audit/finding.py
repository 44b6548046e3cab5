"""Filter candidates and find the ten after or before one, among a million in a few milliseconds, by columns in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from datakit.store import Run

Sort = Literal["n", "margin", "longer", "against"]
COLUMNS = (
    "SELECT n, coalesce(lost, 'pair') AS reason, model_no, rejected_model_no, chosen_outcome, rejected_outcome, margin, "
    "log_length_ratio, against FROM browsed ORDER BY n"
)
NAMED = ("reason", "chosen_outcome", "rejected_outcome")
ORDERED_BY = {
    "margin": pl.col("margin"),
    "longer": -pl.col("log_length_ratio"),  # the most first
    "against": -pl.col("against").cast(pl.Int32),
}


@dataclass(frozen=True)
class Filter:
    """Which candidates are shown, and in which order. Fields that are None do not filter."""

    reason: str = "pair"
    """'pair', 'any', or the reason why a candidate is not a pair."""
    source: str | None = None
    """The model of either answer."""
    outcome: str | None = None
    """The outcome of either answer."""
    margin_low: float | None = None
    margin_high: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    """The end of the range, included; the ratio is chosen / rejected characters."""
    against: bool = False
    """True for only those in which a judge scores the rejected answer above the chosen one."""
    flagged: str | None = None
    words: str | None = None
    sort: Sort = "n"
    descends: bool = False


@dataclass(frozen=True)
class Found:
    """The numbers of some candidates, in order, and how many there are on all pages."""

    numbers: list[int]
    total: int
    more: bool
    """True if there are more in the direction of the search."""


class Finder:
    """The candidates of `browsed` (sql/browse/index_pairs.sql), numbered from 1."""

    def __init__(self, run: Run) -> None:
        frame = run.query(COLUMNS)
        self._frame = frame.with_columns(pl.col(NAMED).cast(pl.Categorical))
        self._orders: dict[tuple[Sort, bool], pl.Series] = {}
        self._last: tuple[Filter, pl.Series] | None = None

    def find(
        self, wanted: Filter, model_no: int, only: pl.Series | None, anchor: int | None, forward: bool, most: int
    ) -> Found:
        """Return at most `most` candidates after (or before) the candidate `anchor`, or the first ones.

        `model_no`: the number of the wanted source; `only`: a mask of the candidates that match the search and the flags.
        """
        matching = self._match(wanted, model_no)
        matching = matching if only is None else matching & only
        order = self._order(wanted.sort, wanted.descends)
        ordered = matching if order is None else matching.gather(order)
        at = None if anchor is None or not 0 < anchor <= len(ordered) else self._place(order, anchor)
        beyond = ordered if at is None else ordered.slice(at + 1) if forward else ordered.slice(0, at)
        places = beyond.arg_true()
        taken = places.head(most) if forward else places.tail(most)
        if at is not None and forward:
            taken = taken + (at + 1)
        rows = taken if order is None else order.gather(taken)
        return Found([row + 1 for row in rows.to_list()], int(matching.sum()), len(places) > most)

    def _match(self, wanted: Filter, model_no: int) -> pl.Series:
        """Return the mask of the filter; it is kept for the next page."""
        key = replace(wanted, sort="n", descends=False, flagged=None, words=None)
        if self._last is None or self._last[0] != key:
            every = pl.repeat(True, self._frame.height, dtype=pl.Boolean)
            conditions = [every, *_conditions(wanted, model_no)]
            found = self._frame.select(pl.all_horizontal(conditions).fill_null(False).alias("found"))["found"]
            self._last = key, found
        return self._last[1]

    def _order(self, sort: Sort, descends: bool) -> pl.Series | None:
        """Return the rows in sort order, nulls last, ties by number; None for the stored order."""
        if sort == "n":
            return None
        if (sort, descends) not in self._orders:
            numbers = self._frame.select(by=ORDERED_BY[sort]).with_row_index("row")
            ordered = numbers.sort("by", descending=descends, nulls_last=True, maintain_order=True)
            self._orders[sort, descends] = ordered["row"]
        return self._orders[sort, descends]

    def _place(self, order: pl.Series | None, anchor: int) -> int:
        return anchor - 1 if order is None else int((order == anchor - 1).arg_max() or 0)

    def mask(self, numbers: pl.Series) -> pl.Series:
        """Return a mask that is true for the candidates with these numbers."""
        return pl.repeat(False, self._frame.height, dtype=pl.Boolean, eager=True).scatter(numbers - 1, True)


def _conditions(wanted: Filter, model_no: int) -> Iterator[pl.Expr]:
    ratio = pl.col("log_length_ratio")
    if wanted.reason != "any":
        yield pl.col("reason") == wanted.reason
    if wanted.source is not None:
        yield (pl.col("model_no") == model_no) | (pl.col("rejected_model_no") == model_no)
    if wanted.outcome is not None:
        yield (pl.col("chosen_outcome") == wanted.outcome) | (pl.col("rejected_outcome") == wanted.outcome)
    if wanted.margin_low is not None:
        yield pl.col("margin") >= wanted.margin_low
    if wanted.margin_high is not None:
        yield pl.col("margin") <= wanted.margin_high
    if wanted.ratio_low is not None:
        yield ratio >= math.log(wanted.ratio_low)
    if wanted.ratio_high is not None:
        yield ratio <= math.log(wanted.ratio_high)
    if wanted.against:
        yield pl.col("against") > 0
