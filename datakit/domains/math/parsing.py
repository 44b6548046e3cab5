r"""math-verify behind a narrow interface: which parts of it are used, and which are not.

Its own timeouts are switched off: the engine's deadline stops what does not end. Text goes into its LaTeX grammar only,
never into its plain-expression reader, which passes text to sympy's `parse_expr` (that evaluates Python). The grammar does
the same with the digits of every number, so its two number readers are replaced here. Parsed objects are never printed:
`str` of a sympy object can hang. Numbers are compared here, by their relative difference, because math-verify compares them
by an absolute one; expressions with variables must also agree when numbers are put in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from datakit.domains.boxes import balanced
from datakit.domains.math.values import CLOSE, Value, is_short, same_number, value_of

_DIGITS = 30  # precision to which numbers are evaluated
_SAME = Fraction(1, 10**15)
FAILS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)  # sympy's ways to give up
_POINTS = ((7, 11), (-5, 13))  # variables take values from 7/11 on, or from -5/13
_TAIL = 2_000  # characters at the end in which an answer is looked for
_ENVIRONMENT = re.compile(
    r"\\begin\{((?:align|equation|gather|eqnarray|displaymath)\*?)\}(.{1,1000}?)(?:\\\\)?\s*\\end\{\1\}", re.DOTALL
)


class UnreadableReference(Exception):
    """Raised if the reference cannot be read, so that answers cannot be judged."""


class CannotCompare(Exception):
    """Raised if math-verify fails on two readable expressions: its fault, not the answer's."""


def load() -> None:
    """Import math-verify, build its parser once, and silence its warning that timeouts are off."""
    import logging

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    equal(r"\frac{x}{2}", "0.25x", rounding_allowed=True)
    answer_in(r"\begin{align} x \end{align}")


def equal(gold: str, said: str, rounding_allowed: bool) -> bool:
    """Return whether cleaned texts mean the same, by math-verify. Raises UnreadableReference and CannotCompare."""
    from math_verify import verify
    from sympy import Eq, Symbol, nan, zoo

    read = _expressions(gold) if balanced(gold) else []
    if not read:
        raise UnreadableReference(gold)
    other = _expressions(said)
    if not other:
        return False
    left, right = read[0], other[0]
    if isinstance(left, Eq) != isinstance(right, Eq):  # take the right side of x = 5 if the other is not an equation
        left = left.rhs if isinstance(left, Eq) and isinstance(left.lhs, Symbol) else left
        right = right.rhs if isinstance(right, Eq) and isinstance(right.lhs, Symbol) else right
        if isinstance(left, Eq) != isinstance(right, Eq):  # x + y = 4 is not 4
            return False
    left, right = _same_symbols(left, right)
    if left is nan or left is zoo:  # a division by zero
        raise UnreadableReference(gold)
    decided = _by_numbers(left, right, gold, said, rounding_allowed)
    if decided is not None:
        return decided
    if not rounding_allowed and "." in gold + said:
        return False
    try:
        return bool(verify(left, right, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True))
    except FAILS as error:
        raise CannotCompare(type(error).__name__) from error


def answer_in(text: str) -> str | None:
    """Return what math-verify takes for the answer of a whole text: the last formula that it can read, as text."""
    from math_verify import LatexExtractionConfig

    tail = text[-_TAIL:]
    if "\\" not in tail and "$" not in tail:
        return None
    displayed = _ENVIRONMENT.sub(lambda match: f"$${match[2].rpartition(chr(92) * 2)[2].replace('&', '')}$$", tail)
    found = _parser()(displayed, extraction_config=[LatexExtractionConfig()], parsing_timeout=None)
    answer = found[-1] if found and isinstance(found[-1], str) else ""
    return answer.strip() or None


@lru_cache(maxsize=1)
def _parser() -> Callable[..., list[Any]]:
    """Return math-verify's `parse` with its number readers replaced: sympy.Number(text) evaluates the text as Python."""
    from latex2sympy2_extended import latex2sympy2
    from math_verify import parse

    latex2sympy2.convert_number = _as_number
    latex2sympy2._Latex2Sympy.parse_number = lambda _, text: _as_number(text)
    return parse  # type: ignore[no-any-return]


