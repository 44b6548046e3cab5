"""What a user sees of `train` before any training: help, bad input, exit statuses. Through the real command line."""

import builtins
import subprocess

import pytest

from tests.helpers import tiny_targets as tiny
from train.cli import main

HEAVY = {"torch", "trl", "transformers", "datasets", "accelerate", "peft"}
WITHOUT_TRL = f"""
import sys
from train.cli import main
status = main()
heavy = {HEAVY} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else status)
"""
NOT_INSTALLED = """
import sys
for name in ("torch", "trl"):
    sys.modules[name] = None
from train.cli import main
sys.exit(main())
"""


@pytest.fixture
def early(tmp_path, monkeypatch, capsys):
    """Run `train ...` in `tmp_path`, in this process, where nothing heavy may be imported."""
    given = builtins.__import__

    def light(name, *args, **more):
        assert name.partition(".")[0] not in HEAVY, f"imports {name}"
        return given(name, *args, **more)

    def run(*argv):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "__import__", light)
            status = main([str(arg) for arg in argv])
        return subprocess.CompletedProcess(argv, status, *capsys.readouterr())

    return run


def refused(done, *parts):
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr.replace("\n", " "), done.stderr
    return done


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"]])
def test_help_teaches_and_imports_nothing_heavy(cli, argv):
    done = cli(*argv, code=WITHOUT_TRL)
    assert done.returncode == 0
    for text in ("train sft --data", "train dpo --data", "--model", "accelerate launch", "sigmoid_norm"):
        assert text in done.stdout


def test_no_command_shows_the_help_and_fails(cli):
    assert "usage: train" in refused(cli(code=WITHOUT_TRL)).stderr


