"""The warm process as the runner has it: started once, given requests with descriptors, asked how they ended.

A request is one byte (`inside/zygote.py` lists them); programs, tests and answers go through descriptors of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from datakit.errors import DatakitError
from datakit.sandbox import tiers
from datakit.sandbox.inside.settings import Ended, Over, Settings, Spent
from datakit.sandbox.libraries import importable

_SUITES_A_TESTER = 500
PATIENCE = 10
"""How many times its own limit a program may take by the wall clock: on a busy machine it gets little of the processor."""
_START_S = 300.0
"""The wall clock's, with imports of libraries. A process that ends says so at once, one that waits for a processor does not."""
_ANSWER_S = 60.0


class SandboxError(DatakitError):
    """Programs cannot be run here."""


@dataclass(frozen=True)
class Limits:
    """What one execution may use."""

    timeout_s: float = 5.0
    """Seconds for a program with all of its tests; for each input of style stdin. What counts: see `clock`."""
    memory_mb: int = 1024
    """Address space of the solver; the tester, which holds every answer twice, has twice as much."""
    output_mb: int = 16
    """What a script may print for one input."""
    n_files: int = 1000
    files_mb: int = 64
    """What may lie in the working folder."""
    float_tolerance: float = 1e-6
    """How far a number that a script prints may be off (outputs.py)."""


class Warm:
    """A running warm process. Raises SandboxError where it does not start; OSError or EOFError later mean that it is gone."""

    def __init__(self, tier: str, libraries: Sequence[str], limits: Limits) -> None:
        self._tester: socket.socket | None = None
        self._n_suites = 0
        self._work = None if tier == "bubblewrap" else tempfile.mkdtemp(prefix="datakit-sandbox-")
        self._control, theirs = socket.socketpair()
        packages = importable(libraries)
        settings = Settings(
            control=theirs.fileno(),
            tier=tier,
            work=self._work or tiers.WORK,
            libraries=list(libraries),
            paths=tiers.library_paths(packages) if libraries else [],
            packages=packages,
            memory_mb=limits.memory_mb,
            cpu_s=int(PATIENCE * limits.timeout_s) + 2,  # our clock comes first, with a better message
            n_files=limits.n_files,
            files_mb=limits.files_mb,
        )
        try:
            with theirs:
                self.process = subprocess.Popen(
                    tiers.command(settings),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=tiers.environment(),
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except OSError:  # there is no bwrap
            self._control.close()
            self._remove_work()
            raise
        try:
            self._line(_START_S)
        except (OSError, EOFError):
            self.process.kill()
            _, said = self.process.communicate()
            self.close()
            last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no word"]
            raise SandboxError(f"the sandbox does not start: {last[0]}") from None
        except BaseException:  # a Ctrl-C may come while it starts
            self.close()
            raise

    def close(self) -> None:
        """End the process; it ends what it runs and removes the working folder."""
        if self._tester is not None:
            self._tester.close()
            self._tester = None
        self._control.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        self._remove_work()

    def _remove_work(self) -> None:
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)

    def give(self, request: bytes, descriptors: list[int]) -> None:
        give(self._control, request, descriptors)

    def spent(self) -> Spent:
        """Seconds of processor time of what runs, by role."""
        self._control.sendall(b"C")
        spent: Spent = json.loads(self._line(_ANSWER_S))
        return spent

    def end(self, wait: bool) -> Over:
        """Have everything that runs ended, or wait a moment for what is ending by itself; how it ended."""
        self._control.sendall(b"W" if wait else b"E")
        told = json.loads(self._line(_ANSWER_S))
        return Over({role: Ended(bool(own), status) for role, (own, status) in told["forks"].items()}, told["limit"])

    def _line(self, timeout_s: float) -> bytes:
        self._control.settimeout(timeout_s)
        data = b""
        while not data.endswith(b"\n"):
            part = self._control.recv(65536)
            if not part:
                raise EOFError
            data += part
        self._control.settimeout(None)
        return data

    # ------------------------------------------------------------------------------------------- the standing tester

    def standing_tester(self) -> socket.socket:
        """The way to the tester for plain suites; a new one now and then, so that none grows old."""
        if self._tester is None or self._n_suites >= _SUITES_A_TESTER:
            self.dismiss_tester()
            self._tester, theirs = socket.socketpair()
            self.give(b"T", [theirs.detach()])
        self._n_suites += 1
        return self._tester

    def dismiss_tester(self) -> None:
        if self._tester is not None:
            self._tester.close()
            self._control.sendall(b"K")
        self._tester, self._n_suites = None, 0


def give(to: socket.socket, request: bytes, descriptors: list[int]) -> None:
    """Hand a request over with its descriptors, which are the other side's from now on."""
    try:
        socket.send_fds(to, [request], descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
