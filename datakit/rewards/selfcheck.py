"""Check that a reward model gives the right scores on this machine.

A conversation must have the same score alone and in batches of several sizes, orders and paddings. And known scores must be
reproduced: those of `golden.jsonl` (or .gz) in the model's folder, with `messages`, `score` and optionally `rewards` and
`gating`; for the published ArmoRM the example of its model card.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from datakit.errors import UNREADABLE, BadInput
from datakit.recipe import LocalReward
from datakit.rewards.local.batching import Budget, Padding
from datakit.rewards.local.protocol import LocalModel
from datakit.rewards.protocol import RewardModel, Score
from datakit.tables import Messages

GOLDEN = ("golden.jsonl", "golden.jsonl.gz")
BFLOAT16 = 5e-3
"""The tolerance between batches in bfloat16 (LocalReward.tolerance otherwise): sums round differently per shape, by about
1e-3."""
BFLOAT16_KNOWN = 5e-2
"""The tolerance in bfloat16 to known scores, which were computed in float32."""
BUDGETS = (300, 1_000, 8_000)  # tokens
SHOWN = 3


@dataclass(frozen=True)
class Findings:
    """The results of a check: `differences` are errors (none: the check passed), `notes` say what was measured."""

    differences: list[str]
    notes: list[str]
    warnings: list[str] = field(default_factory=list)
    """What is allowed but suspicious."""


class Known(NamedTuple):
    """Known numbers of a conversation, and the tolerance (relative to max(1, value))."""

    name: str
    messages: Messages
    numbers: dict[str, list[float]]
    tolerance: float


def self_check(model: LocalModel, reward: LocalReward) -> Findings:
    """Score CONVERSATIONS in many ways and compare; then compare with what is known of this model."""
    own = reward.tolerance
    tolerance, known_tolerance = (own, own) if reward.dtype == "float32" else (BFLOAT16, BFLOAT16_KNOWN)
    alone = [score for messages in CONVERSATIONS for score in model.score([messages])]
    scored = [score.score for score in alone if score.score is not None]
    if len(set(scored)) < 2:
        reason = "all have one score" if scored else f"none can be scored ({alone[0].error}: {alone[0].message})"
        return Findings([f"of {len(alone)} different conversations {reason}"], [])
    companies = list(_companies(model))
    found = [line for name, scores in companies for line in compare(name, scores, alone, tolerance)]
    both = [pair for _, scores in companies for pair in zip(scores, alone, strict=True)]
    moved = [abs(a.score - b.score) for a, b in both if a.score is not None and b.score is not None]
    known = [*_golden(reward.location, known_tolerance), *_published(reward)]
    found += [line for example in known for line in _compare_known(model, example)]
    turned = f"{turned_pairs(companies, alone):.1%} of their pairs change places"
    notes = [f"{len(scored)} conversations, alone and in batches: scores differ by {describe(moved)}; {turned}"]
    notes += [f"{len(known)} known examples compared"] if known else ["no known scores of this model to compare with"]
    return Findings(found, notes)


def turned_pairs(companies: Sequence[tuple[str, list[Score]]], alone: Sequence[Score]) -> float:
    """Return the share of pairs of scored conversations, over all batchings, whose order differs from that of their scores
    alone.

    A pair that becomes a tie, or was one, counts as changed.
    """
    turned = []
    for _, scores in companies:
        both = [(a.score, own.score) for a, own in zip(scores, alone, strict=True) if a.score is not None is not own.score]
        turned += [_order(a, b) != _order(own_a, own_b) for (a, own_a), (b, own_b) in combinations(both, 2)]
    return sum(turned) / len(turned)


def _order(a: float, b: float) -> int:
    return (a > b) - (a < b)


def describe(differences: Sequence[float]) -> str:
    """Return the median, 99th percentile and maximum of the differences, as text."""
    ordered = sorted(differences)
    p99 = ordered[math.ceil(0.99 * len(ordered)) - 1]
    return f"{statistics.median(ordered):.1e} (median), {p99:.1e} (p99), {ordered[-1]:.1e} (largest)"


def _companies(model: LocalModel) -> Iterator[tuple[str, list[Score]]]:
    """Yield (name, scores of CONVERSATIONS in order) for batches of several sizes, orders and paddings."""
    paddings: tuple[Padding, ...] = ("right", "left")
    for padding in paddings:
        for at, tokens in enumerate(BUDGETS):
            order = random.Random(at).sample(range(len(CONVERSATIONS)), len(CONVERSATIONS))
            batching: Any = replace(model, budget=Budget(tokens, model.budget.exact), padding=padding)  # type: ignore[type-var]
            scores = batching.score([CONVERSATIONS[n] for n in order])  # our models are dataclasses
            back = dict(zip(order, scores, strict=True))
            yield f"in batches of {tokens} tokens, padded {padding}", [back[n] for n in range(len(order))]


def compare(name: str, scores: Sequence[Score], alone: Sequence[Score], tolerance: float) -> Iterator[str]:
    """Yield one sentence if scores differ from those of the conversations alone, naming the first SHOWN."""
    off = []
    for at, (score, own) in enumerate(zip(scores, alone, strict=True)):
        if score.error != own.error:
            off.append(f"conversation {at} {score.error or 'has a score'} instead of {own.error or own.score}")
        elif score.score is not None and own.score is not None and not _near(score.score, own.score, tolerance):
            off.append(f"conversation {at} {score.score:.8g} instead of {own.score:.8g}")
    if off:
        more = f" and {len(off) - SHOWN} more" if len(off) > SHOWN else ""
        yield f"{name} scores differ from those one by one: {', '.join(off[:SHOWN])}{more} (tolerance {tolerance:g})"


def _compare_known(model: RewardModel, known: Known) -> Iterator[str]:
    [score] = model.score([known.messages])
    if score.error is not None:
        yield f"{known.name}: no score ({score.error}: {score.message})"
        return
    found = {"score": [score.score or 0.0], "rewards": list(score.objectives or ()), "gating": list(score.gating or ())}
    for what, wanted in known.numbers.items():
        given = found[what][: len(wanted)]
        if len(given) != len(wanted):
            yield f"{known.name}: no {what}"
        elif not all(_near(a, b, known.tolerance) for a, b in zip(given, wanted, strict=True)):
            shown = ", ".join(f"{a:.8g} instead of {b:.8g}" for a, b in zip(given[:SHOWN], wanted, strict=False))
            yield f"{known.name}: {what} {shown} (tolerance {known.tolerance:g})"


def _near(value: float, wanted: float, tolerance: float) -> bool:
    return abs(value - wanted) <= tolerance * max(1.0, abs(wanted))


def _golden(folder: Path | None, tolerance: float) -> list[Known]:
    """Read the known scores of the model's own folder. Raises BadInput if the file cannot be read."""
    path = next((folder / name for name in GOLDEN if (folder / name).is_file()), None) if folder else None
    if path is None:
        return []
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        known = []
        for at, row in enumerate(rows, start=1):
            lists = {name: [float(value) for value in row[name]] for name in ("rewards", "gating") if name in row}
            known.append(Known(f"{path.name}:{at}", row["messages"], {"score": [float(row["score"])], **lists}, tolerance))
        return known
    except (*UNREADABLE, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: is not a list of messages with scores ({error}); fix it or move it away") from error


def _published(reward: LocalReward) -> list[Known]:
    """Return the example of the model card (armo-rm/README): rewards[:5] * 5 - 0.5, computed in bfloat16."""
    if reward.revision != PUBLISHED_COMMIT:
        return []
    rewards = [(value + 0.5) / 5 for value in (2.78125, 2.859375, 3.484375, 1.3847656, 1.296875)]
    return [Known("the model card's example", PUBLISHED_EXAMPLE, {"rewards": rewards}, 0.02)]


PUBLISHED_COMMIT = "eb2676d20da2f2d41082289d23c59b9f7427f955"  # RLHFlow/ArmoRM-Llama3-8B-v0.1
PUBLISHED_EXAMPLE: Messages = [
    {"role": "user", "content": 'What are some synonyms for the word "beautiful"?'},
    {"role": "assistant", "content": "Nicely, Beautifully, Handsome, Stunning, Wonderful, Gorgeous, Pretty, Stunning, Elegant"},
]


def _talk(*contents: str, system: str | None = None) -> Messages:
    turns: Messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(contents)]
    return [{"role": "system", "content": system}, *turns] if system else turns


