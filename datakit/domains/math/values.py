r"""Exact values of arithmetic: `1/2^{99}`, `1\frac{1}{2}`, `1.5 \times 10^3`, `10!` as fractions of whole numbers.

A grammar bounded in depth and size reads them; what it cannot read has no value here and is left to math-verify.
Floating-point numbers are never used, so tiny numbers are told apart as well as large ones.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from math import factorial, isqrt
from typing import NamedTuple

_MAX_BITS = 200_000  # maximum size of a number: a few milliseconds for its greatest common divisors
_MAX_DEPTH = 60
_MAX_FACTORIAL = 1_000
CLOSE = Fraction(1, 10**6)  # relative tolerance of a decimal answer if the gold is no short decimal: 0.333333 for 1/3
_SHORT = 10**6  # fractions whose denominator divides it have six decimal places: 1/8 is 0.125 and nothing near it
_NOISE = Fraction(1, 10**14)  # relative noise of floating-point numbers, which have 15 to 17 digits

_DECIMAL = re.compile(r"([+-]?)(\d+\.\d+|\.\d+)(?: ?(?:\\times|\\cdot|\*) ?10\^\{?([+-]?\d{1,4})\}?)?")
_REPEATING = re.compile(r"([+-]?)(\d*)\.(\d*)\\overline\s*\{(\d+)\}")
_MIXED = re.compile(r"\\frac \{ (\d+) \} \{ (\d+) \}")  # after a whole number, and less than one: 1\frac{1}{2} is 3/2
_TOKEN = re.compile(r"\s*(?:(\d+\.\d+|\.\d+|\d+\.?)|(\\[a-zA-Z]+|[-+*/^!(){}]))")


class Value(NamedTuple):
    """A number, and if it is written as a decimal the value of its last digit (0.01 in 3.14)."""

    number: Fraction
    last_digit: Fraction | None


class _Unreadable(Exception):
    """Raised for text that is not plain arithmetic, or too large to evaluate here."""


@lru_cache(maxsize=10_000)
def value_of(text: str) -> Value | None:
    """Return the value of cleaned text; None if it is not arithmetic of whole numbers and decimals, or too large."""
    if text.isascii() and text.isdigit():
        return Value(Fraction(int(text)), None)
    if repeating := _REPEATING.fullmatch(text):  # 0.1\\overline{6} is 1/6
        sign, whole, fixed, period = repeating.groups()
        number = Fraction(f"{whole or 0}.{fixed or 0}") + Fraction(int(period), 10 ** len(fixed) * (10 ** len(period) - 1))
        return Value(-number if sign == "-" else number, None)
    try:
        number = _Reader(text).read()
    except _Unreadable:
        return None
    decimal = _DECIMAL.fullmatch(text)
    if decimal is None:
        return Value(number, None)
    return Value(number, Fraction(10) ** (int(decimal[3] or 0) - len(decimal[2].partition(".")[2])))


def same_number(gold: Value, said: Value, decimal: bool, exactly: bool = False) -> bool:
    """Return whether an answer's value equals the gold's. `decimal`: the answer has a decimal point; `exactly`: no rounding.

    A decimal gold equals anything that rounds to it at its own digits (half away from zero): 3.14 equals 3.14159 and 22/7, but
    3.14159 does not equal 3.14. Any other gold is exact: if it is not a short decimal, a decimal answer must be within a
    millionth of it; if it is, only floating-point noise is tolerated: 0.30000000000000004 is 3/10.
    """
    if gold.number == said.number:
        return True
    if exactly:
        return False
    if gold.last_digit is not None:
        steps = abs(said.number) / gold.last_digit + Fraction(1, 2)
        rounded = (steps.numerator // steps.denominator) * gold.last_digit
        return gold.number == (-rounded if said.number < 0 else rounded)
    apart = abs(gold.number - said.number)
    if is_short(gold.number):
        noisy = said.last_digit is not None and said.last_digit <= _NOISE * abs(gold.number)
        return noisy and apart <= _NOISE * abs(gold.number)
    return decimal and apart <= CLOSE * min(Fraction(1), abs(gold.number))


def is_short(number: Fraction) -> bool:
    """Return whether six decimal places represent it exactly."""
    return _SHORT % number.denominator == 0


def scaled(value: Value, factor: Fraction) -> Value:
    """Return the value in another unit."""
    return Value(value.number * factor, value.last_digit * factor if value.last_digit is not None else None)


class _Reader:
    """A recursive-descent parser of one text's tokens; every rule returns a fraction or raises _Unreadable."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    def read(self) -> Fraction:
        number = self._sum()
        if self.at < len(self.tokens):
            raise _Unreadable
        return number

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        if token not in wanted:
            return ""
        self.at += 1
        return token

    def _sum(self) -> Fraction:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _Unreadable
        total = self._product()
        while sign := self._take("+", "-"):
            term = self._product()
            total = _bounded(total + term if sign == "+" else total - term)
        self.depth -= 1
        return total

    def _product(self) -> Fraction:
        product = self._signed()
        while True:
            if self._take("*", "\\times", "\\cdot") or self._peek() in ("(", "\\frac", "\\sqrt"):
                product = _bounded(product * self._signed())
            elif self._take("/", "\\div"):
                product = _bounded(_ratio(product, self._signed()))
            else:
                return product

    def _signed(self) -> Fraction:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise _Unreadable
        number = self._power()
        return -number if negative else number

    def _power(self) -> Fraction:
        base = self._atom()
        if self._take("!"):
            if self._peek() == "!" or base.denominator != 1 or not 0 <= base <= _MAX_FACTORIAL:
                raise _Unreadable
            base = Fraction(factorial(base.numerator))
        if not self._take("^"):
            return base
        # 2^10 is 1024: what people mean, not what LaTeX sets
        exponent = self._signed() if self._peek() == "-" else self._atom()
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        too_large = abs(exponent.numerator) > _MAX_BITS or (abs(exponent.numerator) * bits > _MAX_BITS and abs(base) != 1)
        if self._peek() in ("^", "!") or exponent.denominator != 1 or too_large or (not base and exponent <= 0):
            raise _Unreadable
        return base**exponent.numerator

    def _atom(self) -> Fraction:
        token = self._peek()
        self.at += 1
        if token[:1].isdigit() or token.startswith("."):
            whole = Fraction(token)
            mixed = token.isdigit() and _MIXED.match(" ".join(self.tokens[self.at : self.at + 7]))
            return whole + self._atom() if mixed and int(mixed[1]) < int(mixed[2]) else whole
        if token in ("(", "{"):
            number = self._sum()
            if not self._take(")" if token == "(" else "}"):
                raise _Unreadable
            return number
        if token == "\\frac":
            return _ratio(self._group(), self._group())
        if token == "\\sqrt":
            return _root(self._group())
        raise _Unreadable

    def _group(self) -> Fraction:
        if self._peek() != "{":
            raise _Unreadable
        return self._atom()


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Unreadable
        number, sign = match.groups()
        if number and tokens and tokens[-1][:1].isdigit():
            raise _Unreadable  # two numbers with a space between them
        tokens.append(number or sign)
        at = match.end()
    return tokens


def _bounded(number: Fraction) -> Fraction:
    if number.numerator.bit_length() + number.denominator.bit_length() > _MAX_BITS:
        raise _Unreadable
    return number


def _ratio(above: Fraction, below: Fraction) -> Fraction:
    if not below:
        raise _Unreadable
    return above / below


def _root(number: Fraction) -> Fraction:
    """Return the root of a square; raise _Unreadable for other numbers."""
    if number < 0:
        raise _Unreadable
    above, below = isqrt(number.numerator), isqrt(number.denominator)
    if above**2 != number.numerator or below**2 != number.denominator:
        raise _Unreadable
    return Fraction(above, below)
