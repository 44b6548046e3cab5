"""`train fuse`: its loss by hand, its rows and batches, and whole trainings."""

import json
import math

import pytest

from tests.helpers import tiny_targets as tiny
from tests.helpers.folders import ROOT
from tests.helpers.later import later
from tests.helpers.tiny_trainers import disturb, make_trainer
from tests.train.test_runs import FAST, ON_CPU, TWO_PROCESSES, succeeded
from train.errors import TrainError
from train.fuse import Aligned, Softening, fusion_losses
from train.options import parse_options, read_request

torch = later("torch")
TARGET = ROOT / "data/micro/target"
LOGITS, GOLD = [[1.0, 0.0, 0.0]], [0]


@pytest.mark.parametrize(("ids", "probabilities", "lm_weight", "loss"), [
    ([0, 1], [0.5, 0.5], 1.0, 0.551445),  # CE alone
    ([0, 1], [0.5, 0.5], 0.0, 1.051445),
    ([0, 1], [0.5, 0.5], 0.9, 0.601445),
    ([0, 0], [1.0, 0.0], 0.3, 0.551445),  # a teacher that says the text, and a place without a second token
])  # fmt: skip
def test_golden_losses(ids, probabilities, lm_weight, loss):
    own, soft, right = fusion_losses(*map(torch.tensor, (LOGITS, GOLD, [ids], [probabilities])))
    assert (lm_weight * own + (1 - lm_weight) * soft).item() == pytest.approx(loss, abs=1e-6) and right.tolist() == [True]


def test_sparse_targets_are_dense_ones(monkeypatch):
    """In value and gradient, also where the places are made into probabilities some at a time."""
    from train import fuse

    generator = torch.Generator().manual_seed(1)
    plain = torch.randn(7, 11, generator=generator)
    ids = torch.stack([torch.randperm(11, generator=generator)[:3] for _ in range(7)])
    probabilities = torch.rand(7, 3, generator=generator).softmax(-1)
    gold = torch.randint(11, (7,), generator=generator)
    dense = torch.zeros(7, 11).scatter(1, ids, probabilities)
    expected = plain.clone().requires_grad_()
    both = (
        torch.nn.functional.cross_entropy(expected, dense, reduction="none"),
        torch.nn.functional.cross_entropy(expected, gold, reduction="none"),
    )
    (0.3 * both[1] + 0.7 * both[0]).sum().backward()
    for chunk in (22, 1_000):
        monkeypatch.setattr(fuse, "CHUNK", chunk)
        logits = plain.clone().requires_grad_()
        own, soft, right = fusion_losses(logits, gold, ids, probabilities)
        (0.3 * own + 0.7 * soft).sum().backward()
        assert soft.tolist() == pytest.approx(both[0].tolist(), abs=1e-6)
        assert own.tolist() == pytest.approx(both[1].tolist(), abs=1e-6)
        assert (logits.grad - expected.grad).abs().max() < 1e-6
        assert right.tolist() == (plain.argmax(-1) == gold).tolist()


# ------------------------------------------------------------------------------------------------------ rows and batches


def trainer_of(tmp_path, *flags, rows=None):
    return make_trainer("fuse", TARGET, tmp_path, rows or tiny.fuse_rows(4), *flags)


def batch_of(trainer):
    return trainer.data_collator([trainer.train_dataset[at] for at in range(len(trainer.train_dataset))])


def test_with_the_whole_weight_on_the_text_it_is_sft(tmp_path):
    """The same rows, the same loss; with less the teacher counts."""
    losses = {}
    for kind, flags in {"sft": [], "fuse": ["--lm_weight", "1"], "half": ["--lm_weight", "0.5"]}.items():
        of = "sft" if kind == "sft" else "fuse"
        trainer, _ = make_trainer(of, TARGET, tmp_path / kind, tiny.fuse_rows(4), *flags)
        disturb(trainer.model)
        batch = batch_of(trainer)
        losses[kind] = trainer.compute_loss(trainer.model, batch, num_items_in_batch=(batch["labels"] != -100).sum()).item()
    assert losses["fuse"] == pytest.approx(losses["sft"], abs=1e-5) and abs(losses["half"] - losses["sft"]) > 1e-2