# Each of these is found before torch or TRL is imported.
EARLY = {
    "command": (["spo"], ["train spo: no such command"]),
    "wrong kind": (
        ["dpo", "--data", "runs/my/sft", "--model", "m"],
        ["--data runs/my/sft: this is an sft export (prompt, completion), and train dpo needs pairs "
         "(prompt, chosen, rejected); use --data runs/my/dpo"],
    ),
    "no data": (["sft", "--model", "m"], ["no data; add --data with an export, for example --data runs/my/sft"]),
    "no folder": (["sft", "--data", "runs/you", "--model", "m"], ["--data runs/you: no such folder"]),
    "data needs a value": (["sft", "--data"], ["train sft: argument --data: expected at least one argument"]),
    "data twice": (
        ["sft", "--data", "runs/my/sft", "--data", "runs/my/dpo", "--model", "m"],
        ["--data: given twice; several exports follow one --data: --data A B"],
    ),
    "a flag twice": (["sft", "--model", "m", "--model-name-or-path", "n"], ["--model_name_or_path: given twice"]),
    "flag": (
        ["sft", "--data", "runs/my/sft", "--model", "m", "--lerning_rate", "1e-5"],
        ["train sft: --lerning_rate: no such flag; did you mean --learning_rate?"],
    ),
    "number": (
        ["dpo", "--data", "runs/my/dpo", "--model", "m", "--learning_rate", "five"],
        ["argument --learning_rate/--learning-rate: invalid float value: 'five'"],
    ),
    "loss": (
        ["dpo", "--data", "runs/my/dpo", "--loss_type", "sigmoid_normed"],
        ["loss_type sigmoid_normed: TRL has no such loss; did you mean sigmoid_norm?"],
    ),
    "weights": (
        ["sft", "--data", "runs/my/sft", "--data_weights", "1", "2", "--model", "m"],
        ["2 for 1 --data; give one number for each"],
    ),
    "weight": (["sft", "--data", "runs/my/sft", "--data_weights", "0", "--model", "m"], ["give a number above 0"]),
    "one of two": (["sft", "--data", "runs/my/sft", "runs/you", "--model", "m"], ["--data runs/you: no such folder or file"]),
    "two data": (
        ["sft", "--data", "runs/my/sft", "--dataset_name", "trl-lib/Capybara", "--model", "m"],
        ["--dataset_name: not supported; give the data by --data"],
    ),
    "no model": (["sft", "--data", "runs/my/sft"], ["no target model; add --model"]),
    "no model folder": (["sft", "--data", "runs/my/sft", "--model", "./nothing"], ["--model ./nothing: no such folder"]),
    "empty model folder": (["sft", "--data", "runs/my/sft", "--model", "runs"], ["not a saved model: the folder has no"]),
    "no config": (
        ["sft", "--data", "runs/my/sft", "--model", "m", "--config", "no.yaml"], ["--config no.yaml: No such file"]
    ),
    "adapter": (
        ["dpo", "--data", "runs/my/dpo", "--model", "adapter"], ["this is a LoRA adapter", "merge_and_unload", "adapter-merged"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EARLY)
def test_early_refusals(early, run_folder, tmp_path, case):
    argv, parts = EARLY[case]
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text("{}")
    refused(early(*argv), *parts)


def test_an_early_refusal_of_a_process(cli, run_folder):
    argv, parts = EARLY["flag"]
    refused(cli(*argv, code=WITHOUT_TRL), *parts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- beta\n", "must be a mapping"),
        ("beta: [1\n", "not a YAML file"),
        ("dataset_name: x\n", "c.yaml: dataset_name: not supported; give the data by --data"),
        ("env: 3\n", "c.yaml: env: must be a mapping"),
    ],
)
def test_a_config_that_is_no_list_of_flags(early, run_folder, tmp_path, text, expected):
    (tmp_path / "c.yaml").write_text(text)
    refused(early("dpo", "--data", "runs/my/dpo", "--model", "m", "--config", "c.yaml"), expected)


def test_data_and_model_may_stand_in_the_config(early, run_folder, tmp_path):
    (tmp_path / "c.yaml").write_text("data: runs/my/sft\nmodel: ./nothing\n")
    refused(early("sft", "--config=c.yaml"), "--model ./nothing: no such folder")
    refused(early("sft", "--config=c.yaml", "--data", "x"), "--data x: no such folder")


def test_a_missing_extra_says_the_pip_command(cli, run_folder):
    argv = ["sft", "--data", "runs/my/sft", "--model", "owner/name"]
    refused(cli(*argv, code=NOT_INSTALLED), "(torch, trl): pip install 'fuse-datakit[train]'")
    refused(cli("sft", "--help", code=NOT_INSTALLED), "pip install 'fuse-datakit[train]'")


def test_a_config_is_checked_early_too(early, run_folder, tmp_path):
    for text, words in (
        ("lerning_rate: 1\n", "c.yaml: lerning_rate: train sft has no such flag; did you mean learning_rate?"),
        ("max_length: 20.5\n", "c.yaml: argument --max_length/--max-length: invalid int value: '20.5'"),
    ):
        (tmp_path / "c.yaml").write_text(text)
        refused(early("sft", "--data", "runs/my/sft", "--model", "m", "--config", "c.yaml"), words)


@pytest.mark.parametrize("kind", ["sft", "dpo", "wrpo"])
def test_the_flags_read_from_source_are_those_of_trls_own_parser(kind):
    """If TRL moves its classes, this says so; flags are then only checked when TRL is there."""
    from train.flags import flags_of
    from train.options import OWN, build_parser

    known = {name.removeprefix("--") for action in build_parser(kind)._actions for name in action.option_strings}
    bare = {name.replace("-", "_").removeprefix("no_") for name in known}
    ours = {*(name for section in OWN[kind] for name in section.__dataclass_fields__), "model", "config", "h", "_h", "help"}
    assert bare - ours == set(flags_of(kind)) - {"deepspeed_plugin"}


def test_interrupt_ends_with_130(monkeypatch, capsys):
    from train import cli as module

    def interrupt(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_run", interrupt)
    assert module.main(["sft"]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_only_the_first_process_of_a_launch_speaks(cli, tmp_path):
    done = cli("sft", "--data", "nowhere", code=WITHOUT_TRL, RANK="1")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_sft_help_lists_every_flag(capsys):
    assert main(["sft", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in (
        "--data",
        "--data_weights",
        "--model ",
        "--config",
        "--eval_share",
        "--learning_rate",
        "--use_peft",
        "--completion_only_loss",
    ):
        assert flag in text
    assert "--dataset_name" not in text
    assert tiny.TEMPLATE not in text
