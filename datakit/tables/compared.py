"""What of a text is compared: two answers are copies where this is the same, and lengths are lengths of this."""

from __future__ import annotations

import hashlib

COMPARED = "compared@2"
"""Its version, in every part of responses that has all four columns (messages_digest, n_chars, text_hash, residue); of parts
without it they are computed as they are read. Texts that are compared otherwise, and other residue, have another one."""

WHITE_SPACE = " \t\n\r\f\v"
END_TOKENS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>"),
    *("</s>", "<eos>", "<end_of_turn>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
)


def compared_text(text: str) -> str:
    """The text with LF as its line ends, without white space at both ends and end tokens at its end.

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
    """`n_chars` and `text_hash` of a text: how long the compared text is, and the low 64 bits of its MD5. None of none."""
    if text is None:
        return None, None
    kept = compared_text(text)
    return len(kept), int.from_bytes(hashlib.md5(kept.encode(), usedforsecurity=False).digest()[8:], "little")
