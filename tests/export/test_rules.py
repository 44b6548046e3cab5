"""What a card says of how its rows were chosen: true of runs with and without a verifier, a judge, sampled sources."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest

from datakit.export.rules import rules_in_words
from datakit.recipe import Select

SELECTS: list[dict[str, Any]] = [
    {},
    {"split": "share", "per_prompt": "one_per_source", "demos_per_prompt": 3},
    {"split": "hash", "demos_per_prompt": "all", "pairing": "any_source", "length_ratio_max": 2.0},
    {"search": "feasible", "allow_unjudged": True, "length_bins": 0.2, "length_difference_max": {"chars": 9}},
    {"target": "a", "per_prompt": "one_per_source"},
    {"pairing": {"chosen": ["a"], "rejected": ["b"]}, "flags": "ignore"},
]
KINDS = (["sft"], ["dpo"], ["sft", "dpo"], ["wrpo"], ["kto"], ["fusion"])


def said(kinds: list[str], verifier: str | None = None, judge: str | None = None, source: Any = None, **select: Any) -> str:
    """All sentences."""
    facts = {
        "verifier": verifier,
        "judge": judge,
        "judges": [judge],
        "margin_window": None,
        "sources": [{"model": "a", "sampling": "imported" if source is None else "{}"}],
        "flags": {"prompts": 0, "responses": 0, "pairs": 0},
        "select": select,
        "export": {"reasoning": "drop", "system": "drop"},
        "recipe": {"sources": [source or {"type": "responses", "template": "{q}"}], "probe": {"texts": "demos"}},
    }
    return "\n".join(rules_in_words(facts, kinds))


@pytest.mark.parametrize(("select", "kinds"), [*product(SELECTS, KINDS)])
def test_no_card_speaks_of_what_nobody_has_looked_at(select: dict[str, Any], kinds: list[str]) -> None:
    assert Select.model_validate(select)
    by_nobody, by_verifier = said(kinds, **select), said(kinds, "math@3", **select)
    by_judge, by_both = said(kinds, judge="j", **select), said(kinds, "math@3", "j", **select)
    for unjudged in (by_nobody, by_verifier):
        assert not re.search(r"best|worst|largest|highest|margin|scores", unjudged.replace("No judge scored", ""))
        assert (
            unjudged.count("No judge scored these answers: of several that may be chosen one is taken by a stable hash.") == 1
        )
    for unverified in (by_nobody, by_judge):
        assert not re.search(r"\bright\b|wrong|verdict", unverified.replace("whether it is right was not verified", ""))
    assert "The best of several: the highest score of `j`." in by_judge and "verified as right by `math@3`" in by_both
    if not {"dpo", "wrpo", "kto"}.isdisjoint(kinds):
        assert "No pair is possible" in by_nobody and "A pair is" not in by_nobody
        assert "A pair is a right answer against a wrong answer of" in by_verifier
        assert "A pair is the best answer against the worst answer of" in by_judge
        assert "A pair is the best right answer against the worst wrong answer of" in by_both


CASES: list[tuple[list[str], dict[str, Any], str]] = [
    (["sft"], {"judge": "j"}, "A demo is the best such answer of all source models."),
    (["sft"], {"verifier": "v"}, "A demo is one such answer of all source models."),
    (["fusion"], {"verifier": "v"}, "A demo is one such answer of all source models."),
    (["sft"], {"allow_unjudged": True}, "A demo is one such answer of all source models."),
    (["sft"], {}, "Neither a verifier nor a judge has looked at the answers, so none of them is a demo."),
    (["sft"], {"verifier": "v", "demos_per_prompt": 2}, "Demos are 2 such answers of all source models, taken by the hash,"),
    (["sft"], {"judge": "j", "pairing": {"chosen": ["a", "b"], "rejected": ["c"]}}, "the best such answer of a, b."),
    (["dpo"], {"judge": "j"}, "Each prompt gives the pair with the largest margin."),
    (["dpo"], {"verifier": "v"}, "Each prompt gives the pair of one source model, taken by the hash."),
    (["dpo"], {"judge": "j", "per_prompt": "one_per_source"}, "Each prompt gives each source model's pair."),
    (["dpo"], {"judge": "j", "per_prompt": "one_per_source", "pairing": "any_source"}, "Each prompt gives one pair."),
    (["dpo"], {"verifier": "v", "search": "feasible"}, "Where these break a rule, a pair that obeys takes their place."),
    (
        ["wrpo"],
        {"verifier": "v", "target": "a"},
        "A pair is a right answer against a wrong answer of `a`, each taken by the hash.",
    ),
    (["wrpo"], {"verifier": "v", "target": "a"}, "comes with one answer, taken by the hash, of the other source models"),
    (["dpo"], {"verifier": "v"}, "what is measured (lengths, verdicts) is of the answer alone."),
    (["dpo"], {}, "Imported answers that do not say how they ended count as complete."),
]


@pytest.mark.parametrize(("kinds", "facts", "sentence"), CASES)
def test_a_sentence(kinds: list[str], facts: dict[str, Any], sentence: str) -> None:
    assert sentence in said(kinds, **facts)


@pytest.mark.parametrize(
    ("source", "speaks"),
    [
        ({"type": "endpoint", "system": "Be brief.", "template": None}, True),
        ({"type": "local", "system": None, "template": "{prompt}!"}, True),
        ({"type": "serve", "system": None, "template": None}, False),
        (None, False),  # imports: a template makes prompts of columns there
    ],
)
def test_system_prompts_and_templates_are_spoken_of_where_a_source_has_them(source: Any, speaks: bool) -> None:
    text = said(["sft"], "v", source=source)
    assert ("was given is left out, as is a template." in text) == speaks
    assert ("Imported answers" in text) == (source is None)
