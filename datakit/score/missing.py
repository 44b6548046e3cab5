"""What a judge still has to score: conversations in frames, one share of the prompts at a time."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import polars as pl

from datakit.store import Run, load_sql
from datakit.tables import Row, Rows

SHARE_ROWS = 50_000  # responses whose ids are in memory at a time


CHUNK_ROWS = 1024  # conversations that are sent to a worker together, longest first


class Counts(NamedTuple):
    """The numbers of rows that are missing and that exist."""

    missing: int
    there: int


def count_missing(run: Run, judge: str, retry_failures: bool) -> int:
    """Return how many responses the judge has to score."""
    return count_scores(run, judge, retry_failures).missing


def count_scores(run: Run, judge: str, retry_failures: bool) -> Counts:
    """Return how many responses the judge has to score, and how many it has scored."""
    frames = list(_of_shares(run, "count_missing_scores", judge, retry_failures))
    return Counts(sum(int(frame["n"][0]) for frame in frames), sum(int(frame["n_there"][0]) for frame in frames))


def stream_missing(run: Run, judge: str, retry_failures: bool) -> Generator[pl.DataFrame, None, None]:
    """Stream the conversations that the judge has not scored, in frames of at most CHUNK_ROWS."""
    return read_ahead(_of_shares(run, "missing_scores", judge, retry_failures))


def read_ahead(frames: Generator[pl.DataFrame, None, None]) -> Generator[pl.DataFrame, None, None]:
    """Yield the same frames, each read while the caller works on the one before: the statement of a share takes a while."""
    with closing(frames), ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = thread.submit(next, frames, None)
            yield frame


def _of_shares(run: Run, statement: str, judge: str, retry_failures: bool) -> Generator[pl.DataFrame, None, None]:
    """Stream a statement's rows over the run as it is now, one share of the prompts after the other."""
    with run.snapshot() as snapshot:
        n_shares = 1 + int(snapshot.query("SELECT count(*) AS n FROM responses")["n"][0]) // SHARE_ROWS
        for share in range(n_shares):
            params = {"judge": judge, "retry_failures": retry_failures, "share": share, "n_shares": n_shares}
            yield from snapshot.stream(load_sql(f"missing/{statement}"), params, CHUNK_ROWS)


def conversations(frame: pl.DataFrame) -> Rows:
    """Return the rows of a worker's batch, longest first: rows of similar length are neighbours, so little of a batch is
    padding."""
    turns = pl.col("messages").list.eval(pl.element().struct.field("content").str.len_bytes()).list.sum()
    size = pl.col("text").str.len_bytes() + turns
    return [conversation(row) for row in frame.sort(size, descending=True).to_dicts()]


def conversation(row: Row) -> Row:
    """Return a row of missing_scores.sql with its answer as the last message."""
    answer = {"role": "assistant", "content": row["text"]}
    return {"response_ids": row["response_ids"], "messages": [*row["messages"], answer]}
