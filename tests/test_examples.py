"""The examples, with the commands that stand at the top of each, in a folder of their own; a fake answers behind the URLs.

All recipes are read in every test run (tests/recipe/test_reference.py, tests/test_docs.py); what is built is slow.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import count, datakit, rows_of
from tests.helpers.fake_endpoint import Body, Fake, running
from tests.helpers.folders import ROOT

EXAMPLES = ROOT / "examples"
COMMAND = re.compile(r"^#   ((?:datakit|train) .*)$", re.MULTILINE)
REFERENCES = {
    row["question"]: int(row["answer"]) for row in map(json.loads, (EXAMPLES / "data" / "math.jsonl").read_text().splitlines())
}


def commands_of(name: str) -> list[list[str]]:
    """What stands at the top of an example, as words."""
    return [shlex.split(line) for line in COMMAND.findall((EXAMPLES / name).read_text(encoding="utf-8"))]


def say(body: Body) -> str:
    """A right answer to every other seed, of a length of its own."""
    question, seed = body["messages"][-1]["content"].split("\n")[0], body["seed"]
    reference = REFERENCES.get(question, 0)
    return f"{'Let us see. ' * (seed % 3)}The answer is {reference + seed // 3 % 2}."


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    """A copy of the examples, whose URLs are those of a fake."""
    place = tmp_path_factory.mktemp("examples")
    shutil.copytree(EXAMPLES, place / "examples")
    with running(Fake(say=say, ignore_n=True)) as fake:
        for path in (place / "examples").glob("*.yaml"):
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(r"http://127\.0\.0\.1:800\d/v1", fake.url, text), encoding="utf-8")
        yield place


def type_all(name: str, place: Path) -> list[str]:
    """What each command printed; all end well."""
    printed = []
    for program, *words in commands_of(name):
        assert program == "datakit"
        done = datakit(*words, cwd=place)
        assert done.returncode == 0, f"{words}\n{done.stderr}{done.stdout}"
        printed.append(done.stdout + done.stderr)
    return printed


def test_every_example_has_commands():
    assert {path.name for path in EXAMPLES.glob("*.yaml") if commands_of(path.name)} == {
        *("math.yaml", "code.yaml", "instruct.yaml", "import.yaml", "mix.yaml", "eval.yaml")
    }
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in (".yaml", ".ipynb")} == set(
        re.findall(r"^\| \[([\w.]+)\]", table, re.MULTILINE)
    )


@pytest.mark.slow
def test_math_on_endpoints(place):
    _, plan, _, report = type_all("math.yaml", place)
    assert "dry run of 12 prompts" in plan and "gemma-2-9b-it" in report
    assert count(place / "runs" / "example-math", "responses") == 96
    (pairs,) = rows_of(place / "runs" / "example-math", "SELECT count(*) AS n, count(DISTINCT model) AS models FROM pairs")
    assert pairs["n"] >= 12 and pairs["models"] == 2


@pytest.mark.slow
def test_code_from_a_file(place):
    mutants, _, _ = type_all("code.yaml", place)
    assert re.search(r"(\d+) mutants of 5 solutions, \1 of them caught", mutants)
    outcomes = rows_of(place / "runs" / "example-code", "SELECT outcome, count(*) AS n FROM verdicts GROUP BY 1 ORDER BY 1")
    assert outcomes == [{"outcome": "failed", "n": 10}, {"outcome": "passed", "n": 10}]
    assert count(place / "runs" / "example-code", "pairs") == 6


@pytest.mark.slow
def test_instructions_with_a_served_reward_model(place):
    _, report = [datakit(*words, cwd=place) for program, *words in commands_of("instruct.yaml") if program == "datakit"]
    assert "Skywork" in report.stdout and report.returncode == 0, report.stderr
    assert count(place / "runs" / "example-instruct", "scores") == 30
    assert count(place / "runs" / "example-instruct", "pairs") > 0


@pytest.mark.slow
def test_import_and_another_rule(place):
    built, _, difference, _, by_model = type_all("import.yaml", place)
    assert "\n! " not in built, "nothing to warn of"
    assert re.search(r"pairs: 0 came, [1-9]\d* went", difference)
    assert {"north", "south"} <= set(by_model.split())
    (least,) = rows_of(place / "runs" / "example-import", "SELECT min(margin) >= 0.42 AS held FROM pairs")
    assert least["held"]


@pytest.mark.slow
def test_the_page_on_existing_responses_as_it_is_printed(tmp_path):
    """A reward model that is fond of many wrong answers, as real ones are: nothing to warn of, and both phases have rows."""
    page = (ROOT / "docs" / "start-responses.md").read_text(encoding="utf-8")
    (tmp_path / "my.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    (tmp_path / "answers").mkdir()
    with gzip.open(tmp_path / "answers" / "one.jsonl.gz", "wt") as file:
        for at, sample in product(range(40), range(4)):
            wrong, reward = sample % 2, (7 * at + 3 * sample) % 10 - 3 * (sample % 2)
            asked = {"id": f"p{at}", "question": f"What is {at} + 3?", "gold": str(at + 3), "source_model": "north"}
            said = {"sample": sample, "response": f"It is {at + 3 + wrong}." + " Yes." * sample, "reward": reward}
            file.write(json.dumps(asked | said) + "\n")
    done = datakit("build", "--recipe", "my.yaml", "--out", "runs/mine", cwd=tmp_path)
    assert done.returncode == 0 and "\n! " not in done.stderr, done.stderr
    assert min(count(tmp_path / "runs" / "mine", table) for table in ("demos", "pairs")) > 5


@pytest.mark.slow
def test_evaluating_answers_of_a_file(place):
    (table,) = type_all("eval.yaml", place)
    assert "50.0" in table and "87.5" in table
    assert table.count("tuned right, base wrong") == 3


@pytest.mark.slow
def test_mixing_and_training(place):
    pytest.importorskip("trl")
    (place / "data").symlink_to(ROOT / "data")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATAKIT_REPORT": "0"}
    for program, *words in commands_of("mix.yaml"):
        command = [sys.executable, "-m", *(["datakit"] if program == "datakit" else ["train.cli"]), *words]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    rows = json.loads((place / "runs" / "example-mix" / "manifest.json").read_text())
    assert {"example-import", "example-code"} <= set(re.findall(r"example-\w+", json.dumps(rows)))
    assert (place / "checkpoints" / "example-dpo" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_notebook_runs_cell_by_cell(place, monkeypatch):
    """Each cell in the names of those before it; the last expression is what a notebook shows."""
    monkeypatch.chdir(place / "examples")
    monkeypatch.setenv("DATAKIT_REPORT", "0")
    notebook = json.loads((EXAMPLES / "explore.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {}
    shown = [shown_by(source, names) for source in sources]
    assert len(shown) >= 8 and all(value is not None for value in shown)
    assert "Prompts to pairs" in shown[0]._repr_html_()
    assert [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"] == [[]] * len(sources)
    assert (place / "runs" / "explore-export" / "dpo" / "train.jsonl").is_file()


def shown_by(source: str, names: dict[str, object]) -> Any:
    """What a cell shows: the value of its last line, where that is an expression."""
    *body, last = ast.parse(source).body
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([last], []), "cell", "exec"), names)
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
