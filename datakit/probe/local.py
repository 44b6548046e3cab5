"""A local reading: sends texts in batches to workers that hold the model, one per device, as local sampling does."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any

from datakit.engine.local import LocalEngine
from datakit.engine.protocol import Result
from datakit.errors import SourceStopped, WorkerError
from datakit.probe.forward import reading_worker
from datakit.probe.missing import stream_missing
from datakit.probe.readings import Reading
from datakit.recipe import LocalSource
from datakit.rewards.local.devices import devices_for
from datakit.store import Run
from datakit.tables import Row, Rows, failure_row

BATCH_ROWS = 64  # texts of similar length that go to a worker together
STORE_ROWS = 256  # store after this many results
STORE_EVERY_S = 1.0  # or after this many seconds
HOPELESS = 64  # failed texts, with none read, that mean that the model is at fault
PASSING = ("out_of_memory", "crash")  # errors that may not occur on another machine or in another build

Store = Callable[[Rows, Rows], None]
"""Takes rows of `distributions` and of `failures`; they are safe when it returns."""


def read_here(
    run: Run,
    wanted: dict[str, Any],
    reading: Reading,
    retry_failures: bool,
    store: Store,
    engine_with: Callable[[int], LocalEngine],
) -> None:
    """Read all that is missing. Raise SourceStopped if the model cannot be used. `engine_with(n)` has n workers."""
    pending = _Pending(reading, store)
    folder = reading.folder
    if folder is None:
        raise SourceStopped(f"{reading.model}: is not a folder here")
    source = reading.source if isinstance(reading.source, LocalSource) else None
    named, dtype = (source.devices, source.dtype) if source is not None else ([], None)
    devices = devices_for(folder, named)
    start = partial(
        reading_worker, folder, reading.tokenizer, dtype, devices, reading.top_k, reading.template_arguments, "sources.devices"
    )
    try:
        with (
            closing(_batches(run, wanted, reading, retry_failures)) as batches,
            closing(engine_with(len(devices)).map(start, batches, None)) as results,
        ):
            for result in results:
                pending.take(result)
    except WorkerError as error:
        raise SourceStopped(f"{reading.model}: cannot read texts here: {error}") from error
    finally:
        pending.flush()


def _batches(run: Run, wanted: dict[str, Any], reading: Reading, retry_failures: bool) -> Generator[Rows, None, None]:
    with closing(stream_missing(run, wanted, reading, retry_failures)) as frames:
        for frame in frames:
            rows = [row | {"messages": reading.asked(row["messages"])} for row in frame.to_dicts()]
            rows.sort(key=lambda row: len(row["text"]) + sum(len(turn["content"]) for turn in row["messages"]))
            yield from _in_parts(iter(rows))


def _in_parts(rows: Iterator[Row]) -> Iterator[Rows]:
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


class _Pending:
    """Results that are not stored yet."""

    def __init__(self, reading: Reading, store: Store) -> None:
        self._reading = reading
        self._store = store
        self._rows: Rows = []
        self._failures: Rows = []
        self._since = time.monotonic()
        self._done = self._failed = 0

    def take(self, result: Result) -> None:
        """Turn one result into a row. Raise SourceStopped if the first ones all fail."""
        text_id = result.row["text_id"]
        value = result.value or {"error": "crash", "message": result.message}
        if "error" in value:
            error, said = value["error"], value["message"]
            permanent = error not in PASSING
            self._failures.append(failure_row("probe", text_id, self._reading.model, error, said, permanent=permanent))
            self._failed += 1
            if self._failed >= HOPELESS and not self._done:
                raise SourceStopped(
                    f"{self._reading.model}: none of the first {self._failed} texts could be read; the last: {said}"
                )
        else:
            self._rows.append({"text_id": text_id, **self._reading.key, **value})
            self._done += 1
        if len(self._rows) + len(self._failures) >= STORE_ROWS or time.monotonic() - self._since > STORE_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Store the pending rows."""
        rows, failures = self._rows, self._failures
        self._rows, self._failures, self._since = [], [], time.monotonic()
        if rows or failures:
            self._store(rows, failures)
