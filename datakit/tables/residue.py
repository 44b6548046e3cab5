"""Residue: what templates, models and servers leave in an answer that should not be there.

It is detected when a response is written, and stored by its name; the text stays as it came. The tokens are those of the chat
templates of Llama 2 and 3, Qwen (ChatML), Gemma, Mistral, Phi, DeepSeek, and of Alpaca and Vicuna prompts.
"""

from __future__ import annotations

import re

import polars as pl

from datakit.tables.compared import END_TOKENS, WHITE_SPACE, compared_text
from datakit.tables.repetition import loops, may_loop

_ROLES = "(?:assistant|model|user|system)"
_HEADERS = "|".join(
    (
        rf"<\|im_start\|>{_ROLES}?",
        rf"(?:<\|begin_of_text\|>)?<\|start_header_id\|>{_ROLES}?(?:<\|end_header_id\|>)?",
        rf"<\|{_ROLES}\|>",
        rf"<start_of_turn>{_ROLES}?",
        r"\[/?INST\]|<</?SYS>>|<s>|<bos>",
        "<\uff5c(?:Assistant|User|begin\u2581of\u2581sentence)\uff5c>",
        r"#{2,3} ?(?:Response|Assistant|Instruction|Human|Input):",
    )
)
_ENDS = "|".join(re.escape(token) for token in END_TOKENS)
_SPACE = r"[ \t\n\r\f\x0b]*"  # RE2's \s has no vertical tab
LEADING = rf"^{_SPACE}(?:(?:{_HEADERS}|{_ENDS}|(?:assistant|ASSISTANT|Assistant:|ASSISTANT:){_SPACE}\n){_SPACE})+"
TRAILING = rf"{_SPACE}(?:(?:{_HEADERS}|{_ENDS}){_SPACE})+$"
"""Template tokens and role headers at both ends of a text, as patterns for RE2 too (in which `$` is the very end)."""

_INSIDE = re.compile(
    rf"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|eom_id|end_of_text|endoftext|begin_of_text|{_ROLES})\|>"
    "|<(?:start|end)_of_turn>|\\[/INST\\]|<<SYS>>|<\uff5c(?:Assistant|User|end\u2581of\u2581sentence)\uff5c>"
    r"|^### (?:Response|Assistant|Instruction|Human):",
    re.MULTILINE | re.ASCII,
)
_MARKS = ("<|", "_of_turn>", "[/INST]", "<<SYS>>", "<\uff5c", "\n### ")
"""Each match of _INSIDE contains one of these, or is at the very beginning. Searching for them, and first for their single
characters, is faster."""
_LEADING, _TRAILING = (re.compile(pattern, re.ASCII) for pattern in (LEADING, TRAILING))
_LAST = frozenset(">]:lmrt")
"""The last characters of tokens and headers."""
_REFUSAL = re.compile(
    r"(?:I(?:'|\u2019)m (?:really |very )?sorry|I am (?:really |very )?sorry|Sorry|I apologize|Unfortunately)\b[^.\n]{0,40}?"
    r"\bI(?:'|\u2019)?(?: am|m)? ?(?:can(?:'|\u2019|no)t|can not|cannot|not able to|unable to|won(?:'|\u2019)t)\b"
    r"|I (?:can(?:'|\u2019)t|cannot|can not|won(?:'|\u2019)t|am not able to|am unable to) "
    r"(?:assist|help|provide|comply|fulfill|answer|create|generate|engage|do that|discuss|support)\b"
    r"|As an AI(?: language)?(?: model)?, I (?:can(?:'|\u2019)t|cannot|am not able|am unable)\b",
)
_SIGNS = r"<\||<s>|</s>|<bos>|<eos>|<\x{FF5C}|_of_turn>|INST\]|SYS>>|(?:Response|Assistant|Instruction|Human|Input):"
_BEGINNINGS = rf"^(?:assistant|ASSISTANT|Assistant:|{_REFUSAL.pattern})"
"""Patterns of Rust's regex: a text with residue other than a loop matches _SIGNS or _BEGINNINGS."""


def find_residue(text: str | None, reasoning: str | None = None) -> str | None:
    """Return the residue of an answer, or None; the first of: `refusal`, `loop` (one passage over and over at its end),
    `template inside` (template tokens within it), `role header`, `end token` (at its ends: these can be stripped), `empty
    thought`."""
    if text is not None:
        kept = compared_text(text)
        if _REFUSAL.match(kept):
            return "refusal"
        if loops(kept):
            return "loop"
        bare = strip_residue(kept)
        if ("<" in bare or "[" in bare or "#" in bare) and any(mark in bare for mark in _MARKS) and _INSIDE.search(bare):
            return "template inside"
        if bare.strip(WHITE_SPACE) != kept:
            return "role header"
        if text.rstrip(WHITE_SPACE).endswith(END_TOKENS):
            return "end token"
    return "empty thought" if reasoning is not None and not reasoning.strip() else None


def may_have_residue(text: pl.Series, kept: pl.Series) -> pl.Series:
    """Return True for texts (`kept`: compared) that find_residue must see; the others have at most an empty thought."""
    one = pl.col("kept")
    may = pl.col("text").str.contains(_SIGNS) | one.str.contains(_BEGINNINGS) | may_loop(one)
    return pl.select(text=text, kept=kept).select(may.fill_null(False)).to_series()


def strip_residue(text: str) -> str:
    """Return the text without template tokens and role headers at both ends, and without the white space around these.

    sql/views/strip_residue.sql computes the same.
    """
    if found := _LEADING.match(text):  # `sub` would search for its beginning everywhere
        text = text[found.end() :]
    return _TRAILING.sub("", text) if text.rstrip()[-1:] in _LAST else text
