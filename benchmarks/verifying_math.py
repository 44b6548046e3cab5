"""The math half of `verifying.py`: real labelled responses, with and without pathological ones among them."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from timing import Row, interleaved, read_rows, show

from datakit.domains import verifying_worker
from datakit.engine.local import LocalEngine
from datakit.recipe import VerifyMath
from datakit.verify import VERIFY_BATCH

DATA = Path(os.environ.get("DATAKIT_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "responses" / "math.jsonl.gz"
WATCHDOG_S = 30.0
DEADLINE_S = 2.0
ONE_IN = 500  # rows: 0.2 % are pathological
PATHOLOGICAL = ["9^{9^{9^9}}", "10^9!", "((9!)!)!", r"\binom{10^8}{5\cdot 10^7}"]


def add_math(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `verifying.py math`."""
    parser.add_argument("--rows", type=int, help="take this many of the labelled rows, evenly; by default all")
    parser.add_argument("--hostile-rows", type=int, default=2000, help=f"rows of the second part, one in {ONE_IN} pathological")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print two tables: the labelled rows, and a part of them with pathological answers among them."""
    rows = as_rows(read_rows(options.data, options.rows))
    hostile = with_pathological(as_rows(read_rows(options.data, options.hostile_rows)))
    for title, some, repeat in (
        ("real responses", rows, options.repeat),
        ("with 0.2 % pathological answers", hostile, min(options.repeat, 3) if hostile else 0),
    ):
        if not repeat:
            continue
        verdicts: dict[str, list[str]] = {}
        seconds = interleaved(contestants(some, options.workers, verdicts), repeat)
        show(title, seconds, len(some))
        for name, outcomes in verdicts.items():
            labelled = [
                (outcome == "passed") is row["label"]
                for outcome, row in zip(outcomes, some, strict=True)
                if row["label"] is not None
            ]
            print(f"{name}: {sum(labelled):,} of {len(labelled):,} labels met, {outcomes.count('timeout')} stopped")


def as_rows(rows: list[Row]) -> list[Row]:
    """Return responses as rows of the verify stage, with their labels; those on which two graders disagree are left out."""
    labelled = [row for row in rows if row["label_correct"] is not None]
    return [
        {"text": row["response"], "reference": row["gold_answer"], "finish_reason": None, "label": row["label_correct"]}
        for row in labelled
    ]


def with_pathological(rows: list[Row]) -> list[Row]:
    """Replace one answer in 500 by one that takes forever to compare."""
    mixed = list(rows)
    for turn, at in enumerate(range(ONE_IN // 2, len(mixed), ONE_IN)):
        answer = PATHOLOGICAL[turn % len(PATHOLOGICAL)]
        mixed[at] = mixed[at] | {"text": f"So it is $\\boxed{{{answer}}}$.", "label": False}
    return mixed


def contestants(rows: list[Row], workers: int, verdicts: dict[str, list[str]]) -> dict[str, Callable[[], float]]:
    """Return the contestants, each measured with its start and its end, from rows in memory to all verdicts."""

    def timed(name: str, outcomes_of: Callable[[], list[str]]) -> Callable[[], float]:
        def once() -> float:
            began_at = time.perf_counter()
            verdicts[name] = outcomes_of()
            return time.perf_counter() - began_at

        return once

    return {
        name: timed(name, outcomes)
        for name, outcomes in {
            "math-verify, one process": partial(plain, rows),
            f"datakit, {workers} workers": partial(ours, rows, workers),
        }.items()
    }


def ours(rows: list[Row], workers: int) -> list[str]:
    """Verify with the engine and the worker of a build."""
    numbered = [row | {"at": at} for at, row in enumerate(rows)]
    batches = (numbered[at : at + VERIFY_BATCH] for at in range(0, len(numbered), VERIFY_BATCH))
    outcomes = [""] * len(rows)
    with closing(
        LocalEngine(workers, True, forks=True).map(partial(verifying_worker, "math", VerifyMath()), batches, DEADLINE_S)
    ) as results:
        for result in results:
            outcomes[result.row["at"]] = result.value["outcome"] if result.value else result.fault or ""
    return outcomes


def plain(rows: list[Row]) -> list[str]:
    """Verify like the usual script: parse and verify in one process, which a watchdog restarts after 30 s."""
    outcomes: list[str] = []
    while len(outcomes) < len(rows):
        ours_end, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_plain_worker, args=(theirs, rows[len(outcomes) :]))
        process.start()
        theirs.close()
        while len(outcomes) < len(rows):
            waits_s = WATCHDOG_S if outcomes else 2 * WATCHDOG_S  # the first includes the start
            try:
                outcomes.append(ours_end.recv() if ours_end.poll(waits_s) else "timeout")
            except EOFError:
                outcomes.append("error")
            if outcomes[-1] in ("timeout", "error"):
                break
        process.kill()
        process.join()
    return outcomes


def _plain_worker(pipe: Connection, rows: list[Row]) -> None:
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    for row in rows:
        gold = parse(row["reference"], parsing_timeout=None)
        answer = parse(row["text"], parsing_timeout=None)
        pipe.send("passed" if verify(gold, answer, timeout_seconds=None) else "failed")
