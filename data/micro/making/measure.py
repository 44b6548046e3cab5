"""Sample the micro models and mark the answers: pass rates, lengths, and the texts that the reward model learns from."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from problems import CROSS
from running import code_of, passed
from subjects import Asked
from tasks import Task

BATCH = 240
FINAL = re.compile(r"(?:####|answer is|\\boxed\{|答案是)\s*(-?\d+(?:\.\d+)?)\}?[.。]?\s*$")
EQUATION = re.compile(rf"(\d+%|one \w+|[\d.]+) (of|[-+*{CROSS}/]) ([\d.]+) = (\d+(?:\.\d+)?)")
OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, CROSS: operator.mul, "/": operator.truediv}
SHARES = {"one half": 1 / 2, "one third": 1 / 3, "one quarter": 1 / 4}


@dataclass(frozen=True)
class Sample:
    """One answer of one model; `stopped` is False if it reached the limit of tokens."""

    model: str
    problem: Asked
    text: str
    n_tokens: int
    stopped: bool

    @property
    def right(self) -> bool:
        return is_right(self.problem, self.text)


def is_right(problem: Asked, text: str) -> bool:
    """Return True if the program passes all tests of a task, or the final answer is the problem's."""
    if isinstance(problem, Task):
        return passed(code_of(text), problem.tests) == len(problem.tests)
    found = final_answer(text)
    return found is not None and float(found) == float(problem.answer)


def final_answer(text: str) -> str | None:
    """Return the number at the end of an answer in any of the house styles; None if it does not end in one."""
    match = FINAL.search(text)
    return match.group(1) if match else None


def equations(text: str) -> Iterator[tuple[float, float, bool]]:
    """Yield (second number, stated result, whether it holds) for each equation that can be read."""
    for left, sign, right, result in EQUATION.findall(text):
        try:
            true = evaluate(left, sign, float(right))
            yield float(right), float(result), abs(true - float(result)) < 1e-6
        except (ValueError, ZeroDivisionError, KeyError):
            yield 0.0, 0.0, False


def evaluate(left: str, sign: str, right: float) -> float:
    """Return the value of an expression as the problems write them: `3 * 4`, `25% of 40`, `one third of 12`."""
    if sign == "of":
        return right * (float(left[:-1]) / 100 if left.endswith("%") else SHARES[left])
    return OPERATIONS[sign](float(left), right)


def sample(
    folder: Path, problems: list[Asked], copies: int, temperature: float, seed: int, max_tokens: int = 128
) -> list[Sample]:
    """Return `copies` answers per problem at `temperature` and top_p 0.95, or one greedy answer if the temperature is 0."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    asked = [problem for problem in problems for _ in range(copies)]
    how = {"do_sample": True, "temperature": temperature, "top_p": 0.95, "top_k": 0} if temperature else {"do_sample": False}
    how["max_new_tokens"] = max_tokens
    samples: list[Sample] = []
    for start in range(0, len(asked), BATCH):
        group = asked[start : start + BATCH]
        samples += sample_batch(model, tokenizer, folder.name, group, how)
    return samples


def sample_batch(model: object, tokenizer: object, name: str, problems: list[Asked], how: dict) -> list[Sample]:
    import torch

    chats = [[{"role": "user", "content": problem.question}] for problem in problems]
    prompts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(prompts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
                             **how)[:, inputs["input_ids"].shape[1]:]  # fmt: skip
    stops = set(model.generation_config.eos_token_id)
    lengths = [next((n + 1 for n, token in enumerate(row) if token in stops), None) for row in ids.tolist()]
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [
        Sample(name, problem, text.strip(), length or ids.shape[1], length is not None)
        for problem, text, length in zip(problems, texts, lengths, strict=True)
    ]
