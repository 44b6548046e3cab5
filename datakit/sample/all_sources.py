"""Every source of a recipe at once: the clients that ask for it, and where the answers go.

It ends when all is answered, or early and with everything stored that was on its way: on Ctrl-C or SIGTERM, when the budget is
spent, and when a source cannot be used (the others go on only where that is wished).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

from datakit import serving
from datakit.client import OPEN, BatchClient, Drain, client_for, read_access
from datakit.engine.local import KeptEngine
from datakit.errors import BudgetSpent, DatakitError, RunError, SourceStopped
from datakit.machine import collecting_rarely, many_open_files
from datakit.options import Options
from datakit.progress import Monitor
from datakit.recipe import Budget, EndpointSource, LocalSource, Recipe, Sampled, ServeSource
from datakit.sample.batched import BatchSampler
from datakit.sample.local import LocalSampler, devices_of
from datakit.sample.missing import AnySampler, Asked, asked_sources, missing_samples
from datakit.sample.one_source import Sampler
from datakit.sample.spending import Meter, Spent, identity, spent_so_far
from datakit.store import BatchFolder, Run, load_sql
from datakit.tables import Rows
from datakit.tables.answers import CUT_OFF
from datakit.tokens import SampledReader
from datakit.wording import counted


@dataclass
class Gathering:
    """All sources of a run: what each misses, asked turn by turn."""

    run: Run
    recipe: Recipe
    options: Options
    monitor: Monitor
    readers: Mapping[str, SampledReader] = field(default_factory=dict)
    """By model: what reads the distributions that come with samples."""
    stopped: list[DatakitError] = field(default_factory=list)
    """Sources that cannot be used, and a spent budget."""
    _meter: Meter = field(init=False)
    _drain: Drain = field(init=False)
    _budget_spent: bool = False
    _kept: KeptEngine = field(default_factory=KeptEngine)
    """Of the local source before: the next one's workers have imports behind them."""

    def __post_init__(self) -> None:
        limited = self.recipe.budget != Budget()
        before = spent_so_far(self.run, self.recipe) if limited else Spent()
        self._meter = Meter(self.recipe.budget, before)

    @property
    def logs(self) -> Path:
        """Where the servers that are started write."""
        return self.run.folder / "logs"

    @property
    def is_over(self) -> bool:
        """Whether no further turn is to be asked."""
        return self._budget_spent or bool(self.stopped and not self.options.keep_going)

    def end_orphans(self) -> None:
        """End what a build that was killed has left of its servers."""
        serving.end_orphans(self.logs, self.monitor.say)

    def asked(self) -> list[Asked]:
        """The sources that miss something, in the recipe's order.

        RunError where one that is no longer asked in batches has some that run: it would pay twice.
        """
        asked = asked_sources(self.run, self.recipe, self.options.retry_failures)
        known, folder = {identity(way.source): one for one in asked for way in one.source.ways}, BatchFolder(self.run)
        for batch in folder.notes():
            one = known.get(batch.source)
            if one is None and batch.may_be_paid:
                self.monitor.say(
                    f"batch {batch.batch_id} of {batch.model} is left alone: this recipe misses nothing of such samples "
                    f"({folder.note_path(batch)})",
                    warning=True,
                )
            elif one is not None and not one.in_batches and batch.may_be_paid:
                raise RunError(
                    f"{batch.model}: batch {batch.batch_id} is being answered; leave request: batch until it has ended, "
                    f"or cancel it at the vendor's and remove {folder.note_path(batch)}"
                )
        return asked

    def turns(self, asked: list[Asked]) -> Iterator[list[Asked]]:
        """Who is asked at the same time: servers as serving.in_turns has them, endpoints with the first of them."""
        served = [one.source for one in asked if isinstance(one.source, ServeSource)]
        batched = [one for one in asked if one.in_batches] if served else []
        if batched:  # they begin at once, but no server is kept up until a vendor has answered
            yield [replace(one, only_begins=True) for one in batched]
        for at, turn in enumerate(serving.in_turns(served) or [[]] if asked else []):
            endpoints = [one for one in asked if isinstance(one.source, EndpointSource) and one not in batched]
            yield [one for one in asked if one.source in turn] + (endpoints if at == 0 else [])
        yield from ([one] for one in asked if isinstance(one.source, LocalSource))
        if batched:
            yield batched

    def ask(self, turn: Sequence[Asked]) -> None:
        """Ask the sources of one turn for all that they miss; their servers run as long as that takes.

        What ends it early is in `stopped` afterwards. Raises what a signal raises.
        """
        if self._note_budget():
            return
        for one in turn:
            if isinstance(one.source, LocalSource):
                self._ask_here(one, one.source)
                return
        served = [one.source for one in turn if isinstance(one.source, ServeSource)]
        if served:
            self.monitor.say(f"starting {counted(len(served), 'model servers')}; logs are in {self.logs}")
        try:
            with serving.serve(self.recipe, served, self.logs, self.monitor.say) as servers:
                self._drain = Drain(self.options.grace_s, self.monitor.say)
                with many_open_files(), self.options.signals.draining(self._drain.soon), collecting_rarely():
                    asyncio.run(self._ask(turn, iter(servers)))
        finally:
            self.run.journal("responses").close()
            self.run.journal("distributions").close()
            self.run.journal("failures").close()

    def _ask_here(self, asked: Asked, source: LocalSource) -> None:
        """Sample a model folder in workers of this build; a signal ends that at once, a spent budget after what is stored."""

        def store(responses: Rows, failures: Rows) -> None:
            self.run.journal("responses").append(responses)
            self.run.journal("failures").append(failures)

        engine = self._kept.of(len(devices_of(source)))
        asked.sampler = sampler = LocalSampler(source, self._place_of(source), asked.proven, engine)
        self._meter.watch(sampler.exchange)
        try:
            with (
                closing(missing_samples(self.run, source, self.options.retry_failures)) as asks,
                closing(sampler.sample(asks, store)) as stored,
            ):
                for _ in stored:
                    if self._note_budget():
                        break
        except SourceStopped as error:
            self.stopped.append(error)
        finally:
            self.run.journal("responses").close()
            self.run.journal("failures").close()

    def close(self) -> None:
        """End the workers that are left."""
        self._kept.close()

    def _place_of(self, source: Sampled) -> str:
        return f"sources.{next(at for at, one in enumerate(self.recipe.sources) if one is source)}"

    def name_copies(self) -> None:
        """Name the sources whose samples of a prompt are copies of one text."""
        with self.run.snapshot() as snapshot:
            copied = snapshot.query(load_sql("sample/find_copies"))
        for model, prompts, copies in copied.iter_rows():
            self.monitor.say(
                f"{model}: samples are copies of one text for {copies:,} of {counted(prompts, 'prompts')}, also when asked "
                "again; does the server honour temperature and seed? "
                "(transformers: is do_sample on in generation_config.json?)",
                warning=True,
            )

    def name_endings(self) -> None:
        """Name the finish reasons that make answers neither chosen nor rejected."""
        with self.run.snapshot() as snapshot:
            endings = snapshot.query(load_sql("sample/find_endings"))
        for model, reason, n in endings.iter_rows():
            known = "raise sampling.max_tokens" if reason in CUT_OFF else f"where that means complete: complete: [{reason}]"
            self.monitor.say(
                f"{model}: {counted(n, 'answers')} ended with '{reason}', neither chosen nor rejected ({known})", warning=True
            )

    def _note_budget(self) -> bool:
        """Whether the budget is spent; the first time it is noted in `stopped`."""
        if not self._budget_spent and (said := self._meter.over_budget()) is not None:
            self._budget_spent = True
            self.stopped.append(BudgetSpent(said))
        return self._budget_spent

    async def _ask(self, asked: Sequence[Asked], servers: Iterator[serving.Server]) -> None:
        async with AsyncExitStack() as stack, self._drain:
            for one in asked:
                one.sampler = await self._sampler_of(one, servers, stack)
                self._drain.clients.append(one.sampler.client)
                self._drain.tasks.append(asyncio.create_task(self._sample(one.sampler)))
            await self._until_all_end()

    async def _sampler_of(self, asked: Asked, servers: Iterator[serving.Server], stack: AsyncExitStack) -> AnySampler:
        """With a client of the source's own URLs, or of the server that was started for it."""
        source = cast(EndpointSource | ServeSource, asked.source)  # `ask` samples others itself
        if isinstance(source, EndpointSource):
            access = read_access(source.api_key_env, source.headers, source.origin.section)
            if source.request == "batch":
                tell = partial(self.monitor.advance, asked.label, 0, 0)
                batches = BatchClient(
                    source.model,
                    source.base_urls[0],
                    access,
                    timeout_s=source.timeout_s,
                    patience_s=source.patience_s,
                    proven=asked.proven,
                    origin=source.origin,
                )
                await stack.enter_async_context(batches)
                return BatchSampler(source, batches, self.run, self._meter, tell, self.monitor.say, asked.only_begins)
            client = client_for(source, source.base_urls, access, asked.proven)
        else:
            server = next(servers)
            client = client_for(source, [server.base_url], OPEN, asked.proven, server.trouble)
        client.retries_refused = asked.proven and self.options.retry_failures
        return Sampler(source, await stack.enter_async_context(client), self.readers.get(source.model))

    async def _sample(self, sampler: AnySampler) -> None:
        def store(responses: Rows, failures: Rows) -> None:
            read = [{"text_id": row["response_id"], **found} for row in responses if (found := row.pop("distribution", None))]
            try:
                self.run.journal("responses").append(responses)
                self.run.journal("distributions").append(read)
                self.run.journal("failures").append(failures)
            except BaseException:
                self._drain.send_no_more()  # to the other sources neither: their answers could not be stored
                raise
            if not self._drain.begun and self._note_budget():
                self._drain.begin("the budget is spent")

        self._meter.watch(sampler.exchange)
        with closing(missing_samples(self.run, sampler.source, self.options.retry_failures)) as asks:
            await sampler.sample(asks, store)

    async def _until_all_end(self) -> None:
        pending = set(self._drain.tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = None if task.cancelled() else task.exception()
                if isinstance(error, SourceStopped | BudgetSpent):
                    self._note(error)
                elif error is not None:
                    raise error

    def _note(self, error: SourceStopped | BudgetSpent) -> None:
        self.stopped.append(error)
        if not self.options.keep_going:
            self._drain.begin("a source cannot be used" if isinstance(error, SourceStopped) else "the budget has no room")
        elif len(self._drain.tasks) > 1:
            self.monitor.say(f"{error}; the other sources go on")
