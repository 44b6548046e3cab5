r"""Laws of comparing: renderings of one value agree and perturbed ones do not; no answer is ever run as code."""

import builtins
import os
import subprocess
from fractions import Fraction
from itertools import permutations

import latex2sympy2_extended.latex2sympy2
import math_verify.parser
import pytest
import sympy.parsing.sympy_parser
import sympy.physics.units  # loaded here because it hands names of its own to the interpreter when it is
from hypothesis import assume, given
from hypothesis import strategies as st

from datakit.domains.math.answers import extract
from datakit.domains.math.equality import Rules, equal
from datakit.domains.math.parsing import CannotCompare, UnreadableReference, answer_in, load
from datakit.domains.math.verifier import verify_answer
from tests.helpers.hostile_math import HOSTILE
from tests.helpers.laws import examples
from tests.helpers.tables import cases

many = examples(150)
whole = st.integers(-(10**12), 10**12)
fractions = st.fractions(max_denominator=500).filter(lambda number: abs(number) < 10**6)
numbers = st.one_of(whole.map(Fraction), fractions)
ends = st.lists(fractions, min_size=2, max_size=2, unique=True).map(sorted)
brackets = st.tuples(st.sampled_from("(["), st.sampled_from(")]"))


@pytest.fixture(scope="module", autouse=True)
def loaded():
    load()


# ------------------------------------------------------------------------------------------------- one value, many clothes


def as_fraction(number, name="frac"):
    sign = "-" if number < 0 else ""
    return f"{sign}\\{name}{{{abs(number.numerator)}}}{{{number.denominator}}}"


def clothes(number):
    """Ways to write one rational number."""
    plain = str(number)
    written = [
        plain,
        f"${plain}$",
        f"{plain}.",
        f" {plain} ",
        f"({plain})",
        rf"\({plain}\)",
        f"x = {plain}",
        rf"{plain}\text{{ cm}}",
    ]
    written += [as_fraction(number), as_fraction(number, "dfrac"), f"{plain} apples", rf"{plain}\%", rf"\left({plain}\right)"]
    if number.denominator == 1:
        written += [f"{number.numerator:,}", f"{plain}.0", f"{number.numerator:,}".replace(",", "{,}"), rf"\${plain}"]
    if number > 1 and number.denominator > 1:
        above, below = number.numerator % number.denominator, number.denominator
        written += [rf"{number.numerator // below}\frac{{{above}}}{{{below}}}", f"{number.numerator // below} {above}/{below}"]
    return written


@many
@given(numbers, st.data())
def test_one_number_in_any_clothes(number, data):
    gold, answer = data.draw(st.sampled_from(clothes(number))), data.draw(st.sampled_from(clothes(number)))
    assume("cm" not in gold or "apples" not in answer)
    assert equal(gold, answer)


@many
@given(numbers, st.data())
def test_another_number_never(number, data):
    step = data.draw(st.sampled_from([Fraction(1), Fraction(-1), Fraction(1, 7), -2 * number]))
    assume(step)
    assert not equal(data.draw(st.sampled_from(clothes(number))), data.draw(st.sampled_from(clothes(number + step))))


@many
@given(st.integers(1, 10**6), st.integers(-5000, 5000), st.sampled_from([1, -1, 2]))
def test_tiny_and_huge_numbers_differ_as_all_do(mantissa, exponent, step):
    written = rf"{mantissa} \cdot 2^{{{exponent}}}"
    assert equal(written, f"{mantissa}*2^{{{exponent}}}")
    assert not equal(written, rf"{mantissa} \cdot 2^{{{exponent + step}}}")
    assert not equal(written, rf"{mantissa + 1} \cdot 2^{{{exponent}}}")


