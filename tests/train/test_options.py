"""TRL's parser as `train` uses it: defaults, the alias, YAML as flags, and everything unknown refused."""

import re
from pathlib import Path

import pytest
import yaml

from tests.helpers.folders import ROOT
from train.errors import TrainError
from train.options import parse_options, read_request
from train.wrpo import Mixing

FOLDER = ROOT / "recipes/train"
LAUNCH = {"accelerate-fsdp.yaml"}
RECIPES = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name not in LAUNCH)
CPU = ["--use_cpu", "true"]  # so that `bf16: true` is taken on a machine without a GPU


def parse(kind, *argv):
    return parse_options(read_request(kind, list(argv)))


def refusal(kind, *argv):
    with pytest.raises(TrainError) as caught:
        parse(kind, *argv)
    return str(caught.value)


@pytest.fixture
def yaml_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("c.yaml").write_text(text)
        return "c.yaml"

    return write


# FACTS: FuseChat-3.0's learning rate of SFT; learning rate, beta and loss of DPO.
FUSECHAT = {
    "llama-3.1-8b": (5e-6, 8e-7, 10.0, "sigmoid_norm"),
    "qwen-2.5-7b": (2e-6, 3e-7, 0.01, "sigmoid"),
    "gemma-2-9b": (2e-6, 5e-7, 0.01, "sigmoid"),
    "llama-3.2-3b": (5e-6, 1e-6, 10.0, "sigmoid_norm"),
    "llama-3.2-1b": (5e-6, 1e-6, 10.0, "sigmoid_norm"),
}


def test_there_is_a_recipe_of_each_kind_for_every_target():
    assert (
        sorted(
            [f"{kind}-{name}.yaml" for kind in ("sft", "dpo") for name in FUSECHAT]
            + ["sft.yaml", "dpo.yaml", "wrpo.yaml", "fuse.yaml"]
        )
        == RECIPES
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_parsed_by_its_own_class(name):
    kind = re.split("[-.]", name)[0]
    options = parse(kind, "--config", str(FOLDER / name), *CPU)
    assert type(options.training).__name__ == {"sft": "SFTConfig", "fuse": "SFTConfig"}.get(kind, "DPOConfig")
    for key, value in yaml.safe_load((FOLDER / name).read_text()).items():
        if key == "lm_weight":
            assert options.fusing.lm_weight == value
            continue
        if key == "wrpo_alpha":
            assert options.mixing == Mixing(value, "linear")
            continue
        got = getattr(options.training, key, None) if hasattr(options.training, key) else getattr(options.model, key)
        got = getattr(got, "value", got)
        assert got == (type(got)(value) if not isinstance(got, list) else [value]), key


@pytest.mark.parametrize("target", FUSECHAT)
def test_the_fusechat_recipes_hold_the_papers_numbers(target):
    sft_rate, dpo_rate, beta, loss = FUSECHAT[target]
    sft = parse("sft", "--config", str(FOLDER / f"sft-{target}.yaml"), *CPU)
    dpo = parse("dpo", "--config", str(FOLDER / f"dpo-{target}.yaml"), *CPU)
    assert (sft.training.learning_rate, sft.training.num_train_epochs) == (sft_rate, 3)
    assert (dpo.training.learning_rate, dpo.training.num_train_epochs) == (dpo_rate, 1)
    assert (dpo.training.beta, dpo.training.loss_type, dpo.training.save_steps) == (beta, [loss], 100)
    assert dpo.model.model_name_or_path == sft.training.output_dir
    for training in (sft.training, dpo.training):
        assert 8 * training.per_device_train_batch_size * training.gradient_accumulation_steps == 128
        assert (training.max_length, training.lr_scheduler_type.value) == (2048, "cosine")
        assert training.get_warmup_steps(1000) == 100
        assert training.bf16 and training.gradient_checkpointing


def test_the_launch_file_is_read_by_accelerate():
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(FOLDER / "accelerate-fsdp.yaml"))
    assert (config.distributed_type.value, config.num_processes) == ("FSDP", 8)


def test_the_defaults_work_on_a_laptop():
    import torch

    sft, dpo = parse("sft"), parse("dpo")
    assert sft.training.completion_only_loss is True
    assert (sft.training.output_dir, dpo.training.output_dir) == ("checkpoints/sft", "checkpoints/dpo")
    assert sft.training.report_to == []
    if not torch.cuda.is_available():
        assert sft.training.bf16 is False


