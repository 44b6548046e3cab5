"""What `datakit export` writes, opened by `datasets` as a user does, and put beside data that was made elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.helpers.command import datakit
from tests.helpers.imported_runs import answered, good_and_bad, imported_run

MESSAGES = {"sft": ("prompt", "completion"), "dpo": ("prompt", "chosen", "rejected")}


@pytest.fixture(scope="module", autouse=True)
def needs_datasets():
    pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Eight prompts with a pair, two with one answer that scores best: demos."""
    rows = [row for n in range(8) for row in good_and_bad(f"Question {n}?")]
    rows += [row for n in (8, 9) for row in answered(f"Question {n}?", ("only this", 0.5))]
    return imported_run(tmp_path_factory.mktemp("runs") / "talk", rows)


@pytest.fixture(scope="module")
def out(run) -> Path:
    out = run.with_name("out")
    done = datakit("export", run, out)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == f"{out / 'sft'}: 2 demos    {out / 'dpo'}: 8 pairs"
    return out


def opened(path, tmp_path, *args, **kwargs):
    import datasets

    return datasets.load_dataset(str(path), *args, cache_dir=str(tmp_path / "cache"), split="train", **kwargs)


def front_matter(folder: Path) -> dict:
    header: dict = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    return header


def test_the_folder_opens_as_two_configurations(out, tmp_path):
    import datasets

    assert datasets.get_dataset_config_names(str(out)) == ["sft", "dpo"]
    assert len(opened(out, tmp_path, "sft")) == 2
    pairs = opened(out, tmp_path, "dpo")
    assert len(pairs) == 8 and pairs[0]["chosen"][0]["content"].startswith("good Question")


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_each_phase_still_opens_by_itself_also_in_the_run(out, run, tmp_path, kind):
    assert len(opened(out / kind, tmp_path)) == len(opened(run / kind, tmp_path)) > 0


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_lists_and_texts_are_plain_ones(out, run, kind):
    for folder in (out, run):
        schema = pq.read_schema(folder / kind / "train.parquet")
        assert "large" not in str(schema) and "view" not in str(schema)
        assert str(schema.field("prompt").type) == "list<element: struct<role: string, content: string>>"


def example_sets(kind):
    """As `datasets` infers it, and as TRL's own examples make it: by map over rows, the fields of a message turned around."""

    import datasets

    def messages(role, text):
        return [{"content": text, "role": role}]

    row = {name: messages("user" if name == "prompt" else "assistant", name) for name in MESSAGES[kind]}
    yield datasets.Dataset.from_list([row, row])
    texts = datasets.Dataset.from_dict({"text": ["a", "b"]})
    yield texts.map(lambda one: {name: messages("user", one["text"]) for name in MESSAGES[kind]}, remove_columns="text")


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_rows_can_be_concatenated_with_data_made_elsewhere(out, tmp_path, kind):
    import datasets

    ours = opened(out, tmp_path, kind)
    for theirs in example_sets(kind):
        assert all(ours.features[name] == theirs.features[name] for name in MESSAGES[kind])
        both = datasets.concatenate_datasets([ours, theirs])
        assert len(both) == len(ours) + 2 and both[-1]["prompt"][0]["content"] in ("prompt", "b")
        assert both[0]["prompt"] == ours[0]["prompt"] and both[-1]["prompt_id"] is None


def test_the_card_says_what_is_known_and_what_is_not(out):
    header = front_matter(out)
    assert header["license"] == "unknown" and "language" not in header
    card = (out / "README.md").read_text(encoding="utf-8")
    for words in (
        "# 2 demonstrations for SFT and 8 preference pairs for DPO (instruct)",
        "whether it is right was not verified (no verifier)",
        "A pair is the best answer against the worst answer of the same source model.",
        "How often the judge (`given@",
        "is right is not known",
        "licence: unknown (export.license of the recipe does not say); language: unknown",
        "| dpo: prompt chars | 11 | 11 | 11 |",
    ):
        assert words in card, words
    assert "verified as right" not in card and "best right" not in card


SAYS = {"license": "cc-by-4.0", "language": ["en", "zh"]}


@pytest.fixture(scope="module")
def one_pair(tmp_path_factory) -> Path:
    """A run of one pair whose recipe says licence and language; its export is `out` beside it."""
    run = imported_run(tmp_path_factory.mktemp("one") / "run", good_and_bad("a"), export=SAYS)
    assert datakit("export", run, run.with_name("out")).returncode == 0
    return run


