"""What an engine promises: a Result for every row."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:  # a worker process imports this file, and tables.py needs polars
    from datakit.tables import Row, Rows

Worker: TypeAlias = "Callable[[Rows], Iterable[Row]]"
"""Called in a worker process with a batch: yields one result a row, in order, each as soon as it is done."""


@dataclass(frozen=True)
class Result:
    """What became of one row: a value, or a fault and a message that says why there is none."""

    row: Row
    value: Row | None
    fault: Literal["timeout", "crash"] | None
    message: str | None
    duration_s: float


@dataclass(frozen=True)
class Work:
    """What an engine is to know of the work beside its start."""

    workers: int | None = None
    """On each machine; one a core by default."""
    pinned: bool = False
    """Each on a core of its own, where all cores are taken."""
    forks: bool = False
    """Start once and fork (forks.py): for a start that leaves no thread and no process at work."""
    alone: bool = False
    """One worker in all, on a machine that does nothing else of this."""
    gpu: Literal["no", "if there", "must"] = "no"
    """Whether a worker on a cluster takes a GPU; "if there": else all processors of its node."""
    check: Callable[[], None] | None = None
    """Raises a DatakitError on a machine that cannot do this work."""


class Engine(Protocol):
    """Runs a worker over batches of rows."""

    def map(
        self, start: Callable[[], Worker], batches: Iterable[Rows], deadline_s: float | None
    ) -> Generator[Result, None, None]:
        """One Result a row, in any order. Closing the generator ends the workers.

        `start` is called once in every worker process and must be importable there; a DatakitError of its own is raised
        here. A batch is read only when a worker is free for it. `deadline_s` bounds each row; a worker may take longer
        to start.
        """
        ...


class Engines(Protocol):
    """Makes the engines of one build: on this machine (local.py), or on a cluster (ray.py)."""

    @property
    def note(self) -> str:
        """What is at work now, for whoever watches: "2 nodes, 16 seats"; empty for this machine."""
        ...

    def engine(self, work: Work) -> Engine:
        """One for this work."""
        ...
