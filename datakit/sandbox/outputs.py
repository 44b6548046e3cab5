"""Tests of style stdin: inputs and expected outputs, and the comparison of a printed text with the expected one."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import partial

_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?")


def read_cases(tests: str) -> list[tuple[str, str]] | str:
    """Return the inputs and expected outputs of style stdin, or what is wrong with them.

    JSON: [{"input": ..., "output": ...}, ...], or {"inputs": [...], "outputs": [...]}; an input of lines may be a list.
    """
    try:
        data = json.loads(tests)
        if isinstance(data, dict):
            pairs = list(zip(data["inputs"], data["outputs"], strict=True))
        else:
            pairs = [(case["input"], case["output"]) for case in data]
        cases = [(_text(given), _text(expected)) for given, expected in pairs]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return f"the tests are no list of inputs and outputs ({type(error).__name__}: {error})"
    return cases or "there are no tests"


def _text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    if not isinstance(value, str):
        raise TypeError(f"got {value!r:.60}")
    return value


def same_output(printed: str, expected: str, tolerance: float = 1e-6) -> bool:
    """Return whether texts are equal by line, ignoring spaces at line ends and blank lines at the end; numbers may be spelled
    differently.

    A number that is expected with a decimal point or an exponent matches within the tolerance, times the number if that is
    above 1.
    """
    left, right = ([line.split() for line in text.rstrip().splitlines()] for text in (printed, expected))
    return len(left) == len(right) and all(
        mine == wanted or (len(mine) == len(wanted) and all(map(partial(_same_word, tolerance), mine, wanted)))
        for mine, wanted in zip(left, right, strict=True)
    )


def _same_word(tolerance: float, left: str, right: str) -> bool:
    if left == right:
        return True
    if not (_NUMBER.fullmatch(left) and _NUMBER.fullmatch(right)):  # 0101 and 101 are different answers
        return False
    try:
        mine, wanted = Decimal(left), Decimal(right)
        if not wanted.is_finite() or not mine.is_finite():
            return False
        if not tolerance or ("." not in right and "e" not in right.lower()):
            return mine == wanted
        return abs(mine - wanted) <= Decimal(repr(tolerance)) * max(Decimal(1), abs(wanted))
    except (ArithmeticError, ValueError):
        return False