def test_its_loss_is_that_of_plain_forwards(tmp_path):
    """Row by row, from the logits of the model and the teacher's own rows: the target reads letters, as the teacher does."""
    rows = tiny.fuse_rows(3)
    model = tiny.save_model(tmp_path / "model")
    trainer, _ = make_trainer("fuse", model, tmp_path, rows, "--lm_weight", "0.3", "--row_weights", "2")
    disturb(trainer.model)
    tokenizer, expected, n = trainer.processing_class, 0.0, 0
    for row in rows:
        before = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"]
        whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"])["input_ids"]
        with torch.no_grad():
            steps = trainer.model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
        for at in range(len(before), len(whole)):
            place = at - len(before)
            top = {row["top_ids"][2 * place + one]: math.exp(row["top_logprobs"][2 * place + one]) for one in (0, 1)}
            kept = sum(top.values())
            soft = -sum(p / kept * steps[at - 1, id].item() for id, p in top.items())
            expected += 2 * (0.3 * -steps[at - 1, whole[at]].item() + 0.7 * soft)
            n += 1
    assert trainer.compute_loss(trainer.model, batch_of(trainer)).item() == pytest.approx(expected / n, abs=1e-5)
    assert (trainer.aligned.places, trainer.aligned.aligned, trainer.aligned.chained) == (n, n, n)
    assert trainer._metrics["eval"]["lm_loss"][-1] > 0 and trainer._metrics["eval"]["fusion_loss"][-1] > 0


def test_a_batch_has_the_teacher_beside_the_labels(tmp_path):
    trainer, _ = trainer_of(tmp_path)
    batch = batch_of(trainer)
    labelled = batch["labels"] != -100
    assert batch["teacher_ids"].shape[:2] == batch["labels"].shape == batch["teacher_probs"].shape[:2]
    assert batch["teacher_probs"].sum(-1)[labelled].tolist() == pytest.approx([1.0] * int(labelled.sum()), abs=1e-6)
    assert batch["teacher_probs"][~labelled].abs().sum() == 0 and batch["weight"].tolist() == [1.0] * 4
    trainer._set_signature_columns_if_needed()
    assert {"input_ids", "labels", "teacher_ids", "teacher_probs", "weight"} <= set(trainer._signature_columns)


def test_rows_that_are_cut_keep_what_is_left(tmp_path):
    """At max_length, and with their end of turn gone."""
    whole, _ = trainer_of(tmp_path / "whole")
    n = len(whole.train_dataset[0]["input_ids"])
    cut, _ = trainer_of(tmp_path / "cut", "--max_length", str(n - 3))
    ids, full = (one.train_dataset[0]["teacher_ids"] for one in (cut, whole))
    assert ids == full[: len(ids)] and len(ids) < len(full)


def test_what_is_aligned_is_said_and_little_is_warned_of():
    some = Aligned(places=200, aligned=80, chained=72, mass=76.0, odd=0)
    assert (
        str(some)
        == "40.0% of 200 places aligned with teachers; of these 90.0% by the chain rule, and 0.950 of the probability kept"
    )
    assert [said.split(":")[0] for said in some.warnings()] == [f"only {some}"]
    assert list(Aligned(places=200, aligned=101).warnings()) == []
    assert list(Aligned(places=2, aligned=2, odd=1).warnings()) == [
        "rows without any place aligned: 1 (the target's chat template writes the answer differently)"
    ]


def test_a_teacher_without_a_vocabulary_is_an_error(tmp_path):
    from train.fuse import Fusing

    row = tiny.fuse_rows(1)[0] | {"labels": [5, 6]}
    with pytest.raises(TrainError, match=r"vocabulary\.parquet does not have the teacher m"):
        Softening([b"a"] * 10, Fusing())._soften(row)


