"""Texts that repeat themselves: throughout, or at their end, when a model is caught in a loop.

One measure serves prompts and answers (`repetition`); an answer that ends in a loop is also residue, under a name of its own.
"""

from __future__ import annotations

import polars as pl

WINDOW = 10
"""Characters per window; the default of data-juicer's character_repetition_filter."""
_TAIL, _LONGEST_UNIT, _LEAST, _TIMES = 40, 400, 240, 4


def repetition(text: str) -> float:
    """Return the share of a text's windows of ten characters that occurred in it before; 1 if it ends in a loop.

    >>> round(repetition("abcdefghij" * 3), 3), repetition("A long answer, and then: " + "so 2. " * 50)
    (0.524, 1.0)
    """
    if loops(text):
        return 1.0
    n = len(text) - WINDOW + 1
    return 1 - len({text[at : at + WINDOW] for at in range(n)}) / n if n > 0 else 0.0


def loops(text: str) -> bool:
    """Return True if it ends with a passage of at most 400 characters at least four times in a row, 240 characters in all.

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
    """Return an expression that is false only if `loops` is: the end of the text occurred shortly before."""
    end = text.str.slice(-_TAIL - _LONGEST_UNIT, _TAIL + _LONGEST_UNIT - 1)
    return (text.str.len_chars() >= _LEAST) & end.str.contains(text.str.tail(_TAIL), literal=True)
