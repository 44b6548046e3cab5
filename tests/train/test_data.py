"""The checks on --data: each message says what is wrong and what to give instead."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from tests.helpers import tiny_targets as tiny
from train.data import COLUMNS, find_shipped, open_all, open_data
from train.errors import TrainError
from train.rows import load_rows, weighted


def message_of(path, kind):
    with pytest.raises(TrainError) as caught:
        open_data(path, kind)
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
    export = open_data(run_folder / kind, kind)
    assert (export.kind, export.rows, export.manifest["recipe_digest"]) == (kind, 16, "0123abcd")


def test_triples_are_pairs_too_and_pairs_no_triples(tmp_path):
    triples, pairs = (tiny.write_export(tmp_path / kind, kind) for kind in ("wrpo", "dpo"))
    assert open_data(triples, "wrpo").columns == ("prompt", "chosen", "rejected", "source_chosen")
    assert open_data(triples, "dpo").columns == ("prompt", "chosen", "rejected")
    assert message_of(pairs, "wrpo") == (
        f"--data {pairs}: this is a dpo export (prompt, chosen, rejected), and train wrpo needs triples (prompt, chosen, "
        f"rejected, source_chosen); use --data {tmp_path}/wrpo"
    )
    (pairs / "manifest.json").unlink()
    assert "train wrpo needs triples" in message_of(pairs, "wrpo")
    assert "this is a wrpo export" in message_of(triples, "sft")


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
        (lambda run: run, "this is a run or an export of both phases, and train dpo takes one; use --data {run}/dpo"),
        (lambda run: run / "dpo/README.md", "neither Parquet (.parquet) nor JSON Lines"),
        (lambda run: (run / "dpo/manifest.json").write_text("{") and run / "dpo", "manifest.json cannot be read"),
        (lambda run: (run / "dpo/manifest.json").write_text("[]") and run / "dpo", "not a JSON object"),
        (lambda run: (run / "dpo/train.parquet").write_text("not Parquet") and run / "dpo", "cannot be read as Parquet"),
        (lambda run: (run / "dpo/train.parquet").unlink() or run / "dpo", "no train.parquet"),
        (lambda run: tiny.write_export(run / "dpo", "dpo", []), "the export has no rows; datakit inspect {run}"),
        (lambda run: tiny.write_export(run / "dpo", "dpo", manifest={"rows": 20}), "rows that manifest.json names"),
    ],
    ids=["missing", "run", "file", "bad-manifest", "list-manifest", "not-parquet", "no-table", "no-rows",
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
    assert "there is no rejected (there are prompt, chosen, prompt_id" in message_of(path, "dpo")


def test_texts_and_conversations_do_not_mix(tmp_path):
    path = tiny.write_export(tmp_path / "sft", "sft")
    pl.DataFrame({"prompt": ["a"], "completion": ["b"]}).write_parquet(tmp_path / "texts.parquet")
    assert open_data(tmp_path / "texts.parquet", "sft").is_text
    with pytest.raises(TrainError, match="its rows are plain texts, and the others are conversations"):
        open_all([str(path), str(tmp_path / "texts.parquet")], "sft")
    pl.DataFrame({"prompt": ["a"], "completion": [["b"]]}).write_parquet(tmp_path / "lists.parquet")
    assert "must be a list of messages with role and content" in message_of(tmp_path / "lists.parquet", "sft")


@pytest.mark.parametrize("answer", ["", " \n", None])
def test_an_empty_answer_is_refused(tmp_path, answer):
    rows = tiny.dpo_rows(4)
    rows[2]["rejected"] = tiny.assistant(answer)
    path = tiny.write_export(tmp_path / "dpo", "dpo", rows)
    assert "rows with an empty prompt or chosen or rejected: 1 of 4" in message_of(path, "dpo")


def test_an_empty_list_of_messages_is_refused(tmp_path):
    rows = tiny.sft_rows(4)
    rows[0]["completion"] = []
    path = tiny.write_export(tmp_path / "sft", "sft", rows)
    assert "rows with an empty prompt or completion: 1 of 4" in message_of(path, "sft")


def test_whole_prompts_are_held_out_and_always_the_same(tmp_path):
    pytest.importorskip("datasets")
    rows = tiny.dpo_rows(40) + tiny.dpo_rows(40)  # two pairs a prompt
    export = open_data(tiny.write_export(tmp_path / "a", "dpo", rows), "dpo")
    train, held = load_rows([export], None, 0.25)
    assert (len(train), len(held)) == (60, 20)
    texts = [{row["prompt"][0]["content"] for row in part} for part in (train, held)]
    assert not texts[0] & texts[1]
    turned = open_data(tiny.write_export(tmp_path / "b", "dpo", rows[::-1]), "dpo")
    assert {row["prompt"][0]["content"] for row in load_rows([turned], None, 0.25)[1]} == texts[1]
    with pytest.raises(TrainError, match="holds out every prompt"):
        load_rows([export], None, 0.999)
    assert set(train.column_names) == {"prompt", "chosen", "rejected"}
    assert load_rows([export], None, 0.0)[1] is None


# --------------------------------------------------------------------------------------------- data from elsewhere, several


def whole(rows, kind):
    """The same rows with the prompt inside the conversations, with a field more in each message, fields turned around."""

    def more(messages):
        return [{"content": one["content"], "role": one["role"], "name": None} for one in messages]

    if kind == "sft":
        return [{"messages": more(row["prompt"] + row["completion"])} for row in rows]
    return [{side: more(row["prompt"] + row[side]) for side in ("chosen", "rejected")} for row in rows]


def as_is(rows, kind):
    return [{name: row[name] for name in COLUMNS[kind]} for row in rows]


WRITERS = {
    "a.parquet": lambda rows, path: pl.DataFrame(rows).write_parquet(path),
    "a.jsonl": lambda rows, path: path.write_text("".join(json.dumps(row) + "\n" for row in rows)),
    "a.jsonl.gz": lambda rows, path: path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())),
    "hub/data/train-00000-of-00001.parquet": lambda rows, path: pl.DataFrame(rows).write_parquet(path),
    "lines/train.jsonl": lambda rows, path: path.write_text("".join(json.dumps(row) + "\n" for row in rows)),
}


@pytest.mark.parametrize("kind", ["sft", "dpo"])
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("shape", [as_is, whole])
def test_any_file_in_trls_columns_is_taken_and_gives_the_same_rows(tmp_path, kind, name, shape):
    pytest.importorskip("datasets")
    rows = {"sft": tiny.sft_rows, "dpo": tiny.dpo_rows}[kind](5)
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[name](shape(rows, kind), file)
    given = file if "/" not in name else tmp_path / name.partition("/")[0]
    data = open_data(given, kind)
    assert data.rows == 5 and data.manifest["rows"] == 5
    ours = open_data(tiny.write_export(tmp_path / "export", kind), kind)
    both, _ = load_rows([ours, data], None, 0.0)
    assert both[16:] == {column: [row[column] for row in rows] for column in COLUMNS[kind]}
    assert len(both) == 21


def test_a_conversation_of_one_message_has_nothing_to_learn_from(tmp_path):
    pl.DataFrame({"messages": [tiny.user("a")]}).write_parquet(tmp_path / "a.parquet")
    assert "rows with an empty messages: 1 of 1" in message_of(tmp_path / "a.parquet", "sft")


def test_labelled_answers_are_not_learnt_from(tmp_path):
    """TRL's KTO columns are those of SFT and a label; half of the answers are bad ones."""
    rows = [{"prompt": tiny.user("a"), "completion": tiny.assistant("b"), "label": label} for label in (True, False)]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    assert "labelled answers (KTO); sft would learn the bad ones" in message_of(tmp_path / "a.parquet", "sft")


