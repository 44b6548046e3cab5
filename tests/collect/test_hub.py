"""Datasets by their name on the hub, read from a copy on this machine, and rows that a section asks for by their values."""

import json
from pathlib import Path

import polars as pl
import pytest
from pyarrow import ipc

from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.errors import BadInput, RecipeError
from datakit.recipe import parse
from datakit.tables import canonical_json
from tests.helpers.command import datakit, rows_of, write_recipe

RECIPE = {"domain": "math", "sources": [{"type": "endpoint", "model": "m", "base_urls": ["http://127.0.0.1:1/v1"]}]}


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The folder of copies, as the environment names it."""
    monkeypatch.setenv("DATAKIT_DATA", str(tmp_path / "copies"))
    return tmp_path / "copies"


def put(folder, path, *names, **columns):
    """A file of the kind that its name says, with a row a name."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"prompt": names, **columns})
    match file.suffix:
        case ".parquet":
            frame.write_parquet(file)
        case ".csv":
            frame.write_csv(file)
        case ".arrow":
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            with ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)
        case _:
            file.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dicts()))


def prompts_of(**section):
    """What is read of a dataset, or of a file."""
    kind = {"type": "file"} if "path" in section else {"type": "hub", "dataset": "org/set"}
    given = parse(RECIPE | {"prompts": [kind | section]}, "r.yaml", folder=Path("/")).prompts[0]
    return [row["prompt"] for _, _, row in read_rows(given, Tally(given))]


LAYOUTS = [  # files of a copy: what is asked for: what is read
    ("shards of a split", {"data/test-00000-of-00002.parquet": "a", "data/test-00001-of-00002.parquet": "b"}, ["a", "b"]),
    ("another split beside it", {"data/train-00000-of-00001.parquet": "t", "data/test-00000-of-00001.parquet": "a"}, ["a"]),
    ("a split whose name begins with it", {"test.jsonl": "a", "test_small.jsonl": "s", "latest.jsonl": "l"}, ["a"]),
    ("a folder a split", {"train/part.jsonl": "t", "test/part.jsonl": "a"}, ["a"]),
    ("no split is said", {"rows.csv": "a"}, ["a"]),
    ("a file of no data beside it", {"test.jsonl": "a", "README.md": "r", "dataset_info.json.lock": "i"}, ["a"]),
]


@pytest.mark.parametrize("files, read", [case[1:] for case in LAYOUTS], ids=[case[0] for case in LAYOUTS])
def test_a_copy_is_read_by_the_names_of_its_files(copies, files, read):
    for path, name in files.items():
        put(copies / "org" / "set", path, name)
    assert prompts_of(split="test") == read


def test_a_configuration_is_a_folder_or_a_file(copies):
    put(copies / "org" / "set", "main/test-00000-of-00001.parquet", "a")
    put(copies / "org" / "set", "other/test-00000-of-00001.parquet", "o")
    put(copies / "org" / "set", "diamond.csv", "d")
    put(copies / "org" / "set", "maths/data-00000-of-00001.arrow", "m1", "m2")
    assert prompts_of(split="test", config="main") == ["a"]
    assert prompts_of(split="train", config="diamond") == ["d"]
    assert prompts_of(split="test", config=["maths", "other"]) == ["m1", "m2", "o"], "in the order of the recipe"


@pytest.mark.parametrize(
    "section, said",
    [
        ({"split": "validation"}, "org/set: no file of split validation in the copy"),
        ({"config": "mian", "split": "test"}, "org/set: no file of config mian, split test in the copy"),
    ],
)
def test_what_a_copy_does_not_have_is_said_with_what_it_has(copies, section, said):
    put(copies / "org" / "set", "main/test.jsonl", "a")
    with pytest.raises(BadInput, match=said) as found:
        prompts_of(**section)
    assert "$DATAKIT_DATA" in str(found.value) and "its files: main/test.jsonl" in str(found.value)


