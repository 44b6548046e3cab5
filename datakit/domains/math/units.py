r"""Separate a value from its mark: a percent sign, a unit of measure, a base. Text in, the value's text and its mark out."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from datakit.domains.math.values import value_of

_MEASURES = {
    spelling: names.split()[0]
    for names in (
        "mm millimeter millimeters millimetre millimetres", "cm centimeter centimeters centimetre centimetres",
        "m meter meters metre metres", "km kilometer kilometers kilometre kilometres", "in inch inches", "ft foot feet",
        "yd yard yards", "mi mile miles", "mg milligram milligrams", "g gram grams", "kg kilogram kilograms",
        "lb lbs pound pounds", "oz ounce ounces", "ml milliliter milliliters", "l liter liters litre litres",
        "gal gallon gallons", "s second seconds sec secs", "minute minutes min mins", "h hour hours hr hrs", "day days",
        "week weeks", "month months", "year years", "cent cents", "dollar dollars", "euro euros", "degree degrees deg",
        "radian radians rad", "mph", "solarm", "solarl", "solarr", "am a.m.", "pm p.m.", "unit units",
        "mm 毫米", "cm 厘米", "m 米", "km 千米 公里", "g 克", "kg 千克 公斤", "h 小时", "minute 分钟", "s 秒", "yuan 元",
    )
    for spelling in names.split()
}  # fmt: skip
_SIZES = {
    **dict.fromkeys(("mm", "cm", "m", "km", "in", "ft", "yd", "mi"), "length"),
    **dict.fromkeys(("mg", "g", "kg"), "mass"), **dict.fromkeys(("oz", "lb"), "weight"),
    **dict.fromkeys(("ml", "l"), "volume"), **dict.fromkeys(("s", "minute", "h", "day", "week"), "time"),
    **dict.fromkeys(("cent", "dollar"), "money"),
}  # fmt: skip
_IN_UNITS = {
    name: Fraction(size)
    for name, size in {
        "mm": "1/1000", "cm": "1/100", "m": "1", "km": "1000", "in": "0.0254", "ft": "0.3048", "yd": "0.9144", "mi": "1609.344",
        "mg": "1/1000", "g": "1", "kg": "1000", "oz": "1", "lb": "16", "ml": "1/1000", "l": "1",
        "s": "1", "minute": "60", "h": "3600", "day": "86400", "week": "604800", "cent": "1/100", "dollar": "1",
    }.items()
}  # fmt: skip
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
_VALUES = re.compile(
    r"\b(?:sqrt|sin|cos|tan|log|ln|exp|mod|over|squared|cubed|factorial|dozen|hundred|thousand|million|billion|trillion"
    r"|infinity|times|plus|minus|and|or|half|thirds?|quarters?|to|by|choose|base|if|for|where|when|no|not)\b",
    re.IGNORECASE,
)
_DEGREES = re.compile(
    r"(.*\S)\s*\^\s*\{?\s*\\(?:circ|degree)\s*\}?\s*(?:\\(?:text|mathrm|mbox)\{\s*)?([CFK]?)\s*\}?", re.DOTALL
)
_POWER = r"(?:\s*\^\s*\{?\s*(?P<power>\d)\s*\}?)?"
_PERCENT = re.compile(r"\s*\\?%")
_BESIDE = re.compile(
    r"(?P<value>.*[\d})\]!]|.*\\[a-zA-Z]+)(?P<gap>\s*)(?P<words>[a-zA-Z\u4e00-\u9fff][a-zA-Z\u4e00-\u9fff./ -]*)"
    rf"{_POWER}",
    re.DOTALL,
)
_IN_TEXT = re.compile(rf"(?P<value>.*\S)\s*\\(?:text|mathrm|mbox|textrm)\s*\{{(?P<words>[^{{}}]*)\}}{_POWER}\s*", re.DOTALL)
_LETTERS = re.compile(r"[a-zA-Z\\]")
_BASE = re.compile(r"(-?[0-9a-zA-Z]*\d[0-9a-zA-Z]*)\s*_\s*\{?\s*\(?\s*(\d+|[a-z]+)\s*\)?\s*\}?", re.IGNORECASE)
_BASE_IN_WORDS = re.compile(r"(-?[0-9a-fA-F]*\d[0-9a-fA-F]*)\s*\(?(?:in )?base[ -]?(\d+|[a-z]+)\)?", re.IGNORECASE)
_NUMERALS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12}


class Measured(NamedTuple):
    """A value's text, and its unit in one spelling: None if it has none, or not a known measure (5 apples)."""

    value: str
    unit: str | None


