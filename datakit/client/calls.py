"""Requests to one model over its replicas: bounded, retried, and stopped where the source cannot be used.

A request gets a place at the replica with the least to do, when there is one: so a slow replica does not hold the others. What
is transient is asked again, on another replica first. An outage or an overload costs no attempt: requests wait until a replica
has time for them, and the source is given up when none has answered for `patience_s`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from datakit.client.access import Access
from datakit.client.faults import Drained, Fault, RequestFailed, of_answer
from datakit.client.models import what_is_served
from datakit.client.replica import Replica, backoff
from datakit.client.turns import Turn, Turns
from datakit.errors import SOME_RECIPE, Origin, SourceStopped
from datakit.progress import Progress, ReplicaProgress

Item = TypeVar("Item")
ATTEMPTS = {"broken": 6, "slow": 3, "forbidden": 3}
OVERLOADS = 20  # so many of one request, and for patience_s, while others are answered: it will never be its turn
FORBIDDEN = 10  # so many requests one after the other, of a source that answered before: it is the key
FIRST_PATIENCE_S = 25.0  # for a source that has never answered
NOTHING_THERE_S = 3.0  # where nothing listens at any of its URLs
REFUSED_ALIKE = 20  # so many requests refused in the same words before any was answered,
REFUSED = 500  # or in any words: nothing new is sent until all that were sent have ended
PATIENCE_AFTER = 20  # failures without an answer between them
WATCH_EVERY_S = 2.0
QUIET_S = 5.0  # a replica with requests on their way that is silent for so long is probed
MISSES = 2  # probes without an answer, one after the other: it hangs
AGAIN = "then {again}: what was received is stored"


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
        access: Access,
        *,
        max_in_flight: int,
        timeout_s: float,
        patience_s: float = 900.0,
        proven: bool = False,
        trouble: Callable[[], str | None] | None = None,
        origin: Origin = SOME_RECIPE,
        omit: Collection[str] = (),
    ) -> None:
        """`max_in_flight` bounds each URL. `proven`: the source has answered before. `trouble`: why a server of ours will never
        come back. `origin`: where the section was written. `omit`: fields that no request has."""
        self.model = model
        self.replicas = [Replica(url, access, max_in_flight, timeout_s) for url in base_urls]
        self.capacity = max_in_flight * len(self.replicas)
        self.patience_s = patience_s
        self.answered = proven
        self.retries_refused = False
        """Whether it is known that requests were refused before: then that all are says nothing of the source."""
        self._answered_now = False
        self.requests = 0
        self.retries = 0
        self._access = access
        self._trouble = trouble
        self._origin = origin
        self._again = AGAIN.format(again=origin.again)
        self._omit = frozenset(omit)
        self._heard_at = time.monotonic()
        self._refused: Counter[str] = Counter()  # by what was said, until something is answered
        self._doubt = ""  # why the source is stopped where nothing that is on its way is answered
        self._failed = 0  # attempts since the last answer
        self._forbidden: set[int] = set()  # requests since the last answer, by their turn's number
        self._crowded = False  # whether it said last that it has too much to do: it is there
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

    @property
    def in_flight(self) -> int:
        """Requests on their way now, over all replicas."""
        return sum(replica.in_flight for replica in self.replicas)

    def drain(self) -> None:
        """Send nothing more: whoever waits for a place gets Drained. What is on its way may still be answered."""
        self._draining.set()
        self._turns.close()

    async def post(self, path: str, body: dict[str, Any], check: Callable[[Any], None]) -> Answer:
        """The answer to one request. `check` raises ValueError for a body that is none.

        Raises RequestFailed, SourceStopped, Drained.
        """
        turn = self._turns.join()
        if self._omit:
            body = {name: value for name, value in body.items() if name not in self._omit}
        try:
            return await self._ask(turn, path, json.dumps(body).encode(), check)
        finally:
            self._turns.leave(turn)
            if self._turns.holding and not self._turns.n_begun:
                self._end(self._doubt)

    async def work_through(self, items: Iterator[Item], work: Callable[[Item], Coroutine[Any, Any, None]]) -> None:
        """Do the work of every item, as many at a time as there may be requests; items are read lazily.

        Ends early once the client is drained. Raises what `work` raises, but for Drained; from that moment nothing is sent.
        Where the source is stopped, what is on its way is waited for: it may be paid for.
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
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            if any(isinstance(error, SourceStopped) for error in _errors(workers)):
                await asyncio.wait(workers)
            if errors := _errors(workers):
                raise next((error for error in errors if not isinstance(error, SourceStopped)), errors[0])
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def check_answered(self, failed: int, what: str) -> None:
        """SourceStopped where so many requests (`what`: samples, answers) failed and none was ever answered."""
        if failed and not self.answered:
            raise SourceStopped(
                f"{self.model}: answered none of {failed:,} {what} ({self.last_fault}); "
                f"fix the server or its settings ({self._origin.settings}), {self._again}"
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
        overloads: list[float] = []  # when it met them
        while True:
            replica = await self._turns.place(turn)
            if replica is None:
                raise self._stopped or Drained
            try:
                return await self._once(replica, path, data, check)
            except Fault as fault:
                failure, charged = fault, replica.up and fault.meaning in counts
            field = self._refused_field(failure, data)
            await self._learn(replica, failure, turn, field)
            attempts = sum(counts.values())
            if failure.meaning == "refused":
                raise RequestFailed(failure.error, self.last_fault, attempts + 1, permanent=True, field=field)
            if charged:  # an outage is nobody's attempt
                counts[failure.meaning] += 1
                attempts += 1
            elif failure.meaning == "overload":  # nor is an overload
                overloads.append(time.monotonic())
            if (charged and counts[failure.meaning] >= ATTEMPTS[failure.meaning]) or self._is_hopeless(overloads):
                raise RequestFailed(failure.error, self.last_fault, attempts + len(overloads), permanent=False)
            self.retries += 1
            again = replica in turn.tried
            turn.tried.add(replica)
            if again or len(turn.tried) == len(self.replicas):
                turn.tried.clear()
                if failure.meaning != "away":  # there is no place until the outage is over
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._draining.wait(), backoff(attempts + len(overloads)))

    async def _once(self, replica: Replica, path: str, data: bytes, check: Callable[[Any], None]) -> Answer:
        """One attempt, in the place that it has."""
        started = time.monotonic()
        try:
            raw, headers = await replica.post(path, data)
            try:
                content = json.loads(raw)
                if (fault := of_answer(content, headers, data)) is not None:
                    raise fault
                check(content)
            except (ValueError, RecursionError) as error:
                said = self._access.hide(raw)[:150].decode("utf-8", "replace")
                raise Fault("broken", "malformed", f"{str(error)[:100]}: {said!r}") from error
            self._heard_at = now = time.monotonic()
            self.answered = self._answered_now = True
            self._failed, self._turns.holding, self._crowded = 0, False, False
            if self._forbidden:
                self._forbidden.clear()
            replica.answered(now)
            self.requests += 1
            return Answer(content, now - started)
        except Fault as fault:
            fault.message = self._access.hide_text(fault.message)
            fault.sent_at = started
            if fault.meaning == "unusable" and fault.error != "http_401" and replica.has_answered:
                # It has answered others: this is about one request, or will pass.
                fault.meaning = "forbidden" if fault.error == "http_403" else "broken"
            raise
        finally:
            self._turns.give_back(replica)

    def _is_hopeless(self, overloads: list[float]) -> bool:
        """Whether a request meets nothing but overloads for so long that it is not the others' fault."""
        return len(overloads) >= OVERLOADS and overloads[-1] - overloads[0] > self.patience_s

    def _refused_field(self, fault: Fault, data: bytes) -> str | None:
        """The request's field that the server does not take, as far as it says so; the message then says what to write."""
        if fault.meaning != "refused" or fault.said is None:
            return None
        field = fault.said.refused_field([name for name in json.loads(data) if name not in ("model", "messages")], data)
        if field is not None:
            fault.message += f"; where it does not take {field}, write into {self._origin.settings}: omit: [{field}]"
        return field

    # ------------------------------------------------------------------------------------------- what a failure means

    async def _learn(self, replica: Replica, fault: Fault, turn: Turn, field: str | None) -> None:
        """What one failure says of its replica and of the source. Raises SourceStopped where it cannot be used."""
        self.last_fault = f"{replica.url}: {fault.message}"
        if fault.meaning == "refused" and field != "n":  # whoever is refused n asks one by one
            self._refuse(replica, fault)
        if fault.meaning == "refused" or not replica.up:
            return
        if fault.meaning == "forbidden":
            self._forbid(replica, fault, turn)
        others_answer = any(other.has_answered and not other.locked for other in self.replicas if other is not replica)
        if fault.meaning in ("unusable", "account") and not others_answer:
            if fault.error == "http_404":
                await self._name_models(replica, fault)
            self._stop(f"{self.model} at {replica.url}: the server {fault.message}, {self._again}")
        self._failed += 1
        self._crowded = fault.meaning == "overload" and (fault.error != "http_503" or fault.retry_after_s is not None)
        if replica.failed(fault):
            await replica.go_down()
            self._start(self._revive(replica))
        elif fault.meaning == "overload" and (pause := replica.overloaded(fault, fault.sent_at)):
            seconds = min(pause, self.patience_s)
            replica.rest(seconds)
            asyncio.get_running_loop().call_later(seconds + 0.001, self._turns.hand_out)
        if self._failed >= PATIENCE_AFTER:
            self._check_patience()

    async def _name_models(self, replica: Replica, fault: Fault) -> None:
        """Say what it serves instead. Meanwhile nothing new goes out."""
        self._turns.holding, self._doubt = True, f"{self.model} at {replica.url}: the server {fault.message}, {self._again}"
        known = await replica.models()
        if known and self.model not in known:
            fault.message += f": {self._access.hide_text(what_is_served(self.model, known))}"

    def _forbid(self, replica: Replica, fault: Fault, turn: Turn) -> None:
        """One request was forbidden by a source that answers: a firewall may do so. Where nothing else comes, it is the key."""
        self._forbidden.add(turn.number)
        if len(self._forbidden) >= FORBIDDEN:
            self._stop(f"{self.model} at {replica.url}: the server {fault.message}, {self._again}")

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
                f"check model, sampling and extra_body of this source, {self._again}"
            )

    def _check_patience(self) -> None:
        """Stop where nothing has answered for too long."""
        if self._trouble is not None and (trouble := self._trouble()) is not None:
            self._stop(f"{self.model}: {trouble}")
        nothing_there = self._trouble is None and all(replica.away for replica in self.replicas)
        patience = self.patience_s
        if not (self.answered or self._crowded):
            patience = min(NOTHING_THERE_S if nothing_there else FIRST_PATIENCE_S, patience)
        if time.monotonic() - self._heard_at <= patience:
            return
        if nothing_there and not self.answered:
            said, fix = f"nothing listens at {', '.join(replica.url for replica in self.replicas)}", "start the server"
        else:
            said, fix = f"no answer for {patience:.0f} s", "start or fix the server"
        self._stop(f"{self.model}: {said} ({self.last_fault}); {fix}, or correct {self._origin.url}, {self._again}")

    def _stop(self, message: str) -> None:
        """From now on every request raises this, the one at hand too."""
        raise self._end(message)

    def _end(self, message: str) -> SourceStopped:
        """From now on every request raises what this gives."""
        self._stopped = self._stopped or SourceStopped(self._access.hide_text(message))
        self._turns.close()
        return self._stopped

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


def _errors(tasks: Sequence[asyncio.Task[None]]) -> list[BaseException]:
    """What those that have ended have raised."""
    return [error for task in tasks if task.done() and (error := task.exception()) is not None]


def count_of(answer: dict[str, Any], name: str) -> int | None:
    """A whole number of an answer's `usage`, or None where the server says something else there."""
    usage = answer.get("usage")
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
