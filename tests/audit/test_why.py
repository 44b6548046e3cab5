"""The sentence that says why two answers are a pair, or why not."""

from __future__ import annotations

from typing import Any

import pytest

from datakit.audit.why import Reasons
from datakit.recipe import Select
from datakit.select.rule import Rule

ONE = {
    **{"lost": None, "model": "m", "margin": 0.5, "n_answers": 4, "n_right": 2, "n_wrong": 2},
    **{"chosen_chars": 1_200, "rejected_chars": 100},
}


def rule(verified: bool = True, judge: str | None = "j", **select: Any) -> Rule:
    verifier, wrong = ("math@3", ("failed",)) if verified else (None, ())
    return Rule(Select(**{"pairing": "same_source", **select}), verifier, wrong, {"j": "x"} if judge else {}, judge)


@pytest.mark.parametrize(
    ("given", "window", "change", "said"),
    [
        (
            rule(),
            (0.1, None),
            {},
            "Of 4 answers of m 2 are right and 2 wrong: the right one with the highest score against the wrong one with the "
            "lowest; margin 0.500 in the window 0.100..inf.",
        ),
        (
            rule(verified=False, pairing="any_source"),
            (None, None),
            {"n_right": 3},
            "Of 4 answers 3 may be used: the one with the highest score against the one with the lowest; margin 0.500.",
        ),
        (
            rule(judge=None),
            (None, None),
            {"margin": None, "n_right": 1},
            "Of 4 answers of m 1 is right and 2 wrong (1 of no use: a text again, cut off, or not judged): the right one "
            "against the wrong one that come first by their ids, for no judge scores.",
        ),
        (
            rule(length_tier=0.2, search="feasible"),
            (None, None),
            {},
            "Of 4 answers of m 2 are right and 2 wrong: the right one with the highest score against the wrong one with the "
            "lowest (as select has it: length_tier 0.2, search feasible); margin 0.500.",
        ),
        (
            rule(),
            (0.6, 0.9),
            {"lost": "margin below the window"},
            "No pair: margin below the window 0.600..0.900 (it is 0.500). Of 4 answers of m 2 are right and 2 wrong.",
        ),
        (
            rule(length_ratio_max=3.0),
            (None, None),
            {"lost": "length ratio"},
            "No pair: length ratio (1,200 against 100 characters; at most 3.0). Of 4 answers of m 2 are right and 2 wrong.",
        ),
        (
            rule(length_difference_max={"chars": 500}),
            (None, None),
            {"lost": "length difference"},
            "No pair: length difference (1,200 against 100 characters; at most {'chars': 500}). Of 4 answers of m 2 are right "
            "and 2 wrong.",
        ),
        (
            rule(verified=False),
            (None, None),
            {"lost": "only one answer", "n_answers": 1, "n_right": 1},
            "No pair: only one answer. Of 1 answer of m 1 may be used.",
        ),
    ],
)
def test_why(given: Rule, window: tuple[float | None, float | None], change: dict[str, Any], said: str) -> None:
    assert Reasons(given, window).of(ONE | change) == said
