"""`datakit batch write` and `read`: lines out, results in, joined by custom_id alone; what is not of the run is named."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import count, datakit, recipe_over, rows_of, write_problems, write_recipe
from tests.helpers.fake_endpoint import Fake, running

PROMPTS, N = 6, 3
COLUMNS = "response_id, prompt_id, model, sampling, sample_index, seed, text, finish_reason, n_prompt_tokens, n_tokens"


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    """One source behind a URL that this machine does not reach."""
    return recipe_over("http://127.0.0.1:9/v1", write_problems(tmp_path / "p.jsonl", PROMPTS), n=N, omit=["top_k"])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def batch(*args: object) -> str:
    """What the command says; it must end well."""
    done = datakit("batch", *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return " ".join(done.stderr.split())


def refused(*args: object) -> str:
    done = datakit("batch", *args)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    return " ".join(done.stderr.split())


def begin(tmp_path: Path, recipe: dict[str, Any], name: str = "lines.jsonl", *args: object) -> str:
    path = write_recipe(tmp_path / "r.yaml", recipe)
    return batch("write", "--recipe", path, "--out", tmp_path / "run", *args, tmp_path / name)


def lines_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def answer(fake: Fake, line: dict[str, Any], fault: str | None = None) -> str:
    """A line of results, or one without an answer, as vllm run-batch writes them."""
    response: dict[str, Any] = {"status_code": 200, "request_id": "vllm-batch-1", "body": None}
    error: Any = None
    if fault is None:
        response["body"] = json.loads(fake._answer(line["body"], "/chat/completions"))
    elif fault == "context":
        response["status_code"] = 400
        error = {
            "error": {"message": "This model's maximum context length is 64 tokens.", "type": "BadRequestError", "code": 400}
        }
    else:
        response["status_code"], error = 400, fault
    return json.dumps({"id": "vllm-1", "custom_id": line["custom_id"], "response": response, "error": error})


def answers(lines: list[dict[str, Any]], faults: dict[str, str] | None = None) -> list[str]:
    """In another order than they were asked in."""
    with running(Fake()) as fake:
        results = [answer(fake, line, (faults or {}).get(line["custom_id"])) for line in lines]
    random.Random(1).shuffle(results)
    return results


def write_results(path: Path, results: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in results))
    return path


def test_what_was_written_and_answered_elsewhere_is_what_single_requests_store(tmp_path, run, recipe):
    recipe["sources"][0]["system"] = "Be short."
    said = begin(tmp_path, recipe)
    lines = lines_in(tmp_path / "lines.jsonl")
    assert len(lines) == PROMPTS * N and "18 lines for fake/one" in said and count(run, "responses") == 0
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    said = batch("read", run, write_results(tmp_path / "results.jsonl", answers(lines)))
    assert "18 answers stored, 0 lines without an answer, 0 there already" in said and "!" not in said
    with running(Fake()) as fake:
        recipe["sources"][0] |= {"base_urls": [fake.url], "request": "single"}
        path = write_recipe(tmp_path / "single.yaml", recipe)
        assert datakit("build", "--recipe", path, "--out", tmp_path / "single", "--until", "sample").returncode == 0
        assert datakit("build", "--recipe", path, "--out", run, "--until", "sample").returncode == 0
        assert fake.n_requests == PROMPTS * N, "and asks nothing"
    query = f"SELECT {COLUMNS} FROM responses ORDER BY 1"
    assert rows_of(run, query) == rows_of(tmp_path / "single", query)
    assert "no samples are missing" in refused("write", run, tmp_path / "more.jsonl")


def test_what_came_back_without_an_answer_is_written_again(tmp_path, run, recipe):
    begin(tmp_path, recipe)
    lines = lines_in(tmp_path / "lines.jsonl")
    too_long, crashed, left_out = (lines[at]["custom_id"] for at in (0, 5, 9))
    faults = {too_long: "context", crashed: "EngineCore encountered an issue"}
    results = [line for line in answers(lines, faults) if left_out not in line]
    said = batch("read", run, write_results(tmp_path / "results.jsonl", results))
    assert "15 answers stored, 2 lines without an answer" in said
    failures = rows_of(run, "SELECT key, error, message, permanent FROM failures ORDER BY permanent")
    assert [(row["key"], row["permanent"]) for row in failures] == [(crashed, False), (too_long, True)]
    assert "EngineCore" in failures[0]["message"] and "maximum context length" in failures[1]["message"]

    batch("write", run, tmp_path / "again.jsonl")
    assert {line["custom_id"] for line in lines_in(tmp_path / "again.jsonl")} == {crashed, left_out}
    batch("write", "--retry-failures", run, tmp_path / "all.jsonl")
    assert {line["custom_id"] for line in lines_in(tmp_path / "all.jsonl")} == {crashed, left_out, too_long}
    said = batch("read", run, write_results(tmp_path / "all-results.jsonl", answers(lines)))
    assert "3 answers stored, 0 lines without an answer, 15 there already" in said and count(run, "current_failures") == 0


@pytest.mark.slow
def test_an_empty_answer_is_asked_with_another_seed(tmp_path, run, recipe):
    begin(tmp_path, recipe)
    first, *_ = lines = lines_in(tmp_path / "lines.jsonl")
    empty = json.loads(answers([first])[0])
    empty["response"]["body"]["choices"][0]["message"]["content"] = " "
    batch("read", run, write_results(tmp_path / "r.jsonl", [json.dumps(empty), *answers(lines[1:])]))
    batch("write", run, tmp_path / "again.jsonl")
    [again] = lines_in(tmp_path / "again.jsonl")
    assert again["custom_id"] == first["custom_id"] + "-1" and again["body"]["seed"] != first["body"]["seed"]
    batch("read", run, write_results(tmp_path / "r2.jsonl", answers([again])))
    [row] = rows_of(run, f"SELECT seed FROM responses WHERE response_id = '{first['custom_id']}'")
    assert row["seed"] == again["body"]["seed"]


def test_a_file_a_source_and_none_is_overwritten(tmp_path, run, recipe):
    recipe["sources"].append(recipe["sources"][0] | {"model": "org/two b", "n": 1})
    said = begin(tmp_path, recipe, "lines.jsonl", "--max-lines", "10")
    files = {path.name: len(lines_in(path)) for path in tmp_path.glob("lines*.jsonl")}
    assert files == {"lines-fake-one-1.jsonl": 10, "lines-fake-one-2.jsonl": 8, "lines-org-two-b-1.jsonl": 6}
    assert "lines-org-two-b-1.jsonl: 6 lines for org/two b" in said
    assert "exists already; give another name" in refused("write", "--max-lines", "10", run, tmp_path / "lines.jsonl")
    assert "error: .: is a folder; name a file in it" in refused("write", run, ".")
    results = [line for path in sorted(tmp_path.glob("lines-*")) for line in answers(lines_in(path))]
    batch("read", run, write_results(tmp_path / "all.jsonl", results))
    by_model = rows_of(run, "SELECT model, count(*) AS n FROM responses GROUP BY 1 ORDER BY 1")
    assert by_model == [{"model": "fake/one", "n": 18}, {"model": "org/two b", "n": 6}]


def test_servers_are_asked_by_hand_too(tmp_path, run, recipe):
    """With the name that their requests ask for; nothing of vLLM is needed here."""
    served = {"type": "serve", "engine": "vllm", "model": "org/model", "n": 2, "sampling": {"max_tokens": 8}}
    begin(tmp_path, recipe | {"sources": [served]})
    lines = lines_in(tmp_path / "lines.jsonl")
    assert len(lines) == 2 * PROMPTS and {line["body"]["model"] for line in lines} == {"org/model"}
    batch("read", run, write_results(tmp_path / "results.jsonl", answers(lines)))
    assert count(run, "responses WHERE model = 'org/model'") == 2 * PROMPTS


def test_lines_that_are_not_of_the_run_are_told_apart_and_named(tmp_path, run, recipe):
    begin(tmp_path, recipe)
    ours = lines_in(tmp_path / "lines.jsonl")
    (tmp_path / "other").mkdir()
    hotter = recipe | {"sources": [recipe["sources"][0] | {"sampling": {"temperature": 1.5}}]}
    begin(tmp_path / "other", hotter)
    theirs = lines_in(tmp_path / "other" / "lines.jsonl")
    unknown = json.dumps({"custom_id": "request-1", "response": None, "error": None})
    results = ["{", "[]", "", unknown, *answers(theirs[:4]), *answers(ours), *answers(ours[:2])]
    said = batch("read", run, write_results(tmp_path / "mixed.jsonl", results))
    assert "18 answers stored, 0 lines without an answer, 2 there already" in said
    assert "4 lines of another recipe, or of prompts that this run does not have (" in said
    assert any(line["custom_id"] in said for line in theirs[:4])
    assert "1 line with a custom_id that datakit does not write (request-1)" in said
    assert "2 lines without a result" in said
    assert count(run, "responses") == PROMPTS * N


def test_the_wrong_file_is_refused(tmp_path, run, recipe):
    begin(tmp_path, recipe)
    lines = tmp_path / "lines.jsonl"
    prompts = refused("read", run, tmp_path / "p.jsonl")
    assert f"no line belongs to {run}: 6 lines without a result" in prompts
    assert "no such file" in refused("read", run, tmp_path / "gone.jsonl")
    assert "not a run folder" in refused("read", tmp_path / "nowhere", lines) and not (tmp_path / "nowhere").exists()
    assert "not a run folder" in refused("write", tmp_path / "nowhere", tmp_path / "x.jsonl")
    assert "datakit batch write RUN FILE" in refused("write", tmp_path / "x.jsonl")
    assert "datakit batch write --recipe" in refused("write", "--domain", "math", run, tmp_path / "x.jsonl")
    empty = write_results(tmp_path / "empty.jsonl", [])
    assert "it is empty" in refused("read", run, empty) and count(run, "responses") == 0


def test_the_questions_themselves_are_no_answers(tmp_path, run, recipe):
    """Somebody gives the file that was written, not the one that came back."""
    begin(tmp_path, recipe)
    assert "18 lines without a result" in refused("read", run, tmp_path / "lines.jsonl") and count(run, "failures") == 0
