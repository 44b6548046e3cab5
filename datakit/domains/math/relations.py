r"""Turn inequalities into the intervals that they describe: `4 < m \le 8 or m > 10` is `(4,8]\cup(10,\infty)`."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from datakit.domains.math.values import value_of

_SIGN = re.compile(r"(<|>|\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|\\ne(?![a-zA-Z]))")
_OTHER_SIGN = re.compile(r"=|\\(?:in|equiv|subset)(?![a-zA-Z])")
_NAME = re.compile(r"(?:[a-zA-Z]|\\(?:theta|alpha|beta|lambda|mu))(?:_\{?\w+\}?)?")
_OR = re.compile(
    r"\s*(?:,?\s*\\(?:text|mathrm|mbox)\s*\{\s*,?\s*or\s*\}|\\lor(?![a-zA-Z])|\\vee(?![a-zA-Z])|(?<![a-zA-Z\\])or(?![a-zA-Z]))\s*"
)
_BUILDER = re.compile(r"\\\{\s*([^|:{}]{1,30}?)\s*(?:\\mid(?![a-zA-Z])|\\vert(?![a-zA-Z])|\||:)\s*(.+)\\\}", re.DOTALL)
_INTERVAL = re.compile(r"([(\[])\s*([^,]+?)\s*,\s*([^,]+?)\s*([)\]])")
_INFINITE = re.compile(r"([+-]?)\s*\\infty")
_MOST = 10  # pieces
End = tuple[int, Fraction, int]


class Described(NamedTuple):
    """The variable, and the interval or union of intervals that it may be in."""

    variable: str
    intervals: str


def without_builder(text: str) -> str:
    r"""Remove set-builder notation: `\{x \mid x > 2\}` becomes `x > 2`."""
    found = _BUILDER.fullmatch(text) if text.startswith("\\{") else None
    return found[2].strip() if found and _SIGN.search(found[2]) else text


def has_inequality(text: str) -> bool:
    return _SIGN.search(text) is not None


def described(text: str) -> Described | None:
    """Return the intervals of one variable that an inequality describes; None for anything else or more complicated."""
    if not _SIGN.search(text) or _OTHER_SIGN.search(text):
        return None
    pieces = _OR.split(text)
    if len(pieces) == 1 and "," in text:
        pieces = text.split(",")
    if len(pieces) > _MOST:
        return None
    found = [_piece(piece.strip()) for piece in pieces]
    known = [one for one in found if one]
    if len(known) < len(found) or len({one.variable for one in known}) != 1:
        return None
    if len(known) > 1 and _OR.search(text) is None and not _apart(known):
        return None  # a comma may mean "and"
    return Described(known[0].variable, r"\cup".join(one.intervals for one in known))


def merged(parts: list[str]) -> list[tuple[End, End]] | None:
    """Return intervals in order, merged where they meet; None if an end is not a number.

    An end is a number and the side of it on which the interval begins or ends: -1 below it, 1 above it.
    """
    found = [_interval(part) for part in parts]
    intervals = sorted(one for one in found if one and one[0] < one[1])
    if None in found or not intervals:
        return None
    grown = [intervals[0]]
    for low, high in intervals[1:]:
        if low <= grown[-1][1]:
            grown[-1] = grown[-1][0], max(high, grown[-1][1])
        else:
            grown.append((low, high))
    return grown


def _interval(text: str) -> tuple[End, End] | None:
    found = _INTERVAL.fullmatch(text)
    if found is None:
        point = value_of(text[2:-2].strip()) if text.startswith("\\{") and text.endswith("\\}") else None
        return ((0, point.number, -1), (0, point.number, 1)) if point else None
    low, high = _end(found[2], -1 if found[1] == "[" else 1), _end(found[3], 1 if found[4] == "]" else -1)
    return (low, high) if low and high else None


def _end(text: str, side: int) -> End | None:
    if infinite := _INFINITE.fullmatch(text):
        return (-1 if infinite[1] == "-" else 1), Fraction(0), 0
    value = value_of(text)
    return (0, value.number, side) if value else None


def _piece(text: str) -> Described | None:
    sides = [side.strip() for side in _SIGN.split(text)]
    if not all(sides):
        return None
    if len(sides) == 3:
        left, sign, right = sides
        if _NAME.fullmatch(right) and not _NAME.fullmatch(left):
            left, sign, right = right, {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}.get(sign, sign), left
        if not _NAME.fullmatch(left):
            return None
        ends = {
            "<": rf"(-\infty,{right})", r"\le": rf"(-\infty,{right}]", ">": rf"({right},\infty)", r"\ge": rf"[{right},\infty)",
            r"\ne": rf"(-\infty,{right})\cup({right},\infty)",
        }  # fmt: skip
        return Described(left, ends[sign])
    if len(sides) != 5 or not _NAME.fullmatch(sides[2]):
        return None
    low, below, name, above, high = sides
    if below in (">", r"\ge") and above in (">", r"\ge"):
        low, below, above, high = (
            high,
            above.replace(">", "<").replace("ge", "le"),
            below.replace(">", "<").replace("ge", "le"),
            low,
        )
    if below not in ("<", r"\le") or above not in ("<", r"\le"):
        return None
    return Described(name, f"{'(' if below == '<' else '['}{low},{high}{')' if above == '<' else ']'}")


def _apart(pieces: list[Described]) -> bool:
    """Return whether the list consists of two rays that do not meet: x < -1, x > 3."""
    rays = sorted((one.intervals for one in pieces), key=lambda interval: not interval.startswith(r"(-\infty,"))
    if (
        len(rays) != 2
        or not rays[0].startswith(r"(-\infty,")
        or not rays[1].endswith(r",\infty)")
        or "cup" in rays[0] + rays[1]
    ):
        return False
    high, low = value_of(rays[0][len(r"(-\infty,") : -1]), value_of(rays[1][1 : -len(r",\infty)")])
    return high is not None and low is not None and high.number < low.number
