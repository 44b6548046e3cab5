"""Tables from rows: lists and objects are put together of columns, and hold what the rows did."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.tables import TABLES

texts = st.none() | st.text(max_size=3)
messages = st.none() | st.lists(st.none() | st.fixed_dictionaries({"role": texts, "content": texts}), max_size=3)
numbers = st.none() | st.lists(st.none() | st.floats(allow_nan=False), max_size=3)
asks = st.none() | st.fixed_dictionaries(
    {"column": texts, "values": st.none() | st.lists(texts, max_size=2), "others": st.none() | st.booleans()}
)
COLUMNS = {
    ("prompts", "messages"): messages,
    ("scores", "objectives"): numbers,
    ("sources", "complete"): st.none() | st.lists(texts),
    ("sources", "asks"): asks,
}


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@given(data=st.data())
def test_a_column_holds_what_the_rows_did(table: str, column: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(COLUMNS[table, column], max_size=5))
    frame = TABLES[table].frame([{column: value} for value in values])
    assert frame[column].to_list() == values and frame.schema == TABLES[table].schema


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("prompts", {"messages": "What is 1 + 1?"}),
        ("prompts", {"messages": ["What is 1 + 1?"]}),
        ("prompts", {"messages": [{"role": 5, "content": "x"}]}),
        ("prompts", {"messages": {"role": "user"}}),
        ("scores", {"objectives": 0.5}),
        ("scores", {"objectives": ["high"]}),
        ("sources", {"asks": [1]}),
    ],
    ids=str,
)
def test_what_is_of_another_type_is_refused(table: str, row: dict[str, Any]) -> None:
    """As a journal that somebody has written into may have it."""
    with pytest.raises((TypeError, ValueError, pl.exceptions.PolarsError)):
        TABLES[table].frame([row])


def test_a_field_that_is_left_out_is_null_and_another_is_left_out() -> None:
    frame = TABLES["prompts"].frame([{"messages": [{"role": "user", "name": "ann"}]}])
    assert frame["messages"].to_list() == [[{"role": "user", "content": None}]]


def test_it_imports_no_pandas() -> None:
    """Which pyarrow does where it goes from value to value: a third of a second and 40 MB."""
    made = "TABLES['prompts'].frame([{'messages': []}])"
    code = f"import sys; from datakit.tables import TABLES; {made}; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
