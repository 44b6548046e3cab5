"""The whole way on real input: the embedded default to a trained target, and real labelled responses to a report."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import count, datakit, rows_of, write_recipe
from tests.helpers.folders import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """Ten prompts of the embedded default: real servers, real samples, the tiny ArmoRM."""
    run = tmp_path_factory.mktemp("demo") / "run"
    done = datakit("build", "--domain", "math", "--limit", 16, "--out", run)
    assert done.returncode == 0, done.stderr
    return run


def report_of(run: Path) -> dict:
    return json.loads(datakit("inspect", run, "--json").stdout)


def test_the_embedded_default_gives_four_different_sources_pairs_and_demos(demo):
    report = report_of(demo)
    assert report["tables"]["responses"] == report["tables"]["scores"] == report["tables"]["verdicts"] == 16 * 4 * 5
    assert [source["responses"] for source in report["sources"]] == [80] * 4
    assert all(0.2 < source["passed"] / 80 < 0.85 for source in report["sources"]), "none is good at all, none is useless"
    assert all(source["distinct"] > 40 and source["truncated"] < 8 for source in report["sources"])
    assert report["pairs"]["count"] > 0 and report["tables"]["demos"] > 0
    select = json.loads((demo / "recipe.json").read_text())["recipe"]["select"]
    assert select["margin"][0] <= report["pairs"]["margin_min"] <= report["pairs"]["margin_max"] <= select["margin"][1]
    lengths = rows_of(demo, "SELECT max(abs(log_length_ratio)) AS m FROM pairs")[0]["m"]
    assert lengths <= math.log(select["length_ratio_max"]) + 1e-9


def test_every_pair_can_be_traced(demo):
    rows = rows_of(
        demo,
        """SELECT p.model, c.model AS m, r.model AS n, c.seed AS s, c.revision AS v, o.outcome AS a, w.outcome AS b,
                  x.score - y.score AS margin, p.margin AS stored
           FROM pairs p JOIN responses c ON p.chosen_id = c.response_id JOIN responses r ON p.rejected_id = r.response_id
           JOIN verdicts o ON o.response_id = c.response_id JOIN verdicts w ON w.response_id = r.response_id
           JOIN scores x ON x.response_id = c.response_id JOIN scores y ON y.response_id = r.response_id""",
    )
    assert len(rows) == count(demo, "pairs")
    for row in rows:
        assert row["model"] == row["m"] == row["n"] and row["s"] is not None and row["v"].startswith("local-")
        assert (row["a"], row["b"]) == ("passed", "failed") and row["margin"] == pytest.approx(row["stored"])


def test_trl_takes_the_export_as_it_is(demo):
    """TRL's own trainers tokenise our files: prompt tokens are masked in SFT, both answers are there in DPO."""
    pytest.importorskip("trl")
    import datasets
    from transformers import AutoTokenizer
    from trl.data_utils import apply_chat_template, is_conversational

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data" / "micro" / "target")
    for kind, keys in (("sft", {"prompt", "completion"}), ("dpo", {"prompt", "chosen", "rejected"})):
        rows = datasets.load_dataset("parquet", data_files=str(demo / kind / "train.parquet"), split="train")
        assert keys <= set(rows.column_names) and is_conversational(rows[0])
        text = apply_chat_template({key: rows[0][key] for key in keys}, tokenizer)
        assert rows[0]["prompt"][-1]["content"] in text["prompt"] and keys == set(text)


