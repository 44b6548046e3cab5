"""Find formulas and numbers in running text: "so the area is 120 cm^2", "thus $x <= 2$", "hence x = 3 or x = 5".

The last one counts, except for asides: a check, a reason, a remark in brackets, an approximation.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

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

_DIGITS = r"(?:\d{1,15}(?:\.\d{1,15})?|\.\d{1,15})"
_POWER = r"(?:\^\{?-?[\da-z]{1,4}\}?|[⁰¹²³⁴-⁹⁻]{1,4})?"
_NO_WORDS = r"(?:(?![a-zA-Z]{2})[^()\n$]){1,60}"
_FACTOR = (
    rf"(?:(?:sin|cos|tan|log|ln|sqrt)(?![a-z])\s?(?:\({_NO_WORDS}\)|[a-zθ](?![a-zA-Z]))|[π∞]|√\(?\d{{1,9}}\)?"
    rf"|[xyz]{{1,3}}(?![a-zA-Z])|[a-zA-Zθ](?![a-zA-Z])(?:\({_NO_WORDS}\))?|\({_NO_WORDS}\))"
)
_TERM = rf"[-+]?(?:{_DIGITS}?(?:{_FACTOR}{_POWER}){{1,4}}|{_DIGITS}{_POWER})(?:/{_DIGITS}(?![a-zA-Z]))?"
_PLAIN = re.compile(rf"(?<![a-zA-Z0-9_.\\$^{{)]){_TERM}(?:\s?(?:[<>!]=|[-+*/=<>≤≥≠±·\u00d7])\s?{_TERM}){{1,12}}(?![a-zA-Z0-9])")
_VARIABLE = re.compile(r"(?<![a-zA-Z])[b-zθ](?![a-zA-Z])|∞|[A-Z](?:\(|\s?=)|(?<=\d)a(?![a-zA-Z])|(?<![a-zA-Z])a\s?[=<>≤≥]")
_ITEM = r"(?:(?![a-zA-Z]{3})[^()\[\]{}\n$,;:]){1,40}"
_GROUP = rf"(?:[(\[]\s?{_ITEM}(?:,\s?{_ITEM}){{1,5}}\s?[)\]]|\{{\s?{_ITEM}(?:,\s?{_ITEM}){{0,20}}\s?\}})"
_GROUPS = re.compile(rf"(?<![a-zA-Z0-9_\\}}^$]){_GROUP}(?:\s?[\u222aU]\s?{_GROUP}){{0,5}}(?![a-zA-Z0-9])")

_UNIT_BEHIND = re.compile(rf"\s?{_UNIT}")
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)")
_COMMAND = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]{3,}")
_ASSIGNED = re.compile(r"([a-zA-Z])(_\{?\w{1,3}\}?)?\s*=\s*([^=]+)")
_AND = re.compile(
    r"[\s$*]*(?:\\[()\[\]])?(?:[,;]?\s*(?:and|or)\b|[,;、]|或|和|\n[ \t]*[-*•])[\s$*]*(?:\\[()\[\]])?[\s$*]*", re.IGNORECASE
)
_PLURAL = re.compile(r"\b(?:are|solutions?|roots|values|zeros)\b[^.\n]{0,60}\Z|(?:解|根|值)[^。\n]{0,30}\Z")
_ABOUT = re.compile(
    r"[\s$]*≈[\s$]*|[^.\n]{0,40}?(?:,|\(|\bor\b|\bwhich is\b|\bi\.e\.|即)[^.\n\d]{0,12}"
    r"(?:approximately|approx\.?|about|roughly|around|≈|约为?|大约)[\s$\\(]*"
)
_CHECK = re.compile(
    r"^[ \t]*(?:#{1,6}|\*\*)[^\n]{0,20}?(?:check|verif|检验|验算|验证)[^\n]*$|^(?:check|verification)\s*:|(?:检验|验算|验证):",
    re.IGNORECASE | re.MULTILINE,
)
_GOES_ON = re.compile(r"\b(?:so|thus|hence|therefore|wait|conclu|actually|final)|#{2}|所以|因此|综上|[\u6545]", re.IGNORECASE)
_REMARK = re.compile(
    r"\((?=[^()\n]*(?:[a-zA-Z]{2}|[\u4e00-\u9fff]))[^()\n]{1,200}\)[\s.。*]*\Z"
    r"|,\s{0,2}(?:since|because|因为|由于)(?![a-z])[^.\n。]{1,300}[\s.。*]*\Z",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*(\s?(?:[-\d.]|\\?[$€£]|\\\()[^*\n]{0,60}(?<!:))\*\*(?!:)")
_INEQUALITY = re.compile(r"[<>≤≥≠]|\\(?:[lg]e|[lg]t|neq?)(?![a-z]{3})")
_OR = re.compile(r"\bor\b|或")
_FULL_WIDTH = str.maketrans({"\uff08": "(", "\uff09": ")", "\uff0c": ", ", "\uff1a": ":", "\uff1d": "="})
_AND_THEN = re.compile(r"=|\b(?:so|thus|hence|therefore|leaving|total|makes|gives)\b|所以|因此", re.IGNORECASE)


class Mention(NamedTuple):
    """The position of a formula or number, and its text."""

    start: int
    end: int
    text: str


def spans(text: str) -> list[Mention]:
    """Return the formulas in math delimiters and their content, with the unit that follows one."""
    found = []
    for match in SPAN.finditer(text):
        inside = next(group for group in match.groups() if group).strip()
        unit = _UNIT_BEHIND.match(text, match.end())
        found.append(
            Mention(match.start(), unit.end() if unit else match.end(), f"{inside}{unit[0]}" if unit and inside else inside)
        )
    return found


def formulas(text: str) -> list[Mention]:
    """Return the formulas of `spans`, and formulas, tuples, sets and intervals in plain text: x = 3, (1, -4), [0, 2)."""
    found = spans(text)
    taken = [(one.start, one.end) for one in found]
    plain = [match for match in _PLAIN.finditer(text) if _VARIABLE.search(match[0])] + [*_GROUPS.finditer(text)]
    found += [
        Mention(match.start(), match.end(), _as_latex(match[0]))
        for match in plain
        if not any(start < match.end() and match.start() < end for start, end in taken)
    ]
    return sorted(found)


def last_mention(text: str) -> str:
    """Return the formula or number that ends last, or the list that it ends; for an equation its right side, unless it is in x
    and y, which is a curve.
    """
    text = _without_asides(text.translate(_FULL_WIDTH))
    line = text.rstrip().rpartition("\n")
    bold = [one for one in _BOLD.finditer(line[2]) if not _AND_THEN.search(line[2], one.end())]
    found = _in_a_row(bold[-1][1] if bold else text)
    while len(found) > 1 and _ABOUT.fullmatch(text, found[1].end, found[0].start) and not bold:
        found = found[1:]
    if not found:
        return ""
    return _listed(text, found) if len(found) > 1 and not bold else _right_side(found[0].text)


def _in_a_row(text: str) -> list[Mention]:
    """Return the mentions, the last first; of two that overlap the one that ends later, else the longer one."""
    found = [one for one in formulas(text) if one.text]
    found += [Mention(match.start(), match.end(), match[0]) for match in NUMBER.finditer(text) if match[0]]
    row: list[Mention] = []
    for one in sorted(found, key=lambda one: (-one.end, one.start)):
        if not row or one.end <= row[-1].start:
            row.append(one)
    return row


def _right_side(formula: str) -> str:
    if len(set("xyz") & set(_COMMAND.sub("", formula))) > 1:
        return formula.strip()
    return _EQUALS.split(formula)[-1].strip()


def _listed(text: str, found: list[Mention]) -> str:
    """Return the last mention with those listed with it: x = 3 or x = 5; x = 3, y = 5; "the roots are 3 and 5"."""
    first = 0
    while first + 1 < len(found) and _AND.fullmatch(text, found[first + 1].end, found[first].start):
        first += 1
    listed = [one.text for one in found[first::-1]]
    for start in range(len(listed) - 1):
        some = listed[start:]
        if all(_INEQUALITY.search(one) for one in some) and _OR.search(text, found[1].end, found[0].start):
            return " or ".join(some)
        names = [_ASSIGNED.fullmatch(one.strip()) for one in some]
        if all(names):
            if len({(name[1], name[2]) for name in names if name}) == 1:
                return ", ".join(name[3].strip() for name in names if name)
            letters = [ord(name[1]) for name in names if name]
            if all(after - before in (0, 1) for before, after in pairwise(letters)):
                return ", ".join(one.strip() for one in some)
        elif not any(names) and _PLURAL.search(text, 0, found[first - start].start):
            return ", ".join(map(_right_side, some))
    return _right_side(listed[-1])


def _without_asides(text: str) -> str:
    """Return a text without a check, a reason or a remark in brackets at its end."""
    check = _CHECK.search(text)
    if check and NUMBER.search(text, 0, check.start() + 1) and not _GOES_ON.search(text, check.end()):
        text = text[: check.start()]
    while (remark := _REMARK.search(text)) and _mentions(text[: remark.start()].rpartition("\n")[2]):
        text = text[: remark.start()]
    return text


def _mentions(text: str) -> bool:
    return any(match[0] for match in NUMBER.finditer(text)) or SPAN.search(text) is not None


def _as_latex(plain: str) -> str:
    return (
        plain.replace("{", "\\{").replace("}", "\\}")
        if plain.startswith("{")
        else plain.replace("U", r"\cup ").replace("\u222a", r"\cup ")
    )