def without_percent(text: str) -> tuple[str, bool]:
    """Return the text before a percent sign at its end, and whether there was one."""
    if not text.endswith("%"):
        return text, False
    return _PERCENT.sub("", text).strip(), True


def measured(text: str, beside_number: bool = False) -> Measured:
    """Remove the unit from the end of a cleaned text, also counted things (5 apples), but not words that are part of the value.

    5m may be five metres or a product; it counts as metres if the other side is a number (`beside_number`).
    """
    if "^" in text and (degrees := _DEGREES.fullmatch(text)):
        return Measured(degrees[1], f"degree {degrees[2]}".strip())
    if match := _IN_TEXT.fullmatch(text):
        plain = _VALUES.search(match["words"]) is None and any(sign.isalnum() for sign in match["value"])
        return Measured(match["value"].strip(), _unit(match["words"], match["power"])) if plain else Measured(text, None)
    match = _BESIDE.fullmatch(text)
    if match is None or _VALUES.search(match["words"]):
        return Measured(text, None)
    value, words, gap = match["value"].strip(), match["words"], bool(match["gap"])
    unit = _unit(words, match["power"])
    is_number = _LETTERS.search(match["value"]) is None or value_of(value) is not None
    # Outside \text words may be a unit, counted things or variables: 5 m, 5cm, 5 apples, not 5m.
    plainly = is_number + (len(words) > 1) + gap >= 2
    counted = is_number and (not words.isascii() or (len(words.split()[0]) > 2 and gap)) and not match["power"]
    is_unit = counted or (unit is not None and (plainly or beside_number))
    return Measured(value, unit) if is_unit else Measured(text, None)


def conversion(unit: str, into: str) -> Fraction | None:
    """Return the factor from one unit to another: 1000 for km into m; None if they measure different things."""
    (above, size), (below, other) = _size(unit), _size(into)
    return size / other if above and above == below else None


def _size(unit: str) -> tuple[list[tuple[str, int]], Fraction]:
    """Return what a unit measures (length squared, length per time) and its size; an empty list if that is unknown."""
    measures, size = [], Fraction(1)
    for at, part in enumerate(unit.split(" per ")):
        for word in part.split():
            name, _, power = word.partition("^")
            if name not in _SIZES:
                return [], Fraction(1)
            exponent = int(power or 1) * (-1 if at else 1)
            measures.append((_SIZES[name], exponent))
            size *= _IN_UNITS[name] ** exponent
    return sorted(measures), size


def with_base(text: str) -> tuple[str, int] | None:
    """Return the digits and the base of a number with a base: 1011_2, 1011_{two}, 1011 base 2; None without one."""
    match = _BASE.fullmatch(text) or _BASE_IN_WORDS.fullmatch(text)
    if match is None:
        return None
    base = int(match[2]) if match[2].isdigit() else _NUMERALS.get(match[2].lower())
    if base is None or not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in match[1].lstrip("-")):
        return None
    return match[1], base


def _unit(words: str, power: str | None) -> str | None:
    """Return one spelling for a unit: square centimeters and cm^2, miles per hour and mph; None if it is not a known
    measure."""
    if words.lower() == "mph":
        words = "miles per hour"
    found = []
    raised = ""
    for word in words.replace("/", " per ").replace("-", " ").split():
        lower = word.lower() if word.lower() in ("a.m.", "p.m.") else word.lower().rstrip(".")
        if lower in _POWERS:
            raised = _POWERS[lower]
        elif lower == "per":
            found.append("per")
        elif lower in _MEASURES:
            found.append(_MEASURES[lower] + (f"^{raised}" if raised else ""))
            raised = ""
        else:
            return None
    unit = " ".join(found) + (f"^{power}" if power and power != "1" else "")
    return unit or None