def test_the_target_trains_on_the_export(demo, tmp_path):
    """SFT, then DPO with the recipes of the README, two steps each."""
    pytest.importorskip("trl")
    target, steps = ROOT / "data" / "micro" / "target", ["--max_steps", "2"]
    for kind, model, out in (("sft", target, tmp_path / "sft"), ("dpo", tmp_path / "sft", tmp_path / "dpo")):
        config = ROOT / "recipes" / "train" / f"{kind}.yaml"
        command = [kind, "--data", demo / kind, "--model", model, "--config", config, "--output_dir", out, *steps]
        done = subprocess.run(
            [sys.executable, "-m", "train.cli", *map(str, command)], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert (out / "model.safetensors").is_file()
        assert json.loads((out / "data_manifest.json").read_text())["kind"] == kind


def test_the_reward_model_that_travels_with_the_project(demo):
    """Better than a coin and fond of length, as real ones are; data/micro/README.md says how much, on held-out problems."""
    scores = report_of(demo)["scores"]
    assert scores["ranking_accuracy"] > 0.6 and scores["length_correlation"] > 0.2 and scores["non_finite"] == 0


def test_real_responses_of_fourteen_models(shared_data, tmp_path):
    """Imported responses, the golden set's ArmoRM, pairs across sources; one sample a model leaves none of one source."""
    recipe = {
        "domain": "math",
        "sources": [
            {
                "type": "responses",
                "path": str(shared_data / "responses" / "math.jsonl.gz"),
                "columns": {
                    "prompt_id": "prompt_id", "prompt": "prompt", "reference": "gold_answer", "model": "source_model",
                    "text": "response", "sample_index": "sample_idx",
                },
            }
        ],
        "score": {"type": "armorm", "model": str(shared_data / "armorm_tiny"), "dtype": "float32"},
        "select": {"pairing": "any_source"},
    }  # fmt: skip
    run = tmp_path / "run"
    done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", run, "--limit", 40)
    assert done.returncode == 0, done.stderr
    assert count(run, "pairs") > 10 and count(run, "pairs WHERE model <> rejected_model") > 10
    assert count(run, "responses") >= 40 * 8

    assert datakit("select", run, "--set", "select.pairing=same_source").returncode == 0
    report = report_of(run)
    assert report["pairs"]["count"] == 0 and report["ok"] is False
    assert any("any_source" in warning for warning in report["warnings"])
    assert datakit("inspect", run).returncode == 1


# --------------------------------------------------------------------------------------------------------------------- code


@pytest.fixture(scope="module")
def code_demo(tmp_path_factory) -> Path:
    """Twelve prompts of the embedded default: real servers, real programs, the sandbox, the tiny reward model."""
    run = tmp_path_factory.mktemp("code_demo") / "run"
    done = datakit("build", "--domain", "code", "--limit", 12, "--out", run)
    assert done.returncode == 0, done.stderr
    return run


def test_the_embedded_default_of_code_gives_four_sources_verdicts_pairs_and_demos(code_demo):
    report = report_of(code_demo)
    recipe = json.loads((code_demo / "recipe.json").read_text())["recipe"]
    n = [source["n"] for source in recipe["sources"]]
    assert len(n) == 4 and report["tables"]["responses"] == report["tables"]["verdicts"] == report["tables"][
        "scores"
    ] == 12 * sum(n)
    assert sorted(source["responses"] for source in report["sources"]) == sorted(12 * each for each in n)
    assert all(0.1 < source["pass_rate"] < 0.95 for source in report["sources"]), "none is good at all, none is useless"
    assert all(source["distinct"] > source["responses"] / 4 for source in report["sources"])
    assert report["pairs"]["count"] > 0 and report["tables"]["demos"] > 0
    lengths = rows_of(code_demo, "SELECT max(abs(log_length_ratio)) AS m FROM pairs")[0]["m"]
    assert lengths <= math.log(recipe["select"]["length_ratio_max"]) + 1e-9
    outcomes = {
        row["outcome"]: row["n"] for row in rows_of(code_demo, "SELECT outcome, count(*) AS n FROM verdicts GROUP BY 1")
    }
    assert outcomes["passed"] and outcomes["failed"] and "unverifiable" not in outcomes and "error" not in outcomes


def test_every_pair_of_the_code_demo_is_a_pass_and_a_wrong_program_of_one_source(code_demo):
    rows = rows_of(
        code_demo,
        """SELECT p.model, c.model AS m, r.model AS n, o.outcome AS a, w.outcome AS b, o.detail AS why,
                  x.score - y.score AS margin, p.margin AS stored
           FROM pairs p JOIN responses c ON p.chosen_id = c.response_id JOIN responses r ON p.rejected_id = r.response_id
           JOIN verdicts o ON o.response_id = c.response_id JOIN verdicts w ON w.response_id = r.response_id
           JOIN scores x ON x.response_id = c.response_id JOIN scores y ON y.response_id = r.response_id""",
    )
    assert len(rows) == count(code_demo, "pairs") > 0
    for row in rows:
        assert row["model"] == row["m"] == row["n"] and row["a"] == "passed" and row["b"] in ("failed", "timeout")
        assert row["margin"] == pytest.approx(row["stored"]) and "no sandbox" not in row["why"]


def test_golds_of_the_code_demo_pass_and_no_tests_of_it_are_weak():
    done = datakit("check", "--domain", "code", "--mutants")
    assert done.returncode == 0 and "all is well" in done.stderr, done.stderr
