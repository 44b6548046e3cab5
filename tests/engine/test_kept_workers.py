"""Workers that stay between two maps: the same processes, each map's own start, and nothing left once they are closed."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from datakit.engine.local import WORKERS_FOLDER, LocalEngine
from datakit.errors import BadInput
from tests.helpers.engine_workers import start, start_noting, start_refuses


@pytest.fixture
def engine():
    engine = LocalEngine(2, keeps=True)
    yield engine
    engine.close()


def run(engine, rows, start=start, deadline_s=None):
    return {r.row["x"]: r.fault or r.value["out"] for r in engine.map(start, [[row] for row in rows], deadline_s)}


def numbers(n):
    return [{"x": x} for x in range(n)]


def pids(engine):
    return {seat.process.pid for seat in engine._kept.seats if seat.process is not None}


DOUBLED = {0: 0, 1: 2, 2: 4, 3: 6}


def test_the_next_map_has_its_own_start_in_the_same_processes(engine, tmp_path):
    assert run(engine, numbers(4)) == DOUBLED
    before = pids(engine)
    assert len(before) == 2
    assert run(engine, numbers(4), partial(start_noting, tmp_path / "starts")) == DOUBLED
    assert pids(engine) == before and (tmp_path / "starts").read_text() == "++"


def test_a_worker_that_died_in_between_is_replaced(engine):
    assert run(engine, numbers(4)) == DOUBLED
    before = pids(engine)
    os.kill(killed := min(before), signal.SIGKILL)
    assert run(engine, numbers(4)) == DOUBLED
    assert len(pids(engine)) == 2 and pids(engine) & before == before - {killed}


def test_a_row_that_kills_its_worker_is_blamed_in_the_second_map_too(engine):
    run(engine, numbers(2))
    assert run(engine, [*numbers(3), {"x": 3, "do": "exit"}, {"x": 4}]) == {0: 0, 1: 2, 2: 4, 3: "crash", 4: 8}


def test_a_spare_process_of_the_map_before_is_not_taken(engine, tmp_path):
    """A row past half its deadline has a spare process started, which knows the first start alone."""
    slow = [{"x": 0, "do": "sleep", "s": 0.4}]
    assert run(engine, slow, deadline_s=0.6) == {0: 0}
    assert any(seat.spare for seat in engine._kept.seats)
    found = run(engine, [{"x": 1, "do": "exit"}, {"x": 2}], partial(start_noting, tmp_path / "starts"))
    assert found == {1: "crash", 2: 4} and len((tmp_path / "starts").read_text()) >= 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_is_left_once_closed_or_refused_or_given_up(engine):
    run(engine, numbers(4))
    first = pids(engine)
    engine.close()
    run(engine, numbers(4))
    second = pids(engine)
    with pytest.raises(BadInput):
        run(engine, numbers(4), start_refuses)
    run(engine, numbers(4))
    third = pids(engine)
    results = engine.map(start, [[row] for row in numbers(4)], None)
    next(results)
    results.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in first | second | third)


def in_another_container(temp):
    """The folder of a living engine under a process id that this /proc does not have, as one sees it where /tmp is shared."""
    engine = LocalEngine(1, keeps=True)
    run(engine, numbers(1))
    [folder] = temp.glob(f"{WORKERS_FOLDER}*")
    return engine, folder.rename(folder.with_name(f"{WORKERS_FOLDER}4194999-living"))


def test_the_folder_of_a_driver_that_lives_elsewhere_stays_and_that_of_a_dead_one_goes(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere, living = in_another_container(tmp_path)
    dead = tmp_path / f"{WORKERS_FOLDER}4194999-dead"
    dead.mkdir()
    assert run(engine, numbers(2)) == {0: 0, 1: 2}
    assert living.is_dir() and not dead.exists()
    elsewhere.close()
    assert run(LocalEngine(1), numbers(1)) == {0: 0}
    assert not living.exists(), "nobody holds it any more"
