"""The remote side of a cluster's engine: one host per node (or per GPU), with a one-worker engine for each of its seats.

A worker process is killed with the thread that started it, so a seat's thread lives as long as its host; and a host's worker
processes end with it, however it ends. Ray runs Host as an actor; this file does not import Ray.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Literal, NamedTuple

import datakit
from datakit.engine.local import LocalEngine
from datakit.engine.protocol import Work, Worker
from datakit.errors import DISTRIBUTION, DatakitError, WorkerError

if TYPE_CHECKING:
    from datakit.tables import Row, Rows

_COMPARED = (DISTRIBUTION, "math-verify", "sympy", "ruff")
"""Packages whose version can change verdicts."""


class Answer(NamedTuple):
    """A Result without its row, which the driver has."""

    value: Row | None
    fault: Literal["timeout", "crash"] | None
    message: str | None
    duration_s: float


@dataclass(frozen=True)
class Seen:
    """What a host reports about its node before it gets any work."""

    versions: dict[str, str]
    trouble: str | None
    """Why the work cannot be done there (no sandbox, for example), or None."""


def versions() -> dict[str, str]:
    """Return the versions that must be the same on the driver and on every node."""
    found = {"Python": platform.python_version()}
    for package in _COMPARED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    code = hashlib.sha256()
    folder = Path(datakit.__file__).parent
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.sql")]):
        code.update(path.read_bytes())
    return {**found, "code of datakit": code.hexdigest()[:12]}


class Host:
    """A host, which answers as many batches at once as it has seats, each called from its own thread."""

    def __init__(self, work: Work, n_seats: int, start: Callable[[], Worker], deadline_s: float | None) -> None:
        self._check = work.check
        self._finishes = Event()
        self._free: SimpleQueue[_Seat] = SimpleQueue()
        for _ in range(n_seats):
            self._free.put(_Seat(LocalEngine(1, forks=work.forks), start, deadline_s, self._finishes))

    def look(self) -> Seen:
        """Report whether the work can be done here, and with which versions."""
        try:
            if self._check is not None:
                self._check()
        except DatakitError as error:
            return Seen(versions(), str(error))
        return Seen(versions(), None)

    def finish(self) -> None:
        """Begin no further row; batches return the results that are done so far."""
        self._finishes.set()

    def answer(self, rows: Rows) -> list[Answer] | DatakitError:
        """Return one Answer per row, in order; or the error of a worker's start, for which no row is to blame."""
        seat = self._free.get()
        try:
            return seat.answer(rows)
        except DatakitError as error:
            return error
        finally:
            self._free.put(seat)


class _Seat:
    """A worker process, and the thread that owns it."""

    def __init__(self, engine: LocalEngine, start: Callable[[], Worker], deadline_s: float | None, finishes: Event) -> None:
        self._finishes = finishes
        self._given: SimpleQueue[Rows] = SimpleQueue()
        self._made: SimpleQueue[Answer | DatakitError] = SimpleQueue()
        self._work = (engine, start, deadline_s)
        self._thread = Thread(target=self._run, daemon=True)

    def answer(self, rows: Rows) -> list[Answer]:
        answers: list[Answer] = []
        if self._finishes.is_set():
            return answers
        if not self._thread.is_alive():  # not begun yet, or its start has failed
            self._thread = Thread(target=self._run, daemon=True)
            self._thread.start()
        self._given.put(rows)
        for _ in rows:
            made = self._made.get()
            if isinstance(made, DatakitError):
                raise made
            answers.append(made)
            if self._finishes.is_set():
                break
        return answers

    def _run(self) -> None:
        engine, start, deadline_s = self._work
        try:
            for result in engine.map(start, self._batches(), deadline_s):
                self._made.put(Answer(result.value, result.fault, result.message, result.duration_s))
        except DatakitError as error:
            self._made.put(error)
        except Exception as error:  # noqa: BLE001 - it crosses to the driver and stops the stage there
            self._made.put(WorkerError(f"a host of the cluster fails: {type(error).__name__}: {error}"))

    def _batches(self) -> Iterator[Rows]:
        while True:
            yield self._given.get()
