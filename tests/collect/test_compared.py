"""The compared text: what it leaves out, and that SQL and Python compute the same."""

from __future__ import annotations

import hashlib

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.store import load_sql
from datakit.tables.compared import END_TOKENS, WHITE_SPACE, compared, compared_text

pieces = st.lists(st.sampled_from([*END_TOKENS, *WHITE_SPACE, "\r\n", "a", "é", "<|im_end", "\u00a0", "\\", "|"]), max_size=12)
connection = duckdb.connect()
connection.execute(load_sql("views/compared_text"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  a\r\nb\rc \n", "a\nb\nc"),
        ("a<|im_end|>\n</s> ", "a"),
        ("<eos>a <eos> b<eos><eos>", "<eos>a <eos> b"),
        (" <eos>", ""),
        ("a\u00a0", "a\u00a0"),
    ],
)
def test_what_is_compared(text: str, wanted: str) -> None:
    assert compared_text(text) == wanted
    low = int(hashlib.md5(wanted.encode(), usedforsecurity=False).hexdigest()[16:], 16)
    assert compared(text) == (len(wanted), int.from_bytes(low.to_bytes(8, "big"), "little"))


@given(pieces)
def test_sql_computes_the_same(parts: list[str]) -> None:
    text = "".join(parts)
    in_sql = "SELECT compared_text($1), length(compared_text($1)), md5_number_lower(compared_text($1))"
    assert connection.execute(in_sql, [text]).fetchone() == (compared_text(text), *compared(text))
