"""However a build ends, what was received is stored and the next one goes on: kills, signals, full disks; no key anywhere."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from datakit.client import Answer, Drained
from datakit.errors import RunError
from datakit.options import Options
from datakit.recipe import load
from datakit.sample.all_sources import Gathering
from datakit.sample.missing import Asked, asked_sources
from datakit.sample.one_source import Sampler
from datakit.store import Journal, Run
from datakit.tables import Rows
from tests.helpers.command import (
    count,
    datakit,
    recipe_over,
    rows_of,
    wait_for_requests,
    write_problems,
    write_recipe,
)
from tests.helpers.fake_endpoint import BROKEN, Fake, error, running
from tests.helpers.forked import Forked, forked
from tests.helpers.monitors import Heard

MANY = 80
IN_FLIGHT = 4


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


@pytest.fixture
def recipe(fake, tmp_path) -> Path:
    """Eighty prompts, four requests at a time."""
    problems = write_problems(tmp_path / "many.jsonl", MANY)
    return write_recipe(tmp_path / "recipe.yaml", recipe_over(fake.url, problems, max_in_flight=IN_FLIGHT))


@pytest.fixture
def run(tmp_path) -> Path:
    return tmp_path / "run"


def sampling(recipe: Path, run: Path, *args: object) -> tuple[object, ...]:
    return "build", "--recipe", recipe, "--out", run, "--until", "sample", *args


def responses(run: Path) -> pl.DataFrame:
    """All that is in the parts of a run that has ended well."""
    return pl.read_parquet(run / "responses" / "part-*.parquet").sort("response_id")


# -------------------------------------------------------------------------------------------------------------------- kill -9


@pytest.mark.parametrize("times", [2, pytest.param(50, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", ["n", pytest.param("single", marks=pytest.mark.slow)])
def test_kills_at_random_instants_lose_nothing_and_repeat_nothing(fake, tmp_path, run, mode, times):
    n_prompts = MANY if times == 2 else 12 * times
    problems = write_problems(tmp_path / "many.jsonl", n_prompts if mode == "n" else n_prompts // 4)
    recipe = write_recipe(tmp_path / "recipe.yaml", recipe_over(fake.url, problems, max_in_flight=IN_FLIGHT, request=mode))
    fake.latency_s, fake.lognormal = 0.05, True
    chance = random.Random(mode)
    kills = 0
    for _ in range(times):
        with Forked(*sampling(recipe, run)) as process:
            wait_for_requests(fake, fake.n_requests + chance.randrange(5, 20))
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
        kills += process.returncode == -signal.SIGKILL
        stored = {row["response_id"] for row in rows_of(run, "SELECT response_id FROM responses")}
        assert len(stored) * (1 if mode == "single" else 0.2) >= fake.n_answered - fake.asked_twice - kills * IN_FLIGHT
    assert kills == times

    assert datakit(*sampling(recipe, run)).returncode == 0
    after = responses(run)
    assert after["response_id"].is_unique().all() and stored <= set(after["response_id"])
    assert fake.asked_twice <= kills * IN_FLIGHT, "only what was on its way is asked again"
    assert datakit(*sampling(recipe, tmp_path / "whole")).returncode == 0
    whole = responses(tmp_path / "whole")
    assert after.drop("latency_s").equals(whole.drop("latency_s")), "row for row as a build that was never killed"


# -------------------------------------------------------------------------------------------------------------------- signals


@pytest.mark.parametrize("sign, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_what_is_on_its_way_arrive(fake, recipe, run, sign, status):
    fake.latency_s = 1.5
    with Forked(*sampling(recipe, run)) as process:
        wait_for_requests(fake, 2 * IN_FLIGHT)
        process.send_signal(sign)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == status, said
    assert "waiting up to 20 s for 4 requests under way" in said and "Traceback" not in said
    assert f"Go on with: datakit build --recipe {recipe}" in said
    assert fake.n_requests == fake.n_answered == 2 * IN_FLIGHT, "no new requests, and none given up"
    assert count(run, "responses") == 2 * IN_FLIGHT * 5

    fake.latency_s = 0.0
    assert datakit(*sampling(recipe, run)).returncode == 0
    assert len(responses(run)) == MANY * 5 and fake.asked_twice == 0


def test_but_not_for_longer_than_the_grace_period(fake, recipe, run):
    fake.fault = lambda number, body: "hang" if number > 6 else None
    with Forked(*sampling(recipe, run, "--grace", "1")) as process:
        wait_for_requests(fake, 6 + IN_FLIGHT)
        began = time.monotonic()
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 143 and "Go on with:" in said and time.monotonic() - began >= 1
    assert count(run, "responses") == 6 * 5


@pytest.mark.parametrize("sign, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_ctrl_c_after_a_signal_leaves_at_once_with_the_first_ones_status(fake, recipe, run, sign, status):
    fake.fault = lambda number, body: "hang" if number > 6 else None
    with Forked(*sampling(recipe, run, "--grace", "600")) as process:
        wait_for_requests(fake, 6 + IN_FLIGHT)
        process.send_signal(sign)
        assert any("once more leaves at once" in line for line in process.stderr)
        time.sleep(0.5)
        assert process.poll() is None, "it waits"
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == status and "Traceback" not in said
    assert count(run, "responses") == 6 * 5


def test_two_builds_on_one_run_at_once(fake, recipe, run):
    fake.latency_s = 600
    with Forked(*sampling(recipe, run)) as process:
        wait_for_requests(fake, 1)
        second = datakit(*sampling(recipe, run))
        process.kill()
    assert second.returncode == 2 and f"another datakit process (pid {process.pid})" in second.stderr


# ---------------------------------------------------------------------------------------------------------- where it is stored


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own, and how to mount it anew; only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> bool:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
        return done.returncode == 0

    if os.geteuid() != 0 or not mount("size=400k"):
        pytest.skip("no small file system can be mounted here")
    yield folder, mount
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_a_clear_error_and_after_more_room_it_goes_on(fake, recipe, disk):
    folder, mount = disk
    fake.n_chars = 2000
    full = datakit(*sampling(recipe, folder / "run"))
    assert full.returncode == 2 and "No space left on device" in full.stderr and "Traceback" not in full.stderr
    assert "what was stored before is intact" in full.stderr
    assert mount("remount,size=64m")
    stored = count(folder / "run", "responses")
    assert 0 < stored < MANY * 5
    assert datakit(*sampling(recipe, folder / "run")).returncode == 0
    assert len(responses(folder / "run")) == MANY * 5 and fake.asked_twice <= IN_FLIGHT + 1


def test_a_file_that_may_not_grow_is_the_same(fake, recipe, run):
    """What a quota does; also where nobody is root."""
    fake.n_chars = 2000
    limited = f"import resource; resource.setrlimit({resource.RLIMIT_FSIZE}, (200_000, 200_000))"
    full = forked(*sampling(recipe, run), first=limited)
    assert full.returncode == 2 and "File too large" in full.stderr and "Traceback" not in full.stderr
    assert 0 < count(run, "responses") < MANY * 5
    assert datakit(*sampling(recipe, run)).returncode == 0
    assert len(responses(run)) == MANY * 5 and fake.asked_twice <= IN_FLIGHT + 1


def test_after_a_write_that_failed_no_source_is_asked(fake, run, tmp_path, monkeypatch):
    """Their answers could not be stored either."""
    asked: list[Asked] = []
    after: list[asyncio.Task[Answer]] = []
    refused: list[bool] = []
    append = Journal.append

    def fail(journal: Journal, rows: Rows) -> None:
        clients = [one.sampler.client for one in asked if isinstance(one.sampler, Sampler)]
        if rows and not after and sum(client.requests for client in clients) >= 40:
            after.extend(asyncio.ensure_future(client.post("/chat/completions", {}, print)) for client in clients)
            asyncio.get_running_loop().call_soon(lambda: refused.extend(task.done() for task in after))
            raise RunError("No space left on device")
        append(journal, rows)

    monkeypatch.setattr(Journal, "append", fail)
    with running(Fake()) as other:
        problems = write_problems(tmp_path / "many.jsonl", MANY)
        sections = recipe_over(fake.url, problems, max_in_flight=IN_FLIGHT)
        sections["sources"].append(sections["sources"][0] | {"model": "fake/two", "base_urls": [other.url]})
        recipe = load(write_recipe(tmp_path / "recipe.yaml", sections))
        assert datakit("build", "--recipe", tmp_path / "recipe.yaml", "--out", run, "--until", "collect").returncode == 0
        with Run.create(run) as written:
            asked += asked_sources(written, recipe, retry_failures=False)
            gathering = Gathering(written, recipe, Options(), Heard())
            with pytest.raises(RunError, match="No space"):
                gathering.ask(asked)
    assert refused == [True, True] and {type(task.exception()) for task in after} == {Drained}


def test_a_read_only_folder_is_a_clear_error(fake, recipe, disk):
    folder, mount = disk
    assert mount("remount,size=64m") and datakit(*sampling(recipe, folder / "run", "--limit", "4")).returncode == 0
    asked = fake.n_requests
    assert mount("remount,ro")
    refused = datakit(*sampling(recipe, folder / "run"))
    assert refused.returncode == 2 and "Read-only file system" in refused.stderr and "Traceback" not in refused.stderr
    assert str(folder / "run") in refused.stderr and fake.n_requests == asked, "before anything is paid for"
    assert count(folder / "run", "responses") == 4 * 5, "reading needs no writing"


# -------------------------------------------------------------------------------------------------------------------- secrets

KEY = "sk-1234567890-very-secret"


def is_in_no_file(run: Path) -> bool:
    return not any(KEY[:12].encode() in path.read_bytes() for path in run.rglob("*") if path.is_file())


def test_the_key_is_sent_and_is_in_no_file(fake, recipe, tmp_path, run):
    """Though the server repeats it in every error and broken body."""
    text = recipe.read_text().replace("model: fake/one", "model: fake/one\n  api_key_env: FAKE_KEY")
    recipe.write_text(text)
    fake.key, fake.echo_key = KEY, True
    unset = datakit(*sampling(recipe, run))
    assert unset.returncode == 2 and "sources.0.api_key_env: the environment variable FAKE_KEY is not set" in unset.stderr
    assert not run.exists()

    fake.shares = {"400": 0.1, "500": 0.1, "429": 0.05, **dict.fromkeys(BROKEN, 0.01)}
    done = datakit(*sampling(recipe, run), env={"FAKE_KEY": KEY})
    assert done.returncode == 0 and KEY[:12] not in done.stderr + done.stdout
    assert count(run, "failures WHERE message LIKE '%the key%'") > 0 and is_in_no_file(run)

    fake.shares = {"401": 1.0}
    write_problems(tmp_path / "many.jsonl", MANY + 1)
    stopped = datakit(*sampling(recipe, run), env={"FAKE_KEY": KEY})
    assert stopped.returncode == 3 and "does not accept the key" in stopped.stderr
    assert KEY[:12] not in stopped.stderr + stopped.stdout and is_in_no_file(run)


def test_nor_is_a_part_of_it_where_the_message_is_cut(fake, recipe, run):
    recipe.write_text(recipe.read_text().replace("model: fake/one", "model: fake/one\n  api_key_env: FAKE_KEY"))
    fake.fault = lambda number, body: error(400, "x" * (270 + number % 30) + KEY) if number % 2 else None
    done = datakit(*sampling(recipe, run), env={"FAKE_KEY": KEY})
    assert done.returncode == 0 and KEY[:12] not in done.stderr + done.stdout
    assert count(run, "failures") > 0 and is_in_no_file(run)
