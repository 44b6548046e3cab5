"""The sandbox with ordinary programs: what its verdicts say, what crosses to the tests and back, limits, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.folders import ROOT
from tests.helpers.pythons import python_of_the_system
from tests.helpers.waiting import wait_for

if sys.platform != "linux":
    pytest.skip("the sandbox's tiers are of Linux", allow_module_level=True)

from datakit.sandbox import runner, tiers
from datakit.sandbox.inside.confine import landlock_abi
from datakit.sandbox.inside.wire import Encoder, Unreadable, Unsendable, decode
from datakit.sandbox.outputs import read_cases, same_output
from datakit.sandbox.runner import Limits, Sandbox, SandboxError
from datakit.sandbox.warm import Warm

MEMORY_MB = 512
ONE = "def f(n):\n    return n + 1\n"
GOOD = "assert f(1) == 2\nassert f(2) == 3\n"


def has_bubblewrap() -> bool:
    if shutil.which("bwrap") is None:
        return False
    return subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], capture_output=True).returncode == 0


HAS = {"landlock": landlock_abi() > 0, "bubblewrap": has_bubblewrap()}
if not any(HAS.values()):
    pytest.skip("nothing on this machine can confine a program: no Landlock, no bubblewrap", allow_module_level=True)


@pytest.fixture(scope="module")
def sandbox():
    """One for all tests that do not end it; with time enough for a busy machine."""
    with Sandbox(limits=Limits(timeout_s=10, memory_mb=MEMORY_MB)) as sandbox:
        yield sandbox


def text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def io_tests(*cases: tuple[str, str]) -> str:
    return json.dumps([{"input": given, "output": expected} for given, expected in cases])


# ----------------------------------------------------------------------------------------------- what a verdict says, by style

FUNCTIONS = [
    # program, tests, outcome, detail
    (ONE, GOOD, "passed", r"^2 tests$"),
    (ONE, "assert f(1) == 2", "passed", r"^1 test$"),
    (ONE, "x = 4\nassert f(x) == 5\nfor n in range(3):\n    assert f(n) == n + 1\n", "passed", r"^2 tests$"),
    (ONE, "assert f(1) == 2\nassert f(2) == 4", "failed", r"^test 2 of 2: assert f\(2\) == 4: AssertionError \(line 2 of the"),
    (ONE, "assert f(1) == 3, 'one too low'", "failed", r"^test 1 of 1: .*AssertionError: one too low"),
    (
        "def f(n):\n    return 1 // n\n",
        "assert f(0) == 0",
        "failed",
        r"^test 1 of 1: .*ZeroDivisionError: integer .*\(line 2\)",
    ),
    ("def f(n):\n    return g(n)\n", "assert f(0) == 0", "failed", r"NameError: name 'g' is not defined \(line 2\)"),
    ("def f():\n    return 1\n", "assert f(0) == 1", "failed", r"TypeError: f\(\) takes 0 positional arguments but 1"),
    ("def f(n):\n    return f(n)\n", "assert f(0) == 1", "failed", r"RecursionError: maximum recursion depth exceeded"),
    ("def f(n):\n    raise SystemExit(3)\n", "assert f(0) == 1", "failed", r"test 1 of 1: .*SystemExit: 3"),
    ("import os\ndef f(n):\n    os._exit(3)\n", GOOD, "failed", r"^test 1 of 2: .*the program ended with exit status 3$"),
    ("import os\ndef f(n):\n    return 2 if n == 1 else os.abort()\n", GOOD, "failed", r"^test 2 of 2: .*killed by SIG[A-Z]+$"),
    ("def f(n):\n    return n +\n", GOOD, "failed", r"^does not compile: SyntaxError: invalid syntax \(line 2\)"),
    ("def f(n):\nreturn n\n", GOOD, "failed", r"^does not compile: IndentationError: .*\(line 2\)"),
    ("def f(n): return 1\nraise ValueError('no')\n", GOOD, "failed", r"^raised at its top level: ValueError: no \(line 2\)$"),
    ("import sys\nsys.exit(0)\n", GOOD, "failed", r"^raised at its top level: SystemExit: 0 \(line 2\)$"),
    ("import nosuchlib\n", GOOD, "unverifiable", r"^raised at its top level: ModuleNotFoundError: No module named 'nosuchlib'"),
    ("def g(n): return n\n", GOOD, "failed", r"^test 1 of 2: .*NameError: name 'f' is not defined"),
    ("", GOOD, "failed", r"NameError: name 'f' is not defined"),
    ("f = 3\n", GOOD, "failed", r"TypeError: 'int' object is not callable"),
    (ONE, "assert f(1) ==", "unverifiable", r"^the tests do not compile: SyntaxError"),
    (ONE, "import nosuchlib\nassert f(1) == 2", "unverifiable", r"^the tests need what is not here: No module .*'nosuchlib'"),
    (ONE, "assert 1 == 1", "unverifiable", r"^the tests never call the program$"),
    (ONE, "def check(candidate):\n    assert candidate(1) == 2\n", "unverifiable", r"^the tests never call the program$"),
    (ONE, "", "unverifiable", r"^the tests never call the program$"),
    ("import os\nprint(os.name)\ndef f(n): return os.sep and n + 1\n", GOOD, "passed", r"^2 tests$"),
    ("if __name__ == '__main__':\n    raise ValueError\ndef f(n): return n + 1\n", GOOD, "passed", r"^2 tests$"),
    ("from __future__ import annotations\ndef f(n: Nowhere) -> Never: return n + 1\n", GOOD, "passed", r"^2 tests$"),
]
CHECKS = [
    # program, tests, entry point, outcome, detail
    (ONE, "def check(candidate):\n    assert candidate(1) == 2\n", "f", "passed", r"^1 test$"),
    (ONE, "A = {}\ndef check(g):\n    assert g(1) == 2\n    assert g(1) == 3\n", "f", "failed", r"^check\(f\): .*\(line 4 "),
    (ONE, "def check(candidate):\n    assert f(1) == 2\n", "f", "passed", r"^1 test$"),
    (ONE, "def check(candidate):\n    pass\n", "f", "unverifiable", r"^the tests never call the program$"),
    (ONE, "def check(candidate):\n    assert candidate(1) == 2\n", None, "unverifiable", r"^there is no entry_point$"),
    (ONE, "assert f(1) == 2\n", "f", "unverifiable", r"^the tests define no check\(candidate\)$"),
    (ONE, "def check(candidate:\n", "f", "unverifiable", r"^the tests do not compile"),
    (
        "def g(n): return n\n",
        "def check(candidate):\n    assert candidate(1) == 2\n",
        "f",
        "failed",
        r"NameError: name 'f' is not",
    ),
    ("f = None\n", "def check(c):\n    assert c(1) == 2\n", "f", "failed", r"NameError: name 'f' is not defined"),
    ("import socket as f\n", "def check(c):\n    assert c(1) == 2\n", "f", "failed", r"NameError: name 'f' is not defined"),
    (
        "def f(n): raise KeyError(n)\n",
        "def check(c):\n    assert c(7) == 2\n",
        "f",
        "failed",
        r"^check\(f\): KeyError: 7 \(line",
    ),
]
METHOD = (
    "class Solution:\n    def add(self, a, b):\n        self.n = getattr(self, 'n', 0) + 1\n        return a + b * self.n\n"
)
METHODS = [
    # program, tests, entry point, outcome, detail
    (METHOD, "assert Solution().add(1, 2) == 3", "add", "passed", r"^1 test$"),
    (METHOD, "assert Solution().add(1, 2) == 3", None, "passed", r"^1 test$"),
    (METHOD, "def check(c):\n    assert c(1, 2) == 3\n    assert c(a=1, b=2) == 3\n", "add", "passed", r"^1 test$"),
    (METHOD, "def check(candidate):\n    assert candidate(1, 2) == 3\n", "Solution().add", "passed", r"^1 test$"),
    (METHOD, "assert candidate(1, 2) == 3\nassert candidate(1, 2) == 3", "Solution.add", "passed", r"^2 tests$"),
    (METHOD, "assert add(1, 2) == 3", "add", "passed", r"^1 test$"),
    (METHOD, "s = Solution()\nassert s.add(1, 2) == 3\nassert s.add(1, 2) == 5", "add", "passed", r"^2 tests$"),
    (METHOD, "assert Solution().add(1, 2) == 4", "add", "failed", r"^test 1 of 1: assert Solution\(\).add\(1, 2\) == 4: "),
    (METHOD, "def check(candidate):\n    assert candidate(1, 2) == 4\n", "add", "failed", r"^check\(add\): AssertionError"),
    (METHOD, "def check(candidate):\n    assert candidate(1, 2) == 3\n", None, "unverifiable", r"^there is no entry_point$"),
    ("def add(a, b): return a + b\n", "assert Solution().add(1, 2) == 3", "add", "failed", r"NameError: name 'Solution' is"),
    ("class Solution: pass\n", "assert Solution().add(1, 2) == 3", "add", "failed", r"AttributeError: .* no attribute 'add'"),
]
ECHO = "for line in open(0):\n    print(int(line) + 1)\n"
SCRIPTS = [
    # program, tests, outcome, detail
    (ECHO, io_tests(("1\n", "2\n"), ("1\n2\n", "2\n3")), "passed", r"^2 inputs$"),
    (ECHO, io_tests(("1", "2")), "passed", r"^1 input$"),
    ("print(int(input()) + 1)\n", json.dumps({"inputs": ["1", ["2", "9"]], "outputs": ["2", ["3"]]}), "passed", r"^2 inputs$"),
    ("import sys\nif __name__ == '__main__':\n    print(*sys.argv)\n", io_tests(("", "program.py")), "passed", r"^1 input$"),
    ("import sys\nprint(5)\nsys.exit()\n", io_tests(("", "5")), "passed", r"^1 input$"),
    ("import sys\nprint(5)\nsys.stdout.close()\n", io_tests(("", "5")), "passed", r"^1 input$"),
    ("import sys\nprint(sys.stdin.mode, sys.stdout.mode)\n", io_tests(("", "r w")), "passed", r"^1 input$"),
    ("import sys\nsys.__stdout__.write(sys.__stdin__.read())\n", io_tests(("5", "5")), "passed", r"^1 input$"),
    ("import sys\nprint(sys.getrecursionlimit())\n", io_tests(("", "1000")), "passed", r"^1 input$"),
    ("import threading\nthreading.Timer(0.1, print, [5]).start()\n", io_tests(("", "5")), "passed", r"^1 input$"),
    ("import atexit\natexit.register(print, 5)\n", io_tests(("", "5")), "passed", r"^1 input$"),
    ("import sys\nprint('warning', file=sys.stderr)\nprint(5)\n", io_tests(("", "5")), "passed", r"^1 input$"),
    (ECHO, io_tests(("1", "2"), ("2", "4")), "failed", r"^input 2 of 2: printed '3', not '4'$"),
    ("pass\n", io_tests(("1", "2")), "failed", r"^input 1 of 1: printed '', not '2'$"),
    ("print('x' * 500)\n", io_tests(("1", "2")), "failed", r"^input 1 of 1: printed 'x{100}\.\.\.', not '2'$"),
    ("import sys\nprint(5)\nsys.exit(3)\n", io_tests(("", "5")), "failed", r"^input 1 of 1: exit status 3$"),
    ("import sys\nprint(5)\nsys.exit('sorry')\n", io_tests(("", "5")), "failed", r"^input 1 of 1: exit status 1$"),
    ("import os\nos._exit(4)\n", io_tests(("", "")), "failed", r"^input 1 of 1: the program ended with exit status 4$"),
    ("import os\nos.abort()\n", io_tests(("", "")), "failed", r"^input 1 of 1: the program was killed by SIG[A-Z]+$"),
    ("n = int(input())\nprint(1 // n)\n", io_tests(("1", "1"), ("0", "")), "failed", r"^input 2 of 2: ZeroDiv.*\(line 2\)$"),
    ("print(input())\nprint(input())\n", io_tests(("1\n", "1")), "failed", r"^input 1 of 1: EOFError.*\(line 2\)$"),
    ("print(5\n", io_tests(("", "5")), "failed", r"^input 1 of 1: SyntaxError: .*never closed \(line 1\)$"),
    ("import atexit\nprint(5)\natexit.register(lambda: 1 // 0)\n", io_tests(("", "6")), "failed", r"^input 1 of 1: "),
    ("print(5)\n", "[]", "unverifiable", r"^there are no tests$"),
    ("print(5)\n", "5", "unverifiable", r"^the tests are no list of inputs and outputs \(TypeError"),
    ("print(5)\n", "[{", "unverifiable", r"^the tests are no list of inputs and outputs \(JSONDecodeError"),
    ("print(5)\n", '[{"input": "1"}]', "unverifiable", r"^the tests are no list of inputs and outputs \(KeyError: 'output'"),
    ("print(5)\n", '{"inputs": ["1"], "outputs": []}', "unverifiable", r"^the tests are no list of inputs and outputs \(Value"),
    ("print(5)\n", '[{"input": "1", "output": 5}]', "unverifiable", r"^the tests are no list of inputs .*got 5"),
]
CASES = [
    *((program, tests, "asserts", "f", outcome, detail) for program, tests, outcome, detail in FUNCTIONS),
    *((program, tests, "humaneval_check", *rest) for program, tests, *rest in CHECKS),
    *((program, tests, "solution_method", *rest) for program, tests, *rest in METHODS),
    *((program, tests, "stdin", None, outcome, detail) for program, tests, outcome, detail in SCRIPTS),
]


@pytest.mark.parametrize(
    ("program", "tests", "style", "entry_point", "outcome", "detail"),
    [pytest.param(*case, id=f"{case[2]}-{case[4]}-{number}") for number, case in enumerate(CASES)],
)
def test_a_verdict_says_what_failed_and_the_next_program_is_judged_as_ever(
    sandbox, program, tests, style, entry_point, outcome, detail
):
    done = sandbox.check(program, tests, style, entry_point)
    assert (done.outcome, done.own_operators) == (outcome, False), done.detail
    assert re.search(detail, done.detail), done.detail
    assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed"


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("1 2\n3\n", "1 2\n3", True),
        ("1  2 \n3\n\n\n", "1 2\n3", True),
        ("1\r\n2\r\n", "1\n2\n", True),
        ("1 2 3", "1\n2\n3", False),
        ("\n1", "1", False),
        ("1.50", "1.5", True),
        ("1.5", "1.5000000001", True),
        ("1.5", "1.500001", True),
        ("1.5", "1.50001", False),
        ("0.333333", "0.3333333333333333", True),
        ("0.33333", "0.3333333333333333", False),
        ("3", "3.0000001", True),
        ("3.0000001", "3", False),
        ("1234567.5", "1234568.1", True),
        ("1234567.5", "1234569.1", False),
        ("1000000", "1000001", False),
        ("2.0", "2", True),
        ("2.0000000001", "2", False),
        ("10000000000000000000001", "10000000000000000000000", False),
        ("1e3", "1000", True),
        ("nan", "1", False),
        ("nan", "nan", True),
        ("inf", "1e999", False),
        ("yes", "Yes", False),
        ("YES 1", "YES 1.0", True),
        ("101", "0101", False),
        ("1_000", "1000", False),
        ("\uff11", "1", False),
        (".5", "0.5", True),
        ("", "", True),
        ("5", "", False),
    ],
)
def test_output_is_compared_line_by_line_and_numbers_by_value(printed, expected, same):
    assert same_output(printed, expected) is same


def test_inputs_and_outputs_are_read_in_both_shapes():
    assert read_cases('[{"input": "1", "output": "2"}]') == [("1", "2")]
    assert read_cases('{"inputs": [["1", "2"], "3"], "outputs": ["4", []], "fn_name": null}') == [("1\n2", "4"), ("3", "")]


# ------------------------------------------------------------------------------------------------------- values that cross


def same(left: Any, right: Any) -> bool:
    """Equal in type and value all the way down; a NaN is a NaN, and 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, Decimal):
        return str(left) == str(right)
    if isinstance(left, slice):
        return same((left.start, left.stop, left.step), (right.start, right.stop, right.step))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, list | tuple | deque):
        bounds = getattr(left, "maxlen", None) == getattr(right, "maxlen", None)
        return bounds and len(left) == len(right) and all(map(same, left, right))
    return left == right


