"""Both rounds of WRPO: a target that joins the sources of a run, and what it is trained on before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from datakit.recipe import LocalSource, load
from tests.helpers.command import datakit, rows_of, write_recipe
from tests.helpers.folders import ROOT
from tests.helpers.imported_runs import answered

PROMPTS = 40


def prompts_in(export: Path) -> set[str]:
    return set(pl.read_parquet(export / "train.parquet")["prompt_id"])


def test_no_prompt_of_the_first_round_is_in_the_second(tmp_path):
    """The target's answers change who has a pair, and nobody's phase; what the first round trained on stays as it was."""
    rows = {
        name: [row for at in range(PROMPTS) for row in answered(f"question {at}", *scores(at), model=name)]
        for name, scores in {
            "m/one": lambda at: ((f"one {at}", 0.5), (f"uno {at}", 0.1 + 0.4 * (at % 2))),
            "m/two": lambda at: ((f"two {at}", 0.3), (f"dos {at}", 0.7)),
            "target": lambda at: ((f"yes {at}", 0.4), (f"no {at}", 0.2)),
        }.items()
    }
    exported: list[dict[str, Any]] = []
    rounds: list[tuple[list[str], dict[str, Any]]] = [
        (["m/one", "m/two"], {}),
        (["m/one", "m/two", "target"], {"target": "target"}),
    ]
    for models, more in rounds:
        sources = []
        for name in models:
            path = tmp_path / f"{name.replace('/', '-')}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows[name]))
            columns = {column: column for column in ("prompt", "model", "text", "score")}
            sources.append({"type": "responses", "path": str(path), "judge": "given", "columns": columns})
        select = {"split": "hash", "sft_share": 0.333, **more}
        recipe = {"domain": "instruct", "sources": sources, "score": None, "select": select}
        done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        kind = "wrpo" if "target" in models else "dpo"
        exported.append(
            {"sft": pl.read_parquet(tmp_path / "run/sft/train.parquet"), "pairs": prompts_in(tmp_path / "run" / kind)}
        )
    first, second = exported
    trained_on = set(first["sft"]["prompt_id"])
    assert 5 < len(trained_on) < 25 and len(second["pairs"]) == PROMPTS - len(trained_on)
    assert not second["pairs"] & trained_on
    assert second["sft"].select("prompt_id", "response_id").equals(first["sft"].select("prompt_id", "response_id"))


def test_the_recipes_of_both_rounds_differ_by_the_target_alone():
    first, second = (load(ROOT / "recipes" / "wrpo" / f"{name}.yaml") for name in ("first", "second"))
    *sources, target = second.sources
    assert sources == first.sources and isinstance(target, LocalSource) and second.select.target == target.model
    assert second.select.model_copy(update={"target": None}) == first.select
    assert (second.prompts, second.verify, second.score) == (first.prompts, first.verify, first.score)


@pytest.mark.slow
def test_both_rounds_with_the_micro_models(tmp_path):
    """The commands of the recipes' headers, elsewhere: the sources are asked once, the target alone afterwards."""
    text = {
        name: (ROOT / "recipes" / "wrpo" / f"{name}.yaml").read_text().replace("../../data", str(ROOT / "data"))
        for name in ("first", "second")
    }
    recipes = {name: write_recipe(tmp_path / f"{name}.yaml", yaml.safe_load(found)) for name, found in text.items()}
    checkpoint = tmp_path / "checkpoints" / "wrpo-sft"
    recipes["second"].write_text(recipes["second"].read_text().replace("../../checkpoints/wrpo-sft", str(checkpoint)))

    def train(*argv: object) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "train.cli", *map(str, argv)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run, config = tmp_path / "run", ROOT / "recipes" / "train"
    assert datakit("build", "--recipe", recipes["first"], "--out", run).returncode in (0, 1)
    trained_on, asked = prompts_in(run / "sft"), rows_of(run, "select response_id from responses order by all")
    train("sft", "--data", run / "sft", "--model", ROOT / "data/micro/target", "--config", config / "sft.yaml",
          "--output_dir", checkpoint)  # fmt: skip
    done = datakit("build", "--recipe", recipes["second"], "--out", run)
    assert done.returncode in (0, 1), done.stderr
    after = rows_of(run, f"select response_id from responses where model <> '{checkpoint}' order by all")
    assert after == asked and len(rows_of(run, f"select 1 from responses where model = '{checkpoint}'")) == 500
    rows = pl.read_parquet(run / "wrpo" / "train.parquet")
    assert rows.height and not set(rows["prompt_id"]) & trained_on and prompts_in(run / "sft") == trained_on
    assert set(rows["model"]) == {str(checkpoint)} and str(checkpoint) not in set(rows["source_model"])
    train("wrpo", "--data", run / "wrpo", "--model", checkpoint, "--config", config / "wrpo.yaml",
          "--output_dir", tmp_path / "wrpo")  # fmt: skip
    train("dpo", "--data", run / "wrpo", "--model", checkpoint, "--config", config / "dpo.yaml",
          "--output_dir", tmp_path / "dpo", "--max_steps", "1")  # fmt: skip
