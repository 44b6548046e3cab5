"""The inside of the score stage for judges behind URLs: missing conversations are sent, and each score is stored at once.

It ends when everything is answered, or early after storing all answers that were on their way: on Ctrl-C or SIGTERM, and when
the judge cannot be used.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from datakit.client import Client, Drain, Drained, RequestFailed
from datakit.errors import BudgetSpent, SourceStopped
from datakit.progress import Progress
from datakit.recipe import LLMJudge, RemoteReward
from datakit.rewards import RemoteModel, Score, client_of, remote_model
from datakit.rewards.judges import judge_name
from datakit.rewards.protocol import no_score
from datakit.rewards.selfcheck import CONVERSATIONS, Findings, compare, describe
from datakit.score.local import Chunk
from datakit.score.missing import conversation, stream_missing
from datakit.signals import Signals
from datakit.store import Run
from datakit.tables import Messages, Row, failure_row

TOO_LONG = re.compile(r"maximum (context|model) length|longer than the model's context length")  # vLLM, OpenAI; SGLang
NOISY = 0.1
"""The mean change between two gradings of the same answers, as a share of the scale, above which an LLM judge gets a
warning."""
SERVED_TOLERANCE = 0.02
"""How far a served score may change with the other conversations in flight, times max(1, score): servers compute in bfloat16,
in batches of their own making."""


class Counting(Protocol):
    """A judge that counts its tokens."""

    prompt_tokens: int
    completion_tokens: int


@dataclass
class RemoteScoring:
    """One judge and its progress."""

    run: Run
    reward: RemoteReward
    retry_failures: bool
    drain: Drain
    store: Callable[[Chunk], None]
    """Stores rows; they are on disk when it returns."""
    over_budget: Callable[[int, int], str | None]
    """See one_judge.score_missing."""
    done: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    client: Client = field(init=False)
    tokens_of: Counting | None = field(default=None, init=False)
    """The judge, once it is being asked."""
    _spent: str | None = field(default=None, init=False)

    def progress(self) -> Progress:
        """Return its progress so far; may be called from another thread."""
        if self.tokens_of is None:
            return Progress()
        return self.client.progress(self.done, self.failed, self.tokens_of.prompt_tokens, self.tokens_of.completion_tokens)

    def score(self, signals: Signals) -> None:
        """Ask for everything that is missing. Raises SourceStopped, BudgetSpent, and what a signal raises."""
        with signals.draining(self.drain.soon):
            asyncio.run(self._score())

    async def _score(self) -> None:
        judge = judge_name(self.reward)
        if (said := self.over_budget(0, 0)) is not None:
            raise BudgetSpent(said)
        proven = self._has_answered(judge)
        self.client = client_of(self.reward, self.reward.base_urls, proven)
        self.client.retries_refused = proven and self.retry_failures
        async with self.client, self.drain:
            task = asyncio.create_task(self._work(judge))
            self.drain.clients.append(self.client)
            self.drain.tasks.append(task)
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
        if self._spent is not None:
            raise BudgetSpent(self._spent)

    def _has_answered(self, judge: str) -> bool:
        return self.run.query("SELECT 1 FROM scores WHERE judge = $judge LIMIT 1", {"judge": judge}).height > 0

    async def _work(self, judge: str) -> None:
        self.tokens_of = model = remote_model(self.reward, self.client)
        try:
            await model.check()
        except Drained:
            return
        with closing(stream_missing(self.run, judge, self.retry_failures)) as frames:
            rows = (conversation(row) for frame in frames for row in frame.iter_rows(named=True))
            await self.client.work_through(rows, lambda row: self._score_row(model, row, judge))
        self.client.check_answered(self.failed, "answers")

    async def _score_row(self, model: RemoteModel, row: Row, judge: str) -> None:
        """Score one conversation; store the score, or the failure, for each of its responses."""
        try:
            score = await model.score(row["messages"])
            error, message, attempts, permanent = score.error, score.message, 1, True
        except RequestFailed as failure:
            score, error, message = None, "too_long" if is_too_long(failure) else failure.error, failure.message
            attempts, permanent = failure.attempts, failure.permanent and self.client.answered
        if score is not None and error is None:
            columns = {"judge": judge, "score": score.score}
            chunk = Chunk([{"response_id": key} | columns for key in row["response_ids"]], [], self._note())
        else:
            failed = [
                failure_row("score", key, judge, error or "", message, attempts, permanent) for key in row["response_ids"]
            ]
            chunk = Chunk([], failed, self._note())
        self._store(chunk)

    def _store(self, chunk: Chunk) -> None:
        self.store(chunk)
        self.done += len(chunk.scores)
        self.failed += len(chunk.failures)
        if self._spent is None and (said := self._over_budget()) is not None:
            self._spent = said
            self.drain.begin("the budget is spent")

    def _over_budget(self) -> str | None:
        took = self.tokens_of
        return None if took is None else self.over_budget(took.prompt_tokens, took.completion_tokens)

    def _note(self) -> str:
        model = self.tokens_of
        if model is None:
            return ""
        given = f", {model.completion_tokens:,} out" if model.completion_tokens else ""
        return f"{model.prompt_tokens:,} tokens in{given}"


def self_check(reward: RemoteReward) -> Iterator[tuple[str, Findings]]:
    """Check each of the judge's URLs with the self-check's conversations, one by one and all together; yield (url, findings).

    A served model must give the same scores both ways, and at every URL. An LLM judge must be readable; its scores may vary.
    """
    first: list[Score] = []
    for url in reward.base_urls:
        try:
            alone, together, refused = asyncio.run(_check_at(reward, url))
        except SourceStopped as stopped:
            yield url, Findings([str(stopped)], [])
            continue
        first = first or alone
        yield url, _findings(reward, first, alone, together) if refused is None else Findings([refused], [])


async def _check_at(reward: RemoteReward, url: str) -> tuple[list[Score], list[Score], str | None]:
    """Return the scores one by one, those all together, and the reason if there are none."""
    async with client_of(reward, [url], proven=False) as client:
        model = remote_model(reward, client)
        await model.check()
        try:
            alone = [await _score_that_fits(model, messages) for messages in CONVERSATIONS]
            return alone, list(await asyncio.gather(*(_score_that_fits(model, messages) for messages in CONVERSATIONS))), None
        except RequestFailed as failure:
            return [], [], f"{failure.error}: {failure.message}"


async def _score_that_fits(model: RemoteModel, messages: Messages) -> Score:
    """Return the score, or the error `too_long`: some of the self-check's conversations do not fit a small model."""
    try:
        return await model.score(messages)
    except RequestFailed as failure:
        if is_too_long(failure):
            return no_score("too_long", failure.message)
        raise