def test_data_given_twice_is_refused(tmp_path):
    path = tiny.write_export(tmp_path / "sft", "sft")
    with pytest.raises(TrainError, match=r"has the same rows as --data .*sft; give each only once"):
        open_all([str(path), str(path / "train.parquet")], "sft")


def test_weights_take_the_same_rows_whatever_is_beside_them(tmp_path):
    pytest.importorskip("datasets")
    rows = tiny.sft_rows(30)
    large = open_data(tiny.write_export(tmp_path / "large", "sft", rows[:20]), "sft")
    small = open_data(tiny.write_export(tmp_path / "small", "sft", rows[20:]), "sft")

    def questions(data, weights):
        return {row["prompt"][0]["content"] for row in load_rows(data, weights, 0.0)[0]}

    taken = questions([large, small], [1.0, 1.0])
    assert len(taken) == 20 and {row["prompt"][0]["content"] for row in rows[20:]} < taken
    assert taken == questions([small, large], [2.0, 2.0])
    assert len(questions([large, small], [0.5, 1.0])) == 15
    assert weighted([3, 1000], [1, 1e-6]) == [3, 1]


def test_a_test_split_is_what_is_evaluated_on(tmp_path):
    pytest.importorskip("datasets")
    rows = tiny.sft_rows(6)
    path = tiny.write_export(tmp_path / "sft", "sft", rows[:4], manifest={"test_rows": 2})
    pl.DataFrame(rows[4:]).write_parquet(path / "test.parquet")
    train, held = load_rows([open_data(path, "sft")], None, 0.0)
    assert (len(train), len(held)) == (4, 2)
