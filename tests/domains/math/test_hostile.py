r"""Answers made to hang, to crash, to eat memory or to run code: each takes its own row, within the deadline, and no more."""

from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from datakit.domains import verifying_worker
from datakit.engine.forks import ForkServer
from datakit.engine.local import LocalEngine
from datakit.machine import limit_memory
from datakit.recipe import VerifyMath
from tests.helpers.hostile_math import HOSTILE

DEADLINE_S = 1.0
PATIENCE_S = 20.0  # of what must come to an end by itself, also on a machine with other work
MEMORY_MB = 1024
RIGHT = r"\boxed{5}"


def names():
    return [note for note, _, _ in HOSTILE]


def test_the_suite_is_large_and_its_notes_differ():
    assert len(HOSTILE) >= 30
    assert len(set(names())) == len(HOSTILE)


@pytest.fixture(scope="module")
def results():
    """Every hostile response with a right one behind it, in batches of eight, and the most memory that a worker took."""
    rows = [{"text": text, "reference": "5", "finish_reason": "stop"} for _, text, _ in HOSTILE for text in (text, RIGHT)]
    may_hang = [row for (_, _, allowed), row in zip(HOSTILE, rows[::2], strict=True) if "timeout" in allowed]
    hasty = [row for pair in zip(rows[::2], rows[1::2], strict=True) if pair[0] in may_hang for row in pair]
    patient = [row for pair in zip(rows[::2], rows[1::2], strict=True) if pair[0] not in may_hang for row in pair]
    start = partial(verifying_worker, "math", VerifyMath(memory_mb=MEMORY_MB))
    peak, ended = [0], Event()
    watcher = Thread(target=watch_memory, args=(peak, ended))
    watcher.start()
    seen = {}
    for some, deadline_s in ((hasty, DEADLINE_S), (patient, PATIENCE_S)):
        batches = [some[at : at + 8] for at in range(0, len(some), 8)]
        with closing(LocalEngine(2, forks=True).map(start, batches, deadline_s)) as stream:
            seen |= {id(result.row): result for result in stream}
    ended.set()
    watcher.join()
    ForkServer.end_idle()  # it would wait for the next build that starts the same
    return {"rows": [seen[id(row)] for row in rows], "peak": max(peak), "left": psutil.Process().children(recursive=True)}


def watch_memory(peak, ended):
    while not ended.wait(0.05):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                peak.append(child.memory_info().rss)


def outcome(result):
    return {"timeout": "timeout", "crash": "error"}.get(result.fault) or result.value["outcome"]


@pytest.mark.parametrize("at", range(len(HOSTILE)), ids=names())
def test_a_hostile_answer_takes_its_own_row_only(results, at):
    hostile, following = results["rows"][2 * at : 2 * at + 2]
    assert outcome(hostile) in HOSTILE[at][2]
    assert outcome(following) == "passed"


def test_no_worker_is_left_and_memory_was_bounded(results):
    assert results["left"] == []
    assert results["peak"] < MEMORY_MB * 2**20


def test_a_worker_that_wants_more_memory_takes_its_own_row_only():
    rows = [{"mb": 10}, {"mb": 2000}, {"mb": 10}]
    results = list(LocalEngine(1).map(partial(greedy_worker, 1500), [rows], 30.0))
    assert [result.fault for result in results] == [None, "crash", None]
    assert "MemoryError" in results[1].message


def greedy_worker(limit_mb):
    limit_memory(limit_mb)
    return lambda rows: ({"taken": len(bytearray(row["mb"] * 2**20))} for row in rows)


def test_no_code_of_an_answer_ran():
    assert not Path("PWNED").exists()
