"""Batches through the real command: killed at each of its steps, stopped, changed; each line is paid for once.

What can go wrong at the vendor is in test_batch_faults.py.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datakit.errors import RecipeError
from datakit.recipe import parse
from tests.helpers.command import count, datakit, recipe_over, rows_of, write_problems, write_recipe
from tests.helpers.fake_batches import FakeBatches
from tests.helpers.fake_endpoint import Body, Fake, error, running
from tests.helpers.forked import Forked, forked
from tests.helpers.waiting import wait_for

PROMPTS, N, LINES = 8, 3, 10  # 24 lines: three batches
POLL_S = 0.05
COLUMNS = "response_id, prompt_id, model, sampling, sample_index, seed, text, finish_reason, n_prompt_tokens, n_tokens"


@pytest.fixture
def fake():
    with running(FakeBatches()) as endpoint:
        yield endpoint


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.jsonl", PROMPTS)


def recipe_of(fake: FakeBatches, problems: Path, batch: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    options = {"poll_s": POLL_S, "max_lines": LINES} | (batch or {})
    return recipe_over(fake.url, problems, **{"request": "batch", "batch": options, "n": N} | changes)


def command(tmp_path: Path, recipe: dict[str, Any], *args: object) -> list[object]:
    path = write_recipe(tmp_path / "recipe.yaml", recipe)
    return ["build", "--recipe", path, "--out", tmp_path / "run", "--until", "sample", *args]


def build(tmp_path: Path, recipe: dict[str, Any], *args: object, **env: str) -> subprocess.CompletedProcess[str]:
    return datakit(*command(tmp_path, recipe, *args), env=env)


def table(run: Path) -> list[dict[str, Any]]:
    return rows_of(run, f"SELECT {COLUMNS} FROM responses ORDER BY response_id")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[dict[str, Any]]:
    """What `request: single` stores, one HTTP request a sample."""
    folder = tmp_path_factory.mktemp("single")
    with running(Fake()) as fake:
        recipe = recipe_over(fake.url, write_problems(folder / "problems.jsonl", PROMPTS), request="single", n=N)
        assert build(folder, recipe).returncode == 0
    return table(folder / "run")


def paid_once(fake: FakeBatches, times: int = 1) -> bool:
    return len(fake.paid) == PROMPTS * N and set(fake.paid.values()) == {times}


# --------------------------------------------------------------------------------------------------------- the usual way


def test_a_batch_build_stores_what_single_requests_store(fake, problems, tmp_path, undisturbed):
    fake.looks = 3
    done = build(tmp_path, recipe_of(fake, problems))
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "run") == undisturbed and paid_once(fake)
    assert fake.calls.count("POST /files") == fake.calls.count("POST /batches") == 3, "ten lines a file"
    assert [batch["request_counts"]["total"] for batch in fake.batches.values()] == [10, 10, 4]
    assert all(body.get("n") is None and body["seed"] for body in fake.bodies) and fake.asked_twice == 0
    assert rows_of(tmp_path / "run", "SELECT DISTINCT latency_s FROM responses") == [{"latency_s": None}]
    notes = [json.loads(path.read_text()) for path in sorted((tmp_path / "run" / "batches").iterdir())]
    assert [(note["step"], note["status"], note["batch_id"]) for note in notes] == [
        ("stored", "completed", f"batch_{number}") for number in (1, 2, 3)
    ], "of a batch that is stored only the note stays"
    assert [note["metadata"] for note in fake.batches.values()] == [
        {"datakit_batch": note["name"], "datakit_lines": note["digest"]} for note in notes
    ]
    calls = len(fake.calls)
    assert build(tmp_path, recipe_of(fake, problems)).returncode == 0 and len(fake.calls) == calls, "nothing is missing"


@pytest.mark.slow
def test_two_builds_of_one_recipe_do_not_take_each_others_batches(fake, problems, tmp_path):
    """Their lines are the same, byte for byte; one was killed when its batch was made and not noted."""
    recipe = recipe_of(fake, problems, {"max_lines": 100})
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    assert kill_at(tmp_path / "one", fake, recipe, (2, "after"))
    assert build(tmp_path / "two", recipe).returncode == 0 and len(fake.batches) == 2
    assert build(tmp_path / "one", recipe).returncode == 0 and len(fake.batches) == 2
    assert table(tmp_path / "one" / "run") == table(tmp_path / "two" / "run") and paid_once(fake, times=2)


# ------------------------------------------------------------------------------------------------------------------ kill -9

CALLS = (  # of one batch that is undisturbed
    "POST /files",
    "POST /batches",
    "GET /batches/id",
    "GET /batches/id",
    "GET /files/id/content",
    "GET /files/id/content",
)
HERE = [(2, "after")]  # with the default tests; the others are long


def kill_at(tmp_path: Path, fake: FakeBatches, recipe: dict[str, Any], hold: tuple[int, Any]) -> bool:
    """Kill a build at its call of this number; False where it ended before."""
    fake.hold = (len(fake.calls) + hold[0], hold[1])
    with Forked(*command(tmp_path, recipe)) as process:
        wait_for(lambda: fake.held.is_set() or process.poll() is not None)
        process.kill()
    fake.hold = None
    fake.held.clear()
    return process.returncode == -signal.SIGKILL


def fifth_is_refused(number: int, body: Body) -> str | None:
    return "400" if "What is 5 +" in body["messages"][-1]["content"] else None


@pytest.mark.parametrize(
    "call, when",
    [
        pytest.param(call, when, marks=[] if (call, when) in HERE else pytest.mark.long, id=f"{when} {call} {CALLS[call - 1]}")
        for call in range(1, len(CALLS) + 1)
        for when in ("before", "after")
    ],
)
def test_a_kill_at_any_remote_step_costs_nothing(fake, problems, tmp_path, undisturbed, call, when):
    """Before: all that is done here between two calls was done. After: the vendor has done its part, and nobody noted it.

    Where it may be paid twice the disk is lost as well: what a mirror has goes on."""
    fake.looks, fake.others, fake.fault = 2, 150, fifth_is_refused
    url = f"file://{tmp_path}/mirror"
    recipe = recipe_of(fake, problems, {"max_lines": 100}) | {"mirror": url}
    assert kill_at(tmp_path, fake, recipe, (call, when))
    if (call, when) in HERE:
        shutil.rmtree(tmp_path / "run")
        pulled = datakit("pull", url, tmp_path / "run")
        assert pulled.returncode == 0, pulled.stderr
    done = build(tmp_path, recipe)
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "run") == [row for row in undisturbed if row["prompt_id"] != "add/5"]
    assert len(fake.batches) == 1 and set(fake.paid.values()) == {1} and len(fake.paid) == (PROMPTS - 1) * N
    assert count(tmp_path / "run", "failures") == N, "once each"


@pytest.mark.slow
def test_kills_at_every_call_of_three_batches_one_after_the_other(fake, problems, tmp_path, undisturbed):
    fake.looks = 2
    recipe = recipe_of(fake, problems)
    kills = 0
    while kill_at(tmp_path, fake, recipe, (1 + kills % 5, "after" if kills % 2 else "before")):
        kills += 1
    assert kills >= 4
    assert build(tmp_path, recipe).returncode == 0
    assert table(tmp_path / "run") == undisturbed and paid_once(fake) and len(fake.batches) == 3


KILLED = """
import os, signal
from datakit.{module} import {owner} as owner
method, calls = owner.{method}, []
def once(*args, **changes):
    calls.append(1)
    if len(calls) == {number} and not {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    given = method(*args, **changes)
    if len(calls) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return given
owner.{method} = once
"""
LOCAL = [  # what is written here, and how often in a build of one batch; before a note the vendor has done its part: see above
    *[
        ("store", "Journal", "append", number, True) for number in (1, 3, 5, 8)
    ],  # the even ones are of failures, the last of any
    *[("store.batches", "BatchFolder", "save", number, True) for number in range(1, 7)],
    ("store.batches", "BatchFolder", "finish", 1, False),
    ("store.batches", "BatchFolder", "finish", 1, True),
]


@pytest.mark.parametrize(
    "module, owner, method, number, after",
    [
        pytest.param(
            *where, marks=[] if where[2:4] == ("append", 3) else pytest.mark.long, id=f"{where[2]} {where[3]} {where[4]}"
        )
        for where in LOCAL
    ],
)
def test_a_kill_at_any_write_costs_nothing(fake, problems, tmp_path, undisturbed, module, owner, method, number, after):
    """A process that kills itself before or after a note is written, or rows are; rows are stored ten at a time here."""
    fake.fault = fifth_is_refused
    recipe = recipe_of(fake, problems, {"max_lines": 100})
    code = KILLED.format(module=module, owner=owner, method=method, number=number, after=after)
    code = "from datakit.sample import harvest\nharvest.ROWS_AT_A_TIME = 10\n" + code
    killed = forked(*command(tmp_path, recipe), first=code)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = build(tmp_path, recipe)
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "run") == [row for row in undisturbed if row["prompt_id"] != "add/5"]
    assert len(fake.batches) == 1 and set(fake.paid.values()) == {1}
    assert count(tmp_path / "run", "failures") == N, "once each"


@pytest.mark.slow
def test_a_vendor_that_is_not_there_stops_the_build_within_seconds(problems, tmp_path):
    with running(FakeBatches()) as fake:
        recipe = recipe_of(fake, problems)
    done = build(tmp_path, recipe)
    assert done.returncode == 3 and "is not there" in done.stderr and "then build again" in done.stderr


def test_the_key_is_sent_and_shown_nowhere(problems, tmp_path):
    key = "sk-1234567890-very-secret"
    with running(FakeBatches(key=key)) as fake:
        recipe = recipe_of(fake, problems, api_key_env="BATCH_KEY")
        unset = build(tmp_path, recipe)
        assert unset.returncode == 2 and "BATCH_KEY is not set" in unset.stderr and not (tmp_path / "run").exists()
        refused = build(tmp_path, recipe, BATCH_KEY="another", OPENAI_API_KEY=key)
        assert refused.returncode == 3 and "does not accept the key (HTTP 401" in refused.stderr and not fake.files
        fake.http = lambda number, call: error(500, f"upstream: {key}") if number == 3 else None
        done = build(tmp_path, recipe, BATCH_KEY=key)
        assert done.returncode == 0 and paid_once(fake) and key not in done.stderr
    assert not any(key.encode() in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


# ----------------------------------------------------------------------------------------------------- beside other things


@pytest.mark.slow
@pytest.mark.parametrize("sign, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_batches_running_and_the_next_build_takes_them_up(fake, problems, tmp_path, undisturbed, sign, status):
    fake.looks = 10_000
    recipe = recipe_of(fake, problems, {"max_lines": 100})
    with Forked(*command(tmp_path, recipe)) as process:
        wait_for(lambda: fake.calls.count("GET /batches/id") >= 2)
        process.send_signal(sign)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == status and "fake/one: batch_1 runs on; build again to store what comes of it" in said, said
    assert "Go on with: datakit build" in said and "Traceback" not in said
    assert "batches: 1 in progress; 0 of 24 lines" in said, "the view tells how it fares"
    fake.looks = 1
    assert build(tmp_path, recipe).returncode == 0
    assert table(tmp_path / "run") == undisturbed and paid_once(fake) and len(fake.batches) == 1


@pytest.mark.slow
def test_a_running_batch_is_not_paid_again_by_requests(fake, problems, tmp_path, undisturbed):
    """Where the recipe goes back to single requests, and where it wants more samples meanwhile."""
    fake.looks = 2
    recipe = recipe_of(fake, problems, {"max_lines": 100}, n=2)
    assert kill_at(tmp_path, fake, recipe, (4, "before"))
    single = recipe | {"sources": [recipe["sources"][0] | {"request": "single"}]}
    refused = build(tmp_path, single)
    assert (
        refused.returncode == 2 and "batch batch_1 is being answered; leave request: batch until it has ended" in refused.stderr
    )
    recipe["sources"][0]["n"] = N
    assert build(tmp_path, recipe).returncode == 0
    assert table(tmp_path / "run") == undisturbed and paid_once(fake)
    assert [batch["request_counts"]["total"] for batch in fake.batches.values()] == [PROMPTS * 2, PROMPTS]


@pytest.mark.slow
def test_samples_that_are_wanted_no_more_are_stored_all_the_same(fake, problems, tmp_path, undisturbed):
    """They are paid for; and a batch of settings that the recipe no longer has is named."""
    fake.looks = 2
    recipe = recipe_of(fake, problems, {"max_lines": 100})
    assert kill_at(tmp_path, fake, recipe, (4, "before"))
    recipe["sources"][0]["n"] = 1
    assert build(tmp_path, recipe).returncode == 0 and table(tmp_path / "run") == undisturbed
    recipe["sources"][0]["n"] = N
    assert build(tmp_path, recipe).returncode == 0 and paid_once(fake)


@pytest.mark.slow
def test_a_batch_of_a_source_that_left_the_recipe_is_named(fake, problems, tmp_path):
    fake.looks = 2
    recipe = recipe_of(fake, problems, {"max_lines": 100})
    assert kill_at(tmp_path, fake, recipe, (4, "before"))
    changed = recipe | {"sources": [recipe["sources"][0] | {"model": "fake/two", "request": "single"}]}
    done = build(tmp_path, changed)
    assert done.returncode == 0 and "batch batch_1 of fake/one is left alone" in " ".join(done.stderr.split())
    assert build(tmp_path, recipe, "--resample").returncode == 0 and set(fake.paid.values()) == {1} and len(fake.batches) == 1


@pytest.mark.slow
def test_beside_other_sources(fake, problems, tmp_path):
    recipe = recipe_of(fake, problems)
    recipe["sources"].append(recipe["sources"][0] | {"model": "fake/two", "request": "auto"})
    assert build(tmp_path, recipe).returncode == 0
    by_model = rows_of(tmp_path / "run", "SELECT model, count(*) AS n FROM responses GROUP BY 1 ORDER BY 1")
    assert by_model == [{"model": "fake/one", "n": PROMPTS * N}, {"model": "fake/two", "n": PROMPTS * N}] and paid_once(fake)


def test_prompts_that_are_asked_otherwise_are_in_batches_of_their_own(fake, problems, tmp_path):
    rows = [json.loads(line) for line in problems.read_text().splitlines()]
    problems.write_text("".join(json.dumps(row | {"kind": "ab"[at % 2]}) + "\n" for at, row in enumerate(rows)))
    by = {"sampling_by": {"category": {"b": {"temperature": 0.2}}}, "n": 1}
    recipe = recipe_of(fake, problems, {"max_lines": 100}, **by)
    single = recipe | {"sources": [recipe["sources"][0] | {"request": "single"}]}
    for each in (recipe, single):
        each["prompts"][0]["columns"]["category"] = "kind"
    (tmp_path / "single").mkdir()
    assert build(tmp_path / "single", single).returncode == 0
    done = build(tmp_path, recipe)
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "run") == table(tmp_path / "single" / "run") and set(fake.paid.values()) == {1}
    asked = [{line["body"]["temperature"] for line in batch["_lines"]} for batch in fake.batches.values()]
    assert asked == [{0.8}, {0.2}]


# ------------------------------------------------------------------------------------------------------- budgets and prices


def test_the_dry_run_prices_a_line_a_sample_at_the_sources_own_price(fake, problems, tmp_path):
    recipe = recipe_of(fake, problems, price={"input": 1.0, "output": 10.0})
    planned = build(tmp_path, recipe, "--dry-run", "--json")
    [source] = json.loads(planned.stdout)["sources"]
    assert source["requests"] == source["missing"] == PROMPTS * N and not source["requests_at_least"]
    assert source["cost"] == pytest.approx((source["prompt_tokens"] + 10 * PROMPTS * N * 64) / 1e6) and not fake.calls
    drawn = build(tmp_path, recipe, "--dry-run").stdout
    assert "batches: at the source's own price" in drawn


REFUSED = {
    "several URLs": ({"base_urls": ["http://a/v1", "http://b/v1"]}, "request: batch uses the files and batches of one server"),
    "no line": ({"batch": {"max_lines": 0}}, "sources.0.batch.max_lines: input should be greater than or equal to 1"),
    "no path": ({"batch": {"url": "v1/chat"}}, "sources.0.batch.url: string should match pattern '^/'"),
    "misspelt": ({"batch": {"poll": 3}}, "sources.0.batch.poll: extra field not permitted (got 3); did you mean 'poll_s'?"),
    "serve": ({"type": "serve", "engine": "vllm", "base_urls": None}, "for vllm run-batch see: datakit batch write"),
}


@pytest.mark.parametrize("changes, said", REFUSED.values(), ids=REFUSED)
def test_a_recipe_that_cannot_be(problems, tmp_path, changes, said):
    recipe = recipe_over("http://127.0.0.1:9/v1", problems, request="batch", **changes)
    recipe["sources"] = [{name: value for name, value in recipe["sources"][0].items() if value is not None}]
    with pytest.raises(RecipeError, match=re.escape(said)):
        parse(recipe, "r.yaml", tmp_path)


def test_without_the_package_it_says_how_to_install_it(problems, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    done = build(tmp_path, recipe_over("http://127.0.0.1:9/v1", problems, request="batch"))
    assert done.returncode == 2 and "pip install 'fuse-datakit[batch]'" in " ".join(done.stderr.split()), done.stderr
