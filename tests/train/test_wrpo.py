"""WRPO: its loss by hand, its rows and batches, and whole trainings."""

import json
import math

import pytest

from tests.helpers import tiny_targets as tiny
from tests.helpers.folders import ROOT
from tests.helpers.tiny_trainers import disturb, log_prob, make_trainer
from tests.train.test_runs import FAST, ON_CPU, TWO_PROCESSES, succeeded
from train import wrpo
from train.errors import TrainError
from train.finetune import _row_warnings
from train.options import parse_options, read_request
from train.wrpo import Mixing, Triples, add_sources

TARGET = ROOT / "data/micro/target"
WORDS = [  # prompt, the target's right and wrong answer, a source's right answer: the lengths of all three differ
    (
        "How many days have 2 weeks?",
        "2 * 7 = 14 days.\n#### 14",
        "2 * 7 = 12.\n#### 12",
        "* 2 x 7 = 14.\nThe final answer is 14.",
    ),
    ("What are 3 pens at $4?", "#### 12", "The pens cost 3 * 4 = 14 dollars.\n#### 14", "3 pens cost 12 dollars. #### 12"),
    ("Add 5 and 6.", "5 + 6 = 11 in all, and that is what was asked for.\n#### 11", "#### 12", "11"),
]
SHORT = [(prompt, chosen, rejected, source[:7]) for prompt, chosen, rejected, source in WORDS]
"""With sources' answers that are no longer than the target's."""


def rows_of(words):
    names = ("chosen", "rejected", "source_chosen")
    return [
        {"prompt": tiny.user(prompt)} | {name: tiny.assistant(text) for name, text in zip(names, answers, strict=True)}
        for prompt, *answers in words
    ]


def batch_of(trainer):
    return trainer.data_collator([trainer.train_dataset[at] for at in range(len(trainer.train_dataset))])


# ------------------------------------------------------------------------------------------------------------- numbers


def tensors(*numbers):
    import torch

    return [torch.tensor([number], dtype=torch.float64) for number in numbers]


@pytest.mark.parametrize(("own", "source", "rejected", "alpha", "beta", "loss"), [
    (0.0, 0.0, 0.0, 0.1, 0.01, math.log(2)), (0.0, 0.0, 0.0, 0.0, 10.0, math.log(2)),
    (2.0, 4.0, -1.0, 0.1, 0.1, 0.545893),  # .1 (.1 x 4 + .9 x 2 + 1) = .32
    (2.0, 4.0, -1.0, 0.0, 0.1, 0.554355), (2.0, 4.0, -1.0, 1.0, 0.1, 0.474077),
])  # fmt: skip
def test_golden_losses(own, source, rejected, alpha, beta, loss):
    mine, theirs, wrong = tensors(own, source, rejected)
    assert wrpo.wrpo_loss(mine, theirs, wrong, alpha, beta).item() == pytest.approx(loss, abs=1e-6)


def test_the_source_weighs_more_with_every_step_or_always_as_much():
    assert [Mixing(0.1).at(step, 4) for step in range(5)] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    assert [Mixing(0.3, "constant").at(step, 4) for step in range(5)] == [0.3] * 5
    assert Mixing(0.1).at(0, 0) == 0.0


def ratios_of(trainer, reference, words, normalised):
    """Of each row the log ratios of its three answers, from plain forwards of both models, one answer at a time."""
    tokenizer, found = trainer.processing_class, []
    for prompt, *answers in words:
        prompt_ids = tokenizer.apply_chat_template(tiny.user(prompt), add_generation_prompt=True)["input_ids"]
        ratios = []
        for answer in answers:
            whole = tokenizer.apply_chat_template([*tiny.user(prompt), *tiny.assistant(answer)])["input_ids"]
            assert whole[: len(prompt_ids)] == prompt_ids
            ids = whole[len(prompt_ids) :]
            ratio = log_prob(trainer.model, prompt_ids, ids) - log_prob(reference, prompt_ids, ids)
            ratios.append(ratio / (len(ids) if normalised else 1))
        found.append(ratios)
    return found


