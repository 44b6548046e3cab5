"""Whole trainings of a tiny model through the real command line."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.helpers import tiny_targets as tiny
from tests.helpers.folders import ROOT

FAST = ["--gradient_checkpointing", "false", "--logging_steps", "1", "--per_device_train_batch_size", "8"]
SFT = ["sft", "--data", "runs/my/sft", *FAST, "--num_train_epochs", "6", "--learning_rate", "5e-3"]


def losses_of(folder):
    """The logged losses, from the state of the last checkpoint."""
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((checkpoints[-1] / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def succeeded(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.slow
def test_sft_then_dpo(cli, run_folder, model, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = succeeded(cli(*SFT, "--model", model))
    assert "16 demos from runs/my/sft" in out
    assert "Next: train dpo --data runs/my/dpo --model checkpoints/sft --config recipes/train/dpo.yaml" in out
    losses = losses_of(tmp_path / "checkpoints/sft")
    assert losses[-1] < 0.8 * losses[0]
    manifest = json.loads((tmp_path / "checkpoints/sft/data_manifest.json").read_text())
    assert (manifest["kind"], manifest["rows"], manifest["recipe_digest"]) == ("sft", 16, "0123abcd")
    assert manifest["trained_on"] == "runs/my/sft"

    config = tmp_path / "dpo.yaml"
    config.write_text("loss_type: sigmoid_norm\nbeta: 10\nlearning_rate: 1e-3\nnum_train_epochs: 4\n")
    dpo = ["dpo", "--data", "runs/my/dpo", "--model", "checkpoints/sft", "--config", config, *FAST]
    out = succeeded(cli(*dpo))
    assert "transformers and vLLM load it" in out and re.search(r"^ *rewards/margins(?: +-?[\d.e-]+){4} *$", out, re.MULTILINE)
    losses = losses_of(tmp_path / "checkpoints/dpo")
    measured = [json.loads(line) for line in (tmp_path / "checkpoints/dpo/metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in measured if "loss" in line] == losses
    assert "rewards/margins" in (tmp_path / "checkpoints/dpo/metrics.jsonl").read_text()
    assert (tmp_path / "checkpoints/dpo/metrics.svg").read_text().count("<polyline") == 4
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # policy and reference are one model before the first step
    assert losses[-1] < 0.6
    trained = tmp_path / "checkpoints/dpo"
    AutoModelForCausalLM.from_pretrained(trained)
    assert AutoTokenizer.from_pretrained(trained).chat_template == tiny.TEMPLATE

    again = cli(*dpo)
    assert again.returncode == 2
    assert "checkpoints/dpo: holds a model already; use another --output_dir, or --overwrite" in again.stderr


@pytest.mark.slow
def test_a_killed_training_is_not_written_over_and_goes_on(cli, run_folder, model, tmp_path):
    checkpoints = ["--save_steps", "4", "--model", model, "--eval_share", "0.1", "--eval_strategy", "epoch"]
    succeeded(cli(*SFT, *checkpoints))
    out = tmp_path / "checkpoints/sft"
    (out / "config.json").unlink()  # as if it had been killed before its end
    for checkpoint in out.glob("checkpoint-*"):
        if checkpoint.name != "checkpoint-4":
            checkpoint.rename(tmp_path / checkpoint.name)
    refused = cli(*SFT, *checkpoints)
    assert refused.returncode == 2
    assert "holds the checkpoints of an unfinished training" in refused.stderr
    succeeded(cli(*SFT, *checkpoints, "--resume_from_checkpoint", "true"))
    assert (out / "config.json").is_file()
    state = json.loads((out / "checkpoint-12/trainer_state.json").read_text())
    assert [entry["step"] for entry in state["log_history"] if "loss" in entry] == list(range(1, 13))
    assert any("eval_loss" in entry for entry in state["log_history"])


@pytest.mark.slow
def test_ctrl_c_ends_with_130(run_folder, model, tmp_path):
    command = [sys.executable, "-m", "train.cli", *SFT, "--model", str(model), "--max_steps", "100000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "'loss'" in line:  # it trains
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "Interrupted" in errors


@pytest.mark.slow
def test_lora_and_the_merge_it_names(cli, run_folder, model, tmp_path):
    out = succeeded(cli(*SFT, "--model", model, "--use_peft", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj"))
    config = json.loads((tmp_path / "checkpoints/sft/adapter_config.json").read_text())
    assert (config["r"], sorted(config["target_modules"])) == (4, ["q_proj", "v_proj"])
    script = re.search(r'python -c "(.*)"', out).group(1)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    dpo = ["dpo", "--data", "runs/my/dpo", "--model", "checkpoints/sft-merged", "--max_steps", "1", "--use_peft", *FAST]
    succeeded(cli(*dpo))


TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "train.cli")
"""What accelerate launches several GPUs by; with --cpu it starts one process, however many it is asked for."""
ON_CPU = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_two_processes(cli, run_folder, model, tmp_path):
    """Batches of eight at each of them: the 16 demos are one step."""
    out = succeeded(cli(*SFT, "--model", model, "--max_steps", "2", "--use_cpu", "true", launcher=TWO_PROCESSES, **ON_CPU))
    assert out.count("16 demos from") == 1  # two processes, one voice
    assert (tmp_path / "checkpoints/sft/model.safetensors").is_file()
    measured = [json.loads(line) for line in (tmp_path / "checkpoints/sft/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in measured if "loss" in line] == [1.0, 2.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--model", "owner/name"], "--model owner/name: neither a model folder nor available from the hub"),
        (["--model", "plain"], "its tokenizer has no chat template"),
        (["--model", "{model}", "--attn_implementation", "nonsense"], "train dpo: "),
        (["--model", "{model}", "--max_length", "3"], "max_length 3"),
    ],
    ids=["no-model", "no-template", "attention", "too-short"],
)
def test_what_only_the_model_can_tell_is_refused_too(cli, run_folder, model, tmp_path, argv, expected):
    if "plain" in argv:
        tiny.save_model(tmp_path / "plain", chat_template=False)
    done = cli("dpo", "--data", "runs/my/dpo", *[item.format(model=model) for item in argv])
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert expected in done.stderr.replace("\n", " ")
