"""datakit from Python: builds, tables, SQL, the report, another selection, an export, an evaluation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

import datakit
from datakit.errors import BadInput, RecipeError, RunError, SourceStopped
from datakit.options import Options
from tests.helpers.command import closed_url, write_problems
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.folders import ROOT

QUESTIONS = 8


def recipe_of(folder: Path) -> dict[str, Any]:
    """Two scored answers of one model to each question."""
    rows = [
        {
            "prompt": f"Name the number after {at}.",
            "model": "m",
            "text": f"It is {at + 1}{'.' * better}",
            "score": at + 2.0 * better,
        }
        for at in range(QUESTIONS)
        for better in (0, 1)
    ]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"type": "responses", "path": str(folder / "answers.jsonl"), "columns": {"score": "score"}, "judge": "rm"}
    return {"domain": "instruct", "sources": [source], "select": {"split": "share", "sft_share": 0.5}}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> datakit.OpenRun:
    folder = tmp_path_factory.mktemp("library")
    return datakit.build(recipe_of(folder), folder / "run")


def test_a_build_returns_its_run(run):
    assert run.folder.is_dir() and (run.folder / "dpo" / "train.parquet").is_file()
    assert eval(repr(run), {"datakit": datakit}).folder == run.folder


def test_tables_and_views_are_polars_frames(run):
    assert run["responses"].height == 2 * QUESTIONS and isinstance(run["pairs"], pl.DataFrame)
    assert {"chosen", "rejected", "margin"} <= set(run["pairs_with_texts"].columns)
    assert {"prompts", "pairs", "pairs_with_texts"} <= {one.name for one in run.contents()}
    with pytest.raises(KeyError, match="responces: no table or view of a run; there are prompts"):
        run["responces"]


def test_sql_takes_parameters_and_says_what_is_wrong(run):
    assert run.sql("SELECT count(*) AS n FROM scores WHERE score > $least", {"least": 5.5}).row(0) == (6,)
    with pytest.raises(BadInput, match="no_such_table"):
        run.sql("SELECT * FROM no_such_table")


def test_the_report_is_that_of_inspect_and_shows_itself_in_a_notebook(run):
    report = run.report
    assert report.pairs.count == run["pairs"].height == QUESTIONS // 2 and report.run.judge.startswith("rm@")
    shown = run._repr_html_()
    assert shown.startswith("<pre>") and "Prompts to pairs" in shown and "<script" not in shown


def test_a_diff_writes_nothing_and_a_selection_is_kept(run, tmp_path):
    before = run["pairs"]
    diff = run.diff({"margin": [5, 9]})
    assert diff.pairs["went"] == before.height and run["pairs"].equals(before)
    assert run.select({"margin": [5, 9]})["pairs"].height == 0
    assert run.select({"margin": None})["pairs"].equals(before)
    with pytest.raises(RecipeError, match=r"^domain maths: there is no embedded recipe .*did you mean 'math'\?$"):
        datakit.build("maths")
    with pytest.raises(RecipeError, match=r"^select\.margins: extra field .*did you mean 'margin'\?$"):
        run.diff({"margins": [5, 9]})
    assert run.export(tmp_path / "out", "jsonl").rows == {"sft": QUESTIONS // 2, "dpo": QUESTIONS // 2}
    assert (tmp_path / "out" / "dpo" / "train.jsonl").is_file()
    assert pq.read_table(run.folder / "dpo" / "train.parquet").num_rows == QUESTIONS // 2


def test_what_the_page_says_of_an_open_run_runs(run, tmp_path, monkeypatch):
    """docs/library.md, of a copy: one of its lines keeps another selection."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    here = [block for block in blocks if block.startswith("run")]
    monkeypatch.chdir(tmp_path)
    names = {"run": datakit.open_run(shutil.copytree(run.folder, tmp_path / "run"))}
    for block in here:
        exec(block, names)
    assert len(here) == 2 and (tmp_path / "out" / "dpo").is_dir()


