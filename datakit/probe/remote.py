"""A reading by a vLLM server: each text as the last message, with the log-probabilities of the prompt's own tokens.

The request asks for one token, which is thrown away, and for `prompt_logprobs`: at every token of the conversation the
likeliest ones, and the token itself if it is not among them (layout of vLLM 0.32). The server computes such requests whole,
without its cache of prefixes, and their logits take memory that it did not plan for: few are in flight at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from datakit.client import Client, Drain, RequestFailed, count_of
from datakit.errors import SourceStopped
from datakit.probe.missing import stream_missing
from datakit.probe.readings import Reading
from datakit.progress import Progress
from datakit.signals import Signals
from datakit.store import Run
from datakit.tables import Row, Rows, failure_row
from datakit.tokens import Vocabulary, locate, row_of

MOST_IN_FLIGHT = 8
PATH = "/chat/completions"
NOT_FOUND = "the server's tokens are not those of the text: its chat template writes it differently, or `tokenizer` is wrong"
NO_LOGPROBS = (
    "the answer has no prompt_logprobs and prompt_token_ids, which vLLM gives; for another server's model give its folder as a "
    "source of type local"
)
TOO_MANY = "vLLM's --max-logprobs sets the limit"
ABOUT_LOGPROBS = re.compile(r"(prompt|max)[_ ]logprobs")
Store = Callable[[Rows, Rows], None]


@dataclass
class RemoteReading:
    """One reading over a server's URLs, with its progress."""

    run: Run
    reading: Reading
    vocabulary: Vocabulary
    wanted: dict[str, Any]
    retry_failures: bool
    drain: Drain
    store: Store
    done: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    prompt_tokens: int = field(default=0, init=False)
    _client: Client | None = field(default=None, init=False)

    def progress(self) -> Progress:
        """Return the progress so far; may be called from another thread."""
        if self._client is None:
            return Progress()
        return self._client.progress(self.done, self.failed, self.prompt_tokens, 0)

    def read(self, client: Client, signals: Signals) -> None:
        """Read all that is missing. Raise SourceStopped, and what a signal raises."""
        with signals.draining(self.drain.soon):
            asyncio.run(self._read(client))

    async def _read(self, client: Client) -> None:
        async with client, self.drain:
            self._client = client
            task = asyncio.create_task(self._work(client))
            self.drain.clients.append(client)
            self.drain.tasks.append(task)
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def _work(self, client: Client) -> None:
        with closing(stream_missing(self.run, self.wanted, self.reading, self.retry_failures)) as frames:
            rows: Iterator[Row] = (row for frame in frames for row in frame.iter_rows(named=True))
            await client.work_through(rows, lambda row: self._read_row(client, row))
        client.check_answered(self.failed, "texts")

    async def _read_row(self, client: Client, row: Row) -> None:
        """Turn one text into a row of distributions or of failures."""
        try:
            answer, _ = await client.post(PATH, self.body(row), check_answer)
            read = read_answer(answer, self.vocabulary, row["text"].encode(), self.reading.top_k)
        except RequestFailed as failure:
            if failure.permanent and ABOUT_LOGPROBS.search(failure.message):
                raise SourceStopped(f"{self.reading.model}: probe.top_k: {failure.message} ({TOO_MANY})") from failure
            permanent = failure.permanent and client.answered
            self._fail(row, failure.error, failure.message, failure.attempts, permanent)
            return
        self.prompt_tokens += count_of(answer, "prompt_tokens") or 0
        if read is None:
            self._fail(row, "not_found", NOT_FOUND, 1, True)
            return
        self.store([{"text_id": row["text_id"], **self.reading.key, **read}], [])
        self.done += 1

    def body(self, row: Row) -> dict[str, Any]:
        """Return the request for one text."""
        arguments = self.reading.template_arguments
        source = self.reading.source
        return {
            "model": source.requested_model if source is not None else self.reading.model,
            "messages": [*self.reading.asked(row["messages"]), {"role": "assistant", "content": row["text"]}],
            "add_generation_prompt": False,
            "prompt_logprobs": self.reading.top_k,
            "return_token_ids": True,
            "max_tokens": 1,
            "temperature": 0,
            **({"chat_template_kwargs": arguments} if arguments else {}),
        }

    def _fail(self, row: Row, error: str, message: str, attempts: int, permanent: bool) -> None:
        self.store([], [failure_row("probe", row["text_id"], self.reading.model, error, message, attempts, permanent)])
        self.failed += 1


def check_answer(answer: Any) -> None:
    """Raise ValueError if the body is no chat completion, and SourceStopped if it lacks the log-probabilities."""
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
        raise ValueError("not a chat completion")
    ids, logprobs = answer.get("prompt_token_ids"), answer.get("prompt_logprobs")
    if not isinstance(ids, list) or not isinstance(logprobs, list) or len(ids) != len(logprobs):
        raise SourceStopped(NO_LOGPROBS)


def read_answer(answer: dict[str, Any], vocabulary: Vocabulary, text: bytes, top_k: int) -> dict[str, Any] | None:
    """Return the columns of a row without its key; None if the answer's tokens do not spell the text."""
    ids = answer["prompt_token_ids"]
    place = locate(ids, vocabulary, text)
    if place is None or place.first == 0:
        return None
    own, top = [], []
    for id, entries in zip(ids[place.first : place.last], answer["prompt_logprobs"][place.first : place.last], strict=True):
        found = {int(token): (int(entry["rank"]), float(entry["logprob"])) for token, entry in entries.items()}
        own.append(found[id][1])
        likeliest = sorted(found.items(), key=lambda item: item[1][0])[:top_k]
        top.append([(token, logprob) for token, (_, logprob) in likeliest])
    return row_of(ids, place, len(text), own, _even(top))


def _even(top: Sequence[list[tuple[int, float]]]) -> list[list[tuple[int, float]]]:
    """Cut every place to as many tokens as the shortest has: a server with a smaller vocabulary gives fewer."""
    least = min(map(len, top), default=0)
    return [row[:least] for row in top]
