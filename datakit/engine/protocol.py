"""The protocol of engines, which return a Result for every row."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:  # a worker process imports this file, and tables.py needs polars
    from datakit.tables import Row, Rows

Worker: TypeAlias = "Callable[[Rows], Iterable[Row]]"
"""A function that is called in a worker process with a batch and yields one result per row, in order, each as soon as it is
done."""


@dataclass(frozen=True)
class Result:
    """The result of one row: a value, or a fault and a message that says why there is none."""

    row: Row
    value: Row | None
    fault: Literal["timeout", "crash"] | None
    message: str | None
    duration_s: float


@dataclass(frozen=True)
class Work:
    """What an engine has to know about the work besides its start."""

    workers: int | None = None
    """The workers per machine; one per core by default."""
    pinned: bool = False
    """True to keep each worker on a core of its own, if all cores are used."""
    forks: bool = False
    """True to start once and fork (forks.py): for a start that leaves no thread or process running."""
    alone: bool = False
    """True for one worker in all, which has its machine to itself."""
    gpu: Literal["no", "if there", "must"] = "no"
    """Whether a worker on a cluster takes a GPU; "if there": a GPU if nodes have one, else all processors of its node."""
    check: Callable[[], None] | None = None
    """Raises a DatakitError on a machine that cannot do this work."""


class Engine(Protocol):
    """An engine that runs a worker over batches of rows."""

    def map(
        self, start: Callable[[], Worker], batches: Iterable[Rows], deadline_s: float | None
    ) -> Generator[Result, None, None]:
        """Yield one Result per row, in any order. Closing the generator ends the workers.

        `start` is called once in every worker process, also in one that replaces a dead process, and must be importable there.
        If it raises a DatakitError, the same error is raised here and ends the map, without a retry; any other exception is
        raised as WorkerError. A process that dies while it starts is replaced, a few times in a row, then WorkerError is
        raised. A batch is read only when a worker is free for it. `deadline_s` bounds each row; a worker may take longer to
        start.
        """
        ...


class Engines(Protocol):
    """The engines of one build: on this machine (local.py), or on a cluster (ray.py)."""

    @property
    def note(self) -> str:
        """What is at work now, for the display: "2 nodes, 16 seats"; empty for this machine."""
        ...

    def engine(self, work: Work) -> Engine:
        """Return an engine for this work. Raises BadInput if the cluster cannot be reached."""
        ...
