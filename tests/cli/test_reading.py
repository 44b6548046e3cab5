"""What is read in a terminal: show, sql without a question or upright or into a file, inspect with more examples."""

import json

import polars as pl
import pytest

from datakit.tables import TABLES
from tests.helpers.command import datakit
from tests.page.looked_at import EVIL, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("reading") / "run")


def said(*args):
    done = datakit(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_show_has_every_answer_with_what_became_of_it(run):
    page = said("show", run, "p/05")
    rows = [line.split() for line in page.splitlines() if line.strip().startswith(("llama ", "qwen "))]
    assert [row[:2] for row in rows if "worst" not in row] == [["llama", "another"], ["qwen", "chosen"], ["qwen", "rejected"]]
    assert "worst wrong answer: no right answer" in page
    assert "llama: No pair: no right answer. Of 2 answers of llama 0 are right and 2 wrong." in page
    assert "qwen: A pair. Of 2 answers of qwen 1 is right and 1 wrong: the right one" in page
    assert "\u202e" not in page and "gnp.exe" in page


def test_show_gives_the_texts_and_json(run):
    assert "says qwen to 5, and more more more more more" in said("show", run, "p/05", "--texts")
    lineage = json.loads(said("show", run, "p/05", "--json"))
    assert sorted({row["fate"] for row in lineage["answers"] if row["model"] == "qwen"}) == ["chosen", "rejected"]
    assert "bench/9" in said("show", run, "d/0") and "status 400" in said("show", run, "p/03")
    missing = datakit("show", run, "p/99")
    assert (missing.returncode, missing.stderr.count("no prompt has the id 'p/99'; did you mean 'p/")) == (2, 1)


def test_sql_alone_lists_tables_columns_and_views_with_what_they_are(run):
    page = said("sql", run)
    for table, made in TABLES.items():
        assert f"{table}  table, " in page
        assert made.doc[:30] in page.replace("\n", " ")
    assert "pairs_with_texts  view, 46 rows" in page
    listed = {one["name"]: one for one in json.loads(said("sql", run, "--format", "json"))}
    assert list(listed["pairs"]["columns"]) == list(TABLES["pairs"].schema)
    assert listed["pairs"]["columns"]["margin"] == "DOUBLE"
    assert listed["current_flags"]["doc"].startswith("The flags that count now")


def test_wide_texts_stand_upright_and_whole(run):
    page = said("sql", run, "SELECT prompt_id, chosen FROM pairs_with_texts WHERE prompt_id = 'p/05'", "--lines")
    assert page.splitlines()[0] == "-- 1 of 1"
    assert "prompt_id  p/05" in page and "says qwen to 5" in page.splitlines()[2]
    assert said("sql", run, "SELECT 1 AS a WHERE FALSE", "--lines") == "no rows\n"


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_sql_writes_files(run, tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    done = datakit("sql", run, "SELECT prompt_id, messages FROM prompts WHERE prompt_id = 'd/0'", "--out", path)
    assert (done.returncode, done.stderr) == (0, f"{path}: 1 row\n")
    read = getattr(pl, {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_ndjson"}[kind])(path)
    assert read["prompt_id"].to_list() == ["d/0"]
    assert EVIL[:20] in str(read["messages"][0])


@pytest.mark.parametrize(
    ("name", "words"), [("out.xlsx", "end it with .parquet, .csv, .jsonl"), ("no/out.csv", "cannot be written")]
)
def test_a_file_that_cannot_be_written_is_named(run, tmp_path, name, words):
    done = datakit("sql", run, "FROM pairs", "-o", tmp_path / name)
    assert done.returncode == 2 and words in done.stderr and name in done.stderr


def test_inspect_shows_as_many_pairs_as_are_wanted_of_those_that_are_wanted(run):
    examples = json.loads(
        said("inspect", run, "--json", "--examples", "5", "--where", "model = 'qwen' AND prompt_id > 'p/10'")
    )["examples"]
    assert [row["prompt_id"] for row in examples] == ["p/23", "p/20", "p/17", "p/14", "p/11"]  # by margin, in equal steps
    assert [row["picked"] for row in examples] == ["smallest margin", "margin", "median margin", "margin", "largest margin"]
    assert json.loads(said("inspect", run, "--json", "--examples", "0"))["examples"] == []
    assert len(json.loads(said("inspect", run, "--json"))["examples"]) == 3
    bad = datakit("inspect", run, "--where", "modle = 'x'")
    assert bad.returncode == 2 and "--where modle = 'x':" in bad.stderr and "columns: prompt_id, model" in bad.stderr


def test_an_export_has_examples_that_are_wanted_too(run, tmp_path):
    assert datakit("select", run).returncode == 0
    assert datakit("export", run, tmp_path / "out").returncode == 0
    examples = json.loads(said("inspect", tmp_path / "out", "--json", "--where", "model = 'llama' AND margin > 0.44"))[
        "examples"
    ]
    assert {row["prompt_id"] for row in examples} <= {"p/20", "p/21", "p/22", "p/23"} and examples
