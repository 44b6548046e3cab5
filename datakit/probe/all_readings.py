"""Every model that reads, one after the other: what it misses is read, and stored as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from datakit import serving
from datakit.client import OPEN, Client, Drain, client_for, read_access
from datakit.engine.local import KeptEngine
from datakit.errors import DatakitError, SourceStopped
from datakit.options import Options
from datakit.probe.local import read_here
from datakit.probe.missing import count_missing, wanted_texts
from datakit.probe.readings import Reading, readings_of, vocabulary_of
from datakit.probe.remote import MOST_IN_FLIGHT, RemoteReading
from datakit.progress import Monitor
from datakit.recipe import EndpointSource, Recipe, ServeSource
from datakit.store import Run
from datakit.tables import TABLES, Rows


def probe_missing(run: Run, recipe: Recipe, options: Options, monitor: Monitor) -> list[DatakitError]:
    """Distributions of all texts that the recipe wants; what cannot be read is a row of failures.

    Returns why models could not be used. The others go on only with `options.keep_going`.
    """
    if recipe.probe is None:
        if run.parts("readings"):  # of a recipe that had it
            run.replace("readings", TABLES["readings"].frame())
        return []
    with closing(_Probing(run, recipe, options, monitor, wanted_texts(recipe, recipe.probe))) as probing:
        return probing.read_all(readings_of(recipe))


_HAS_READ = """SELECT 1 FROM distributions
               WHERE model = $model AND revision IS NOT DISTINCT FROM $revision AND reading = $reading LIMIT 1"""


@dataclass
class _Probing:
    run: Run
    recipe: Recipe
    options: Options
    monitor: Monitor
    wanted: dict[str, Any]
    _remote: dict[str, RemoteReading] = field(default_factory=dict)
    _kept: KeptEngine = field(default_factory=KeptEngine)
    """Of the local reading before: the next one's workers have imports behind them."""

    def read_all(self, readings: Sequence[Reading]) -> list[DatakitError]:
        """See probe_missing."""
        counts = count_missing(self.run, self.wanted, readings, self.options.retry_failures)
        rows = list(zip(_labels(readings), readings, counts, strict=True))
        todo = {label: reading for label, reading, count in rows if count.missing}
        missing, there = ({label: count[at] for label, _, count in rows if count.missing} for at in (0, 1))
        self._remote = {label: self._remote_reading(reading) for label, reading in todo.items() if reading.way == "vllm"}
        self.monitor.stage("probe", missing, {label: one.progress for label, one in self._remote.items()}, there)
        _store_readings(self.run, readings)
        stopped: list[DatakitError] = []
        for label, reading in todo.items():
            if stopped and not self.options.keep_going:
                break
            try:
                self._read(label, reading)
            except SourceStopped as error:
                if self.options.signals.received:
                    raise
                stopped.append(error)
            finally:
                self.run.journal("distributions").close()
                self.run.journal("failures").close()
        return stopped

    def _read(self, label: str, reading: Reading) -> None:
        if (remote := self._remote.get(label)) is not None:
            with self._client_of(reading) as client:
                remote.read(client, self.options.signals)
            return

        def store(rows: Rows, failures: Rows) -> None:
            self._store(rows, failures)
            self.monitor.advance(label, len(rows), len(failures), "")

        read_here(self.run, self.wanted, reading, self.options.retry_failures, store, self._kept.of)

    def _store(self, rows: Rows, failures: Rows) -> None:
        self.run.journal("distributions").append(rows)
        self.run.journal("failures").append(failures)

    def _remote_reading(self, reading: Reading) -> RemoteReading:
        drain = Drain(self.options.grace_s, self.monitor.say)
        more = (self.wanted, self.options.retry_failures, drain, self._store)
        return RemoteReading(self.run, reading, vocabulary_of(reading), *more)

    @contextmanager
    def _client_of(self, reading: Reading) -> Iterator[Client]:
        """Of the source's own URLs, or of the server that is started for it."""
        source = reading.source
        proven = self.run.query(_HAS_READ, reading.key).height > 0
        if isinstance(source, EndpointSource):
            access = read_access(source.api_key_env, source.headers, source.origin.section)
            client = client_for(source, source.base_urls, access, proven, most=MOST_IN_FLIGHT)
            client.retries_refused = proven and self.options.retry_failures
            yield client
        elif isinstance(source, ServeSource):
            logs = self.run.folder / "logs"
            serving.end_orphans(logs, self.monitor.say)
            with serving.serve(self.recipe, [source], logs, self.monitor.say) as (server,):
                yield client_for(source, [server.base_url], OPEN, proven, server.trouble, most=MOST_IN_FLIGHT)

    def close(self) -> None:
        """End the workers that are left."""
        self._kept.close()


def _labels(readings: Sequence[Reading]) -> list[str]:
    """The models' names; where one reads in several ways, with a number."""
    names = [reading.model for reading in readings]
    return [f"{name} ({names[:at].count(name) + 1})" if names.count(name) > 1 else name for at, name in enumerate(names)]


def _store_readings(run: Run, readings: Sequence[Reading]) -> None:
    """Who reads now, and what its token ids mean: exports read that, and then need no model."""
    rows = []
    for one in readings:
        spelt = [None if token is None else token.hex() for token in vocabulary_of(one)]
        rows.append({**one.key, "is_pivot": one.is_pivot, "by_author": one.by_author, "token_hex": spelt})
    run.replace("readings", TABLES["readings"].frame(rows))
