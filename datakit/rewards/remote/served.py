"""Sequence classifiers with one label that vLLM serves: /classify or /pooling, with the activation off.

A request has the conversation as `messages`: the server renders it with its own chat template, and adds no second
beginning-of-text token. Without `use_activation: false` vLLM gives the sigmoid of the score, which squeezes the margins of good
answers to nothing (vllm/entrypoints/pooling: ClassificationChatRequest, PoolingChatRequest; layouts of 0.32).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from datakit.client import Client, RequestFailed, count_of, server_url
from datakit.errors import SourceStopped
from datakit.recipe import Served
from datakit.rewards.protocol import Score, no_score
from datakit.rewards.selfcheck import CONVERSATIONS
from datakit.tables import Messages

PROBES = [messages for messages in CONVERSATIONS if messages[-1]["content"]][:4]
SWITCH_ON = "Start vLLM with a model that has one label (--runner pooling, --convert classify where it is not seen by itself)"


class ServedClassifier:
    """One served classifier, asked over all its URLs."""

    def __init__(self, reward: Served, client: Client) -> None:
        """The client's URLs are the servers' own, without /v1."""
        self.reward = reward
        self.client = client
        self.prompt_tokens = self.completion_tokens = 0

    @staticmethod
    def server_urls(base_urls: Sequence[str]) -> list[str]:
        """Return the servers' own URLs: /classify and /pooling are next to /v1, not below it."""
        return [server_url(url) for url in base_urls]

    @staticmethod
    def name_parts(reward: Served) -> list[str]:
        """Return an empty list: the name has no further parts."""
        return []

    async def check(self) -> None:
        """Ask a few questions; raise SourceStopped if the server gives anything other than one raw score."""
        switched = [(messages, on) for messages in PROBES for on in (False, True)]
        try:
            scores = await asyncio.gather(*(self._ask(messages, on) for messages, on in switched))
        except SourceStopped as stopped:
            raise SourceStopped(f"{stopped}. {SWITCH_ON}") if "HTTP 404: Not Found" in str(stopped) else stopped from None
        except RequestFailed as failure:
            raise SourceStopped(f"{self._name}: cannot score a short conversation: {failure.message}") from failure
        raw, activated = scores[::2], scores[1::2]
        if not self.reward.no_activation and raw == activated and all(0 <= score <= 1 for score in raw):
            raise SourceStopped(
                f"{self._name}: gives {raw[0]:.6g} whether the activation is to be on or off, so this may be a probability and "
                "no raw score; use a newer vLLM, or set no_activation: true where the model's head has none"
            )

    async def score(self, messages: Messages) -> Score:
        """See protocol.RemoteModel. The error is `not_finite`."""
        score = await self._ask(messages, activation=False)
        return Score(score) if math.isfinite(score) else no_score("not_finite", f"the server gave the score {score}")

    async def _ask(self, messages: Messages, activation: bool) -> float:
        body = request(self.reward, messages, activation)
        answer, _ = await self.client.post(f"/{self.reward.api}", body, lambda answer: check_layout(self.reward.api, answer))
        self.prompt_tokens += count_of(answer, "prompt_tokens") or 0
        values = numbers(self.reward.api, answer)
        if len(values) != 1 or isinstance(values[0], list):
            given = f"{len(values)} lists, one per token" if isinstance(values[0], list) else f"{len(values)} numbers"
            raise SourceStopped(f"{self._name}: gives {given}, and a score is one number. {SWITCH_ON}")
        return float(values[0])

    @property
    def _name(self) -> str:
        return f"{self.reward.model} at {', '.join(self.reward.base_urls)} (/{self.reward.api})"


def request(reward: Served, messages: Messages, activation: bool = False) -> dict[str, Any]:
    """Return the body of one request."""
    body = {
        "model": reward.model,
        "messages": messages,
        "use_activation": activation,
        "add_special_tokens": reward.add_special_tokens,
    }
    return body | {"task": "classify"} if reward.api == "pooling" else body


def check_layout(api: str, answer: Any) -> None:
    """Raise ValueError if the body is not an answer of /classify or /pooling."""
    try:
        values = numbers(api, answer)
        valid = isinstance(values, list) and values != [] and all(isinstance(value, int | float | list) for value in values)
    except (LookupError, TypeError):
        valid = False
    if not valid:
        raise ValueError(f"not an answer of /{api}")


def numbers(api: str, answer: Any) -> Sequence[Any]:
    """Return all numbers for the single conversation; lists if it is scored token by token."""
    values: Sequence[Any] = answer["data"][0]["probs" if api == "classify" else "data"]
    return values
