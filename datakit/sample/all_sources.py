"""Every source of a recipe at once: the clients that ask for it, and where the answers go.

It ends when all is answered, or early and with everything stored that was on its way: on Ctrl-C or SIGTERM, when the budget is
spent, and when a source cannot be used (the others go on only where that is wished).
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field

from datakit import serving
from datakit.client import Client, Drain, read_key
from datakit.errors import BudgetSpent, SourceStopped
from datakit.machine import many_open_files
from datakit.progress import Monitor
from datakit.recipe import EndpointSource, Recipe, Sampled, ServeSource
from datakit.sample.missing import Asked, missing_samples
from datakit.sample.one_source import Sampler
from datakit.sample.spending import Meter
from datakit.signals import Signals
from datakit.store import Run, load_sql
from datakit.tables import Rows


def _turns(asked: list[Asked]) -> Iterator[list[Asked]]:
    """Which sources are asked at the same time: the servers as serving.in_turns has them, endpoints with the first of them."""
    served = [one.source for one in asked if isinstance(one.source, ServeSource)]
    for at, turn in enumerate(serving.in_turns(served) or [[]] if asked else []):
        yield [one for one in asked if one.source in turn or (at == 0 and isinstance(one.source, EndpointSource))]


def _name_copies(run: Run, monitor: Monitor) -> None:
    with closing(run.snapshot()) as snapshot:
        copied = snapshot.query(load_sql("sample/find_copies"))
    for model, prompts, copies in copied.iter_rows():
        monitor.say(
            f"{model}: samples are copies of one text for {copies:,} of {prompts:,} prompts, also when asked again; "
            "does the server honour temperature and seed? (transformers: is do_sample on in generation_config.json?)",
            warning=True,
        )


@dataclass
class Gathering:
    """One turn: some sources, all asked at once."""

    run: Run
    recipe: Recipe
    meter: Meter
    retry_failures: bool
    keep_going: bool
    """Whether a source that cannot be used lets the others finish."""
    grace_s: float
    """How long answers on their way are waited for when the work is to end."""
    say: Callable[[str], None]
    stopped: list[SourceStopped] = field(default_factory=list)
    _drain: Drain = field(init=False)
    _spent: str | None = None

    def ask(self, asked: Sequence[Asked], servers: Sequence[serving.Server], signals: Signals) -> None:
        """Ask for all that is missing. `servers` are those of the `serve` sources, in order.

        Sources that cannot be used are in `stopped` afterwards. Raises BudgetSpent, and what a signal raises.
        """
        if (spent := self.meter.over_budget()) is not None:
            raise BudgetSpent(spent)
        self._drain = Drain(self.grace_s, self.say)
        try:
            with many_open_files(), signals.draining(self._drain.soon), _collecting_rarely():
                asyncio.run(self._ask(asked, iter(servers)))
        finally:
            self.run.journal("responses").close()
            self.run.journal("failures").close()
        if self._spent is not None:
            raise BudgetSpent(self._spent)

    async def _ask(self, asked: Sequence[Asked], servers: Iterator[serving.Server]) -> None:
        async with AsyncExitStack() as stack, self._drain:
            for one in asked:
                client = await stack.enter_async_context(_client_of(one, servers))
                client.retries_refused = one.proven and self.retry_failures
                self._drain.clients.append(client)
                one.sampler = Sampler(one.source, _requested(self.recipe, one.source), client)
                self._drain.tasks.append(asyncio.create_task(self._sample(one.sampler)))
            await self._until_all_end()

    async def _sample(self, sampler: Sampler) -> None:
        def store(responses: Rows, failures: Rows) -> None:
            try:
                self.run.journal("responses").append(responses)
                self.run.journal("failures").append(failures)
            except BaseException:
                self._drain.send_no_more()  # to the other sources neither: their answers could not be stored
                raise
            if (spent := self.meter.over_budget()) is not None and not self._drain.begun:
                self._spent = spent
                self._drain.begin("the budget is spent")

        self.meter.watch(sampler)
        with closing(missing_samples(self.run, sampler.source, self.retry_failures)) as asks:
            await sampler.sample(asks, store)

    async def _until_all_end(self) -> None:
        pending = set(self._drain.tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = None if task.cancelled() else task.exception()
                if isinstance(error, SourceStopped):
                    self._note(error)
                elif error is not None:
                    raise error

    def _note(self, error: SourceStopped) -> None:
        self.stopped.append(error)
        if not self.keep_going:
            self._drain.begin("a source cannot be used")
        elif len(self._drain.tasks) > 1:
            self.say(f"{error}; the other sources go on")


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Answers leave no cycles behind: looking for them as often as Python does would take a tenth of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _client_of(asked: Asked, servers: Iterator[serving.Server]) -> Client:
    """A client of the source's own URLs, or of the server that was started for it."""
    source = asked.source
    limits = (source.max_in_flight, source.timeout_s, source.patience_s, asked.proven)
    if isinstance(source, EndpointSource):
        return Client(source.model, source.base_urls, read_key(source.api_key_env, "api_key_env"), *limits)
    server = next(servers)
    return Client(source.model, [server.base_url], None, *limits, server.trouble)


def _requested(recipe: Recipe, source: Sampled) -> str:
    return serving.requested_name(recipe, source) if isinstance(source, ServeSource) else source.model
