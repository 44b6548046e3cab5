"""Code: a response is right when its program passes static analysis and all tests.

Outcomes: passed; failed (static analysis, a failing test, an exception, a limit on memory, files or output); timeout (the
program's own slowness, after a second try alone: it counts as wrong); unparseable (no program in the response, or one that
was cut off); unverifiable (the tests cannot be run, or the sandbox had trouble of its own).

FuseChat-3.0 (README, data construction): code is right when it passes static analysis and the tests of its prompt.
"""

from __future__ import annotations

import functools
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from datakit.domains.code.answers import Program, extract
from datakit.domains.code.cases import CannotRun, Runnable
from datakit.domains.code.formats import runnable
from datakit.domains.code.leetcode import leetcode, named
from datakit.domains.code.static import analyse
from datakit.domains.protocol import Verdict
from datakit.errors import WorkerError
from datakit.recipe.verify import VerifyCode
from datakit.sandbox.outputs import read_cases
from datakit.sandbox.runner import Execution, Limits, Sandbox
from datakit.tables import Outcome, Row, Rows

VERSION = 2  # a change that can change a verdict makes a new one
TIMEOUT_S = 5.0
MEMORY_MB = 1024
GOLD_STEPS = 5
"""How many times timeout_s may be doubled for a prompt's own limit: one sandbox serves all prompts of a step."""
_DEFAULTS = {
    "float_tolerance": 1e-6,
    "gold_time": None,
    "libraries": "",
    "memory_mb": MEMORY_MB,
    "static": "fail",
    "timeout_s": TIMEOUT_S,
}
"""The defaults of the options that can change a verdict; at its default an option is not part of the verifier's name."""
_FUTURE = re.compile(r"^from __future__ import [^(\n]*\n", re.MULTILINE)
_REMEMBERED = 10_000  # cached verdicts on equal programs and tests: samples often agree