@pytest.mark.parametrize(("flags", "said"), [
    (["--lm_weight", "1.5"], "--lm_weight 1.5: must be a share of the loss, from 0 to 1"),
    (["--row_weights", "1", "2"], "--row_weights: 2 for 0 --data; give one number for each"),
    (["--packing", "true"], "train fuse: --packing True: train fuse does not support this; remove it, or use train sft"),
    (["--label_smoothing_factor", "0.1"], "train fuse: --label_smoothing_factor 0.1: train fuse does not support this"),
    (["--loss_type", "dft"], "train fuse: --loss_type dft: train fuse does not support this"),
    (["--completion_only_loss", "false"], "train fuse: --completion_only_loss False: train fuse does not support this"),
    (["--lm_wieght", "1"], "train fuse: --lm_wieght: no such flag; did you mean --lm_weight?"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")  # fmt: skip
def test_flags_that_it_refuses(flags, said):
    with pytest.raises(TrainError) as caught:
        parse_options(read_request("fuse", flags))
    assert said in str(caught.value)


def refused(cli, *argv):
    done = cli("fuse", "--model", TARGET, *argv)
    assert done.returncode == 2
    return done.stderr.replace("\n", " ")


def test_data_that_it_cannot_take_is_said(tmp_path, capsys):
    """In this process: nothing heavy is loaded before the data is looked at."""
    from train.cli import main

    tiny.write_export(tmp_path / "sft", "sft")
    tiny.write_export(tmp_path / "pairwise" / "llama", "fuse")
    bare = tiny.write_export(tmp_path / "bare", "fuse")
    (bare / "vocabulary.parquet").unlink()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    for folder, said in {
        "sft": "this is an sft export (prompt, completion), and train fuse needs texts",
        "pairwise": "has a folder for each source (teacher pairwise), and a target is trained on one",
        "bare": "no vocabulary.parquet beside train.parquet, which maps its token ids to bytes",
        "run": "this is a run without a fusion export yet; its recipe needs probe and export.teacher",
    }.items():
        assert main(["fuse", "--data", str(tmp_path / folder), "--model", str(TARGET)]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


# ------------------------------------------------------------------------------------------------------ whole trainings

FUSE = ["fuse", "--data", "runs/my/fusion", *FAST, "--num_train_epochs", "4", "--learning_rate", "5e-3", "--lm_weight", "0.5"]


@pytest.fixture
def texts(tmp_path):
    return tiny.write_export(tmp_path / "runs/my/fusion", "fuse")


def logs_of(folder):
    logs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [log for log in logs if "loss" in log]


@pytest.mark.slow
def test_it_learns_resumes_and_says_what_was_aligned(cli, texts, model, tmp_path):
    whole = [*FUSE, "--model", model, "--save_steps", "4"]
    out = succeeded(cli(*whole, "--output_dir", "whole"))
    assert "16 texts from runs/my/fusion" in out and "100.0% of" in out and "by the chain rule" in out
    logs = logs_of(tmp_path / "whole")
    assert logs[-1]["loss"] < 0.9 * logs[0]["loss"] and {"lm_loss", "fusion_loss", "mean_token_accuracy"} <= logs[0].keys()
    assert logs[0]["loss"] == pytest.approx(0.5 * (logs[0]["lm_loss"] + logs[0]["fusion_loss"]), rel=1e-3)
    succeeded(cli(*whole, "--output_dir", "stopped"))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "stopped" / name).unlink()
    for checkpoint in (tmp_path / "stopped").glob("checkpoint-*"):
        if checkpoint.name != "checkpoint-4":
            checkpoint.rename(tmp_path / checkpoint.name)
    succeeded(cli(*whole, "--output_dir", "stopped", "--resume_from_checkpoint", "true"))
    both = [[(log["step"], log["loss"]) for log in logs_of(tmp_path / name)] for name in ("whole", "stopped")]
    assert len(both[0]) == 8 and both[0] == both[1]


@pytest.mark.slow
def test_through_lora_and_in_two_processes(cli, texts, model, tmp_path):
    fours = [{"8": "4"}.get(one, one) for one in FUSE]
    lora = ["--use_peft", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj", "--eval_share", "0.1"]
    lora += ["--eval_strategy", "epoch"]
    out = succeeded(cli(*fours, "--model", model, *lora, "--use_cpu", "true", launcher=TWO_PROCESSES, **ON_CPU))
    assert out.count("texts from runs/my/fusion") == 1
    assert (tmp_path / "checkpoints/fuse/adapter_config.json").is_file()
    logs = logs_of(tmp_path / "checkpoints/fuse")
    assert logs[-1]["loss"] < logs[0]["loss"]
