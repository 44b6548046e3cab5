"""The tables of a run: their Polars schema and their key.

A table is a folder of Parquet parts in the run folder. `prompts`, `overlaps`, `notes`, `sources`, `readings`, `demos` and
`pairs` are replaced whole; the others only grow, so an id must cover all that determines its row: a changed temperature,
verifier or judge makes new ids. `sources` says which responses the current recipe wants: model, revision and sampling, for
which prompts, sample_index below n; and which finish reasons mean complete, in addition to those that always do. `judges`
says whose scores. `judgements` are what chat models said about two answers, or about one beside its reference; read as scores
they are part of `scores`, as is what a judge counts of the verdicts of the `verifier` that `judges` names. `overlaps` says why
curation dropped a prompt, or what benchmark item it comes near to: the item or the other prompt, the share in common, and the
text in common. `notes` says what was found in the inputs. `flags` says what people think of a prompt, a response or a pair.
The `text` of a response is the answer, null if its thought (`reasoning`) was never followed by one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, TypedDict, get_args

import polars as pl

from datakit.tables.ids import digest_of_messages

IMPORTED = "imported"  # the `sampling` of a response that came with a dataset
Outcome = Literal["passed", "failed", "timeout", "error", "unparseable", "unverifiable"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Phase = Literal["sft", "dpo"]
Flag = Literal["exclude", "keep", "note", "clear"]
FLAGS: tuple[Flag, ...] = get_args(Flag)
Target = Literal["prompt", "response", "pair"]
FLAGGED: dict[Target, tuple[str, ...]] = {
    "prompt": ("prompt_id",),
    "response": ("response_id",),
    "pair": ("chosen_id", "rejected_id"),
}
"""The kinds of things that can be flagged, and the columns that identify each."""
EXPORTED: dict[Phase, str] = {"sft": "demos", "dpo": "pairs"}
"""The table from which the folder of a phase is made."""


class Message(TypedDict):
    """One turn of a conversation, in the format of OpenAI's API and TRL."""

    role: str
    content: str


Messages = list[Message]
Row = dict[str, Any]
Rows = list[Row]

ASKS = pl.Struct({"column": pl.String, "values": pl.List(pl.String), "others": pl.Boolean})
"""The prompts that a source asks with this sampling: those whose `column` has one of the values, or (`others`) none of them.
Null: all."""
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


@dataclass(frozen=True)
class Prompt:
    """A row of `prompts`; `dropped` is the reason why all later stages leave it out, or None."""

    prompt_id: str
    domain: str
    source: str
    messages: Messages
    reference: str | None = None
    solution: str | None = None
    test_style: str | None = None
    entry_point: str | None = None
    category: str | None = None
    dropped: str | None = None
    shares_messages: bool = False
    """True if an earlier prompt has the same messages: the ids of answers that came with this one contain its prompt_id."""
    labels: str | None = None
    """The columns that curation reads, as JSON: {"task_category": "Math"}."""

    @cached_property
    def messages_digest(self) -> str:
        """The digest by which its messages are told from those of other prompts."""
        return digest_of_messages(self.messages)


@dataclass(frozen=True)
class Item:
    """A question of a benchmark, which no prompt may repeat."""

    benchmark: str
    item_id: str
    texts: tuple[str, ...]
    """Each is compared with prompts separately."""


@dataclass(frozen=True)
class Table:
    """One table: the columns that identify a row, the type of every column, and a description of a row."""

    key: tuple[str, ...]
    schema: Mapping[str, Any]
    doc: str

    def frame(self, rows: Sequence[Mapping[str, Any]] = ()) -> pl.DataFrame:
        """Return rows as a typed frame, with the table's columns in order; a column that a row leaves out is null."""
        return pl.DataFrame([_series(name, [row.get(name) for row in rows], dtype) for name, dtype in self.schema.items()])


def _series(name: str, values: list[Any], dtype: Any) -> pl.Series:
    """Return a column; lists and structs are built from the columns of their parts. Raise TypeError for any other value."""
    if isinstance(dtype, pl.List) and values:
        return _lists(name, values, dtype)
    if isinstance(dtype, pl.Struct):
        return _structs(name, values, dtype)
    return pl.Series(name, values, dtype=dtype)


