"""n independent samples a prompt from one source model.

Every sample ends as a response or as a failure: choices are counted, a shortfall is asked for, and empty texts and copies that
a server makes of one answer are asked again. What is truncated stays as it came, also a thought without its answer: asking
until an answer is short would select for short ones. A sample's seed is a function of its id, so the same build asks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from datakit.client import Client, RequestFailed
from datakit.errors import SourceStopped
from datakit.progress import Progress
from datakit.recipe import Requested, Sampled, ServeSource
from datakit.sample.exchange import Exchange, Manner, check_answer
from datakit.tables import Messages, Rows, failure_row, make_seed
from datakit.tokens import SampledReader

Store = Callable[[Rows, Rows], None]
"""Takes the response rows of one request, or failure rows; they are safe when it returns."""

EMPTY = "the server answered without text"
EMPTY_ATTEMPTS = 4  # times that a server may answer a sample with nothing before it is a failure
EMPTY_SAMPLES = 20  # so many samples failed for that before any had text: the source gives none
MOST_CHOICES = 64  # that one request asks for; servers hang or refuse at several hundred
PATH = "/chat/completions"


@dataclass(frozen=True)
class Ask:
    """The missing samples of one prompt: sample_index -> response_id."""

    prompt_id: str
    messages: Messages
    messages_digest: str
    missing: dict[int, str]
    manner: Manner | None = None
    """Where the source asks some prompts otherwise than others."""


@dataclass
class Sampler:
    """Asks one source model, and counts what it sees."""

    source: Requested
    client: Client
    reader: SampledReader | None = None
    """Reads the distributions that come with its samples."""
    single: bool = field(init=False)
    done: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.source, self.reader)
        self.single = asks_singly(self.source)
        self._gives_several = False
        self._proven = self.client.answered

    def progress(self) -> Progress:
        """What it has done so far; may be called from another thread."""
        took = self.exchange
        return self.client.progress(self.done, self.failed, took.prompt_tokens, took.completion_tokens)

    async def sample(self, asks: Iterable[Ask], store: Store) -> None:
        """Hand response rows and failure rows to `store` as they come, in no order; prompts are read lazily.

        Ends early, with all that was answered stored, once the client is drained. Raises SourceStopped.
        """
        parts = (part for ask in asks for part in self._parts(ask))
        await self.client.work_through(parts, lambda part: self._answer(part, store))
        self.client.check_answered(self.failed, "samples")

    def _parts(self, ask: Ask) -> Iterator[Ask]:
        """With one request a sample each sample is asked for by itself, else a prompt's samples together."""
        most = 1 if self.single else MOST_CHOICES
        missing = list(ask.missing.items())
        for at in range(0, len(missing), most):
            yield replace(ask, missing=dict(missing[at : at + most]))

    async def _answer(self, ask: Ask, store: Store) -> None:
        """Ask until every missing sample is a response or a failure."""
        missing, manner = dict(ask.missing), ask.manner or self.exchange.manner
        empty = copied = 0
        try:
            while missing:
                rows = await self._request(ask, manner, missing, empty)
                texts, was_sampled = {(row["reasoning"], row["text"]) for row in rows}, manner.settings.get("temperature") != 0
                if not copied and len(rows) > 1 == len(texts) and was_sampled:
                    rows, copied = rows[:1], 1  # one of them is an answer; the others are asked for once more, with new seeds
                for row in rows:
                    index = next(iter(missing))
                    row |= {"response_id": missing.pop(index), "prompt_id": ask.prompt_id, "sample_index": index}
                    row["messages_digest"] = ask.messages_digest
                self.done += len(rows)
                store(rows, [])
                empty += not rows
                if empty >= EMPTY_ATTEMPTS:
                    raise RequestFailed("empty", EMPTY, empty, permanent=False)
        except RequestFailed as failure:
            self._fail(missing, failure, store)

    def _fail(self, missing: dict[int, str], failure: RequestFailed, store: Store) -> None:
        """Failure rows. While nothing was answered at all a refusal may be the source's fault, not the request's."""
        permanent = failure.permanent and self.client.answered
        self.failed += len(missing)
        name, error, message = self.source.model, failure.error, failure.message
        store([], [failure_row("sample", key, name, error, message, failure.attempts, permanent) for key in missing.values()])
        if error == "empty" and self.failed >= EMPTY_SAMPLES and not (self.done or self._proven):
            raise SourceStopped(
                f"{name}: the first {self.failed} samples came without text; fix the source's sampling or extra_body "
                f"(does the model think for longer than max_tokens allows?), then {self.source.origin.again}"
            )

    async def _request(self, ask: Ask, manner: Manner, missing: dict[int, str], attempt: int) -> Rows:
        """One request for as many of the missing samples as the server gives at once; at most that many rows."""
        wanted = 1 if self.single else len(missing)
        seed = make_seed(next(iter(missing.values())), attempt)
        try:
            body = self.exchange.body(ask.messages, wanted, seed, manner)
            answer, latency_s = await self.client.post(PATH, body, check_answer)
        except RequestFailed as failure:
            if failure.field != "n" or wanted == 1:
                raise
            self.single = True  # it refuses n, so it is asked once a sample
            return await self._request(ask, manner, missing, attempt)
        self._gives_several |= len(answer["choices"][:wanted]) > 1
        rows = self.exchange.rows(answer, wanted, seed, latency_s, manner)
        if self.source.request == "auto" and len(rows) == 1 < wanted and not self._gives_several:
            self.single = True  # this server ignores n: from now on a request a sample
        return rows


def asks_singly(source: Sampled) -> bool:
    """Whether a source is asked once a sample, as far as that is known before it answers: `transformers serve` ignores n."""
    if not isinstance(source, Requested):
        return True
    ignores_n = isinstance(source, ServeSource) and source.engine == "transformers"
    return source.request in ("single", "batch") or "n" in source.omit or (source.request == "auto" and ignores_n)
