# ruff: noqa: E501 - a program and its tests are one line each
"""What is no program's fault: libraries that are not listed, what tests patch and seed, sizes, and a machine that is busy."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("the sandbox's tiers are of Linux", allow_module_level=True)

from datakit.sandbox import libraries
from datakit.sandbox.clock import Clock
from datakit.sandbox.inside.confine import landlock_abi
from datakit.sandbox.runner import Limits, Sandbox


@pytest.fixture(scope="module")
def sandbox():
    if not landlock_abi() and shutil.which("bwrap") is None:
        pytest.skip("nothing on this machine can confine a program")
    with Sandbox(limits=Limits(timeout_s=10, memory_mb=2048)) as sandbox:
        yield sandbox


PATCH = "from unittest import mock\nimport builtins, io, os, random, sys, time, datetime\n"
READS = "def f():\n    return input() + input()\n"
CASES = [
    # program, tests, outcome, detail
    ("import polars\ndef f(n): return n\n", "assert f(1) == 1", "unverifiable", "needs the library polars, which is not in verify"),
    ("def f(n):\n    import polars.x\n    return n\n", "assert f(1) == 1", "unverifiable", "needs the library polars"),
    ("def f(n):\n    try: import polars\n    except ImportError: return n\n", "assert f(1) == 1", "passed", ""),
    ("import json.nothing\n", "assert f(1) == 1", "failed", "No module named 'json.nothing'"),
    ("def f(n): raise ModuleNotFoundError(\"No module named 'polars'\")\n", "assert f(1) == 1", "failed", "No module named"),
    (READS, "with mock.patch('builtins.input', side_effect=['1', '2']) as m:\n    assert f() == '12'\n    assert m.call_count == 2", "passed", ""),
    (READS, "with mock.patch('builtins.input', side_effect=['1', '3']):\n    assert f() == '12'", "failed", "AssertionError"),
    (READS, "builtins.input = lambda *a: 'x'\nassert f() == 'xx'", "passed", ""),
    (READS, "sys.stdin = io.StringIO('1\\n2\\n')\nassert f() == '12'", "passed", ""),
    (READS, "with mock.patch('builtins.input', return_value='1'):\n    assert f() == '11'\ntry:\n    f()\n    assert False\nexcept EOFError: pass", "passed", ""),
    ("def f(): print('a', end='')\n", "with mock.patch('builtins.print') as m:\n    f()\n    m.assert_called_once_with('a', end='')", "passed", ""),
    ("import time\ndef f():\n    time.sleep(99)\n    return time.time()\n", "with mock.patch('time.sleep'), mock.patch('time.time', lambda: 5):\n    assert f() == 5", "passed", ""),
    ("import os\ndef f(): return os.environ['A']\n", "with mock.patch.dict(os.environ, {'A': '1'}):\n    assert f() == '1'", "passed", ""),
    ("def f(): return open('x').read()\n", "with mock.patch('builtins.open', mock.mock_open(read_data='x')):\n    assert f() == 'x'", "unverifiable", "cannot cross: a MagicMock"),
    ("import datetime\ndef f(): return datetime.datetime.now()\n", "with mock.patch('datetime.datetime') as m:\n    f()", "unverifiable", "in the place of datetime that does not reach"),
    ("def g(): return 1\ndef f(): return g()\n", "with mock.patch('__main__.g'):\n    f()", "unverifiable", "patch what is not in their process"),
    ("import random\ndef f(n): return [random.random() for _ in range(n)]\n", "random.seed(42)\nassert f(1) == [0.6394267984578837]\nassert f(1) == [0.025010755222666936]", "passed", ""),
    ("import random\ndef f(n): return random.random()\n", "random.seed(42)\na = f(1)\nrandom.seed(42)\nassert f(1) == a\nassert f(1) != a", "passed", ""),
    ("def f(path): return open(path).read()\n", "open('given.txt', 'w').write('x')\nassert f('given.txt') == 'x'", "passed", ""),
    ("def f(n): return list(range(n))\n", "assert f(2_100_000) == list(range(2_100_000))", "passed", ""),
    ("def f(n): return list(range(n))\n", "assert f(2_100_000)[-1] == 2_100_000", "failed", "AssertionError"),
    ("def f(n): return [0] * n\n", "assert len(f(20_000_001)) == 20_000_001", "unverifiable", "the program's answer holds over 20,000,000 values"),
    *(("def f(s): return tuple(s)\n", f"assert f({s}) == tuple({s})", "passed", "") for s in (
        "{12, 13, 14, 15, 16}", "set(range(12, 17))", "{8, 0, 16}", "{16, 0, 8}", "{'b', 'a', 'cc', 'd', 'e'}", "{x * 7 for x in range(30)}",
        "frozenset({12, 13, 14, 15, 16})", "frozenset(range(12, 17))", "frozenset({8, 0, 16})", "frozenset({x * 7 for x in range(30)})")),
    *((f"def f():\n    with open({name!r}) as file: return file.read()\n", tests, outcome, said) for name, tests, outcome, said in (
        ("a/b.txt", "os.makedirs('a')\nopen('a/b.txt', 'w').write('x')\nassert f() == 'x'", "passed", ""),
        ("a.txt", "with open('a.txt', 'w') as file:\n    print('x', file=file)\nassert f() == 'x\\n'", "passed", ""),
        ("a.txt", "open('a.txt', 'w').write('x')\nassert f() == 'x'\nopen('a.txt', 'w').write('y')\nassert f() == 'y'", "passed", ""),
        ("a.txt", "open('a.txt', 'w').write('x')\nassert f() == 'y'", "failed", "AssertionError"),
        ("b.txt", "open('a.txt', 'w').write('x')\nassert f() == 'x'", "failed", "FileNotFoundError"),
        ("/etc/hostname", "assert f()", "failed", "PermissionError"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("program", "tests", "outcome", "detail"), CASES, ids=range(len(CASES)))
def test_failed_is_for_what_a_program_did(sandbox, program, tests, outcome, detail):
    done = sandbox.check(program, PATCH + tests + "\n", "asserts", "f")
    assert done.outcome == outcome and detail in done.detail, done
    assert sandbox.check("def f(n): return n\n", "assert f(1) == 1", "asserts").outcome == "passed"


def test_a_script_that_needs_a_library_cannot_be_judged(sandbox):
    done = sandbox.check("import polars\nprint(5)\n", '[{"input": "", "output": "5"}]', "stdin")
    assert (done.outcome, "needs the library polars" in done.detail) == ("unverifiable", True), done


def test_only_what_a_distribution_installed_in_its_folder_is_let_in(tmp_path, monkeypatch):
    """Neither a name that leads out of it, nor a link, nor our own code."""
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\nRequires-Dist: gone; extra == 'all'\n")
    names = ["odd/__init__.py", "../../etc/passwd", "/etc/shadow", "datakit/x.py", "linked/x.py", "odd.libs/a.so", "x.pth"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    (info / "top_level.txt").write_text("odd\n")
    for name in ("odd/__init__.py", "datakit/x.py", "odd.libs/a.so", "x.pth"):  # what is not there Python 3.12 does not list
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "linked").symlink_to("/etc")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = libraries.importable(["odd"])
    assert [Path(path).name for path in found] == ["odd", "odd.libs"]
    assert all(Path(path).parent == tmp_path for path in found)
    assert metadata.version("odd") == "1.0"


LIMIT_S = 0.6
BUSY = "def f(seconds):\n    import time\n    until = time.process_time() + seconds\n    while time.process_time() < until: pass\n    return 1\n"


def burn() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Twice as many others compute as there are cores."""
    burners = [multiprocessing.get_context("fork").Process(target=burn, daemon=True) for _ in range(2 * (os.cpu_count() or 1))]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


