"""The child's side of an engine. It imports only what a start needs anyway, because every worker pays for it again."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from datakit.engine.protocol import Worker
from datakit.errors import DatakitError, WorkerError

if TYPE_CHECKING:  # tables.py needs polars
    from datakit.tables import Row, Rows

_PR_SET_PDEATHSIG = 1
_MOST_BYTES = 2**20  # maximum size of an order
_LOOKS_EVERY_S = 0.002
WORKER_NUMBER = "DATAKIT_WORKER"
"""The environment variable with the number of a worker process in its engine."""


def worker_number() -> int:
    """Return the number of this worker process in its engine, from 0, so that each can take a device of its own."""
    return int(os.environ.get(WORKER_NUMBER, "0"))


def serve(descriptor: int, parent: int) -> None:
    """Run a worker process: start, then answer batches; start again when the parent sends another start, and end when the
    parent is gone, even if it was killed (other systems than Linux rely on the closed pipe)."""
    _die_with(parent)
    pipe = Connection(descriptor)
    with suppress(EOFError, ConnectionResetError):
        while _serve(pipe, _started(pipe.recv), None):
            pass


def serve_forks(descriptor: int, parent: int) -> None:
    """Run the process that workers are forked from: start once, then obey orders.

    An order with a worker's number, core, temporary folder and the descriptor of its pipe forks a worker; one with a process id
    and seconds waits that long for the fork to end and sends its exit status.
    """
    _die_with(parent)
    orders, own = socket.socket(fileno=descriptor), os.getpid()
    worker = _started(lambda: pickle.loads(orders.recv(_MOST_BYTES)))
    gc.freeze()  # a collection in a fork would copy every page
    while True:
        message, pipes, _, _ = socket.recv_fds(orders, _MOST_BYTES, 1)
        if not message:
            return
        order = pickle.loads(message)
        if not pipes:
            orders.send(pickle.dumps(_status_of(*order)))
        elif os.fork():
            os.close(pipes[0])
        else:
            orders.close()
            _serve_as_fork(pipes[0], own, worker, *order)


def _serve_as_fork(
    descriptor: int, parent: int, worker: Worker | DatakitError, number: int, core: int | None, folder: str
) -> None:
    try:
        os.setpgid(0, 0)
        _die_with(parent)
        os.environ |= {WORKER_NUMBER: str(number), "TMPDIR": folder}
        if core is not None:
            os.sched_setaffinity(0, {core})
        with suppress(EOFError, ConnectionResetError):
            _serve(Connection(descriptor), worker, os.getpid())
    finally:
        os._exit(0)  # a fork must not run the exit handlers of the process that it came from


def _status_of(pid: int, seconds: float) -> int | None:
    """Return the exit status of a fork if it ends within this many seconds, else None."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_LOOKS_EVERY_S)
    return None


def _die_with(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def _started(given: Callable[[], Callable[[], Worker]]) -> Worker | DatakitError:
    """Run the `start` that the parent sends; return its worker, or its exception for the parent to raise."""
    try:
        return given()()
    except DatakitError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever it is, it crosses to the parent and stops the stage there
        return WorkerError(f"a worker process cannot start: {_text(error)}")


def _serve(pipe: Connection, worker: Worker | DatakitError, pid: int | None) -> bool:
    """Answer batches until an empty one; return whether another start follows."""
    if isinstance(worker, DatakitError):
        _say(pipe, "refused", worker, 0.0)
        return False
    _say(pipe, "ready", pid, 0.0)
    while rows := pipe.recv():
        _answer_batch(pipe, worker, rows)
    return True


def _answer_batch(pipe: Connection, worker: Worker, rows: Rows) -> None:
    """Send one message per row. An exception costs the row on which it happened; the worker continues with the next."""
    done = 0
    while done < len(rows):
        began_at = time.monotonic()
        try:
            for value in worker(rows[done:]):
                _say(pipe, "value", value, time.monotonic() - began_at)
                done, began_at = done + 1, time.monotonic()
                if done == len(rows):
                    return
            message = "the worker gave fewer results than rows"
        except Exception as error:  # noqa: BLE001 - a row's error is data for the parent, not the end of a batch
            message = _text(error)
        _say(pipe, "crash", message, time.monotonic() - began_at)
        done += 1


def _say(pipe: Connection, kind: str, content: Row | str | int | DatakitError | None, duration_s: float) -> None:
    try:
        message = pickle.dumps((kind, content, duration_s))
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # which of them depends on Python's version
        raise WorkerError(f"a result that cannot be pickled: {_text(error)}") from error
    try:
        pipe.send_bytes(message)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the parent is gone


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
