"""Wrong variants of right programs: each differs and compiles, the choice never changes, and nothing idle is touched."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.domains.code.mutants import mutants
from tests.helpers.folders import ROOT

PROGRAM = '''\
"""A module."""
import math

LIMIT = 10


def count(items: list[int], top: int = 3) -> int:
    """Counts what is below."""
    found = 0
    for n in range(len(items)):
        if items[n] < top and items[n] != 5:
            found += 1
        elif items[n] > LIMIT:
            break
    assert found >= 0, "never below zero"
    return pow(found, 2) + len("ab")
    found = 99


if __name__ == "__main__":
    print(count([1, 2]))
'''


@pytest.mark.parametrize(
    ("program", "what"),
    [
        ("def f(x):\n    return x < 1\n", "line 2: < becomes <="),
        ("def f(x):\n    return x + x\n", "line 2: + becomes -"),
        ("def f(x):\n    x += y\n", "line 2: + becomes -"),
        ("def f(x):\n    return x[0]\n", "line 2: 0 becomes 1"),
        ("def f(x):\n    return x[2]\n", "line 2: 2 becomes 1"),
        ("def f(x):\n    return True\n", "line 2: True becomes False"),
        ("def f(x):\n    return x and y\n", "line 2: and becomes or"),
        ("def f(x):\n    if x:\n        return y\n", "line 2: the condition is negated"),
        ("def f(x):\n    return x\n", "line 2: return x becomes return None"),
        ("def f(x):\n    x.sort()\n    return x\n", "line 2: x.sort() is dropped"),
        ("def f(x, y):\n    return pow(x, y)\n", "line 2: the arguments of pow are swapped"),
        ("def f(x):\n    return list(range(x))\n", "line 2: range ends at x - 1"),
        ("def f(x):\n    return 'ab'\n", "line 2: 'ab' becomes 'a'"),
        ("for x in y:\n    break\n", "line 2: break becomes continue"),
        ("for x in y:\n    continue\n", "line 2: continue becomes break"),
    ],
)
def test_kinds(program, what):
    assert what in [mutant.what for mutant in mutants(program, limit=50)]


def test_every_mutant_differs_and_compiles():
    found = mutants(PROGRAM, limit=100)
    assert len(found) > 12
    assert len({mutant.text for mutant in found}) == len(found)
    for mutant in found:
        assert mutant.text != ast.unparse(ast.parse(PROGRAM))
        compile(mutant.text, "<mutant>", "exec")


def test_what_no_test_notices_is_left_alone():
    idle = ["A module.", "Counts what is below.", "list[int]", "never below zero", "found = 99", "== '__main__'", "[1, 2]"]
    for mutant in mutants(PROGRAM, limit=100):
        for kept in idle:
            assert kept in mutant.text, mutant.what


def test_the_choice_is_the_same_and_spread():
    found = mutants(PROGRAM)
    assert found == mutants(PROGRAM)
    assert len(found) == 8
    assert len({mutant.what.partition(":")[0] for mutant in found}) >= 5
    assert mutants(PROGRAM, limit=3) == found[:3]
    assert mutants(PROGRAM, limit=0) == mutants("import math\n") == []


def test_a_broken_program_has_none():
    with pytest.raises(SyntaxError):
        mutants("def f(:\n")


EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "y", "1", "'s'", "None", "True", "2.5", "-1"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "<", "==", "and", "or", "in"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, inner).map(lambda parts: f"max({parts[0]}, f({parts[1]}, {parts[0]}))"),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, EXPRESSIONS, st.integers(0, 20))
def test_any_program(first, second, limit):
    program = f"def f(x, y):\n    while {first}:\n        x = {second}\n        break\n    return {first}\n"
    found = mutants(program, limit)
    assert len(found) <= limit
    for mutant in found:
        assert mutant.text != ast.unparse(ast.parse(program))
        compile(mutant.text, "<mutant>", "exec")


def test_real_modules_have_mutants_too():
    program = (ROOT / "tests" / "test_floors.py").read_text(encoding="utf-8")
    assert len(mutants(program, limit=20)) == 20
