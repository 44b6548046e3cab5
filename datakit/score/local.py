"""The inside of the score stage for models on this machine: missing conversations in chunks, one worker per device.

Memory holds no more than a few chunks and the ids of one share of the prompts, however many rows there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

from datakit.engine.local import LocalEngine
from datakit.engine.protocol import Engine, Engines, Result, Work, Worker
from datakit.errors import WorkerError
from datakit.recipe import LocalReward
from datakit.rewards import all_devices, checking_worker, scoring_worker
from datakit.rewards.judges import judge_name
from datakit.rewards.selfcheck import Findings
from datakit.score.missing import (
    conversations,
    stream_missing,
)
from datakit.store import Run
from datakit.tables import Row, Rows, failure_row

STORE_ROWS = 256  # store after this many results
STORE_EVERY_S = 1.0  # or after this many seconds
HOPELESS = 256  # failures of the model itself in a row after which it, or its device, counts as broken
MODEL_FAULTS = ("model_error", "crash")
PASSING = ("out_of_memory", "model_error")  # errors that may not occur on another machine


class Chunk(NamedTuple):
    """Rows for `scores` and `failures`, and a note on progress for the display."""

    scores: Rows
    failures: Rows
    note: str


def score_here(run: Run, reward: LocalReward, retry_failures: bool, engines: Engines) -> Generator[Chunk, None, None]:
    """Score everything that the judge has not scored, with one worker on each of the recipe's devices."""
    judge = judge_name(reward)
    batches = map(conversations, stream_missing(run, judge, retry_failures))
    work = Work(len(all_devices(reward.devices)), gpu=_gpu(reward.devices))
    with closing(_work(reward, partial(scoring_worker, reward), batches, engines.engine(work))) as results:
        for chunk in chunks(results, judge):
            yield chunk._replace(note=", ".join(filter(None, (chunk.note, engines.note))))


def _gpu(devices: list[str]) -> Literal["no", "if there", "must"]:
    """Return if a worker on a cluster takes a GPU, from the recipe's devices; the cluster decides which one."""
    if not devices:
        return "if there"
    return "no" if all(name.startswith("cpu") for name in devices) else "must"


def self_check(reward: LocalReward) -> Iterator[tuple[str, Findings]]:
    """Run the reward model's self-check on each of its devices; yield (device, findings)."""
    devices = all_devices(reward.devices)
    start = partial(checking_worker, reward, devices)
    with closing(_work(reward, start, [[{"device": name}] for name in devices], LocalEngine(len(devices)))) as results:
        for result in results:
            findings = result.value or {"differences": [f"the check was ended: {result.message}"], "notes": []}
            yield result.row["device"], Findings(**findings)


def _work(
    reward: LocalReward, start: Callable[[], Worker], batches: Iterable[Rows], engine: Engine
) -> Generator[Result, None, None]:
    """Yield the workers' results. An error that no check foresaw also names the model."""
    try:
        with closing(engine.map(start, batches, None)) as results:
            yield from results
    except WorkerError as error:
        raise WorkerError(f"score.model: {reward.model} cannot be used: {error}") from error


@dataclass
class TokenMeter:
    """Tokens per second. Loading the model does not count."""

    tokens: int = 0
    began_at: float | None = None

    def read(self, result: Result) -> None:
        """Count the tokens of a result."""
        now = time.monotonic()
        if self.began_at is None:
            self.began_at = now - result.duration_s
        self.tokens += (result.value or {}).get("n_tokens") or 0

    def __str__(self) -> str:
        seconds = time.monotonic() - (self.began_at or 0.0)
        return f"{self.tokens / seconds:,.0f} tokens/s" if self.began_at is not None and seconds > 0 else ""


@dataclass
class _Pending:
    scores: Rows = field(default_factory=list)
    failures: Rows = field(default_factory=list)
    since: float | None = None

    def add(self, scored: bool, row: Row) -> None:
        self.since = self.since or time.monotonic()
        (self.scores if scored else self.failures).append(row)

    def full(self) -> bool:
        late = self.since is not None and time.monotonic() - self.since > STORE_EVERY_S
        return late or len(self.scores) + len(self.failures) >= STORE_ROWS


def chunks(results: Iterable[Result], judge: str) -> Iterator[Chunk]:
    """Yield results as table rows, one for each response of a conversation, a few hundred at a time.

    Raises WorkerError after HOPELESS conversations in a row on which the model failed. Before that error, and before a signal's
    exception, the finished rows are yielded.
    """
    pending, meter, n_failed = _Pending(), TokenMeter(), 0
    try:
        for result in results:
            meter.read(result)
            n_failed = n_failed + 1 if (result.value or {}).get("error", "crash") in MODEL_FAULTS else 0
            if n_failed == HOPELESS:
                message = (result.value or {}).get("message") or result.message
                raise WorkerError(f"{judge} failed on {HOPELESS} conversations in a row; the last: {message}")
            for response_id in result.row["response_ids"]:
                pending.add(*_table_row(result, response_id, judge))
            if pending.full():
                ready, pending = pending, _Pending()  # yielded once, even if a signal arrives now
                yield Chunk(ready.scores, ready.failures, str(meter))
    except (WorkerError, KeyboardInterrupt, SystemExit):  # a signal raises the latter two
        yield Chunk(pending.scores, pending.failures, str(meter))
        raise
    if pending.scores or pending.failures:
        yield Chunk(pending.scores, pending.failures, str(meter))


def _table_row(result: Result, response_id: str, judge: str) -> tuple[bool, Row]:
    value = result.value or {"score": None, "error": result.fault, "message": result.message}
    if value["score"] is None:
        permanent = result.fault is None and value["error"] not in PASSING
        return False, failure_row("score", response_id, judge, value["error"], value["message"], permanent=permanent)
    columns = ("score", "objectives", "n_tokens_cut")
    return True, {"response_id": response_id, "judge": judge} | {name: value[name] for name in columns}
