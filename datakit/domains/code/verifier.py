"""Code: a response is right when its program passes static analysis and all tests.

Outcomes: passed; failed (static analysis, a failing test, an exception, a limit on memory, files or output); timeout (the
program's own slowness, after a second try alone: it counts as wrong); unparseable (no program in the response, or one that
was cut off); unverifiable (the tests cannot be run, or the sandbox had trouble of its own).

FuseChat-3.0 (README, data construction): code is right when it passes static analysis and the tests of its prompt.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from datakit.domains.code.answers import Program, extract
from datakit.domains.code.static import analyse
from datakit.domains.protocol import Verdict
from datakit.errors import WorkerError
from datakit.recipe.verify import VerifyCode
from datakit.sandbox.runner import Execution, Limits, Sandbox
from datakit.tables import Outcome, Row, Rows

VERSION = 1  # a change that can change a verdict makes a new one
TIMEOUT_S = 5.0
MEMORY_MB = 1024
_LEETCODE = """\
from typing import *
import bisect, collections, functools, heapq, itertools, math, operator, random, re, string
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from builtins import pow

class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right

"""
"""What LeetCode puts in front of a solution: its answers use List, Counter, ListNode, ... as given; pow is not math's."""
_STARS = re.compile(r"^from (\w+) import \*$", re.MULTILINE)
_REMEMBERED = 10_000  # verdicts on equal programs and tests: samples often agree


class CodeVerifier:
    """Programs that are run against the tests of their prompt, in a sandbox (datakit/sandbox)."""

    wrong: frozenset[Outcome] = frozenset({"failed", "timeout"})
    faults: Mapping[str, Outcome] = {"timeout": "unverifiable", "crash": "unverifiable"}
    """The sandbox holds its own limits: what the engine has to end is the harness's trouble, never a wrong answer."""
    retries_timeouts = True

    def __init__(self, options: VerifyCode) -> None:
        self.options = options
        self.limits = Limits(options.timeout_s or TIMEOUT_S, options.memory_mb or MEMORY_MB)
        self.deadline_s = 60 + 100 * self.limits.timeout_s  # far behind the sandbox's own: each of many inputs has a timeout
        suffixes = [f"+libraries={','.join(options.libraries)}"] if options.libraries else []
        suffixes += [f"+memory_mb={self.limits.memory_mb}"] if self.limits.memory_mb != MEMORY_MB else []
        suffixes += [f"+timeout_s={self.limits.timeout_s:g}"] if self.limits.timeout_s != TIMEOUT_S else []
        self.name = f"code@{VERSION}{''.join(suffixes)}"
        self._sandbox: Sandbox | None = None
        self._remembered: dict[tuple[str, ...], Execution] = {}

    def preflight(self) -> None:
        """Try the sandbox and ruff, so that what is missing stops the build before the first request is paid for."""
        with self._new_sandbox():
            pass
        if analyse(["name"]) == [None]:
            raise WorkerError("static analysis does not work: ruff finds nothing in a program with an undefined name")

    def warm(self) -> None:
        """Start this worker's sandbox."""
        self._sandbox = self._new_sandbox()
        self._sandbox.__enter__()

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """One verdict a row of text, messages, reference, test_style, entry_point and complete."""
        programs = [_program(row) for row in rows]
        texts = [program.text for program in programs if isinstance(program, Program)]
        texts = [_LEETCODE_NAMED + text.removeprefix(_LEETCODE) if text.startswith(_LEETCODE) else text for text in texts]
        findings = iter(analyse(texts))
        for row, program in zip(rows, programs, strict=True):
            if isinstance(program, Verdict):
                yield replace(program, detail=f"{program.detail} [{self._tier}]")
            elif finding := next(findings):
                yield Verdict("failed", program.text, f"static analysis: {finding} [{program.way}, {self._tier}]")
            else:
                done = self._run(program.text, row["reference"], row["test_style"], row["entry_point"])
                notes = [program.way, *(["leans on operators of its own classes"] if done.own_operators else []), self._tier]
                yield Verdict(done.outcome, program.text, f"{done.detail} [{', '.join(notes)}]")

    def _run(self, program: str, tests: str, style: str, entry_point: str | None) -> Execution:
        if self._sandbox is None:
            self.warm()
        key = (program, tests, style, entry_point or "")
        if key not in self._remembered:
            done = self._sandbox.check(program, tests, style, entry_point)  # type: ignore[union-attr]
            if done.outcome not in ("passed", "failed"):
                return done
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = done
        return self._remembered[key]

    @property
    def _tier(self) -> str:
        tier = self._sandbox.tier if self._sandbox else None
        return "no sandbox" if tier == "none" else str(tier)

    def _new_sandbox(self) -> Sandbox:
        return Sandbox(self.options.libraries, self.limits, unsafe=self.options.allow_unsafe)


def _program(row: Row) -> Program | Verdict:
    """The program of a response, or the verdict that there is none to run."""
    if row["reference"] is None:
        return Verdict("unverifiable", detail="no tests")
    asked = str(row["messages"][-1]["content"]) if row.get("messages") else ""
    program = extract(row["text"], asked, row["entry_point"], row["test_style"])
    if program is None:
        return Verdict("unparseable", detail="no code found")
    if not row.get("complete", True) and not program.sure:
        return Verdict("unparseable", program.text, "cut off before the code ended")
    return program._replace(text=_LEETCODE + program.text) if row["test_style"] == "solution_method" else program


def _all_of(module: str) -> str:
    """`from module import *`, as the names that it gives."""
    found = importlib.import_module(module)
    names = getattr(found, "__all__", None) or [name for name in vars(found) if not name.startswith("_")]
    return f"from {module} import {', '.join(names)}"


_LEETCODE_NAMED = _STARS.sub(lambda star: _all_of(star[1]), _LEETCODE)
"""Line by line the same, for static analysis: star imports hide every undefined name from ruff."""