def by_hand(ratios, alpha, beta):
    """The mean loss, in float64 from the logits on."""
    losses = [math.log1p(math.exp(-beta * (alpha * theirs + (1 - alpha) * own - wrong))) for own, wrong, theirs in ratios]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("flags", "beta", "normalised"), [
    (["--loss_type", "sigmoid", "--beta", "0.1"], 0.1, False),
    (["--loss_type", "sigmoid_norm", "--beta", "2"], 2.0, True),
])  # fmt: skip
def test_the_trainers_loss_is_that_of_plain_forwards(tmp_path, flags, beta, normalised):
    """On the micro target, before the first step, half way, in the end, and while it is evaluated."""
    from transformers import AutoModelForCausalLM

    trainer, _ = make_trainer("wrpo", TARGET, tmp_path, rows_of(WORDS), *flags)
    reference = AutoModelForCausalLM.from_pretrained(TARGET, dtype="float32").eval()
    batch = batch_of(trainer)
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(math.log(2), abs=1e-6)
    disturb(trainer.model)
    ratios = ratios_of(trainer, reference, WORDS, normalised)
    trainer.model.train()
    trainer.state.max_steps, found = 8, []
    for step, alpha in ((0, 0.0), (4, 0.05), (8, 0.1)):
        trainer.state.global_step = step
        found.append(trainer.compute_loss(trainer.model, batch).item())
        assert found[-1] == pytest.approx(by_hand(ratios, alpha, beta), abs=1e-6)
        assert trainer._metrics["train"]["wrpo_alpha"][-1] == pytest.approx(alpha)
    assert len({round(loss, 5) for loss in found}) == 3 and abs(found[0] - math.log(2)) > 1e-3
    trainer.model.eval()
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(found[-1], abs=1e-6)
    assert trainer._metrics["eval"]["wrpo_alpha"][-1] == pytest.approx(0.1)


@pytest.mark.parametrize("loss_type", wrpo.LOSSES)
@pytest.mark.parametrize(("words", "within"), [(SHORT, 0.0), (WORDS, 1e-5)], ids=["short", "long"])
def test_without_the_source_it_is_dpo(tmp_path, loss_type, words, within):
    """To the bit where no source's answer is the longest of its batch; else rows are wider, and sums are rounded otherwise."""
    flags = ["--loss_type", loss_type, "--beta", "0.1"]
    losses = []
    for kind, more in (("dpo", []), ("wrpo", ["--wrpo_alpha", "0"])):
        trainer, _ = make_trainer(kind, TARGET, tmp_path / kind, rows_of(words), *flags, *more)
        disturb(trainer.model)
        losses.append(trainer.compute_loss(trainer.model, batch_of(trainer)).item())
    assert abs(losses[0] - losses[1]) <= within
    assert abs(losses[0] - math.log(2)) > 1e-3


# ---------------------------------------------------------------------------------------------------- rows and batches


def test_an_export_is_what_it_takes(model, tmp_path):
    trainer, options = make_trainer("wrpo", model, tmp_path, tiny.wrpo_rows(3))
    tokenizer, row = tiny.make_tokenizer(), trainer.train_dataset[1]
    found = {name: tokenizer.decode(row[f"{name}_ids"]) for name in ("prompt", "chosen", "rejected", "source_chosen")}
    assert found == {
        "prompt": "<|user|>1+1?<|end|><|assistant|>", "chosen": "1 + 1 = 2<|end|>", "rejected": "noo<|end|>",
        "source_chosen": "it is 2, surely<|end|>",
    }  # fmt: skip
    assert _row_warnings(trainer, options, 3) == []
    trainer._set_signature_columns_if_needed()
    assert "source_chosen_ids" in trainer._signature_columns


