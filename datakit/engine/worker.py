"""The child's side of an engine. It imports what a start may need anyway, and no more: each worker pays for it again."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from datakit.engine.protocol import Worker
from datakit.errors import DatakitError, WorkerError

if TYPE_CHECKING:  # tables.py needs polars
    from datakit.tables import Row, Rows

_PR_SET_PDEATHSIG = 1
WORKER_NUMBER = "DATAKIT_WORKER"
"""The variable that says which of its engine's a worker process is."""


def worker_number() -> int:
    """In a worker process: which of its engine's it is, from 0, so that each can take a device of its own."""
    return int(os.environ.get(WORKER_NUMBER, "0"))


def serve(descriptor: int, parent: int) -> None:
    """The main function of a worker process: start once, then answer batches until the parent is gone, also when it is killed
    (elsewhere than on Linux the closed pipe has to do)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the line above
        os._exit(1)
    pipe = Connection(descriptor)
    with suppress(EOFError, ConnectionResetError):
        worker = _started(pipe)
        while worker is not None:
            _answer_batch(pipe, worker, pipe.recv())


def _started(pipe: Connection) -> Worker | None:
    """Call the `start` that the parent sends. Its exception is the parent's to raise."""
    refusal: DatakitError
    try:
        worker: Worker = pipe.recv()()
    except DatakitError as error:
        refusal = error
    except Exception as error:  # noqa: BLE001 - whatever it is, it crosses to the parent and stops the stage there
        refusal = WorkerError(f"a worker process cannot start: {_text(error)}")
    else:
        _say(pipe, "ready", None, 0.0)
        return worker
    _say(pipe, "refused", refusal, 0.0)
    return None


def _answer_batch(pipe: Connection, worker: Worker, rows: Rows) -> None:
    """Say one message a row. An exception takes the row it happened on; the worker goes on behind it."""
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


def _say(pipe: Connection, kind: str, content: Row | str | DatakitError | None, duration_s: float) -> None:
    try:
        pipe.send((kind, content, duration_s))
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)  # the parent is gone


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