def _lists(name: str, values: list[Any], dtype: pl.List) -> pl.Series:
    """Return a column of lists, built from their ends: pyarrow's `array` goes value by value, and imports pandas if it can."""
    import pyarrow as pa

    _check_all(name, values, (list, tuple))
    ends = pl.Series([0, *accumulate(len(value or ()) for value in values)], dtype=pl.Int64)
    absent = pl.Series([value is None for value in values], dtype=pl.Boolean)
    parts = _series(name, [part for value in values if value is not None for part in value], dtype.inner)
    lists = pa.LargeListArray.from_arrays(ends.to_arrow(), parts.to_arrow(), mask=absent.to_arrow())
    return pl.Series(name, pl.from_arrow(lists), dtype=dtype)


def _structs(name: str, values: list[Any], dtype: pl.Struct) -> pl.Series:
    _check_all(name, values, (dict,))
    found = [
        _series(part.name, [None if value is None else value.get(part.name) for value in values], part.dtype)
        for part in dtype.fields
    ]
    given = pl.Series([value is not None for value in values], dtype=pl.Boolean)
    return pl.DataFrame(found).select(pl.when(given).then(pl.struct(pl.all())).alias(name)).to_series()


def _check_all(name: str, values: list[Any], kinds: tuple[type, ...]) -> None:
    for value in values:
        if value is not None and not isinstance(value, kinds):
            raise TypeError(f"{name}: a {kinds[0].__name__} is expected, not {value!r:.60}")


