"""Progress of sources and judges: snapshots that a display polls while the work goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias


@dataclass(frozen=True)
class ReplicaProgress:
    """The state of one URL of a model."""

    url: str
    state: Literal["up", "resting", "down"]
    """resting: it asked for a pause, or it fails; down: it cannot be reached and is probed until it answers."""
    in_flight: int
    window: int
    """The number of requests that it may have in flight now; adapts between 1 and the recipe's max_in_flight."""
    waiting: int | None = None
    """Requests in the server's own queue, if it reports them (vLLM's /metrics)."""


@dataclass(frozen=True)
class Progress:
    """The work of one part of a stage since the stage began; the counts only grow."""

    done: int = 0
    failed: int = 0
    requests: int = 0
    """Requests that were answered."""
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replicas: tuple[ReplicaProgress, ...] = ()


Poll: TypeAlias = Callable[[], Progress]


class Monitor(Protocol):
    """The interface to which a build reports."""

    def stage(
        self,
        name: str,
        missing: dict[str, int],
        polls: Mapping[str, Poll] | None = None,
        there: Mapping[str, int] | None = None,
    ) -> None:
        """Begin a stage; `missing` and `there` count the rows to make and the rows present, per part (a source model, a judge).

        A part with a poll is read by calling it, from another thread; the others are reported with `advance`.
        """
        ...

    def advance(self, part: str, done: int, failed: int, note: str) -> None:
        """Report that rows of a part were made or have failed; `note` is anything else to show beside the part now."""
        ...

    def say(self, text: str, warning: bool = False) -> None:
        """Show a sentence that stays on the screen."""
        ...
