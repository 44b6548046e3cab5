"""What a model has not read yet."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import polars as pl

from datakit.probe.readings import Reading
from datakit.recipe import Probe, Recipe
from datakit.store import Database, Run, load_sql

TEXTS_AT_A_TIME = 1_024  # texts that are sorted by length together


class Counts(NamedTuple):
    """Numbers of texts to be read, and of texts that have been read."""

    missing: int
    there: int


def wanted_texts(recipe: Recipe, probe: Probe) -> dict[str, Any]:
    """Return the parameters of probe/texts.sql."""
    return {"texts": probe.texts, "keep_reasoning": recipe.export.reasoning == "keep"}


def count_missing(run: Run, wanted: dict[str, Any], readings: Sequence[Reading], retry_failures: bool) -> list[Counts]:
    """Return the counts of each reading, in order. `wanted`: wanted_texts."""
    with _with_texts(run, wanted) as snapshot:
        sql = load_sql("probe/count_missing")
        return [Counts(*map(int, snapshot.query(sql, _params(one, retry_failures)).row(0))) for one in readings]


def stream_missing(
    run: Run, wanted: dict[str, Any], reading: Reading, retry_failures: bool
) -> Generator[pl.DataFrame, None, None]:
    """Yield the texts that the model has not read, in frames of text_id, messages and text, over the run as it is now."""
    with _with_texts(run, wanted) as snapshot:
        params = _params(reading, retry_failures) | {"keep_reasoning": wanted["keep_reasoning"]}
        yield from snapshot.stream(load_sql("probe/missing_texts"), params, TEXTS_AT_A_TIME)


@contextmanager
def _with_texts(run: Run, wanted: dict[str, Any]) -> Iterator[Database]:
    with run.snapshot() as snapshot:
        snapshot.make_table("probed_texts", load_sql("probe/texts"), wanted)
        yield snapshot


def _params(reading: Reading, retry_failures: bool) -> dict[str, Any]:
    return {**reading.key, "by_author": reading.by_author, "retry_failures": retry_failures}
