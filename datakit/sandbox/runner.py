"""Run programs in the sandbox: one Sandbox per worker process, one program at a time.

with Sandbox() as sandbox:
    sandbox.check("def f(n): return n + 1", "assert f(1) == 2", "asserts").outcome      # passed
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, TypedDict

from datakit.sandbox import tiers
from datakit.sandbox.clock import Clock
from datakit.sandbox.inside.settings import Ended, Over
from datakit.sandbox.libraries import needed
from datakit.sandbox.outputs import read_cases, same_output
from datakit.sandbox.plain import is_plain
from datakit.sandbox.warm import Limits, SandboxError, Warm, give

__all__ = ["STYLES", "Execution", "Limits", "Outcome", "Sandbox", "SandboxError", "shown"]

_LATE = "late"
_PROBE_S = 60.0
"""The time limit of the second test of a tier: without its result nothing could be verified at all."""
STYLES = ("asserts", "humaneval_check", "stdin", "solution_method")
Outcome = Literal["passed", "failed", "timeout", "unverifiable"]


@dataclass(frozen=True)
class Execution:
    """The result of a program. "unverifiable" is the fault of the harness or of the tests, never a wrong answer."""

    outcome: Outcome
    detail: str
    own_operators: bool = False
    """True if operators of the program's own classes contributed to the verdict: a pass is worth less then."""


class _Told(TypedDict, total=False):
    """A tester's verdict; empty if it gave none. `lost`: the program ended, or no longer answers."""

    outcome: Literal["passed", "failed", "unverifiable", "lost"]
    detail: str
    own_operators: bool
    worn: bool
    at: str
    """The test that was running, if no verdict came."""


