"""The engine of this machine against two nodes of a cluster on the same cores, in one run: only the ratios travel.

    python benchmarks/cluster.py [--turns 5] [--kinds trivial,text,math,code,score]
    python benchmarks/cluster.py --kinds wait,code,score --batch-s 0.5,1,2,4      # what a seat is to have of a batch

A seat on each of two nodes against two workers here; with `--seats 32`, of rows that wait, what many seats cost the driver.
Rows count from when all seats have begun to the last one's result; processor seconds are those of this process (it is the
driver) and of all that came from it. See benchmarks/README.md for what it gave.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
from measuring import ROOT
from rich.console import Console
from rich.table import Table
from scoring import conversation
from scoring_models import DATA, TINY
from timing import Row, ratio, read_rows

from datakit import recipe, rewards
from datakit.domains import DOMAINS, verifying_worker
from datakit.engine import fleet
from datakit.engine.local import LocalEngines
from datakit.engine.protocol import Engines, Work, Worker
from datakit.engine.ray import RayEngines
from datakit.recipe import VerifyCode, VerifyMath
from datakit.score.missing import CHUNK_ROWS
from datakit.signals import Signals
from datakit.verify import VERIFY_BATCH

sys.path.insert(0, str(ROOT))
from tests.helpers import engine_workers
from tests.helpers.nodes import nodes

ALMOST_NONE_S = 0.05  # between rows that only find out whether both seats have begun


@dataclass(frozen=True)
class Kind:
    """Rows, and what is done with them."""

    rows: list[Row]
    start: Callable[[], Worker]
    work: Work
    batch: int = VERIFY_BATCH
    deadline_s: float | None = None


@dataclass(frozen=True)
class Turn:
    """Of one contestant: from when both seats have begun to the last result."""

    seconds: float
    driver_s: float
    """Of processors, in this process;"""
    all_s: float
    """in it and all that came from it."""


def main() -> int:
    """A table a size of batches: each kind here and on two nodes, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seats", type=int, default=2, help="in all; half of them on each node")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows, for a quick look")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=["trivial", "text", "math", "code", "score"])
    parser.add_argument("--batch-s", type=lambda text: [float(one) for one in text.split(",")], default=[fleet.BATCH_S])
    options = parser.parse_args()
    kinds = {name: KINDS[name](options.seats) for name in options.kinds}
    kinds = {name: replace(kind, rows=kind.rows[:: round(1 / options.share)]) for name, kind in kinds.items()}
    set_there = {"PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}
    set_there["OMP_NUM_THREADS"] = "1"  # else a thread for each processor that a node says it has
    with (
        nodes(2, options.seats // 2, **set_there) as two,
        closing(RayEngines(two.address, print, Signals(), 20.0)) as engines,
    ):
        contestants: dict[str, tuple[Engines, float]] = {"here": (LocalEngines(), 0.0)}
        contestants |= {f"2 nodes, batches of {size:g} s": (engines, size) for size in options.batch_s}
        for name, kind in kinds.items():
            turns: dict[str, list[Turn]] = {contestant: [] for contestant in contestants}
            for at in range(options.turns):
                for contestant in list(contestants)[:: -1 if at % 2 else 1]:
                    turns[contestant].append(turn(kind, *contestants[contestant]))
            show(name, len(kind.rows), turns)
    return 0


def turn(kind: Kind, engines: Engines, batch_s: float) -> Turn:
    """One contestant over the rows of a kind, its start not counted."""
    fleet.BATCH_S = batch_s
    with tempfile.TemporaryDirectory() as begun:
        began: list[tuple[float, float, float]] = []

        def batches() -> Iterator[list[Row]]:
            while len(list(Path(begun).iterdir())) < (kind.work.workers or 0):
                yield [kind.rows[0]]
                time.sleep(ALMOST_NONE_S)
            began.append(now())
            rows = [{**row, "counts": True} for row in kind.rows]
            yield from (rows[at : at + kind.batch] for at in range(0, len(rows), kind.batch))

        engine = engines.engine(kind.work)
        with closing(
            engine.map(partial(engine_workers.noting, Path(begun), kind.start), batches(), kind.deadline_s)
        ) as results:
            n_left = len(kind.rows)
            while n_left:
                n_left -= "counts" in next(results).row
            return Turn(*(b - a for a, b in zip(began[0], now(), strict=True)))


def now() -> tuple[float, float, float]:
    """The clock, and processor seconds of this process and of its whole family."""
    me, all_s = psutil.Process(), 0.0
    for one in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            all_s += sum(one.cpu_times()[:4])  # its own, and of its children that have ended
    return time.monotonic(), time.process_time(), all_s


def show(name: str, n: int, turns: dict[str, list[Turn]]) -> None:
    """Medians; rows a second and processor seconds beside those of the first contestant, as medians over the turns."""
    columns = ("", "rows/s", "of here", "driver, us of CPU a row", "all, ms of CPU a row", "to here")
    table = Table(*columns, title=f"{name}: {n:,} rows")
    here = turns["here"]
    for contestant, some in turns.items():
        table.add_row(
            contestant,
            f"{n / statistics.median(one.seconds for one in some):,.1f}",
            f"{ratio([one.seconds for one in here], [one.seconds for one in some]):.2f}",
            f"{statistics.median(one.driver_s for one in some) / n * 1e6:,.0f}",
            f"{statistics.median(one.all_s for one in some) / n * 1e3:,.2f}",
            f"{ratio([one.all_s for one in some], [one.all_s for one in here]):.2f}",
        )
    Console(width=120).print(table)


# ------------------------------------------------------------------------------------------------------------------- kinds


def trivial(seats: int) -> Kind:
    """Numbers that are doubled."""
    return Kind([{"x": at} for at in range(400_000)], engine_workers.start, Work(seats))


def text(seats: int) -> Kind:
    """The same with 4 kB of text."""
    rows = [{"x": at, "text": "four" * 1000 + str(at)} for at in range(100_000)]
    return Kind(rows, engine_workers.start, Work(seats))


def wait(seats: int) -> Kind:
    """Half a second that takes no processor."""
    return Kind([{"x": at, "do": "sleep", "s": 0.5} for at in range(50 * seats)], engine_workers.start, Work(seats))


def math(seats: int) -> Kind:
    """Real answers."""
    return labelled("math", VerifyMath(), 10_000, seats)


def code(seats: int) -> Kind:
    """Real programs and their tests."""
    return labelled("code", VerifyCode(), 4_000, seats)


def score(seats: int) -> Kind:
    """Real answers through a tiny reward model, those of like length together, as a build has them."""
    reward = recipe.ArmoRM.model_validate({"type": "armorm", "model": str(TINY), "revision": "r", "dtype": "float32"})
    reward.locate(Path())
    talks = [conversation(row) for row in read_rows(DATA / "responses" / "instruct.jsonl.gz", 1000)]
    talks.sort(key=lambda talk: -sum(len(message["content"]) for message in talk))
    start = partial(rewards.scoring_worker, reward, ["cpu"] * seats)
    return Kind([{"messages": talk} for talk in talks], start, Work(seats), CHUNK_ROWS)


def labelled(domain: str, options: VerifyMath | VerifyCode, n: int, seats: int) -> Kind:
    """Rows as the verify stage has them."""
    rows = [
        {
            "text": row["response"],
            "reference": row["gold_answer"] if domain == "math" else row["tests"],
            "messages": [{"role": "user", "content": row["prompt"]}],
            **{name: row.get(name) for name in ("test_style", "entry_point", "solution")},
            "complete": True,
        }
        for row in read_rows(DATA / "responses" / f"{domain}.jsonl.gz", n)
    ]
    verifier = DOMAINS[domain](options).verifier
    if verifier is None:
        raise TypeError(domain)
    start = partial(verifying_worker, domain, options)
    return Kind(rows, start, Work(seats, pinned=True, forks=verifier.forks), deadline_s=verifier.deadline_s)


KINDS: dict[str, Callable[[int], Kind]] = {
    "trivial": trivial,
    "text": text,
    "wait": wait,
    "math": math,
    "code": code,
    "score": score,
}

if __name__ == "__main__":
    sys.exit(main())