class CodeVerifier:
    """A verifier that runs programs against the tests of their prompt, in a sandbox (datakit/sandbox)."""

    wrong: frozenset[Outcome] = frozenset({"failed", "timeout"})
    faults: Mapping[str, Outcome] = {"timeout": "unverifiable", "crash": "unverifiable"}
    """The sandbox enforces its own limits: a row that the engine has to end is the harness's fault, never a wrong answer."""
    retries_timeouts = True
    forks = False  # the sandbox has processes of its own

    def __init__(self, options: VerifyCode) -> None:
        self.options = options
        self.limits = Limits(
            options.timeout_s or TIMEOUT_S, options.memory_mb or MEMORY_MB, float_tolerance=options.float_tolerance
        )
        # Far longer than the sandbox's own limit: each of many inputs has a timeout.
        self.deadline_s = 60 + 100 * self.limits.timeout_s * (1 if options.gold_time is None else 2**GOLD_STEPS)
        told = {
            "float_tolerance": options.float_tolerance,
            "gold_time": options.gold_time,
            "libraries": ",".join(options.libraries),
            "memory_mb": self.limits.memory_mb,
            "static": options.static,
            "timeout_s": self.limits.timeout_s,
        }
        others = {name: value for name, value in told.items() if value != _DEFAULTS[name]}
        suffixes = [f"+{name}={value:g}" if isinstance(value, float) else f"+{name}={value}" for name, value in others.items()]
        self.name = f"code@{VERSION}{''.join(suffixes)}"
        self._preamble = leetcode(options.libraries)
        self._sandboxes: dict[int, Sandbox] = {}
        self._steps: dict[int, int] = {}
        self._remembered: dict[tuple[str, Runnable, int], Execution] = {}

    def preflight(self) -> None:
        """Try the sandbox and ruff, so that a missing one stops the build before the first request is paid for."""
        with Sandbox(self.options.libraries, self.limits, unsafe=self.options.allow_unsafe):
            pass
        if analyse(["name"]) == [None]:
            raise WorkerError("static analysis does not work: ruff finds nothing in a program with an undefined name")

    def warm(self) -> None:
        """Start this worker's sandbox."""
        self._sandbox(0)

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """Yield one verdict per row of text, messages, reference, test_style, entry_point, complete, and for gold_time
        solution."""
        found = [self._program(row) for row in rows]
        findings = iter(analyse([self._analysed(one[0].text) for one in found if not isinstance(one, Verdict)]))
        for row, one in zip(rows, found, strict=True):
            if isinstance(one, Verdict):
                yield replace(one, detail=f"{one.detail} [{self._tier}]")
                continue
            program, tests = one
            finding = next(findings)
            if finding and self.options.static == "fail":
                yield Verdict("failed", program.text, f"static analysis: {finding} [{program.way}, {self._tier}]")
                continue
            done = self._run(program.text, tests, self._step(row, tests))
            notes = [program.way, *([f"static analysis: {finding}"] if finding else [])]
            notes += ["leans on operators of its own classes"] if done.own_operators else []
            yield Verdict(done.outcome, program.text, f"{done.detail} [{', '.join([*notes, self._tier])}]")

    def _program(self, row: Row) -> tuple[Program, Runnable] | Verdict:
        """Return the program of a response and its tests, or the verdict that there is nothing to run."""
        if row["reference"] is None:
            return Verdict("unverifiable", detail="no tests")
        tests = runnable(row["reference"], row["test_style"], row["entry_point"])
        if isinstance(tests, CannotRun):
            return Verdict("unverifiable", detail=str(tests))
        asked = str(row["messages"][-1]["content"]) if row.get("messages") else ""
        program = extract(row["text"], asked, tests.entry_point, tests.style)
        if program is None:
            return Verdict("unparseable", detail="no code found")
        if not row.get("complete", True) and not program.sure:
            return Verdict("unparseable", program.text, "cut off before the code ended")
        if tests.style == "solution_method":
            future = "".join(_FUTURE.findall(program.text))  # Python requires these first
            program = program._replace(text=f"{future}{self._preamble}{_FUTURE.sub('', program.text)}")
        return program, tests

    @functools.cached_property
    def _preamble_named(self) -> str:
        return named(self._preamble)

    def _analysed(self, program: str) -> str:
        """Return the program in the form for static analysis."""
        return program.replace(self._preamble, self._preamble_named, 1)

    def _run(self, program: str, tests: Runnable, step: int) -> Execution:
        key = (program, tests, step)
        if key not in self._remembered:
            done = self._sandbox(step).check(program, *tests)
            if done.outcome not in ("passed", "failed"):
                return done
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = done
        return self._remembered[key]

    def _step(self, row: Row, tests: Runnable) -> int:
        """Return how many times timeout_s is doubled for a prompt: until it holds gold_time times the time of its own
        solution."""
        if self.options.gold_time is None or not row.get("solution"):
            return 0
        key = hash((row["solution"], tests))
        if key not in self._steps:
            gold = self._program(row | {"text": f"```python\n{row['solution'].strip()}\n```", "complete": True})
            slowest = 0.0 if isinstance(gold, Verdict) else max(self._seconds(gold[0].text, one) for one in _each(tests))
            room = self.options.gold_time * slowest / self.limits.timeout_s
            self._steps[key] = min(GOLD_STEPS, max(0, math.ceil(math.log2(room)))) if room > 1 else 0
        return self._steps[key]

    def _seconds(self, program: str, tests: Runnable) -> float:
        sandbox = self._sandbox(GOLD_STEPS)
        began_at = time.monotonic()
        done = sandbox.check(program, *tests)
        return time.monotonic() - began_at if done.outcome == "passed" else 0.0

    def _sandbox(self, step: int) -> Sandbox:
        """Return the sandbox whose limit is timeout_s doubled `step` times; start it if it is new."""
        if step not in self._sandboxes:
            limits = replace(self.limits, timeout_s=self.limits.timeout_s * 2**step)
            sandbox = Sandbox(self.options.libraries, limits, unsafe=self.options.allow_unsafe)
            sandbox.__enter__()
            self._sandboxes[step] = sandbox
        return self._sandboxes[step]

    @property
    def _tier(self) -> str:
        tier = next((sandbox.tier for sandbox in self._sandboxes.values()), None)
        return "no sandbox" if tier == "none" else str(tier)


def _each(tests: Runnable) -> Iterator[Runnable]:
    """Yield the tests that share one limit: all of a function's together, every input of a script on its own."""
    cases = read_cases(tests.tests) if tests.style == "stdin" else []
    if not cases or isinstance(cases, str):
        yield tests
        return
    yield from (tests._replace(tests=json.dumps([{"input": given, "output": wanted}])) for given, wanted in cases)
