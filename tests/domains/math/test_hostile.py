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


def test_the_suite_is_large_and_its_notes_differ():
    assert len(HOSTILE) >= 30
    assert len({note for note, _, _ in HOSTILE}) == len(HOSTILE)


MAY_HANG = [case for case in HOSTILE if "timeout" in case[2]]
OTHERS = [case for case in MAY_HANG if MAY_HANG.index(case) % 6]
"""Each may take all of its time: one in six is tried at every change, these by the slow tests."""
SOME = [case for case in HOSTILE if case not in OTHERS]


def judged(cases):
    """Every hostile response with a right one behind it, in batches of eight, and the most memory that a worker took."""
    rows = {
        note: [{"text": said, "reference": "5", "finish_reason": "stop"} for said in (text, RIGHT)] for note, text, _ in cases
    }
    may_hang = {note: pair for note, pair in rows.items() if note in {note for note, _, _ in MAY_HANG}}
    start = partial(verifying_worker, "math", VerifyMath(memory_mb=MEMORY_MB))
    peak, ended = [0], Event()
    watcher = Thread(target=watch_memory, args=(peak, ended))
    watcher.start()
    seen = {}
    for pairs, deadline_s in ((may_hang, DEADLINE_S), ({n: p for n, p in rows.items() if n not in may_hang}, PATIENCE_S)):
        some = [row for pair in pairs.values() for row in pair]
        batches = [some[at : at + 8] for at in range(0, len(some), 8)]
        with closing(LocalEngine(2, forks=True).map(start, batches, deadline_s)) as stream:
            seen |= {id(result.row): result for result in stream}
    ended.set()
    watcher.join()
    ForkServer.end_idle()  # it would wait for the next build that starts the same
    found = {note: [outcome(seen[id(row)]) for row in pair] for note, pair in rows.items()}
    return {"outcomes": found, "peak": max(peak), "left": psutil.Process().children(recursive=True)}


@pytest.fixture(scope="module")
def results():
    return judged(SOME)


@pytest.fixture(scope="module")
def others():
    return judged(OTHERS)


def watch_memory(peak, ended):
    """Of workers. A child that has not yet become another program shares this process's memory, which may be any number."""
    this = psutil.Process()
    while not ended.wait(0.05):
        for child in this.children(recursive=True):
            with suppress(psutil.Error):
                if child.cmdline() != this.cmdline():
                    peak.append(child.memory_info().rss)


def outcome(result):
    return {"timeout": "timeout", "crash": "error"}.get(result.fault) or result.value["outcome"]


@pytest.mark.parametrize(("note", "allowed"), [pytest.param(note, allowed, id=note) for note, _, allowed in SOME])
def test_a_hostile_answer_takes_its_own_row_only(results, note, allowed):
    hostile, following = results["outcomes"][note]
    assert hostile in allowed
    assert following == "passed"


@pytest.mark.slow
@pytest.mark.parametrize(("note", "allowed"), [pytest.param(note, allowed, id=note) for note, _, allowed in OTHERS])
def test_another_hostile_answer_takes_its_own_row_only(others, note, allowed):
    hostile, following = others["outcomes"][note]
    assert hostile in allowed
    assert following == "passed"


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
