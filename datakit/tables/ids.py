"""How ids are made: whatever determines a row is hashed, so a changed setting makes new ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

ID_LENGTH = 24  # hex digits of SHA-256: 96 bits, so no collision is to be expected below 10^13 rows


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical_json(value: Any) -> str:
    """Return one spelling per value: sorted keys, no spaces, text unescaped."""
    return _encode(value)


def digest(*parts: str | None) -> str:
    """Return a stable id of the parts, in order; None counts as empty. sql/views/make_response_id.sql computes the same.

    >>> digest("a", "b") == digest("ab", "")
    False
    """
    return hashlib.sha256("\x1f".join([part or "" for part in parts]).encode()).hexdigest()[:ID_LENGTH]


def digest_of_messages(messages: Sequence[Mapping[str, object]]) -> str:
    """Return the digest of what models are asked, without a source's system prompt (which is part of `sampling`).

    It is the digest of the messages' canonical JSON (role and content of each), built here: the encoder takes twice the time.
    """
    turns = [f'{{"content":{_encode(message["content"])},"role":{_encode(message["role"])}}}' for message in messages]
    return digest(f"[{','.join(turns)}]")


def make_response_id(
    messages_digest: str, model: str, revision: str | None, sampling: str, sample_index: int, own_id: str | None = None
) -> str:
    """Return the id of a response, from the messages, the model and its revision, the sampling text and the sample's index.

    `sampling` is the source's canonical JSON, which includes its system prompt, or 'imported'. `own_id`: the prompt_id, if a
    response came with a prompt whose messages an earlier prompt has too.
    """
    own = () if own_id is None else (own_id,)
    return digest(messages_digest, model, revision, sampling, str(sample_index), *own)


def make_response_ids(rows: pl.DataFrame) -> pl.Series:
    """Return make_response_id of each row; the columns are named like its parameters."""
    parts = ("messages_digest", "model", "revision", "sampling", "sample_index")
    shared = pl.concat_str([pl.col(part).cast(pl.String).fill_null("") for part in parts], separator="\x1f")
    hashed = rows.select(pl.concat_str(shared, "own_id", separator="\x1f", ignore_nulls=True).cast(pl.Binary)).to_series()
    return pl.Series([hashlib.sha256(one).hexdigest()[:ID_LENGTH] for one in hashed.to_list()], dtype=pl.String)


def make_seed(response_id: str, attempt: int = 0) -> int:
    """Return the sampling seed of a response (31 bits), a function of its id and of the attempt, if copies are asked again."""
    return int(hashlib.sha256(f"{response_id}/{attempt}".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def fingerprint(folder: Path) -> str:
    """Return a revision for a model folder without a commit: a hash of names and contents (size and both ends if large)."""
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