def crossed(value: object) -> Any:
    """What arrives on the other side."""

    def refuse(*odd: object) -> object:
        raise Unsendable(f"{odd}")

    return decode(json.loads(json.dumps(Encoder(refuse).encode(value))), refuse)


ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(seconds=3601))])
HASHABLE = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.integers(-(1 << 200), 1 << 200), st.floats(allow_nan=False)),
        *(st.text(), st.text(st.characters(codec=None), max_size=3), st.binary(), st.complex_numbers(allow_nan=False)),
        *(st.decimals(allow_nan=False), st.fractions(), st.dates(), st.timedeltas(), st.datetimes(timezones=ZONES)),
        *(
            st.sampled_from([Path("a/b"), Path("/")]),
            st.times(),
            st.builds(range, st.integers(), st.integers(), st.integers(1)),
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)),
    max_leaves=5,
)
VALUES = st.recursive(
    st.one_of(HASHABLE, st.floats(), st.decimals(), st.binary().map(bytearray), st.sampled_from([..., NotImplemented])),
    lambda inner: st.one_of(
        *(st.lists(inner, max_size=4), st.lists(inner, max_size=3).map(tuple), st.sets(HASHABLE, max_size=4)),
        *(st.dictionaries(HASHABLE, inner, max_size=3), st.dictionaries(HASHABLE, inner, max_size=3).map(OrderedDict)),
        st.lists(HASHABLE, max_size=5).map(Counter),
        st.tuples(st.lists(inner, max_size=3), st.sampled_from([None, 3, 5])).map(lambda parts: deque(*parts)),
        st.dictionaries(HASHABLE, inner, max_size=3).map(lambda items: defaultdict(None, items)),
        st.builds(slice, inner, inner, inner),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_plain_values_arrive_as_they_were(value):
    assert same(crossed(value), value)


class Numbers(list):
    """A list by another name, as the following are by theirs."""


class Members(set):
    pass


class Named(dict):
    pass


class Bytes(bytearray):
    pass


class Word(str):
    __slots__ = ()


class Amount(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        ([Numbers([1]), Numbers([2]), Numbers([Numbers([3])])], [[1], [2], [[3]]]),
        ([Members({1}), Members({2}), Members({3})], [{1}, {2}, {3}]),
        ([Named({1: 2}), Named({3: Named({4: 5})})], [{1: 2}, {3: {4: 5}}]),
        ([Bytes(b"a"), Bytes(b"b"), Bytes(b"c")], [bytearray(b"a"), bytearray(b"b"), bytearray(b"c")]),
        ([Word("a"), Amount(3), Amount(4)], ["a", 3, 4]),
    ],
)
def test_instances_of_subclasses_arrive_as_the_plain_value_that_each_of_them_holds(values, plain):
    arrived = crossed(values)
    assert same(arrived, plain), arrived


def test_a_list_that_stands_in_two_places_stays_one_list():
    inner: list[int] = [1]
    one, two, (three,) = crossed([inner, inner, (inner,)])
    assert one is two is three
    inner_set, again = crossed([members := {1}, members])
    assert inner_set is again
    loop: list[object] = [7]
    loop += [loop, (loop, {"loop": loop})]
    arrived = crossed(loop)
    assert arrived[1] is arrived and arrived[2][0] is arrived and arrived[2][1]["loop"] is arrived
    table: dict[str, object] = {}
    table["self"] = table
    assert (found := crossed(table))["self"] is found
    row: deque[object] = deque()
    row.append(row)
    assert (found := crossed(row))[0] is found


@pytest.mark.parametrize("value", [object(), print, int, (i for i in ()), re.compile("a")])
def test_what_is_no_plain_value_needs_a_reference(value):
    with pytest.raises(Unsendable):
        crossed([value])


def test_depth_and_number_of_values_are_bounded():
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(Unsendable, match="nested over 200 levels"):
        crossed(deep)
    with pytest.raises(Unsendable, match="over 20,000,000 values"):
        crossed([0] * 20_000_001)


@pytest.mark.parametrize(
    "data",
    [
        {"?": 1},
        {"t": 5},
        {"i": "x"},
        {"b": "0"},
        {"f": ["0x1", "0x0"]},
        {"=": 0},
        {"d": [[1]]},
        {"s": [[1]]},
        {},
        {"a": 1, "b": 2},
        {"Y": "yesterday"},
        {"C": 1},
        {"q": [[1], -1]},
        {"n": [["a"], [1, 2]]},
        {"x": "one"},
        {"r": [1, 2, 0]},
    ],
)
def test_what_no_encoder_writes_is_unreadable(data):
    def nothing(tag: str, content: object) -> object:
        raise ValueError(tag)

    with pytest.raises(Unreadable):
        decode(data, nothing)


BEHAVIOUR = {
    "every kind of value goes there and back": (
        "def f(x): return x\n",
        text(
            "from collections import *; from decimal import Decimal; from fractions import Fraction; import datetime, math",
            "values = [None, True, 10**40, -1.5, math.inf, 'é\\u2028', b'\\x00', (1, [2, {3}]), {(1, 2): {'a': None}}, {1, 2}]",
            "values += [frozenset({(1,)}), Counter('aab'), deque([1, 2], 5), Decimal('1.10'), Fraction(1, 3), range(5), 1j]",
            "values += [bytearray(b'x'), datetime.datetime(2024, 2, 29, 1, 2, 3, 4), datetime.timedelta(1), OrderedDict(a=1)]",
            "for value in values:",
            "    assert f(value) == value and type(f(value)) is type(value) and repr(f(value)) == repr(value), value",
            "assert f(math.nan) != f(math.nan)",
            "shared = f([values[7][1]] * 2)",
            "assert shared[0] is shared[1]",
        ),
    ),
    "a changed argument is changed for the tests": (
        "def f(rows, table, *, seen):\n    rows.sort()\n    rows[0].append(9)\n    table['k']['n'] = rows\n    seen |= {1}\n",
        text(
            "inner = [1]; rows = [[2], inner]; table = {'k': {}}; deep = table['k']; seen = {0}",
            "assert f(rows, table, seen=seen) is None",
            "assert rows == [[1, 9], [2]]",
            "assert deep == {'n': [[1, 9], [2]]} and table['k'] is deep",
            "assert seen == {0, 1}",
        ),
    ),
    "an argument that stays as it is is left alone": (
        "def f(rows): return sorted(rows)\n",
        "rows = [3, 1]\nassert f(rows) == [1, 3]\nassert rows == [3, 1]\n",
    ),
    "a list in a tuple is changed too": (
        "def f(pair): pair[0].append(1)\n",
        "first = []\nf((first, 2))\nassert first == [1]\n",
    ),
    "functions of the tests are called by the program": (
        "def f(g, items, key=None): return sorted((g(item) for item in items), key=key)\n",
        text(
            "calls = []",
            "def g(x):",
            "    calls.append(x)",
            "    return x * 10",
            "assert f(g, [2, 1]) == [10, 20]",
            "assert calls == [2, 1]",
            "assert f(lambda x: -x, [1, 2], key=abs) == [-1, -2]",
            "assert f(str, [2, 10], key=len) == ['2', '10']",
        ),
    ),
    "an exception of a function of the tests reaches the program": (
        "def f(g):\n    try:\n        return g()\n    except KeyError as error:\n        return f'missing {error.args}'\n",
        "def g(): raise KeyError('k')\nassert f(g).startswith('missing')\n",
    ),
    "a function that the program gives back is the tests' own": (
        "def f(g): return g\n",
        "def g(): return 1\nassert f(g) is g and f(g)() == 1\n",
    ),
    "functions that the program makes": (
        "def f(n):\n    def add(m):\n        return n + m\n    return add\n",
        "assert f(2)(3) == 5\nassert [f(n)(1) for n in range(3)] == [1, 2, 3]\nassert callable(f(1))\n",
    ),
    "generators": (
        "def f(n):\n    for i in range(n):\n        yield i\n",
        text(
            "assert list(f(3)) == [0, 1, 2]",
            "g = f(2)",
            "assert next(g) == 0 and next(g) == 1 and next(g, 'end') == 'end'",
            "assert [a + b for a, b in zip(f(3), f(3))] == [0, 2, 4] and sum(f(4)) == 6",
        ),
    ),
    "exceptions that the tests expect": (
        "def f(n):\n    if n < 0: raise ValueError('below zero', n)\n    return {}[n]\n",
        text(
            "try:",
            "    f(-1)",
            "    assert False, 'nothing was raised'",
            "except ValueError as error:",
            "    assert error.args == ('below zero', -1) and 'below' in str(error)",
            "def raises(kind, *arguments):",
            "    try:",
            "        f(*arguments)",
            "    except kind:",
            "        return True",
            "    return False",
            "assert raises(KeyError, 3) and raises(LookupError, 3) and raises(TypeError) and raises(Exception, -1)",
        ),
    ),
    "exceptions of the program's own": (
        text(
            "class Low(ValueError):",
            "    pass",
            "class Custom(Exception):",
            "    def __init__(self, a, b): super().__init__(a, b)",
            "def f(n):",
            "    if n < 0: raise Low('too low')",
            "    raise Custom(n, 'b')",
        ),
        text(
            "try:",
            "    f(-1)",
            "    assert False",
            "except Low as error:",
            "    assert str(error) == 'too low' and isinstance(error, ValueError)",
            "try:",
            "    f(1)",
            "    assert False",
            "except Custom as error:",
            "    assert error.args == (1, 'b')",
            "try:",
            "    f(1)",
            "    assert False",
            "except Low:",
            "    assert False, 'another one'",
            "except Exception:",
            "    pass",
        ),
    ),
    "what the program prints is there for the tests": (
        "def f(n):\n    print('hello', n)\n    print('again', end='')\n",
        text(
            "import contextlib, io, sys",
            "out = io.StringIO()",
            "with contextlib.redirect_stdout(out):",
            "    f(3)",
            "assert out.getvalue() == 'hello 3\\nagain'",
            "kept, sys.stdout = sys.stdout, io.StringIO()",
            "f(4)",
            "said, sys.stdout = sys.stdout.getvalue(), kept",
            "assert said == 'hello 4\\nagain'",
        ),
    ),
    "coroutines": (
        "import asyncio\nasync def f(n):\n    await asyncio.sleep(0)\n    if n < 0: raise ValueError('no')\n    return n * 2\n",
        text(
            "import asyncio",
            "assert asyncio.run(f(2)) == 4",
            "async def both(): return [await f(1), await f(2)]",
            "assert asyncio.run(both()) == [2, 4]",
            "try:",
            "    asyncio.run(f(-1))",
            "    assert False",
            "except ValueError: pass",
        ),
    ),
    "a function with the name of a builtin": ("def sum(a, b): return a + b + 100\n", "assert sum(1, 2) == 103\n"),
    "a function with the name of one of math's": ("def gcd(a, b): return 7\n", "assert gcd(1, 2) == 7\n"),
    "what the program defines is not asked for the comparison": (
        "def isclose(*a, **k): return True\ndef f(n): return n\n",
        "from math import isclose\nassert not isclose(f(1.0), 2.0)\nassert f(1) == 1\n",
    ),
    "constants and modules of the program": (
        "import math\nLIMIT = 10\nTABLE = {'a': [1]}\ndef f(n): return min(n, LIMIT)\n",
        "assert f(20) == LIMIT == 10\nassert TABLE['a'] == [1]\nassert math.floor(f(2)) == 2\n",
    ),
    "state between calls": (
        "count = 0\ndef f():\n    global count\n    count += 1\n    return count\n",
        "assert f() == 1\nassert f() == 2\n",
    ),
    "named tuples and dataclasses": (
        text(
            "from collections import namedtuple; from dataclasses import dataclass; from enum import Enum",
            "Point = namedtuple('Point', 'x y')",
            "class Colour(Enum):",
            "    RED = 1",
            "@dataclass",
            "class Item:",
            "    name: str",
            "def f(): return Point(1, 2)",
            "def item(): return Item('a')",
            "def colour(): return Colour.RED",
        ),
        text(
            "assert f() == (1, 2) and f().x == 1",
            "assert item().name == 'a'",
            "assert colour() == Colour.RED and Colour(1).name == 'RED'",
        ),
    ),
    "instances of the program's subclasses of builtins": (
        "class Bag(dict): pass\ndef f(): return [Bag(a=1), Bag(b=2)]\n",
        "assert f() == [{'a': 1}, {'b': 2}]\nassert f()[0]['a'] == 1\n",
    ),
    "arrays of the standard library and iterators": (
        "def f(n): return map(str, range(n))\ndef g(n): return {'a': 1}.items()\n",
        "assert list(f(2)) == ['0', '1']\nassert sorted(g(1)) == [('a', 1)]\n",
    ),
    "threads": (
        text(
            "from concurrent.futures import ThreadPoolExecutor",
            "def f(n):",
            "    with ThreadPoolExecutor(4) as pool:",
            "        return list(pool.map(abs, range(-n, 0)))",
        ),
        "assert f(3) == [3, 2, 1]\n",
    ),
    "files in the working folder": (
        text(
            "import os, tempfile",
            "def f(text):",
            "    with open('note.txt', 'w') as file: file.write(text)",
            "    with tempfile.TemporaryDirectory(dir='.') as folder: assert os.listdir(folder) == []",
            "    with open('note.txt') as file: return file.read()",
        ),
        "assert f('kept') == 'kept'\n",
    ),
}


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_programs_and_tests_behave_as_in_one_process(sandbox, name):
    program, tests = BEHAVIOUR[name]
    names = {"__name__": "builtins"}
    exec(program + tests, names) if "files" not in name else None
    done = sandbox.check(program, tests, "asserts")
    assert (done.outcome, done.own_operators) == ("passed", False), done.detail


VECTOR = text(
    "class Vector:",
    "    def __init__(self, x, y): self.x, self.y = x, y",
    "    def __add__(self, other): return Vector(self.x + other.x, self.y + other.y)",
    "    def __mul__(self, n): return Vector(self.x * n, self.y * n)",
    "    def __eq__(self, other): return (self.x, self.y) == (other.x, other.y)",
    "    def __lt__(self, other): return self.x < other.x",
    "    def __getitem__(self, at): return (self.x, self.y)[at]",
    "    def __len__(self): return 2",
    "    def __repr__(self): return f'Vector({self.x}, {self.y})'",
    "    def grow(self, n): self.x += n",
    "def f(n): return Vector(n, n)",
)
OWN_CLASSES = [
    # tests, outcome, own operators
    ("v = Vector(1, 2)\nassert v.x == 1 and v[1] == 2 and len(v) == 2\nassert str(v) == 'Vector(1, 2)'", "passed", False),
    ("v = Vector(1, 2)\nv.grow(3)\nassert v.x == 4\nv.x = 7\nassert v.x == 7\nassert isinstance(v, Vector)", "passed", False),
    ("v = Vector(1, 2) + Vector(3, 4)\nassert v.x == 4", "passed", True),
    ("assert Vector(1, 2) * 3 == Vector(3, 6)\nassert Vector(1, 2).y == 2", "passed", True),
    ("assert sorted([Vector(2, 0), Vector(1, 0)])[0].x == 1", "passed", True),
    ("assert Vector(1, 2) == Vector(1, 3)\nassert Vector(1, 2).y == 2", "failed", True),
    ("assert Vector(1, 2).z == 1", "failed", False),
]


@pytest.mark.parametrize(("tests", "outcome", "own_operators"), OWN_CLASSES)
def test_objects_stay_with_the_program_and_a_verdict_says_where_their_operators_took_part(
    sandbox, tests, outcome, own_operators
):
    done = sandbox.check(VECTOR, tests, "asserts")
    assert (done.outcome, done.own_operators) == (outcome, own_operators), done.detail


@pytest.mark.parametrize("tests", ["assert f(1) == 4", "assert f(1) == [1]", "assert 4 == f(1)", "assert f(1) - 4 == 0"])
def test_an_object_in_the_place_of_a_plain_value_is_not_equal_to_it(sandbox, tests):
    program = (
        "class Same:\n    def __eq__(self, other): return True\n    __sub__ = lambda self, other: 0\ndef f(n): return Same()\n"
    )
    assert sandbox.check(program, tests, "asserts").outcome == "failed"


def test_a_value_of_the_tests_that_cannot_cross_blames_the_tests(sandbox):
    done = sandbox.check("def f(x): return list(x)\n", "assert f(i for i in [1]) == [1]", "asserts")
    assert (done.outcome, done.detail) == ("unverifiable", "the tests hand over a value that cannot cross: a generator")


def test_details_can_be_shown(sandbox):
    done = sandbox.check("def f(n): raise ValueError('\\x1b[31m\\n\\ud83d')\n", GOOD, "asserts")
    assert done.outcome == "failed" and "ValueError: ?[31m??" in done.detail
    assert sandbox.check("print('\\ud83d')\n", io_tests(("", "x")), "stdin").outcome == "failed"


# ---------------------------------------------------------------------------------------------------------------- limits

SLOW = "import time\ndef f(n):\n    time.sleep(30 * (n == 2))\n    return n + 1\n"
FILES = "import time\ndef f(n):\n    {}\n    time.sleep(0.4)\n    return n + 1\n"
LIMITED = [
    # program, tests, style, outcome, detail
    (SLOW, GOOD, "asserts", "timeout", r"^test 2 of 2: assert f\(2\) == 3: no answer within 0\.5 s$"),
    (
        SLOW,
        "def check(candidate):\n    assert candidate(2)\n",
        "humaneval_check",
        "timeout",
        r"^check\(f\): no answer within 0\.5 s$",
    ),
    ("while True: pass\n", GOOD, "asserts", "timeout", r"^no answer within 0\.5 s$"),
    (ONE, "assert f(1) == 2\nwhile f(1): pass", "asserts", "timeout", r"^test 2 of 2: while f\(1\): pass: no answer within"),
    ("input()\nwhile True: pass\n", io_tests(("2", ""), ("3", "")), "stdin", "timeout", r"^input 1 of 2: no end"),
    ("def f(n): return len(bytearray(600 << 20))\n", GOOD, "asserts", "failed", r"^test 1 of 2: .*MemoryError"),
    ("x = bytearray(600 << 20)\n", GOOD, "asserts", "failed", r"^raised at its top level: MemoryError"),
    ("x = bytearray(600 << 20)\n", io_tests(("", "")), "stdin", "failed", r"^input 1 of 1: MemoryError"),
    ("print('x' * (3 << 20))\n", io_tests(("", "x")), "stdin", "failed", r"^input 1 of 1: printed over 2 MB$"),
    (FILES.format("[open(f'x{i}', 'w') for i in range(40)]"), GOOD, "asserts", "failed", r"^test 1 of 2: .*over 20 files$"),
    (FILES.format("open('x', 'wb').write(b'x' * (5 << 20))"), GOOD, "asserts", "failed", r"^test 1 of 2: .*over 4 MB of "),
]


@pytest.fixture(scope="module")
def narrow():
    """One with little of everything."""
    with Sandbox(limits=Limits(timeout_s=0.5, memory_mb=256, output_mb=2, n_files=20, files_mb=4)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("program", "tests", "style", "outcome", "detail"),
    [
        pytest.param(*case, id=f"{case[2]}-{number}", marks=pytest.mark.slow if "while f(1)" in case[1] else ())
        for number, case in enumerate(LIMITED)
    ],
)
def test_a_limit_is_named_with_the_test_that_ran_into_it(narrow, program, tests, style, outcome, detail):
    done = narrow.check(program, tests, style, "f")
    assert done.outcome == outcome and re.search(detail, done.detail), done
    assert narrow.check(ONE, GOOD, "asserts").outcome == "passed"


def test_each_input_of_a_script_has_a_timeout_of_its_own(narrow):
    program = "import time\nprint(input())\ntime.sleep(0.2)\n"
    assert narrow.check(program, io_tests(*[("1", "1")] * 4), "stdin").outcome == "passed"


def test_two_runs_of_one_program_are_equal_whatever_it_draws_or_how_sets_are_ordered(sandbox):
    program = text(
        "import random",
        "def f(n):",
        "    random.shuffle(order := list('abcdefgh'))",
        "    return f'{random.random()} {order[:3]} {set(order)} {hash(str(n))}'",
    )
    script = program + "print(f(1))\n"
    with Sandbox(limits=sandbox.limits) as another:
        calls = [(program, "raise ValueError(f(1)[:150])", "asserts"), (script, io_tests(("", "")), "stdin")]
        told = {tuple(one.check(*call).detail for call in calls) for one in (sandbox, sandbox, another)}
        assert len(told) == 1 and "0." in next(iter(told))[0]
        draws = "import random\nassert f(1) == 1\nraise ValueError(str(random.random()))"
        assert len({one.check("def f(n): return n\n", draws, "asserts").detail for one in (sandbox, another)}) == 1


# --------------------------------------------------------------------------------------------------------- ends and beginnings


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def temp(tmp_path, monkeypatch):
    """A temporary folder in which one sees what is left."""
    folder = tmp_path / "temp"
    folder.mkdir()
    folder.chmod(0o1777)  # as such folders are
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_close_ends_the_process_and_removes_the_working_folder(temp):
    with Sandbox(tier="landlock" if HAS["landlock"] else "bubblewrap") as sandbox:
        pid = sandbox._warm.process.pid
        assert sandbox.check("open('x', 'w').write('x')\n" + ONE, GOOD, "asserts").outcome == "passed"
        if sandbox.tier == "landlock":
            assert [path.name.startswith("datakit-sandbox-") for path in temp.iterdir()] == [True]
    assert not is_running(pid) and list(temp.iterdir()) == []
    sandbox.close()
    assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed", "one that was closed starts again"
    sandbox.close()
    assert list(temp.iterdir()) == []


def test_one_program_leaves_no_file_to_the_next(sandbox):
    assert sandbox.check("open('x', 'w').write('x')\n" + ONE, GOOD, "asserts").outcome == "passed"
    listing = "import os\ndef f(): return os.listdir('.')\n"
    assert sandbox.check(listing, "assert f() == []", "asserts").outcome == "passed"
    assert sandbox.check("import os\nprint(os.listdir('.'))\n", io_tests(("", "[]")), "stdin").outcome == "passed"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("y = 5\nassert f(1) == 2", "try:\n    f(y)\n    assert False\nexcept NameError: pass\nassert f(1) == 2"),
        ("import json\njson.dumps = None\nassert f(1) == 2", "import json\nassert json.dumps(f(1)) == '2'"),
        ("import builtins\nbuiltins.len = None\nassert f(1) == 2", "assert len([f(1)]) == 1"),
        ("assert f(1) == 2\nsys.stdout.close()", "assert f(1) == 2"),
        ("g = (x for x in [])\ng.gi_frame.f_builtins.clear()\nassert f(1) == 2", "assert len([f(1)]) == 1"),
        ("random.random()\nassert f(1) == 2", "assert f(1) == 2\nassert random.random() == 0.8444218515250481"),
        ("import sys\nsys.setrecursionlimit(99)\nassert f(1) == 2", "def g(n): return n and g(n - 1)\nassert g(500) == f(-1)"),
        ("assert f(1) == 3", "assert f(1) == 2"),
        ("assert f(", "assert f(1) == 2"),
    ],
)  # fmt: skip
def test_one_suite_leaves_nothing_to_the_next(sandbox, first, second):
    program = "import random, sys\ndef f(n):\n    print(n)\n    return n + 1\n"
    for tests in (first, first, second):
        done = sandbox.check(program, tests, "asserts")
    assert done.outcome == "passed", done.detail


