"""Whether an answer is equal to the reference, mathematically.

Exact steps decide most pairs in microseconds: equal text after the spelling is cleaned, then equal fractions. The rest
goes to math-verify, whose own timeouts are switched off: the engine's deadline stops what does not end. Model text goes
into math-verify's LaTeX grammar only, never into its plain-expression reader, which hands text to sympy's `parse_expr`
(that evaluates Python). Nothing parsed is ever printed: `str` of a sympy object can hang.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from datakit.domains.math_answers import balanced, boxes

MAX_LENGTH = 1000  # characters of an answer or a reference that are worth comparing

_NOISE = re.compile(r"(?<!\\)\\[!,;: ]|\\(?:left|right)(?![a-zA-Z])|\\\$|[$€£]|\\(?:displaystyle|quad|qquad)(?![a-zA-Z])|~")
_MIXED = re.compile(r"([+-]?\d+) (\d+)/(\d+)")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")
_PLAIN = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:/(\d+))?(\\?%)?")
_FRACTION = re.compile(r"([+-]?)\\[dtc]?frac\{([+-]?)(\d+)\}\{(\d+)\}")
_NUMBER_AND_WORDS = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(?:\\(?:text|mathrm|mbox)\{([^{}]*)\}|([a-zA-Z]{2,}(?: [a-zA-Z]+)*))")
_VALUES = re.compile(
    r"\b(?:pi|sqrt|sin|cos|tan|log|ln|exp|mod|over|squared|cubed|factorial|dozen|hundred|thousand|million|billion|infinity"
    r"|times|plus|minus|and|or|half|thirds?|quarters?|to|by|choose)\b",
    re.IGNORECASE,
)
_MEASURED = re.compile(r".*[\d}]\s*(?:\\(?:text|mathrm|mbox)\{)?\s*([a-zA-Z]{1,12})\.?\s*\}?(?:\^\{?\d\}?)?", re.DOTALL)
_MEASURES = {
    spelling: names.split()[0]
    for names in (
        "mm millimeter millimeters", "cm centimeter centimeters", "m meter meters metre metres",
        "km kilometer kilometers", "in inch inches", "ft foot feet", "yd yard yards", "mi mile miles",
        "mg milligram milligrams", "g gram grams", "kg kilogram kilograms", "lb lbs pound pounds", "oz ounce ounces",
        "second seconds sec", "minute minutes min", "hour hours hr", "day days", "week weeks", "month months",
        "year years", "cent cents", "dollar dollars", "degree degrees", "radian radians",
    )
    for spelling in names.split()
}  # fmt: skip
_BASE = re.compile(r"(-?[0-9a-zA-Z]+)_\{?(\d+)\}?")
_SIGNS = str.maketrans(
    {
        "\u2212": "-", "\u00d7": r"\times ", "\u222a": r"\cup ", "·": r"\cdot ", "°": r"^\circ ", "²": "^2", "³": "^3",
        "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "½": r"\frac{1}{2}",
    }
)  # fmt: skip
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\w+))")


class UnreadableReference(Exception):
    """math-verify cannot read the reference, so nothing can be said about an answer."""


@lru_cache(maxsize=10_000)
def equal(reference: str, answer: str) -> bool:
    """Whether the answer's text says the same as the reference's. Raises UnreadableReference."""
    written = reference_answer(reference)
    if _by_measure(written, answer) is False:
        return False
    gold, said = cleaned(written), cleaned(answer)
    if gold == said:
        return True
    for decide in (_by_base, _by_value, _by_brackets):
        decided = decide(gold, said)
        if decided is not None:
            return decided
    return _by_math_verify(gold, said)


def reference_answer(reference: str) -> str:
    """The answer in a reference: after `####`, in the boxes of a worked solution (all of them), else the whole."""
    if "####" in reference:
        return reference.rpartition("####")[2].strip()
    found = boxes(reference)
    return ", ".join(dict.fromkeys(content for _, _, content in found)) if found else reference.strip()


def cleaned(text: str) -> str:
    """One spelling for what is only layout: spaces, dollar signs, \\left, thousands' commas, a full stop, counted words."""
    text = _ROOT.sub(lambda m: f"\\sqrt{{{m[1] or m[2]}}}", text).translate(_SIGNS)
    text = " ".join(_NOISE.sub(" ", text).split()).rstrip(".,;").strip()
    text = _THOUSANDS.sub("", text).replace(" percent", "%")
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    match = _NUMBER_AND_WORDS.fullmatch(text)
    return match[1] if match and not _VALUES.search(text) else text


def _by_measure(gold: str, said: str) -> bool | None:
    """5 cm is not 5 m; a unit that only one side writes is the question's."""
    left, right = _MEASURED.fullmatch(gold), _MEASURED.fullmatch(said)
    units = [_MEASURES.get(match[1].lower()) for match in (left, right) if match]
    return False if len(units) == 2 and None not in units and units[0] != units[1] else None


def _by_brackets(gold: str, said: str) -> bool | None:
    """Open and closed ends, tuples and lists: where both sides have an outer pair of brackets, it must be the same."""
    pairs = {gold[:1] + gold[-1:], said[:1] + said[-1:]}
    return False if len(pairs) == 2 and pairs <= {"()", "[]", "(]", "[)"} else None


def _by_base(gold: str, said: str) -> bool | None:
    """Numbers with a base are digits with a base: both must agree; a base that only one side writes is the question's."""
    left, right = _BASE.fullmatch(gold), _BASE.fullmatch(said)
    if left is None or not left[1].lstrip("-").isdigit():
        return None
    if right is None:
        return True if said == left[1] else None
    return left.groups() == right.groups()


def _by_value(gold: str, said: str) -> bool | None:
    """Exact values where both sides are plain numbers; None where they are not, or where rounding might matter.

    A percent sign that only one side writes may be the question's unit: 12% is 12 as well as 0.12.
    """
    left, right = _value(gold), _value(said)
    if left is None or right is None:
        return None
    if left == right or (("%" in gold) != ("%" in said) and _value(gold.rstrip("\\%")) == _value(said.rstrip("\\%"))):
        return True
    both_whole = left.denominator == right.denominator == 1
    far = abs(left - right) > abs(left) / 1000
    return False if both_whole or far else None


def _value(text: str) -> Fraction | None:
    if match := _PLAIN.fullmatch(text):
        sign, number, denominator, percent = match.groups()
        below = int(denominator or 1) * (100 if percent else 1)
        return Fraction(f"{sign}{number}") / below if below else None
    if match := _FRACTION.fullmatch(text):
        outer, inner, above, denominator = match.groups()
        sign = -1 if (outer == "-") != (inner == "-") else 1
        return Fraction(sign * int(above), int(denominator)) if int(denominator) else None
    return None


def load() -> None:
    """Import math-verify, build its parser once, and silence its warning that timeouts are off."""
    import logging

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    _by_math_verify(r"\frac{1}{2}", "0.25x")


def _by_math_verify(gold: str, said: str) -> bool:
    from math_verify import verify

    if not balanced(said):
        return False
    read = _parsed(gold) if balanced(gold) else []
    if all(isinstance(value, str) for value in read):
        raise UnreadableReference(gold)
    return bool(verify(read, _parsed(said), timeout_seconds=None, raise_on_error=True))


@lru_cache(maxsize=256)
def _parsed(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    config = [LatexExtractionConfig(boxed_match_priority=0)]
    parsed: list[Any] = parse(f"\\boxed{{{text}}}", extraction_config=config, parsing_timeout=None)
    return parsed
