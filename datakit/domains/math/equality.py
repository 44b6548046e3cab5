"""Whether an answer is equal to the reference, mathematically.

In steps, the cheap and exact ones first: a remembered pair; equal text after cleaning the spelling; what only looks like
arithmetic; equal exact values; letters and words; inequalities as intervals; the same parts of lists, intervals,
unions and matrices; percent, bases, units, assignments; math-verify for the rest. Model text goes into math-verify's LaTeX
grammar only (see parsing). A reference that cannot be read gives no verdict. docs/verification.md describes the steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

from datakit.domains.boxes import balanced, boxed_reference
from datakit.domains.math import parsing
from datakit.domains.math.notation import decided_by_notation
from datakit.domains.math.parsing import UnreadableReference
from datakit.domains.math.relations import described, has_inequality, merged, without_builder
from datakit.domains.math.shapes import Shape, shape_of
from datakit.domains.math.spelling import cleaned, currency, unwrapped, without_thousands
from datakit.domains.math.units import conversion, measured, with_base, without_percent
from datakit.domains.math.values import Value, same_number, scaled, value_of

MAX_LENGTH = 1000  # maximum characters of an answer or a reference that is compared
_MAX_PROSE = 3  # maximum words of a reference that is text: a sentence can be written in many ways

_NAME = r"(?:[a-zA-Z]|\\(?:theta|alpha|beta|gamma|lambda|mu|phi|varphi)(?![a-zA-Z])\s?)(?:_\{?\w+\}?)?'*(?:\s?\(\w+\))?"
_ASSIGNED = re.compile(
    rf"({_NAME}|\\frac\s*\{{d\s?[a-z]?\}}\{{d\s?[a-z]\}}|\(\s*{_NAME}(?:\s*,\s*{_NAME})+\s*\)"
    r"|(?:\\(?:angle|triangle|overline)\s*\{?\s*|\|)?[A-Z]{2,4}[}|]?|\\text\s*\{[a-zA-Z ]{2,40}\})"
    r"\s*(?:=|\\in(?![a-zA-Z]))\s*(?=[^=<>]+$)"
)
_CHAIN = re.compile(rf"(?:{_NAME}|[^a-zA-Z=<>\\]+)\s*=")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_LETTER = re.compile(r"[a-zA-Z<>]")
_APPROXIMATELY = re.compile(r"\s*\\(?:approx|simeq|thickapprox)(?![a-zA-Z])\s*")
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|leq|geq|ne|neq|in|approx|equiv)(?![a-zA-Z])")
_CHOICE = re.compile(r"\(?([A-J])\)?[.:)]?")
_CHOSEN = re.compile(r"(?:(?:option|choice|answer)\s*)?(?:\(([A-J])\)|([A-J])(?:[.:)]|$))(?:\s.*)?", re.IGNORECASE | re.DOTALL)
_NOT = r"\ne"
_PROSE = re.compile(  # words that are not a number: "there is none", "Error: ...", "infinite", f(12)
    r"(?:[a-zA-Z]+[,.]?|[a-zA-Z]{3,}:|N/A) [a-zA-Z ,.'-]+|(?:[a-zA-Z/]+:? )?\(?[a-zA-Z][a-z]+(?: [a-z]{2,}){3}[a-zA-Z ,.'-]*\)?"
    r"|[a-zA-Z]{5,}|[a-df-hj-zA-Z]\(\d{1,9}\)"
)
_WORDED = re.compile(r"[a-zA-Z]{4,}|[a-zA-Z]+(?:[ ,.'/-]+[a-zA-Z]+)+[.!?]?")
_WORDS = re.compile(r"[a-zA-Z]{2,}(?:[ '-]+[a-zA-Z]+)*")


class Rules(NamedTuple):
    """The strictness of each comparison, as set in the recipe's `verify`."""

    percent: bool = False
    units: bool = False
    strict: bool = False
    rounding: bool = False


LENIENT = Rules()


def equal(reference: str, answer: str, rules: Rules = LENIENT) -> bool:
    """Return whether the answer's text says the same as the reference's. Raises UnreadableReference and CannotCompare."""
    unreadable = None
    for gold in golds_of(reference):
        try:
            if _equal(gold, answer, rules):
                return True
        except UnreadableReference as error:
            unreadable = error
    if unreadable:
        raise unreadable
    return False


@lru_cache(maxsize=10_000)
def _equal(reference: str, answer: str, rules: Rules) -> bool:
    if reference.isascii() and answer.isascii() and reference.isdigit() and answer.isdigit():
        return int(reference) == int(answer)
    gold, said = cleaned(reference), cleaned(answer)
    if not gold or not balanced(gold):
        raise UnreadableReference(reference)
    coins, others = currency(reference), currency(answer)
    if coins and others and coins != others:
        factor = conversion(others, coins)
        values = value_of(without_thousands(measured(gold).value)), value_of(without_thousands(measured(said).value))
        if factor is None or values[0] is None or values[1] is None:
            return False
        return same_number(values[0], scaled(values[1], factor), decimal=True, exactly=rules.rounding)
    if gold == said:
        return True
    joined = without_thousands(gold), without_thousands(said)
    if _same(*joined, rules):
        return True
    maybe_list = joined[1] != said or (joined[0] != gold and shape_of(said))  # 100,200 may be two numbers
    return bool(maybe_list) and _same(gold, said, rules)


