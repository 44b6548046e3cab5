"""TRL's own numbers, computed by hand beside it: the loss of DPO, and which tokens SFT learns from."""

import math

import pytest

from tests.helpers import tiny_targets as tiny
from tests.helpers.tiny_trainers import disturb, log_prob, make_trainer
from train.finetune import _row_warnings, compare_pairs

PAIRS = [  # prompt, chosen, rejected: one character is one token, and no two answers of a pair are equally long
    ("2+2?", "4", "I think that it may be 5, or so."),
    ("name a colour", "a long answer about the colour blue", "red"),
    ("hi", "hello there", "no"),
]


def pair_rows():
    return [
        {"prompt": tiny.user(prompt), "chosen": tiny.assistant(chosen), "rejected": tiny.assistant(rejected)}
        for prompt, chosen, rejected in PAIRS
    ]


def facts_loss(policy, reference, beta, normalised):
    """FACTS, LN-DPO: -log sigma(beta/|yw| log[pi(yw)/ref(yw)] - beta/|yl| log[pi(yl)/ref(yl)]); plain DPO: |y| is 1."""
    tokenizer = tiny.make_tokenizer()
    losses = []
    for prompt, chosen, rejected in PAIRS:
        prompt_ids = tokenizer.apply_chat_template(tiny.user(prompt), add_generation_prompt=True)["input_ids"]
        terms = []
        for answer in (chosen, rejected):
            ids = tokenizer(answer + "<|end|>")["input_ids"]
            ratio = log_prob(policy, prompt_ids, ids) - log_prob(reference, prompt_ids, ids)
            terms.append(beta * ratio / (len(ids) if normalised else 1))
        losses.append(math.log1p(math.exp(-(terms[0] - terms[1]))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(("loss_type", "beta"), [("sigmoid_norm", 10.0), ("sigmoid_norm", 2.5), ("sigmoid", 1.0)])
def test_trls_loss_is_the_formula(model, tmp_path, loss_type, beta):
    from transformers import LlamaForCausalLM

    trainer, _ = make_trainer("dpo", model, tmp_path, pair_rows(), "--loss_type", loss_type, "--beta", str(beta))
    disturb(trainer.model)
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(len(PAIRS))])
    got = trainer.compute_loss(trainer.model, batch).item()

    reference = LlamaForCausalLM.from_pretrained(model).eval()
    policy = LlamaForCausalLM.from_pretrained(model).eval()
    policy.load_state_dict(trainer.model.state_dict())
    assert got == pytest.approx(facts_loss(policy, reference, beta, normalised=loss_type == "sigmoid_norm"), abs=2e-5)
    other = facts_loss(policy, reference, beta, normalised=loss_type != "sigmoid_norm")
    assert abs(got - other) > 1e-3  # the lengths matter here: the two losses are not mistaken for one another
    assert abs(got - math.log(2)) > 1e-3


def test_an_export_is_what_dpo_takes(model, tmp_path):
    trainer, options = make_trainer("dpo", model, tmp_path, tiny.dpo_rows(3))
    tokenizer, row = tiny.make_tokenizer(), trainer.train_dataset[1]
    assert tokenizer.decode(row["prompt_ids"]) == "<|user|>1+1?<|end|><|assistant|>"
    assert tokenizer.decode(row["chosen_ids"]) == "1 + 1 = 2<|end|>"
    assert tokenizer.decode(row["rejected_ids"]) == "noo<|end|>"
    assert _row_warnings(trainer, options, 3) == []


def test_sft_learns_from_the_completion_only(model, tmp_path):
    trainer, _ = make_trainer("sft", model, tmp_path, tiny.sft_rows(3))
    tokenizer, row = tiny.make_tokenizer(), trainer.train_dataset[2]
    n_prompt = len("2+1?") + 3
    assert tokenizer.decode(row["input_ids"][:n_prompt]) == "<|user|>2+1?<|end|><|assistant|>"
    assert row["labels"][:n_prompt] == [-100] * n_prompt
    assert tokenizer.decode(row["labels"][n_prompt:]) == "2 + 1 = 3<|end|>"
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(3)])
    assert ((batch["labels"] != -100).sum(1) == len("2 + 1 = 3") + 1).all()


def test_truncated_demos_are_counted(model, tmp_path):
    rows = tiny.sft_rows(4)
    rows[0]["completion"] = tiny.assistant("x" * 40)
    rows[1]["prompt"] = tiny.user("y" * 40)
    trainer, options = make_trainer("sft", model, tmp_path, rows, "--max_length", "30")
    left_out, cut = _row_warnings(trainer, options, 4)
    assert left_out == "rows left out: 1 of 4 (their prompt alone fills max_length 30)"
    assert cut == "rows that fill max_length 30: 1 of 4; longer rows are cut there; consider raising --max_length"


def test_pairs_made_equal_by_truncation_are_counted(model, tmp_path):
    rows = tiny.dpo_rows(4)
    rows[0] |= {"chosen": tiny.assistant("x" * 40 + "right"), "rejected": tiny.assistant("x" * 40 + "wrong")}
    rows[1] |= {"chosen": tiny.assistant("x" * 40 + "right"), "rejected": tiny.assistant("no")}
    trainer, options = make_trainer("dpo", model, tmp_path, rows, "--max_length", "30")
    cut, same = _row_warnings(trainer, options, 4)
    assert cut.startswith("rows longer than max_length 30, cut there: 2 of 4")
    assert same.startswith("pairs that are the same on both sides once cut at max_length 30: 1 of 4")


def test_pairs_of_the_same_tokens_are_no_matter_of_length(model, tmp_path):
    """Nothing is cut here: the texts differ by what the tokenizer does not keep (here a character that it does not know)."""
    rows = tiny.dpo_rows(4)
    rows[0] |= {"chosen": tiny.assistant("a\u00e9"), "rejected": tiny.assistant("a\u00e8")}
    for flags in ([], ["--max_length", "30"], ["--max_length", "none"]):
        trainer, options = make_trainer("dpo", model, tmp_path, rows, *flags)
        (same,) = _row_warnings(trainer, options, 4)
        assert same == "pairs of the same tokens on both sides: 1 of 4; they teach nothing; remove them"


def test_pairs_compared_by_hand():
    assert compare_pairs([([1], [2, 3], [2, 4]), ([1], [2], [3])], 2) == (1, 1, 0)
    assert compare_pairs([([1], [2, 3], [2, 4])], 3) == (0, 0, 0)
    assert compare_pairs([([1, 1, 1], [2], [3])], 2) == (1, 1, 0)
    assert compare_pairs([([1], [2, 3], [2, 3]), ([1], [2, 3], [2])], 2) == (2, 1, 1)
    assert compare_pairs([([1], [2, 3], [2, 3]), ([1], [2, 3], [2])], None) == (0, 0, 1)