TABLES: dict[str, Table] = {
    "prompts": Table(
        ("prompt_id",),
        {
            "prompt_id": pl.String,
            "domain": pl.String,
            "source": pl.String,
            "messages": MESSAGES,
            "messages_digest": pl.String,
            "reference": pl.String,
            "reference_digest": pl.String,
            "solution": pl.String,
            "test_style": pl.String,
            "entry_point": pl.String,
            "category": pl.String,
            "dropped": pl.String,
            "shares_messages": pl.Boolean,
            "labels": pl.String,
        },
        "What models are asked, with its gold answer or tests; `dropped` is the reason why later stages leave it out.",
    ),
    "overlaps": Table(
        ("prompt_id", "reason", "met"),
        {"prompt_id": pl.String, "reason": pl.String, "met": pl.String, "share": pl.Float64, "text": pl.String},
        "Why curation dropped a prompt or found it near: the benchmark item or the other prompt that it matches.",
    ),
    "sources": Table(
        ("model", "revision", "sampling"),
        {
            "model": pl.String,
            "revision": pl.String,
            "sampling": pl.String,
            "type": pl.String,
            "n": pl.Int64,
            "complete": pl.List(pl.String),
            "residue": pl.String,
            "asks": ASKS,
        },
        "The sources whose responses the current recipe wants: n per prompt, with this model, revision and sampling.",
    ),
    "judges": Table(
        ("judge",),
        {"judge": pl.String, "type": pl.String, "verifier": pl.String},
        "The judges whose scores the current recipe wants.",
    ),
    "notes": Table(
        ("things", "what"),
        {"things": pl.String, "what": pl.String, "n": pl.Int64, "first": pl.String},
        "What was met in the inputs when they were last read, with how often: rows that were left out, by reason, and others.",
    ),
    "responses": Table(
        ("response_id",),
        {
            "response_id": pl.String,
            "prompt_id": pl.String,
            "model": pl.String,
            "revision": pl.String,
            "sampling": pl.String,
            "sample_index": pl.Int64,
            "seed": pl.Int64,
            "text": pl.String,
            "reasoning": pl.String,
            "reasoning_form": pl.String,
            "messages_digest": pl.String,
            "n_chars": pl.Int64,
            "text_hash": pl.UInt64,
            "residue": pl.String,
            "finish_reason": pl.String,
            "n_prompt_tokens": pl.Int64,
            "n_tokens": pl.Int64,
            "n_reasoning_tokens": pl.Int64,
            "latency_s": pl.Float64,
        },
        "A model's answer (`text`) and the thought before it (`reasoning`); also those that the recipe no longer wants.",
    ),
    "verdicts": Table(
        ("response_id", "verifier", "reference_digest"),
        {
            "response_id": pl.String,
            "verifier": pl.String,
            "reference_digest": pl.String,
            "outcome": pl.String,
            "extracted": pl.String,
            "detail": pl.String,
            "duration_s": pl.Float64,
        },
        "A verifier's finding on a response: passed, failed, timeout, error, unparseable or unverifiable.",
    ),
    "scores": Table(
        ("response_id", "judge"),
        {
            "response_id": pl.String,
            "judge": pl.String,
            "score": pl.Float64,
            "objectives": pl.List(pl.Float64),
            "n_tokens_cut": pl.Int64,
        },
        "A judge's score of a response.",
    ),
    "judgements": Table(
        ("judgement_id",),
        {
            "judgement_id": pl.String,
            "judge": pl.String,
            "first_id": pl.String,
            "second_id": pl.String,
            "reference_digest": pl.String,
            "value": pl.Float64,
            "verdict": pl.String,
            "text": pl.String,
            "n_prompt_tokens": pl.Int64,
            "n_tokens": pl.Int64,
        },
        "What a judge said about two responses in this order (`value`: its preference for the first), or one (its grade).",
    ),
    "demos": Table(
        ("prompt_id", "response_id"),
        {"prompt_id": pl.String, "response_id": pl.String, "score": pl.Float64},
        "The responses selected for SFT.",
    ),
    "pairs": Table(
        ("prompt_id", "model"),
        {
            "prompt_id": pl.String,
            "model": pl.String,
            "rejected_model": pl.String,
            "chosen_id": pl.String,
            "rejected_id": pl.String,
            "margin": pl.Float64,
            "log_length_ratio": pl.Float64,
            "judge": pl.String,
            "chosen_score": pl.Float64,
            "rejected_score": pl.Float64,
            "length_slope": pl.Float64,
            "source_chosen_id": pl.String,
            "source_chosen_score": pl.Float64,
        },
        "A chosen and a rejected response for DPO; log_length_ratio is ln(chosen / rejected characters).",
    ),
    "distributions": Table(
        ("text_id", "model", "revision", "reading"),
        {
            "text_id": pl.String,
            "model": pl.String,
            "revision": pl.String,
            "reading": pl.String,
            "token_ids": pl.List(pl.UInt32),
            "ends": pl.List(pl.UInt32),
            "token_logprobs": pl.List(pl.Float32),
            "top_ids": pl.List(pl.UInt32),
            "top_logprobs": pl.List(pl.Float32),
            "n_bytes": pl.Int64,
            "nll": pl.Float64,
        },
        "How a model reads a text: its tokens, the byte where each ends, and the likeliest tokens at each place.",
    ),
    "readings": Table(
        ("model", "revision", "reading"),
        {
            "model": pl.String,
            "revision": pl.String,
            "reading": pl.String,
            "is_pivot": pl.Boolean,
            "by_author": pl.Boolean,
            "token_hex": pl.List(pl.String),
        },
        "The models that read texts in the current recipe, and the bytes of each of their tokens, in hex, by token id.",
    ),
    "failures": Table(
        ("stage", "key"),
        {
            "stage": pl.String,
            "key": pl.String,
            "source": pl.String,
            "error": pl.String,
            "message": pl.String,
            "attempts": pl.Int64,
            "permanent": pl.Boolean,
            "at": pl.Datetime("us", "UTC"),
        },
        "Each failed attempt to make a row; `key` is the id of the missing row.",
    ),
    "flags": Table(
        ("target", "prompt_id", "response_id", "chosen_id", "rejected_id", "who"),
        {
            "target": pl.String,
            "prompt_id": pl.String,
            "response_id": pl.String,
            "chosen_id": pl.String,
            "rejected_id": pl.String,
            "flag": pl.String,
            "note": pl.String,
            "who": pl.String,
            "at": pl.Datetime("us", "UTC"),
        },
        "What people said about a prompt, a response or a pair; rows are only added.",
    ),
}


def finite(value: Any) -> Any:
    """Return the value with NaN and infinity, which JSON does not know, replaced by None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(value: object) -> str:
    """Return the JSON of one value; NaN and infinity become null."""
    return json.dumps(finite(value), ensure_ascii=False, indent=2, default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    """Convert what DuckDB returns beyond JSON's types: decimals (sums) become numbers, times become text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def failure_row(
    stage: str, key: str, source: str, error: str, message: str | None, attempts: int = 1, permanent: bool = True
) -> Row:
    """Return a row of `failures`, dated now."""
    return {
        "stage": stage,
        "key": key,
        "source": source,
        "error": error,
        "message": message,
        "attempts": attempts,
        "permanent": permanent,
        "at": datetime.now(UTC),
    }
