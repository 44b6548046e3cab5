"""What is computed of responses when they are written, of many at once; compared.py and residue.py say what, of one."""

from __future__ import annotations

import struct
from hashlib import md5

import polars as pl

from datakit.tables.compared import WHITE_SPACE, compared_text
from datakit.tables.residue import find_residue, may_have_residue

MEASURED = ("n_chars", "text_hash", "residue")


def measured(responses: pl.DataFrame) -> pl.DataFrame:
    """The same with what each text and thought says of itself (MEASURED), whatever stood there."""
    text, reasoning = responses["text"], responses["reasoning"]
    kept = _compared_texts(text)
    hashes = pl.when(pl.col("text").is_not_null()).then(_hashes(kept))
    return responses.with_columns(
        n_chars=kept.str.len_chars().cast(pl.Int64), text_hash=hashes, residue=_residue(text, reasoning, kept)
    )


def _compared_texts(text: pl.Series) -> pl.Series:
    """compared_text of each. Most are that without white space around them; every end token ends alike."""
    kept = text.str.strip_chars(WHITE_SPACE)
    odd = (kept.str.contains("\r", literal=True) | kept.str.ends_with(">")).arg_true()
    return kept.scatter(odd, [compared_text(one) for one in text.gather(odd)]) if len(odd) else kept


def _hashes(kept: pl.Series) -> pl.Series:
    """The low 64 bits of the MD5 of each; of null those of no text."""
    texts = kept.fill_null("").cast(pl.Binary).to_list()
    digests = b"".join([md5(one, usedforsecurity=False).digest() for one in texts])
    return pl.Series(struct.unpack(f"<{2 * len(texts)}Q", digests)[1::2], dtype=pl.UInt64)


def _residue(text: pl.Series, reasoning: pl.Series, kept: pl.Series) -> pl.Series:
    """find_residue of each: it is asked where there may be some."""
    thoughtless = reasoning.str.contains(r"^[\s\x1c-\x1f]*$")
    odd = (may_have_residue(text, kept) | thoughtless.fill_null(False)).arg_true()
    found = [find_residue(*parts) for parts in zip(text.gather(odd), reasoning.gather(odd), strict=True)]
    none = pl.Series([None], dtype=pl.String).new_from_index(0, len(text))
    return none.scatter(odd, found) if found else none