@many
@given(st.integers(-(10**9), 10**9), st.integers(1, 6), st.integers(1, 4), st.data())
def test_an_answer_is_rounded_to_the_golds_digits(digits, places, more, data):
    exact = Fraction(digits, 10**places)
    gold, longer = f"{float(exact):.{places}f}", data.draw(st.integers(1, 5 * 10**more - 1))
    assume(Fraction(gold) == exact)
    direction = -1 if digits < 0 else 1
    within = exact + direction * Fraction(longer, 10 ** (places + more + 1))
    beyond = exact + direction * Fraction(10 ** (more + 1) - longer, 10 ** (places + more + 1))
    assert equal(gold, as_fraction(within)) and equal(gold, as_decimal(within, places + more + 1))
    assert not equal(gold, as_fraction(beyond)) and not equal(gold, as_decimal(beyond, places + more + 1))
    assert not equal(gold, as_fraction(within), Rules(rounding=True))


def as_decimal(number, places):
    shifted = abs(number) * 10**places
    text = str(shifted.numerator).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{text[:-places]}.{text[-places:]}"


# --------------------------------------------------------------------------------------------------- intervals and sets


def interval(kind, low, high, space=""):
    return f"{kind[0]}{low},{space}{high}{kind[1]}"


@many
@given(brackets, brackets, ends)
def test_intervals_are_their_ends_and_their_brackets(kind, other, pair):
    low, high = pair
    gold = interval(kind, low, high)
    assert equal(gold, interval(kind, as_fraction(low), as_fraction(high), space=" "))
    assert equal(gold, rf"x \in {interval(kind, low, high)}")
    assert equal(gold, interval(other, low, high)) is (kind == other)
    assert not equal(gold, interval(kind, low, high + 1)) and not equal(gold, interval(kind, high, low))


@examples(100)
@given(st.lists(brackets, min_size=4, max_size=4), st.lists(fractions, min_size=4, max_size=4, unique=True).map(sorted))
def test_unions_are_their_pieces(kinds, numbers):
    pieces = [interval(kinds[0], *numbers[:2]), interval(kinds[1], *numbers[2:])]
    others = [interval(kinds[2], *numbers[:2]), interval(kinds[3], *numbers[2:])]
    gold = r"\cup".join(pieces)
    assert equal(gold, r" \cup ".join(pieces)) and equal(gold, r" \cup ".join(reversed(pieces)))
    assert equal(gold, r"\cup".join(others)) is (kinds[:2] == kinds[2:])


@many
@given(st.lists(numbers, min_size=2, max_size=4, unique=True), st.data())
def test_sets_have_no_order_and_pairs_have(elements, data):
    shuffled = data.draw(st.sampled_from(list(permutations(elements))))
    listed, written = ", ".join(map(str, elements)), ", ".join(map(as_fraction, shuffled))
    for gold, answer in ((listed, written), (rf"\{{{listed}\}}", written), (listed, rf"\{{{written}\}}")):
        assert equal(gold, answer)
        assert not equal(gold, answer.replace(as_fraction(shuffled[0]), as_fraction(shuffled[0] + Fraction(1, 3))))
    assert equal(f"({listed})", f"({written})") is (list(shuffled) == elements)
    assert not equal(listed, ", ".join(map(str, elements[1:])))


@many
@given(st.integers(1, 10**6), st.sampled_from(["cm", "m", "kg", "hours", "dollars", "square feet"]), st.data())
def test_units_agree_or_stand_on_one_side(number, unit, data):
    other = data.draw(st.sampled_from(["cm", "m", "kg", "hours", "dollars", "square feet"]))
    assert equal(f"{number} {unit}", rf"{number}\text{{ {unit}}}") and equal(f"{number}", f"{number} {unit}")
    assert equal(f"{number} {unit}", f"{number} {other}") is (unit == other)
    assert not equal(f"{number}", f"{number} {unit}", Rules(units=True))


STRICT = [
    ("percent", "12", r"12\%", r"12\%", r"12\%"),
    ("percent", r"12\%", "12", r"12\%", "0.12"),
    ("units", "5 cm", "5", "5 cm", "5 centimeters"),
    ("strict", "4210_5", "4210", "4210_5", "4210_{5}"),
    ("strict", "(3,-4)", "3,-4", "(3,-4)", "(3, -4)"),
    ("strict", "1,2", "(1,2)", "1,2", "2, 1"),
    ("rounding", "3.14", "3.14159", "3.14", "157/50"),
    ("rounding", "1/3", "0.333333", "1/3", "2/6"),
    ("rounding", r"\sqrt{2}", "1.41421356", r"\sqrt{2}", r"\frac{2}{\sqrt{2}}"),
]


