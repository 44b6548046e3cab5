"""The compared text of an answer: two answers are copies if it is equal, and lengths are measured on it."""

from __future__ import annotations

import hashlib

COMPARED = "compared@2"
"""Its version, written in every part of responses that has all four columns (messages_digest, n_chars, text_hash, residue). In
parts without it they are computed on reading. A change in how texts are compared, or in residue, needs a new version."""

WHITE_SPACE = " \t\n\r\f\v"
END_TOKENS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>"),
    *("</s>", "<eos>", "<end_of_turn>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
)


def compared_text(text: str) -> str:
    """Return the text with LF as line ends, without outer white space and without end tokens at its end.

    sql/views/compared_text.sql computes the same.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.strip(WHITE_SPACE)
    while text.endswith(END_TOKENS):
        token = next(token for token in END_TOKENS if text.endswith(token))
        text = text.removesuffix(token).rstrip(WHITE_SPACE)
    return text


def compared(text: str | None) -> tuple[int, int] | tuple[None, None]:
    """Return `n_chars` and `text_hash`: the length of the compared text and the low 64 bits of its MD5; for None, two None."""
    if text is None:
        return None, None
    kept = compared_text(text)
    return len(kept), int.from_bytes(hashlib.md5(kept.encode(), usedforsecurity=False).digest()[8:], "little")
