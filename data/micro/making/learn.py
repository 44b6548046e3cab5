"""Train one micro model from scratch on generated problems, and save it as bfloat16.

The matrix products run in bfloat16 too: on a processor that supports it, a step takes two thirds of the time.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from families import FAMILIES, Family, generation_settings, model_config, save_tokenizer, train_tokenizer
from subjects import Asked
from tokenizers import Tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BATCH = 32
BATCHES_AT_A_TIME = 16  # drawn together, so that conversations of one length can share a batch
PEAK_RATE = 2.5e-3


def conversations(family: Family, seed: int) -> Iterator[list[dict[str, str]]]:
    """Yield questions with worked answers in the family's style, without end."""
    rng, subject = random.Random(seed + 1), family.subject
    for problem in subject.stream(seed, family.mixture, subject.held_out):
        length = rng.choices(list(family.lengths), list(family.lengths.values()))[0]
        style = rng.choice(family.style) if isinstance(family.style, tuple) else family.style
        yield conversation(problem, subject.write(problem, style, length, rng))


def conversation(problem: Asked, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": problem.question}, {"role": "assistant", "content": answer}]


def make_tokenizer(family: Family, folder: Path) -> PreTrainedTokenizerFast:
    """Make a tokenizer from the family's texts, including kinds of problems that the model is never taught."""
    from transformers import AutoTokenizer

    heard = family if len(family.mixture) == len(family.subject.kinds) else replace(family, mixture=family.subject.mixture())
    texts = (part["content"] for chat in islice(conversations(heard, family.seed), 6000) for part in chat)
    words = "system assistant user model Solve the problem. \n\n "
    tokenizer: Tokenizer = train_tokenizer(family, [*texts, *[words] * 500])
    save_tokenizer(family, tokenizer, folder)
    return AutoTokenizer.from_pretrained(folder)


def encode(tokenizer: PreTrainedTokenizerFast, chats: list[list[dict[str, str]]]) -> list[tuple[list[int], int]]:
    """Return the token ids of each conversation up to its end of turn, and the length of its prompt, which has no loss."""
    prompts = [tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True) for chat in chats]
    whole = [tokenizer.apply_chat_template(chat, tokenize=False).rstrip("\n") for chat in chats]
    heads = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    rows = tokenizer(whole, add_special_tokens=False)["input_ids"]
    for head, row in zip(heads, rows, strict=True):
        if row[: len(head)] != head:
            raise ValueError(f"the chat template's generation prompt is no prefix of its conversation: {head} {row}")
    return [(row, len(head)) for head, row in zip(heads, rows, strict=True)]


def batches(tokenizer: PreTrainedTokenizerFast, family: Family, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (ids, labels) without end: conversations of similar length share a batch, padded on the right."""
    rng = random.Random(seed)
    chats = conversations(family, seed)
    while True:
        rows = sorted(encode(tokenizer, list(islice(chats, BATCH * BATCHES_AT_A_TIME))), key=lambda row: len(row[0]))
        groups = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        rng.shuffle(groups)
        yield from (pad(group, tokenizer.pad_token_id) for group in groups)


def pad(rows: list[tuple[list[int], int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [pad_id] * (width - len(row)) for row, _ in rows])
    labels = torch.tensor([[-100] * head + row[head:] + [-100] * (width - len(row)) for row, head in rows])
    return ids, labels


def of_round(family: Family, number: int) -> Family:
    """Return the family with the settings of one round, counted from 0."""
    changes: dict[str, Any] = family.last_round if number == family.rounds - 1 else {}
    return replace(family, **changes)


def seed_of(family: Family, number: int) -> int:
    """Return the seed of the problems of one round, counted from 0."""
    return family.seed + 1000 * number


def questions(family: Family) -> set[str]:
    """Return all questions of the model's training, drawn again from its seeds."""
    found: set[str] = set()
    for number in range(family.rounds):
        one = of_round(family, number)
        drawn = -(-one.steps // BATCHES_AT_A_TIME) * BATCHES_AT_A_TIME * BATCH
        found |= {chat[0]["content"] for chat in islice(conversations(one, seed_of(family, number)), drawn)}
    return found


def learning_rate(step: int, steps: int) -> float:
    """Return the learning rate: a short linear warm-up, then a cosine down to a fiftieth."""
    warm = min(1.0, (step + 1) / 50)
    return PEAK_RATE * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def settle(seed: int) -> None:
    """Use one thread and deterministic algorithms, so that a seed gives the same weights on one machine."""
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def train(family: Family, folder: Path, steps: int | None = None) -> None:
    """Train one language model; write tokenizer, weights and settings to `folder`."""
    from transformers import AutoModelForCausalLM

    settle(family.seed)
    tokenizer = make_tokenizer(family, folder)
    model = AutoModelForCausalLM.from_config(model_config(family, tokenizer.backend_tokenizer), attn_implementation="eager")
    for number in range(family.rounds):
        if number:
            model = load(folder)
        one = of_round(family, number)
        learn(one, tokenizer, model, steps or one.steps, seed_of(family, number))
        save(family, model, tokenizer, folder)


def load(folder: Path) -> PreTrainedModel:
    """Load the saved bfloat16 weights in float32, for training."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").train()


def learn(family: Family, tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel, total: int, seed: int) -> None:
    """Run one round of training."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.97), weight_decay=0.05)
    began, running = time.monotonic(), 0.0
    print(f"{family.name}: {sum(p.numel() for p in model.parameters()):,} parameters, {total} steps", flush=True)
    for step, (ids, labels) in enumerate(islice(batches(tokenizer, family, seed), total)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, total)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            print(f"{family.name} {step + 1} loss {running:.3f} {time.monotonic() - began:.0f} s", flush=True)


def save(family: Family, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    import torch

    model.to(torch.bfloat16).save_pretrained(folder)
    settings = generation_settings(family, tokenizer.backend_tokenizer)
    (folder / "generation_config.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    import sys

    train(FAMILIES[sys.argv[1]], Path(__file__).parents[1] / sys.argv[1], int(sys.argv[2]))