@pytest.mark.parametrize(("point", "gold", "answer", "same_gold", "same"), STRICT)
def test_strict_options(point, gold, answer, same_gold, same):
    assert equal(gold, answer)
    assert not equal(gold, answer, Rules(**{point: True}))
    assert equal(same_gold, same, Rules(**{point: True}))


# -------------------------------------------------------------------------------------------------- unreadable references


@pytest.mark.parametrize("reference", [r"\frac{", "$$", "}{", r"\frac{1}{0}", r"\begin{pmatrix} 1", "5 @@ 7", "{" * 500])
@pytest.mark.parametrize("answer", ["5", r"\frac{1}{2}", "(1, 2)", "No", "5 cm", "x + 1"])
def test_an_unreadable_reference_makes_no_answer_wrong(reference, answer):
    assert verify_answer(rf"\boxed{{{answer}}}", reference).outcome == "unverifiable"


def test_a_reference_in_prose_is_met_in_its_own_words_only():
    reference = "The function is increasing everywhere"
    assert verify_answer(rf"\boxed{{\text{{{reference.lower()}}}}}", reference).outcome == "passed"
    assert verify_answer(r"\boxed{\text{It increases}}", reference).outcome == "unverifiable"


# --------------------------------------------------------------------------------------- nothing is evaluated but numbers


def test_no_answer_reaches_an_interpreter(monkeypatch):
    """What can evaluate text is taken away; then every case that we have is judged, the hostile ones as far as they end."""
    texts = [row.values[0]["text"] for row in cases("math_answers.jsonl")]
    pairs = [(row.values[0]["reference"], row.values[0]["answer"]) for row in cases("math_equality.jsonl")]
    hostile = [text for note, text, outcomes in HOSTILE if note.startswith(ENDING)]
    assert len(hostile) >= 20

    def refuse(*arguments, **_):
        raise SystemExit(f"text was handed to an interpreter: {arguments!r:.200}")

    for module, name in INTERPRETERS:
        monkeypatch.setattr(module, name, refuse)
    with pytest.raises(SystemExit):
        sympy.sympify("1 + 1")
    for reference, answer in pairs:
        verify_answer(rf"\boxed{{{answer}}}", reference)
    for text in [*texts, *hostile]:
        verify_answer(text, "5")
        verify_answer(text, r"\frac{x}{2}")
        answer_in(text)


INTERPRETERS = [
    (builtins, "eval"),
    (sympy.parsing.sympy_parser, "parse_expr"),
    (sympy.parsing.sympy_parser, "eval_expr"),
    (math_verify.parser, "parse_expr"),
    (latex2sympy2_extended.latex2sympy2, "parse_expr"),
    (os, "system"),
    (os, "popen"),
    (subprocess, "Popen"),
]
ENDING = (
    "Python", "attributes", "a lambda", "sympify", "a format", "a shell", r"\input", "NUL", "a lone", "right-to", "combining",
    "digits", "an emoji", "closed", "opened", "mismatched", "an empty", "operators", "900", "2,000", "100 kB", "a set of 3,000",
)  # fmt: skip


def test_a_lone_surrogate_is_no_trouble_for_a_table():
    verdict = verify_answer("\\boxed{6\ud800}", "5")
    assert verdict.extracted.encode("utf-8") == b"6?"


@given(st.text(max_size=200))
def test_any_text_has_an_answer_or_none(text):
    found = extract(text)
    assert found is None or isinstance(found.text, str)


@given(st.text(alphabet="0123456789x+-*/^(){}[]\\,.%_=<> pi", max_size=12))
def test_comparing_with_any_text_ends_in_a_verdict(text):
    assume("^" not in text and "!" not in text)
    try:
        assert equal("5", text) in (True, False)
    except (UnreadableReference, CannotCompare):
        raise AssertionError(text) from None
