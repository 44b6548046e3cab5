"""Prompts that are items of a benchmark: whole, wrapped, changed; and those that only look like it."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from datakit.curate.decontaminate import Benchmarks, asserted
from datakit.curate.texts import tokens
from datakit.recipe.curate import Decontaminate
from datakit.tables import Item

FILL = "Question number {} asks about the {} of a small village near the mountains and what its people did there."
WORDS = [
    "history",
    "harvest",
    "bakery",
    "bridges",
    "weather",
    "market",
    "school",
    "music",
    "chapel",
    "orchard",
    "ferry",
    "sawmill",
]
QUESTION = "A baker sells 24 rolls in the morning and 36 rolls in the afternoon. How many rolls does she sell in five days?"
CHINESE = "请介绍一下唐代诗人李白的生平和他最有名的三首诗。"
ITEMS = [Item("fill", str(at), (FILL.format(at, word),)) for at, word in enumerate(WORDS)]
ITEMS += [Item("bakery", "q1", (QUESTION,)), Item("poems", "p1", (CHINESE,)), Item("short", "s1", ("Who are you?",))]


def reasons(prompts: list[str], domain: str = "instruct", items: list[Item] = ITEMS, **given: Any) -> list[str | None]:
    """Of each prompt the nearest meeting's reason and item."""
    columns = {name: given.pop(name, [None] * len(prompts)) for name in ("reference", "entry_point")}
    frame = pl.DataFrame({"text": prompts, **columns}, schema_overrides={"reference": pl.String, "entry_point": pl.String})
    batch = frame.with_row_index("number").with_columns(tokens=tokens(pl.col("text")))
    benchmarks = Benchmarks.of(Decontaminate.model_validate({"against": ["x.jsonl"], **given}), items, domain)
    found: dict[int, str] = {}
    for met in benchmarks.meet(batch):
        if not met.reason.startswith("near"):
            found.setdefault(met.number, f"{met.reason} {met.item}")
    return [found.get(at) for at in range(len(prompts))]


def test_whole_wrapped_and_changed():
    changed = QUESTION.replace("morning", "early hours")
    other = "A baker sells bread. How many rolls are there?"
    found = reasons([QUESTION, f"Please help me.\n{QUESTION}\nThank you!", changed, QUESTION.upper(), other])
    assert found == ["contaminated: bakery q1"] * 4 + [None]


def test_chinese_by_characters():
    wrapped = f"你是一个老师。{CHINESE}谢谢。"
    assert reasons([CHINESE, wrapped, CHINESE.replace("三首", "两首"), "请介绍一下宋代画家的生平。"]) == [
        "contaminated: poems p1"
    ] * 3 + [None]


def test_short_items_by_equality_only():
    prompts = ["Who are you?", "who are you", "Who are you and what do you want from me today?"]
    assert reasons(prompts) == ["contaminated: short s1"] * 2 + [None]


def test_a_prompt_that_stands_in_an_item():
    part = "A baker sells 24 rolls in the morning and 36 rolls in the afternoon."
    assert reasons([part], share=0.9) == ["contaminated: bakery q1"]
    assert reasons([part], share=0.9, prompt_share=1.0) == ["contaminated: bakery q1"], "all of it"


def test_a_threshold_is_an_option():
    half = "A baker sells 24 rolls in the morning and then she goes home to sleep until the next day comes"
    assert reasons([half]) == [None] and reasons([half], share=0.2) == ["contaminated: bakery q1"]


def test_other_numbers_are_a_template_in_mathematics_only():
    other = QUESTION.replace("24", "51").replace("36", "17").replace("five", "six")
    assert reasons([other], "math", share=0.9, prompt_share=1.0) == ["template: bakery q1"]
    assert reasons([other], "instruct", share=0.9, prompt_share=1.0) == [None]
    formula = Item("sums", "1", ("3 + 4 + 5 + 6 + 7 + 8",))
    assert reasons(["1 + 2 + 3 + 4 + 5 + 9"], "math", items=[*ITEMS, formula]) == [None], "numbers alone are everybody's"


def test_equal_assert_lines_in_code():
    text = "Write a function to find shared elements.\nassert shared((3, 4), (4, 5)) == {4}"
    items = [*ITEMS, Item("mbpp", "2", (text,))]
    prompts = ["Do something with lists, please.", "Do something else."]
    tests = ["assert shared((3,4),(4,5))=={4}\nassert shared((), ()) == set()", "assert other(1) == 2"]
    assert reasons(prompts, "code", items, reference=tests) == ["contaminated: mbpp 2", None]
    assert reasons(prompts, "instruct", items, reference=tests) == [None, None]
    assert asserted("def check(candidate):\n    assert candidate(1) == 2\n    assert f( 1 ) == 2") == ["assertf(1)==2"]


@pytest.mark.parametrize(
    ("line", "met"),
    [
        ("assert shared((3, 4, 5, 6), (5, 7, 4, 10)) == (4, 5)", True),
        ("assert sorted(shared((3,4,5,6),(5,7,4,10))) == [4, 5]", True),
        ("    assert not shared((3, 4, 5, 6), (5, 7, 4, 10)), 'no'", True),
        ("assert joined((3, 4, 5, 6), (5, 7, 4, 10)) == (4, 5)", False),  # of another function
        ("assert shared((3, 4, 5, 6), (5, 7, 4, 11)) == {4, 5}", False),  # of other arguments
        ("assert find(10, 3) == 1", False),  # so short a call is a test of many functions
        ("assert sorted([3, 4, 5, 6, 5, 7, 4, 10]) == 4", False),  # Python's own
        ("assert shared((3, 4, 5, 6) == r'\\d", False),  # no Python
    ],
)
def test_equal_calls_in_assert_lines(line, met):
    """Tests that were written anew compare otherwise what the same call gives (MBPP's in EvalPlus)."""
    tests = (
        "set(shared((3, 4, 5, 6),(5, 7, 4, 10))) == {4, 5}",
        "find(10,3) == 3",
        "sorted([3, 4, 5, 6, 5, 7, 4, 10])[0] == 3",
    )
    text = "\n".join(f"assert {test}" for test in tests)
    items = [*ITEMS, Item("mbpp", "2", (text,))]
    assert reasons(["Do something with lists."], "code", items, reference=[line]) == ["contaminated: mbpp 2" if met else None]


def test_every_text_of_an_item_counts_alone():
    question = "Which of these rivers flows through the city of Paris?"
    item = Item("mc", "7", (question, f"{question}\nSeine\nRhine\nTiber\nDanube"))
    assert reasons([question], items=[*ITEMS, item]) == ["contaminated: mc 7"]


@pytest.mark.parametrize("others", [[], [FILL.format(99, "castle")] * 5])
def test_a_verdict_does_not_depend_on_other_prompts(others):
    assert reasons([*others, QUESTION.replace("rolls", "buns")])[-1] == reasons([QUESTION.replace("rolls", "buns")])[0]
