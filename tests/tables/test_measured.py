"""What is computed of responses column by column is what compared.py and residue.py compute of each."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from datakit.tables import TABLES
from datakit.tables.answers import split
from datakit.tables.compared import END_TOKENS, WHITE_SPACE, compared
from datakit.tables.measured import measured
from datakit.tables.residue import find_residue

PIECES = [
    *END_TOKENS, *WHITE_SPACE, *("\r\n", "\x1f", "\u00a0", "\u2028", "\0", "a", "\u00e9", "\U0001f600"),
    *("<|im_start|>", "<start_of_turn>model", "[/INST]", "<<SYS>>", "<s>", "<bos>", "<\uff5cUser\uff5c>", "## Input:"),
    *("### Response:", "assistant\n", "ASSISTANT:", "Assistant", "I'm sorry, but I can't", "As an AI, I cannot", "I help"),
    *("So 2. " * 60, "-" * 239, "ab" * 120, "\u00e9\u65e5" * 150, "word " * 47, "a passage of some length. " * 4),
]  # fmt: skip
texts = st.none() | st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6).map("".join)
thoughts = st.sampled_from([None, "", " \n", "\x1f", "\u2028", "so", " so"])


def check(rows: list[tuple[str | None, str | None]]) -> None:
    frame = TABLES["responses"].frame([{"text": text, "reasoning": thought, "n_chars": 1} for text, thought in rows])
    found = measured(frame).select("n_chars", "text_hash", "residue").rows()
    assert found == [(*compared(text), find_residue(text, thought)) for text, thought in rows]


@given(st.lists(st.tuples(texts, thoughts), max_size=8))
def test_columns_say_what_each_row_would(rows: list[tuple[str | None, str | None]]) -> None:
    check(rows)


def test_real_answers(shared_data: Path) -> None:
    """Of all domains, as they came and with their thoughts apart."""
    for name in ("math", "code", "instruct", "chinese"):
        with gzip.open(shared_data / "responses" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts = [text for line in file if (text := json.loads(line)["response"]) is not None]
        check([(text, None) for text in texts[::7]] + [split(text)[:2] for text in texts[1::7]])


def test_every_character_is_white_space_in_columns_where_it_is_in_python() -> None:
    letters = [chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000]
    blank = pl.Series(letters).str.contains(r"[^\s\x1c-\x1f]") == pl.Series([letter.isspace() for letter in letters])
    assert not blank.any()
