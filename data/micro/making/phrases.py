"""Pieces of the coding tasks, in words and in Python: conditions on a number, changes of a number, and inputs to test with."""

from __future__ import annotations

import random
import re

CONDITIONS = [
    ("greater than {k}", "{x} > {k}"), ("above {k}", "{x} > {k}"), ("less than {k}", "{x} < {k}"), ("below {k}", "{x} < {k}"),
    ("at least {k}", "{x} >= {k}"), ("no less than {k}", "{x} >= {k}"), ("at most {k}", "{x} <= {k}"),
    ("no more than {k}", "{x} <= {k}"), ("not equal to {k}", "{x} != {k}"), ("between {k} and {m}", "{k} <= {x} <= {m}"),
    ("even", "{x} % 2 == 0"), ("odd", "{x} % 2 != 0"), ("positive", "{x} > 0"), ("negative", "{x} < 0"),
    ("divisible by {d}", "{x} % {d} == 0"), ("not divisible by {d}", "{x} % {d} != 0"),
]  # fmt: skip
# words, code, how tightly the code's place for x binds, how tightly the result does (1 sum, 2 product, 3 power or name)
CHANGES = [
    ("multiplied by {k}", "{x} * {k}", 2, 2), ("increased by {k}", "{x} + {k}", 1, 1), ("reduced by {k}", "{x} - {k}", 1, 1),
    ("doubled", "{x} * 2", 2, 2), ("tripled", "{x} * 3", 2, 2), ("squared", "{x} ** 2", 3, 3), ("negated", "-{x}", 2, 2),
    ("divided by {d} and rounded down", "{x} // {d}", 2, 2), ("subtracted from {k}", "{k} - {x}", 2, 1),
    ("taken modulo {d}", "{x} % {d}", 2, 2),
]  # fmt: skip
MANY = [-40, -12, -7, -5, -3, -2, 0, 1, 2, 4, 6, 9, 11, 15, 18, 21, 24, 30, 35, 48]


def condition(rng: random.Random, x: str, double: float = 0.2) -> tuple[str, str]:
    """Return a condition in words and the test of `x` for it; with probability `double` it consists of two."""
    (words, code), (other, second) = (_fill(rng, *pair, x=x) for pair in rng.sample(CONDITIONS, 2))
    if rng.random() >= double:
        return words, code
    joint = rng.choice(["and", "or"])
    return f"{words} {joint} {other}", f"{code} {joint} {second}"


def change(rng: random.Random, x: str, steps: int = 1) -> tuple[str, str]:
    """Return a change of a number in words and the expression for it: one step, or two of which the second uses the first."""
    said, code, binds = [], x, 3
    for words, template, slot, result in rng.sample(CHANGES, steps):
        inner = f"({code})" if binds < slot else code
        told, code = _fill(rng, words, template, x=inner)
        binds = result
        said.append(told)
    return " and then ".join(said), code


def _fill(rng: random.Random, words: str, code: str, x: str) -> tuple[str, str]:
    low = rng.randint(2, 30) if rng.random() < 0.5 else rng.randint(2, 9)
    numbers = {"k": low, "m": low + rng.randint(2, 20), "d": rng.randint(3, 9)}
    return words.format(**numbers), code.format(x=x, **numbers)


def edges(test: str) -> list[int]:
    """Return the numbers of a condition and their neighbours, on which wrong programs tend to fail."""
    return sorted({int(number) + away for number in re.findall(r"\d+", test) for away in (-1, 0, 1)})


def number_calls(rng: random.Random, test: str = "", width: int = 1) -> tuple[tuple[int, ...], ...]:
    """Return arguments for a function of `width` numbers: edges of the condition first, then various numbers."""
    near = [(edge, *(rng.choice(MANY) for _ in range(width - 1))) for edge in edges(test)]
    far = [tuple(rng.choice(MANY) for _ in range(width)) for _ in range(8)]
    chosen = [*rng.sample(near, min(len(near), 4)), *far]
    return tuple(dict.fromkeys(chosen))[:5]


def list_calls(rng: random.Random, test: str) -> tuple[tuple[list[int]], ...]:
    """Return arguments for a function of a list of numbers, including the empty list."""
    near = edges(test)
    rng.shuffle(near)
    lists = [near[start::3] + rng.sample(MANY, 3) for start in range(3)]
    for numbers in lists:
        rng.shuffle(numbers)
    return tuple((numbers,) for numbers in [*lists, rng.sample(MANY, 1), []])