@pytest.mark.slow
def test_verdicts_are_equal_on_an_idle_and_on_a_busy_machine():
    """Programs that need 60 % of their time pass, those that need 140 % do not, whoever else computes."""
    with Sandbox(limits=Limits(timeout_s=LIMIT_S, memory_mb=512)) as sandbox:

        def outcomes() -> list[Any]:
            functions = [sandbox.check(BUSY, f"assert f({LIMIT_S * share}) == 1", "asserts").outcome for share in (0.6, 1.4)]
            script = BUSY + "print(f({}))\n"
            told = '[{"input": "", "output": "1"}]'
            return functions + [sandbox.check(script.format(LIMIT_S * share), told, "stdin").outcome for share in (0.6, 1.4)]

        expected = ["passed", "timeout", "passed", "timeout"]
        assert outcomes() == expected
        with busy():
            assert outcomes() == expected


HEAVY = {
    # name: right program, its wrong change, tests; each computes for seconds
    "queens": ("""
def queens(n: int) -> int:
    \"\"\"In how many ways n queens stand on a board of n by n without one attacking another.\"\"\"
    def place(row, columns, rising, falling):
        if row == n:
            return 1
        found = 0
        for column in range(n):
            if column not in columns and row + column not in rising and row - column not in falling:
                found += place(row + 1, columns | {column}, rising | {row + column}, falling | {row - column})
        return found
    return place(0, frozenset(), frozenset(), frozenset())
""", ("row - column not in falling", "True"), """
def check(candidate):
    assert candidate(1) == 1
    assert candidate(6) == 4
    assert candidate(12) == 14_200
"""),
    "primes": ("""
def count_primes(n):
    \"\"\"How many primes are below n, by trial division.\"\"\"
    count = 0
    for number in range(2, n):
        for divisor in range(2, int(number ** 0.5) + 1):
            if number % divisor == 0:
                break
        else:
            count += 1
    return count
""", ("+ 1):", "):"), "assert count_primes(10) == 4\nassert count_primes(800_000) == 63_951"),
    "longest chain": ("""
def longest_chain(limit):
    \"\"\"The start below limit whose Collatz chain is the longest.\"\"\"
    best, longest = 1, 1
    for start in range(1, limit):
        n, length = start, 1
        while n != 1:
            n = 3 * n + 1 if n % 2 else n // 2
            length += 1
        if length > longest:
            best, longest = start, length
    return best
""", ("length > longest", "length < longest"), "assert longest_chain(10) == 9\nassert longest_chain(300_000) == 230_631"),
    "knapsack": ("""
class Solution:
    def fill(self, weights, values, room):
        def best(at, left):
            if at == len(weights):
                return 0
            without = best(at + 1, left)
            if weights[at] > left:
                return without
            return max(without, values[at] + best(at + 1, left - weights[at]))
        return best(0, room)
""", ("max(without", "min(without"), "assert Solution().fill([1, 2, 3], [6, 10, 12], 5) == 22\n"
     "assert Solution().fill(list(range(1, 25)), list(range(24, 0, -1)), 120) == 255"),
}  # fmt: skip


