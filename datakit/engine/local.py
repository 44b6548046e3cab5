"""The engine on this machine: it hands every row of many batches to worker processes and yields a Result for each.

A worker sends each result as it is done, so its parent always knows which row is in progress: when that row passes its
deadline, or the process dies on it, that row alone is blamed and the rest of the batch goes to a fresh process. Nothing inside
a process can be trusted to stop it (C code does not return to Python for a signal handler), so the parent kills it, with
everything in its process group, with SIGKILL.

Processes are started with subprocess rather than multiprocessing: the parent's `__main__` is not run again, there is no
tracker process to outlive them, and the parent's secrets are never in a worker's environment.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from datakit.engine.forks import Fork, ForkServer
from datakit.engine.protocol import Result, Work, Worker
from datakit.engine.worker import WORKER_NUMBER
from datakit.errors import WorkerError
from datakit.machine import available_cores, environment_without_secrets

if TYPE_CHECKING:  # a worker may load this file with its start, and tables.py needs polars
    from datakit.tables import Row, Rows

_COMMAND = "import sys; sys.path[:] = sys.argv[3:]; from datakit.engine.worker import serve; serve(*map(int, sys.argv[1:3]))"
_MAX_LOST = 3  # processes that may end one after the other without a row to blame
WORKERS_FOLDER = "datakit-workers-"
"""The prefix of the workers' temporary folder; they find it as TMPDIR."""


class LocalEngine:
    """Worker processes on this machine, one per core by default. They die with the thread that reads the results.

    With `keeps` (not with `forks`) they stay alive after a `map`, so that the next one's start finds its modules imported;
    `close` ends them.
    """

    def __init__(self, workers: int | None = None, pinned: bool = False, forks: bool = False, keeps: bool = False) -> None:
        self.workers = workers or available_cores()
        self.keeps = keeps
        self._kept: _Workers | None = None
        self.forks = forks and sys.platform == "linux"
        """Start once and fork the workers (forks.py): for a start that leaves no thread or process running."""
        self.pinned = pinned and self.workers == available_cores()
        """Every worker stays on a core of its own, with the processes that it starts: they wake each other sooner there. Only
        if all cores are used; a worker with threads of its own must not be pinned."""

    def map(
        self, start: Callable[[], Worker], batches: Iterable[Rows], deadline_s: float | None
    ) -> Generator[Result, None, None]:
        pending = filter(None, batches)
        with ForkServer.of(start) if self.forks else nullcontext() as server:
            workers, self._kept = self._kept or self._new_workers(server), None
            for seat in workers.seats:
                seat.begin(start, deadline_s)
            try:
                yield from _answered(workers.seats, pending, self.keeps)
                self._kept = workers if self.keeps else None
            finally:
                if self._kept is None:
                    workers.end()

    def close(self) -> None:
        """End the kept workers."""
        if self._kept is not None:
            self._kept.end()
            self._kept = None

    def _new_workers(self, server: ForkServer | None) -> _Workers:
        folder, lock = _folder_of_workers()
        cores = sorted(os.sched_getaffinity(0)) if self.pinned and hasattr(os, "sched_getaffinity") else [None] * self.workers
        return _Workers(folder, lock, [_Seat(number, folder, core, server) for number, core in enumerate(cores)])


class KeptEngine:
    """An engine whose workers stay alive from one model of a stage to the next, if both want equally many."""

    def __init__(self) -> None:
        self._engine: LocalEngine | None = None

    def of(self, n_workers: int) -> LocalEngine:
        """Return the kept engine if it has this many workers, else a new one that replaces it."""
        if self._engine is None or self._engine.workers != n_workers:
            self.close()
            self._engine = LocalEngine(n_workers, keeps=True)
        return self._engine

    def close(self) -> None:
        """End the kept workers."""
        if self._engine is not None:
            self._engine.close()


class LocalEngines:
    """The engines of this machine."""

    note = ""

    def engine(self, work: Work) -> LocalEngine:
        return LocalEngine(1 if work.alone else work.workers, work.pinned, work.forks)