def is_too_long(failure: RequestFailed) -> bool:
    """Return whether the server refused a conversation for its length."""
    return failure.error == "http_400" and TOO_LONG.search(failure.message) is not None


def _findings(reward: RemoteReward, first: list[Score], alone: list[Score], together: list[Score]) -> Findings:
    pairs = [(a.score, b.score) for a, b in zip(alone, together, strict=True) if a.score is not None and b.score is not None]
    moved = describe([abs(a - b) for a, b in pairs]) if pairs else "none could be compared"
    notes = [f"{len(pairs)} of {len(alone)} conversations scored, alone and together: scores differ by {moved}"]
    if len({a for a, _ in pairs}) < 2:
        errors = next((f" ({score.error}: {score.message})" for score in alone if score.error), "")
        return Findings(
            [f"of {len(alone)} different conversations {len(pairs)} have a score, and no two differ{errors}"], notes
        )
    if not reward.repeats:
        return Findings([], notes, [said] if (said := _noise(reward, pairs)) else [])
    found = [*compare("asked together", together, alone, SERVED_TOLERANCE)]
    found += compare("at this URL, not the first one,", alone, first, SERVED_TOLERANCE)
    return Findings(found, notes)


def _noise(reward: RemoteReward, pairs: list[tuple[float, float]]) -> str | None:
    """Return a warning if an LLM judge grades the same answers too differently when it is asked again, else None."""
    if not isinstance(reward, LLMJudge):
        return None
    width = reward.scale[1] - reward.scale[0]
    moved = sum(abs(a - b) for a, b in pairs) / len(pairs)
    if moved < NOISY * width:
        return None
    return (
        f"asked again, it moves the scores of the same answers by {moved:.2g} on average, {moved / width:.0%} of its scale; a "
        "margin no larger than that says nothing: give it sampling: {temperature: 0.0}, a clearer rubric, or take another judge"
    )