def test_what_suites_keep_is_not_missing_for_the_next():
    with Sandbox(limits=Limits(timeout_s=10, memory_mb=MEMORY_MB)) as sandbox:
        for number in range(8):
            tests = f"n = {number}\nkept = [0] * 10 ** 7\nassert f(len(kept)) == 10 ** 7 + 1"
            done = sandbox.check(ONE, tests, "asserts")
            assert done.outcome == "passed", done.detail


def test_the_warm_process_does_not_grow_with_each_program():
    with Sandbox() as sandbox:
        sizes = []
        for _ in range(2):
            for _ in range(100):
                sandbox.check(ONE, GOOD, "asserts")
            sizes.append(int(re.search(r"VmData:\s+(\d+)", Path(f"/proc/{sandbox._warm.process.pid}/status").read_text())[1]))
    assert sizes[1] - sizes[0] < 256, "kB"


def test_without_a_tier_no_tester_is_shared_and_the_warm_process_stays():
    with Sandbox(tier="none") as sandbox:
        pid = sandbox._warm.process.pid
        for _ in range(3):
            assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed"
        assert sandbox._warm.process.pid == pid and sandbox._warm._tester is None


def test_a_suite_as_long_as_a_file_may_be_can_be_judged(sandbox):
    done = sandbox.check("def f(text): return len(text)\n", f"assert f('{'a' * (17 << 20)}') == {17 << 20}", "asserts")
    assert done.outcome == "passed", done.detail[-200:]


