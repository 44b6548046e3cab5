"""The command in a process of its own that starts in milliseconds: forked from one that has imported everything.

Signals, limits, pipes, what it starts and its exit status are a process's own. What a start itself does (imports,
`python -m datakit`) is for command.py's `datakit_process` to show.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.helpers.command import SETTINGS
from tests.helpers.folders import ROOT

_MOST_BYTES = 2**17  # of an order: arguments and environment
_SERVER = "from tests.helpers.forked import serve; serve()"


class Forked:
    """One command, with what tests use of subprocess.Popen. It ends with the block."""

    def __init__(self, *args: object, cwd: Path | None = None, env: dict[str, str] | None = None, first: str = "") -> None:
        """`first`: Python that is executed before the command."""
        environment = {**os.environ, **SETTINGS, **(env or {})}
        order = {"argv": [str(arg) for arg in args], "cwd": str(cwd or Path.cwd()), "env": environment, "first": first}
        (out, its_out), (errors, its_errors), (self._told, its_end) = os.pipe(), os.pipe(), os.pipe()
        socket.send_fds(_server(), [json.dumps(order).encode()], [its_out, its_errors, its_end])
        for descriptor in (its_out, its_errors, its_end):
            os.close(descriptor)
        self.stdout, self.stderr = os.fdopen(out, encoding="utf-8"), os.fdopen(errors, encoding="utf-8")
        self.returncode: int | None = None
        self.pid = self._next_number()

    def _next_number(self) -> int:
        told = os.read(self._told, 4)
        assert len(told) == 4, "the process that forks has ended"
        return int.from_bytes(told, signed=True)

    def wait(self, timeout: float = 240.0) -> int:
        """Until it ends, or is killed after so many seconds; the status, negative for a signal."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                os.kill(self.pid, signal.SIGKILL)
            self.returncode = self._next_number()
            os.close(self._told)
        return self.returncode

    def poll(self) -> int | None:
        """The status; None while it runs."""
        return self.wait() if self.returncode is not None or select.select([self._told], [], [], 0)[0] else None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float = 240.0) -> tuple[str, str]:
        """All that it says until it ends, or is killed after so many seconds."""
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.append(self.stdout.read()))
        reader.start()
        killer = threading.Timer(timeout, self.kill)
        killer.start()
        errors = self.stderr.read()
        reader.join()
        killer.cancel()
        self._close()
        self.wait()
        return said[0], errors

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            self.kill()
        self._close()
        self.wait()

    def _close(self) -> None:
        self.stdout.close()
        self.stderr.close()


def forked(*args: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    """The command until it ends."""
    with Forked(*args, **settings) as process:
        out, errors = process.communicate()
        return subprocess.CompletedProcess([*map(str, args)], process.wait(), out, errors)


# ---------------------------------------------------------------------------------------------- the process that forks them


@cache
def _server() -> socket.socket:
    """Where orders go: the server, started with the first command of these tests."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-c", _SERVER, str(its.fileno())]
        server = subprocess.Popen(command, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, cwd=ROOT)

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def serve() -> None:
    """Fork for every order. A fork returns from here as the command that was ordered, and ends as any program does."""
    import datakit.dry_run
    import datakit.screen.watch
    import datakit.stages  # noqa: F401 - these three a build imports when it runs
    from datakit.cli import main

    orders = socket.socket(fileno=int(sys.argv[1]))
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _MOST_BYTES, 3)
        if not order:
            os._exit(0)
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)  # one that has told a command's end
        else:
            orders.close()
            _become(**json.loads(order), descriptors=descriptors)
            return main()


def _become(argv: list[str], cwd: str, env: dict[str, str], first: str, descriptors: list[int]) -> None:
    """Fork once more; this process tells the command's number and, when it has ended, its status."""
    out, errors, told = descriptors
    command = os.fork()
    if command:
        os.close(out)
        os.close(errors)
        os.write(told, command.to_bytes(4, signed=True))
        status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        os.write(told, status.to_bytes(4, signed=True))
        os._exit(0)
    os.close(told)
    for descriptor, number in ((out, 1), (errors, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["datakit", *argv]
    exec(first, {})
