"""Columns and rows: whatever a file holds, both readers make the same of it, faults and where they stand included."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.collect import stretches
from datakit.collect.inputs import read_inputs
from datakit.domains.instruct import Instruct
from datakit.domains.math.domain import Math
from datakit.errors import BadInput
from datakit.recipe import parse
from datakit.recipe.verify import Unverified, VerifyMath
from datakit.tables import TABLES, Row, Rows

MODELS = ["m", "n", "org/ñ"]
GOOD: Row = {"prompt_id": "a", "prompt": "1?", "model": "m", "text": "one", "score": 0.5}
odd_texts = st.sampled_from(
    ["", " ", "\u2028", "\u00a0", "\x1f", "a\r\nb", "😀", "<think>x</think>\n\ny", "<think>x", "a</s>", "[THINK]", "\\u00e9"]
)
values: dict[str, st.SearchStrategy[Any]] = {
    "prompt_id": st.sampled_from(["a", "b", 7, 7.0, 2**70, None, True]),
    "prompt": st.sampled_from(["1?", "2?", " ", "", None, 3]),
    "messages": st.sampled_from([None, [], [{"role": "user", "content": "1?"}], '[{"role": "user", "content": "2?"}]', "x"]),
    "reference": st.sampled_from(["1", "2", 1, 0.5, None]),
    "model": st.sampled_from([*MODELS, "", None, 3]),
    "text": odd_texts | st.sampled_from([None, 5, ["part"], [{"type": "thinking", "thinking": "x"}, "y"]]),
    "reasoning": st.sampled_from([None, "", "so", 4]),
    "score": st.sampled_from([0.5, 1, -2, None, "0.5", "x", nan, float("inf"), 1e300, True, 2**80, 10**400, "9" * 400]),
    "sample_index": st.sampled_from([0, 1, 2, None, -1, 1.0, 0.5, "2", 2**63]),
    "finish_reason": st.sampled_from(["stop", "length", None, 3]),
    "n_tokens": st.sampled_from([5, None, -5, 5.0]),
    "choices": st.sampled_from([None, ["x", "y"], "x"]),
    "meta": st.sampled_from([None, {"question": "3?"}, {"question": 3}, {}, 3, {"question": None, "more": [1]}]),
}  # fmt: skip


def as_line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False)


few = st.fixed_dictionaries(
    {"prompt": st.sampled_from(["1?", "2?"]), "model": st.sampled_from(MODELS), "text": odd_texts}
).flatmap(lambda base: st.fixed_dictionaries({}, optional=values).map(lambda more: base | more))
plain = st.fixed_dictionaries(
    {
        "prompt_id": st.sampled_from("abc"),
        "prompt": st.sampled_from(["1?", "2?"]),
        "model": st.sampled_from(MODELS),
        "text": odd_texts,
    },
    optional={
        "score": st.sampled_from([0.5, 1, None]),
        "sample_index": st.integers(0, 9),
        "reasoning": st.sampled_from(["so", None]),
    },
)
lines = st.one_of(
    few.map(as_line),
    *[plain.map(as_line)] * 4,
    st.sampled_from(
        ["", " ", "x", "[1]", "{", '{"prompt": "1?"', '{"a": 1}{"a": 2}', '{"a":\t1,\n"text": "x"}', '{"text": "\\ud800"}']
    ),
    st.sampled_from(
        ['{"prompt": "1?", "model": "m", "text": "a", "text": "b"}', '{"prompt": "1?", "model": "m", "text": "a\tb"}']
    ),
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of a line or two, and types by the first two rows."""
    monkeypatch.setattr(stretches, "BYTES_AT_A_TIME", 150)
    monkeypatch.setattr(stretches, "ROWS_AT_A_TIME", 2)
    monkeypatch.setattr(stretches, "PEEK", 2)


def read(folder: Path, name: str, domain: str, **fields: Any) -> Any:
    """All that comes of a file, or what is said instead."""
    source = {"type": "responses", "path": name, **fields}
    recipe = parse({"domain": domain, "sources": [source]}, "r", folder)
    reader = Instruct(Unverified()) if domain == "instruct" else Math(VerifyMath())
    prompts: list[Any] = []
    rows: dict[str, Rows] = {"responses": [], "scores": [], "failures": []}

    def store(table: str, given: Row | pl.DataFrame) -> None:
        frame = given if isinstance(given, pl.DataFrame) else TABLES[table].frame([given])
        rows[table] += [
            {column: row.get(column) for column in TABLES[table].schema if column != "at"} for row in frame.to_dicts()
        ]

    try:
        inputs = read_inputs(recipe, reader.read, None, prompts.append, store)
    except BadInput as error:
        return str(error)
    counts = (
        inputs.n_samples,
        inputs.n_responses,
        [note.of(n) for note, n in inputs.notes.items()],
        inputs.n_rows,
        inputs.n_dropped,
        inputs.dropped,
        inputs.complete,
    )
    return rows, prompts, counts


