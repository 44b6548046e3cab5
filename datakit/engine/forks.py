"""A process that runs a start once, and from which worker processes are forked: each is ready in milliseconds.

A fork has everything that the start loaded, but no thread or process that the start left running. Linux only, where a fork dies
with the process that it came from. Orders go over a socket that preserves message boundaries, each with the descriptor of a
pipe. When its work is done the process stays for the next map with the same start (a second build in a notebook), and it ends
with the thread that began it.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import ClassVar

from datakit.engine.protocol import Worker
from datakit.machine import environment_without_secrets

_COMMAND = (
    "import sys; sys.path[:] = sys.argv[3:]; from datakit.engine import worker; worker.serve_forks(*map(int, sys.argv[1:3]))"
)
_ENDS_WITHIN_S = 5.0  # time for a killed process to end


class ForkServer:
    """The process that forks workers. It is started with the first fork, and again if it has died."""

    idle: ClassVar[ForkServer | None] = None
    """The last server whose work is done."""

    def __init__(self, start: bytes, key: bytes) -> None:
        self.start = start
        self.key = key
        self.process: subprocess.Popen[bytes] | None = None
        self.orders: socket.socket

    @classmethod
    @contextmanager
    def of(cls, start: Callable[[], Worker]) -> Iterator[ForkServer]:
        """Yield a server for this start, for one engine at a time: the idle one if its start is the same (it keeps the
        environment in which it began), else a new one."""
        key = pickle.dumps((start, sys.path))
        server, cls.idle = cls.idle, None
        if server is None or server.key != key:
            if server is not None:
                server.close()
            server = cls(pickle.dumps(start), key)
        try:
            yield server
        except BaseException:
            server.close()
            raise
        cls.end_idle()
        cls.idle = server

    @classmethod
    def end_idle(cls) -> None:
        """End the idle server."""
        if cls.idle is not None:
            cls.idle.close()
            cls.idle = None

    def fork(self, number: int, core: int | None, folder: str) -> tuple[Fork, Connection]:
        """Fork a worker process with this temporary folder; return it and its pipe. It sends "ready" with its process id as
        soon as the start is done."""
        if self.process is None or self.process.poll() is not None:
            self.close()
            self._begin()
        ours, theirs = socket.socketpair()
        with theirs, suppress(OSError):  # if it has just died, the new pipe is closed and shows it
            socket.send_fds(self.orders, [pickle.dumps((number, core, folder))], [theirs.fileno()])
        return Fork(self), Connection(ours.detach())

    def status_of(self, pid: int, timeout: float) -> int | None:
        """Wait up to `timeout` seconds for a fork to end; return its exit status, negative for a signal. None if it is still
        running or the server is gone."""
        with suppress(OSError):
            self.orders.send(pickle.dumps((pid, timeout)))
            if answer := self.orders.recv(100):
                status: int | None = pickle.loads(answer)
                return status
        return None

    def is_ending(self) -> bool:
        """Return whether it has closed its end of the socket: its exit status will be known soon then."""
        try:
            return not self.orders.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """End the process, and with it everything that was forked from it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.orders.close()
            self.process = None

    def _begin(self) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, str(theirs.fileno()), str(os.getpid()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=environment_without_secrets(),
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        with suppress(OSError):
            self.orders.send(self.start)


class Fork:
    """A forked worker, with the methods of a process that the engine needs. `pid` is known when it is ready."""

    def __init__(self, server: ForkServer) -> None:
        self.server = server
        self.pid: int | None = None
        self.status: int | None = None

    def kill(self) -> None:
        """Kill it with its process group. One that is still starting finds its pipe closed."""
        if self.pid is not None and self.status is None:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = _ENDS_WITHIN_S) -> int | None:
        """Wait up to `timeout` seconds and return its exit status; if it never was ready, that of the server process."""
        if self.status is None and self.pid is not None:
            self.status = self.server.status_of(self.pid, timeout)
        elif self.status is None and self.server.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.status = self.server.process.wait(timeout if self.server.is_ending() else 0)
        return self.status


atexit.register(ForkServer.end_idle)