@dataclass
class _Workers:
    """The seats of all workers, and their temporary folder."""

    folder: str
    lock: int
    """The descriptor that locks the folder while it is in use."""
    seats: list[_Seat]

    def end(self) -> None:
        for seat in self.seats:
            seat.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self.lock)


def _answered(seats: list[_Seat], pending: Iterator[Rows], keeps: bool) -> Generator[Result, None, None]:
    """Give every free seat a batch and yield the results, until there are no more batches."""
    while True:
        for seat in seats:
            if not seat.rows and ((rows := next(pending, None)) or not keeps):
                seat.give(rows)
        busy = [seat for seat in seats if seat.rows]
        if not busy:
            return
        acts_at = min((seat.acts_at for seat in busy), default=float("inf"))
        timeout = None if acts_at == float("inf") else max(0.0, acts_at - time.monotonic())
        heard = wait([seat.pipe for seat in busy], timeout)
        for seat in busy:
            seat.prepare()
        for seat in [seat for seat in busy if seat.pipe in heard or seat.overdue()]:
            result = seat.receive()
            if result is not None:
                yield result


def _folder_of_workers() -> tuple[str, int]:
    """Make a temporary folder for files that a killed worker cannot remove itself, locked by a descriptor; remove those of
    drivers that were killed. A driver in another container, whose process ids are not ours, keeps its lock."""
    for left in Path(tempfile.gettempdir()).glob(f"{WORKERS_FOLDER}*"):
        pid = left.name.removeprefix(WORKERS_FOLDER).partition("-")[0]
        if sys.platform == "linux" and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            with suppress(OSError):
                lock = _locked(left)
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
    folder = tempfile.mkdtemp(prefix=f"{WORKERS_FOLDER}{os.getpid()}-")
    lock = _locked(Path(folder))
    Path(folder).chmod(0o1777)  # a worker's own processes may be of another user
    return folder, lock


def _locked(folder: Path) -> int:
    """A descriptor that locks the folder until it is closed. BlockingIOError where another process has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class _Process(subprocess.Popen[bytes]):
    """A worker process that was not forked."""

    def kill(self) -> None:
        """Kill it with its process group."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)