def by_rows(folder: Path, name: str, domain: str, **fields: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "_types_of", lambda places, first: None)
        patch.setattr(stretches, "_types_in", lambda schema, places: None)
        return read(folder, name, domain, **fields)


COLUMNS: list[Row] = [
    {},
    {"columns": {"prompt": "meta.question"}},
    {"judge": "j"},
    {"model": "m"},
    {"judge": "j", "on_bad_row": "drop"},
]


@pytest.mark.parametrize("fields", COLUMNS, ids=str)
@pytest.mark.parametrize("domain", ["instruct", "math"])
@given(
    content=st.lists(lines, min_size=1, max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    more=st.sampled_from(["", "\n", "\ufeff"]),
)
def test_lines(
    tmp_path_factory: pytest.TempPathFactory, fields: Row, domain: str, content: list[str], end: str, more: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "r.jsonl").write_bytes((more + end.join(content) + more).encode())
    assert read(folder, "r.jsonl", domain, **fields) == by_rows(folder, "r.jsonl", domain, **fields)


S = pl.Series
parquet_columns = {
    name: st.sampled_from(columns)
    for name, columns in {
        "prompt_id": [S(["a", "b", "a", None]), S([1, 2, 1, 1]), S([1.0, 2.0, None, 1.0])],
        "prompt": [S(["1?", "2?", "1?", "1?"]), S(["1?", None, "1?", "1?"]), S(["1?"] * 4, dtype=pl.Categorical)],
        "model": [S(["m", "n", "m", "m"]), S(["m", "", "m", None]), S(["m"] * 4, dtype=pl.Enum(["m"]))],
        "text": [S(["x", "<think>y", None, " "]), S([1, 2, 3, 4]), S([["x"], ["y"], [], None])],
        "score": [S([1, 2, 3, None]), S([0.1, None, 2.0, 1e9], dtype=pl.Float32), S([0.1, nan, 1.0, 2.0]), S(["1"] * 4)],
        "sample_index": [S([0, 1, 2, 3], dtype=pl.UInt8), S([2**63] * 4), S([0.0, None, 1.0, 2.0]), S([-1] * 4)],
        "reference": [S([None] * 4), S(["1"] * 4), S([1, 1, 2, 2])],
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("fields", [{}, {"judge": "j", "on_bad_row": "drop"}], ids=str)
@given(columns=st.fixed_dictionaries({}, optional=parquet_columns).filter(bool))
def test_parquet(tmp_path_factory: pytest.TempPathFactory, fields: Row, columns: dict[str, pl.Series]) -> None:
    folder = tmp_path_factory.getbasetemp()
    pl.DataFrame(columns).write_parquet(folder / "r.parquet")
    assert read(folder, "r.parquet", "instruct", **fields) == by_rows(folder, "r.parquet", "instruct", **fields)


def test_plain_rows_are_taken_as_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a stretch with a fault does not take the others along."""
    taken: list[bool] = []
    real = stretches.read_stretches

    def counted(*args: Any) -> Iterator[stretches.Stretch]:
        for stretch in real(*args):
            taken.append(stretch.columns is not None)
            yield stretch

    monkeypatch.setattr("datakit.collect.imported.read_stretches", counted)
    content = [as_line(GOOD | {"text": f"answer {at}"}) for at in range(30)]
    content[20] = content[20].replace("}", "")
    (tmp_path / "r.jsonl").write_text("\n".join(content))
    found = read(tmp_path, "r.jsonl", "instruct", on_bad_row="drop")
    assert taken.count(False) == 1 and len(taken) > 5 and len(found[0]["responses"]) == 29
    assert "r.jsonl: line 21" in next(iter(found[2][2])), found[2][2]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (as_line(GOOD).encode() + b"\n" + b'{"prompt": "\xff"}\n', "r.jsonl: cannot be read after line 0: 'utf-8'"),
        (
            gzip.compress((as_line(GOOD) + "\n").encode() * 9, mtime=0)[:-9],
            "r.jsonl.gz: cannot be read after line 9: Compressed file ended",
        ),
        (
            gzip.compress((as_line(GOOD) + "\n").encode(), mtime=0)[:10] + b"\xff" * 30,
            "r.jsonl.gz: cannot be read after line 0: Error -3 while decompressing",
        ),
    ],
)
def test_a_file_that_breaks_off_says_where(tmp_path: Path, data: bytes, said: str) -> None:
    name = said.partition(":")[0]
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path, name, "instruct").startswith(said)


def test_what_is_nested_too_deeply_is_a_bad_row(tmp_path: Path) -> None:
    deep = '{"prompt": ' + "[" * 50_000 + "]" * 50_000 + "}"
    (tmp_path / "r.jsonl").write_text(f"{as_line(GOOD)}\n{deep}\n")
    assert read(tmp_path, "r.jsonl", "instruct").startswith("r.jsonl: line 2: not valid JSON (maximum recursion depth")
    rows, _, (*_, n_rows, n_dropped, _, _) = read(tmp_path, "r.jsonl", "instruct", on_bad_row="drop")
    assert len(rows["responses"]) == 1 and (n_rows, n_dropped) == (2, 1)
