"""A stretch of imported responses as columns: what imported.py does with rows one by one, for thousands at once."""

from __future__ import annotations

import polars as pl

from datakit.client import read_content
from datakit.collect.stretches import INTEGERS
from datakit.recipe import ResponsesSource
from datakit.tables import IMPORTED, TABLES, Row, Rows, make_response_ids
from datakit.tables.answers import MAY_THINK, Parts, join

OF_PROMPT = ("prompt_id", "prompt", "messages", "knowledge", "reference", "solution", "test_style", "entry_point")
"""The columns that describe a row's prompt."""
NOT_BLANK = r"[^\s\x1c-\x1f]"
"""A pattern of Rust's regex for a character for which str.isspace is false."""


def is_plain(frame: pl.DataFrame, source: ResponsesSource, with_scores: bool) -> bool:
    """Return True if no row has to be dropped, or read by itself, because of its response."""
    if source.force_reasoning or not of_prompts(frame).width:
        return False
    if source.model is None and (
        "model" not in frame.columns or not frame["model"].str.contains(NOT_BLANK).fill_null(False).all()
    ):
        return False
    if any((frame[column] < 0).any() for column in INTEGERS if column in frame.columns):
        return False
    return not with_scores or "score" not in frame.columns or bool(frame["score"].is_finite().all())


def of_prompts(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that describe prompts."""
    return frame.select(column for column in OF_PROMPT if column in frame.columns)


def as_rows(frame: pl.DataFrame) -> Rows:
    """Return rows without their nulls."""
    return [{column: value for column, value in row.items() if value is not None} for row in frame.iter_rows(named=True)]


def make_responses(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of responses, including those with neither text nor thought.

    `rows` has model, sample_index, and of its prompts prompt_id, messages_digest and own_id (tables.make_response_id).
    """
    rows = rows.with_columns(revision=pl.lit(None, dtype=pl.String), sampling=pl.lit(IMPORTED))
    of_row = [column for column in rows.columns if column in TABLES["responses"].schema and column not in ("text", "reasoning")]
    return pl.concat([rows.select(of_row), _parts(rows)], how="horizontal").with_columns(response_id=make_response_ids(rows))


def _parts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return answers, thoughts and their forms. Most texts have no thought and are answers as they are."""
    absent = pl.lit(None, dtype=pl.String)
    text, thought = (pl.col(name) if name in rows.columns else absent for name in ("text", "reasoning"))
    apart = text.str.contains(MAY_THINK).fill_null(False) | thought.is_not_null()
    given = rows.select(text=text, reasoning=thought, apart=apart)
    at = given["apart"].arg_true()
    found = [parts_of({"content": content, "reasoning": beside}) for content, beside, _ in given[at].iter_rows()]
    answer = pl.when(pl.col("text").str.contains(NOT_BLANK)).then("text")
    parts = given.select(text=answer, reasoning=absent, reasoning_form=absent)
    if found:
        columns = zip(parts.columns, zip(*found, strict=True), strict=True)
        parts = parts.with_columns(parts[name].scatter(at, pl.Series(values, dtype=pl.String)) for name, values in columns)
    return parts


def parts_of(message: Row, forced: bool = False) -> Parts:
    """Return thought and answer of a message with `content` and `reasoning`."""
    content = read_content({"message": message})
    return join(content.text, content.thinking, content.form, forced=forced)
