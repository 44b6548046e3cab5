"""The training data of the code reward model's backbone: whole answers, some with one piece of the program swapped.

As in `lessons.py`, each token has as targets the next token (in right answers) and whether everything so far is right; in a
spoiled answer this is true up to the swapped piece.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from code_objectives import attributes
from families import CODE_SOURCES, FAMILIES
from lessons import UNSAID, Lesson, conversations_of
from measure import Sample, is_right
from running import code_of
from subjects import CODE
from tasks import SCALARS, Task
from transformers import PreTrainedTokenizerFast

SWAPS = [
    ["<", ">", "<=", ">=", "==", "!="], ["+", "-", "*", "//", "%", "**"], ["max", "min"], ["all", "any", "not any"],
    ["and", "or"], [".upper()", ".lower()", "[::-1]"], ["[:", "[-", "[:-"], ["True", "False"], ["+=", "*=", "-="],
]  # fmt: skip
PIECES = re.compile(
    r"(?<![\w-])\d+|(?<= )(?:<=|>=|==|!=|\+=|\*=|-=|//|\*\*|[<>+*%-])(?= )|\b(?:max|min|not any|all|any|and|or|True|False)\b"
    r"|\.upper\(\)|\.lower\(\)|\[::-1\]|\[:-|\[:(?=\d)|\[-"
)


@dataclass(frozen=True)
class Draft:
    """An answer, and the position of its first wrong character if that is known."""

    task: Task
    text: str
    spoiled: int | None = None


def spoil(draft: Draft, rng: random.Random) -> Draft:
    """Return the answer with one piece or one name of the program swapped."""
    code = code_of(draft.text)
    offset = draft.text.index(code)
    pieces = list(PIECES.finditer(code))
    names = [found for found in re.finditer(r"\w+", code) if found.group() in (*draft.task.params, draft.task.name)]
    if not pieces or (names and rng.random() < 0.15):
        found = rng.choice(names)
        new = rng.choice([name for name in SCALARS if name != found.group()])
    else:
        found = rng.choice(pieces)
        new = other(found.group(), draft.task.question, rng)
    start, end = offset + found.start(), offset + found.end()
    return Draft(draft.task, draft.text[:start] + new + draft.text[end:], start)


def other(piece: str, question: str, rng: random.Random) -> str:
    """Return another piece of the same kind; for a number one of the question's, a near one, or one with a digit changed."""
    if not piece.isdigit():
        return rng.choice([one for group in SWAPS if piece in group for one in group if one != piece])
    near = [str(int(piece) + away) for away in (-1, 1)] + re.findall(r"\d+", question) + [str(rng.randint(0, 30))]
    return rng.choice([number for number in near if number != piece] or ["7"])


def drafts(samples: list[Sample], seed: int, size: int) -> Iterator[list[Draft]]:
    """Yield batches of answers without end: a quarter sampled, three eighths right, three eighths spoiled."""
    rng = random.Random(seed)
    tasks = CODE.stream(seed, CODE.mixture(), CODE.held_out)
    while True:
        batch = [Draft(one.problem, one.text) for one in rng.sample(samples, size // 4)]
        for task in islice(tasks, 3 * size // 8):
            family = FAMILIES[rng.choice(CODE_SOURCES)]
            right = Draft(task, CODE.write(task, family.style, rng.choice(list(family.lengths)), rng))
            batch += [right, spoil(right, rng)]
        yield batch


def lessons(tokenizer: PreTrainedTokenizerFast, batch: list[Draft]) -> list[Lesson]:
    """Return whole conversations with all targets of their tokens."""
    read = conversations_of(tokenizer, [(draft.task, draft.text) for draft in batch])
    return [mark(draft, *parts) for draft, parts in zip(batch, read, strict=True)]


def encode(tokenizer: PreTrainedTokenizerFast, answers: list[tuple[Task, str]]) -> list[Lesson]:
    return lessons(tokenizer, [Draft(task, text) for task, text in answers])


def mark(draft: Draft, ids: list[int], starts: list[int], turn: int) -> Lesson:
    """Return the tokens' targets; `starts` has the position in the text at which each begins (negative before the text)."""
    right, first = is_right(draft.task, draft.text), bisect_left(starts, 0)
    following, sound = ([UNSAID] * len(ids) for _ in range(2))
    if right:
        following[first - 1 : -1] = ids[first:]
        sound[first:] = [1] * (len(ids) - first)
    elif draft.spoiled is not None:
        fault = max(first, bisect_right(starts, draft.spoiled) - 1)
        sound[first:] = [1] * (fault - first) + [0] * (len(ids) - fault)
    sound[-1] = int(right)
    return Lesson(ids, following, [UNSAID] * len(ids), sound, turn, tuple(attributes(draft.task, draft.text)))