def test_a_folder_that_is_no_run_is_said(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        datakit.open_run(tmp_path)


def test_a_source_that_stops_is_raised_unless_the_build_may_go_on(tmp_path):
    prompts = {
        "type": "file",
        "path": str(write_problems(tmp_path / "p.jsonl", 2)),
        "columns": {"prompt": "question", "reference": "gold"},
    }
    source = {"type": "endpoint", "model": "m", "base_urls": [closed_url()]}
    recipe = {"domain": "math", "prompts": [prompts], "sources": [source], "select": {"margin": None}}
    with pytest.raises(SourceStopped, match="nothing listens"):
        datakit.build(recipe, tmp_path / "run")
    assert datakit.build(recipe, tmp_path / "run", Options(keep_going=True))["pairs"].height == 0


def test_models_are_evaluated_as_by_the_command(tmp_path):
    (tmp_path / "items.jsonl").write_text("".join(json.dumps({"q": f"{at} + 1?", "a": str(at + 1)}) + "\n" for at in range(4)))
    benchmark = {
        "name": "sums", "version": "1", "licence": "CC0", "domain": "math",
        "prompts": {"type": "file", "path": "items.jsonl", "columns": {"prompt": "q", "reference": "a"}},
    }  # fmt: skip
    (tmp_path / "sums.yaml").write_text(json.dumps(benchmark))
    for name, off in (("right", 0), ("wrong", 1)):
        answers = [{"prompt": f"{at} + 1?", "text": rf"\boxed{{{at + 1 + off}}}"} for at in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    models = {name: str(tmp_path / f"{name}.jsonl") for name in ("right", "wrong")}
    found = datakit.evaluate(str(tmp_path / "sums.yaml"), models, tmp_path / "eval", base="wrong")
    assert json.loads((tmp_path / "eval" / "eval.json").read_text()) == json.loads(json.dumps(found.as_json(), default=str))
    assert found.base == "wrong" and found.models == ["right", "wrong"]


def test_a_judge_compares_the_answers_of_files(tmp_path):
    (tmp_path / "items.jsonl").write_text("".join(json.dumps({"q": f"Say {at}."}) + "\n" for at in range(4)))
    judge = {"type": "pairwise", "model": "j", "prompt": {"template": "{prompt} <<{answer_a}>> <<{answer_b}>>"}}
    benchmark = {
        "name": "said", "version": "1", "licence": "CC0", "domain": "instruct", "metric": "win_rate", "judge": judge,
        "prompts": {"type": "file", "path": "items.jsonl", "columns": {"prompt": "q"}},
    }  # fmt: skip
    (tmp_path / "said.yaml").write_text(json.dumps(benchmark))
    for name, text in (("old", "no"), ("new", "yes")):
        answers = [{"prompt": f"Say {at}.", "text": f"{text} {at}"} for at in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    models = {name: str(tmp_path / f"{name}.jsonl") for name in ("old", "new")}
    with running(Fake(say=lambda body: "[[A>B]]" if " <<yes" in body["messages"][-1]["content"][:14] else "[[B>A]]")) as fake:
        found = datakit.evaluate(str(tmp_path / "said.yaml"), models, tmp_path / "eval", judge=f"{fake.url}#j", baseline="old")
    [results] = found.benchmarks
    assert [(score.model, score.score) for score in results.scores] == [("new", 1.0)]
    assert results.judging is not None and (results.judging.baseline, results.judging.judgements) == ("old", 8)


def test_what_there_is_can_be_listed_and_nothing_else_is_there():
    assert set(datakit.__all__) == {"OpenRun", "build", "evaluate", "open_run"}
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        datakit.trian  # noqa: B018


def test_importing_datakit_loads_no_library():
    is_there = "print('datakit.library' in sys.modules)"
    shown = f"import sys, datakit; {is_there}; datakit.open_run; {is_there}"
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
