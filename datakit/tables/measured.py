"""Columns that are computed from many responses when they are written; compared.py and residue.py define them for one."""

from __future__ import annotations

import struct
from hashlib import md5

import polars as pl

from datakit.tables.compared import WHITE_SPACE, compared_text
from datakit.tables.residue import find_residue, may_have_residue

MEASURED = ("n_chars", "text_hash", "residue")


def measured(responses: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the columns that derive from text and thought (MEASURED), replacing any such columns."""
    text, reasoning = responses["text"], responses["reasoning"]
    kept = _compared_texts(text)
    hashes = pl.when(pl.col("text").is_not_null()).then(_hashes(kept))
    return responses.with_columns(
        n_chars=kept.str.len_chars().cast(pl.Int64), text_hash=hashes, residue=_residue(text, reasoning, kept)
    )


def _compared_texts(text: pl.Series) -> pl.Series:
    """Return compared_text of each. For most that is the text without outer white space; all end tokens end in ">"."""
    kept = text.str.strip_chars(WHITE_SPACE)
    odd = (kept.str.contains("\r", literal=True) | kept.str.ends_with(">")).arg_true()
    return kept.scatter(odd, [compared_text(one) for one in text.gather(odd)]) if len(odd) else kept


def _hashes(kept: pl.Series) -> pl.Series:
    """Return the low 64 bits of the MD5 of each text; of a null, those of the empty text."""
    texts = kept.fill_null("").cast(pl.Binary).to_list()
    digests = b"".join([md5(one, usedforsecurity=False).digest() for one in texts])
    return pl.Series(struct.unpack(f"<{2 * len(texts)}Q", digests)[1::2], dtype=pl.UInt64)


def _residue(text: pl.Series, reasoning: pl.Series, kept: pl.Series) -> pl.Series:
    """Return find_residue of each, which is called only for texts that may have some."""
    thoughtless = reasoning.str.contains(r"^[\s\x1c-\x1f]*$")
    odd = (may_have_residue(text, kept) | thoughtless.fill_null(False)).arg_true()
    found = [find_residue(*parts) for parts in zip(text.gather(odd), reasoning.gather(odd), strict=True)]
    none = pl.Series([None], dtype=pl.String).new_from_index(0, len(text))
    return none.scatter(odd, found) if found else none