def test_licence_and_language_come_from_the_recipe(one_pair):
    out = one_pair.with_name("out")
    for folder in (out, out / "dpo", one_pair / "dpo"):
        assert {name: front_matter(folder)[name] for name in SAYS} == SAYS
    assert "licence: cc-by-4.0; language: en, zh" in (out / "README.md").read_text()


def test_a_phase_without_rows_is_no_configuration(one_pair):
    import datasets

    out = one_pair.with_name("out")
    assert datasets.get_dataset_config_names(str(out)) == ["dpo"]
    assert pq.read_table(out / "sft" / "train.parquet").num_rows == 0


@pytest.mark.parametrize("table", ["responses", "prompts"])
def test_rows_that_stand_in_a_run_twice_are_no_examples_twice(one_pair, tmp_path, table):
    copy = shutil.copytree(one_pair, tmp_path / "run")
    [part] = (copy / table).glob("*.parquet")
    shutil.copy(part, part.with_stem("part-000007"))
    done = datakit("select", copy)
    assert done.returncode == 2 and " would be " in done.stderr and f"datakit inspect {copy} names the table" in done.stderr
    named = rf"{table}: \d rows? with the key of another row"
    assert re.search(named, datakit("inspect", copy).stdout)


def test_one_manifest_over_all(out):
    manifest = json.loads((out / "manifest.json").read_text())
    phase = json.loads((out / "dpo" / "manifest.json").read_text())
    assert manifest["phases"] == {"sft": {"rows": 2}, "dpo": {"rows": 8}}
    assert manifest["runs"][0]["recipe_digest"] == phase["recipe_digest"] and manifest["runs"][0]["rows"] == {
        "sft": 2,
        "dpo": 8,
    }
    report = json.loads(datakit("inspect", out, "--json").stdout)
    assert (report["tables"], report["pairs"]["count"]) == ({"demos": 2, "pairs": 8}, 8)


def test_a_test_split_is_of_whole_prompts_and_always_the_same(tmp_path):
    import datasets

    rows = [row for n in range(40) for model in ("m/one", "m/two") for row in good_and_bad(f"Question {n}?", model)]
    run = imported_run(tmp_path / "run", rows, select={"per_prompt": "one_per_source"})
    prompts = {}
    for share in (0.2, 0.4):
        out = tmp_path / f"out{share}"
        assert datakit("export", run, out, "--test-share", share).returncode == 0
        parts = {
            split: datasets.load_dataset(str(out), "dpo", split=split, cache_dir=str(tmp_path / "c"))
            for split in ("train", "test")
        }
        texts = {split: {row["prompt"][0]["content"] for row in part} for split, part in parts.items()}
        assert not texts["train"] & texts["test"] and len(texts["train"] | texts["test"]) == 40
        assert sum(map(len, parts.values())) == 80
        manifest = json.loads((out / "dpo" / "manifest.json").read_text())
        assert (manifest["rows"], manifest["test_rows"]) == (len(parts["train"]), len(parts["test"]))
        prompts[share] = texts["test"]
    assert 2 <= len(prompts[0.2]) <= 16 and prompts[0.2] < prompts[0.4]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["{run}"], "name one or more runs, then a new folder"),
        (["{run}", "o", "--format", "csv"], "--format csv: write parquet, jsonl, sharegpt, alpaca or kto"),
        (["{run}", "o", "--test-share", "1"], "--test-share 1: must be at least 0 and less than 1"),
        (["{run}", "o", "--max-rows", "talk=x"], "--max-rows talk=x: write it as RUN=N, a whole number"),
        (["{run}", "o", "--max-rows", "walk=3"], "--max-rows walk=3: no run has this name"),
        (["{run}", "o", "--weight", "talk=0"], "--weight talk=0: give a number above 0"),
        (["{run}", "o", "--weight", "talk=1", "--weight", "talk=2"], "talk already has a value"),
        (["{run}", "{run}", "o"], "the same run is given twice"),
        (["{run}", "."], "is the folder that you are in"),
        (["{run}", "{out}"], "exists already; give a new folder"),
    ],
)
def test_what_cannot_be_asked_for(run, out, tmp_path, args, words):
    done = datakit("export", *[arg.format(run=run, out=out) for arg in args], cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
