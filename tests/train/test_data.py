"""The checks on --data: each message says what is wrong and what to give instead."""

from pathlib import Path

import polars as pl
import pytest

from tests.helpers import tiny_targets as tiny
from train.data import find_shipped, load_rows, open_export
from train.errors import TrainError


def message_of(path, kind):
    with pytest.raises(TrainError) as caught:
        open_export(path, kind)
    return str(caught.value)


def test_what_came_with_the_package_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_shipped("recipes/train/sft.yaml").is_file()
    assert find_shipped("recipes/train/none.yaml") == Path("recipes/train/none.yaml")
    (tmp_path / "recipes/train").mkdir(parents=True)
    (tmp_path / "recipes/train/sft.yaml").write_text("beta: 1\n")
    assert find_shipped("recipes/train/sft.yaml") == Path("recipes/train/sft.yaml")  # the user's own comes first


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_good_export_is_taken(run_folder, kind):
    export = open_export(run_folder / kind, kind)
    assert (export.kind, export.rows, export.manifest["recipe_digest"]) == (kind, 16, "0123abcd")


def test_the_other_kind_is_refused_with_the_folder_to_use(run_folder):
    assert message_of(run_folder / "sft", "dpo") == (
        f"--data {run_folder}/sft: this is an sft export (prompt, completion), and train dpo needs pairs "
        f"(prompt, chosen, rejected); use --data {run_folder}/dpo"
    )
    assert message_of(run_folder / "dpo", "sft").endswith(f"use --data {run_folder}/sft")


def test_the_columns_speak_where_the_manifest_is_silent_or_wrong(tmp_path):
    path = tiny.write_export(tmp_path / "x", "sft", manifest={"kind": "dpo"})
    assert "this is an sft export (prompt, completion)" in message_of(path, "dpo")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda run: run / "nowhere", "no such folder"),
        (lambda run: run, "this is a run, and train dpo takes its export; use --data {run}/dpo"),
        (lambda run: run / "dpo/train.parquet", "its folder; use --data {run}/dpo"),
        (lambda run: (run / "dpo/manifest.json").unlink() or run / "dpo", "no manifest.json beside train.parquet"),
        (lambda run: (run / "dpo/manifest.json").write_text("{") and run / "dpo", "manifest.json cannot be read"),
        (lambda run: (run / "dpo/manifest.json").write_text("[]") and run / "dpo", "not a JSON object"),
        (lambda run: (run / "dpo/train.parquet").write_text("not Parquet") and run / "dpo", "cannot be read as Parquet"),
        (lambda run: (run / "dpo/train.parquet").unlink() or run / "dpo", "no train.parquet"),
        (lambda run: tiny.write_export(run / "dpo", "dpo", []), "the export has no rows; datakit inspect {run}"),
        (lambda run: tiny.write_export(run / "dpo", "dpo", manifest={"rows": 20}), "promises 20 rows"),
    ],
    ids=["missing", "run", "file", "no-manifest", "bad-manifest", "list-manifest", "not-parquet", "no-table", "no-rows",
         "fewer-rows"],
)  # fmt: skip
def test_what_is_no_export_is_refused(run_folder, make, expected):
    assert expected.format(run=run_folder) in message_of(make(run_folder), "dpo")


def test_a_run_without_exports_says_how_to_make_them(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    assert "datakit export" in message_of(tmp_path, "sft")


def test_missing_columns_are_named(tmp_path):
    path = tiny.write_export(tmp_path / "dpo", "dpo")
    pl.read_parquet(path / "train.parquet").drop("rejected").write_parquet(path / "train.parquet")
    assert "train.parquet has no rejected (it has prompt, chosen, prompt_id" in message_of(path, "dpo")


def test_plain_text_is_not_a_conversation(tmp_path):
    path = tiny.write_export(tmp_path / "sft", "sft")
    pl.DataFrame({"prompt": ["a"], "completion": ["b"]}).write_parquet(path / "train.parquet")
    assert "column prompt is String, and must be a list of messages" in message_of(path, "sft")


@pytest.mark.parametrize("answer", ["", " \n", None])
def test_an_empty_answer_is_refused(tmp_path, answer):
    rows = tiny.dpo_rows(4)
    rows[2]["rejected"] = tiny.assistant(answer)
    path = tiny.write_export(tmp_path / "dpo", "dpo", rows)
    assert "1 of 4 rows have an empty prompt or chosen or rejected" in message_of(path, "dpo")


def test_an_empty_list_of_messages_is_refused(tmp_path):
    rows = tiny.sft_rows(4)
    rows[0]["completion"] = []
    assert "1 of 4 rows have an empty" in message_of(tiny.write_export(tmp_path / "sft", "sft", rows), "sft")


def test_whole_prompts_are_held_out_and_always_the_same(tmp_path):
    pytest.importorskip("datasets")
    rows = tiny.dpo_rows(40) + tiny.dpo_rows(40)  # two pairs a prompt
    export = open_export(tiny.write_export(tmp_path / "a", "dpo", rows), "dpo")
    train, held = load_rows(export, 0.25)
    assert (len(train), len(held)) == (60, 20)
    texts = [{row["prompt"][0]["content"] for row in part} for part in (train, held)]
    assert not texts[0] & texts[1]
    turned = open_export(tiny.write_export(tmp_path / "b", "dpo", rows[::-1]), "dpo")
    assert {row["prompt"][0]["content"] for row in load_rows(turned, 0.25)[1]} == texts[1]
    with pytest.raises(TrainError, match="holds every prompt"):
        load_rows(export, 0.999)
    assert set(train.column_names) == {"prompt", "chosen", "rejected"}
    assert load_rows(export, 0.0)[1] is None
