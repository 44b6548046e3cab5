"""Texts that say the same again and again: all over, or at their end, where a model came out of a loop no more.

One measure for prompts and answers (`repetition`); that an answer ends in a loop is also residue of its own name.
"""

from __future__ import annotations

import polars as pl

WINDOW = 10
"""Characters: what data-juicer's character_repetition_filter looks through."""
_TAIL, _LONGEST_UNIT, _LEAST, _TIMES = 40, 400, 240, 4


def repetition(text: str) -> float:
    """The share of a text's windows of ten characters that stood in it before; 1 where it ends in a loop.

    >>> round(repetition("abcdefghij" * 3), 3), repetition("A long answer, and then: " + "so 2. " * 50)
    (0.524, 1.0)
    """
    if loops(text):
        return 1.0
    n = len(text) - WINDOW + 1
    return 1 - len({text[at : at + WINDOW] for at in range(n)}) / n if n > 0 else 0.0


def loops(text: str) -> bool:
    """Whether it ends with a passage of at most 400 characters that stands there at least four times, 240 characters in all.

    >>> loops("So 2. " * 50), loops("-" * 100)
    (True, False)
    """
    n = len(text)
    at = text.rfind(text[-_TAIL:], max(0, n - _TAIL - _LONGEST_UNIT), n - 1) if n >= _LEAST else -1
    if at < 0:
        return False
    unit = n - _TAIL - at
    span = max(_TIMES * unit, _LEAST)
    return n >= span and text[n - span + unit :] == text[n - span : n - unit]


def may_loop(text: pl.Expr) -> pl.Expr:
    """Whether `loops` has to look: what it ends with stood there shortly before."""
    end = text.str.slice(-_TAIL - _LONGEST_UNIT, _TAIL + _LONGEST_UNIT - 1)
    return (text.str.len_chars() >= _LEAST) & end.str.contains(text.str.tail(_TAIL), literal=True)
