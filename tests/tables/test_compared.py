"""The compared text: what it leaves out, that SQL and Python compute the same, and that every response has it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.store import Run, load_sql
from datakit.store.parts import COMPARED_BY
from datakit.tables import TABLES, Rows, make_response_id
from datakit.tables.compared import COMPARED, END_TOKENS, WHITE_SPACE, compared, compared_text
from tests.helpers.folders import ROOT

OLD = ROOT / "tests" / "fixtures" / "run-0.1"
COLUMNS = ("messages_digest", "n_chars", "text_hash")
odd = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
known = st.sampled_from(
    [*END_TOKENS, *WHITE_SPACE, "\r\n", "a", "é", "e\u0301", "😀", "\0", "<|im_end", "\u00a0", "\u2028", "\\", "|"]
)
pieces = st.lists(known | odd, max_size=12)
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


@given(st.lists(pieces.map("".join), min_size=1, max_size=5))
def test_sql_computes_the_same(texts: list[str]) -> None:
    in_sql = (
        "SELECT compared_text(t), length(compared_text(t)), md5_number_lower(compared_text(t)) FROM (SELECT unnest($1) AS t)"
    )
    assert connection.execute(in_sql, [texts]).fetchall() == [(compared_text(text), *compared(text)) for text in texts]


def of_run(folder: Path) -> dict[str, dict[str, Any]]:
    """Its responses by id."""
    with Run.open(folder) as run:
        return {row["response_id"]: row for row in run.frame("responses").to_dicts()}


def check(rows: dict[str, dict[str, Any]]) -> None:
    """Each has what is computed from its text, and the digest that its id was made of."""
    assert rows
    for key, row in rows.items():
        assert (row["n_chars"], row["text_hash"]) == compared(row["text"])
        of_source = row["model"], row["revision"], row["sampling"], row["sample_index"]
        assert make_response_id(row["messages_digest"], *of_source) == key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose responses were written without these columns."""
    return shutil.copytree(OLD, tmp_path / "run")


def part_of(folder: Path) -> Path:
    (part,) = (folder / "responses").glob("part-*.parquet")
    return part


def test_parts_of_old_runs_are_completed_as_they_are_read(folder: Path) -> None:
    before = part_of(folder).read_bytes()
    assert not set(COLUMNS) & set(pl.read_parquet(part_of(folder)).columns)
    check(of_run(folder))
    assert part_of(folder).read_bytes() == before


def test_what_nothing_asks_any_more_has_no_digest(folder: Path) -> None:
    prompts = folder / "prompts" / "part-000000.parquet"
    pl.read_parquet(prompts).head(1).write_parquet(prompts)
    rows = of_run(folder)
    kept = {key: row for key, row in rows.items() if row["messages_digest"]}
    check(kept)
    assert len(kept) < len(rows) and all(row["text_hash"] is not None for row in rows.values())


@pytest.mark.parametrize("version", [None, "compared@0", COMPARED])
def test_a_part_is_believed_where_it_names_the_rule(folder: Path, version: str | None) -> None:
    """Under another rule, or none, the columns are computed anew, and what is stored is not looked at."""
    part, rows = part_of(folder), of_run(folder)
    stored = TABLES["responses"].frame([row | {"n_chars": 7, "text_hash": 8} for row in rows.values()])
    stored.write_parquet(part, metadata={COMPARED_BY: version} if version else None)
    assert of_run(folder) == (
        rows if version != COMPARED else {key: row | {"n_chars": 7, "text_hash": 8} for key, row in rows.items()}
    )


@pytest.mark.parametrize("way", ["append", "spool", "journal"])
@pytest.mark.parametrize("lacking", [(), COLUMNS, ("messages_digest",), ("n_chars",)])
def test_what_is_written_is_completed_and_names_the_rule(folder: Path, way: str, lacking: tuple[str, ...]) -> None:
    """However rows come, and whatever they say themselves; but what was asked is not computed from an answer."""
    rows: Rows = [row | {"n_chars": 7, "text_hash": 8, "residue": "loop"} for row in of_run(folder).values()]
    rows[-1] |= dict.fromkeys(lacking)
    part_of(folder).unlink()
    with Run.create(folder) as run:
        if way == "append":
            run.append("responses", rows)
        elif way == "spool":
            spool = run.spool("responses")
            for at in (0, 2):
                spool.add(TABLES["responses"].frame(rows[at : at + 2 if at == 0 else None]))
            spool.finish()
            run.append_by(spool)
        else:
            run.journal("responses").append(rows)
            check(of_run(folder))
    assert pl.read_parquet_metadata(part_of(folder)).get(COMPARED_BY) == (None if "messages_digest" in lacking else COMPARED)
    check(of_run(folder))


def test_a_journal_of_an_older_version_is_completed(folder: Path) -> None:
    rows: Rows = [{key: value for key, value in row.items() if key not in COLUMNS} for row in of_run(folder).values()]
    part_of(folder).unlink()
    (folder / "responses" / "journal-000001.jsonl").write_text(json.dumps(rows) + "\n", encoding="utf-8")
    check(of_run(folder))
    Run.create(folder).close()
    check(of_run(folder))
