"""The main job through the real command: endpoints that answer, fail and go away; kills, resumes, changed recipes."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web

from tests.helpers.command import (
    closed_url,
    count,
    datakit,
    recipe_over,
    rows_of,
    wait_for_requests,
    write_problems,
    write_recipe,
)
from tests.helpers.fake_endpoint import Body, Fake, body_text, error, first, running

PROMPTS = 12


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.jsonl", PROMPTS)


def build(tmp_path: Path, recipe: dict, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    path = write_recipe(tmp_path / "recipe.yaml", recipe)
    return datakit("build", "--recipe", path, "--out", tmp_path / "run", *args, env=env)


def test_a_build_gives_every_sample_with_its_seed_and_a_second_build_asks_nothing(fake, problems, tmp_path):
    first = build(tmp_path, recipe_over(fake.url, problems))
    assert first.returncode == 0, first.stderr
    run = tmp_path / "run"
    rows = rows_of(run, "SELECT * FROM responses")
    assert len(rows) == PROMPTS * 5
    assert {row["sample_index"] for row in rows} == set(range(5))
    assert all(row["seed"] is not None and row["finish_reason"] == "stop" and row["n_prompt_tokens"] == 11 for row in rows)
    assert len(fake.requests) == PROMPTS and all(body["n"] == 5 for body in fake.requests)
    by_prompt = rows_of(run, "SELECT prompt_id, sum(n_tokens) AS n, string_agg(text, ' ') AS t FROM responses GROUP BY 1")
    assert all(row["n"] == len(row["t"].split()) for row in by_prompt), "tokens of one request add up to its usage"

    outcomes = rows_of(run, "SELECT r.text, p.reference, v.outcome FROM responses r JOIN prompts p USING (prompt_id) "
                            "JOIN verdicts v USING (response_id)")  # fmt: skip
    for row in outcomes:
        assert (row["outcome"] == "passed") == row["text"].endswith(f"is {row['reference']}."), row
    assert count(run, "pairs") > 0
    assert (run / "dpo" / "train.parquet").is_file() and (run / "sft" / "manifest.json").is_file()

    before = {path: path.read_bytes() for path in run.glob("*/part-*.parquet")}
    again = build(tmp_path, recipe_over(fake.url, problems))
    assert again.returncode == 0 and len(fake.requests) == PROMPTS
    assert {path: path.read_bytes() for path in run.glob("*/part-*.parquet")} == before, "selection is a pure function"


def test_a_server_that_ignores_n_is_topped_up(fake, problems, tmp_path):
    fake.ignore_n = True
    assert build(tmp_path, recipe_over(fake.url, problems), "--until", "sample").returncode == 0
    distinct = rows_of(tmp_path / "run", "SELECT prompt_id, count(*) AS n, count(DISTINCT text) AS d FROM responses GROUP BY 1")
    assert [row["n"] for row in distinct] == [5] * PROMPTS
    assert all(row["d"] > 1 for row in distinct), "each sample has a seed of its own"
    assert len(fake.requests) == PROMPTS * 5 and fake.asked_twice == 0


@pytest.mark.parametrize("request_mode, requests", [("n", PROMPTS), ("single", PROMPTS * 5)])
def test_request_mode(fake, problems, tmp_path, request_mode, requests):
    assert build(tmp_path, recipe_over(fake.url, problems, request=request_mode), "--until", "sample").returncode == 0
    assert len(fake.requests) == requests and count(tmp_path / "run", "responses") == PROMPTS * 5


def test_requests_in_flight_are_bounded_per_url(fake, problems, tmp_path):
    fake.latency_s = 0.05
    recipe = recipe_over(fake.url, problems, max_in_flight=3, request="single")
    assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    assert 2 <= fake.most_in_flight <= 3


@pytest.mark.parametrize("mode, copies", [("single", True), ("n", True), ("n", "request")], ids=["single", "greedy", "request"])
def test_a_server_that_keeps_making_copies_is_named(fake, problems, tmp_path, mode, copies):
    """request: all choices of a request are one text, of another request another one."""
    fake.copies = copies
    done = build(tmp_path, recipe_over(fake.url, problems, request=mode), "--until", "sample")
    assert done.returncode == 0 and "fake/one: samples are copies of one text for 12 of 12 prompts" in done.stderr
    assert count(tmp_path / "run", "responses") == PROMPTS * 5


def test_system_prompt_and_extra_body_are_sent_and_are_part_of_identity(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, system="Be short.", extra_body={"top_k": 7}, n=1)
    assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    body = fake.requests[0]
    assert body["messages"][0] == {"role": "system", "content": "Be short."} and body["top_k"] == 7 and "n" not in body
    recipe["sources"][0]["system"] = "Be long."
    changed = build(tmp_path, recipe)
    assert changed.returncode == 2 and "sources.0.system: 'Be short.' -> 'Be long.'" in changed.stderr


# ------------------------------------------------------------------------------------------------------------------- faults


EMPTY = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "  "}, "finish_reason": "stop"}]})
TRANSIENT = (
    "500",
    "429",
    "reset",
    "closed_middle",
    "cut_off",
    "html",
    "no_choices",
    "empty_choices",
    "null_text",
    "not_an_object",
)


def test_what_is_transient_is_asked_again(fake, problems, tmp_path):
    """One by one in test_sampling_faults.py; here all in one build."""
    fake.fault = first(*TRANSIENT, error(500, "\ud83d half a character"))
    done = build(tmp_path, recipe_over(fake.url, problems), "--until", "sample")
    assert done.returncode == 0, done.stderr
    assert count(tmp_path / "run", "responses") == PROMPTS * 5 and count(tmp_path / "run", "failures") == 0
    assert fake.met.total() == len(TRANSIENT) + 1 and fake.asked_twice <= len(TRANSIENT)


def refuse_third(number: int, body: Body) -> web.Response | None:
    return error(400, "maximum context length") if "What is 3 +" in body["messages"][-1]["content"] else None


def test_a_refused_request_is_a_failure_row_and_is_asked_again_only_on_request(fake, problems, tmp_path):
    fake.fault = refuse_third
    done = build(tmp_path, recipe_over(fake.url, problems), "--until", "sample")
    assert done.returncode == 0 and "5 failed at sample, fake/one: http_400" in done.stderr
    run = tmp_path / "run"
    assert count(run, "responses") == (PROMPTS - 1) * 5
    failures = rows_of(run, "SELECT * FROM failures")
    assert len(failures) == 5 and all(row["permanent"] and "context length" in row["message"] for row in failures)

    fake.requests.clear()
    assert build(tmp_path, recipe_over(fake.url, problems), "--until", "sample").returncode == 0 and fake.requests == []
    fake.fault = Fake().fault
    assert build(tmp_path, recipe_over(fake.url, problems), "--until", "sample", "--retry-failures").returncode == 0
    assert count(run, "responses") == PROMPTS * 5 and count(run, "current_failures") == 0


def test_blank_answers_are_never_stored(fake, problems, tmp_path):
    fake.fault = lambda number, body: body_text(EMPTY) if "What is 2 +" in body["messages"][-1]["content"] else None
    done = build(tmp_path, recipe_over(fake.url, problems), "--until", "sample")
    assert done.returncode == 0
    assert {row["error"] for row in rows_of(tmp_path / "run", "SELECT error FROM failures")} == {"empty"}
    assert count(tmp_path / "run", "responses WHERE trim(text) = ''") == 0


def test_odd_types_in_an_answer_cost_nothing_but_themselves(fake, problems, tmp_path):
    """finish_reason as a number, token counts as text, half an emoji: stored as what the table can hold."""
    texts = [f"It is \ud83d 4. The answer is {at}." for at in range(5)]
    choices = [{"message": {"content": text}, "finish_reason": 7} for text in texts]
    odd = json.dumps({"choices": choices, "usage": {"prompt_tokens": "11", "completion_tokens": 9.5}})
    fake.fault = lambda number, body: body_text(odd) if number == 1 else None
    assert build(tmp_path, recipe_over(fake.url, problems)).returncode == 0
    rows = rows_of(tmp_path / "run", "SELECT * FROM responses WHERE n_tokens IS NULL")
    assert len(rows) == 5 and rows[0]["finish_reason"] is None and rows[0]["text"].startswith("It is ? ")
    assert build(tmp_path, recipe_over(fake.url, problems)).returncode == 0


def test_one_model_at_two_temperatures_resumes(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, n=2)
    recipe["sources"].append({**recipe["sources"][0], "sampling": {"temperature": 0.3}})
    for _ in range(2):
        assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    assert count(tmp_path / "run", "responses") == PROMPTS * 4


def test_an_export_names_the_rule_that_its_rows_were_selected_by(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems)
    assert build(tmp_path, recipe).returncode == 0
    recipe["select"] = {"length_ratio_max": 1.0}
    assert build(tmp_path, recipe, "--until", "verify").returncode == 0
    stale = datakit("export", tmp_path / "run", tmp_path / "out")
    assert stale.returncode == 2 and "are not what its recipe selects now; run: datakit select" in stale.stderr
    assert datakit("select", tmp_path / "run").returncode == 0
    assert datakit("export", tmp_path / "run", tmp_path / "out").returncode == 0


@pytest.mark.slow
def test_a_source_that_answers_nothing_but_503_stops_the_build(fake, tmp_path):
    """A proxy says so for a server that is down; thousands of rows must not fail one by one."""
    fake.fault = lambda number, body: error(503, "upstream is away")
    done = build(tmp_path, recipe_over(fake.url, write_problems(tmp_path / "many.jsonl", 60), patience_s=5.0))
    assert done.returncode == 3 and "upstream is away" in done.stderr


@pytest.mark.parametrize(
    "trouble, said",
    [
        ({"key": "sesame"}, "requires a key, and none was sent (HTTP 401"),
        ({"models": ("another",)}, "not found (HTTP 404"),
    ],
)
def test_a_source_that_cannot_be_used_stops_the_build(problems, tmp_path, trouble, said):
    with running(Fake(**trouble)) as fake:
        done = build(tmp_path, recipe_over(fake.url, problems))
    assert done.returncode == 3 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("prompts", [2, 60])
def test_a_source_that_refuses_everything_stops_the_build(fake, tmp_path, prompts):
    fake.fault = lambda number, body: error(400, "temperature must be 1")
    problems = write_problems(tmp_path / "some.jsonl", prompts)
    done = build(tmp_path, recipe_over(fake.url, problems))
    assert done.returncode == 3 and "temperature must be 1" in done.stderr
    assert count(tmp_path / "run", "failures WHERE permanent") == 0, "it was the source's fault: all are asked again"


@pytest.mark.parametrize(
    "budget, price, said",
    [
        ({"tokens": 300}, {}, "budget.tokens: this run has taken"),
        ({"cost": 0.0001}, {"price": {"input": 0.5, "output": 1.0}}, "budget.cost: this run has cost"),
    ],
    ids=["tokens", "cost"],
)
def test_a_spent_budget_stops_the_build_and_a_larger_one_goes_on(fake, problems, tmp_path, budget, price, said):
    fake.latency_s = 0.05
    recipe = recipe_over(fake.url, problems, max_in_flight=1, request="n", **price) | {"budget": budget}
    stopped = build(tmp_path, recipe)
    run = tmp_path / "run"
    stored = count(run, "responses")
    assert stopped.returncode == 3 and said in stopped.stderr and "Traceback" not in stopped.stderr
    assert 5 < stored < PROMPTS * 5 and stored == 5 * fake.n_answered, "what was on its way is stored"
    assert count(run, "verdicts") == 0
    asked = fake.n_requests
    again = build(tmp_path, recipe, "--keep-going")
    assert again.returncode == 3 and said in again.stderr and fake.n_requests == asked, "earlier builds count"
    assert count(run, "verdicts") == stored, "with --keep-going what there is goes through all stages"
    larger = build(tmp_path, recipe | {"budget": {}}, "--until", "sample")
    assert larger.returncode == 0 and count(run, "responses") == PROMPTS * 5


@pytest.mark.parametrize("fault", ["insufficient_quota", "credit_balance", "key_limit", "401"])
def test_an_account_that_is_used_up_stops_the_build_and_another_build_asks_for_the_rest(fake, problems, tmp_path, fault):
    fake.fault = lambda number, body: fault if number > 3 else None
    recipe = recipe_over(fake.url, problems, max_in_flight=2)
    done = build(tmp_path, recipe, "--until", "sample")
    run = tmp_path / "run"
    assert done.returncode == 3 and "api_key_env" in done.stderr and "then build again" in done.stderr
    assert count(run, "responses") == 3 * 5 and count(run, "failures WHERE permanent") == 0
    fake.fault = Fake().fault
    assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    assert count(run, "responses") == PROMPTS * 5 and count(run, "current_failures") == 0


def test_an_overload_of_any_length_loses_nothing(fake, problems, tmp_path):
    fake.fault = first(*["529"] * 12)
    fake.retry_after = "0"
    assert build(tmp_path, recipe_over(fake.url, problems), "--until", "sample").returncode == 0
    assert count(tmp_path / "run", "responses") == PROMPTS * 5 and count(tmp_path / "run", "failures") == 0


def test_a_field_that_the_server_refuses_is_named_and_left_out_on_request(fake, problems, tmp_path):
    fake.refuses = ("seed",)
    recipe = recipe_over(fake.url, problems)
    done = build(tmp_path, recipe, "--until", "sample")
    assert done.returncode == 3 and "sources.0: omit: [seed]" in done.stderr
    recipe["sources"][0]["omit"] = ["seed"]
    assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    assert count(tmp_path / "run", "responses WHERE seed IS NULL") == PROMPTS * 5


def test_secrets_in_headers_stand_nowhere_in_the_run(fake, problems, tmp_path):
    """Behind a proxy that wants two of them and a query, and repeats what it got in an error."""
    secret = "hdr-very-secret-0123456789"
    fake.query, fake.headers = "api-version=2024-10-21", {"api-key": secret, "x-team": f"team {secret}"}
    fake.fault = first(error(500, f"not now, {secret}"), error(400, f"no, {secret}"))
    url = fake.url + "?api-version=2024-10-21"
    recipe = recipe_over(url, problems, headers={"api-key": "${PROXY_KEY}", "x-team": "team ${PROXY_KEY}"})
    done = build(tmp_path, recipe, "--until", "sample", env={"PROXY_KEY": secret})
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert count(run, "responses") == (PROMPTS - 1) * 5 and count(run, "failures WHERE message LIKE '%[the key]%'") == 5
    stored = [path for path in run.rglob("*") if path.is_file()]
    assert stored and not any(secret.encode() in path.read_bytes() for path in stored)
    assert secret not in done.stderr + done.stdout and "${PROXY_KEY}" in (run / "recipe.json").read_text()
    missing = build(tmp_path, recipe, "--until", "sample")
    assert (
        missing.returncode == 2 and "sources.0.headers.api-key: the environment variable PROXY_KEY is not set" in missing.stderr
    )


def test_keep_going_finishes_the_other_sources(fake, problems, tmp_path):
    fake.models = ("fake/one",)
    recipe = recipe_over(fake.url, problems)
    recipe["sources"].append(recipe["sources"][0] | {"model": "fake/gone"})
    fake.latency_s = 0.05
    done = build(tmp_path, recipe, "--keep-going")
    assert done.returncode == 3 and "fake/gone" in done.stderr and "not found (HTTP 404" in done.stderr
    assert count(tmp_path / "run", "responses") == PROMPTS * 5
    assert (tmp_path / "run" / "dpo" / "train.parquet").is_file(), "with what there is"


def test_a_source_that_goes_away_is_waited_for_and_taken_up_again(fake, tmp_path):
    recipe = recipe_over(fake.url, write_problems(tmp_path / "many.jsonl", 80), max_in_flight=4)
    fake.latency_s = 0.02

    def outage() -> None:
        wait_for_requests(fake, 30)
        fake.go_down()
        time.sleep(3)
        fake.come_back()

    with ThreadPoolExecutor() as pool:
        away = pool.submit(outage)
        done = build(tmp_path, recipe, "--until", "sample")
        away.result()
    assert done.returncode == 0, done.stderr
    assert count(tmp_path / "run", "responses") == 80 * 5 and count(tmp_path / "run", "failures") == 0
    assert fake.asked_twice <= 4, "what was on its way when it went"


def test_an_endpoint_that_is_down_stops_the_build(problems, tmp_path):
    """Within seconds: patience is for sources that have answered."""
    url = closed_url()
    done = build(tmp_path, recipe_over(url, problems))
    assert done.returncode == 3 and f"nothing listens at {url}" in done.stderr
    assert "start the server, or correct sources.0.base_urls, then build again" in done.stderr


def test_replicas_share_the_load_and_one_that_is_down_does_not_matter(fake, problems, tmp_path):
    with running(Fake(latency_s=0.02)) as second:
        recipe = recipe_over(fake.url, problems, request="single", max_in_flight=4)
        recipe["sources"][0]["base_urls"] += [second.url, closed_url()]
        fake.latency_s = 0.02
        assert build(tmp_path, recipe, "--until", "sample").returncode == 0
        assert len(fake.requests) + len(second.requests) == PROMPTS * 5 and min(len(fake.requests), len(second.requests)) > 5


# ------------------------------------------------------------------------------------------------------- changed recipes


def test_what_may_change_asks_only_for_what_is_missing(fake, problems, tmp_path):
    """A renamed replica, another order, three more prompts, n from 5 to 8: one response has one identity."""
    recipe = recipe_over(fake.url, problems, n=5)
    assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    before = {row["response_id"]: row for row in rows_of(tmp_path / "run", "SELECT * FROM responses")}
    fake.requests.clear()
    write_problems(problems, PROMPTS + 3)
    lines = problems.read_text().splitlines()
    problems.write_text("\n".join(reversed(lines)) + "\n")
    renamed = fake.url.replace("127.0.0.1", "localhost") + "/"
    recipe["sources"][0] |= {"n": 8, "base_urls": [renamed], "max_in_flight": 2}
    assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    after = {row["response_id"]: row for row in rows_of(tmp_path / "run", "SELECT * FROM responses")}
    assert len(after) == count(tmp_path / "run", "responses") == (PROMPTS + 3) * 8
    assert {key: after[key] for key in before} == before
    assert sorted(body.get("n", 1) for body in fake.requests) == [3] * PROMPTS + [8] * 3 and fake.asked_twice == 0


CHANGED = {
    "model": ({"model": "fake/two"}, "sources.0.model: 'fake/one' -> 'fake/two'"),
    "revision": ({"revision": "v2"}, "sources.0.revision: None -> 'v2'"),
    "sampling": ({"sampling": {"temperature": 0.8, "max_tokens": 65}}, "sources.0.sampling: {'temperature': 0.8"),
    "system": ({"system": "Be short."}, "sources.0.system: None -> 'Be short.'"),
    "extra_body": ({"extra_body": {"top_k": 7}}, "sources.0.extra_body: {} -> {'top_k': 7}"),
}


def test_what_determines_a_response_may_not_change(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, n=2)
    assert build(tmp_path, recipe, "--until", "sample").returncode == 0
    asked = fake.n_requests
    for changes, said in CHANGED.values():
        stopped = build(tmp_path, recipe | {"sources": [recipe["sources"][0] | changes]})
        assert stopped.returncode == 2 and said in stopped.stderr and "--resample" in stopped.stderr, stopped.stderr
    problems.write_text(problems.read_text().replace("What is 3 +", "How much is 3 +"))
    stopped = build(tmp_path, recipe)
    assert stopped.returncode == 2 and "the messages of 'add/3' changed" in stopped.stderr
    assert fake.n_requests == asked


def test_changed_sampling_stops_with_the_fields_and_resample_goes_on_beside_the_old_rows(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, n=2)
    assert build(tmp_path, recipe).returncode == 0
    recipe["sources"][0]["sampling"] = {"temperature": 1.0, "max_tokens": 64}
    stopped = build(tmp_path, recipe)
    assert stopped.returncode == 2
    assert "sources.0.sampling: {'temperature': 0.8" in stopped.stderr and "--resample" in stopped.stderr
    assert count(tmp_path / "run", "responses") == PROMPTS * 2
    assert build(tmp_path, recipe, "--resample").returncode == 0
    run = tmp_path / "run"
    assert count(run, "responses") == PROMPTS * 4 and count(run, "current_responses") == PROMPTS * 2
    used = rows_of(run, "SELECT DISTINCT r.sampling FROM pairs p JOIN responses r ON p.chosen_id = r.response_id")
    assert all('"temperature":1.0' in row["sampling"] for row in used)


def test_a_changed_gold_is_verified_again(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, n=4)
    assert build(tmp_path, recipe).returncode == 0
    passed = count(tmp_path / "run", "verdicts WHERE outcome = 'passed'")
    rows = [json.loads(line) for line in problems.read_text().splitlines()]
    problems.write_text("".join(json.dumps(row | {"gold": "100000"}) + "\n" for row in rows))
    assert build(tmp_path, recipe).returncode == 0
    assert count(tmp_path / "run", "pairs") == 0 and passed > 0, "no answer is right by the new gold answers"


def test_limit_and_then_all(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, n=2)
    assert (
        build(tmp_path, recipe, "--until", "sample", "--limit", "4").returncode == 0
        and count(tmp_path / "run", "responses") == 8
    )
    done = build(tmp_path, recipe, "--until", "sample")
    assert done.returncode == 0 and count(tmp_path / "run", "responses") == PROMPTS * 2
    assert f"fake/one: {PROMPTS * 2} of {PROMPTS * 2}, " in done.stderr, "what there was before counts"
    assert build(tmp_path, recipe, "--until", "sample", "--limit", "4").returncode == 0
    assert count(tmp_path / "run", "current_responses") == 8 and count(tmp_path / "run", "responses") == PROMPTS * 2


def test_a_prompt_without_gold_answer_is_dropped_and_counted(fake, tmp_path):
    problems = write_problems(tmp_path / "p.jsonl", 3)
    with problems.open("a") as file:
        file.write(json.dumps({"id": "x", "question": "What is 1 + 1?"}) + "\n")
    done = build(tmp_path, recipe_over(fake.url, problems), "--until", "sample")
    assert done.returncode == 0 and "1 prompt dropped: no reference answer" in done.stderr
    assert count(tmp_path / "run", "responses") == 15
