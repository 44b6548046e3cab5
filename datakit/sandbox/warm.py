"""The runner's view of the warm process: start it once, send requests with descriptors, ask how they ended.

A request is one byte (`inside/zygote.py` lists them); programs, tests and answers go through separate descriptors.
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
"""How many times its limit a program may take by the wall clock: on a busy machine it gets little processor time."""
_START_S = 300.0
"""The wall-clock limit of the start, imports included. It is long because a process on a busy machine may have to wait; one
that ends is noticed at once."""
_ANSWER_S = 60.0


class SandboxError(DatakitError):
    """Raised if programs cannot be run here."""


@dataclass(frozen=True)
class Limits:
    """The limits of one execution."""

    timeout_s: float = 5.0
    """Seconds for a program with all of its tests; per input for style stdin. See `clock` for what counts."""
    memory_mb: int = 1024
    """Address space of the solver; the tester, which holds every answer twice, has twice as much."""
    output_mb: int = 16
    """Maximum output of a script per input."""
    n_files: int = 1000
    files_mb: int = 64
    """Maximum size of the working folder."""
    float_tolerance: float = 1e-6
    """The tolerance for numbers that a script prints (outputs.py)."""


class Warm:
    """A running warm process. Raises SandboxError if it does not start; OSError or EOFError later mean that it is gone."""

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
            cpu_s=int(PATIENCE * limits.timeout_s) + 2,  # later than the runner's clock, whose message is better
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
        except BaseException:  # Ctrl-C may come while it starts
            self.close()
            raise

    def close(self) -> None:
        """End the process, which ends what it runs and removes the working folder."""
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
        """Return the seconds of processor time of what runs, by role."""
        self._control.sendall(b"C")
        spent: Spent = json.loads(self._line(_ANSWER_S))
        return spent

    def end(self, wait: bool) -> Over:
        """End everything that runs, or first wait a moment for what is ending by itself; return how it ended."""
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
        """Return the socket of the tester for plain suites, which is replaced now and then before it grows too large."""
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
    """Send a request with its descriptors, and close them here: they belong to the other side now."""
    try:
        socket.send_fds(to, [request], descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
