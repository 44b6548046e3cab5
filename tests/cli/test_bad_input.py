"""Bad input, as a user meets it: one message that names file, field, value and next step; status 2; nothing half written."""

from __future__ import annotations

import gzip
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.helpers.command import count, datakit, datakit_process, recipe_over, rows_of, write_problems, write_recipe
from tests.helpers.fake_endpoint import Fake, running

URL = "http://127.0.0.1:9/v1"


def refused(tmp_path: Path, recipe: dict, *args: object) -> str:
    """What a build says that must refuse, and has written nothing."""
    done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", *args)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not (tmp_path / "run").exists(), "nothing is written before everything is read"
    return " ".join(done.stderr.split())


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "p.jsonl", 3)


def changed(problems: Path, **fields) -> dict:
    recipe = recipe_over(URL, problems)
    recipe["prompts"][0] |= fields
    return recipe


def test_a_misspelt_field(problems, tmp_path):
    recipe = recipe_over(URL, problems)
    recipe["sources"][0]["modle"] = recipe["sources"][0].pop("model")
    said = refused(tmp_path, recipe)
    assert "r.yaml: sources.0.modle: extra field not permitted (got 'fake/one'); did you mean 'model'?" in said


def test_a_wrong_type(problems, tmp_path):
    assert "r.yaml: sources.0.n: input should be a valid integer" in refused(tmp_path, recipe_over(URL, problems, n="five"))


def test_an_unknown_domain(problems, tmp_path):
    said = refused(tmp_path, recipe_over(URL, problems) | {"domain": "maths", "verify": {}})
    assert "domain: unknown domain 'maths'; known: math" in said


def test_a_domain_that_differs_from_the_recipes(problems, tmp_path):
    said = refused(tmp_path, recipe_over(URL, problems), "--domain", "code")
    assert "--domain code:" in said and "is a recipe for domain 'math'" in said


def test_an_unknown_domain_without_a_recipe():
    done = datakit("build", "--domain", "maths")
    assert (
        done.returncode == 2
        and "there is no embedded recipe for it, only for chinese, code, dialogue, instruct, math, mcq"
        in " ".join(done.stderr.split())
    )


def test_a_missing_recipe_and_none_at_all(tmp_path):
    assert "nowhere.yaml: cannot be read" in datakit("build", "--recipe", tmp_path / "nowhere.yaml").stderr
    assert "give --domain" in datakit("build").stderr


def test_a_missing_prompt_file(problems, tmp_path):
    assert "gone.jsonl: no such file (looked at" in refused(tmp_path, changed(problems, path="gone.jsonl"))