@lru_cache(maxsize=1_000)
def golds_of(reference: str) -> list[str]:
    """Return the acceptable answers in a reference: a JSON list of texts has several; [1, 2] is an interval.

    Each is the text after `####`, or the boxes of a worked solution, else the whole text.
    """
    listed = None
    if reference.startswith("[") and '"' in reference:
        with suppress(ValueError):
            listed = json.loads(reference)
    if not isinstance(listed, list) or not listed or not all(isinstance(one, str) and one.strip() for one in listed):
        listed = [reference]
    return [(one.rpartition("####")[2] if "####" in one else boxed_reference(one) or one).strip() for one in listed]


def is_worded(reference: str) -> bool:
    """Return whether every gold in it is only words: "see above", N/A, \\text{east}; abc may be a product."""
    golds = [unwrapped(cleaned(gold)) for gold in golds_of(reference)]
    return all(_WORDED.fullmatch(gold) for gold in golds)


def letters_of(golds: Sequence[str]) -> set[str]:
    """Return the letters of multiple choice if all references are letters (B, (B), \\text{(B)}), else an empty set."""
    found = [len(gold) < 30 and _CHOICE.fullmatch(unwrapped(gold)) for gold in golds]
    return {letter[1] for letter in found if letter} if all(found) else set()


def _same(gold: str, said: str, rules: Rules) -> bool:
    """Return whether cleaned texts are equal, by the first step that decides."""
    if gold == said:
        return True
    written = decided_by_notation(gold, said)
    if written is not None:
        return written
    if (left := value_of(gold)) and (right := value_of(said)):
        return _same_value(left, right, said, rules)
    for decide in (
        _by_choice,
        _by_words,
        _by_approximation,
        _by_relation,
        _by_parts,
        _by_percent,
        _by_base,
        _by_unit,
        _by_assignment,
    ):
        decided = decide(gold, said, rules)
        if decided is not None:
            return decided
    return balanced(said) and parsing.equal(gold, said, rounding_allowed=not rules.rounding)


def _same_value(gold: Value, said: Value, text: str, rules: Rules) -> bool:
    return same_number(gold, said, decimal="." in text, exactly=rules.rounding)