def test_a_batch_has_three_rows_a_prompt():
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    examples = [
        {"prompt_ids": [1], "chosen_ids": [2, 3], "rejected_ids": [4], "source_chosen_ids": [5, 6, 7]},
        {"prompt_ids": [8, 8], "chosen_ids": [9], "rejected_ids": [10, 11], "source_chosen_ids": [12]},
    ]
    batch = Triples(DataCollatorForPreference(pad_token_id=0))(examples)
    assert batch["input_ids"].tolist() == [
        [1, 2, 3, 0], [8, 8, 9, 0], [1, 5, 6, 7], [8, 8, 12, 0], [1, 4, 0, 0], [8, 8, 10, 11],
    ]  # fmt: skip
    assert batch["completion_mask"].tolist() == [
        [0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1],
    ]  # fmt: skip
    cut = Triples(DataCollatorForPreference(pad_token_id=0, max_length=3))(examples)
    assert cut["input_ids"].tolist() == [[1, 2, 3], [8, 8, 9], [1, 5, 6], [8, 8, 12], [1, 4, 0], [8, 8, 10]]


def test_rows_are_joined_by_number_and_what_disagrees_is_counted():
    """The prompt of 1 is too long in front of the source's answer, that of 3 in front of the own one; 2 tokenizes otherwise."""
    from datasets import Dataset

    def prepare(rows):
        def ids(row):
            prompt = [row["number"], 99] if row["number"] == 2 and row["chosen"] == "s2" else [row["number"]]
            return {"prompt_ids": prompt, "chosen_ids": [int(row["chosen"][1:]) + 10 * (row["chosen"][0] == "s")]}

        return rows.map(ids).filter(lambda row: (row["number"], row["chosen"][0]) not in ((1, "s"), (3, "c")))

    given = [{"number": at, "chosen": f"c{at}", "source_chosen": f"s{at}", "rejected": "r"} for at in range(6)]
    rows, n_disagreeing = add_sources(prepare, Dataset.from_list(given))
    assert [(row["number"], row["chosen_ids"], row["source_chosen_ids"]) for row in rows] == [
        (0, [0], [10]), (4, [4], [14]), (5, [5], [15]),
    ]  # fmt: skip
    assert n_disagreeing == 1 and {"prompt_ids", "chosen_ids", "source_chosen_ids"} <= set(rows.column_names)