class Sandbox:
    """A warm process, and what confines it: the first tier that holds, or the one that was asked for.

    Entering raises SandboxError if no tier holds (`unsafe` continues without one), or if a library is missing.
    """

    def __init__(
        self, libraries: Sequence[str] = (), limits: Limits | None = None, tier: str | None = None, unsafe: bool = False
    ) -> None:
        self.libraries = list(libraries)
        self.limits = limits or Limits()
        self.tier = tier
        self.unsafe = unsafe
        self._warm: Warm | None = None

    def __enter__(self) -> Sandbox:
        with ExitStack() as stack:
            stack.callback(self.close)  # Ctrl-C may come while it starts
            if self.tier is None:
                self._find_tier()
            else:
                self._start()
            stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm process, which ends what it runs and removes the working folder."""
        warm, self._warm = self._warm, None
        if warm is not None:
            warm.close()

    def check(self, program: str, tests: str, style: str, entry_point: str | None = None) -> Execution:
        """Return whether a program passes its tests. Tests are Python, or for style stdin a JSON list of input and output.

        Starts a process if there is none, and once more if it was lost; if it is lost again, the outcome is unverifiable.
        """
        for _ in range(2):
            try:
                warm = self._start()
                if style == "stdin":
                    done = self._check_script(warm, program, tests)
                else:
                    done = self._check_functions(warm, program, tests, style, entry_point)
                if done.outcome == "failed" and (why := needed(done.detail, program, self.libraries)):
                    return Execution("unverifiable", f"{shown(done.detail)}: {why}")
                # A MemoryError has no message.
                over = shown(done.detail).replace("MemoryError: ", f"MemoryError: over {self.limits.memory_mb} MB ")
                return replace(done, detail=over.replace("  ", " "))
            except (OSError, EOFError, json.JSONDecodeError):  # the warm process is gone, or no longer answers
                self.close()
        return Execution("unverifiable", "the sandbox's process ended twice")

    # ---------------------------------------------------------------------------------------------- functions and tests

    def _check_functions(
        self, warm: Warm, program: str, tests: str, style: str, entry_point: str | None, plain: bool | None = None
    ) -> Execution:
        if plain is None:  # unconfined, a program could reach a tester that also judges others
            plain = self.tier != "none" and is_plain(tests)
        tester = warm.standing_tester() if plain else None  # first, so that there is nothing to close if it fails
        suite = json.dumps({"tests": tests, "style": style, "entry_point": entry_point})
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        tested = _file(suite)
        with ours, theirs, os.fdopen(reader, "rb", 0) as verdicts, os.fdopen(os.dup(tested), "rb", 0) as notes:
            if tester is not None:
                try:
                    warm.give(b"P", [_file(program), ours.detach()])
                except BaseException:
                    os.close(tested)
                    os.close(writer)
                    raise
                give(tester, b"T", [theirs.detach(), tested, writer])
            else:
                warm.give(b"F", [_file(program), ours.detach(), tested, theirs.detach(), writer])
            told, late = self._verdict(warm, verdicts)
            over = warm.end(wait=told.get("outcome") == "lost")  # its own exit status says more than a SIGKILL
            if "outcome" not in told:
                told["at"] = os.pread(notes.fileno(), 1000, len(suite)).partition(b"\0")[0].decode("utf-8", "replace")
        if plain and told.get("outcome") not in ("passed", "failed", "lost"):
            warm.dismiss_tester()
            if not late and "outcome" not in told:  # the tester died: because of this suite, or of an earlier one?
                return self._check_functions(warm, program, tests, style, entry_point, plain=False)
        elif plain and told.get("worn"):
            warm.dismiss_tester()
        return self._judged(told, late, over)

    def _verdict(self, warm: Warm, verdicts: IO[bytes]) -> tuple[_Told, bool]:
        """Return the tester's verdict, empty if it ended without one; and whether time ran out before that."""
        clock = Clock(self.limits.timeout_s, warm.spent)
        data = b""
        while True:
            wait_s = clock.wait_s()
            if not wait_s or not select.select([verdicts], [], [], wait_s)[0]:
                if clock.is_over():
                    return {}, True
                continue
            part = verdicts.read(65536)
            data += part
            if not part or data.endswith(b"}"):  # one JSON object; a tester that stays keeps the pipe open
                break
        try:
            told: _Told = json.loads(data)
        except ValueError:
            told = {}
        return told, False

    def _judged(self, told: _Told, late: bool, over: Over) -> Execution:
        at = f"{told['at']}: " if told.get("at") else ""
        if told.get("outcome") == "lost":
            at = told["detail"].removesuffix("ended")
        if over.limit:
            return Execution("failed", f"{at}{over.limit}")
        if late:
            return Execution("timeout", f"{at}no answer within {self.limits.timeout_s:g} s")
        if "outcome" not in told:
            return Execution("unverifiable", f"{at}the tests' process {_ending(over.forks.get('tester'))}")
        if told["outcome"] == "lost":
            return Execution("failed", f"{at}the program {_ending(over.forks.get('solver'))}")
        return Execution(told["outcome"], told["detail"], told["own_operators"])

    # -------------------------------------------------------------------------------------------------------- scripts

    def _check_script(self, warm: Warm, program: str, tests: str) -> Execution:
        cases = read_cases(tests)
        if isinstance(cases, str):
            return Execution("unverifiable", cases)
        for number, (given, expected) in enumerate(cases, start=1):
            found = self._run_script(warm, program, given, expected)
            if found.outcome != "passed":
                return replace(found, detail=f"input {number} of {len(cases)}: {found.detail}")
        return Execution("passed", f"{len(cases)} inputs" if len(cases) != 1 else "1 input")

    def _run_script(self, warm: Warm, program: str, given: str, expected: str) -> Execution:
        out_reader, out_writer = os.pipe()
        reader, writer = os.pipe()
        with os.fdopen(out_reader, "rb", 0) as output, os.fdopen(reader, "rb", 0) as report:
            warm.give(b"S", [_file(program), _file(given), out_writer, writer])
            printed, why = self._printed(warm, output)
            over = warm.end(wait=why is None)
            failure = report.read(4096).decode("utf-8", "replace")
        ended = over.forks["script"]
        if over.limit:
            return Execution("failed", over.limit)
        if why == _LATE:
            return Execution("timeout", f"no end within {self.limits.timeout_s:g} s")
        if why is not None or not ended.own:
            return Execution("failed", why or "closed its output and went on")
        if ended.status != 0:
            return Execution("failed", failure or f"the program {_ending(ended)}")
        if not same_output(printed.decode("utf-8", "replace"), expected, self.limits.float_tolerance):
            return Execution("failed", f"printed {_short(printed.decode('utf-8', 'replace'))}, not {_short(expected)}")
        return Execution("passed", "")

    def _printed(self, warm: Warm, output: IO[bytes]) -> tuple[bytes, str | None]:
        """Return what a script prints until it ends, and what stopped it before, or None."""
        clock = Clock(self.limits.timeout_s, warm.spent)
        parts: list[bytes] = []
        room = self.limits.output_mb << 20
        while True:
            wait_s = clock.wait_s()
            if not wait_s or not select.select([output], [], [], wait_s)[0]:
                if clock.is_over():
                    return b"", _LATE
                continue
            part = output.read(1 << 16)
            if not part:
                return b"".join(parts), None
            room -= len(part)
            if room < 0:
                return b"", f"printed over {self.limits.output_mb} MB"
            parts.append(part)

    # ----------------------------------------------------------------------------------------------- the warm process

    def _find_tier(self) -> None:
        """Choose the first tier that stops everything that a hostile program tries, by running one."""
        if missing := tiers.missing_libraries(self.libraries):
            raise SandboxError(f"verify.libraries: {', '.join(missing)} is not installed in this environment; install it first")
        trouble: dict[str, str] = {}
        for self.tier in tiers.TIERS:
            try:
                self._start()
                trouble[self.tier] = self._let_through()
            except (SandboxError, OSError) as error:
                trouble[self.tier] = str(error)
            if not trouble[self.tier]:
                return
            self.close()
        if not self.unsafe:
            raise SandboxError(tiers.advice(trouble))
        self.tier = "none"
        self._start()

    def _let_through(self) -> str:
        """Return what a program that tries to fork, signal, connect, read and write outside was able to do; empty: nothing.

        If it does not finish, on a busy machine, it is run once more with enough time.
        """
        found = self._attempt()
        if found.outcome in ("timeout", "unverifiable"):
            ours, self.limits = self.limits, replace(self.limits, timeout_s=max(_PROBE_S, self.limits.timeout_s))
            try:
                self.close()
                found = self._attempt()
            finally:
                self.close()
                self.limits = ours
        return "" if found.outcome == "passed" else found.detail

    def _attempt(self) -> Execution:
        with tempfile.TemporaryDirectory(prefix="datakit-probe-") as folder:
            outside = Path(folder) / "outside"
            outside.write_text("x", encoding="utf-8")
            return self.check(f"OUTSIDE = {str(outside)!r}\n{tiers.ATTEMPTS}", tiers.NOTHING_THROUGH, "asserts")

    def _start(self) -> Warm:
        if self._warm is None:
            self._warm = Warm(self.tier or "none", self.libraries, self.limits)
        return self._warm


def _file(text: str) -> int:
    """Return a descriptor of an unnamed file with the text, positioned at its start."""
    data = memoryview(text.encode("utf-8", "surrogatepass"))
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("text")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    while data:
        data = data[os.write(descriptor, data) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _ending(ended: Ended | None) -> str:
    """Return in words how a process ended by itself."""
    if ended is None or not ended.own:
        return "closed its channel"
    status = ended.status
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    return f"ended with exit status {status}"


def shown(text: str) -> str:
    """Return a program's text in a form that is safe for a terminal and valid as UTF-8."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _short(text: str) -> str:
    return repr(text if len(text := text.strip()) <= 100 else text[:100] + "...")
