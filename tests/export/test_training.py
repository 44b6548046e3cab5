"""Exports of every domain on their way into a model: through `datasets`, TRL's preparation of data, and `train`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import tiny_targets as tiny
from tests.helpers.command import datakit
from tests.helpers.folders import ROOT
from tests.helpers.imported_runs import answered, imported_run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.gradient_checkpointing. is deprecated")]

COLUMNS = {"sft": {"prompt", "completion"}, "dpo": {"prompt", "chosen", "rejected"}}
N = 6


def rows_of_domain(domain):
    """N prompts with a right answer that scores well and a wrong one; every other prompt has right answers alone."""
    for n in range(N):
        prompt, reference, right, wrong = {
            "math": (f"What is {n} + 1?", str(n + 1), f"The answer is {n + 1}.", f"The answer is {n + 7}."),
            "code": (f"Write add{n}(a), a plus {n}.", f"assert add{n}(1) == {n + 1}", *(
                f"```python\ndef add{n}(a):\n    return a + {by}\n```" for by in (n, n + 1)
            )),
            "instruct": (f"Say {n} things.", None, f"One thing, and {n} more.", f"No, not {n}."),
            "mcq": (f"Which is {n} + 1?", "B", "The answer is B.", "The answer is A."),
            "chinese": (f"请说出{n}件事。", None, f"一件事，还有{n}件。", f"不，不是{n}件。"),
        }[domain]  # fmt: skip
        answers = [(right, 0.9)] if n % 2 else [(right, 0.9), (wrong, 0.2)]
        for row in answered(prompt, *answers):
            choices = {"choices": [str(n + 2), str(n + 1)]} if domain == "mcq" else {}
            yield {**row, **choices, **({"reference": reference} if reference else {})}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    home = tmp_path_factory.mktemp("runs")
    return [imported_run(home / domain, list(rows_of_domain(domain)), domain=domain) for domain in ("math", "code", "instruct")]


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> list[Path]:
    home = tmp_path_factory.mktemp("others")
    return [imported_run(home / domain, list(rows_of_domain(domain)), domain=domain) for domain in ("mcq", "chinese")]


@pytest.fixture(scope="module")
def mix(runs) -> Path:
    out = runs[0].with_name("mix")
    done = datakit("export", *runs, out, "--test-share", 0.2)
    assert done.returncode == 0, done.stderr
    return out


def test_the_card_says_how_often_each_judge_is_right_and_what_was_verified(mix):
    card = (mix / "README.md").read_text(encoding="utf-8")
    math, code, talk = (
        card.split(f"## How a row was chosen: {name}\n")[1].split("\n## ")[0] for name in ("math", "code", "instruct")
    )
    for verified in (math, code):
        assert (
            "scores a right answer above a wrong one, by the verifier, in 100.0% of 3 comparisons within this run" in verified
        )
        assert "verified as right by" in verified and "best right answer against the worst wrong answer" in verified
    assert "is right is not known" in talk and "was not verified" in talk


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.save_model(tmp_path_factory.mktemp("target"))


def prepared(kind, rows, model, tmp_path):
    """What TRL's trainer makes of the rows before its first step."""
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer  # type: ignore[attr-defined]

    config: Any = SFTConfig if kind == "sft" else DPOConfig
    trainer: Any = SFTTrainer if kind == "sft" else DPOTrainer
    args = config(output_dir=str(tmp_path / "out"), report_to="none", bf16=False, max_length=None)
    return trainer(model=str(model), args=args, train_dataset=rows).train_dataset


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_trl_prepares_the_rows_of_every_domain_and_of_data_made_elsewhere(runs, others, mix, model, tmp_path, kind):
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("trl")
    sets = [datasets.load_dataset(str(run / kind), split="train", cache_dir=str(tmp_path / "c")) for run in runs + others]
    assert all(len(rows) == N // 2 for rows in sets)
    sets.append(datasets.load_dataset(str(mix), kind, split="train", cache_dir=str(tmp_path / "c")))
    example = {name: [{"content": name, "role": "user" if name == "prompt" else "assistant"}] for name in COLUMNS[kind]}
    sets.append(datasets.Dataset.from_list([example]))
    rows = datasets.concatenate_datasets(sets)
    ready = prepared(kind, rows, model, tmp_path)
    assert len(ready) == len(rows) == 5 * N // 2 + len(sets[5]) + 1
    tokenizer = tiny.make_tokenizer()
    first = ready[0]
    text = tokenizer.decode(first["input_ids"] if kind == "sft" else first["prompt_ids"] + first["chosen_ids"])
    answer = rows[0]["completion" if kind == "sft" else "chosen"][0]["content"]
    assert text == f"<|user|>{rows[0]['prompt'][0]['content']}<|end|><|assistant|>{answer}<|end|>"


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_one_training_on_three_exports(runs, model, tmp_path, kind):
    pytest.importorskip("trl")
    data = [str(run / kind) for run in runs]
    done = trained(kind, model, tmp_path, "--data", *data, "--data_weights", "1", "1", "0.7", "--num_train_epochs", "2")
    assert f"9 {'demos' if kind == 'sft' else 'pairs'} from {', '.join(data)} (8 trained on, 0 evaluated on)" in done
    manifest = json.loads((tmp_path / "out" / "data_manifest.json").read_text())
    assert manifest["trained_on"] == data and manifest["weights"] == [1.0, 1.0, 0.7]
    digests = [json.loads((run / "recipe.json").read_text())["digest"] for run in runs]
    assert [one["recipe_digest"] for one in manifest["data"]] == digests


def test_training_on_a_mix_evaluates_on_its_test_split(mix, model, tmp_path):
    pytest.importorskip("trl")
    made = json.loads((mix / "dpo" / "manifest.json").read_text())
    assert made["test_rows"] > 0, "the split of these prompts is a matter of their hashes"
    done = trained("dpo", model, tmp_path, "--data", str(mix / "dpo"), "--eval_strategy", "epoch", "--num_train_epochs", "1")
    assert f"({made['rows']} trained on, {made['test_rows']} evaluated on)" in done and "eval_loss" in done


def trained(kind, model, tmp_path, *flags):
    fast = ["--gradient_checkpointing", "false", "--per_device_train_batch_size", "4", "--logging_steps", "1"]
    command = [sys.executable, "-m", "train.cli", kind, *flags, "--model", str(model), "--output_dir", "out", *fast]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and (tmp_path / "out" / "model.safetensors").is_file(), done.stdout + done.stderr
    return done.stdout
