"""A `local` source: sends its missing samples, in batches of prompts of similar length, to workers that hold the model.

There is no server and no request: the driver waits for the workers as for verifiers and judges, so a signal ends it at once.
Results up to then are stored; unfinished batches are repeated by the next build, with the same seeds.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path

from datakit.engine.local import LocalEngine
from datakit.engine.protocol import Result
from datakit.errors import DISTRIBUTION, BadInput, MissingExtra, SourceStopped, WorkerError
from datakit.progress import Progress
from datakit.recipe import LocalSource
from datakit.rewards.local.checkpoint import chat_template, read_json, weight_files
from datakit.rewards.local.devices import devices_for
from datakit.sample.exchange import Exchange
from datakit.sample.in_process import sampling_worker
from datakit.sample.one_source import EMPTY_ATTEMPTS, EMPTY_SAMPLES, Ask, Store
from datakit.tables import Row, Rows, failure_row, make_seed

WINDOW = 8_192  # samples that are sorted by length together
STORE_ROWS = 256  # store after this many results
STORE_EVERY_S = 1.0  # or after this many seconds
EMPTY = "the model ended its answer without text"
PASSING = ("out_of_memory", "empty", "crash")  # errors that may not occur on another machine or in another build


@dataclass
class LocalSampler:
    """Samples one model folder, and counts rows and tokens."""

    source: LocalSource
    where: str
    """Its place in the recipe, such as sources.0."""
    proven: bool
    """True if it has answered before."""
    engine: LocalEngine
    """The engine, with a worker for each of its devices."""
    done: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.source)
        self._asked: dict[str, tuple[Ask, int]] = {}

    def progress(self) -> Progress:
        """Return the progress so far; may be called from another thread."""
        took = self.exchange
        return Progress(self.done, self.failed, self.done + self.failed, 0, took.prompt_tokens, took.completion_tokens)

    def sample(self, asks: Iterable[Ask], store: Store) -> Generator[None, None, None]:
        """Hand response rows and failure rows to `store` as they come, in no order, and yield after each time.

        Prompts are read lazily. Raise SourceStopped if the model cannot be used.
        """
        devices = devices_of(self.source)
        folder, section = model_folder(self.source, self.where), self.source
        start = partial(sampling_worker, folder, section.dtype, devices, section.batch_size, f"{self.where}.devices")
        responses: Rows = []
        failures: Rows = []
        since = time.monotonic()
        try:
            with closing(self.engine.map(start, self._batches(asks), None)) as results:
                for result in results:
                    self._take(result, responses, failures)
                    if len(responses) + len(failures) >= STORE_ROWS or time.monotonic() - since > STORE_EVERY_S:
                        ready, responses, failures, since = (responses, failures), [], [], time.monotonic()
                        store(*ready)  # once, also where it fails half way
                        yield
        except WorkerError as error:
            raise SourceStopped(f"{section.model}: cannot be sampled here: {error}") from error
        finally:
            store(responses, failures)

    def _batches(self, asks: Iterable[Ask]) -> Iterator[Rows]:
        """Yield rows for the worker: with the same settings, the samples of a prompt together, prompts by length."""
        for _, alike in groupby(asks, lambda ask: ask.manner):
            while window := list(islice(alike, max(1, WINDOW // self.source.n))):
                window.sort(key=lambda ask: (sum(len(turn["content"]) for turn in ask.messages), ask.prompt_id))
                rows = (row for ask in window for row in self._rows(ask))
                while batch := list(islice(rows, self.source.batch_size)):
                    yield batch

    def _rows(self, ask: Ask) -> Iterator[Row]:
        body = self.exchange.body(ask.messages, 1, 0, ask.manner)
        settings = {name: body[name] for name in type(self.source.sampling).model_fields if name in body}
        for index, response_id in ask.missing.items():
            self._asked[response_id] = ask, index
            seeds = [make_seed(response_id, attempt) for attempt in range(EMPTY_ATTEMPTS)]
            yield {"response_id": response_id, "messages": body["messages"], "settings": settings, "seeds": seeds}

    def _take(self, result: Result, responses: Rows, failures: Rows) -> None:
        """Turn one result into a row of responses or of failures."""
        response_id = result.row["response_id"]
        ask, index = self._asked.pop(response_id)
        value = result.value or {"error": "crash", "message": result.message}
        row = None if "error" in value else self._response(value, ask)
        if row is not None:
            ids = {"response_id": response_id, "prompt_id": ask.prompt_id, "sample_index": index}
            responses.append(row | ids | {"messages_digest": ask.messages_digest})
            self.done += 1
            return
        error, message = value.get("error", "empty"), value.get("message", EMPTY)
        failures.append(failure_row("sample", response_id, self.source.model, error, message, permanent=error not in PASSING))
        self.failed += 1
        if self.failed >= EMPTY_SAMPLES and not (self.done or self.proven):
            raise SourceStopped(f"{self.source.model}: the first {self.failed} samples failed; the last: {message}")

    def _response(self, value: Row, ask: Ask) -> Row | None:
        """Return the row of a response; None if it has no text."""
        choice = {"message": {"content": value["text"]}, "finish_reason": value["finish_reason"]}
        usage = {"prompt_tokens": value["n_prompt_tokens"], "completion_tokens": value["n_tokens"]}
        answer = {"choices": [choice], "usage": usage}
        return next(iter(self.exchange.rows(answer, 1, value["seed"], None, ask.manner)), None)


def check(source: LocalSource, where: str) -> None:
    """Check what can be known before the model is loaded, without torch. Raise BadInput or MissingExtra."""
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f"{where}: type: local needs the package '{package}': pip install '{DISTRIBUTION}[local]'")
    folder = model_folder(source, where)
    read_json(folder / "config.json")
    weight_files(folder)
    if not chat_template(folder):
        raise BadInput(f"{where}.model: {source.model}: no chat template in {folder}; give the whole folder of a chat model")


def model_folder(source: LocalSource, where: str) -> Path:
    """Return the source's model folder. Raise BadInput if there is none."""
    if source.location is None:
        raise BadInput(f"{where}.model: {source.model}: no such folder; write folder: PATH, or type: serve for a hub model")
    return source.location


def devices_of(source: LocalSource) -> list[str]:
    """Return a device per worker: those of the recipe, else every GPU, else the CPU, as often as the model is worth."""
    return devices_for(model_folder(source, "sources"), source.devices)
