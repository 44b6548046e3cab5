"""The engine's promises on a cluster of two nodes: every row once, whatever ends, and nothing left behind."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datakit.domains import DOMAINS
from datakit.engine.host import versions
from datakit.engine.local import LocalEngines
from datakit.engine.protocol import Result, Work, Worker
from datakit.errors import BadInput, WorkerError
from datakit.options import Options
from datakit.recipe import VerifyCode, parse
from datakit.recipe.verify import VerifyMath
from datakit.stages import build
from datakit.store import Run
from datakit.tables import Rows
from datakit.verify import verdicts
from tests.helpers.engine_workers import start, start_breaks, start_refuses
from tests.helpers.folders import ROOT
from tests.helpers.monitors import Heard
from tests.helpers.nodes import KEY, Driver, hosts, workers
from tests.helpers.waiting import wait_for

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")]


def numbers(n: int) -> Rows:
    return [{"x": x} for x in range(n)]


def batches(rows: Rows, size: int) -> Iterator[Rows]:
    for at in range(0, len(rows), size):
        yield rows[at : at + size]


def run(driver: Driver, rows: Rows, size: int = 4, deadline_s: float | None = 5.0, **work: Any) -> list[Result]:
    return list(driver.engine(Work(**work)).map(start, batches(rows, size), deadline_s))


def outcomes(results: list[Result]) -> dict[int, Any]:
    assert max(Counter(result.row["x"] for result in results).values()) == 1, "no row twice"
    return {result.row["x"]: result.fault or (result.value or {}).get("out") for result in results}


def test_every_row_is_answered_once_and_nothing_is_left(driver: Driver) -> None:
    assert outcomes(run(driver, numbers(50))) == {x: 2 * x for x in range(50)}
    wait_for(lambda: not hosts() and not workers())


def test_the_guilty_row_alone_is_blamed(driver: Driver) -> None:
    rows = numbers(24)
    for at, do in ((3, "sleep"), (8, "exit"), (13, "segfault"), (18, "raise"), (23, "kill")):
        rows[at] |= {"do": do, "s": 60}
    found = outcomes(run(driver, rows, deadline_s=2.0))
    assert {x: found.pop(x) for x in (3, 8, 13, 18, 23)} == {3: "timeout", 8: "crash", 13: "crash", 18: "crash", 23: "crash"}
    assert found == {x: 2 * x for x in found}


def during(driver: Driver, happens: Callable[[], object], n: int = 60) -> dict[int, Any]:
    """What becomes of rows of a tenth of a second, when something happens after the first ones."""
    rows, results = [{"x": x, "do": "sleep", "s": 0.1} for x in range(n)], []
    for result in driver.engine(Work()).map(start, batches(rows, 4), 30.0):
        results.append(result)
        if len(results) == 8:
            happens()
    return outcomes(results)


def test_a_host_that_is_killed_gives_its_batches_to_others(driver: Driver) -> None:
    assert during(driver, lambda: hosts()[0].kill()) == {x: 2 * x for x in range(60)}
    assert any("is lost" in said for said in driver.said)


def test_a_node_that_is_killed_and_one_that_joins(driver: Driver) -> None:
    del driver.said[:]
    assert during(driver, lambda: driver.nodes.replace(0, whole=False), 120) == {x: 2 * x for x in range(120)}
    assert any("is lost (its node is gone)" in said or "is lost (Actor" in said for said in driver.said)
    assert any("takes part, with 1 seat" in said for said in driver.said)
    assert driver.teller.note == "2 nodes, 2 seats"


def test_a_row_that_ends_its_host_is_a_crash_and_goes_no_further(driver: Driver) -> None:
    rows = numbers(16)
    rows[5] |= {"do": "kill parent"}
    results = run(driver, rows, deadline_s=30.0)
    assert outcomes(results) == {x: "crash" if x == 5 else 2 * x for x in range(16)}
    [crash] = [result for result in results if result.fault]
    assert crash.message == "it ended 2 hosts of the cluster"


@pytest.mark.parametrize(
    ("begin", "error", "said"), [(start_refuses, BadInput, "/nowhere"), (start_breaks, WorkerError, "Zero")]
)
def test_what_a_start_raises_stops_the_stage(
    driver: Driver, begin: Callable[[], Worker], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        list(driver.engine(Work()).map(begin, batches(numbers(8), 4), None))
    wait_for(lambda: not hosts())


def refuse() -> None:
    raise BadInput("no sandbox here")


def test_nodes_that_cannot_do_the_work_are_left_out_and_none_at_all_is_an_error(driver: Driver) -> None:
    with pytest.raises(WorkerError, match="no node of the cluster can do this: no sandbox here"):
        run(driver, numbers(4), check=refuse)
    assert any("is left out: no sandbox here" in said for said in driver.said)


def test_alone_is_one_worker_in_all(driver: Driver) -> None:
    seen = [len(workers()) for _ in driver.engine(Work(alone=True)).map(start, batches(numbers(12), 4), 5.0)]
    assert len(seen) == 12 and max(seen) == 1


def test_another_code_on_a_node_stops_with_its_name(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datakit.engine.fleet.versions", lambda: {**versions(), "Python": "3.99"})
    with pytest.raises(WorkerError, match=r"has Python .* \(3.99 here\).*install the same on all nodes"):
        run(driver, numbers(4))


def test_nothing_is_left_of_a_driver_that_is_killed(driver: Driver) -> None:
    """And while it runs its environment is on no node: hosts have that of their node, workers lose what looks like a key."""
    code = f"""
        from datakit.engine.protocol import Work
        from datakit.engine.ray import RayEngines
        from datakit.signals import Signals
        from tests.helpers.engine_workers import start
        batches = [[{{"x": x, "do": "sleep", "s": 0.2}}] for x in range(400)]
        for result in RayEngines({driver.address!r}, print, Signals(), 20).engine(Work()).map(start, batches, 30.0):
            print("one", flush=True)
    """
    env = {**os.environ, "OPENAI_API_KEY": "of the driver", "OF_THE_DRIVER": "of the driver"}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, env=env, stdout=subprocess.PIPE) as other:
        wait_for(lambda: len(workers()) == 2)
        seen = [one.environ() for one in (*hosts(), *workers())]
        os.kill(other.pid, signal.SIGKILL)
    wait_for(lambda: not hosts() and not workers())
    assert len(seen) == 4 and not any("of the driver" in variables.values() for variables in seen)
    assert [variables.get(KEY) for variables in seen] == ["of the nodes"] * 2 + [None] * 2


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_sends_no_more_and_stores_what_is_under_way(
    driver: Driver, tmp_path: Path, sign: signal.Signals, status: int
) -> None:
    """Verdicts that are done are stored, rows that have not begun are left to the next build, and nothing is left on a node."""
    programs = [f"```python\nimport time\ndef f():\n    time.sleep(0.3)\n    return {at}\n```" for at in range(60)]
    rows = [{"prompt": "Write f().", "tests": "assert f() == 1", "model": "m", "text": text} for text in programs]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"type": "responses", "path": "rows.jsonl", "columns": {"reference": "tests"}}
    recipe = {"domain": "code", "sources": [source], "select": {"margin": None}}
    (tmp_path / "r.yaml").write_text(json.dumps({**recipe, "score": None}))
    run = tmp_path / "run"
    build = ["build", "--recipe", tmp_path / "r.yaml", "--out", run, "--until", "verify", "--cluster", driver.address]
    command = [sys.executable, "-m", "datakit", *map(str, build)]
    env = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT) as process:
        wait_for(lambda: process.poll() is not None or any(p.stat().st_size for p in (run / "verdicts").glob("journal-*")))
        process.send_signal(sign)
        _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert "waiting up to 20 s for rows under way (2 nodes, 2 seats)" in said and "Traceback" not in said
    wait_for(lambda: not hosts() and not workers())
    assert 0 < table_of(run, "verdicts").height < 60
    ended = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, check=True)
    outcomes = table_of(run, "verdicts")["outcome"].value_counts(sort=True)
    assert outcomes.rows() == [("failed", 59), ("passed", 1)], ended.stderr


def test_a_run_does_not_know_which_engine_made_it(driver: Driver, tmp_path: Path) -> None:
    """Verdicts of programs and scores of a model, begun here and gone on with on the cluster, are those of this machine."""
    rows = [
        {"prompt": f"Write f{at}().", "tests": [f"assert f{at}() == 1"], "model": model, "text": f"```python\n{program}\n```"}
        for at in range(6)
        for model, program in (
            ("a", f"def f{at}(): return 1"),
            ("b", f"def f{at}(): return {at}"),
            ("b", f"def f{at}(): return"),
        )
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"reference": "tests"}
    score = {"type": "armorm", "model": str(ROOT / "data" / "micro" / "code-reward"), "dtype": "float32", "devices": ["cpu"]}
    recipe = parse(
        {
            "domain": "code",
            "sources": [{"type": "responses", "path": "rows.jsonl", "columns": columns}],
            "verify": {"workers": 1},
            "score": score,
            "select": {"margin": None},
        },
        "r.yaml",
        tmp_path,
    )
    heard = Heard()
    build(recipe, tmp_path / "here", Options(), heard)
    build(recipe, tmp_path / "both", Options(until="verify", limit=3), heard)
    build(recipe, tmp_path / "both", Options(cluster=driver.address), heard)
    for table, told in (("verdicts", ["duration_s"]), ("scores", []), ("pairs", []), ("demos", []), ("failures", [])):
        here, both = (table_of(tmp_path / name, table).drop(told) for name in ("here", "both"))
        assert here.height or table == "failures"
        assert_frame_equal(both, here, abs_tol=1e-6)


@pytest.mark.parametrize("domain", ["math", "code"])
@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.long)])
def test_labelled_rows_have_the_same_verdicts(driver: Driver, shared_data: Path, domain: str, every: int) -> None:
    """Real answers, on two nodes and on this machine. What took too long is compared nowhere: that is the machine's to say."""
    with gzip.open(shared_data / "responses" / f"{domain}.jsonl.gz", "rt", encoding="utf-8") as file:
        given = [json.loads(line) for line in file][::every]
    rows = [
        {
            "at": at,
            "text": row["response"],
            "reference": row["gold_answer"] if domain == "math" else row["tests"],
            "messages": [{"role": "user", "content": row["prompt"]}],
            **{name: row.get(name) for name in ("test_style", "entry_point", "solution")},
            "complete": True,
        }
        for at, row in enumerate(given)
    ]
    options = {"math": VerifyMath(), "code": VerifyCode()}[domain]
    found = []
    for engines in (LocalEngines(), driver):
        judged = verdicts(DOMAINS[domain](options), batches(rows, 64), Heard(), engines)
        found.append({row["at"]: verdict for row, verdict, _ in judged})
    here, there = found
    assert len(here) == len(there) == len(rows) > 100
    late = {at for one in found for at, verdict in one.items() if verdict["outcome"] == "timeout"}
    assert len(late) < 0.02 * len(rows)
    assert {at: there[at] for at in there if at not in late} == {at: here[at] for at in here if at not in late}


def table_of(folder: Path, name: str) -> pl.DataFrame:
    with Run.open(folder) as opened:
        frame = opened.frame(name)
    return frame.sort([column for column, dtype in frame.schema.items() if dtype == pl.String])