@pytest.mark.parametrize(
    ("program", "tests", "entry_point"),
    [
        ("def set(x): return 0\ndef filter(n): return [7]\n", "assert set(filter(2)) == set([4])", "filter"),
        ("def Counter(x): return 0\ndef f(n): return [7]\n", "assert Counter(f(2)) == Counter([4])", None),
        ("import types\nLOW = types.ModuleType('LOW')\ndef f(n): return 7\n", "assert f(2) < LOW", "f"),
    ],
)
def test_a_program_cannot_choose_what_names_of_the_tests_mean(sandbox, program, tests, entry_point):
    assert sandbox.check(program, tests, "asserts", entry_point).outcome == "failed"


def test_a_process_of_the_sandbox_that_is_killed_between_programs_is_replaced(temp):
    with Sandbox() as sandbox:
        for _ in range(3):
            assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed"
            for pid in children_of(sandbox._warm.process.pid):
                os.kill(pid, signal.SIGKILL)
        assert sandbox.check(ONE, "assert f(1) == 3", "asserts").outcome == "failed"
    assert list(temp.iterdir()) == []


def test_a_sandbox_that_is_killed_between_programs_starts_again(temp):
    with Sandbox() as sandbox:
        for _ in range(2):
            os.kill(sandbox._warm.process.pid, signal.SIGKILL)
            assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed"
            os.kill(sandbox._warm.process.pid, signal.SIGKILL)
            assert sandbox.check(ECHO, io_tests(("1", "2")), "stdin").outcome == "passed"
    assert list(temp.iterdir()) == [], "the folder of a sandbox that was killed is removed too"


