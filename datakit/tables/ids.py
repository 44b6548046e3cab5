"""How ids are made: what determines a row is hashed, so that a changed setting makes new ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

ID_LENGTH = 24  # hex digits of SHA-256: 96 bits, no collision to expect below 10^13 rows


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, text as it is."""
    return _encode(value)


def digest(*parts: str | None) -> str:
    """A stable id of the parts, in order; None counts as empty. sql/views/make_response_id.sql computes the same.

    >>> digest("a", "b") == digest("ab", "")
    False
    """
    return hashlib.sha256("\x1f".join([part or "" for part in parts]).encode()).hexdigest()[:ID_LENGTH]


def digest_of_messages(messages: Sequence[Mapping[str, object]]) -> str:
    """What the models are asked, without a source's system prompt (that is part of `sampling`).

    It is that of their canonical JSON (a message has a role and a content), spelled here: the encoder takes twice as long.
    """
    turns = [f'{{"content":{_encode(message["content"])},"role":{_encode(message["role"])}}}' for message in messages]
    return digest(f"[{','.join(turns)}]")


def make_response_id(
    messages_digest: str, model: str, revision: str | None, sampling: str, sample_index: int, own_id: str | None = None
) -> str:
    """What determines a response: the messages, the model and its revision, the sampling text and the sample's index.

    `sampling` is the source's canonical JSON with its system prompt in it, or 'imported'. `own_id`: the prompt_id, where a
    response came with a prompt whose messages an earlier one has, too.
    """
    own = () if own_id is None else (own_id,)
    return digest(messages_digest, model, revision, sampling, str(sample_index), *own)


def make_response_ids(rows: pl.DataFrame) -> pl.Series:
    """make_response_id of each row; the columns are called as its parameters are."""
    parts = ("messages_digest", "model", "revision", "sampling", "sample_index")
    shared = pl.concat_str([pl.col(part).cast(pl.String).fill_null("") for part in parts], separator="\x1f")
    hashed = rows.select(pl.concat_str(shared, "own_id", separator="\x1f", ignore_nulls=True).cast(pl.Binary)).to_series()
    return pl.Series([hashlib.sha256(one).hexdigest()[:ID_LENGTH] for one in hashed.to_list()], dtype=pl.String)


def make_seed(response_id: str, attempt: int = 0) -> int:
    """The sampling seed of a response (31 bits): a function of its id, and of the attempt where copies are asked again."""
    return int(hashlib.sha256(f"{response_id}/{attempt}".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


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
