"""The tables of a run: their Polars schema and their key.

One table is one folder of Parquet parts under the run. `prompts`, `overlaps`, `notes`, `sources`, `readings`, `demos` and
`pairs` are replaced whole; the others only grow, so an id must say everything that determines its row: a changed temperature,
verifier or judge makes new ids. `sources` says which responses the current recipe wants: model, revision and sampling, of
which prompts, sample_index below n; and which finish reasons mean complete, beside those that always do. `judges` says whose
scores. `judgements` are what chat models said of two answers, or of one beside its reference; read as scores they are part
of `scores`. `overlaps` says what a prompt met that is dropped by curation or comes near to a benchmark: the item or the other
prompt, how much of it, and the text in common. `notes` says what was met in the inputs. `flags` says what people think of a
prompt, a response or a pair. Of a response `text` is the answer, null where its thought (`reasoning`) was not followed by one.
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

IMPORTED = "imported"  # `sampling` of a response that came with a dataset
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
"""What a flag can be of, and the columns that name it."""
EXPORTED: dict[Phase, str] = {"sft": "demos", "dpo": "pairs"}
"""The table that the folder of a phase is made from."""


class Message(TypedDict):
    """One turn of a conversation, as OpenAI's API and TRL write it."""

    role: str
    content: str


Messages = list[Message]
Row = dict[str, Any]
Rows = list[Row]

ASKS = pl.Struct({"column": pl.String, "values": pl.List(pl.String), "others": pl.Boolean})
"""Of a source, the prompts that are asked with this sampling: those whose `column` has one of the values, or (`others`) none of
them. Null: all."""
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


@dataclass(frozen=True)
class Prompt:
    """A row of `prompts`; `dropped` says why it is left out of everything that follows, or is None."""

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
    """An earlier prompt asks the same: the ids of answers that came with this one carry its prompt_id."""
    labels: str | None = None
    """The columns that curation looks at, as JSON: {"task_category": "Math"}."""

    @cached_property
    def messages_digest(self) -> str:
        """What tells its messages from those of other prompts."""
        return digest_of_messages(self.messages)


@dataclass(frozen=True)
class Item:
    """A question of a benchmark, which no prompt may be."""

    benchmark: str
    item_id: str
    texts: tuple[str, ...]
    """Each is compared with prompts by itself."""


@dataclass(frozen=True)
class Table:
    """One table: the columns that identify a row, the type of every column, and what a row is."""

    key: tuple[str, ...]
    schema: Mapping[str, Any]
    doc: str

    def frame(self, rows: Sequence[Mapping[str, Any]] = ()) -> pl.DataFrame:
        """Rows as a typed frame, columns in the table's order; a column that a row leaves out is null."""
        return pl.DataFrame([_series(name, [row.get(name) for row in rows], dtype) for name, dtype in self.schema.items()])


def _series(name: str, values: list[Any], dtype: Any) -> pl.Series:
    """A column; of lists and objects put together of the columns of their parts. TypeError for what is neither."""
    if isinstance(dtype, pl.List) and values:
        return _lists(name, values, dtype)
    if isinstance(dtype, pl.Struct):
        return _structs(name, values, dtype)
    return pl.Series(name, values, dtype=dtype)


def _lists(name: str, values: list[Any], dtype: pl.List) -> pl.Series:
    """By their ends: pyarrow's `array` goes from value to value, and imports pandas where there is one."""
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
        "What models are asked, with its gold answer or tests; `dropped` says why it is left out of all that follows.",
    ),
    "overlaps": Table(
        ("prompt_id", "reason", "met"),
        {"prompt_id": pl.String, "reason": pl.String, "met": pl.String, "share": pl.Float64, "text": pl.String},
        "What a prompt met that curation dropped or found near: an item of a benchmark or another prompt.",
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
        "Whose responses the current recipe wants: n a prompt, with this model, revision and sampling.",
    ),
    "judges": Table(
        ("judge",),
        {"judge": pl.String, "type": pl.String},
        "Whose scores the current recipe wants.",
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
        "What a verifier found of a response: passed, failed, timeout, error, unparseable or unverifiable.",
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
        "What a judge said of two responses in this order (`value`: its preference for the first), or of one (its grade).",
    ),
    "demos": Table(
        ("prompt_id", "response_id"),
        {"prompt_id": pl.String, "response_id": pl.String, "score": pl.Float64},
        "The responses that serve SFT.",
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
        "How a model reads a text: its tokens, the byte where each ends, and for each the likeliest tokens in its place.",
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
        "Who reads texts by the current recipe, and the bytes of each of its tokens in hex, by their ids.",
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
        "Each attempt at a row that could not be made; `key` is the id of the row that is missing.",
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
        "What people said of a prompt, a response or a pair; only added to.",
    ),
}


def finite(value: Any) -> Any:
    """The same without numbers that JSON does not know: NaN and infinity become None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_json(value: object) -> str:
    """JSON of one value; numbers that it does not know become null."""
    return json.dumps(finite(value), ensure_ascii=False, indent=2, default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    """JSON of what DuckDB gives beyond it: sums are decimals, times are times."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def failure_row(
    stage: str, key: str, source: str, error: str, message: str | None, attempts: int = 1, permanent: bool = True
) -> Row:
    """A row of `failures`, now."""
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
