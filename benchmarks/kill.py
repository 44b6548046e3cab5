"""Kill a build at a hundred random instants, restarting it each time: is its dataset that of an undisturbed build?

    python benchmarks/kill.py [--kills 100] [--prompts 3000] [--terminate 0.2] [--seed N]

The endpoint is the tests' fake, in this process, so answers and kills are timed by one clock. Its answers
are a function of the request. Exit status 1, with the reason, if a table differs in any column except times, a file is torn or
left over, a worker outlives its build, or an answer that was given more than a second before a kill is requested again.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psutil
from aiohttp import web
from measuring import ROOT, environment, write_prompts, write_recipe
from polars.testing import assert_frame_equal

sys.path.insert(0, str(ROOT))
from datakit.tables import TABLES
from tests.helpers.fake_endpoint import Fake, running

N = 5
TIMES = {"latency_s", "duration_s", "at"}  # columns that differ between builds
SAFE_S = 1.0  # an answer given this long before a kill must not be requested again
STARTING = 0.2  # share of the kills that are aimed at the start of a build, before its first request
SAMPLING = 0.6  # share of them spread over the answers; the rest come after the last answer
COMPARED = ("prompts", "responses", "verdicts", "scores", "demos", "pairs", "failures")
EXPORTS = ("sft", "dpo")
KEY = "BUILD"  # the environment variable with a start's number: requests bring it as their key
ASKED_BY: ContextVar[int] = ContextVar("asked_by")
"""The start whose request is being answered."""


@dataclass
class Recording(Fake):
    """A fake endpoint that keeps which start asked it, when it answered, and with what."""

    given: list[tuple[int, float, list[bytes]]] = field(default_factory=list)

    async def _complete(self, request: web.BaseRequest) -> web.StreamResponse:
        ASKED_BY.set(int(request.headers["Authorization"].removeprefix("Bearer ")))
        return await super()._complete(request)

    def _count(self, keys: list[bytes]) -> None:
        super()._count(keys)
        self.given.append((ASKED_BY.get(), time.monotonic(), keys))


@dataclass
class Story:
    """The record of the builds that were killed."""

    kills: dict[int, float] = field(default_factory=dict)
    """time.monotonic() of the signal that each start got."""
    terminated: int = 0
    finished: int = 0
    """Starts that ended before their signal."""
    troubles: list[str] = field(default_factory=list)


def main() -> int:
    """Run an undisturbed build and a build that is killed, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--prompts", type=int, default=3000)
    parser.add_argument("--latency-ms", type=float, default=100.0)
    parser.add_argument("--in-flight", type=int, default=4)
    parser.add_argument(
        "--terminate", type=float, default=0.0, help="share of the signals that are SIGTERM; others are SIGKILL"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}: {options.prompts:,} prompts x {N}, {options.kills} kills")
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder) / "alone", Path(folder) / "killed"
        with fake_of(options) as fake:
            first_s, whole_s = leave_alone(build_command(Path(folder), fake, alone, options), fake)
        print(f"left alone it takes {whole_s:.1f} s, the first answer comes after {first_s:.1f} s", flush=True)
        with fake_of(options) as fake:
            story = kill_often(build_command(Path(folder), fake, killed, options), fake, first_s, options)
        troubles = [*story.troubles, *differences(alone, killed), *left_over(killed), *asked_twice(fake, story)]
    print(
        f"{len(story.kills)} builds killed, {story.terminated} of them by SIGTERM; {story.finished} ended before their signal"
    )
    print("\n".join(troubles) or "the dataset is the same, row for row")
    return 1 if troubles else 0


# ------------------------------------------------------------------------------------------------------------------ builds


@contextmanager
def fake_of(options: argparse.Namespace) -> Iterator[Recording]:
    """Start a new endpoint."""
    with running(Recording(latency_s=options.latency_ms / 1000, lognormal=True, keep=False)) as fake:
        assert isinstance(fake, Recording)
        yield fake


def build_command(folder: Path, fake: Fake, out: Path, options: argparse.Namespace) -> list[str | Path]:
    """Return the command of a whole build, from prompts to exported folders."""
    prompts = write_prompts(folder / "prompts.jsonl", options.prompts)
    recipe = write_recipe(folder / f"{out.name}.yaml", fake.url, prompts, N, options.in_flight, KEY)
    return [sys.executable, "-m", "datakit", "build", "--recipe", recipe, "--out", out]


def start(command: list[str | Path], number: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), KEY: str(number)},
    )


def leave_alone(command: list[str | Path], fake: Recording) -> tuple[float, float]:
    """Run the undisturbed build. Return the seconds to its first answer and to its end; raise SystemExit if it fails."""
    began_at = time.monotonic()
    _, said = (process := start(command)).communicate()
    if process.returncode != 0:
        sys.exit(f"the build left alone ended with exit status {process.returncode}:\n{said}")
    return fake.given[0][1] - began_at, time.monotonic() - began_at


