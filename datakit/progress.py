"""What a sampling source or a judge tells of its work while it goes on: snapshots, polled by whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias


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
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    replicas: tuple[ReplicaProgress, ...] = ()


Poll: TypeAlias = Callable[[], Progress]
