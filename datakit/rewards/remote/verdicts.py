"""Read the verdicts of judges with a configurable prompt from their replies.

A verdict that cannot be read counts as none: neither as a tie nor as a low grade.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from datakit.recipe import ChatJudge, Grade, Pairwise
from datakit.rewards.remote.judgement import Unread, read_text

GRADES = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}
"""The preference for the first answer, per label."""
SHOWN = 120
_GRADE = re.compile(r"\[\[([AB<>=]+)\]\]")
_RATING = re.compile(r"\[\[(\d+(?:\.\d+)?)\]\]")
_DICTIONARY = re.compile(r"\{[^{}]*\}")


class Verdict(NamedTuple):
    """The result of a judgement: for two answers the preference for the first, 0..1; for one its grade."""

    value: float
    verdict: str
    """The verdict as it was given."""
    text: str | None = None
    """The whole judgement, if it is more than the verdict."""


def read_verdict(reward: ChatJudge, choice: dict[str, Any]) -> Verdict | Unread:
    """Return the verdict in one choice of a chat completion, in the form that the judge is asked for."""
    if isinstance(reward, Pairwise) and reward.verdict == "token":
        return label_probability(choice, reward.labels)
    said = read_text(choice)
    if isinstance(said, Unread):
        return said
    if isinstance(reward, Grade):
        found = rating(said) if reward.verdict == "brackets" else in_dictionary(said, reward.total)
        if isinstance(found, Unread):
            return found
        low, high = reward.scale
        if not low <= found <= high:
            return Unread("unparseable_judgement", f"the grade {found:g} is not within [{low:g}, {high:g}]")
        return Verdict(found, f"{found:g}", said)
    grade = five_grades(said)
    return grade if isinstance(grade, Unread) else Verdict(GRADES[grade], grade, said)


def five_grades(text: str) -> str | Unread:
    """Return the label of a judgement, as arena-hard-auto reads it: it may occur several times, but no other label may occur.

    >>> five_grades("Both are right, A is shorter: [[A>B]]")
    'A>B'
    """
    found: list[str] = sorted({label for label in _GRADE.findall(text) if label in GRADES})
    if len(found) != 1:
        what = f"has {len(found)} different labels" if found else "has none of the labels"
        return Unread("unparseable_judgement", f"the judgement {what}: {text.strip()[-SHOWN:]!r}")
    return found[0]


def rating(text: str) -> float | Unread:
    """Return the first [[N]], as FastChat reads it.

    >>> rating("Rating: [[7.5]]")
    7.5
    """
    found = _RATING.search(text)
    return float(found[1]) if found else Unread("unparseable_judgement", f"there is no [[N]] in {text.strip()[-SHOWN:]!r}")


def in_dictionary(text: str, total: str) -> float | Unread:
    """Return the grade in the last {...} of a judgement, as AlignBench reads it.

    >>> in_dictionary("{'事实正确性': 9, '综合得分': 7}", "综合得分")
    7.0
    """
    dictionaries = _DICTIONARY.findall(text)
    pattern = rf"['\"“]{re.escape(total)}['\"”]\s*[:：]\s*(\d+(?:\.\d+)?)"
    found = re.search(pattern, dictionaries[-1]) if dictionaries else None
    return float(found[1]) if found else Unread("unparseable_judgement", f"no '{total}' at the end: {text.strip()[-SHOWN:]!r}")


def label_probability(choice: dict[str, Any], labels: list[str]) -> Verdict | Unread:
    """Return the probability of the first label divided by that of both, from the first token's top log-probabilities
    (alpaca_eval's logprob_parser). A label that is not among them has probability 0."""
    try:
        listed = choice["logprobs"]["content"][0]["top_logprobs"]
        likely = {str(one["token"]): float(one["logprob"]) for one in listed}
    except (LookupError, TypeError, ValueError):
        return Unread("no_logprobs", "the server gives no log-probabilities; give a judge that does, or verdict: grades")
    first, second = (math.exp(likely[label]) if label in likely else 0.0 for label in labels)
    if not first + second > 0:
        seen = ", ".join(map(repr, likely))
        return Unread("unparseable_judgement", f"neither {labels[0]} nor {labels[1]} is among the likeliest tokens: {seen}")
    return Verdict(first / (first + second), labels[first < second])
