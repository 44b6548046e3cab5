"""Formulas and numbers in running text: "so the area is 120 cm^2", "thus $x <= 2$"."""

from __future__ import annotations

import re

_UNIT = (
    r"(?:(?:square|cubic|sq\.?|cu\.?)\s)?(?:mm|cm|km|mg|kg|ml|mL|mph|(?:kilo|centi|milli)?met(?:er|re)s?|(?:kilo|milli)?grams?"
    r"|(?:milli)?lit(?:er|re)s?|inch(?:es)?|feet|ft|yards?|yd|miles?|seconds?|minutes?|hours?|[mgLs](?=[\^²³/]|\.?\s*\Z|[.,;]\s))"
    r"(?:\^\{?[23]\}?|[²³])?(?:(?:/|\sper\s)(?:s|h|hr|min|second|hour|minute|day)(?:\^\{?2\}?|²)?)?(?![a-zA-Z])"
)
SPAN = re.compile(
    r"\$\$([^$]{1,1000})\$\$|\$(?![\s$])([^$\n]{1,500})(?<!\s)\$(?!\d)|\$[ \t]([^$\n]{0,300}\\[^$\n]{1,300})[ \t]?\$(?!\d)"
    r"|\\\(([^\n]{1,500}?)\\\)|\\\[(.{1,1000}?)\\\]",
    re.DOTALL,
)
NUMBER = re.compile(
    r"(?<![a-zA-Z0-9_.^])(?<!\^[{-])(?:\d{1,6}\s?[-+]\s?\d{0,6}(?:π|√\d{1,6})|\d{1,4}(?:(?:[-\u2013:/]|\s:\s)\d{1,4}){1,3}(?![\d=/:.-]*\d)(?!\s?[=+*])"
    r"|-?(?:\\?[$€£¥₹])?-?(?:\d{1,4}\s\d{1,4}/\d{1,4}(?!\d)|\d{1,3}(?:[\u00a0\u202f\u2009]\d{3})+(?!\d)"
    r"|(?:\d[\d,]*\d|\d)?(?:\.\d+|(?<=\d))(?:[eE][+-]?\d{1,3}(?![\d.]\d))?(?:\s?[x\u00d7*]\s?10(?=[\^⁰¹²³⁴-⁹⁻]))?(?:\^\{?-?\d+\}?|[⁰¹²³⁴-⁹⁻]+)?(?:/-?\d+)?))"
    r"(?:\s?\\?%|\s?√\(?\d+\)?|\s?(?:π|\\pi(?![a-zA-Z])|pi(?![a-zA-Z])))?(?:/\d+)?"
    rf"(?:\s(?:million|billion|trillion|thousand)(?![a-zA-Z])|\s?[万亿])?(?:\s?{_UNIT})?"
    r"|-?\\[dt]?frac\{-?\d+\}\{-?\d+\}|-?√\(?\d+\)?|-?(?<![a-zA-Z0-9\\])π(?:/\d+)?|[½¼¾]"
)
CHAIN = re.compile(r"[\d\s.,$()+\-*/\u00d7÷·^%]{1,200}=\s*")
_UNIT_BEHIND = re.compile(rf"\s?{_UNIT}")
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)")
_COMMAND = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]{3,}")


def spans(text: str) -> list[tuple[int, str]]:
    """Where the formulas of a text end, and what they hold, with the unit that stands behind one."""
    found = []
    for match in SPAN.finditer(text):
        inside = next(group for group in match.groups() if group).strip()
        unit = _UNIT_BEHIND.match(text, match.end())
        found.append((unit.end() if unit else match.end(), f"{inside}{unit[0]}" if unit and inside else inside))
    return found


def last_mention(text: str) -> str:
    """The formula or number that ends last; of an equation its right side, but for one in x and y, which is a curve."""
    found = [one for one in spans(text) if one[1]]
    found += [(match.end(), match[0]) for match in NUMBER.finditer(text) if match[0]]
    if not found:
        return ""
    last = max(found, key=lambda one: one[0])[1]
    if len(set("xyz") & set(_COMMAND.sub("", last))) > 1:
        return last.strip()
    return _EQUALS.split(last)[-1].strip()
