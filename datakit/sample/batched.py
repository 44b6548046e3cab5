"""One source through a vendor's batches: missing samples become lines, files, batches; results become responses and failures.

Each batch goes from step to step (store/batches.py), and a step that was begun before looks first for what it may have made. So
a build that is killed anywhere goes on, and every line is paid for once. What runs is never cancelled: it is paid for, and the
next build takes it up. A line that came back without an answer is asked again by the next build.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path

import polars as pl

from datakit.client import BatchClient, BatchState, Drained, Fault, has_no_list
from datakit.errors import BudgetSpent, SourceStopped
from datakit.progress import Progress
from datakit.recipe import EndpointSource
from datakit.sample.exchange import Exchange, Manner
from datakit.sample.harvest import ROWS_AT_A_TIME, Harvest
from datakit.sample.lines import Requests, lines_of, read_id, read_lines
from datakit.sample.one_source import Ask, Store
from datakit.sample.spending import Meter, Spent, identity, spent_at
from datakit.store import Batch, BatchFolder, Run, Sample, load_sql
from datakit.wording import counted

LOST_FILES = 3  # times that a file that was uploaded may be unknown to the vendor


@dataclass
class BatchSampler:
    """The batches of one source."""

    source: EndpointSource
    client: BatchClient
    run: Run
    meter: Meter
    tell: Callable[[str], None]
    """Shows how the batches fare, beside the source."""
    say: Callable[[str], None]
    only_begins: bool = False
    """Whether it ends as soon as the batches run; somebody waits for them later."""
    done: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.source)
        self.folder = BatchFolder(self.run)
        self._manners = {identity(way.source): Manner.of(way.source) for way in self.source.ways}
        self._batches: dict[str, Batch] = {}
        self._seen: dict[str, BatchState] = {}
        self._lost: dict[str, int] = {}
        self._waiting: dict[str, str] = {}  # what keeps a batch from being created, until another one has ended
        self._crowded_since: float | None = None
        self.answered = self.client.answered

    def progress(self) -> Progress:
        """What it has done so far; may be called from another thread."""
        took, running = self.exchange, sum(state.completed for state in list(self._seen.values()))
        n = self.done + self.failed + running
        return Progress(self.done + running, self.failed, n, 0, took.prompt_tokens, took.completion_tokens)

    async def sample(self, asks: Iterable[Ask], store: Store) -> None:
        """Hand response rows and failure rows to `store` as batches end; lines are written before anything is sent.

        Ends early once the client is drained; the batches run on. Raises SourceStopped, BudgetSpent.
        """
        self._begin(asks)
        try:
            while self._batches:
                for name in list(self._batches):
                    await self._go_on(name, store)
                self._show()
                if self.only_begins:
                    return
                self._check_waiting()
                if self._batches:
                    await self.client.pause(self.source.batch.poll_s)
        except Drained:
            if running := [batch.batch_id for batch in self._batches.values() if batch.batch_id]:
                self.say(
                    f"{self.source.model}: {', '.join(running)} runs on; {self.source.origin.again} to store what comes of it"
                )

    def _begin(self, asks: Iterable[Ask]) -> None:
        """The batches of earlier builds that may be paid for, and new ones for what is in none of them.

        Where the source asks some prompts otherwise than others, a batch has those of one manner.
        """
        self.folder.clean()
        for batch in self.folder.notes():
            if batch.source not in self._manners:
                continue
            if batch.step == "written" or (batch.step == "uploaded" and batch.status is not None):
                self.folder.discard(batch)  # nothing of it was ever answered: its lines may be cut otherwise now
            else:
                self._batches[batch.name] = batch
                if batch.may_be_paid:
                    self.meter.take_on(batch.name, self._may_take(batch))
        on_their_way = {key for batch in self._batches.values() for key in self.folder.samples(batch)}
        options = self.source.batch
        limits = (options.max_lines, round(options.max_mb * 1e6))
        for manner, some in groupby(_without(asks, on_their_way), lambda ask: ask.manner or self.exchange.manner):
            lines = lines_of(self.run, self.source, some, options.url)
            for batch in self.folder.write(lines, manner.identity, self._tokens_each(manner), *limits):
                self._batches[batch.name] = batch

    def _tokens_each(self, manner: Manner) -> int | None:
        """What an answer may take: the mean of those that are there, else max_tokens."""
        mean = self.run.query(load_sql("sample/mean_tokens"), manner.of_source)["mean_tokens"][0]
        return manner.settings.get("max_tokens") if mean is None else round(mean)

    def _may_take(self, batch: Batch) -> Spent:
        return spent_at(self.source.price, batch.prompt_tokens, batch.completion_tokens or 0)

    # ---------------------------------------------------------------------------------------------------------- step by step

    async def _go_on(self, name: str, store: Store) -> None:
        """All steps of a batch up to the first wait."""
        if self._batches[name].step in ("written", "uploading"):
            await self.client.patiently(lambda: self._upload(name))
        if self._batches[name].step in ("uploaded", "creating") and self._may_create(name):
            await self.client.patiently(lambda: self._create(name))
        if self._batches[name].step == "running":
            state = await self.client.patiently(lambda: self._look(name))
            if state.refusal is not None:
                self._refuse(name, state.refusal)
            elif state.ended:
                await self._store(name, state, store)

    def _save(self, name: str, **changes: str | None) -> None:
        self._batches[name] = self.folder.save(self._batches[name], **changes)

    async def _upload(self, name: str) -> None:
        batch = self._batches[name]
        file_id = await self.client.file_named(batch.file_name) if batch.step == "uploading" else None
        self._save(name, step="uploading")
        if file_id is None:
            file_id = await self.client.upload(self.folder.lines_path(batch), batch.file_name)
        self._save(name, step="uploaded", file_id=file_id)

    def _may_create(self, name: str) -> bool:
        """Whether there is room for it: in the vendor's queue, as far as is known, and in the budget."""
        batch = self._batches[name]
        if batch.step == "creating":  # it may be running already
            self.meter.take_on(name, self._may_take(batch))
            return True
        if name in self._waiting and self._n_running():
            return False
        said = self.meter.no_room(self._may_take(batch), f"a batch of {counted(batch.n_lines, 'lines')}")
        if said is not None:
            self._waiting[name] = said
            return False
        self._waiting.pop(name, None)
        self.meter.take_on(name, self._may_take(batch))
        return True

    async def _create(self, name: str) -> None:
        batch, options = self._batches[name], self.source.batch
        file_id = batch.file_id or ""  # it has one by now
        state = await self._find(batch) if batch.step == "creating" else None
        self._save(name, step="creating")
        await asyncio.to_thread(self.run.copy_away)  # what is paid for is known wherever the run goes on
        try:
            state = state or await self.client.create(file_id, options.url, options.window, batch.metadata)
        except Fault as fault:
            self._lost[name] = self._lost.get(name, 0) + 1
            if file_id not in fault.message or self._lost[name] > LOST_FILES:
                raise
            self._save(name, step="written", file_id=None)  # it is not known there (yet, or any more): upload it again
            return
        self._save(name, step="running", batch_id=state.batch_id)

    async def _find(self, batch: Batch) -> BatchState | None:
        """The batch that an earlier try may have made."""
        try:
            return await self.client.batch_of(batch.file_id or "", batch.metadata)
        except Fault as fault:
            if not has_no_list(fault):
                raise
            raise self.client.stop(
                f"does not list its batches, so whether the one of {batch.file_name} was made is not known: see the vendor's "
                f"own pages; if it was, write its id as batch_id into {self.folder.note_path(batch)} and step: running, else "
                "remove that file"
            ) from fault

    async def _look(self, name: str) -> BatchState:
        batch = self._batches[name]
        try:
            self._seen[name] = await self.client.look(batch.batch_id or "")
        except Fault as fault:
            raise self._gone(batch, fault, f"batch {batch.batch_id}") from fault
        return self._seen[name]

    def _gone(self, batch: Batch, fault: Fault, what: str) -> Fault | SourceStopped:
        """The fault, or where it is that the vendor does not know what was made: what to do."""
        if fault.error not in ("http_404", "http_410"):
            return fault
        return self.client.stop(
            f"does not know {what} (is it the same account?); to ask for its {counted(batch.n_lines, 'lines')} again, "
            f"and pay for them again, remove {self.folder.note_path(batch)}"
        )

    def _refuse(self, name: str, refusal: Fault) -> None:
        """The vendor did not take the file: nothing was asked. Raises SourceStopped where waiting is of no use."""
        batch = self._batches[name]
        self.meter.settle(name)
        self._seen.pop(name)
        self._save(name, step="uploaded", batch_id=None, status="failed")
        if refusal.meaning != "overload":
            raise self.client.stop(f"batch {batch.batch_id}: the server {refusal.message}")
        self._waiting[name] = refusal.message

    def _n_running(self) -> int:
        return sum(batch.step in ("creating", "running") for batch in self._batches.values())

    def _check_waiting(self) -> None:
        """Whether those that wait for room will ever have it, when no other batch of ours takes it."""
        if not self._waiting or self._n_running():
            self._crowded_since = None
            return
        name, said = next(iter(self._waiting.items()))
        if said.startswith("budget."):
            raise BudgetSpent(said)
        self._crowded_since = self._crowded_since or time.monotonic()
        if time.monotonic() - self._crowded_since > self.client.patience_s:
            raise self.client.stop(
                f"no room for a batch of {counted(self._batches[name].n_lines, 'lines')}: {said}; "
                "give the source a smaller batch.max_lines"
            )

    def _show(self) -> None:
        """How the batches fare, beside the source's bar."""
        states = [self._seen[name].status if name in self._seen else batch.step for name, batch in self._batches.items()]
        if not states:
            self.tell("")
            return
        counts = ", ".join(f"{states.count(state)} {state.replace('_', ' ')}" for state in sorted(set(states)))
        lines, answered = sum(one.n_lines for one in self._batches.values()), sum(one.completed for one in self._seen.values())
        self.tell(f"batches: {counts}; {answered:,} of {counted(lines, 'lines')}")

    # --------------------------------------------------------------------------------------------------------------- results

    async def _store(self, name: str, state: BatchState, store: Store) -> None:
        """Rows of all lines of a batch that has ended. Raises SourceStopped where they say that the source cannot be used."""
        batch = self._batches[name]
        paths = [self.folder.result_path(batch, number) for number, _ in enumerate(state.files, 1)]
        for file_id, path in zip(state.files, paths, strict=True):
            await self.client.patiently(partial(self._download, batch, file_id, path))
        requests = Requests(self.folder.lines_path(batch))
        wanted, hide = self._unsettled(batch), self.client.hide
        harvest = Harvest(self.exchange, self._manners[batch.source], wanted, requests.body, hide, store, self.answered)
        n_others = 0
        for number, line in enumerate(chain.from_iterable(map(read_lines, paths)), 1):
            line_id = None if line is None else read_id(line.custom_id)
            n_others += line is None or line_id is None or not (harvest.take(line_id, line) or requests.has(line_id))
            if number % ROWS_AT_A_TIME == 0:
                await asyncio.sleep(0)  # other sources are asked meanwhile
        harvest.end(state.status)
        for table in ("responses", "failures"):
            self.run.journal(table).close()  # on the disk, before the results are let go
        self.folder.finish(batch, state.status)
        self._settle(name, harvest)
        if n_others:
            others = counted(n_others, "lines")
            self.say(f"{self.source.model}: {others} in the results of {state.batch_id} of no request of that batch")
        self._check_source(harvest)

    async def _download(self, batch: Batch, file_id: str, path: Path) -> None:
        try:
            await self.client.download(file_id, path)
        except Fault as fault:
            raise self._gone(batch, fault, f"file {file_id}, the results of batch {batch.batch_id}") from fault

    def _unsettled(self, batch: Batch) -> dict[str, Sample]:
        """Whose its lines are, without those that were stored before a build was killed."""
        samples = self.folder.samples(batch)
        with self.run.snapshot() as snapshot:
            snapshot.connection.register("some_samples", pl.DataFrame({"response_id": list(samples)}))
            settled = snapshot.query(load_sql("sample/find_settled"), {"since": batch.written_at})
        for key in settled["response_id"]:
            del samples[key]
        return samples

    def _settle(self, name: str, harvest: Harvest) -> None:
        """It has ended: what it took is counted now, and there may be room for another one."""
        self.meter.settle(name)
        del self._batches[name], self._seen[name]
        self._waiting.clear()
        self.done += harvest.n_done
        self.failed += harvest.n_failed
        self.answered |= harvest.n_done > 0

    def _check_source(self, harvest: Harvest) -> None:
        if harvest.account is not None:
            raise self.client.stop(f"the server {harvest.account}")
        if harvest.last_fault is not None and not self.answered:
            raise self.client.stop(
                f"answered none of {counted(harvest.n_failed, 'samples')} ({harvest.last_fault}); "
                "fix the source's settings in the recipe"
            )


def _without(asks: Iterable[Ask], keys: set[str]) -> Iterator[Ask]:
    """The asks without these samples."""
    for ask in asks:
        if missing := {index: key for index, key in ask.missing.items() if key not in keys}:
            yield replace(ask, missing=missing)