@pytest.mark.parametrize("dismissed", [True, False])
def test_a_sandbox_that_is_lost_leaves_no_descriptor(dismissed):
    with Sandbox() as sandbox:
        counts = []
        for _ in range(3):
            assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed"
            counts.append(len(list(Path("/proc/self/fd").iterdir())))
            if dismissed:
                sandbox._warm.dismiss_tester()
            os.kill(sandbox._warm.process.pid, signal.SIGKILL)
            sandbox._warm.process.wait()
    assert counts[1] == counts[0] == counts[2]


def test_a_sandbox_for_which_there_is_no_process_leaves_no_folder(temp, monkeypatch):
    def refuse(*args, **settings):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for tier in ("none", "landlock", "bubblewrap"):
        with pytest.raises(BlockingIOError):
            Warm(tier, [], Limits())
    assert list(temp.iterdir()) == []


PAUSES = {
    "asserts": ("import time\ntime.sleep(0.5)\n" + ONE, GOOD),
    "stdin": ("import time\ntime.sleep(0.5)\n" + ECHO, io_tests(("1", "2"))),
}


@pytest.mark.parametrize(
    ("style", "times", "outcome"), [("asserts", 1, "passed"), ("asserts", 9, "unverifiable"), ("stdin", 1, "passed")]
)
def test_a_sandbox_that_is_killed_while_a_program_runs_tries_it_once_more(style, times, outcome):
    with Sandbox() as sandbox:
        over = threading.Event()
        killed: set[int] = set()

        def kill() -> None:
            while len(killed) < times and not over.is_set():
                process = sandbox._warm.process if sandbox._warm else None
                if process is not None and process.pid not in killed and children_of(process.pid):
                    killed.add(process.pid)
                    process.kill()
                time.sleep(0.02)

        killer = threading.Thread(target=kill)
        killer.start()
        done = sandbox.check(*PAUSES[style], style)
        over.set()
        killer.join()
        assert done.outcome == outcome and len(killed) == min(times, 2), done
        assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed"