_STEPS = " ".join(f"Step {n}: pour {n + 2} ml into the flask, wait {3 * n} minutes and note the colour." for n in range(1, 25))
_LOOP = "```python\ndef evens(numbers):\n    return [n for n in numbers if n % 2 == 0]\n```\nIt keeps the order."

CONVERSATIONS: list[Messages] = [
    _talk("Is 91 a prime number?", "No: 91 = 7 x 13."),
    _talk("Is 91 a prime number?", "Yes, it is."),
    _talk("Say nothing at all.", ""),
    _talk("Hi", "Hello! What can I do for you?"),
    _talk("Name a river in Peru.", "The Ucayali.", "And one in Chile?", "The Loa, in the north."),
    _talk("Which colour has the sky at noon?", "It is blue, as a rule.", system="Answer in one short sentence."),
    _talk("Write a function that keeps the even numbers of a list.", _LOOP),
    _talk("Übersetze: the cat sleeps", "Die Katze schläft."),
    _talk("用一句话介绍长城。", "长城是中国古代的防御工程,绵延上万里。"),
    _talk("What does 👩‍🔬 mean?", "A woman who works in science 🧪; ZWJ joins the two signs (\u200d).\n\n\tनमस्ते"),
    _talk("How do I make the tincture?", _STEPS),
    _talk(f"Shorten this: {_STEPS}", "Pour a little more each time, wait a little longer, and write the colour down."),
    _talk("Count with me. One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight. That went well."),
]
"""Test conversations: right and wrong, short and long, several turns, a system message, an empty answer, code, other
scripts."""
