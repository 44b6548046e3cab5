"""Rows that cannot be used, kind by kind: of each several, told with their line or dropped, and three that can be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.check.problems import check
from datakit.errors import BadInput
from tests.collect.test_files import GOOD, as_json_lines, read, recipe_of
from tests.helpers.monitors import Heard

FIRST = as_json_lines([GOOD])


def good(**more: Any) -> bytes:
    return as_json_lines([GOOD | {"text": "2"} | more])


BAD: dict[str, list[bytes]] = {
    "not valid JSON": [
        b'{"prompt": "x\n',
        b"{'prompt': 'x'}\n",
        b'{"prompt": "x",}\n',
        b"nothing\n",
        b"{}{}\n",
        b'{"a": 01}\n',
        b"\x00\n",
    ],
    "not a JSON object": [b"[1]\n", b"7\n", b'"a text"\n', b"null\n", b"true\n", b"[{}]\n", b"NaN\n"],
    "holds half a character": [
        *(good(text="x").replace(b'"x"', half) for half in (b'"\\ud800"', b'"\\udfff"', b'"a\\ud83d b"', b'"\\ude00\\ud83d"')),
        good(meta={"deep": ["x"]}).replace(b'"x"', b'"\\uDBFF"'),
        good(x=1).replace(b'"x"', b'"\\udc00"'),
    ],
    "prompt must be text": [good(prompt=wrong) for wrong in (5, 0.5, True, ["x"], {"x": 1})],
    "text must be text": [good(text=wrong) for wrong in (5, 0.5, False, {"x": 1}, 10**30)],
    "score is": [good(score=wrong) for wrong in ("high", True, [0.5], {"x": 1}, "nan", "1e999", "1,5")],
    "sample_index must be": [good(sample_index=wrong) for wrong in (-1, 0.5, "x", 10**30, [1], True)],
    "no prompt and no messages": [
        good(prompt=None),
        as_json_lines([{"text": "2", "model": "m"}]),
        b"{}\n",
        b'{"x": 1}\n',
        b'{"prompt": null}\n',
    ],
    "messages": [good(prompt=None, messages=wrong) for wrong in ([], "x", 5, [{"role": "user"}], [["user", "x"]])],
    "no model for the response": [
        good(model=None),
        good(model=""),
        as_json_lines([{"prompt": "1?", "text": "2"}]),
        good(model=" "),
        good(model="\n\t"),
    ],
}
USABLE: dict[str, list[bytes]] = {
    "not valid JSON": [b"  " + good(), good().rstrip() + b" \t\n", good().replace(b"{", b"{ ", 1)],
    "not a JSON object": [b"\n" + good(), good(meta=[1]), good(meta=None)],
    "holds half a character": [
        good(text="x").replace(b'"x"', b'"\\ud83d\\ude00"'),
        good(text="\U0001f600"),
        good(text="x").replace(b'"x"', b'"\\\\ud800"'),
    ],
    "prompt must be text": [good(prompt=given, prompt_id=given) for given in ("5", "\u2028", "null")],
    "text must be text": [good(text="5"), good(text="false"), good(text=" x ")],
    "score is": [good(score="0.5"), good(score=None), good(score=-3)],
    "sample_index must be": [good(sample_index=5), good(sample_index="5"), good(sample_index=None)],
    "no prompt and no messages": [
        good(prompt=None, messages=[{"role": "user", "content": "1?"}]),
        good(prompt=".", prompt_id="b"),
        good(prompt=None, messages='[{"role": "user", "content": "1?"}]'),
    ],
    "messages": [
        good(prompt=None, messages=[{"role": "user", "content": "1?"}]),
        good(messages=None),
        good(prompt=None, messages=[{"from": "human", "value": "1?"}]),
    ],
    "no model for the response": [good(model="5"), good(model="a b"), good(model="\u6a21")],
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, kind: str) -> None:
    for at, line in enumerate(BAD[kind]):
        path = tmp_path / f"{at}.jsonl"
        path.write_bytes(FIRST + line + good(text="3"))
        notes: list[str] = []
        kept = [row["text"] for row in read(tmp_path, path.name, notes, on_bad_row="drop")["responses"]]
        assert kept == ["1", "3"], line
        assert [kind in note and "line 2" in note for note in notes if "dropped" in note] == [True], (line, notes)
        with pytest.raises(BadInput, match="line 2"):
            read(tmp_path, path.name, on_bad_row="stop")


SEVERAL: dict[str, tuple[bytes, list[str]]] = {
    "r.jsonl": (
        b"".join([good(), b"{\n"] * 3 + [b"[]\n"] * 3 + [good(prompt=None)]),
        ["line 2", "line 4", "line 6", "line 7", "line 8"],
    ),
    "r.json": (json.dumps([GOOD, 1] * 6).encode(), ["item 2", "item 4", "item 6", "item 8", "item 10"]),
    "r.csv": (b"prompt,model,text\n" + b"1?,m,2\n1?,m\n" * 6, ["line 3", "line 5", "line 7", "line 9", "line 11"]),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_check_tells_several_bad_rows_at_once(tmp_path: Path, name: str) -> None:
    """The first five with their lines, and how many there are; a build stops at the first."""
    data, places = SEVERAL[name]
    (tmp_path / name).write_bytes(data)
    heard = Heard()
    told = check(recipe_of(tmp_path, name, judge=None), None, heard)
    assert [problem.what.partition(": ")[0] for problem in told] == places and {problem.where for problem in told} == {name}
    assert sum(int(one.split()[0]) for one in heard.warnings if "at which a build stops (on_bad_row: drop" in one) == 6
    with pytest.raises(BadInput, match=f"{places[0]}: .*on_bad_row: drop"):
        read(tmp_path, name, judge=None)
    assert check(recipe_of(tmp_path, name, judge=None, on_bad_row="drop"), None, Heard()) == []


@pytest.mark.parametrize("kind", USABLE)
def test_what_only_looks_like_one_is_used(tmp_path: Path, kind: str) -> None:
    assert len(USABLE[kind]) == 3
    for at, line in enumerate(USABLE[kind]):
        path = tmp_path / f"{at}.jsonl"
        path.write_bytes(FIRST + line + good(text="3"))
        notes: list[str] = []
        assert len(read(tmp_path, path.name, notes, on_bad_row="stop")["responses"]) == 3, (line, json.dumps(notes))