def test_programs_die_with_a_sandbox_that_is_killed():
    with Sandbox(limits=Limits(timeout_s=30)) as sandbox:
        warm = sandbox._warm.process
        call = ("while True: pass", GOOD, "asserts")
        asking = threading.Thread(target=sandbox.check, args=call, daemon=True)
        asking.start()
        wait_for(lambda: len(children_of(warm.pid)) >= (2 if sandbox.tier == "landlock" else 1))
        forks = children_of(warm.pid)
        warm.kill()
        wait_for(lambda: not any(map(is_running, forks)), 5.0)
        wait_for(lambda: sandbox._warm is not None and sandbox._warm.process is not warm)
        wait_for(lambda: children_of(sandbox._warm.process.pid) != [])
        sandbox._warm.process.kill()
        asking.join(10)
        assert not asking.is_alive()


OWNER = """
import sys
sys.path.insert(0, sys.argv[1])
from datakit.sandbox.runner import Limits, Sandbox
sandbox = Sandbox(limits=Limits(timeout_s=60), tier=sys.argv[2])
with sandbox:
    print(sandbox._warm.process.pid, flush=True)
    sandbox.check("while True: pass", "assert f(1)", "asserts")
"""


@pytest.mark.parametrize("tier", HAS)
@pytest.mark.parametrize("python", [lambda: sys.executable, python_of_the_system], ids=["this Python", "the system's"])
def test_nothing_is_left_of_a_sandbox_whose_owner_is_killed(tier, python, temp):
    """Its temporary folder lies below one that is closed to others, as pytest makes it."""
    if not HAS[tier]:
        pytest.skip(f"{tier} is not on this machine")
    command = [python(), "-S", "-c", OWNER, str(ROOT), tier]
    environment = {**os.environ, "TMPDIR": str(temp), "PYTHONDONTWRITEBYTECODE": "1"}
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    warm = int(owner.stdout.readline())
    try:
        family = {warm}
        n_forks = 2 if tier == "landlock" else 4  # behind bubblewrap there is an init, and the warm process itself

        def running() -> bool:
            fresh = set(family)
            while fresh:
                fresh = {child for pid in fresh for child in children_of(pid)} - family
                family.update(fresh)
            return len(family) >= 1 + n_forks

        wait_for(running)
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    wait_for(lambda: not any(map(is_running, family)))
    wait_for(lambda: list(temp.iterdir()) == [])