def _by_choice(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare letters of multiple choice, in any brackets, with or without the text of the choice after them."""
    letter = _CHOICE.fullmatch(unwrapped(gold))
    chosen = _CHOSEN.fullmatch(unwrapped(said)) if letter else None
    return (chosen[1] or chosen[2]).upper() == letter[1] if letter and chosen else None


def _by_words(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare text as text, ignoring case. A sentence that is not matched word by word gives no verdict."""
    left, right = unwrapped(gold), unwrapped(said)
    if left == right:
        return True
    if value_of(gold) and _PROSE.fullmatch(right):
        return False
    if not _WORDS.fullmatch(left):
        return None
    if (left != gold or len(left) > 4 or left.istitle()) and left.casefold() == right.casefold():
        return True
    if len(left.split()) > _MAX_PROSE:
        raise UnreadableReference(gold)
    is_text = left != gold or len(left) > 4 or left.istitle()  # "abc" may be a product of three variables
    return False if is_text and _WORDS.fullmatch(right) else None


def _by_percent(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare percentages. A percent sign on one side only may be the question's unit (12% is 12), or mean a hundredth."""
    (left, left_has), (right, right_has) = without_percent(gold), without_percent(said)
    if not left_has and not right_has:
        return None
    if left_has and right_has:
        return _same(left, right, rules)
    if not rules.percent and _same(left, right, rules):
        return True
    values = value_of(left), value_of(right)
    if values[0] is None or values[1] is None:
        return False
    return _same_value(_hundredth(values[0], left_has), _hundredth(values[1], right_has), said, rules)


def _hundredth(value: Value, is_percent: bool) -> Value:
    if not is_percent:
        return value
    return Value(value.number / 100, value.last_digit / 100 if value.last_digit else None)


def _by_base(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare numbers with bases: digits and base must agree; a base on one side only is the question's."""
    left, right = with_base(unwrapped(gold)), with_base(unwrapped(said))
    if left is None and right is None:
        return None
    if left and right:
        return left == right
    digits, bare = (left[0], said) if left else (right[0] if right else "", gold)
    if bare == digits:
        return not rules.strict
    return False if value_of(bare) else None


def _by_unit(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare values with units: 5 cm is not 5 m; a unit on one side only is the question's."""
    left, right = measured(gold), measured(said, beside_number=value_of(gold) is not None)
    if (left.value, right.value) == (gold, said):
        return None
    if left.unit != right.unit and left.unit and right.unit:
        factor = conversion(right.unit, left.unit)
        values = value_of(left.value), value_of(right.value)
        if factor is None or values[0] is None or values[1] is None:
            return False
        return _same_value(values[0], scaled(values[1], factor), said, rules)
    if left.unit != right.unit and rules.units:
        return False
    return _same(left.value, right.value, rules)


def _by_assignment(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare assignments: x = 5 equals 5, and x \\in [0, 1] equals [0, 1]; but y = 5 and 2x + y = 5 are different answers."""
    left, right = _ASSIGNED.match(gold), _ASSIGNED.match(said)
    if left is None and right is None:
        return _by_chain(gold, said, rules)
    if left and right and "".join(left[1].split()) != "".join(right[1].split()):
        return None if min(len(left[1]), len(right[1])) == 1 else False  # x = y + 1 may be y = x - 1
    if _RELATION.search(said if left and not right else gold if right and not left else ""):
        return None
    return _same(gold[left.end() :] if left else gold, said[right.end() :] if right else said, rules)


def _by_chain(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare chains by their ends: x = 2 + 3 = 5 and 2 + 3 = 5 mean 5."""
    first, equals, _ = said.partition("=")
    if not equals or _RELATION.search(gold):
        return None
    if not _CHAIN.match(said) and _LETTER.search(_COMMAND.sub("", first)):
        return None
    last = said.rpartition("=")[2].strip()
    return _same(gold, last, rules) if last else None


def _by_approximation(gold: str, said: str, rules: Rules) -> bool | None:
    r"""Compare approximations: x \approx 3.14 is an assignment, and 36\pi \approx 113.1 is one value in two forms."""
    left, right = _APPROXIMATELY.split(gold), _APPROXIMATELY.split(said)
    if len(left) + len(right) == 2:
        return None
    sides = [[one for one in found if one and not _ASSIGNED.match(f"{one}=1")] for found in (left, right)]
    if not all(sides):
        return None
    return any(_same(one, other, rules) for one in sides[0] for other in sides[1])


def _by_relation(gold: str, said: str, rules: Rules) -> bool | None:
    r"""Compare relations: an inequality is the interval that it describes, a \ne b is not a = b, and a set is its condition."""
    bare, other = without_builder(gold), without_builder(said)
    if not has_inequality(bare) and not has_inequality(other):
        return None
    left, right = described(bare), described(other)
    if left and right:
        return left.variable == right.variable and _same(left.intervals, right.intervals, rules)
    if left is None and right is None:
        sides = bare.count(_NOT), other.count(_NOT)
        if sides == (1, 1):
            return _same(bare.replace(_NOT, "="), other.replace(_NOT, "="), rules)
        if any(sides):
            return False
        return None if (bare, other) == (gold, said) else _same(bare, other, rules)
    intervals, text = (left.intervals, other) if left else (right.intervals if right else "", bare)
    shape = shape_of(text)
    if value_of(text) or (shape and not shape.kind):  # a number, a list or a set of numbers is not an interval
        return False
    if has_inequality(text):
        return None if (bare, other) == (gold, said) else _same(bare, other, rules)
    return _same(intervals, text, rules) if left else _same(text, intervals, rules)


def _by_parts(gold: str, said: str, rules: Rules) -> bool | None:
    """Compare lists, sets, tuples, intervals, unions and matrices part by part; None if the shapes cannot be compared."""
    left, right = shape_of(gold), shape_of(said)
    if left is None and right is None:
        return None
    if left is None or right is None:
        bare, other = (gold, right) if left is None else (said, left)
        if other and (len(other.parts) > 1 or other.kind.startswith("matrix")):  # 0 < x < 1 may be (0, 1)
            return False if value_of(bare) else None
    left, right = left or Shape("", [gold]), right or Shape("", [said])
    if "union" in (left.kind, right.kind):
        if (ours := merged(left.parts)) and (theirs := merged(right.parts)):
            return ours == theirs
        if left.kind != right.kind or len(left.parts) != len(right.parts):
            return None
        # Different brackets alone are wrong; math-verify decides on a union that is split differently.
        if _as_sets(left.parts, right.parts, rules):
            return True
        ends = [
            [", ".join(inner.parts if (inner := shape_of(part)) else [part]) for part in one.parts] for one in (left, right)
        ]
        return False if _as_sets(ends[0], ends[1], rules) else None
    if "matrix" in (left.kind[:6], right.kind[:6]):
        return _in_order(left, right, rules) if left.kind == right.kind else None
    if left.kind != right.kind and (rules.strict or (left.kind and right.kind)):
        return False
    if left.kind and len(left.parts) > 1:
        return _in_order(left, right, rules)
    return _as_sets(left.parts, right.parts, rules)


def _in_order(gold: Shape, said: Shape, rules: Rules) -> bool:
    pairs = zip_longest(gold.parts, said.parts)
    return all(left is not None and right is not None and _same(left, right, rules) for left, right in pairs)


def _as_sets(gold: list[str], said: list[str], rules: Rules) -> bool:
    """Return whether every part has an equal one on the other side."""
    matched: set[int] = set()
    for left in dict.fromkeys(gold):
        partners = {at for at, right in enumerate(said) if left == right}
        partners = partners or {at for at, right in enumerate(said) if _same(left, right, rules)}
        if not partners:
            return False
        matched |= partners
    return len(matched) == len(said)
