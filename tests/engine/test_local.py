"""The engine's promises: every row answered once, only the guilty row blamed, nothing left behind."""

import itertools
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.engine.forks import ForkServer
from datakit.engine.local import LocalEngine
from datakit.engine.protocol import Engine
from datakit.errors import BadInput, WorkerError
from datakit.tables import Rows
from tests.helpers.engine_workers import start, start_breaks, start_dies, start_noting, start_refuses, start_short, start_slowly
from tests.helpers.folders import ROOT
from tests.helpers.laws import examples
from tests.helpers.waiting import wait_for

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, dies by prctl")


@pytest.fixture(scope="module", autouse=True, params=[False, pytest.param(True, marks=linux)], ids=["started", "forked"])
def forks(request):
    """Every promise holds for workers that start by themselves, and for those that are forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "LocalEngine", partial(LocalEngine, forks=request.param))
        yield request.param


def batches(rows, size):
    for at in range(0, len(rows), size):
        yield rows[at : at + size]


def run(rows, workers=2, size=4, deadline_s=None, start=start):
    return list(LocalEngine(workers).map(start, batches(rows, size), deadline_s))


def numbers(n):
    return [{"x": x} for x in range(n)]


def outcomes(results):
    return {r.row["x"]: r.fault or r.value["out"] for r in results}


def children():
    """Processes whose parent is this one, dead ones that were not reaped included; not the one that waits to fork again."""
    found = []
    idle = ForkServer.idle.process if ForkServer.idle is not None else None
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and (idle is None or int(stat.parent.name) != idle.pid):
            found.append(int(stat.parent.name))
    return found


def test_every_row_of_many_batches_is_answered_once():
    engine: Engine = LocalEngine(2)
    results = list(engine.map(start, batches(numbers(500), 7), 5.0))
    assert len(results) == 500
    assert outcomes(results) == {x: 2 * x for x in range(500)}
    assert all(r.message is None and r.duration_s >= 0 for r in results)


def test_large_rows_pass_both_ways():
    rows = [{"x": str(x) * 300_000} for x in range(8)]
    assert sorted(r.value["out"][0] for r in run(rows)) == [str(x) for x in range(8)]


@examples(8)
@given(
    sizes=st.lists(st.integers(0, 5), max_size=6),
    workers=st.integers(1, 3),
    faults=st.sets(st.integers(0, 29), max_size=2),
)
def test_results_are_those_of_map_whatever_the_batches(sizes, workers, faults):
    counter = itertools.count()
    parts = [[{"x": x, "do": "exit" if x in faults else None} for x in itertools.islice(counter, n)] for n in sizes]
    results = list(LocalEngine(workers).map(start, parts, 5.0))
    expected = {x: "crash" if x in faults else 2 * x for x in range(sum(sizes))}
    assert outcomes(results) == expected
    assert len(results) == len(expected)


def test_no_batches_start_no_worker():
    assert run([], start=start_refuses) == []


def test_batches_are_read_only_when_a_worker_is_free():
    read = []

    def reading():
        for x in range(40):
            read.append(x)
            yield [{"x": x}]

    seen = 0
    for _ in LocalEngine(2).map(start, reading(), None):
        seen += 1
        assert len(read) <= seen + 2
    assert seen == 40


def test_the_deadline_blames_only_the_row_in_progress():
    rows = numbers(12)
    rows[1] |= {"do": "busy in C"}
    rows[6] |= {"do": "sleep", "s": 60}
    results = run(rows, size=6, deadline_s=1.0)
    assert outcomes(results) == {x: 2 * x for x in range(12)} | {1: "timeout", 6: "timeout"}
    timeouts = [r for r in results if r.fault]
    assert all(r.value is None and r.message == "no result within 1 s" and r.duration_s >= 1.0 for r in timeouts)


def test_a_slow_reader_does_not_make_rows_late():
    rows = numbers(30)
    results = []
    for result in LocalEngine(1).map(start, batches(rows, 10), 0.2):
        if len(results) % 10 == 3:
            time.sleep(0.4)
        results.append(result)
    assert outcomes(results) == {x: 2 * x for x in range(30)}


def test_a_row_that_ends_late_is_late_whoever_looks():
    rows: Rows = [{"x": 0}, {"x": 1, "do": "sleep", "s": 0.3}, {"x": 2}]
    results = []
    for result in LocalEngine(1).map(start, [rows], 0.2):
        time.sleep(0.6)  # longer than the row takes: its result waits to be read
        results.append(result)
    assert outcomes(results) == {0: 0, 1: "timeout", 2: 4}


def test_the_time_to_start_is_no_rows_time():
    assert outcomes(run(numbers(3), deadline_s=0.3, start=partial(start_slowly, 0.6))) == {0: 0, 1: 2, 2: 4}


@pytest.mark.parametrize(
    ("how", "message"),
    [("exit", "exit status 3"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL (out of memory?)")],
)
def test_a_death_blames_only_the_row_in_progress(how, message):
    rows = numbers(9)
    rows[4] |= {"do": how}
    results = run(rows, size=9)
    assert outcomes(results) == {x: 2 * x for x in range(9)} | {4: "crash"}
    assert message in next(r.message for r in results if r.fault)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "ValueError: bad row"),
        ("unpicklable", "a result that cannot be pickled: "),
        ("pipe", "BrokenPipeError: of its own"),
    ],
)
def test_an_exception_takes_one_row_and_the_worker_goes_on(how, message):
    rows = numbers(9)
    rows[0] |= {"do": how}
    rows[8] |= {"do": how}
    results = run(rows, size=9)
    assert outcomes(results) == {x: 2 * x for x in range(9)} | {0: "crash", 8: "crash"}
    assert all(message in r.message for r in results if r.fault)


def test_a_worker_that_gives_too_few_results_does_not_lose_rows():
    results = run(numbers(6), size=6, start=start_short)
    assert outcomes(results) == {0: 0, 1: 2, 2: "crash", 3: 6, 4: 8, 5: "crash"}


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (start_refuses, BadInput, "^model folder not found: /nowhere$"),
        (start_breaks, WorkerError, "cannot start: ZeroDivisionError: one by none"),
        (start_dies, WorkerError, "exit status 9"),
    ],
)
def test_a_start_that_fails_stops_the_map(start, error, message):
    with pytest.raises(error, match=message):
        run(numbers(4), start=start)


def test_a_worker_loads_nothing_heavy_of_its_own():
    """Each worker pays for it again, and `start` imports what it needs."""
    code = "import sys, datakit.engine.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"polars", "duckdb", "pydantic", "numpy"} & set(found.stdout.split()) == set()


def test_workers_have_no_secrets_and_no_stdout(monkeypatch, capfd):
    monkeypatch.setenv("VLLM_API_KEY", "sk-1")
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    names, printed = run([{"x": 0, "do": "environment"}, {"x": 1, "do": "print"}], workers=1)
    assert "TOKENIZERS_PARALLELISM" in names.value["out"]
    assert not {"VLLM_API_KEY", "GITHUB_TOKEN"} & set(names.value["out"])
    assert printed.value == {"out": 2}
    assert "not for stdout" not in capfd.readouterr().out


@linux
@pytest.mark.parametrize("how", ["exhausted", "closed", "exception in batches", "Ctrl-C"])
def test_no_process_is_left(how):
    before = set(children())

    def long():
        for x in range(500):
            if how == "exception in batches" and x == 4:
                raise OSError("disk")
            if how == "Ctrl-C" and x == 4:
                signal.raise_signal(signal.SIGINT)
            yield [{"x": x, "do": "sleep" if x > 4 else None, "s": 0.05}]

    results = LocalEngine(2).map(start, long() if how != "exhausted" else [numbers(3)], None)
    next(results)
    assert set(children()) > before
    expected = {"exception in batches": OSError, "Ctrl-C": KeyboardInterrupt}
    if how in expected:
        with pytest.raises(expected[how]):
            list(results)
    elif how == "exhausted":
        list(results)
    else:
        results.close()
    assert set(children()) == before


PARENT = """
import sys, time
sys.path[:0] = {paths!r}
from datakit.engine.forks import ForkServer
from datakit.engine.local import LocalEngine
from tests.helpers.engine_workers import start
rows = [[{{"x": 0}}, {{"x": 1, "do": {how!r}, "s": 600}}]] * 2
for result in LocalEngine(2).map(start, rows, None):
    print(result.row["x"], flush=True)
