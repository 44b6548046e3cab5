"""What every reward model promises: a score for each conversation, and what a score is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datakit.client import Client
from datakit.tables import Messages


@dataclass(frozen=True)
class Score:
    """What a judge says of one conversation: `score`, and the objectives behind it where it has any.

    `gating` is the weight of each objective, in the same order. `n_tokens` were read, after `n_tokens_cut` were left out.
    `error` is set, and the score None, where this conversation cannot be scored (it becomes a row of `failures`).
    """

    score: float | None
    objectives: tuple[float, ...] | None = None
    gating: tuple[float, ...] | None = None
    n_tokens: int | None = None
    n_tokens_cut: int | None = None
    error: str | None = None
    message: str | None = None


def no_score(error: str, message: str) -> Score:
    """The Score of a conversation that cannot be scored: `error` is a word, `message` says it to the user."""
    return Score(None, error=error, message=message)


class RewardModel(Protocol):
    """Scores conversations that end in an assistant's answer, higher is better."""

    def score(self, conversations: Sequence[Messages]) -> Iterator[Score]:
        """One Score a conversation, in order, each as soon as it is there. It does not depend on what else is in the list.

        Conversations of like length next to each other are scored sooner.
        """
        ...


class RemoteModel(Protocol):
    """A judge behind URLs. It keeps no state of a conversation: many are asked at the same time."""

    prompt_tokens: int
    completion_tokens: int

    def __init__(self, reward: Any, client: Client) -> None:
        """`reward` is the section of this type; the client's URLs are server_urls'."""
        ...

    @staticmethod
    def server_urls(base_urls: Sequence[str], /) -> Sequence[str]:
        """What is asked, of the URLs that the recipe has."""
        ...

    @staticmethod
    def name_parts(reward: Any, /) -> list[str]:
        """What the judge's name says beside type, model, revision and `shaping`."""
        ...

    async def check(self) -> None:
        """Before the first score. Raises SourceStopped where the server gives no scores that can be used."""
        ...

    async def score(self, messages: Messages) -> Score:
        """The Score of a conversation that ends in an assistant's answer; errors in it are for good.

        Raises RequestFailed, SourceStopped, Drained.
        """
        ...
