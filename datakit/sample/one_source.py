"""n independent samples a prompt from one source model.

Every sample ends as a response or as a failure: choices are counted, a shortfall is asked for, and empty texts and copies that
a server makes of one answer are asked again. What is truncated stays as it came, also a thought without its answer: asking
until an answer is short would select for short ones. A sample's seed is a function of its id, so the same build asks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from datakit.client import Client, RequestFailed, count_of, is_unfinished, is_withheld, read_content
from datakit.errors import SourceStopped
from datakit.progress import Progress
from datakit.recipe import Sampled, ServeSource
from datakit.recipe.template import fill
from datakit.tables import Messages, Row, Rows, failure_row, make_seed
from datakit.tables.answers import join
from datakit.tables.compared import compared

Store = Callable[[Rows, Rows], None]
"""Takes the response rows of one request, or failure rows; they are safe when it returns."""

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


@dataclass
class Sampler:
    """Asks one source model, and counts what it sees."""

    source: Sampled
    client: Client
    single: bool = field(init=False)
    done: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    prompt_tokens: int = field(default=0, init=False)
    completion_tokens: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        source = self.source
        self._of_source = {"model": source.model, "revision": source.revision, "sampling": source.sampling_text}
        self._settings = source.sampling.model_dump(exclude_none=True) | source.extra_body
        self._without_seed = "seed" in source.omit
        self.single = asks_singly(source)
        self._gives_several = False
        self._proven = self.client.answered

    def progress(self) -> Progress:
        """What it has done so far; may be called from another thread."""
        return self.client.progress(self.done, self.failed, self.prompt_tokens, self.completion_tokens)

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
        missing = dict(ask.missing)
        empty = copied = 0
        try:
            while missing:
                rows = await self._request(ask, missing, empty)
                texts, was_sampled = {(row["reasoning"], row["text"]) for row in rows}, self.source.sampling.temperature != 0
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
                    raise RequestFailed("empty", "the server answered without text", empty, permanent=False)
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
                "(does the model think for longer than max_tokens allows?), then build again"
            )

    async def _request(self, ask: Ask, missing: dict[int, str], attempt: int) -> Rows:
        """One request for as many of the missing samples as the server gives at once; at most that many rows."""
        wanted = 1 if self.single else len(missing)
        seed = make_seed(next(iter(missing.values())), attempt)
        try:
            answer, latency_s = await self.client.post(PATH, self._body(ask.messages, wanted, seed), _check)
        except RequestFailed as failure:
            if failure.field != "n" or wanted == 1:
                raise
            self.single = True  # it refuses n, so it is asked once a sample
            return await self._request(ask, missing, attempt)
        choices = answer["choices"][:wanted]
        self._gives_several |= len(choices) > 1
        rows = [row for choice in choices if (row := self._row(choice, seed, latency_s)) is not None]
        if not rows and any(map(is_withheld, choices)):
            raise RequestFailed("content_filter", "the server withheld the answer (content filter or refusal)", 1, True)
        if self.source.request == "auto" and len(rows) == 1 < wanted and not self._gives_several:
            self.single = True  # this server ignores n: from now on a request a sample
        self._count_tokens(rows, answer)
        return rows

    def _body(self, messages: Messages, n: int, seed: int) -> dict[str, Any]:
        system: Messages = [{"role": "system", "content": self.source.system}] if self.source.system is not None else []
        if self.source.template is not None:
            *before, asked = messages
            messages = [*before, {**asked, "content": fill(self.source.template, {"prompt": asked["content"]})}]
        body: dict[str, Any] = {
            "model": self.source.requested_model,
            "messages": system + messages,
            "seed": seed,
            **self._settings,
        }
        return body | {"n": n} if n > 1 else body

    def _row(self, choice: dict[str, Any], seed: int, latency_s: float) -> Row | None:
        """None where there is no answer in it: neither text nor thought, one that is withheld, or one that broke off."""
        content = read_content(choice)
        if not (content.text or content.thinking) or is_withheld(choice) or is_unfinished(choice):
            return None
        parts = join(content.text, content.thinking, content.form)
        n_chars, text_hash = compared(parts.text)
        return {
            **self._of_source,
            "seed": None if self._without_seed else seed,
            "text": parts.text,
            "reasoning": parts.reasoning,
            "reasoning_form": parts.form,
            "n_chars": n_chars,
            "text_hash": text_hash,
            "finish_reason": reason if isinstance(reason := choice.get("finish_reason"), str) else None,
            "latency_s": round(latency_s, 4),
        }

    def _count_tokens(self, rows: Rows, answer: dict[str, Any]) -> None:
        """Its `usage` counts a whole request: its completion tokens are shared out by characters, the sum stays exact."""
        asked, total = count_of(answer, "prompt_tokens"), count_of(answer, "completion_tokens")
        self.prompt_tokens += asked or 0
        self.completion_tokens += total or 0
        thoughts = [len(row["reasoning"] or "") for row in rows]
        sizes = [n + len(row["text"] or "") for n, row in zip(thoughts, rows, strict=True)]
        shared = zip(rows, _share(total, sizes), _share(reasoning_tokens(answer), thoughts), strict=True)
        for row, n_tokens, n_reasoning_tokens in shared:
            row |= {"n_prompt_tokens": asked, "n_tokens": n_tokens, "n_reasoning_tokens": n_reasoning_tokens}


def asks_singly(source: Sampled) -> bool:
    """Whether a source is asked once a sample, as far as that is known before it answers: `transformers serve` ignores n."""
    ignores_n = isinstance(source, ServeSource) and source.engine == "transformers"
    return source.request == "single" or "n" in source.omit or (source.request == "auto" and ignores_n)


def _check(answer: Any) -> None:
    """A chat completion has a list of choices, each an object; anything else is a malformed body."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError("not a chat completion")


def _share(total: int | None, sizes: list[int]) -> list[int | None]:
    """A whole number shared out by sizes; the sum stays exact."""
    if total is None:
        return [None] * len(sizes)
    shares, left = list[int | None](), sum(sizes)
    for at, size in enumerate(sizes, start=1):
        share = total if at == len(sizes) else round(total * size / left) if left else 0
        shares.append(share)
        total, left = total - share, left - size
    return shares


def reasoning_tokens(answer: dict[str, Any]) -> int | None:
    """The tokens of thoughts, where the server's `usage` tells them apart; None where it does not, or counts none."""
    usage = answer.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    count = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None