"""


@linux
@pytest.mark.parametrize("how", ["sleep", "busy in C"])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_workers_die_with_their_parent(how, sign):
    paths = [str(ROOT / "tests"), str(ROOT)]
    command = [sys.executable, "-c", PARENT.format(paths=paths, how=how)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert [parent.stdout.readline(), parent.stdout.readline()] == ["0\n", "0\n"]  # both are on their second row
        workers = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(workers) == 2
        parent.send_signal(sign)
        parent.wait(timeout=10)
    wait_for(lambda: not any(_alive(pid) for pid in workers))


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def where(rows):
    """The cores that this process may use."""
    return ({"cores": sorted(os.sched_getaffinity(0))} for _ in rows)


def start_where():
    return where


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not pin processes")
def test_pinned_workers_take_one_core_each_and_only_where_all_are_taken():
    cores = sorted(os.sched_getaffinity(0))
    rows = [[{"at": at}] for at in range(4 * len(cores))]
    pinned = {tuple(result.value["cores"]) for result in LocalEngine(pinned=True).map(start_where, rows, 20.0)}
    assert pinned <= {(core,) for core in cores}
    free = [result.value["cores"] for result in LocalEngine(len(cores) + 1, pinned=True).map(start_where, rows, 20.0)]
    assert all(found == cores for found in free)


def test_a_row_behind_a_killed_one_does_not_wait_for_a_start(tmp_path, forks):
    """Whoever starts writes when it is done. A fork needs no start; else the next worker has started beside the slow row."""
    rows: Rows = [{"x": 0}, {"x": 1, "do": "sleep", "s": 60}, {"x": 2}, {"x": 3, "do": "exit"}, {"x": 4}]
    stream = LocalEngine(1).map(partial(start_noting, tmp_path / "starts"), [rows], 2.0)
    starts = [(result.row["x"], result.fault, len((tmp_path / "starts").read_text())) for result in stream]
    if forks:
        assert starts == [(0, None, 1), (1, "timeout", 1), (2, None, 1), (3, "crash", 1), (4, None, 1)]
    else:
        assert starts == [(0, None, 1), (1, "timeout", 2), (2, None, 2), (3, "crash", 2), (4, None, 3)]
    assert children() == []


@linux
def test_forks_die_with_the_process_that_they_come_from():
    stream = LocalEngine(2, forks=True).map(start, [[{"x": x}, {"x": x + 1, "do": "sleep", "s": 600}] for x in (0, 10)], None)
    assert {next(stream).row["x"], next(stream).row["x"]} == {0, 10}  # both are on their second row
    (server,) = children()
    forked = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    assert len(forked) == 2
    stream.close()
    wait_for(lambda: not any(_alive(pid) for pid in forked))


def working(engine, start=start):
    """The process that the engine's workers are forked from, while they answer a row."""
    stream = engine.map(start, [[{"x": 0}, {"x": 1}]], None)
    next(stream)
    (server,) = children()
    assert [result.value["out"] for result in stream] == [2]
    return server


@linux
def test_the_process_that_forks_serves_the_next_build_that_starts_the_same():
    first = working(LocalEngine(1, forks=True))
    assert working(LocalEngine(2, forks=True)) == first
    other = working(LocalEngine(1, forks=True), partial(start_slowly, 0.0))
    assert other != first and not _alive(first)
    assert working(LocalEngine(1, forks=True)) != other and not _alive(other)


@linux
def test_a_build_that_fails_leaves_no_process_for_the_next():
    def breaks():
        yield [{"x": 0}]
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(LocalEngine(1, forks=True).map(start, breaks(), None))
    assert ForkServer.idle is None and children() == []


@linux
def test_a_worker_whose_nursery_was_killed_costs_its_own_row():
    rows = [{"x": x, "do": "kill parent" if x == 2 else None} for x in range(6)]
    results = list(LocalEngine(1, forks=True).map(start, [rows], None))
    assert outcomes(results) == {x: 2 * x for x in range(6)} | {2: "crash"}
