"""Exports for other tools, by the field names that these publish, and what was held back from them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from tests.helpers.command import datakit, recipe_over, write_problems, write_recipe
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.imported_runs import answered, imported_run

SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [
    SYSTEM,
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye?"},
]
NO_TURNS = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Pairs of a conversation and of one that takes no turns; a demo."""
    rows = answered(TURNS, ("See you.", 0.9), ("No.", 0.1)) + answered(NO_TURNS, ("three", 0.9), ("four", 0.1))
    demo = answered([{"role": "user", "content": "1+1?"}], ("2", 0.5))
    return imported_run(tmp_path_factory.mktemp("runs") / "talk", rows + demo)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """By the name of a format the folder of its export, written once, and what was said."""
    home = tmp_path_factory.mktemp("exports")

    @cache
    def of(name: str) -> tuple[Path, str]:
        done = datakit("export", run, home / name, "--format", name)
        assert done.returncode == 0, done.stderr
        return home / name, done.stderr

    return of


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_sharegpt_as_llama_factory_reads_it(exported):
    out, said = exported("sharegpt")
    (demo,), (pair,) = lines(out / "sft" / "train.jsonl"), lines(out / "dpo" / "train.jsonl")
    assert demo["conversations"] == [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}] and demo["system"] == ""
    assert pair["conversations"] == [
        {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "Bye?"}
    ]  # fmt: skip
    assert (pair["chosen"], pair["rejected"]) == ({"from": "gpt", "value": "See you."}, {"from": "gpt", "value": "No."})
    assert pair["system"] == "Be brief." and pair["chosen_id"] and pair["margin"] == pytest.approx(0.8)
    assert json.loads((out / "dataset_info.json").read_text()) == {
        "sft": {
            "file_name": "sft/train.jsonl", "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system"},
        },
        "dpo": {
            "file_name": "dpo/train.jsonl", "formatting": "sharegpt", "ranking": True,
            "columns": {"messages": "conversations", "system": "system", "chosen": "chosen", "rejected": "rejected"},
        },
    }  # fmt: skip
    assert "left out: 1 row of dpo (sharegpt has no place for a prompt that is not user and assistant in turn)" in said


def test_alpaca_as_llama_factory_reads_it(exported):
    out, _ = exported("alpaca")
    (demo,), (pair,) = lines(out / "sft" / "train.jsonl"), lines(out / "dpo" / "train.jsonl")
    assert {name: demo[name] for name in ("instruction", "input", "output", "system", "history")} == {
        "instruction": "1+1?", "input": "", "output": "2", "system": "", "history": []
    }  # fmt: skip
    assert {name: pair[name] for name in ("instruction", "input", "chosen", "rejected", "system", "history")} == {
        "instruction": "Bye?", "input": "", "chosen": "See you.", "rejected": "No.", "system": "Be brief.",
        "history": [["Hi", "Hello"]],
    }  # fmt: skip
    info = json.loads((out / "dataset_info.json").read_text())
    assert info["sft"]["columns"] == {
        "prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"
    }  # fmt: skip
    assert info["dpo"]["ranking"] is True and "response" not in info["dpo"]["columns"] and "ranking" not in info["sft"]


def test_json_lines_hold_the_rows_of_the_parquet(exported):
    out, _ = exported("jsonl")
    table, _ = exported("parquet")
    for kind in ("sft", "dpo"):
        assert lines(out / kind / "train.jsonl") == pl.read_parquet(table / kind / "train.parquet").to_dicts()
    done = datakit("inspect", out)
    assert done.returncode == 2 and "written with --format jsonl; inspect reads runs, and exports in Parquet" in done.stderr


def test_kto_has_two_labelled_rows_a_pair(exported):
    out, said = exported("kto")
    frame = pl.read_parquet(out / "kto" / "train.parquet")
    assert frame.height == 4 and not (out / "dpo").exists() and f"{out / 'kto'}: 4 labelled answers" in said
    both = frame.filter(pl.col("prompt").list.len() == 4)
    assert [(row["completion"][0]["content"], row["label"]) for row in both.to_dicts()] == [("See you.", True), ("No.", False)]
    assert both["score"].to_list() == pytest.approx([0.9, 0.1]) and both["response_id"].n_unique() == 2
    assert "Each pair gives two rows" in (out / "kto" / "README.md").read_text()


@pytest.mark.parametrize("name", ["jsonl", "sharegpt", "alpaca", "kto"])
def test_every_format_opens_with_datasets(exported, tmp_path, name):
    datasets = pytest.importorskip("datasets")
    out, _ = exported(name)
    for kind in datasets.get_dataset_config_names(str(out)):
        rows = datasets.load_dataset(str(out), kind, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rows) >= 1 and "prompt_id" in rows.column_names


def test_a_sources_system_prompt_is_kept_where_the_recipe_says_so(tmp_path):
    """It is not part of the prompt: what was asked stands in the file as it was asked, or without it."""
    with running(Fake()) as fake:
        recipe = recipe_over(fake.url, write_problems(tmp_path / "problems.jsonl", 4), system="Think first.")
        done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        asked = {json.dumps(request["messages"]) for request in fake.requests}
    for setting, said in (
        ("drop", "was given is left out, as is a template"),
        ("keep", "was given is the first message of its prompt"),
    ):
        if setting == "keep":  # the other is what a build does
            done = datakit("select", tmp_path / "run", "--set", f"export.system={setting}")
            assert done.returncode == 0, done.stderr
        for kind in ("sft", "dpo"):
            prompts = pl.read_parquet(tmp_path / "run" / kind / "train.parquet")["prompt"].to_list()
            whole = (
                prompts
                if setting == "keep"
                else [[{"role": "system", "content": "Think first."}, *prompt] for prompt in prompts]
            )
            assert {json.dumps(prompt) for prompt in whole} <= asked
            assert said in (tmp_path / "run" / kind / "README.md").read_text()
        assert prompts