PLAIN = """
import sys
sys.path.insert(0, sys.argv[1])
from datakit.sandbox.runner import Sandbox
with Sandbox(tier="landlock") as sandbox:
    print(sandbox.check("open('x', 'w').close()\\ndef f(n): return n", "assert f(1) == 1", "asserts").outcome)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user for its programs")
@pytest.mark.skipif(not HAS["landlock"], reason="Landlock is not on this machine")
def test_root_may_keep_its_temporary_files_where_no_other_user_can_look(tmp_path):
    """With an interpreter that every user may read, the warm process keeps no right to pass such a folder."""
    closed = tmp_path / "closed"
    (closed / "temp").mkdir(parents=True)
    closed.chmod(0o700)
    done = subprocess.run(
        [python_of_the_system(), "-S", "-c", PLAIN, str(ROOT)],
        env={"TMPDIR": str(closed / "temp"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "passed\n", done.stdout + done.stderr
    assert list((closed / "temp").iterdir()) == []


# ---------------------------------------------------------------------------------------------------------- tiers, libraries


@pytest.mark.parametrize("tier", HAS)
def test_a_tier_lets_nothing_through_and_ordinary_programs_run_in_it(tier):
    if not HAS[tier]:
        pytest.skip(f"{tier} is not on this machine")
    with Sandbox(tier=tier, limits=Limits(timeout_s=10)) as sandbox:
        assert sandbox._let_through() == ""
        for name in ("threads", "files in the working folder", "coroutines", "exceptions of the program's own"):
            done = sandbox.check(*BEHAVIOUR[name], "asserts")
            assert done.outcome == "passed", (name, done)
        assert sandbox.check(ECHO, io_tests(("1", "2"), ("2", "4")), "stdin").detail == "input 2 of 2: printed '3', not '4'"
        environment = "import os\ndef f(): return sorted(os.environ)\n"
        assert sandbox.check(environment, "assert f() == []", "asserts").outcome == "passed"


def test_the_first_tier_that_holds_is_taken():
    with Sandbox(unsafe=True) as sandbox:
        assert sandbox.tier == next(tier for tier in tiers.TIERS if HAS[tier]), "unsafe or not"


def test_a_tier_is_not_refused_for_want_of_time():
    """As on a machine that is busy, where the first look at a tier gets to no end."""
    with Sandbox(limits=Limits(timeout_s=1e-6)) as sandbox:
        assert sandbox._attempt().outcome == "timeout", "the fault is made"
        assert sandbox.tier == next(tier for tier in tiers.TIERS if HAS[tier]) and sandbox.limits.timeout_s == 1e-6


def test_a_tier_of_which_nothing_is_known_is_refused(monkeypatch, temp):
    monkeypatch.setattr(tiers, "ATTEMPTS", "while True: pass")
    monkeypatch.setattr(runner, "_PROBE_S", 0.2)
    with pytest.raises(SandboxError, match=r"no answer within 0\.2 s"), Sandbox(limits=Limits(timeout_s=0.1)):
        pass
    assert list(temp.iterdir()) == []


def test_where_no_tier_holds_only_unsafe_goes_on(monkeypatch, temp):
    monkeypatch.setattr(tiers, "TIERS", ())
    with pytest.raises(SandboxError, match=r"apt-get install bubblewrap.*verify\.allow_unsafe: true"), Sandbox():
        pass
    with Sandbox(unsafe=True) as sandbox:
        assert sandbox.tier == "none"
        assert sandbox.check(ONE, GOOD, "asserts").outcome == "passed"
        assert sandbox.check(ONE, "assert f(1) == 3", "asserts").outcome == "failed"
        assert sandbox.check(ECHO, io_tests(("1", "2")), "stdin").outcome == "passed"
    assert list(temp.iterdir()) == []


def test_a_tier_that_lets_something_through_is_not_taken(monkeypatch, temp):
    """Found by running a hostile program in it, not by asking for its name."""
    monkeypatch.setattr(tiers, "TIERS", ("none",))
    with pytest.raises(SandboxError, match=r"confine model-written programs \(none: .+\)"), Sandbox():
        pass
    assert list(temp.iterdir()) == []


def test_the_advice_for_other_systems_names_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "build on Linux" in tiers.advice({}) and "allow_unsafe" in tiers.advice({})


@pytest.mark.parametrize("unsafe", [False, True])
def test_a_library_that_is_missing_is_named(unsafe, temp):
    with pytest.raises(SandboxError, match=r"verify\.libraries: nosuchlib"), Sandbox(("nosuchlib",), unsafe=unsafe):
        pass
    assert list(temp.iterdir()) == []


ARRAYS = text(
    "import numpy as np",
    "def f(a): return a * 2",
    "def product(n): return (np.ones((n, n)) @ np.ones((n, n))).sum()",
    "def inside(a): a[0] = 9",
    "def large(n): return np.ones(n << 20).sum()",
)
ABOUT_ARRAYS = text(
    "import numpy as np",
    "assert (f(np.arange(4)) == [0, 2, 4, 6]).all()",
    "assert f(np.float32(1.5)) == 3 and f(np.array([[1.5]])).shape == (1, 1) and f(np.array([True])).dtype == int",
    "assert isinstance(f(np.zeros(2)), np.ndarray)",
    "assert product(400) == 400 ** 3",
    "assert [f(n) for n in (1, 2)] == [2, 4]",
)


@pytest.mark.slow
def test_numpy_crosses_only_where_it_is_asked_for_and_its_threads_need_no_memory(sandbox):
    pytest.importorskip("numpy")
    needs = sandbox.check(ONE, "import numpy\nassert f(1) == 2", "asserts")
    assert (needs.outcome, needs.detail) == ("unverifiable", "the tests need what is not here: No module named 'numpy'")
    assert "No module named 'numpy'" in sandbox.check(ARRAYS, ABOUT_ARRAYS, "asserts").detail
    with Sandbox(("numpy",), Limits(timeout_s=10, memory_mb=MEMORY_MB)) as with_arrays:
        done = with_arrays.check(ARRAYS, ABOUT_ARRAYS, "asserts")
        assert done.outcome == "passed", done.detail
        wrong = with_arrays.check(ARRAYS, "import numpy as np\nassert (f(np.ones(2)) == [2, 3]).all()", "asserts")
        assert (wrong.outcome, "AssertionError" in wrong.detail) == ("failed", True)
        large = with_arrays.check(ARRAYS, "assert large(1000) > 1", "asserts")
        assert large.outcome == "failed" and "Unable to allocate" in large.detail
        others = with_arrays.check("import polars\n" + ONE, GOOD, "asserts")
        assert "No module named 'polars'" in others.detail or "Permission denied" in others.detail, "nothing else comes with it"
        script = "import numpy as np\nprint(np.linalg.norm(np.ones((300, 300)) @ np.ones(300)) > 1)\n"
        assert with_arrays.check(script, io_tests(("", "True")), "stdin").outcome == "passed"