@pytest.mark.parametrize("flag", ["--model", "--model_name_or_path", "--model-name-or-path"])
def test_model_is_another_name_for_trls_own(yaml_file, flag):
    assert parse("dpo", flag, "a/b").model.model_name_or_path == "a/b"
    for key in ("model", "model_name_or_path"):
        options = parse("dpo", "--config", yaml_file(f"{key}: from/yaml\n"), flag, "a/b")
        assert options.model.model_name_or_path == "a/b"
        assert parse("dpo", "--config", yaml_file(f"{key}: from/yaml\n")).model.model_name_or_path == "from/yaml"


def test_the_command_line_wins_over_the_config(yaml_file):
    config = yaml_file("beta: 10\nloss_type: sigmoid_norm\nlearning_rate: 8e-7\nmax_length: null\nuse_peft: true\n")
    options = parse("dpo", "--config", config, "--beta", "5", "--lora_r", "4")
    training = options.training
    assert (training.beta, training.loss_type, training.learning_rate) == (5.0, ["sigmoid_norm"], 8e-7)
    assert training.max_length is None
    assert (options.model.use_peft, options.model.lora_r) == (True, 4)


def test_yaml_takes_lists_and_mappings(yaml_file):
    config = yaml_file(
        "loss_type: [sigmoid, sft]\nloss_weights: [0.8, 0.2]\nlora_target_modules: [q_proj, v_proj]\n"
        "model_init_kwargs: {use_cache: false}\nreport_to: [tensorboard]\noutput_dir: null\n"
    )
    options = parse("dpo", "--config", config)
    assert (options.training.loss_type, options.training.loss_weights) == (["sigmoid", "sft"], [0.8, 0.2])
    assert options.model.lora_target_modules == ["q_proj", "v_proj"]
    assert options.training.model_init_kwargs == {"use_cache": False}
    assert options.training.report_to == ["tensorboard"]
    assert options.training.output_dir == "checkpoints/dpo"


def test_env_in_yaml_is_set(yaml_file, monkeypatch):
    import os

    monkeypatch.setenv("A_SWITCH", "0")
    parse("dpo", "--config", yaml_file("env: {A_SWITCH: 1}\n"))
    assert os.environ["A_SWITCH"] == "1"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--lerning_rate", "1"], "train dpo: --lerning_rate: no such flag; did you mean --learning_rate?"),
        (["--learning", "1"], "--learning: no such flag"),  # no abbreviations
        (["--learning_rate", "five"], "train dpo: argument --learning_rate/--learning-rate: invalid float value: 'five'"),
        (["--loss_type", "sigmoid_normed"], "loss_type sigmoid_normed: TRL has no such loss; did you mean sigmoid_norm?"),
        (["--loss_type", "sigmoid", "sft", "--loss_weights", "1"], "`loss_weights` must have the same length"),
        (["--eval_share", "1.5"], "--eval_share 1.5: must be"),
        (["--eval_share", "0.1"], "add --eval_strategy epoch"),
        (["--eval_strategy", "epoch"], "hold prompts out with --eval_share"),
        (["--load_in_8bit", "--load_in_4bit"], "8 bit and 4 bit"),
        (["stray"], "train dpo: stray: no such flag"),
    ],
)
def test_bad_flags_are_refused(argv, expected):
    assert expected in refusal("dpo", *argv)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lerning_rate: 1\n", "c.yaml: lerning_rate: train dpo has no such flag; did you mean learning_rate?"),
        ("warmup_ratio: 0.1\n", "c.yaml: warmup_ratio: train dpo has no such flag; did you mean warmup_"),
        ("packing: true\n", "c.yaml: packing: train dpo has no such flag"),  # it is SFT's
        ("learning_rate: five\n", "c.yaml: argument --learning_rate/--learning-rate: invalid float value: 'five'"),
        ("truncation_mode: middle\n", "c.yaml: argument --truncation_mode"),
        ("max_length: 20.5\n", "c.yaml: argument --max_length/--max-length: invalid int value: '20.5'"),
        ("learning_rate: {a: 1}\n", "c.yaml: argument --learning_rate"),
        ("beta: 1\nmax_length: 2\nbeta: 10\n", "c.yaml: line 3: beta is given a second time; remove one"),
    ],
)
def test_bad_yaml_is_refused_with_its_file(yaml_file, text, expected):
    assert expected in refusal("dpo", "--config", yaml_file(text))


def test_bf16_without_a_gpu_says_what_to_do():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine can do it")
    assert "add --bf16 false" in refusal("sft", "--bf16", "true")
