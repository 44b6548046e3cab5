r"""Notations that only look like arithmetic: dates, telephone numbers, versions, scores, page ranges, clocks; and ratios.

They are compared as they are written: the score 3-2 is neither 1 nor 2-1. A reduced or expanded ratio is the same ratio.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from datakit.domains.math.spelling import unwrapped
from datakit.domains.math.values import value_of

_CHAIN = re.compile(r"\d+(?:([-/.])\d+)(?:\1\d+)+|\+?\d+(?:[- ]\d+){2,}")
_DATE = re.compile(r"(\d{1,4})[/.-](\d{1,2})[/.-](\d{1,4})")
_RANGE = re.compile(r"\d+( ?)-( ?)\d+")
_CLOCK = re.compile(r"(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d)?")
_RATIO_SIGN = re.compile(r"\s*:\s*|(?<=\d)\s+to\s+(?=\d)")
_MANY_DIVISIONS = re.compile(r"\d+/\d+/\d+")


class Notation(NamedTuple):
    """The kind of notation and the parts that are compared. `tight`: no blanks around the sign of a range, as in a score."""

    kind: Literal["chain", "range", "clock", "ratio"]
    parts: tuple[Fraction, ...]
    tight: bool = False


def notation_of(text: str) -> Notation | None:
    """Return the notation of a cleaned text that consists only of numbers and the signs between them, else None."""
    text = unwrapped(text)
    if not text[:1].isdigit() and not text.startswith(("+", "\\", "(")):
        return None
    if _CHAIN.fullmatch(text) and (not _MANY_DIVISIONS.fullmatch(text) or _is_date(text)):
        return Notation("chain", tuple(Fraction(part) for part in re.findall(r"\d+", text)))
    if between := _RANGE.fullmatch(text):
        return Notation("range", tuple(Fraction(part) for part in re.findall(r"\d+", text)), not between[1] + between[2])
    if _CLOCK.fullmatch(text):
        return Notation("clock", tuple(map(Fraction, text.split(":"))))
    terms = _RATIO_SIGN.split(text) if ":" in text or " to " in text else [text]
    values = [value_of(term) for term in terms]
    if len(terms) < 2 or not all(values):
        return None
    return Notation("ratio", tuple(value.number for value in values if value))


def decided_by_notation(gold: str, said: str) -> bool | None:
    """Return whether two texts, at least one of which is not arithmetic, say the same; None if arithmetic may decide."""
    left, right = notation_of(gold), notation_of(said)
    kinds = {one.kind for one in (left, right) if one}
    if not kinds:
        return None
    if "chain" in kinds:
        return left is not None and right is not None and left.parts == right.parts
    if left and right and left.kind == right.kind:
        return _proportional(left, right) if left.kind == "ratio" else left.parts == right.parts
    if left is None:  # only the answer has a notation: a difference or a ratio may mean its value
        return None if right and right.kind == "range" else _is_worth(right, gold)
    if left.kind == "range":
        return False if left.tight else None
    if right is None:
        return (False if value_of(said) else None) if left.kind == "clock" else _is_worth(left, said)  # 3:45 p.m.
    late = left if left.kind == "clock" else right
    if late.kind == "clock" and (len(late.parts) == 3 or late.parts[1] >= 10):  # 4:10 and 10:15:20 may be ratios
        return _proportional(left, right)
    return False


def _is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    return found is not None and sorted(map(int, found.groups()))[0] <= 12


def _proportional(left: Notation, right: Notation) -> bool:
    if len(left.parts) != len(right.parts) or not left.parts[0] or not right.parts[0]:
        return left.parts == right.parts
    factor = right.parts[0] / left.parts[0]
    return all(part * factor == other for part, other in zip(left.parts, right.parts, strict=True))


def _is_worth(ratio: Notation | None, text: str) -> bool | None:
    """Return whether a ratio equals a fraction: 2:3 is two thirds if that is written as a fraction."""
    value = value_of(text)
    if ratio is None or value is None:
        return None
    if len(ratio.parts) != 2 or not ratio.parts[1]:
        return False
    return value.number == ratio.parts[0] / ratio.parts[1]
