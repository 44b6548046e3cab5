"""A stretch of imported responses as columns: what imported.py makes of rows one by one, of thousands at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from datakit.client import read_content
from datakit.collect.reading import Known
from datakit.collect.stretches import INTEGERS
from datakit.recipe import ResponsesSource
from datakit.tables import IMPORTED, Row, Rows, make_response_id
from datakit.tables.answers import MAY_THINK, Parts, join
from datakit.tables.compared import compared
from datakit.tables.residue import find_residue

OF_PROMPT = ("prompt_id", "prompt", "messages", "reference", "solution", "test_style", "entry_point")
"""What a row says of its prompt."""


def is_plain(frame: pl.DataFrame, source: ResponsesSource, with_scores: bool) -> bool:
    """Whether no row has to be dropped, or to be looked at by itself, for what it says of its response."""
    if not of_prompts(frame).width:
        return False
    if source.model is None and ("model" not in frame.columns or not (frame["model"] != "").fill_null(False).all()):
        return False
    if any((frame[column] < 0).any() for column in INTEGERS if column in frame.columns):
        return False
    return not with_scores or "score" not in frame.columns or bool(frame["score"].is_finite().all())


def keys_of(frame: pl.DataFrame) -> list[int]:
    """For each row a hash of what it says of its prompt."""
    found: list[int] = of_prompts(frame).hash_rows().to_list()
    return found


def of_prompts(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that say something of a prompt."""
    return frame.select(column for column in OF_PROMPT if column in frame.columns)


def as_rows(frame: pl.DataFrame) -> Rows:
    """Without what is null."""
    return [{column: value for column, value in row.items() if value is not None} for row in frame.iter_rows(named=True)]


def make_responses(frame: pl.DataFrame, models: Sequence[str], known: Sequence[Known], indexes: Sequence[int]) -> pl.DataFrame:
    """The rows of responses, those with neither text nor thought included."""
    texts, thoughts, forms = _parts(frame)
    measured = [compared(text) for text in texts]
    ids = [
        make_response_id(one.messages_digest, model, None, IMPORTED, index, one.prompt_id if one.shares_messages else None)
        for one, model, index in zip(known, models, indexes, strict=True)
    ]
    counted = [column for column in ("seed", "n_prompt_tokens", "n_tokens", "finish_reason") if column in frame.columns]
    columns: dict[str, Any] = {
        "response_id": ids,
        "prompt_id": [one.prompt_id for one in known],
        "model": models,
        "revision": pl.Series([None] * len(ids), dtype=pl.String),
        "sampling": pl.Series([IMPORTED] * len(ids), dtype=pl.String),
        "sample_index": indexes,
        "text": pl.Series(texts, dtype=pl.String),
        "reasoning": pl.Series(thoughts, dtype=pl.String),
        "reasoning_form": pl.Series(forms, dtype=pl.String),
        "messages_digest": [one.messages_digest for one in known],
        "n_chars": pl.Series([n_chars for n_chars, _ in measured], dtype=pl.Int64),
        "text_hash": pl.Series([text_hash for _, text_hash in measured], dtype=pl.UInt64),
        "residue": pl.Series([find_residue(*parts) for parts in zip(texts, thoughts, strict=True)], dtype=pl.String),
    }
    return pl.DataFrame(columns | {column: frame[column] for column in counted})


def _parts(frame: pl.DataFrame) -> tuple[list[str | None], list[str | None], list[str | None]]:
    """Answers, thoughts and their forms. Most texts have no thought, and are an answer as they are."""
    absent = pl.lit(None, dtype=pl.String)
    text = pl.col("text") if "text" in frame.columns else absent
    thought = pl.col("reasoning") if "reasoning" in frame.columns else absent
    apart = text.str.contains(MAY_THINK).fill_null(False) | thought.is_not_null()
    given = frame.select(text=text, reasoning=thought, apart=apart)
    texts: list[str | None] = [text if text and not text.isspace() else None for text in given["text"].to_list()]
    thoughts: list[str | None] = [None] * len(texts)
    forms = list(thoughts)
    for at in given["apart"].arg_true().to_list():
        parts = parts_of({"content": given["text"][at], "reasoning": given["reasoning"][at]})
        texts[at], thoughts[at], forms[at] = parts
    return texts, thoughts, forms


def parts_of(message: Row) -> Parts:
    """Thought and answer of a message with `content` and `reasoning`."""
    content = read_content({"message": message})
    return join(content.text, content.thinking, content.form)
