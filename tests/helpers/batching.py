"""One source through its batches, over a run folder, without the other stages."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from datakit.client import OPEN, BatchClient, Client
from datakit.errors import DatakitError
from datakit.recipe import BatchOptions, Budget, EndpointSource
from datakit.sample.batched import BatchSampler
from datakit.sample.one_source import Ask, Sampler
from datakit.sample.spending import Meter, spent_at
from datakit.store import Run
from datakit.tables import Message, Row, Rows, digest_of_messages, make_response_id
from tests.helpers.fake_batches import FakeBatches
from tests.helpers.fake_endpoint import Fake

PROMPTS, N = 8, 3
SAMPLING = {"temperature": 0.8, "max_tokens": 64}


def source_of(fake: Fake, **changes: Any) -> EndpointSource:
    """A source of the fake's; `batch` has options beside ten lines a batch."""
    batch = BatchOptions(**{"poll_s": 0.01, "max_lines": 10} | changes.pop("batch", {}))
    settings: dict[str, Any] = {"model": "fake/one", "n": N, "sampling": SAMPLING, "request": "batch"} | changes
    return EndpointSource(type="endpoint", base_urls=[fake.url], batch=batch, **settings)


def asks_of(source: EndpointSource, without: set[str], question: str = "What is {} + 2?") -> list[Ask]:
    """What is asked of it, without these samples."""
    start = (source.model, source.revision, source.sampling_text)
    asks = []
    for at in range(PROMPTS):
        messages = [Message(role="user", content=question.format(at))]
        digest = digest_of_messages(messages)
        ids = {index: make_response_id(digest, *start, index) for index in range(source.n)}
        asks.append(Ask(f"p{at}", messages, digest, {index: key for index, key in ids.items() if key not in without}))
    return asks


class Batching:
    """A run folder with one source; every `go` is a build of it. What was stored is kept here, too."""

    def __init__(self, fake: FakeBatches, folder: Path, budget: Budget | None = None, **changes: Any) -> None:
        self.fake, self.folder, self.budget, self.changes = fake, folder / "run", budget or Budget(), changes
        self.question = "What is {} + 2?"
        self.responses: dict[str, Row] = {}
        self.failures: Rows = []
        self.said: list[str] = []
        self.shown: list[str] = []

    def go(self, retry_failures: bool = False, **changes: Any) -> DatakitError | None:
        """Ask for all that is missing; what ended that early."""
        self.changes |= changes
        source = source_of(self.fake, **self.changes)
        final = set() if retry_failures else {row["key"] for row in self.failures if row["permanent"]}
        with Run.create(self.folder) as run:
            return asyncio.run(self._sample(run, source, asks_of(source, final | self.responses.keys(), self.question)))

    async def _sample(self, run: Run, source: EndpointSource, asks: list[Ask]) -> DatakitError | None:
        def store(responses: Rows, failures: Rows) -> None:
            run.journal("responses").append(responses)
            run.journal("failures").append(failures)
            assert not self.responses.keys() & {row["response_id"] for row in responses}
            self.responses |= {row["response_id"]: row for row in responses}
            self.failures += failures

        took = [sum(row[name] for row in self.responses.values()) for name in ("n_prompt_tokens", "n_tokens")]
        meter, proven = Meter(self.budget, spent_at(source.price, *took)), bool(self.responses)
        async with BatchClient(source.model, source.base_urls[0], OPEN, 20.0, source.patience_s, proven) as client:
            self._drain = partial(asyncio.get_running_loop().call_soon_threadsafe, client.drain)
            sampler = BatchSampler(source, client, run, meter, self.shown.append, self.said.append)
            meter.watch(sampler.exchange)
            try:
                await asyncio.wait_for(sampler.sample(asks, store), 60)
            except DatakitError as error:
                return error
        return None

    def drain(self) -> None:
        """End what goes on, as a signal does; from any thread."""
        self._drain()

    @property
    def rows(self) -> Rows:
        """All that was stored, by id."""
        return [self.responses[key] for key in sorted(self.responses)]

    def failed(self, *names: str) -> list[tuple[Any, ...]]:
        """These columns of the failure rows."""
        return [tuple(row[name] for name in names) for row in self.failures]

    @property
    def paid_once(self) -> bool:
        """Whether the vendor has answered each line, and none twice."""
        return self.fake.paid.keys() == self.responses.keys() and set(self.fake.paid.values()) == {1}


def by_requests(fake: Fake) -> Rows:
    """The rows that single requests give, without the time that they took; by id."""
    source, rows = source_of(fake, request="single"), Rows()

    async def sample() -> None:
        async with Client(source.model, source.base_urls, OPEN, max_in_flight=8, timeout_s=20.0) as client:
            await Sampler(source, client).sample(asks_of(source, set()), lambda responses, failures: rows.extend(responses))

    asyncio.run(sample())
    return sorted((row | {"latency_s": None} for row in rows), key=lambda row: row["response_id"])
