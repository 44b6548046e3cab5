"""A stretch of imported responses as columns: what imported.py makes of rows one by one, of thousands at once."""

from __future__ import annotations

import polars as pl

from datakit.client import read_content
from datakit.collect.stretches import INTEGERS
from datakit.recipe import ResponsesSource
from datakit.tables import IMPORTED, TABLES, Row, Rows, make_response_ids
from datakit.tables.answers import MAY_THINK, Parts, join

OF_PROMPT = ("prompt_id", "prompt", "messages", "knowledge", "reference", "solution", "test_style", "entry_point")
"""What a row says of its prompt."""
NOT_BLANK = r"[^\s\x1c-\x1f]"
"""In a pattern of Rust's regex, what str.isspace is false of."""


def is_plain(frame: pl.DataFrame, source: ResponsesSource, with_scores: bool) -> bool:
    """Whether no row has to be dropped, or to be looked at by itself, for what it says of its response."""
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
    """The columns that say something of a prompt."""
    return frame.select(column for column in OF_PROMPT if column in frame.columns)


def as_rows(frame: pl.DataFrame) -> Rows:
    """Without what is null."""
    return [{column: value for column, value in row.items() if value is not None} for row in frame.iter_rows(named=True)]


def make_responses(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of responses, those with neither text nor thought included.

    `rows` has model, sample_index, and of their prompts prompt_id, messages_digest and own_id (tables.make_response_id).
    """
    rows = rows.with_columns(revision=pl.lit(None, dtype=pl.String), sampling=pl.lit(IMPORTED))
    of_row = [column for column in rows.columns if column in TABLES["responses"].schema and column not in ("text", "reasoning")]
    return pl.concat([rows.select(of_row), _parts(rows)], how="horizontal").with_columns(response_id=make_response_ids(rows))


def _parts(rows: pl.DataFrame) -> pl.DataFrame:
    """Answers, thoughts and their forms. Most texts have no thought, and are an answer as they are."""
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
    """Thought and answer of a message with `content` and `reasoning`."""
    content = read_content({"message": message})
    return join(content.text, content.thinking, content.form, forced=forced)
