"""A response in its parts: a table of cases, the law that nothing is lost, and SQL that says the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.store import Run
from datakit.tables import TABLES
from datakit.tables.answers import _ENDS, _SIGNS, COMPLETE, Parts, is_complete, join, split, whole
from tests.helpers.folders import ROOT

OLD = ROOT / "tests" / "fixtures" / "run-0.1"
THOUGHTS = [
    # text; answer, thought, form
    ("<think>5?</think>It is 6.", "It is 6.", "5?", "<think>…</think>"),
    ("\n<think>\n5?\n</think>\n\nIt is 6.\n", "It is 6.\n", "\n5?\n", "\n<think>…</think>\n\n"),
    ("<think>\n\n</think>\n\n6", "6", "\n\n", "<think>…</think>\n\n"),
    ("<thinking>5?</thinking> 6", "6", "5?", "<thinking>…</thinking> "),
    ("<thought>5?</thought>6", "6", "5?", "<thought>…</thought>"),
    ("<reasoning>5?</reasoning>\n6", "6", "5?", "<reasoning>…</reasoning>\n"),
    ("<seed:think>5?</seed:think>6", "6", "5?", "<seed:think>…</seed:think>"),
    ("[THINK]5?[/THINK]6", "6", "5?", "[THINK]…[/THINK]"),
    ("◁think▷5?◁/think▷6", "6", "5?", "◁think▷…◁/think▷"),
    ("<|START_THINKING|>5?<|END_THINKING|>6", "6", "5?", "<|START_THINKING|>…<|END_THINKING|>"),
    ("<|begin_of_thought|>5?<|end_of_thought|>\n6", "6", "5?", "<|begin_of_thought|>…<|end_of_thought|>\n"),
    (
        "<|channel|>analysis<|message|>5?<|end|><|start|>assistant<|channel|>final<|message|>6",
        *("6", "5?", "<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>"),
    ),
    ("analysis5?assistantfinal6", "6", "5?", "analysis…assistantfinal"),
    # the template has opened it
    ("5?\n</think>\n\n6", "6", "5?\n", "…</think>\n\n"),
    ("Is it 5?</think>6", "6", "Is it 5?", "…</think>"),
    ("It is 5. </think> It is 6.", "It is 6.", "It is 5. ", "…</think> "),
    ("</think>\n\n6", "6", "", "…</think>\n\n"),
    ("Try `</think>` first.\n</think>\n6", "6", "Try `</think>` first.\n", "…</think>\n"),
    ("a <think> b </think> c\n</think>\n6", "6", "a <think> b </think> c\n", "…</think>\n"),
    # thoughts in thoughts, and about tags
    ("<think>a<think>b</think>c</think>6", "6", "a<think>b</think>c", "<think>…</think>"),
    ("<think>The <think> tag.</think>6", "6", "The <think> tag.", "<think>…</think>"),
    ("<think>Say '</think>' now.</think>6", "6", "Say '</think>' now.", "<think>…</think>"),
    ("<think>\n```\n</think>\n```\n</think>6", "6", "\n```\n</think>\n```\n", "<think>…</think>"),
    ("<think>```python\nx\n</think>\n6", "6", "```python\nx\n", "<think>…</think>\n"),
    ("<think>5?</think>The `</think>` tag ends it.", "The `</think>` tag ends it.", "5?", "<think>…</think>"),
    # no answer
    ("<think>Is it 5?", None, "Is it 5?", "<think>…"),
    ("<think>", None, "", "<think>…"),
    ("<think>It is 5.</think>\n", None, "It is 5.", "<think>…</think>\n"),
    ("[THINK]\\boxed{5} <think>?</think>", None, "\\boxed{5} <think>?</think>", "[THINK]…"),
]
NONE = [
    "It is 6.",
    "",
    "The `<think>` tag opens a thought, `</think>` ends it.",
    "Write <think> first, then </think> and the answer.",
    "A thought ends with the </think> tag.",
    'It ends with "</think>".',
    "```xml\n<think>5?</think>\n```\nis how it is written.",
    "```\n5?\n</think>\n```\n",
    "So: <think>5?</think> is a thought.",
    "analysis of the case: assistants are final.",
    "The assistantfinal channel.",
    "if a <think> b: pass",
    "[THINKING] 6",
]


@pytest.mark.parametrize(("text", "answer", "thought", "form"), THOUGHTS)
def test_a_thought_is_told_from_its_answer(text: str, answer: str | None, thought: str, form: str) -> None:
    assert split(text) == Parts(answer, thought, form)
    assert whole(answer, thought, form) == text


@pytest.mark.parametrize("text", NONE)
def test_talk_about_thoughts_is_none(text: str) -> None:
    assert split(text) == Parts(text)


PIECES = [
    "<think>",
    "</think>",
    "[THINK]",
    "[/THINK]",
    "analysis",
    "assistantfinal",
    "```",
    "`",
    "\n",
    " ",
    "'",
    "a",
    "6.",
    "…",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_nothing_is_lost(text: str) -> None:
    parts = split(text)
    assert whole(*parts) == text
    assert parts.text is None or parts.form is None or not parts.text[:1].isspace()


def test_a_text_that_repeats_tags_takes_no_time() -> None:
    for piece in ("</think> `a` ", "```python\n<think>\n", "<think>'</think>'", "\n```\n</think>"):
        split(piece * 20_000)


BESIDE = [
    # text, thought, field; answer, thought, form
    (("6", "5?", "reasoning_content"), ("6", "5?", "reasoning_content…")),
    (("\n\n6", "5?", "reasoning"), ("6", "5?", "reasoning…\n\n")),
    (("", "5?", "parts"), (None, "5?", "parts…")),
    ((None, "5?", "reasoning"), (None, "5?", "reasoning…")),
    (("6", " ", "reasoning"), ("6", None, None)),
    (("6", None, None), ("6", None, None)),
    (("<think>5?</think>6", "5?", "reasoning_content"), ("6", "5?", "<think>…</think>")),
    (("<think>\n</think>\n6", "5?", "reasoning"), ("6", "5?", "reasoning…")),
    ((None, None, None), (None, None, None)),
]


@pytest.mark.parametrize(("given", "parts"), BESIDE)
def test_a_thought_beside_its_text(given: tuple[str | None, str | None, str | None], parts: tuple[str | None, ...]) -> None:
    assert join(*given) == parts


FORCED = [
    (("It may be 5, or", None, None), (None, "It may be 5, or", "…")),
    (("5?</think>\n6", None, None), ("6", "5?", "…</think>\n")),
    (("<think>5?</think>6", None, None), ("6", "5?", "<think>…</think>")),
    (("<think></think>6", None, None), ("6", "", "<think>…</think>")),
    (("6", "5?", "reasoning"), ("6", "5?", "reasoning…")),
    ((None, "5?", "reasoning"), (None, "5?", "reasoning…")),
    ((" ", None, None), (None, None, None)),
]


@pytest.mark.parametrize(("given", "parts"), FORCED)
def test_where_the_template_opens_the_thought(
    given: tuple[str | None, str | None, str | None], parts: tuple[str | None, ...]
) -> None:
    """Then a text in which nothing ends a thought is one; what says itself which part is which counts as ever."""
    found = join(*given, forced=True)
    assert found == parts
    assert whole(*found) == given[0] or given[1] is not None or not (given[0] or "").strip()


def test_sql_says_the_same(tmp_path: Path) -> None:
    """Rows of an old run are split as they are read, their files untouched; what the macro puts together is what came."""
    texts = [*(row[0] for row in THOUGHTS), *NONE]
    folder = shutil.copytree(OLD, tmp_path / "run")
    part = next((folder / "responses").glob("part-*.parquet"))
    old = pl.read_parquet(part).head(len(texts))
    assert "reasoning" not in old.columns and old.height == len(texts)
    old.with_columns(text=pl.Series(texts)).write_parquet(part)
    before = part.read_bytes()
    with Run.open(folder) as run:
        sql = "SELECT text, reasoning, reasoning_form, whole_answer(text, reasoning, reasoning_form) AS whole FROM responses"
        found = {row["whole"]: (row["text"], row["reasoning"], row["reasoning_form"]) for row in run.query(sql).to_dicts()}
        assert run.frame("responses").columns == list(TABLES["responses"].schema)
        for parts in (row[1] for row in [*BESIDE, *FORCED]):
            sql = "SELECT whole_answer($1, $2, $3) AS whole"
            assert run.query(sql, dict(zip("123", parts, strict=True)))["whole"][0] == whole(*parts)
    assert found == {text: split(text) for text in texts}
    assert part.read_bytes() == before


@pytest.mark.parametrize(
    ("reason", "complete"),
    [(None, True), *((reason, True) for reason in COMPLETE)]
    + [(r, False) for r in ("length", "max_tokens", "content_filter", "tool_calls", "abort", "limit", "Stop", "done", "")],
)
def test_which_endings_are_complete(reason: str | None, complete: bool) -> None:
    assert is_complete(reason) == complete


def test_every_closing_begins_with_one_of_the_signs() -> None:
    assert all(end.startswith(_SIGNS) for end in _ENDS)
