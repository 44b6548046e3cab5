"""`datakit build --dry-run`: what it says beforehand is what the build then does, and it touches nothing."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from datakit import dry_run, stages
from datakit.errors import RunError
from datakit.options import Options
from datakit.recipe import parse
from datakit.screen.watch import Watch
from datakit.store import Run
from tests.helpers.command import closed_url, datakit, recipe_over, write_problems, write_recipe
from tests.helpers.fake_endpoint import Fake, error, running

PROMPTS = 8


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.jsonl", PROMPTS)


def run_command(tmp_path: Path, recipe: dict, *args: str):
    path = write_recipe(tmp_path / "recipe.yaml", recipe)
    return datakit("build", "--recipe", path, "--out", tmp_path / "run", *args)


def quiet() -> Watch:
    return Watch(console=Console(file=StringIO()))


def sample(tmp_path: Path, recipe: dict, **options) -> None:
    """Build until the samples are there, without a process of its own."""
    parsed = parse(recipe, name="r.yaml", folder=tmp_path)
    with quiet() as watch:
        stages.build(parsed, tmp_path / "run", Options(until="sample", **options), watch)


def plan_of(tmp_path: Path, recipe: dict, **options) -> dict:
    parsed = parse(recipe, name="r.yaml", folder=tmp_path)
    with quiet() as watch:
        return dry_run.as_json(dry_run.plan(parsed, tmp_path / "run", Options(**options), watch))


def asked(tmp_path: Path, sql: str) -> Any:
    """The one value of a query."""
    with Run.open(tmp_path / "run") as run:
        return run.query(sql).item()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_needs_no_key_and_no_server_and_makes_no_folder(problems, tmp_path):
    recipe = recipe_over(closed_url(), problems, api_key_env="A_KEY_THAT_IS_NOT_SET")
    done = run_command(tmp_path, recipe, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists()
    plan = json.loads(done.stdout)
    [source] = plan["sources"]
    expected = {"wanted": 40, "there": 0, "missing": 40, "requests": 8, "requests_at_least": True, "cost": None}
    assert {name: source[name] for name in expected} == expected
    assert (source["completion_tokens"], source["completion_tokens_by"]) == (40 * 64, "max_tokens")
    texts = [json.loads(line)["question"] for line in problems.read_text().splitlines()]
    assert (source["prompt_tokens"], source["prompt_tokens_by"]) == (round(sum(map(len, texts)) / 4), "characters")


@pytest.mark.parametrize("request_mode, requests", [("n", PROMPTS), ("single", PROMPTS * 5)])
def test_what_it_foretells_is_what_the_build_asks(fake, problems, tmp_path, request_mode, requests):
    recipe = recipe_over(fake.url, problems, request=request_mode)
    [source] = plan_of(tmp_path, recipe)["sources"]
    assert (source["requests"], source["missing"], source["requests_at_least"]) == (requests, PROMPTS * 5, False)
    assert fake.requests == []
    sample(tmp_path, recipe)
    assert len(fake.requests) == requests


def test_after_a_part_it_tells_the_rest_from_the_runs_own_rows_and_leaves_the_run_as_it_is(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, price={"input": 1000.0, "output": 2000.0}, request="n")
    recipe["budget"] = {"tokens": 10**6, "cost": 1.0}
    sample(tmp_path, recipe, limit=3)
    before = contents(tmp_path / "run")
    n_requests = len(fake.requests)
    plan = plan_of(tmp_path, recipe)
    assert contents(tmp_path / "run") == before and len(fake.requests) == n_requests
    [source] = plan["sources"]
    assert (source["there"], source["missing"], source["requests"]) == (15, 25, 5)
    mean = asked(tmp_path, "SELECT avg(n_tokens) FROM responses")
    assert (source["completion_tokens"], source["completion_tokens_by"]) == (round(25 * mean), "run")
    assert source["prompt_tokens_by"] == "run" and source["prompt_tokens"] == pytest.approx(5 * 11, rel=0.1)
    assert plan["spent"]["prompt_tokens"] == 3 * 11
    cost = (1000 * source["prompt_tokens"] + 2000 * source["completion_tokens"]) / 10**6
    assert source["cost"] == pytest.approx(cost) == plan["planned"]["cost"]
    verdicts = {name: budget["verdict"] for name, budget in plan["budgets"].items()}
    assert verdicts == {"tokens": "holds", "cost": "would stop the build"}

    sample(tmp_path, recipe | {"budget": {}})
    took = int(asked(tmp_path, "SELECT sum(n_tokens) FROM responses"))
    assert took == pytest.approx(plan["spent"]["completion_tokens"] + source["completion_tokens"], rel=0.5)
    [source] = plan_of(tmp_path, recipe | {"budget": {}})["sources"]
    assert (source["missing"], source["requests"], source["prompt_tokens"], source["completion_tokens"]) == (0, 0, 0, 0)


def test_what_failed_for_good_is_asked_only_on_request(fake, problems, tmp_path):
    fake.fault = lambda number, body: error(400, "too long") if "What is 3 +" in body["messages"][-1]["content"] else None
    recipe = recipe_over(fake.url, problems)
    sample(tmp_path, recipe)
    [source] = plan_of(tmp_path, recipe)["sources"]
    assert (source["there"], source["refused"], source["missing"], source["requests"]) == (35, 5, 0, 0)
    said = run_command(tmp_path, recipe, "--dry-run")
    assert "one: 5 failed permanently before; --retry-failures retries them" in said.stdout
    [source] = plan_of(tmp_path, recipe, retry_failures=True)["sources"]
    assert (source["refused"], source["missing"], source["requests"]) == (0, 5, 1)


def test_a_run_that_the_build_would_refuse_is_refused(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems)
    sample(tmp_path, recipe)
    recipe["sources"][0]["sampling"] = {"temperature": 1.0, "max_tokens": 64}
    with pytest.raises(RunError, match=r"sources\.0\.sampling: \{'temperature': 0\.8"):
        plan_of(tmp_path, recipe)
    [source] = plan_of(tmp_path, recipe, resample=True)["sources"]
    assert (source["there"], source["missing"], source["completion_tokens_by"]) == (0, 40, "max_tokens")
    assert source["prompt_tokens_by"] == "run", "a prompt is as long as before, whatever the temperature"


def test_imported_responses_and_dropped_prompts_are_not_asked_for(problems, tmp_path):
    with problems.open("a") as file:
        file.write(json.dumps({"id": "x", "question": "What is 1 + 1?"}) + "\n")  # no gold answer
    old = tmp_path / "old.jsonl"
    old.write_text(json.dumps({"id": "add/1", "question": "What is 1 + 3?", "answer": "4", "who": "old/model"}) + "\n")
    recipe = recipe_over(closed_url(), problems, sampling={"temperature": 0.8}, n=1)
    columns = {"prompt_id": "id", "prompt": "question", "text": "answer", "model": "who"}
    recipe["sources"].append({"type": "responses", "path": str(old), "columns": columns})
    plan = plan_of(tmp_path, recipe)
    assert plan["prompts"] == PROMPTS and [source["missing"] for source in plan["sources"]] == [PROMPTS]
    assert (plan["sources"][0]["completion_tokens"], plan["sources"][0]["completion_tokens_by"]) == (None, "unknown")


LENGTHS = [
    ("a" * 400, {}, 100),
    ("数" * 300, {}, 200),
    ("数" * 150 + "a" * 200, {}, 150),
    ("a" * 400, {"system": "b" * 40}, 110),
    ("かな" * 30 + "한국" * 30, {}, 80),
]


@pytest.mark.parametrize("text, changes, tokens", LENGTHS, ids=["latin", "han", "both", "system prompt", "kana and hangul"])
def test_the_rough_count_of_a_prompt(tmp_path, text, changes, tokens):
    problems = tmp_path / "problems.jsonl"
    problems.write_text(json.dumps({"id": "a", "question": text, "gold": "1"}) + "\n")
    recipe = recipe_over(closed_url(), problems, n=3, request="n", **changes)
    recipe["sources"].append(recipe["sources"][0] | {"model": "fake/two", "request": "single"})
    together, singly = (source["prompt_tokens"] for source in plan_of(tmp_path, recipe)["sources"])
    assert (together, singly) == (tokens, 3 * tokens)


BUDGETS = [
    ({"tokens": 10_000}, {"max_tokens": 64}, "holds"),
    ({"tokens": 2000}, {"max_tokens": 64}, "may stop the build"),
    ({"tokens": 10_000}, {"temperature": 1.0}, "unknown"),
]


@pytest.mark.parametrize("budget, sampling, verdict", BUDGETS)
def test_budgets_before_anything_is_known(problems, tmp_path, budget, sampling, verdict):
    recipe = recipe_over(closed_url(), problems, sampling=sampling) | {"budget": budget}
    assert plan_of(tmp_path, recipe)["budgets"]["tokens"]["verdict"] == verdict


def test_judges_behind_urls_are_foretold_beside_the_sums(fake, problems, tmp_path):
    """Local judges cost no request; of those behind URLs only what they have not scored is asked."""
    judge = {"type": "llm_judge", "model": "big", "base_urls": [closed_url()]}
    local = {"type": "armorm", "model": "a/b", "revision": "0" * 40}
    recipe = recipe_over(fake.url, problems) | {"score": [judge, local], "select": {"judge": "llm_judge"}}
    n = recipe["sources"][0]["n"]
    [(name, n_answers)] = plan_of(tmp_path, recipe)["judged"].items()
    assert name.startswith("llm_judge@big") and n_answers == PROMPTS * n
    sample(tmp_path, recipe)
    with Run.create(tmp_path / "run") as run:
        ids = run.query("SELECT response_id FROM responses ORDER BY 1 LIMIT 3")["response_id"]
        run.append("scores", [{"response_id": one, "judge": name, "score": 5.0} for one in ids])
    assert plan_of(tmp_path, recipe)["judged"] == {name: PROMPTS * n - 3}
    shown = run_command(tmp_path, recipe, "--dry-run").stdout
    assert f"{name} is asked about {PROMPTS * n - 3} answers at most; not part of any sum or budget" in " ".join(shown.split())


def test_the_table_for_people(problems, tmp_path):
    recipe = recipe_over(closed_url(), problems, price={"input": 2.0, "output": 2.0})
    recipe["sources"].append(recipe["sources"][0] | {"model": "fake/two", "request": "single", "sampling": {}})
    done = run_command(tmp_path, recipe, "--dry-run")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0 and not (tmp_path / "run").exists()
    assert ["one", "40", "0", "40", "≥8", "~29", "≤2,560", "≤0.0052"] in lines
    assert ["two", "40", "0", "40", "40", "~145", "?", "≥0.00029"] in lines
    assert ["all", "80", "0", "80", "≥48", "~174", "≥2,560", "≥0.0055"] in lines
    assert "cannot be told without max_tokens (two)" in done.stdout


def test_json_is_for_a_dry_run_only(problems, tmp_path):
    done = run_command(tmp_path, recipe_over(closed_url(), problems), "--json")
    assert done.returncode == 2 and "--json needs --dry-run" in done.stderr and not (tmp_path / "run").exists()


def test_the_demo_recipe_asks_its_own_servers_singly(tmp_path):
    done = datakit("build", "--domain", "math", "--dry-run", "--json", "--out", tmp_path / "run")
    sources = json.loads(done.stdout)["sources"]
    assert [source["requests"] for source in sources] == [500] * 4 and not (tmp_path / "run").exists()
    assert not any(source["requests_at_least"] for source in sources)


def test_a_build_ends_with_what_its_samples_took(fake, problems, tmp_path):
    recipe = recipe_over(fake.url, problems, price={"input": 1000.0, "output": 0.0})
    done = run_command(tmp_path, recipe, "--until", "sample")
    took = int(asked(tmp_path, "SELECT sum(n_tokens) FROM responses"))
    assert ["one", "40", "8", "88", str(took), "0.088"] in [line.split() for line in done.stderr.splitlines()]
    shutil.rmtree(tmp_path / "run")
    fake.fault = lambda number, body: error(401, "no") if number > 12 else None
    stopped = run_command(tmp_path, recipe | {"sources": [recipe["sources"][0] | {"max_in_flight": 1}]})
    assert stopped.returncode == 3 and asked(tmp_path, "SELECT count(*) FROM responses") == 20
    assert "20 of 40" in stopped.stderr, "also where a source stopped it"
