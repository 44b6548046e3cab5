"""The request for a sample, and the rows that an answer makes: the same for single requests, batches and batches by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datakit.client import RequestFailed, count_of, is_unfinished, is_withheld, read_content
from datakit.recipe import Requested, Sampled
from datakit.tables import Messages, Row, Rows
from datakit.tables.answers import join
from datakit.tokens import SampledReader

CONTINUED = {"continue_final_message": True, "add_generation_prompt": False}
"""The fields by which vLLM, SGLang and llama.cpp continue the last message; vLLM refuses the first without the second."""


class Withheld(RequestFailed):
    """A request whose answers the server withheld: `n` of its samples failed; those that the server ignored did not."""

    def __init__(self, n: int) -> None:
        super().__init__("content_filter", "the server withheld the answer (content filter or refusal)", 1, permanent=True)
        self.n = n


@dataclass(frozen=True)
class Manner:
    """Sampling settings: the columns that they set in responses, and the fields of a request."""

    of_source: Row
    settings: Row

    @classmethod
    def of(cls, source: Sampled) -> Manner:
        settings = source.settings
        of_source = {"model": source.model, "revision": source.revision, "sampling": source.sampling_text}
        return cls(of_source, settings if source.prefill is None else CONTINUED | settings)

    @property
    def identity(self) -> tuple[str, str | None, str]:
        """model, revision, sampling: the identity of the responses to such requests."""
        model, revision, sampling = self.of_source.values()
        return model, revision, sampling


@dataclass
class Exchange:
    """The requests to one source model and its answers. Counts the tokens of what it has read."""

    source: Sampled
    reader: SampledReader | None = None
    """Reads the distributions that come with samples; a row then has one as `distribution`."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        self.manner = Manner.of(self.source.ways[0].source)
        self._without_seed = isinstance(self.source, Requested) and "seed" in self.source.omit

    def body(self, messages: Messages, n: int, seed: int, manner: Manner | None = None) -> dict[str, Any]:
        """Return a request for n samples, with the source's usual settings or with others."""
        messages = self.source.asked(messages)
        if self.source.prefill is not None:
            messages = [*messages, {"role": "assistant", "content": self.source.prefill}]
        body: dict[str, Any] = {
            "model": self.source.requested_model,
            "messages": messages,
            "seed": seed,
            **(manner or self.manner).settings,
            **(self.reader.fields if self.reader is not None else {}),
        }
        return body | {"n": n} if n > 1 else body

    def rows(
        self, answer: dict[str, Any], wanted: int, seed: int, latency_s: float | None, manner: Manner | None = None
    ) -> Rows:
        """Return a row for each choice that has an answer, at most `wanted`; the caller adds the ids.

        `latency_s`: None if nobody waited for it. Raise Withheld if the server withholds all answers.
        """
        choices = answer["choices"][:wanted]
        rows = [row for choice in choices if (row := self._row(choice, seed, latency_s, manner or self.manner)) is not None]
        if not rows and any(map(is_withheld, choices)):
            raise Withheld(sum(map(is_withheld, choices)))
        self._count_tokens(rows, answer)
        return rows

    def _row(self, choice: dict[str, Any], seed: int, latency_s: float | None, manner: Manner) -> Row | None:
        """Return a row, or None if there is no answer: neither text nor thought, or one that is withheld or was broken off."""
        content = read_content(choice)
        if not (content.text or content.thinking) or is_withheld(choice) or is_unfinished(choice):
            return None
        prefill = None if manner.settings.get("echo") else self.source.prefill  # the server has put it there itself
        text = content.text if prefill is None or not content.text else prefill + content.text
        parts = join(text, content.thinking, content.form, forced=self.source.force_reasoning)
        row = {
            **manner.of_source,
            "seed": None if self._without_seed else seed,
            "text": parts.text,
            "reasoning": parts.reasoning,
            "reasoning_form": parts.form,
            "finish_reason": reason if isinstance(reason := choice.get("finish_reason"), str) else None,
            "latency_s": latency_s,
        }
        if self.reader is not None and parts.reasoning is None and parts.text:  # behind a thought the token positions differ
            read = self.reader.read(choice, parts.text)
            row["distribution"] = None if read is None else {**self.reader.key, **read}
        return row

    def _count_tokens(self, rows: Rows, answer: dict[str, Any]) -> None:
        """Count tokens. `usage` is of a whole request: its completion tokens are divided by characters; the sum stays exact."""
        asked, total = count_of(answer, "prompt_tokens"), count_of(answer, "completion_tokens")
        self.prompt_tokens += asked or 0
        self.completion_tokens += total or 0
        thoughts = [len(row["reasoning"] or "") for row in rows]
        sizes = [n + len(row["text"] or "") for n, row in zip(thoughts, rows, strict=True)]
        shared = zip(rows, _share(total, sizes), _share(reasoning_tokens(answer), thoughts), strict=True)
        for row, n_tokens, n_reasoning_tokens in shared:
            row |= {"n_prompt_tokens": asked, "n_tokens": n_tokens, "n_reasoning_tokens": n_reasoning_tokens}


def check_answer(answer: Any) -> None:
    """Raise ValueError unless the answer is a chat completion: it has a list of choices, each an object."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError("not a chat completion")


def _share(total: int | None, sizes: list[int]) -> list[int | None]:
    """Divide a whole number in proportion to sizes; the sum stays exact."""
    if total is None:
        return [None] * len(sizes)
    shares, left = list[int | None](), sum(sizes)
    for at, size in enumerate(sizes, start=1):
        share = total if at == len(sizes) else round(total * size / left) if left else 0
        shares.append(share)
        total, left = total - share, left - size
    return shares


def reasoning_tokens(answer: dict[str, Any]) -> int | None:
    """Return the tokens of thoughts; None if the server's `usage` does not tell them apart, or counts none."""
    usage = answer.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    count = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None