class _Seat:
    """One worker process, replaced when it dies, and the rows that it still has to answer: the first is in progress."""

    start: Callable[[], Worker]
    deadline_s: float | None

    def __init__(self, number: int, folder: str, core: int | None, server: ForkServer | None) -> None:
        self.number = number
        self.folder = folder
        self.core = core
        self.server = server
        self.is_of_before = False
        """True if the process has run the start of an earlier map, and has to run the new one."""
        self.rows: deque[Row] = deque()
        self.process: _Process | Fork | None = None
        self.pipe: Connection
        self.spare: tuple[_Process | Fork, Connection] | None = None
        """A process that starts while a slow row nears its deadline, so that the rows behind it do not wait for a start. Not
        needed with forks."""
        self.began_at: float | None = None  # when the row in progress began, on this side's clock; None without one
        self.lost = 0

    def begin(self, start: Callable[[], Worker], deadline_s: float | None) -> None:
        """Begin to work for a map."""
        if self.spare is not None:  # it has run the earlier start
            self.end()
        self.start, self.deadline_s, self.is_of_before = start, deadline_s, self.process is not None

    def give(self, rows: Rows | None) -> None:
        """Take a batch (a process that is still starting gets it when it is ready); None ends the process: there is no more
        work."""
        if not rows:
            self.end()
            return
        self.rows.extend(rows)
        if self.process is None:
            self._spawn()
        elif self.is_of_before:
            self.is_of_before = False
            with suppress(BrokenPipeError, ConnectionResetError):  # it died while idle: the next read shows it
                self.pipe.send([])
                self.pipe.send(self.start)
        else:
            self._send()

    @property
    def acts_at(self) -> float:
        """The time at which this side has to act on the row in progress: half way to its deadline, then at its deadline."""
        if self.deadline_s is None or self.began_at is None:
            return float("inf")
        return self.began_at + (self.deadline_s if self.spare or self.server else self.deadline_s / 2)

    def prepare(self) -> None:
        """Start a spare process if the row in progress is so slow that this process may have to be killed."""
        if self.spare is None and self.server is None and time.monotonic() >= self.acts_at:
            self.spare = self._process()

    def overdue(self) -> bool:
        """Return whether the row in progress has passed its deadline with no result waiting to be read."""
        if self.deadline_s is None or self.began_at is None:
            return False
        return time.monotonic() >= self.began_at + self.deadline_s and not self.pipe.poll()

    def receive(self) -> Result | None:
        """Read one message of the process, or kill it if its row is overdue. Raises the DatakitError of its start."""
        if self.overdue():
            return self._blame("timeout")
        try:
            kind, content, duration_s = self.pipe.recv()
        except (EOFError, OSError):  # it died; what it was writing is not a result
            return self._died()
        if kind == "refused":
            raise content
        if kind == "ready":
            if isinstance(self.process, Fork):
                self.process.pid = content
            self._send()
            return None
        self.lost = 0
        row = self.rows.popleft()
        self.began_at = time.monotonic() if self.rows else None
        if self.deadline_s is not None and duration_s > self.deadline_s:  # done too late, just before it was killed
            return Result(row, None, "timeout", self._too_slow(), duration_s)
        if kind == "crash":
            return Result(row, None, "crash", content, duration_s)
        return Result(row, content, None, None, duration_s)

    def close(self) -> int | None:
        """Kill the process with its group and reap it; return the exit status, None if there is no process."""
        process, self.process, self.began_at = self.process, None, None
        if process is None:
            return None
        process.kill()
        self.pipe.close()
        return process.wait()

    def end(self) -> None:
        """Close, and also end the spare process."""
        self.close()
        if self.spare is not None:
            self._spawn()
            self.close()

    def _spawn(self) -> None:
        """Take the spare process, or start one."""
        (self.process, self.pipe), self.spare = self.spare or self._process(), None

    def _process(self) -> tuple[_Process | Fork, Connection]:
        if self.server is not None:
            return self.server.fork(self.number, self.core, self.folder)
        ours, theirs = socket.socketpair()
        with theirs:
            pipe = Connection(ours.detach())
            process = _Process(
                [sys.executable, "-c", _COMMAND, str(theirs.fileno()), str(os.getpid()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=2,  # the driver's stdout is for its results
                env=environment_without_secrets() | {"TMPDIR": self.folder, WORKER_NUMBER: str(self.number)},
                pass_fds=[theirs.fileno()],
                process_group=0,  # the driver handles Ctrl-C
            )
        if self.core is not None:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(process.pid, {self.core})
        with suppress(BrokenPipeError):  # it died already: the next read shows it
            pipe.send(self.start)
        return process, pipe

    def _send(self) -> None:
        try:
            self.pipe.send(list(self.rows))
            self.began_at = time.monotonic()
        except (BrokenPipeError, ConnectionResetError):  # it died while idle: the next read shows it
            self.began_at = None

    def _died(self) -> Result | None:
        """Handle a process that ended by itself: blame the row in progress. Without one, start again, at most _MAX_LOST
        times."""
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):  # wait for its own exit status, so that it is not our kill's
                self.process.wait(timeout=1)
        if self.began_at is not None:
            return self._blame("crash")
        status = self.close()
        self.lost += 1
        if self.lost > _MAX_LOST:
            raise WorkerError(f"worker processes end before they answer anything; the last one {_ending(status)}")
        self._spawn()
        return None

    def _blame(self, fault: Literal["timeout", "crash"]) -> Result:
        """Kill the process: the row in progress gets the fault, the rest of the batch a fresh process."""
        row = self.rows.popleft()
        duration_s = time.monotonic() - (self.began_at or 0.0)
        status = self.close()
        if self.rows:
            self._spawn()
        message = self._too_slow() if fault == "timeout" else f"the worker process {_ending(status)}"
        return Result(row, None, fault, message, duration_s)

    def _too_slow(self) -> str:
        return f"no result within {self.deadline_s:g} s"


def _ending(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with exit status {status}"
    hint = " (out of memory?)" if -status == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-status).name}{hint}"
