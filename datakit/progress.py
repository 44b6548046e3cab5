"""What a sampling source or a judge tells of its work while it goes on: snapshots, polled by whoever shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias


@dataclass(frozen=True)
class ReplicaProgress:
    """One URL of a model."""

    url: str
    state: Literal["up", "resting", "down"]
    """resting: it asked for a pause, or fails; down: it cannot be reached, and is probed until it answers."""
    in_flight: int
    window: int
    """Requests that it may have in flight now; adapts between 1 and the recipe's max_in_flight."""
    waiting: int | None = None
    """Requests waiting in the server's own queue, where it says so (vLLM's /metrics)."""


@dataclass(frozen=True)
class Progress:
    """What one part of a stage has done since the stage began; counts only grow."""

    done: int = 0
    failed: int = 0
    requests: int = 0
    """Those that were answered."""
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replicas: tuple[ReplicaProgress, ...] = ()


Poll: TypeAlias = Callable[[], Progress]


class Monitor(Protocol):
    """What a build tells whoever watches it."""

    def stage(
        self,
        name: str,
        missing: dict[str, int],
        polls: Mapping[str, Poll] | None = None,
        there: Mapping[str, int] | None = None,
    ) -> None:
        """A stage begins; for each of its parts (a source model, a judge) how many rows it is to make, and how many are there.

        A part with a poll is asked by it, from another thread; the others are told with `advance`.
        """
        ...

    def advance(self, part: str, done: int, failed: int, note: str) -> None:
        """Rows of a part were made, or became failures; `note` says what else there is to see of it now."""
        ...

    def say(self, text: str, warning: bool = False) -> None:
        """A sentence that stays on the screen."""
        ...
