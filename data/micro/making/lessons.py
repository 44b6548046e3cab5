"""The training data of the reward model's backbone: many equations, then whole answers, each token with its targets.

A token has up to three targets: the next token (`following`), whether the equation that has just ended holds (`holds`), and
whether everything so far is right for the problem (`sound`).
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from families import FAMILIES, SOURCES
from learn import conversation
from measure import CROSS, EQUATION, Sample, evaluate, is_right
from objectives import attributes, corrupt, slip
from problems import Problem, Step, write_answer, write_step
from subjects import MATH, Asked
from torch import Tensor
from transformers import PreTrainedTokenizerFast

UNSAID = -100
WEIGHTS = {"change": 2.0, "purchase": 2.0, "budget": 1.0, "sharing": 1.0, "rate": 1.0, "comparison": 2.0, "portion": 1.0,
           "rectangle": 1.0}  # fmt: skip
EQUATIONS = 6  # in one sequence of the drill


@dataclass(frozen=True)
class Lesson:
    """Token ids and their targets; `turn` is the end of the user's turn, `labels` are the 19 objectives (or none)."""

    ids: list[int]
    following: list[int]
    holds: list[int]
    sound: list[int]
    turn: int = 0
    labels: tuple[float, ...] = ()


def drill(tokenizer: PreTrainedTokenizerFast, seed: int, size: int) -> Iterator[list[Lesson]]:
    """Yield batches of sequences of equations only, about half of them wrong."""
    rng = random.Random(seed)
    problems = MATH.stream(seed, WEIGHTS, MATH.held_out)
    while True:
        texts = []
        for _ in range(size):
            style, bare = FAMILIES[rng.choice(SOURCES)].style, rng.random() < 0.85
            steps = [rng.choice(next(problems).steps) for _ in range(EQUATIONS)]
            texts.append(style.joint.join(write_step(spoil(step, rng), style, bare) for step in steps))
        encoded = tokenizer([tokenizer.bos_token + text for text in texts], add_special_tokens=False,
                            return_offsets_mapping=True)  # fmt: skip
        skipped = len(tokenizer.bos_token)
        yield [
            mark(tokenizer, text, ids, [start - skipped for start, _ in places])
            for text, ids, places in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]


def spoil(step: Step, rng: random.Random) -> Step:
    return replace(step, result=slip(step.result, rng)) if rng.random() < 0.5 else step


def answers(samples: list[Sample], seed: int, size: int) -> Iterator[list[tuple[Problem, str]]]:
    """Yield batches of answers without end: a quarter sampled, three eighths right, three eighths corrupted."""
    rng = random.Random(seed)
    problems = MATH.stream(seed, WEIGHTS, MATH.held_out)
    while True:
        batch = [(one.problem, one.text) for one in rng.sample(samples, size // 4)]
        for problem in islice(problems, 3 * size // 8):
            family = FAMILIES[rng.choice(SOURCES)]
            length = rng.choice(list(family.lengths))
            batch += [(problem, write_answer(one, family.style, length)) for one in (problem, corrupt(problem, rng))]
        yield batch


def lessons(tokenizer: PreTrainedTokenizerFast, batch: list[tuple[Problem, str]]) -> list[Lesson]:
    """Return whole conversations with all targets of their tokens."""
    read = conversations_of(tokenizer, batch)
    return [mark(tokenizer, text, ids, starts, problem, turn)
            for (problem, text), (ids, starts, turn) in zip(batch, read, strict=True)]  # fmt: skip


def conversations_of(
    tokenizer: PreTrainedTokenizerFast, batch: list[tuple[Asked, str]]
) -> list[tuple[list[int], list[int], int]]:
    """Return token ids, the position in the answer at which each begins (negative before it), and the user's end of turn."""
    chats = [conversation(problem, text) for problem, text in batch]
    whole = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    heads = [tokenizer.apply_chat_template(chat[:1], tokenize=False) for chat in chats]
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    turns = [len(ids) - 1 for ids in tokenizer(heads, add_special_tokens=False)["input_ids"]]
    rows = []
    for at, (_, text) in enumerate(batch):
        begins = whole[at].index(text, len(heads[at]))
        starts = [start - begins for start, _ in encoded["offset_mapping"][at]]
        rows.append((encoded["input_ids"][at], starts, turns[at]))
    return rows


def mark(tokenizer: PreTrainedTokenizerFast, text: str, ids: list[int], starts: list[int], problem: Problem | None = None,
         turn: int = 0) -> Lesson:  # fmt: skip
    """Return the targets of the tokens; `starts` has the position in `text` at which each begins (negative before it)."""
    following, holds, sound = ([UNSAID] * len(ids) for _ in range(3))
    right = problem is None or is_right(problem, text)
    if problem and right:
        first = bisect_right(starts, -1)
        following[first - 1 : -1] = ids[first:]
    expected, so_far = list(problem.steps if problem else ()), True
    for number, found in enumerate(EQUATION.finditer(text)):
        true = value(found)
        before = bisect_right(starts, found.start(4) - 1) - 1
        after = min(bisect_right(starts, found.end(4) - 1), len(ids) - 1)
        for at, (digit, given) in enumerate(zip(true, found.group(4) + " ", strict=False)):
            following[before + at] = tokenizer.convert_tokens_to_ids(digit)
            if digit != given:
                break
        holds[after] = int(true == found.group(4))
        so_far = so_far and (not problem or agrees(found.groups(), expected[number] if number < len(expected) else None))
        if problem:
            sound[after] = int(so_far)
    if problem:
        sound[-1] = int(right)
    return Lesson(ids, following, holds, sound, turn, tuple(attributes(problem, text)) if problem else ())


def value(found: re.Match[str]) -> str:
    """Return the true result of an equation, as an answer writes it."""
    left, sign, right, _ = found.groups()
    try:
        return f"{round(evaluate(left, sign, float(right)), 2):g}"
    except (ValueError, ZeroDivisionError, KeyError):
        return ""


def agrees(parts: tuple[str, ...], step: Step | None) -> bool:
    """Return True if an equation is this step of the problem, its factors or terms in either order."""
    if step is None:
        return False
    left, sign, right, result = parts
    sign = "*" if sign == CROSS else sign
    orders = {f"{left} {sign} {right}"} | ({f"{right} {sign} {left}"} if sign in "+*" else set())
    return step.expression in orders and result == step.result


def collate(rows: list[Lesson]) -> dict[str, Tensor]:
    """Return right-padded ids and targets, the last positions and the turns."""
    width = max(len(row.ids) for row in rows)
    padded = {
        name: torch.tensor([getattr(row, name) + [fill] * (width - len(row.ids)) for row in rows])
        for name, fill in (("ids", 0), ("following", UNSAID), ("holds", UNSAID), ("sound", UNSAID))
    }
    ends, turns = torch.tensor([len(row.ids) - 1 for row in rows]), torch.tensor([row.turn for row in rows])
    return padded | {"ends": ends, "turns": turns, "labels": torch.tensor([row.labels for row in rows])}
