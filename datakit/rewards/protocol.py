"""What every reward model promises: a score for each conversation, and what a score is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datakit.client import Client
from datakit.tables import Messages


@dataclass(frozen=True)
class Score:
    """What a judge says of one conversation: `score`, and the objectives behind it if it has any.

    `gating` holds the weight of each objective, in the same order; ArmoRM's sum to its logit_scale, and weigh the objectives
    after its transform. `n_tokens` were read, after `n_tokens_cut` were left out.
    `error` is set, and the score None, if this conversation cannot be scored (it becomes a row of `failures`).
    """

    score: float | None
    objectives: tuple[float, ...] | None = None
    gating: tuple[float, ...] | None = None
    n_tokens: int | None = None
    n_tokens_cut: int | None = None
    error: str | None = None
    message: str | None = None


def no_score(error: str, message: str) -> Score:
    """Return the Score of a conversation that cannot be scored: `error` is one word, `message` is for the user."""
    return Score(None, error=error, message=message)


class RewardModel(Protocol):
    """A model that scores conversations that end in an assistant's answer; higher is better."""

    def score(self, conversations: Sequence[Messages]) -> Iterator[Score]:
        """Yield one Score per conversation, in order, each as soon as it is known. It does not depend on the rest of the list.

        Conversations of similar length next to each other are scored faster.
        """
        ...


class RemoteModel(Protocol):
    """A judge behind URLs. It keeps no state per conversation: many are scored at the same time."""

    prompt_tokens: int
    completion_tokens: int

    def __init__(self, reward: Any, client: Client) -> None:
        """`reward` is the recipe section of this type; the client's URLs are those of server_urls."""
        ...

    @staticmethod
    def server_urls(base_urls: Sequence[str], /) -> Sequence[str]:
        """Return the URLs to send requests to, for the URLs in the recipe."""
        ...

    @staticmethod
    def name_parts(reward: Any, /) -> list[str]:
        """Return the parts of the judge's name after type, model and revision, before the options of `shaping`."""
        ...

    async def check(self) -> None:
        """Check the server before the first score. Raises SourceStopped if its scores cannot be used."""
        ...

    async def score(self, messages: Messages) -> Score:
        """Return the Score of a conversation that ends in an assistant's answer; an error in it is permanent.

        Raises RequestFailed, SourceStopped, Drained.
        """
        ...