@pytest.mark.slow
def test_solutions_that_compute_for_seconds_have_equal_verdicts_on_an_idle_and_on_a_busy_machine():
    """As HumanEval's, MBPP's and LeetCode's, under the limit that a build has: right ones pass, wrong ones fail for their answer."""
    with Sandbox(limits=Limits(timeout_s=5, memory_mb=512)) as sandbox:

        def outcomes() -> list[tuple[str, str, str]]:
            found: list[tuple[str, str, str]] = []
            for name, (program, (right, wrong), tests) in HEAVY.items():
                assert program.count(right) == 1
                entry = re.findall(r"def (\w+)", program)[0]
                style = "humaneval_check" if "candidate" in tests else "solution_method" if "Solution" in tests else "asserts"
                for text in (program, program.replace(right, wrong)):
                    done = sandbox.check(text, tests, style, entry)
                    found.append((name, done.outcome, "AssertionError" if "AssertionError" in done.detail else ""))
            return found

        expected = [one for name in HEAVY for one in ((name, "passed", ""), (name, "failed", "AssertionError"))]
        began_s = os.times().children_user
        assert outcomes() == expected
        with busy():
            assert outcomes() == expected
    assert os.times().children_user - began_s > 2 * len(HEAVY), "they compute for seconds"


def test_what_waits_ends_by_the_wall_and_what_the_tests_compute_counts_for_nobody():
    clock = Clock(0.0001, lambda: {"program": 0.0, "tests": 0.0})
    while not clock.is_over():
        pass
    with Sandbox(limits=Limits(timeout_s=0.4, memory_mb=512)) as sandbox:
        slept = sandbox.check("import time\ndef f(): time.sleep(60)\n", "assert f() == 1", "asserts")
        assert (slept.outcome, slept.detail) == ("timeout", "test 1 of 1: assert f() == 1: no answer within 0.4 s")
        heavy = "import time\nuntil = time.process_time() + 0.5\nwhile time.process_time() < until: pass\nassert f() == 1"
        assert sandbox.check("def f(): return 1\n", heavy, "asserts").outcome == "passed"