def kill_often(command: list[str | Path], fake: Recording, first_s: float, options: argparse.Namespace) -> Story:
    """Start the build and stop it at a random instant, again and again; then let it finish.

    While samples are missing, instants are counted in answers, so that the kills are spread over the sampling however busy the
    machine is. Some are aimed at the start, and the rest, once all samples are there, at what comes after.
    """
    chance, story, number = random.Random(options.seed), Story(), 0
    answers = options.prompts / (SAMPLING * options.kills)
    while len(story.kills) < options.kills and not story.troubles:
        number += 1
        process, began_at = start(command, number), time.monotonic()
        if chance.random() < STARTING or fake.n_responses - fake.responses_twice >= options.prompts * N:
            delay_s = chance.uniform(0, first_s)
        else:
            wait_for(process, fake, fake.n_answered + 1 + int(chance.expovariate(1 / answers)))
            delay_s = chance.uniform(0, 0.01)
        if stop(process, number, delay_s, signal.SIGTERM if chance.random() < options.terminate else signal.SIGKILL, story):
            if len(story.kills) % 10 == 0:
                print(f"{len(story.kills)} kills, {fake.n_responses:,} answers given", flush=True)
        else:
            first_s = time.monotonic() - began_at  # a start with little to do, on the machine as it is now
    process = start(command, number + 1)
    _, said = process.communicate()
    if process.returncode != 0:
        story.troubles.append(f"the last start ended with exit status {process.returncode}:\n{said}")
    return story


def wait_for(process: subprocess.Popen[str], fake: Recording, n_answers: int) -> None:
    """Wait until `n_answers` were given, or the build has ended."""
    while process.poll() is None and fake.n_answered < n_answers:
        time.sleep(0.001)


def stop(process: subprocess.Popen[str], number: int, delay_s: float, by: signal.Signals, story: Story) -> bool:
    """Wait, send the signal, wait for the process and its workers. Return True if the signal came before the build's end."""
    try:
        _, said = process.communicate(timeout=delay_s)
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid).children(recursive=True)
        story.kills[number] = time.monotonic()
        story.terminated += by is signal.SIGTERM
        process.send_signal(by)
        _, said = process.communicate(timeout=60)
        story.troubles += [f"{worker} outlived its build" for worker in psutil.wait_procs(family, timeout=10)[1]]
        expected = (-by, 143) if by is signal.SIGTERM else (-by,)  # a SIGTERM may come before anything listens to it
    else:
        story.finished += 1
        expected = (0,)
    if process.returncode not in expected:
        story.troubles.append(f"a start ended with exit status {process.returncode}, not {expected[-1]}:\n{said}")
    return expected != (0,)


# ---------------------------------------------------------------------------------------------------------------- comparing


def differences(alone: Path, killed: Path, tolerance: float = 0.0) -> Iterator[str]:
    """Yield the tables and exports whose rows differ in any column except times, and repeated rows. Fractions may differ by
    `tolerance`."""
    for name in (*COMPARED, *EXPORTS):
        key = list(TABLES[name].key) if name in TABLES else ["prompt_id", "model"]
        ours, theirs = read(killed, name, key), read(alone, name, key)
        if ours.height != ours.unique(key).height:
            yield f"{name}: {ours.height - ours.unique(key).height:,} rows stand twice"
        try:
            assert_frame_equal(ours, theirs, rel_tol=0.0, abs_tol=tolerance)
        except AssertionError:
            more, fewer = (one.join(two, on=key, how="anti").height for one, two in ((ours, theirs), (theirs, ours)))
            yield f"{name}: differs: {ours.height:,} rows for {theirs.height:,}; {more:,} that are new, {fewer:,} missing"


def read(run: Path, name: str, key: list[str]) -> pl.DataFrame:
    """Return a table or an export, sorted and without times."""
    files = sorted((run / name).glob("*.parquet"))
    rows = pl.concat([pl.read_parquet(file) for file in files]) if files else TABLES[name].frame()
    return rows.drop(TIMES & set(rows.columns)).sort(key)


def left_over(run: Path) -> Iterator[str]:
    """Yield files that an interrupted writer left."""
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        if path.suffix == ".tmp" or path.name.startswith("journal-"):
            yield f"{path.relative_to(run)} is left over"


def asked_twice(fake: Recording, story: Story) -> Iterator[str]:
    """Print how many answers were given twice. Yield those that were safe before a kill and requested again."""
    received: dict[bytes, tuple[int, float]] = {}
    twice = safe = 0
    for start, answered_at, keys in fake.given:
        for key in keys:
            if key in received:
                twice += 1
                first, first_at = received[key]
                killed_at = story.kills.get(first)
                safe += start == first or killed_at is None or killed_at - first_at > SAFE_S
            received[key] = start, answered_at
    print(f"{len(received):,} responses, {twice:,} of them given once more, {twice / max(1, len(story.kills)):.1f} a kill")
    if safe:
        yield f"{safe:,} responses were asked for again although they had come more than {SAFE_S:g} s before the kill"


if __name__ == "__main__":
    sys.exit(main())
