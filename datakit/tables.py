"""The tables of a run: their Polars schema, their key, and how ids are made.

One table is one folder of Parquet parts under the run. `prompts`, `sources`, `demos` and `pairs` are replaced whole; the
others only grow, so an id must say everything that determines its row: a changed temperature, verifier or judge makes new
ids. `sources` says which responses the current recipe wants: model, revision and sampling, sample_index below n; `judges`
whose scores.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

import polars as pl

ID_LENGTH = 24  # hex digits of SHA-256: 96 bits, no collision to expect below 10^13 rows
IMPORTED = "imported"  # `sampling` of a response that came with a dataset
Outcome = Literal["passed", "failed", "timeout", "error", "unparseable", "unverifiable"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Phase = Literal["sft", "dpo"]
EXPORTED: dict[Phase, str] = {"sft": "demos", "dpo": "pairs"}
"""The table that the folder of a phase is made from."""


class Message(TypedDict):
    """One turn of a conversation, as OpenAI's API and TRL write it."""

    role: str
    content: str


Messages = list[Message]
Row = dict[str, Any]
Rows = list[Row]

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
    dropped: str | None = None


@dataclass(frozen=True)
class Table:
    """One table: the columns that identify a row, and the type of every column."""

    key: tuple[str, ...]
    schema: Mapping[str, Any]

    def frame(self, rows: Sequence[Mapping[str, Any]] = ()) -> pl.DataFrame:
        """Rows as a typed frame, columns in the table's order; a column that a row leaves out is null."""
        columns = {name: pl.Series(name, [row.get(name) for row in rows], dtype=dtype) for name, dtype in self.schema.items()}
        return pl.DataFrame(columns)


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
            "dropped": pl.String,
        },
    ),
    "sources": Table(
        ("model", "revision", "sampling"),
        {
            "model": pl.String,
            "revision": pl.String,
            "sampling": pl.String,
            "type": pl.String,
            "n": pl.Int64,
        },
    ),
    "judges": Table(("judge",), {"judge": pl.String, "type": pl.String}),
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
            "finish_reason": pl.String,
            "n_prompt_tokens": pl.Int64,
            "n_tokens": pl.Int64,
            "latency_s": pl.Float64,
        },
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
    ),
    "demos": Table(
        ("prompt_id",),
        {"prompt_id": pl.String, "response_id": pl.String, "score": pl.Float64},
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
        },
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
    ),
}


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, text as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def finite(value: Any) -> Any:
    """The same without numbers that JSON does not know: NaN and infinity become None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def digest(*parts: str | None) -> str:
    """A stable id of the parts, in order; None counts as empty. sql/views/make_response_id.sql computes the same.

    >>> digest("a", "b") == digest("ab", "")
    False
    """
    return hashlib.sha256("\x1f".join(part or "" for part in parts).encode()).hexdigest()[:ID_LENGTH]


def digest_of_messages(messages: Messages) -> str:
    """What the models are asked, without a source's system prompt (that is part of `sampling`)."""
    return digest(canonical_json(messages))


def make_response_id(messages_digest: str, model: str, revision: str | None, sampling: str, sample_index: int) -> str:
    """What determines a response: the messages, the model and its revision, the sampling text and the sample's index.

    `sampling` is the source's canonical JSON with its system prompt in it, or 'imported'.
    """
    return digest(messages_digest, model, revision, sampling, str(sample_index))


def make_seed(response_id: str, attempt: int = 0) -> int:
    """The sampling seed of a response (31 bits): a function of its id, and of the attempt where copies are asked again."""
    return int(hashlib.sha256(f"{response_id}/{attempt}".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


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


def fingerprint(folder: Path) -> str:
    """A revision for a model folder that has no commit: its files' names and contents (of large files size and both ends)."""
    edge = 1 << 20
    hasher = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size = path.stat().st_size
        hasher.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            hasher.update(file.read(edge) if size > 64 * edge else file.read())
            if size > 64 * edge:
                file.seek(-edge, 2)
                hasher.update(file.read())
    return "local-" + hasher.hexdigest()[:12]
