"""Batches by hand: files of lines for a machine that datakit cannot reach, and the results from there.

The run keeps no record of these files: what they ask for is missing until the results are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import polars as pl

from datakit.errors import BadInput
from datakit.recipe import Recipe, Sampled
from datakit.sample.exchange import Exchange
from datakit.sample.harvest import Harvest
from datakit.sample.lines import URL, LineId, Result, lines_of, read_id, read_lines
from datakit.sample.missing import asked_sources, missing_samples
from datakit.sample.spending import Identity, identity
from datakit.store import BatchFolder, Database, Run, Sample, load_sql
from datakit.tables import Rows
from datakit.wording import counted

Item = TypeVar("Item")
LINES_AT_A_TIME = 1000
EXAMPLES = 3


@dataclass(frozen=True)
class Written:
    """One file of lines."""

    path: Path
    model: str
    """The model that the lines request."""
    n_lines: int


def write_lines(run: Run, recipe: Recipe, path: Path, max_lines: int | None, retry_failures: bool) -> list[Written]:
    """Write a line for every missing sample of every endpoint and server, except those in a running batch.

    If one source lacks samples, `path` is written, else a file per source beside it; with `max_lines` files are numbered.
    Raise BadInput if such a file or a folder exists already, or if nothing is missing.
    """
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name a file in it")
    folder, written = BatchFolder(run), list[Written]()
    running = {key for batch in folder.notes() if batch.may_be_paid for key in folder.samples(batch)}
    asked = asked_sources(run, recipe, retry_failures)
    for one in asked:
        with closing(missing_samples(run, one.source, retry_failures)) as asks:
            lines = (line.data for line in lines_of(run, one.source, asks, URL) if line.response_id not in running)
            for number, some in enumerate(_chunks(lines, max_lines), 1):
                names = [path.stem]
                names += [re.sub(r"[^\w.-]+", "-", one.label).strip("-")] if len(asked) > 1 else []
                names += [str(number)] if max_lines is not None else []
                target = path.with_name("-".join(names) + path.suffix)
                written.append(Written(target, one.source.requested_model, _write(target, some)))
    if not written:
        raise BadInput(f"{run.folder}: no samples are missing except those in running batches: there is nothing to write")
    return written


def _write(path: Path, lines: Iterable[bytes]) -> int:
    try:
        with path.open("xb") as file:
            return sum(file.write(line) > 0 for line in lines)
    except FileExistsError as error:
        raise BadInput(f"{path}: exists already; give another name") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror})") from error


@dataclass
class Read:
    """The lines of a file of results, counted."""

    stored: int = 0
    failed: int = 0
    """Lines without an answer: rows of failures."""
    there: int = 0
    """Lines of samples that the run has already."""
    foreign: list[str] = field(default_factory=list)
    """custom_ids in datakit's form, of samples that this run's recipe does not want: another recipe's or other prompts'."""
    unknown: list[str] = field(default_factory=list)
    """custom_ids of any other form."""
    unreadable: int = 0
    """Lines that are not a JSON object with a custom_id, and a response or an error."""


def store_results(run: Run, recipe: Recipe, path: Path) -> Read:
    """Store the answers in a file of results, whatever program wrote it: each line once, by its custom_id.

    Raise BadInput, and store nothing, if no line of it belongs to this run.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    read, taken = Read(), set[str]()
    with run.snapshot() as snapshot:
        snapshot.make_table("wanted_lines", load_sql("sample/wanted_lines"))
        harvests = _harvests(run, recipe, snapshot)
        for some in _chunks(read_lines(path), LINES_AT_A_TIME):
            known = _known(some, read)
            rows = _wanted(snapshot, [line_id.response_id for line_id, _ in known])
            for line_id, result in known:
                key = line_id.response_id
                if key not in rows:
                    read.foreign.append(str(line_id))
                    continue
                source, sample, is_there = rows[key]
                if is_there or key in taken:
                    read.there += 1
                    continue
                taken.add(key)
                harvests[source].wanted[key] = sample
                harvests[source].take(line_id, result)
    for harvest in harvests.values():
        harvest.end()
        read.stored += harvest.n_done
        read.failed += harvest.n_failed
    if not (read.stored or read.failed or read.there):
        raise BadInput(f"{path}: no line belongs to {run.folder}: {said_of(read) or 'it is empty'}")
    return read


def said_of(read: Read) -> str:
    """Return a message about lines that do not belong to the run; empty if all do."""
    parts = []
    for what, ids in (
        ("lines of another recipe, or of prompts that this run does not have", read.foreign),
        ("lines with a custom_id that datakit does not write", read.unknown),
    ):
        if ids:
            parts.append(f"{counted(len(ids), what)} ({', '.join(ids[:EXAMPLES])}{', ...' if len(ids) > EXAMPLES else ''})")
    if read.unreadable:
        parts.append(
            f"{counted(read.unreadable, 'lines')} without a result (an object with a custom_id, and a response or an error)"
        )
    return "; ".join(parts)


def _harvests(run: Run, recipe: Recipe, snapshot: Database) -> dict[Identity, Harvest]:
    """Return a harvest per way in which a source is sampled, by its identity."""

    def store(responses: Rows, failures: Rows) -> None:
        run.journal("responses").append(responses)
        run.journal("failures").append(failures)

    proven = set(snapshot.query("SELECT DISTINCT model, revision, sampling FROM responses").iter_rows())

    def harvest(source: Sampled) -> Harvest:
        exchange = Exchange(source)
        return Harvest(exchange, exchange.manner, {}, lambda line_id: b"", str, store, identity(source) in proven)

    return {identity(way.source): harvest(way.source) for way in recipe.ways}


def _known(some: Iterable[Result | None], read: Read) -> list[tuple[LineId, Result]]:
    """Return the results with a custom_id in datakit's form; count the others."""
    known = []
    for result in some:
        line_id = None if result is None else read_id(result.custom_id)
        if result is None:
            read.unreadable += 1
        elif line_id is None:
            read.unknown.append(str(result.custom_id)[:40])
        else:
            known.append((line_id, result))
    return known


def _wanted(snapshot: Database, keys: list[str]) -> dict[str, tuple[Identity, Sample, bool]]:
    """Return those of these samples that the recipe wants: source, sample, and whether the run has it."""
    snapshot.keep("some_samples", pl.DataFrame({"response_id": keys}, schema={"response_id": pl.String}))
    found = snapshot.query("SELECT w.* FROM wanted_lines AS w SEMI JOIN some_samples AS s USING (response_id)")
    return {
        row["response_id"]: (
            (row["model"], row["revision"], row["sampling"]),
            Sample(row["prompt_id"], row["messages_digest"], row["sample_index"]),
            row["is_there"],
        )
        for row in found.iter_rows(named=True)
    }


def _chunks(items: Iterator[Item], size: int | None) -> Iterator[Iterator[Item]]:
    """Yield the items in chunks of at most `size`, each to be used up before the next; in one chunk without a size."""
    for first in items:
        yield chain([first], items if size is None else islice(items, size - 1))
