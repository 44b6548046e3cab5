"""Requests to one model over its replicas: bounded, retried, and stopped where the source cannot be used.

A request gets a place at the replica with the least to do, when there is one: so a slow replica does not hold the others. What
is transient is asked again, on another replica first. An outage costs no attempt: requests wait until a replica is back, and
the source is given up when none has answered for `patience_s`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from datakit.client.faults import Drained, Fault, RequestFailed
from datakit.client.replica import Replica, backoff
from datakit.client.turns import Turn, Turns
from datakit.errors import SourceStopped
from datakit.progress import Progress, ReplicaProgress

Item = TypeVar("Item")
ATTEMPTS = {"broken": 6, "overload": 20, "slow": 3}
FIRST_PATIENCE_S = 25.0  # for a source that has never answered
REFUSED_ALIKE = 20  # so many requests refused in the same words before any was answered,
REFUSED = 500  # or in any words: nothing new is sent until all that were sent have ended
PATIENCE_AFTER = 20  # failures without an answer between them
WATCH_EVERY_S = 2.0
QUIET_S = 5.0  # a replica with requests on their way that is silent for so long is probed
MISSES = 2  # probes without an answer, one after the other: it hangs
AGAIN = "then build again: what was received is stored"


class Answer(NamedTuple):
    """The JSON of an answer, and the seconds from sending to the last byte."""

    content: Any
    latency_s: float


class Client:
    """JSON requests to one model. Use as `async with`."""

    def __init__(
        self,
        model: str,
        base_urls: Sequence[str],
        key: str | None,
        max_in_flight: int,
        timeout_s: float,
        patience_s: float = 900.0,
        proven: bool = False,
        trouble: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`max_in_flight` bounds each URL. `proven`: the source has answered before. `trouble`: why it will never come back."""
        self.model = model
        self.replicas = [Replica(url, key, max_in_flight, timeout_s) for url in base_urls]
        self.capacity = max_in_flight * len(self.replicas)
        self.patience_s = patience_s
        self.answered = proven
        self.retries_refused = False
        """Whether it is known that requests were refused before: then that all are says nothing of the source."""
        self._answered_now = False
        self.requests = 0
        self.retries = 0
        self._key = key
        self._trouble = trouble
        self._heard_at = time.monotonic()
        self._refused: Counter[str] = Counter()  # by what was said, until something is answered
        self._doubt = ""  # why the source is stopped where nothing that is on its way is answered
        self._failed = 0  # attempts since the last answer
        self.last_fault = "no answer"
        self._stopped: SourceStopped | None = None
        self._draining = asyncio.Event()
        self._turns = Turns(self.replicas)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Client:
        self._heard_at = time.monotonic()
        for replica in self.replicas:
            self._start(self._watch(replica))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for replica in self.replicas:
            await replica.close()

    def drain(self) -> None:
        """Send nothing more: whoever waits for a place gets Drained. What is on its way may still be answered."""
        self._draining.set()
        self._turns.close()

    async def post(self, path: str, body: dict[str, Any], check: Callable[[Any], None]) -> Answer:
        """The answer to one request. `check` raises ValueError for a body that is none.

        Raises RequestFailed, SourceStopped, Drained.
        """
        turn = self._turns.join()
        try:
            return await self._ask(turn, path, json.dumps(body).encode(), check)
        finally:
            self._turns.leave(turn)
            if self._turns.holding and not self._turns.n_begun:
                self._end(self._doubt)

    async def work_through(self, items: Iterator[Item], work: Callable[[Item], Coroutine[Any, Any, None]]) -> None:
        """Do the work of every item, as many at a time as there may be requests; items are read lazily.

        Ends early once the client is drained. Raises what `work` raises, but for Drained; from that moment nothing is sent.
        """

        async def take() -> None:
            try:
                for item in items:
                    await work(item)
            except Drained:
                return
            except BaseException:
                self.drain()  # before whoever has the place next: what is answered now may be lost
                raise

        # More than can be in flight: some wait before they ask again.
        workers = [asyncio.create_task(take()) for _ in range(self.capacity * 5 // 4 + 8)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def check_answered(self, failed: int, what: str) -> None:
        """SourceStopped where so many requests (`what`: samples, answers) failed and none was ever answered."""
        if failed and not self.answered:
            raise SourceStopped(
                f"{self.model}: answered none of {failed:,} {what} ({self.last_fault}); "
                f"fix the server or its settings in the recipe, {AGAIN}"
            )

    def progress(self, done: int, failed: int, prompt_tokens: int, completion_tokens: int) -> Progress:
        """Whoever uses the client says what was done; may be called from another thread."""
        replicas = (
            ReplicaProgress(replica.url, replica.state, replica.in_flight, replica.window.size, replica.waiting)
            for replica in self.replicas
        )
        return Progress(done, failed, self.requests, self.retries, prompt_tokens, completion_tokens, tuple(replicas))

    async def _ask(self, turn: Turn, path: str, data: bytes, check: Callable[[Any], None]) -> Answer:
        """One request, asked until it is answered or given up."""
        counts = dict.fromkeys(ATTEMPTS, 0)
        while True:
            replica = await self._turns.place(turn)
            if replica is None:
                raise self._stopped or Drained
            try:
                return await self._once(replica, path, data, check)
            except Fault as fault:
                failure, charged = fault, replica.up and fault.meaning in counts
            await self._learn(replica, failure)
            attempts = sum(counts.values())
            if failure.meaning == "refused":
                raise RequestFailed(failure.error, self.last_fault, attempts + 1, permanent=True)
            if charged:  # an outage is nobody's attempt
                counts[failure.meaning] += 1
                attempts += 1
                if counts[failure.meaning] >= ATTEMPTS[failure.meaning]:
                    raise RequestFailed(failure.error, self.last_fault, attempts, permanent=False)
            self.retries += 1
            again = replica in turn.tried
            turn.tried.add(replica)
            if again or len(turn.tried) == len(self.replicas):
                turn.tried.clear()
                if failure.meaning != "away":  # there is no place until the outage is over
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._draining.wait(), backoff(attempts))

    async def _once(self, replica: Replica, path: str, data: bytes, check: Callable[[Any], None]) -> Answer:
        """One attempt, in the place that it has."""
        started = time.monotonic()
        self.requests += 1
        try:
            raw = await replica.post(path, data)
            try:
                content = json.loads(raw)
                check(content)
            except (ValueError, RecursionError) as error:
                said = replica.hide(raw)[:150].decode("utf-8", "replace")
                raise Fault("broken", "malformed", f"{str(error)[:100]}: {said!r}") from error
            self._heard_at = now = time.monotonic()
            self.answered = self._answered_now = True
            self._failed, self._turns.holding = 0, False
            replica.answered(now)
            return Answer(content, now - started)
        except Fault as fault:
            fault.message = self._hide(fault.message)
            fault.sent_at = started
            if fault.meaning == "unusable" and fault.error != "http_401" and replica.has_answered:
                fault.meaning = "broken"  # it has answered others: this is about one request, or will pass
            raise
        finally:
            self._turns.give_back(replica)

    # ------------------------------------------------------------------------------------------- what a failure means

    async def _learn(self, replica: Replica, fault: Fault) -> None:
        """What one failure says of its replica and of the source. Raises SourceStopped where it cannot be used."""
        self.last_fault = f"{replica.url}: {fault.message}"
        if fault.meaning == "refused":
            self._refuse(replica, fault)
        if fault.meaning == "refused" or not replica.up:
            return
        others_answer = any(other.has_answered for other in self.replicas if other is not replica)
        if fault.meaning == "unusable" and not others_answer:
            self._stop(f"{self.model} at {replica.url}: the server {fault.message}, {AGAIN}")
        self._failed += 1
        if replica.failed(fault):
            await replica.go_down()
            self._start(self._revive(replica))
        elif fault.meaning == "overload" and (pause := replica.overloaded(fault, fault.sent_at)):
            seconds = min(pause, self.patience_s)
            replica.rest(seconds)
            asyncio.get_running_loop().call_later(seconds + 0.001, self._turns.hand_out)
        if self._failed >= PATIENCE_AFTER:
            self._check_patience()

    def _refuse(self, replica: Replica, fault: Fault) -> None:
        """One request was refused. Where all are, it is the source; what is on its way may be answered yet.

        What is said in other words each time (so many tokens) is rather about the requests.
        """
        if self._answered_now or self.retries_refused:
            return
        self._refused[fault.message] += 1
        if self._refused[fault.message] >= REFUSED_ALIKE or self._refused.total() >= REFUSED:
            self._turns.holding = True
            self._doubt = (
                f"{self.model} at {replica.url}: refused the first {self._refused.total()} requests ({fault.message}); "
                f"check model, sampling and extra_body of this source, {AGAIN}"
            )

    def _check_patience(self) -> None:
        """Stop where nothing has answered for too long."""
        if (trouble := self._trouble()) is not None:
            self._stop(f"{self.model}: {trouble}")
        patience = self.patience_s if self.answered else min(FIRST_PATIENCE_S, self.patience_s)
        if time.monotonic() - self._heard_at > patience:
            self._stop(
                f"{self.model}: no answer for {patience:.0f} s ({self.last_fault}); "
                f"start or fix the server, or correct base_urls, {AGAIN}"
            )

    def _stop(self, message: str) -> None:
        """From now on every request raises this, the one at hand too."""
        raise self._end(message)

    def _end(self, message: str) -> SourceStopped:
        """From now on every request raises what this gives."""
        self._stopped = self._stopped or SourceStopped(self._hide(message))
        self._turns.close()
        return self._stopped

    def _hide(self, text: str) -> str:
        """Servers repeat keys in what they say."""
        return text.replace(self._key, "[the key]") if self._key else text

    # ------------------------------------------------------------------------------------------- beside the requests

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _revive(self, replica: Replica) -> None:
        """Probe a replica that is down until it answers, or until patience ends."""
        try:
            while True:
                if not any(other.up for other in self.replicas):
                    self._check_patience()
                await asyncio.sleep(replica.next_pause())
                if await replica.is_alive():
                    replica.come_back()
                    self._turns.hand_out()
                    return
        except SourceStopped:
            return  # whoever waits for a place raises it

    async def _watch(self, replica: Replica) -> None:
        """Read the server's queue where it shows one; find out a replica that hangs."""
        has_queue, misses = True, 0
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if not replica.up or not (replica.has_answered or replica.in_flight):
                continue
            if replica.has_answered and has_queue:
                has_queue = await replica.read_queue()
            silent = replica.in_flight and time.monotonic() - replica.heard_at > QUIET_S
            misses = misses + 1 if silent and not await replica.is_alive() else 0
            if misses >= MISSES and replica.up:
                self.last_fault = f"{replica.url}: hangs (takes requests, and neither answers them nor says that it is alive)"
                await replica.go_down()
                self._start(self._revive(replica))


def count_of(answer: dict[str, Any], name: str) -> int | None:
    """A whole number of an answer's `usage`, or None where the server says something else there."""
    usage = answer.get("usage")
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
