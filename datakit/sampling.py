"""n independent samples a prompt from one source model.

Every sample ends as a response or as a failure: choices are counted, a shortfall is asked for, empty texts are asked again.
What is truncated stays as it came (asking until an answer is short would select for short ones). A sample's seed is a
function of its id, so the same build asks the same questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from datakit.client import ChatClient, RequestFailed
from datakit.recipe import Sampled, ServeSource
from datakit.tables import Messages, Row, Rows, failure_row, make_seed

Store = Callable[[Rows, Rows], None]
"""Takes response rows and failure rows; they are safe when it returns."""

EMPTY_ATTEMPTS = 4  # times that a server may answer a sample with nothing before it is a failure


@dataclass(frozen=True)
class Ask:
    """The missing samples of one prompt: sample_index -> response_id."""

    prompt_id: str
    messages: Messages
    missing: dict[int, str]


@dataclass
class Sampler:
    """Asks one source model; counts what it sees for the progress display."""

    source: Sampled
    requested_model: str
    """The name that the server knows the model by; differs from source.model for a served folder."""
    client: ChatClient
    single: bool = field(init=False)
    n_tokens: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        ignores_n = isinstance(self.source, ServeSource) and self.source.engine == "transformers"
        self.single = self.source.request == "single" or (self.source.request == "auto" and ignores_n)

    async def sample(self, asks: Iterable[Ask], store: Store) -> None:
        """Hand response rows and failure rows to `store` as they come, in no order; prompts are read lazily.

        Raises SourceStopped; what was stored before stays.
        """
        running: set[asyncio.Task[None]] = set()
        try:
            for part in (part for ask in asks for part in self._parts(ask)):
                if len(running) >= 2 * self.client.capacity:
                    running = await _some_done(running)
                running.add(asyncio.create_task(self._answer(part, store)))
            while running:
                running = await _some_done(running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _parts(self, ask: Ask) -> Iterator[Ask]:
        """With one request a sample each sample is asked for by itself, else a prompt's samples together."""
        if self.single:
            return (Ask(ask.prompt_id, ask.messages, {index: key}) for index, key in ask.missing.items())
        return iter((ask,))

    async def _answer(self, ask: Ask, store: Store) -> None:
        """Ask until every missing sample is a response or a failure."""
        missing = dict(ask.missing)
        empty = 0
        try:
            while missing:
                rows = await self._request(ask, missing, empty)
                for row in rows:
                    index = next(iter(missing))
                    row |= {"response_id": missing.pop(index), "prompt_id": ask.prompt_id, "sample_index": index}
                store(rows, [])
                empty += not rows
                if empty >= EMPTY_ATTEMPTS:
                    raise RequestFailed("empty", "the server answered without text", empty, permanent=False)
        except RequestFailed as failure:
            failure.permanent &= self.client.answered
            name, said, tries = failure.error, failure.message, failure.attempts
            lost = (
                failure_row("sample", key, self.source.model, name, said, tries, failure.permanent) for key in missing.values()
            )
            store([], list(lost))

    async def _request(self, ask: Ask, missing: dict[int, str], attempt: int) -> Rows:
        """One request for as many of the missing samples as the server gives at once; at most that many rows."""
        wanted = 1 if self.single else len(missing)
        seed = make_seed(next(iter(missing.values())), attempt)
        answer, latency_s = await self.client.complete(self._body(ask, wanted, seed))
        choices = answer["choices"][:wanted]
        if self.source.request == "auto" and len(choices) < wanted:
            self.single = True  # this server ignores n: from now on a request a sample
        rows = [self._row(choice, seed, latency_s) for choice in choices if _text(choice)]
        if any(choice.get("finish_reason") == "content_filter" for choice in choices) and not rows:
            raise RequestFailed("content_filter", "the server's content filter withheld the answer", 1, permanent=True)
        self._count_tokens(rows, answer.get("usage"))
        return rows

    def _body(self, ask: Ask, n: int, seed: int) -> dict[str, Any]:
        system: Messages = [{"role": "system", "content": self.source.system}] if self.source.system is not None else []
        body: dict[str, Any] = {
            "model": self.requested_model,
            "messages": system + ask.messages,
            "seed": seed,
            **self.source.sampling.model_dump(exclude_none=True),
        }
        if n > 1:
            body["n"] = n
        if self.source.extra_body:
            body["extra_body"] = self.source.extra_body
        return body

    def _row(self, choice: dict[str, Any], seed: int, latency_s: float) -> Row:
        return {
            "model": self.source.model,
            "revision": self.source.revision,
            "sampling": self.source.sampling_text,
            "seed": seed,
            "text": _text(choice),
            "finish_reason": reason if isinstance(reason := choice.get("finish_reason"), str) else None,
            "latency_s": round(latency_s, 4),
        }

    def _count_tokens(self, rows: Rows, usage: Any) -> None:
        """`usage` counts a whole request: its completion tokens are shared out by characters, the sum stays exact."""
        total, left = _count(usage, "completion_tokens"), len(rows)
        self.n_tokens += total or 0
        characters = sum(len(row["text"]) for row in rows)
        for row in rows:
            row["n_prompt_tokens"] = _count(usage, "prompt_tokens")
            row["n_tokens"] = None
            if total is not None:
                row["n_tokens"] = total if left == 1 else round(total * len(row["text"]) / characters)
                total, characters, left = total - row["n_tokens"], characters - len(row["text"]), left - 1


async def _some_done(running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait for the next task to end, raise what it raised, and give back those that still run."""
    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return running


def _count(usage: Any, name: str) -> int | None:
    """A whole number of the usage, or None where the server says something else: a journal takes only what its table does."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(choice: Any) -> str:
    """The choice's text, or the empty string where there is none but white space. Lone surrogates cannot be stored."""
    message = choice.get("message") if isinstance(choice, dict) else None
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str) or not text.strip():
        return ""
    return text.encode("utf-8", "replace").decode("utf-8")