def test_an_unreadable_prompt_file(problems, tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1 this is not parquet")
    assert "p.parquet: not a readable Parquet file" in refused(tmp_path, changed(problems, path="p.parquet"))
    (tmp_path / "p.jsonl.gz").write_bytes(b"not gzip at all")
    assert "p.jsonl.gz: cannot be read after line 0" in refused(tmp_path, changed(problems, path="p.jsonl.gz"))
    (tmp_path / "p.xlsx").write_bytes(b"PK")
    assert "p.xlsx: not a known kind of file; give .jsonl, .json, .csv," in refused(tmp_path, changed(problems, path="p.xlsx"))


def test_a_mapped_column_that_is_not_there(problems, tmp_path):
    said = refused(tmp_path, changed(problems, columns={"prompt": "question", "reference": "answer"}))
    assert f"r.yaml: prompts.0.columns.reference: there is no column 'answer'; {problems} has gold, id, question" in said
    near = refused(tmp_path, changed(problems, columns={"prompt": "qestion", "reference": "gold"}))
    assert "r.yaml: prompts.0.columns.prompt: there is no column 'qestion'; did you mean 'question'?" in near


def test_a_column_that_is_not_ours(problems, tmp_path):
    said = refused(tmp_path, changed(problems, columns={"prompt": "question", "anser": "gold"}))
    assert "columns.anser: not one of datakit's columns; known are prompt_id, prompt," in said


def test_an_empty_prompt_set(problems, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "no prompts found" in refused(tmp_path, changed(problems, path="empty.jsonl", columns={}))


def test_one_prompt_id_twice(problems, tmp_path):
    problems.write_text(problems.read_text() * 2)
    assert "prompt_id 'add/0' appears twice" in refused(tmp_path, recipe_over(URL, problems))


def test_a_prompt_that_is_no_text(problems, tmp_path):
    problems.write_text(json.dumps({"id": "x", "question": 7, "gold": "1"}) + "\n")
    said = refused(tmp_path, recipe_over(URL, problems))
    assert "p.jsonl: line 1 (prompt_id x): prompt must be text (got 7)" in said


def test_a_model_folder_without_the_expected_tensors(problems, tmp_path):
    folder = tmp_path / "reward"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    said = refused(tmp_path, recipe_over(URL, problems) | {"score": {"type": "armorm", "model": str(folder)}})
    assert str(folder) in said


def test_a_reward_model_folder_that_is_not_there(problems, tmp_path):
    said = refused(tmp_path, recipe_over(URL, problems) | {"score": {"type": "armorm", "model": "./nowhere"}})
    assert "model folder not found: ./nowhere" in said


def test_a_reward_model_of_the_hub_without_a_revision(problems, tmp_path):
    said = refused(tmp_path, recipe_over(URL, problems) | {"score": {"type": "armorm", "model": "RLHFlow/ArmoRM"}})
    assert "revision" in said and "RLHFlow/ArmoRM" in said


@pytest.mark.slow
def test_a_reward_model_of_the_hub_that_cannot_be_had_is_named_before_the_first_request(problems, tmp_path):
    """Sampling alone does not need it: it may be scored where the hub can be reached."""
    judge = {"type": "armorm", "model": "RLHFlow/ArmoRM", "revision": "0" * 40}
    with running(Fake()) as fake:
        recipe = write_recipe(tmp_path / "r.yaml", recipe_over(fake.url, problems) | {"score": judge})
        build = partial(datakit_process, "build", "--recipe", recipe, "--out", tmp_path / "run", env={"HF_HUB_OFFLINE": "1"})
        done = build()
        assert (done.returncode, fake.n_requests) == (2, 0)
        assert f"score.model: RLHFlow/ArmoRM at revision {'0' * 40} cannot be fetched" in done.stderr
        assert build("--until", "sample").returncode == 0
        assert fake.n_requests > 0


def test_a_served_model_folder_without_a_config(problems, tmp_path):
    (tmp_path / "model").mkdir()
    recipe = recipe_over(URL, problems) | {"sources": [{"type": "serve", "engine": "transformers", "model": "./model"}]}
    assert "sources.0.model: ./model: no config.json" in refused(tmp_path, recipe)


def test_a_missing_extra_says_the_pip_command(problems, tmp_path):
    """An environment without `datasets`: a package of that name on the path that cannot be imported stands for it."""
    block = tmp_path / "block"
    block.mkdir()
    (block / "datasets.py").write_text("raise ModuleNotFoundError(\"No module named 'datasets'\", name='datasets')\n")
    recipe = recipe_over(URL, problems)
    recipe["prompts"] = [{"type": "hub", "dataset": "org/set"}]
    path = write_recipe(tmp_path / "r.yaml", recipe)
    done = datakit_process("build", "--recipe", path, "--out", tmp_path / "run", env={"PYTHONPATH": str(block)})
    assert done.returncode == 2 and "pip install 'fuse-datakit[hub]'" in done.stderr


def test_an_unknown_stage_and_a_bad_flag(problems, tmp_path):
    assert "--until verfy: unknown stage; choose one of collect" in refused(
        tmp_path, recipe_over(URL, problems), "--until", "verfy"
    )
    assert datakit("build", "--recipie", "x").returncode == 2


# --------------------------------------------------------------------------------------------------------- responses files


def responses_recipe(path: str, **fields) -> dict:
    return {"domain": "math", "sources": [{"type": "responses", "path": path, **fields}]}


ROWS = [
    {"prompt_id": "a", "prompt": "1+1?", "reference": "2", "model": "m", "text": "It is 2"},
    {"prompt_id": "a", "prompt": "1+1?", "reference": "3", "model": "m", "text": "It is 3"},
    {"prompt_id": "b", "prompt": "1+2?", "reference": "3", "model": "m", "text": "It is 3"},
    {"prompt_id": "b", "prompt": "1+2?", "reference": "3", "model": "m", "text": "  "},
]


def write_rows(path: Path, rows: list[dict]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_a_responses_file_is_prompts_and_responses(tmp_path, name):
    """The first reference wins and a differing one is counted; a blank answer is a failure; samples are numbered."""
    write_rows(tmp_path / name, ROWS)
    done = datakit("build", "--recipe", write_recipe(tmp_path / "x.yaml", responses_recipe(name)), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "1 row with another reference than the first row of its prompt in r.jsonl" in done.stderr
    rows = rows_of(tmp_path / "run", "SELECT prompt_id, sample_index, sampling, finish_reason FROM responses ORDER BY ALL")
    assert [(row["prompt_id"], row["sample_index"]) for row in rows] == [("a", 0), ("a", 1), ("b", 0)]
    assert {row["sampling"] for row in rows} == {"imported"} and rows[0]["finish_reason"] is None
    failures = rows_of(tmp_path / "run", "SELECT error, permanent FROM failures")
    assert failures == [{"error": "empty", "permanent": True}]
    assert count(tmp_path / "run", "pairs") == 1


def test_a_responses_parquet_file_with_mapped_columns(tmp_path):
    frame = pl.DataFrame(ROWS[:2]).rename({"text": "answer", "model": "who"})
    frame.write_parquet(tmp_path / "r.parquet")
    recipe = responses_recipe("r.parquet", columns={"text": "answer", "model": "who"})
    done = datakit("build", "--recipe", write_recipe(tmp_path / "x.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 0 and count(tmp_path / "run", "responses") == 2


def test_a_local_dataset_folder_through_datasets(tmp_path):
    pytest.importorskip("datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    write_rows(folder / "train.jsonl", ROWS[:3])
    recipe: dict[str, Any] = {"domain": "math", "sources": [{"type": "responses", "dataset": "./set", "split": "train"}]}
    done = datakit("build", "--recipe", write_recipe(tmp_path / "x.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert count(tmp_path / "run", "responses") == 3
    recipe["sources"][0]["split"] = "test"
    assert "set: the dataset (split test" in datakit("build", "--recipe", write_recipe(tmp_path / "y.yaml", recipe)).stderr


def test_a_broken_line(tmp_path):
    path = write_rows(tmp_path / "r.jsonl", ROWS)
    path.write_text(path.read_text() + '{"prompt_id": "c", "te\n')
    assert "r.jsonl: line 5: not valid JSON" in refused(tmp_path, responses_recipe("r.jsonl"))


def test_a_cut_off_gzip_file(tmp_path):
    path = write_rows(tmp_path / "r.jsonl.gz", [row | {"text": row["text"] * 999} for row in ROWS])
    path.write_bytes(path.read_bytes()[:-12])
    assert "r.jsonl.gz: cannot be read after line" in refused(tmp_path, responses_recipe("r.jsonl.gz"))


def test_responses_without_a_model(tmp_path):
    write_rows(tmp_path / "r.jsonl", [{key: value for key, value in ROWS[0].items() if key != "model"}])
    assert "no model for the response to 'a'" in refused(tmp_path, responses_recipe("r.jsonl"))


def test_one_sample_twice(tmp_path):
    write_rows(tmp_path / "r.jsonl", [ROWS[0] | {"sample_index": 0}] * 2)
    assert "two rows with prompt_id 'a', model 'm', sample_index 0" in refused(tmp_path, responses_recipe("r.jsonl"))


THOUGHT = ROWS[0] | {"text": "<think>1 and 4</think>It is 5"}


@pytest.fixture(scope="module")
def built_twice(tmp_path_factory) -> Path:
    """A folder with a run of responses, the first one's thought written in its text and then beside it, which is the same."""
    folder = tmp_path_factory.mktemp("twice")
    recipe = write_recipe(folder / "x.yaml", responses_recipe("r.jsonl"))
    for first in (THOUGHT, THOUGHT | {"text": "It is 5", "reasoning": "1 and 4"}):
        write_rows(folder / "r.jsonl", [first, *ROWS[1:]])
        assert datakit("build", "--recipe", recipe, "--out", folder / "run").returncode == 0
    return folder


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text": "It is 4"}, "the text of sample 0 of m to 'a' changed"),
        ({"text": "<think>2 and 2</think>It is 5"}, "the reasoning of sample 0 of m to 'a' changed"),
        ({"text": "It is 5", "reasoning": "2 and 2"}, "the reasoning of sample 0 of m to 'a' changed"),
        ({"text": "It is 5"}, "the reasoning of sample 0 of m to 'a' changed"),
        ({"text": "<think>1 and 4"}, "the text of sample 0 of m to 'a' changed"),
        (None, "the text of sample 1 of m to 'a' is gone"),
    ],
)
def test_a_response_that_changed_in_its_file(built_twice, tmp_path, changed, message):
    shutil.copytree(built_twice, tmp_path, dirs_exist_ok=True)
    write_rows(tmp_path / "r.jsonl", [THOUGHT, *ROWS[2:]] if changed is None else [THOUGHT | changed, *ROWS[1:]])
    done = datakit("build", "--recipe", tmp_path / "x.yaml", "--out", tmp_path / "run")
    assert done.returncode == 2 and message in done.stderr


# -------------------------------------------------------------------------------------------------------------- run folders


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with a finished run over twelve problems, and what it was made of."""
    folder = tmp_path_factory.mktemp("finished")
    problems = write_problems(folder / "p12.jsonl", 12)
    with running(Fake()) as fake:
        recipe = write_recipe(folder / "ok.yaml", recipe_over(fake.url, problems))
        done = datakit("build", "--recipe", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run of the test's own."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run"


def test_a_corrupted_part_file(run):
    part = next(run.glob("responses/part-*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    done = datakit("build", "--recipe", run.parent / "ok.yaml", "--out", run)
    assert done.returncode == 2 and part.name in done.stderr and "move it away and build again" in done.stderr
    assert datakit("inspect", run).returncode == 2


def test_export_to_a_folder_that_exists(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    done = datakit("export", run, tmp_path / "out")
    assert done.returncode == 2 and "out: exists already; give a new folder" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_export_inspect_and_train_columns(run, tmp_path):
    assert datakit("export", run, tmp_path / "out").returncode == 0
    pairs = pl.read_parquet(tmp_path / "out" / "dpo" / "train.parquet")
    assert pairs.columns[:3] == ["prompt", "chosen", "rejected"] and pairs.height == count(run, "pairs") > 0
    assert pairs["chosen"][0].to_list()[0]["role"] == "assistant" and pairs["prompt"][0].to_list()[0]["role"] == "user"
    manifest = json.loads((tmp_path / "out" / "dpo" / "manifest.json").read_text())
    assert manifest["kind"] == "dpo" and manifest["rows"] == pairs.height and manifest["sources"][0]["model"] == "fake/one"
    card = (tmp_path / "out" / "dpo" / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["configs"][0]["data_files"][0]["path"] == "train.parquet" and "the same source model" in card
    report = json.loads(datakit("inspect", tmp_path / "out" / "dpo", "--json").stdout)
    assert report["tables"]["pairs"] == pairs.height and report["pairs"]["count"] == pairs.height


def test_folders_that_are_no_run(tmp_path):
    for command in (
        ("inspect", tmp_path),
        ("select", tmp_path),
        ("sql", tmp_path, "SELECT 1"),
        ("export", tmp_path, tmp_path / "o"),
    ):
        done = datakit(*command)
        assert done.returncode == 2 and str(tmp_path) in done.stderr and "Traceback" not in done.stderr, command


def test_sql(run):
    assert f"there is no table zz; datakit sql {run} lists those that there are" in datakit("sql", run, "from zz").stderr
    assert "there is no table respnses; did you mean 'responses'?" in datakit("sql", run, "from respnses").stderr
    assert datakit("sql", run, "SELECT 1", "--format", "xml").returncode == 2
    done = datakit("sql", run, "SELECT count(*) AS n, sum(n_tokens) AS s FROM responses", "--format", "csv")
    assert done.stdout.splitlines()[0] == "n,s" and done.stdout.splitlines()[1].startswith("60,")
    assert isinstance(rows_of(run, "SELECT sum(n_tokens) AS s FROM responses")[0]["s"], int)
    assert "fake/one" in datakit("sql", run, "SELECT DISTINCT model FROM responses").stdout


def test_select_diff_writes_nothing_and_set_is_kept(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = datakit("select", run, "--set", "select.length_ratio_max=1.0", "--diff", "--json")
    changes = [change for change in json.loads(done.stdout) if change["phase"] == "dpo"]
    assert done.returncode == 0 and {change["change"] for change in changes} == {"went"}
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before

    old = rows_of(run, "SELECT chosen_id FROM pairs ORDER BY 1")
    assert datakit("select", run, "--set", "select.length_ratio_max=1.0").returncode == 0
    assert len(rows_of(run, "SELECT chosen_id FROM pairs")) == len(old) - len(changes)
    assert json.loads((run / "recipe.json").read_text())["recipe"]["select"]["length_ratio_max"] == 1.0
    assert datakit("select", run, "--set", "select.length_ratio_max=null").returncode == 0
    assert rows_of(run, "SELECT chosen_id FROM pairs ORDER BY 1") == old


@pytest.mark.parametrize(
    "setting, said",
    [
        ("select.margn=[0,1]", "did you mean 'margin'"),
        ("length_ratio_max=1.5", "a field is written with its section; did you mean 'select.length_ratio_max'?"),
        ("selct.margin=[0,1]", "may be set here; did you mean 'select.margin'?"),
        ("select.split=halves", "input should be 'pairs_first', 'share' or 'hash'"),
        ("verify.timeout_s=3", "only select.*, limits.* and export.* may be set here"),
        ("select.margin=[0.01,0.1]", "select.margin must be null without a judge"),
        ("select.split", "write it as section.field=value"),
    ],
)
def test_bad_settings(run, setting, said):
    done = datakit("select", run, "--set", setting)
    assert done.returncode == 2 and said in done.stderr


def test_a_broken_limit_exits_1(run):
    assert datakit("inspect", run).returncode == 0
    assert datakit("select", run, "--set", "limits.min_pairs=1000").returncode == 0
    done = datakit("inspect", run, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["ok"] is False
    assert {"name": "min_pairs", "value": report["pairs"]["count"], "limit": 1000, "ok": False} in report["limits"]


# -------------------------------------------------------------------------------------------------------------------- check


def test_check_names_golds_that_do_not_pass_and_endpoints_that_do_not_answer(tmp_path):
    problems = write_problems(tmp_path / "p.jsonl", 4)
    rows = [json.loads(line) for line in problems.read_text().splitlines()]
    rows[2]["solution"] = "It is #### 999"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with running(Fake(models=("fake/one",))) as fake:
        recipe = write_recipe(tmp_path / "r.yaml", recipe_over(fake.url, problems))
        done = datakit("check", "--recipe", recipe)
        assert done.returncode == 2 and "prompt add/2: its gold answer is failed" in done.stderr
        rows[2].pop("solution")
        problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
        good = datakit("check", "--recipe", recipe)
        assert good.returncode == 0 and "all is well" in good.stderr, good.stderr
        assert f"sources.0: fake/one is listed at {fake.url}\n" in good.stderr
        assert (
            "does not serve 'other'; it serves fake/one"
            in datakit(
                "check", "--recipe", write_recipe(tmp_path / "o.yaml", recipe_over(fake.url, problems, model="other"))
            ).stderr
        )
    gone = datakit("check", "--recipe", recipe)
    assert gone.returncode == 2 and "does not answer" in gone.stderr


def test_check_tries_the_keys_of_sources_and_judges(tmp_path):
    """The list of models is open to everybody; the answers are not."""
    with running(Fake(models=("fake/one", "org/rm"), key="sk-right", open_list=True)) as fake:
        judge = {"type": "served", "model": "org/rm", "revision": "a", "base_urls": [fake.url], "api_key_env": "A_KEY"}
        recipe = recipe_over(fake.url, write_problems(tmp_path / "p.jsonl", 2), api_key_env="A_KEY") | {"score": judge}
        path = write_recipe(tmp_path / "r.yaml", recipe)
        wrong = datakit("check", "--recipe", path, env={"A_KEY": "sk-wrong"})
        right = datakit("check", "--recipe", path, env={"A_KEY": "sk-right"})
    assert (wrong.returncode, right.returncode) == (2, 0), right.stderr
    refused = f"{fake.url}: does not accept the key (HTTP 401"
    assert f"! sources.0: {refused}" in wrong.stderr and f"! score.0: {refused}" in wrong.stderr
    assert "fake/one cannot be asked at" in wrong.stderr and "fake/one is listed at" in right.stderr
