"""Formats of tests: how each is told, what it becomes, and that right programs pass and wrong ones fail (a case table)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from datakit.domains.code.domain import Code
from datakit.domains.code.verifier import CodeVerifier
from datakit.errors import BadInput
from datakit.recipe import VerifyCode
from datakit.sandbox.inside.confine import landlock_abi
from datakit.tables import Prompt
from tests.helpers.folders import CASES

ROWS = [json.loads(line) for line in (CASES / "code_formats.jsonl").read_text(encoding="utf-8").splitlines()]
COLUMNS = ("entry_point", "test_style")
confined = pytest.mark.skipif(
    sys.platform != "linux" or not (landlock_abi() or shutil.which("bwrap")), reason="nothing here can confine a program"
)


def of(kind: str) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in ROWS if kind in row]


def read(row: dict[str, Any]) -> Prompt:
    columns = {name: row[name] for name in COLUMNS if name in row}
    (prompt,) = Code(VerifyCode()).read([{"prompt": "Write add(a, b).", "reference": row["tests"], **columns}], "here.jsonl")
    return prompt


@pytest.fixture(scope="module")
def verifier() -> Iterator[CodeVerifier]:
    found = CodeVerifier(VerifyCode())
    found.warm()
    yield found
    for sandbox in found._sandboxes.values():
        sandbox.close()


def test_the_table_is_large_and_its_names_are_unique() -> None:
    names = [row["name"] for row in ROWS]
    assert len(names) >= 80 and len(set(names)) == len(names)


@pytest.mark.parametrize("row", of("style"))
def test_the_format_is_told(row: dict[str, Any]) -> None:
    prompt = read(row)
    assert (prompt.test_style, prompt.dropped) == (row["style"], None)
    assert prompt.entry_point == row.get("called", row.get("entry_point"))


@pytest.mark.parametrize("row", of("error"))
def test_what_shows_no_format_or_two_is_an_error_with_what_was_seen(row: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as raised:
        read(row)
    said = str(raised.value)
    assert said.startswith("here.jsonl: prompt ") and row["error"] in said and "write the column test_style, one of" in said


@confined
@pytest.mark.parametrize("row", of("style"))
def test_right_programs_pass_and_wrong_ones_fail(row: dict[str, Any], verifier: CodeVerifier) -> None:
    prompt = read(row)
    given = {"messages": prompt.messages, "reference": prompt.reference, "test_style": prompt.test_style}
    programs = [row[kind] for kind in ("right", "wrong") if kind in row]
    rows = [
        {**given, "entry_point": prompt.entry_point, "text": f"```python\n{program}```", "finish_reason": "stop"}
        for program in programs
    ]
    found = list(verifier.verify(rows))
    if reason := row.get("cannot") or row.get("cannot_run"):
        assert {verdict.outcome for verdict in found} == {"unverifiable"} and reason in str(found[0].detail), found
    else:
        assert [verdict.outcome for verdict in found] == ["passed", "failed"], found
