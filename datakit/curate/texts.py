"""Prompts as curation compares them: the user's turns as tokens, and their runs of n tokens (grams) as numbers.

A token is a Han character, or a run of other letters, marks and digits, in lower case after NFKC. So spaces, punctuation and
full width make no difference, and Chinese needs no word segmentation.
"""

from __future__ import annotations

import polars as pl

TOKEN = r"\p{Han}|[\p{L}\p{M}\p{N}&&[^\p{Han}]]+"
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5, 0x85EBCA77C2B2AE63)
"""Odd 64-bit numbers, one per place in a gram, so that the order counts."""
_RUN = 3
"""Tokens per gram in `common_run`."""


def asked() -> pl.Expr:
    """Return the user's turns in the column `messages`, joined by line ends."""
    turn = pl.element().struct.field("content").filter(pl.element().struct.field("role") == "user")
    return pl.col("messages").list.eval(turn).list.join("\n")


def tokens(text: pl.Expr) -> pl.Expr:
    """Return a list of tokens per text."""
    return text.str.normalize("NFKC").str.to_lowercase().str.extract_all(TOKEN)


def masked(words: pl.Expr) -> pl.Expr:
    """Return the tokens with every run of digits as 0: equal for problems that differ only in numbers."""
    return words.list.eval(pl.element().str.replace_all(r"\p{N}+", "0"))


def numbers(words: pl.Expr) -> pl.Expr:
    """Return the runs of digits in the tokens, in order, as one text."""
    return words.list.join(" ").str.extract_all(r"\p{N}+").list.join(" ")


def grams(frame: pl.DataFrame, n: int) -> pl.DataFrame:
    """Return the distinct grams of each row: number (of the row, from its column) and gram (64 bits); none below n tokens.

    A gram has the same number within one process; two grams collide with a probability of about 1 in 10^19 per pair.
    """
    flat = frame.select("number", pl.col("tokens").alias("token")).explode("token").drop_nulls()
    flat = flat.with_columns(hashed=pl.col("token").hash())
    gram = pl.sum_horizontal(pl.col("hashed").shift(-at) * pl.lit(_MIX[at], pl.UInt64) for at in range(n))
    whole = pl.col("number") == pl.col("number").shift(1 - n)
    return flat.select("number", gram.alias("gram"), whole.alias("whole")).filter("whole").select("number", "gram").unique()


def common_run(words: list[str], others: list[str]) -> str:
    """Return the longest run of tokens in the first list all of whose grams occur in the second, as a text."""
    there = {tuple(others[at : at + _RUN]) for at in range(len(others) - _RUN + 1)}
    best, best_at, run = 0, 0, 0
    for at in range(len(words) - _RUN + 1):
        run = run + 1 if tuple(words[at : at + _RUN]) in there else 0
        if run > best:
            best, best_at = run, at
    return joined(words[best_at - best + 1 : best_at + _RUN]) if best else ""


def joined(words: list[str]) -> str:
    """Return tokens as a text to be read: Han characters are not separated by spaces."""
    text = ""
    for word in words:
        text += word if not text or (_is_han(text[-1]) and _is_han(word[0])) else f" {word}"
    return text


def _is_han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff" or "\U00020000" <= character <= "\U0003ffff"