def test_a_broken_copy_is_named(copies):
    (copies / "org" / "set").mkdir(parents=True)
    for name in ("test.parquet", "test.arrow"):
        (copies / "org" / "set" / name).write_bytes(b"no table")
        with pytest.raises(BadInput, match=f"org/set/{name}: not a readable"):
            prompts_of(split="test")
        (copies / "org" / "set" / name).unlink()


def test_a_build_reads_the_copy_and_needs_no_hub(copies, tmp_path):
    put(copies / "org" / "set", "test.jsonl", "1 + 1?", "2 + 2?", answer=["2", "4"])
    given = {"type": "hub", "dataset": "org/set", "split": "test", "columns": {"reference": "answer"}}
    path = write_recipe(tmp_path / "r.yaml", RECIPE | {"prompts": [given]})
    done = datakit("build", "--recipe", path, "--out", tmp_path / "run", "--until", "collect")
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "run", "SELECT reference, source FROM prompts ORDER BY 1") == [
        {"reference": "2", "source": "org/set"},
        {"reference": "4", "source": "org/set"},
    ]


# -------------------------------------------------------------------------------------------------------------------- where

TABLE = {"level": ["Level 5", "Level 1", "Level 5", None], "year": [2024, 2023, 2024, 2025], "ok": [True, False, None, True]}
TABLE |= {"at": ["2024-06-30T00:00:00", "2024-07-01T00:00:00", "2024-10-31T12:00:00", "2024-11-01T00:00:00"]}
WHERE = [
    ({"level": "Level 5"}, "ac"),
    ({"level": ["Level 1", "Level 5"]}, "abc"),
    ({"year": 2024}, "ac"),
    ({"year": "2024"}, "ac"),  # every cell of a CSV file is text
    ({"year": {"since": 2024}}, "acd"),
    ({"year": {"before": 2024}}, "b"),
    ({"ok": True}, "ad"),
    ({"at": {"since": "2024-07-01", "before": "2024-11-01"}}, "bc"),
    ({"level": "Level 5", "year": {"since": 2024}}, "ac"),
]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("where, kept", WHERE, ids=[canonical_json(where) for where, _ in WHERE])
def test_rows_are_read_by_their_values(tmp_path, kind, where, kept):
    put(tmp_path, f"rows.{kind}", *"abcd", **TABLE)
    assert "".join(prompts_of(path=str(tmp_path / f"rows.{kind}"), where=where)) == kept


def test_where_leads_into_objects_and_yaml_dates_are_texts(tmp_path):
    put(tmp_path, "rows.jsonl", "a", "b", meta=[{"at": "2024-07-02"}, {"at": "2024-06-30"}])
    (tmp_path / "r.yaml").write_text(
        f"domain: math\nprompts: [{{type: file, path: {tmp_path}/rows.jsonl, where: {{meta.at: {{since: 2024-07-01}}}}}}]\n"
        "sources: [{type: endpoint, model: m, base_urls: ['http://127.0.0.1:1/v1']}]\n"
    )
    from datakit.recipe import load

    given = load(tmp_path / "r.yaml").prompts[0]
    assert [row["prompt"] for _, _, row in read_rows(given, Tally(given))] == ["a"]


@pytest.mark.parametrize(
    "where, said",
    [
        (
            {"levle": "Level 5"},
            "where.levle: there is no such column; .*rows.jsonl has at, level, ok, prompt, year; did you mean 'level'",
        ),
        ({"level": "level 5"}, "where: none of 4 rows of .*rows.jsonl has these values; check their spelling"),
    ],
)
def test_where_that_fits_nothing_is_an_error(tmp_path, where, said):
    put(tmp_path, "rows.jsonl", *"abcd", **TABLE)
    with pytest.raises(BadInput, match=said):
        prompts_of(path=str(tmp_path / "rows.jsonl"), where=where)


def test_where_knows_since_and_before_only(tmp_path):
    with pytest.raises(RecipeError, match=r"where\.year\..*until"):
        prompts_of(path="rows.jsonl", where={"year": {"until": 2024}})