@pytest.mark.parametrize(("flags", "said"), [
    (["--wrpo_alpha", "1.5"], "--wrpo_alpha 1.5: must be a share of the chosen side, from 0 to 1"),
    (["--wrpo_alpha", "much"], "argument --wrpo_alpha/--wrpo-alpha: invalid float value: 'much'"),
    (["--wrpo_alpha_schedule", "steep"], "invalid choice: 'steep' (choose from"),
    (["--loss_type", "ipo"], "train wrpo: loss_type ipo: choose one of sigmoid, sigmoid_norm"),
    (["--loss_type", "sigmoid", "sft"], "loss_type sigmoid sft: choose one of sigmoid, sigmoid_norm"),
    (["--precompute_ref_log_probs", "true"], "--precompute_ref_log_probs True: WRPO does not support this; remove it"),
    (["--ld_alpha", "0.5"], "--ld_alpha 0.5: WRPO does not support this"),
    (["--use_weighting", "true"], "--use_weighting True: WRPO does not support this"),
    (["--f_divergence_type", "forward_kl"], "WRPO does not support this; remove it, or use train dpo"),
    (["--wrpo_alfa", "0.1"], "train wrpo: --wrpo_alfa: no such flag; did you mean --wrpo_alpha?"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")  # fmt: skip
def test_flags_that_it_refuses(flags, said):
    with pytest.raises(TrainError) as caught:
        parse_options(read_request("wrpo", flags))
    assert said in str(caught.value)


def test_its_flags_are_its_own():
    with pytest.raises(TrainError, match="train dpo: --wrpo_alpha: no such flag"):
        parse_options(read_request("dpo", ["--wrpo_alpha", "0.1"]))


# ----------------------------------------------------------------------------------------------------- whole trainings

WRPO = ["wrpo", "--data", "runs/my/wrpo", *FAST, "--num_train_epochs", "4", "--learning_rate", "1e-3", "--beta", "1"]


@pytest.fixture
def triples(tmp_path):
    return tiny.write_export(tmp_path / "runs/my/wrpo", "wrpo")


def logs_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_it_learns_and_says_how_much_the_source_weighs(cli, triples, model, tmp_path):
    out = succeeded(cli(*WRPO, "--model", model))
    assert "16 triples from runs/my/wrpo" in out and "rewards/source" in out
    logs = [log for log in logs_of(tmp_path / "checkpoints/wrpo") if "loss" in log]
    assert logs[0]["loss"] == pytest.approx(math.log(2), abs=1e-3) and logs[-1]["loss"] < 0.6
    assert [log["wrpo_alpha"] for log in logs] == pytest.approx([0.1 * at / 8 for at in range(8)])
    dpo = ["dpo", "--data", "runs/my/wrpo", *WRPO[3:], "--model", model]
    assert "16 triples" not in succeeded(cli(*dpo)), "the pairs of the same folder: its own ablation"
    refused = cli("wrpo", "--data", tiny.write_export(tmp_path / "dpo", "dpo"), "--model", model)
    assert refused.returncode == 2 and "train wrpo needs triples" in refused.stderr.replace("\n", " ")


@pytest.mark.slow
def test_through_lora(cli, triples, model, tmp_path):
    lora = ["--use_peft", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj"]
    succeeded(cli(*[{"1e-3": "2e-2"}.get(one, one) for one in WRPO], "--model", model, *lora))
    logs = [log for log in logs_of(tmp_path / "checkpoints/wrpo") if "loss" in log]
    assert logs[0]["loss"] == pytest.approx(math.log(2), abs=1e-3), "without its adapter the model is the reference"
    assert logs[-1]["loss"] < 0.69 and (tmp_path / "checkpoints/wrpo/adapter_config.json").is_file()


@pytest.mark.slow
def test_two_processes_are_one_with_batches_twice_as_large(cli, triples, model, tmp_path):
    """The batches are other ones, for each process takes every second row; steps, weights and what is learnt are alike."""
    fours = [{"8": "4"}.get(one, one) for one in WRPO]
    out = succeeded(cli(*fours, "--model", model, "--use_cpu", "true", launcher=TWO_PROCESSES, **ON_CPU))
    assert out.count("16 triples from") == 1
    assert (tmp_path / "checkpoints/wrpo/model.safetensors").is_file()
    logs = [log for log in logs_of(tmp_path / "checkpoints/wrpo") if "loss" in log]
    assert [log["wrpo_alpha"] for log in logs] == pytest.approx([0.1 * at / 8 for at in range(8)])
    assert logs[0]["loss"] == pytest.approx(math.log(2), abs=1e-3) and logs[-1]["loss"] < 0.6


@pytest.mark.slow
def test_a_resumed_training_ends_as_one_that_was_not_stopped(cli, triples, model, tmp_path):
    whole = [*WRPO, "--model", model, "--save_steps", "4"]
    succeeded(cli(*whole, "--output_dir", "whole"))
    succeeded(cli(*whole, "--output_dir", "stopped"))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "stopped" / name).unlink()
    for checkpoint in (tmp_path / "stopped").glob("checkpoint-*"):
        if checkpoint.name != "checkpoint-4":
            checkpoint.rename(tmp_path / checkpoint.name)
    succeeded(cli(*whole, "--output_dir", "stopped", "--resume_from_checkpoint", "true"))
    both = [[(log["step"], log["wrpo_alpha"], log["loss"]) for log in logs_of(tmp_path / name) if "loss" in log]
            for name in ("whole", "stopped")]  # fmt: skip
    assert len(both[0]) == 8 and both[0] == both[1]