def _as_number(text: str) -> Any:
    """Return an Integer for digits, a Float for a decimal or 1e5. Raises ValueError for anything else."""
    from sympy import Float, Integer

    text = text.replace(",", "").replace(" ", "")
    return Integer(int(text)) if text.isdigit() else Float(text)


@lru_cache(maxsize=256)
def _expressions(text: str) -> list[Any]:
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig

    spelling = NormalizationConfig(units=False, malformed_operators=True, nits=True, boxed="all")  # units are for us to compare
    config = [LatexExtractionConfig(boxed_match_priority=0, normalization_config=spelling)]
    parsed = _parser()(f"\\boxed{{{text}}}", extraction_config=config, parsing_timeout=None)
    return [value for value in parsed if not isinstance(value, str)]


def _same_symbols(gold: Any, said: Any) -> tuple[Any, Any]:
    """Return both expressions with one symbol per name, whatever its assumptions (real, complex), and i as the imaginary
    unit."""
    from sympy import Basic, I

    if not isinstance(gold, Basic) or not isinstance(said, Basic):
        return gold, said
    symbols = {symbol.name: symbol for symbol in said.free_symbols | gold.free_symbols} | {"i": I}

    def renamed(one: Any) -> Any:
        return one.xreplace({symbol: symbols[symbol.name] for symbol in one.free_symbols})

    try:
        return renamed(gold), renamed(said)
    except FAILS:  # i < 1 may be about an index
        return gold, said


def _by_numbers(gold: Any, said: Any, gold_text: str, said_text: str, rounding_allowed: bool) -> bool | None:
    """Compare numbers by their values, and expressions at a few points, which can only show that they differ."""
    from sympy import Expr

    if not isinstance(gold, Expr) or not isinstance(said, Expr):
        return None
    symbols = sorted(gold.free_symbols | said.free_symbols, key=lambda symbol: symbol.name)
    if symbols:
        return False if _differ_somewhere(gold, said, symbols) else None
    left, right = _number(gold), _number(said)
    if left is None or right is None:
        return None
    if _near(left, right, _SAME):
        return True
    if not rounding_allowed or not isinstance(left, Fraction) or not isinstance(right, Fraction):
        return False
    known = value_of(gold_text)
    if known is not None:
        return same_number(known, Value(right, None), decimal="." in said_text)
    return ("." in gold_text or "." in said_text) and not is_short(left) and _near(left, right, CLOSE)


def _differ_somewhere(gold: Any, said: Any, symbols: list[Any]) -> bool | None:
    """Return True if the expressions differ at a point, else None: agreement proves nothing. Sums and the like are not
    tried."""
    from sympy import Integral, Limit, Product, Rational, Sum

    if gold.has(Sum, Product, Integral, Limit) or said.has(Sum, Product, Integral, Limit):
        return None
    for above, below in _POINTS:
        values = {symbol: Rational(above + at if above > 0 else above - at, below) for at, symbol in enumerate(symbols)}
        left, right = _number(gold, values), _number(said, values)
        if left is not None and right is not None and not _near(left, right, CLOSE):
            return True
    return None


def _number(expression: Any, values: dict[Any, Any] | None = None) -> Fraction | complex | None:
    """Return a constant's value to 30 digits; None if it has none or is not precise."""
    try:
        number = expression.subs(values or {}).doit().evalf(_DIGITS)
        if number.is_Rational:
            return Fraction(int(number.p), int(number.q))
        if number.is_Float:
            if not number.is_finite:
                return None
            sign, mantissa, exponent, _ = number._mpf_
            noise = number._prec == 1  # numerical noise around zero
            return Fraction(0) if noise else (-1 if sign else 1) * Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
        if number.is_number and number.is_finite:
            real, imaginary = number.as_real_imag()
            if all(part.is_Float or part.is_Rational for part in (real, imaginary)):
                return complex(float(real), float(imaginary))
    except FAILS:
        pass
    return None


def _near(left: Fraction | complex, right: Fraction | complex, tolerance: Fraction) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return abs(left - right) <= tolerance * max(abs(left), abs(right))
    left, right = complex(left), complex(right)
    return abs(left - right) <= max(float(tolerance), 1e-12) * max(abs(left), abs(right))
