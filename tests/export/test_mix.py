"""Several runs in one export: each prompt in one phase, each row once, caps and weights, and always the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.export.mix import weighted
from tests.helpers.command import datakit
from tests.helpers.imported_runs import answered, good_and_bad, imported_run

PAIRED, SHARED = 12, ("shared 0?", "shared 1?")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """a: pairs of its own and two that b has, too; b: those two again, a demo for one prompt that has a pair in a; c: demos."""
    home = tmp_path_factory.mktemp("runs")
    a = [row for prompt in [*(f"a{n}?" for n in range(PAIRED)), *SHARED] for row in good_and_bad(prompt)]
    b = [row for prompt in [*(f"b{n}?" for n in range(4)), *SHARED] for row in good_and_bad(prompt)]
    b += answered("a0?", ("only b says this", 0.5))
    c = [row for n in range(6) for row in answered(f"c{n}?", (f"c says {n}", 0.5))]
    return [imported_run(home / name, rows) for name, rows in (("a", a), ("b", b), ("c", c))]


def mixed(runs, out, *options):
    """All rows of each kind, the manifest, and what was said."""
    done = datakit("export", *runs, out, *options)
    assert done.returncode == 0, done.stderr
    frames = {kind: pl.read_parquet(out / kind / "t*.parquet") for kind in ("sft", "dpo")}
    return frames, json.loads((out / "manifest.json").read_text()), done.stderr


@pytest.fixture(scope="module")
def plain(runs, tmp_path_factory):
    """The folder of all three, and what `mixed` gives of it."""
    out = tmp_path_factory.mktemp("plain") / "out"
    return out, *mixed(runs, out)


WEIGHTS = ("--weight", "a=2", "--weight", "b=1", "--test-share", "0.3")


@pytest.fixture(scope="module")
def by_weight(runs, tmp_path_factory):
    """The folder of the weights, and what `mixed` gives of it."""
    out = tmp_path_factory.mktemp("weights") / "out"
    return out, *mixed(runs, out, *WEIGHTS)


def by_run(frame):
    return dict(frame["run"].value_counts().iter_rows())


def questions(frame):
    return {row[0]["content"] for row in frame["prompt"].to_list()}


def test_a_prompt_serves_one_phase_and_a_row_stands_there_once(plain):
    _, frames, manifest, said = plain
    assert by_run(frames["dpo"]) == {"a": PAIRED + 2, "b": 4} and by_run(frames["sft"]) == {"c": 6}
    assert not questions(frames["sft"]) & questions(frames["dpo"])
    assert manifest["left_out"] == [
        {"run": "b", "phase": "sft", "reason": "the prompt has a pair in the mix, and serves DPO", "rows": 1},
        {"run": "b", "phase": "dpo", "reason": "the same row came from an earlier run", "rows": 2},
    ]
    assert "left out: b: 2 rows of dpo (the same row came from an earlier run)" in said


def test_one_manifest_names_every_recipe(runs, plain):
    out, frames, manifest, _ = plain
    digests = [json.loads((run / "recipe.json").read_text())["digest"] for run in runs]
    assert [run["recipe_digest"] for run in manifest["runs"]] == digests and len(set(digests)) == 3
    assert [run["rows"] for run in manifest["runs"]] == [{"sft": 0, "dpo": 14}, {"sft": 0, "dpo": 4}, {"sft": 6, "dpo": 0}]
    phase = json.loads((out / "dpo" / "manifest.json").read_text())
    assert [(run["name"], run["recipe_digest"], run["rows"]) for run in phase["runs"]] == [
        (run["name"], run["recipe_digest"], run["rows"]["dpo"]) for run in manifest["runs"]
    ]
    assert "run" in phase["columns"] and phase["rows"] == frames["dpo"].height
    card = (out / "README.md").read_text()
    assert "## How a row was chosen: a\n" in card and "## How a row was chosen: c\n" in card and "| b | m/one |" in card


def test_inspect_reads_a_mix(plain):
    report = json.loads(datakit("inspect", plain[0], "--json").stdout)
    assert report["tables"] == {"demos": 6, "pairs": PAIRED + 6} and report["run"]["domain"] == "instruct"
    assert report["sources"][0]["pairs"] == PAIRED + 6 and not any("changed after" in text for text in report["warnings"])


def test_caps_keep_the_same_rows_and_more_of_them(runs, tmp_path):
    kept = {}
    for most in (3, 5):
        frames, manifest, _ = mixed(runs, tmp_path / f"out{most}", "--max-rows", f"a={most}")
        assert by_run(frames["dpo"]) == {"a": most, "b": 4} and by_run(frames["sft"]) == {"c": 6}
        assert {"run": "a", "phase": "dpo", "reason": "max_rows", "rows": 14 - most} in manifest["left_out"]
        kept[most] = questions(frames["dpo"].filter(pl.col("run") == "a"))
    assert kept[3] < kept[5]


def test_weights_are_proportions(by_weight):
    _, frames, manifest, _ = by_weight
    assert by_run(frames["dpo"]) == {"a": 8, "b": 4} and by_run(frames["sft"]) == {"c": 6}
    assert manifest["weights"] == {"a": 2.0, "b": 1.0}


def test_the_same_command_gives_the_same_rows(runs, by_weight, tmp_path):
    mixed(runs, tmp_path / "out", *WEIGHTS)
    files = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.parquet"))
    assert len(files) == 4, "a test split of each kind, too"
    assert all(pl.read_parquet(tmp_path / "out" / file).equals(pl.read_parquet(by_weight[0] / file)) for file in files)


def test_runs_of_one_name_go_by_their_paths(runs, tmp_path):
    other = imported_run(tmp_path / "elsewhere" / "a", good_and_bad("another?"))
    frames, _, _ = mixed([runs[0], other], tmp_path / "out", "--max-rows", f"{runs[0]}=2")
    assert by_run(frames["dpo"]) == {str(runs[0]): 2, str(other): 1}


def test_one_run_may_be_capped_and_has_no_column_for_its_name(runs, tmp_path):
    assert datakit("export", runs[0], tmp_path / "out", "--max-rows", "a=2").returncode == 0
    frame = pl.read_parquet(tmp_path / "out" / "dpo" / "train.parquet")
    assert frame.height == 2 and "run" not in frame.columns


counts = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 10_000), min_size=1)


@given(counts, st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 100), max_size=4))
def test_weights_take_nothing_twice_and_one_run_whole(rows, weights):
    taken = weighted(rows, weights)
    assert all(0 <= taken[name] <= rows[name] for name in rows) and any(taken[name] == rows[name] for name in rows)
    each = min(rows[name] / weights.get(name, 1) for name in rows)
    assert all(abs(taken[name] - each * weights.get(name, 1)) < 1.001 for name in rows)
