"""What came, went and changed between two selections: SQL over small tables, rows out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from datakit.store import load_sql
from datakit.store.database import Tables
from datakit.tables import TABLES

Rows = Sequence[tuple[Any, ...]]
PAIR = ("prompt_id", "model", "chosen_id", "rejected_id", "margin", "source_chosen_id")
DEMO = ("prompt_id", "response_id")


@pytest.fixture(scope="module")
def tables() -> Iterator[Tables]:
    opened = Tables(str)
    yield opened
    opened.close()


def changes(tables: Tables, table: str, names: Sequence[str], before: Rows, after: Rows) -> list[tuple[Any, ...]]:
    for side, rows in (("before", before), ("after", after)):
        frame = TABLES[f"{table}s"].frame([dict(zip(names, row, strict=False)) for row in rows])
        tables.keep(f"{side}_{table}s", frame)
    return tables.query(f"FROM ({load_sql(f'select/{table}_changes')}) ORDER BY ALL").rows()


A, B = ("p", "a", "1", "2", 0.1), ("q", "a", "3", "4", 0.2)
PAIRS: list[tuple[str, Rows, Rows, Rows]] = [
    ("nothing at all", [], [], []),
    ("nothing changes", [A, B], [A, B], []),
    ("all of it came", [], [A], [("p", "a", "came", None, None, None, "1", "2", 0.1)]),
    ("all of it went", [A], [], [("p", "a", "went", "1", "2", 0.1, None, None, None)]),
    ("another margin is no change", [A], [("p", "a", "1", "2", 0.5)], []),
    ("without a margin", [("p", "a", "1", "2", None)], [("p", "a", "1", "2", None)], []),
    ("another rejected one", [B], [("q", "a", "3", "9", 0.4)], [("q", "a", "changed", "3", "4", 0.2, "3", "9", 0.4)]),
    ("another chosen one", [B], [("q", "a", "9", "4", None)], [("q", "a", "changed", "3", "4", 0.2, "9", "4", None)]),
    (
        "a pair a prompt: of another source",
        [A],
        [("p", "b", "3", "4", 0.2)],
        [("p", "b", "changed", "1", "2", 0.1, "3", "4", 0.2)],
    ),
    (
        "several a prompt before: one came, one went",
        [A, ("p", "b", "3", "4", 0.2)],
        [("p", "c", "5", "6", 0.3)],
        [
            ("p", "a", "went", "1", "2", 0.1, None, None, None),
            ("p", "b", "went", "3", "4", 0.2, None, None, None),
            ("p", "c", "came", None, None, None, "5", "6", 0.3),
        ],
    ),
    (
        "several of another prompt, after: a source is another pair everywhere",
        [A],
        [("p", "b", "3", "4", 0.2), B, ("q", "b", "5", "6", 0.3)],
        [
            ("p", "a", "went", "1", "2", 0.1, None, None, None),
            ("p", "b", "came", None, None, None, "3", "4", 0.2),
            ("q", "a", "came", None, None, None, "3", "4", 0.2),
            ("q", "b", "came", None, None, None, "5", "6", 0.3),
        ],
    ),
    ("a triple as it was", [(*A, "3")], [(*A, "3")], []),
    ("a triple with another source's answer", [(*A, "3")], [(*A, "4")], [("p", "a", "changed", "1", "2", 0.1, "1", "2", 0.1)]),
    ("a pair becomes a triple", [A], [(*A, "4")], [("p", "a", "changed", "1", "2", 0.1, "1", "2", 0.1)]),
]
DEMOS: list[tuple[str, Rows, Rows, Rows]] = [
    ("nothing at all", [], [], []),
    ("nothing changes", [("p", "1"), ("q", "2")], [("q", "2"), ("p", "1")], []),
    ("another answer", [("p", "1")], [("p", "2")], [("p", "changed", "1", "2")]),
    ("other prompts", [("p", "1")], [("q", "2")], [("p", "went", "1", None), ("q", "came", None, "2")]),
    (
        "several: none changes",
        [("p", "1"), ("p", "2")],
        [("p", "2"), ("p", "3")],
        [("p", "came", None, "3"), ("p", "went", "1", None)],
    ),
    (
        "several after",
        [("p", "1")],
        [("p", "2"), ("p", "3")],
        [("p", "came", None, "2"), ("p", "came", None, "3"), ("p", "went", "1", None)],
    ),
]


@pytest.mark.parametrize(("before", "after", "found"), [case[1:] for case in PAIRS], ids=[case[0] for case in PAIRS])
def test_pairs(tables: Tables, before: Rows, after: Rows, found: Rows) -> None:
    assert changes(tables, "pair", PAIR, before, after) == found


@pytest.mark.parametrize(("before", "after", "found"), [case[1:] for case in DEMOS], ids=[case[0] for case in DEMOS])
def test_demos(tables: Tables, before: Rows, after: Rows, found: Rows) -> None:
    assert changes(tables, "demo", DEMO, before, after) == found


def test_examples_are_of_each_kind_first(tables: Tables) -> None:
    """MD5 begins with 0cc (a), 92e (b), 4a8 (c), 827 (d), e16 (e) and 8fa (f): a, c, d, f, b, e."""
    before = [(prompt, "m", "1", "2", 0.1) for prompt in "abc"]
    after = [("b", "m", "1", "9", 0.2), *((prompt, "m", "3", "4", 0.3) for prompt in "def")]
    changes(tables, "pair", PAIR, before, after)
    tables.make_table("pair_changes", load_sql("select/pair_changes"))
    for most, shown in ((1, "a"), (3, "adb"), (5, "adbcf"), (9, "adbcfe")):
        assert "".join(tables.query(load_sql("audit/changed_pairs"), {"most": most})["prompt_id"]) == shown
    tables.make_table("pair_changes", "FROM pair_changes LIMIT 0")
    assert tables.query(load_sql("audit/changed_pairs"), {"most": 3}).is_empty()


def test_a_prompt_serves_one_phase_or_neither(tables: Tables) -> None:
    """Of a prompt that has both, pairs count; several of one kind count once."""
    held: dict[str, Rows] = {
        "before_pairs": [A, ("p", "b", "3", "4", 0.2), B],
        "before_demos": [("q", "1"), ("r", "5"), ("s", "6"), ("t", "7")],
        "after_pairs": [("r", "a", "1", "2", 0.1), ("u", "a", "8", "9", 0.1)],
        "after_demos": [("p", "1"), ("q", "2"), ("q", "3"), ("s", "1")],
    }
    for name, rows in held.items():
        table = name.partition("_")[2]
        names = PAIR if table == "pairs" else DEMO
        tables.keep(name, TABLES[table].frame([dict(zip(names, row, strict=False)) for row in rows]))
    moved = tables.query(load_sql("audit/moved_prompts")).rows()
    assert moved == [("dpo", "sft", 2), ("neither", "dpo", 1), ("sft", "dpo", 1), ("sft", "neither", 1)]
