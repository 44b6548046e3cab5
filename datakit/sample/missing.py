"""What a run lacks of each source model."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from datakit.progress import Progress
from datakit.recipe import EndpointSource, Recipe, Sampled, Way
from datakit.sample.batched import BatchSampler
from datakit.sample.exchange import Manner
from datakit.sample.local import LocalSampler
from datakit.sample.one_source import Ask, Sampler
from datakit.sample.spending import identity, source_labels
from datakit.store import Run, load_sql

PROMPTS_AT_A_TIME = 10_000
AnySampler: TypeAlias = Sampler | BatchSampler


@dataclass
class Asked:
    """One source that lacks samples."""

    source: Sampled
    label: str
    """The name on the display: its model, numbered if the recipe samples one model in several ways."""
    n_missing: int
    n_there: int
    """Samples of it that the run has already."""
    sampler: AnySampler | LocalSampler | None = None
    only_begins: bool = False
    """True if its batches are only begun, and a later turn waits for them."""

    @property
    def in_batches(self) -> bool:
        """True if it is sampled through a vendor's batches."""
        return isinstance(self.source, EndpointSource) and self.source.request == "batch"

    @property
    def proven(self) -> bool:
        """True if it has answered before."""
        return self.n_there > 0

    def progress(self) -> Progress:
        """Return the progress so far."""
        return self.sampler.progress() if self.sampler is not None else Progress()


def asked_sources(run: Run, recipe: Recipe, retry_failures: bool) -> list[Asked]:
    """Return the sources that lack samples, in the recipe's order."""
    with run.snapshot() as snapshot:
        counts = snapshot.query(load_sql("missing/count_missing"), {"retry_failures": retry_failures})
    by_source, labels = {row[:3]: row[3:] for row in counts.iter_rows()}, source_labels(recipe)
    asked = []
    for source in recipe.sampled:
        counted = [by_source.get(identity(way.source), (0, 0, 0)) for way in source.ways]
        _, n_there, n_missing = (sum(numbers) for numbers in zip(*counted, strict=True))
        if n_missing:
            asked.append(Asked(source, labels[identity(source)], n_missing, n_there))
    return asked


def missing_samples(run: Run, source: Sampled, retry_failures: bool) -> Generator[Ask, None, None]:
    """Yield what the run, as it is now, lacks of a source: one Ask per prompt, in memory that does not grow with them."""
    for way in source.ways:
        yield from _missing_of_way(run, way, source.n, retry_failures)


def _missing_of_way(run: Run, way: Way, n: int, retry_failures: bool) -> Generator[Ask, None, None]:
    manner = None if way.column is None else Manner.of(way.source)
    model, revision, sampling = identity(way.source)
    params = {"model": model, "revision": revision, "sampling": sampling, "n": n, "retry_failures": retry_failures}
    with run.snapshot() as prompts, run.snapshot() as there:
        for some in prompts.stream("SELECT * FROM asked_prompts", {}, PROMPTS_AT_A_TIME):
            if way.column is not None:
                some = some.filter(pl.col(way.column).is_in(way.values).fill_null(False) != way.others)
            there.connection.register("some_prompts", some)  # no copy: prompts may be long, and a snapshot's memory is small
            missing = there.query(load_sql("missing/missing_samples"), params)
            there.connection.unregister("some_prompts")
            for row in missing.iter_rows(named=True):
                ids = dict(zip(row["sample_index"], row["response_id"], strict=True))
                yield Ask(row["prompt_id"], row["messages"], row["messages_digest"], ids, manner)
