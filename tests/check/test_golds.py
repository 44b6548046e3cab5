"""What `datakit check` says of references, before anything is asked."""

from __future__ import annotations

import json

import pytest

from datakit.check.problems import check
from datakit.recipe import parse
from tests.helpers.monitors import Heard


@pytest.mark.parametrize(
    ("golds", "said", "is_problem"),
    [
        (["1", "(1", "2/0", "3"], "by 2 of 4 references (p.jsonl: line 2, p.jsonl: line 3): the reference cannot", False),
        (
            ["1", "see above", r"\text{east}", "x + 1"],
            "2 of 4 references are words, no number and no formula (p.jsonl: line 2",
            False,
        ),
        (["?", "(1"], "references: nothing can be verified by 2 of 2 references (p.jsonl: line 1, p.jsonl: line 2)", True),
        (["1", "", None], "2 prompts dropped: no reference answer (p.jsonl: line 2, p.jsonl: line 3)", False),
        (["1", r"\frac{1}{2}", "(B)", "5 cm"], None, False),
    ],
    ids=str,
)
def test_check_says_by_which_references_nothing_can_be_verified(tmp_path, golds, said, is_problem):
    """What equals itself letter by letter is no answer yet."""
    rows = [{"question": f"{at}?", "gold": gold} for at, gold in enumerate(golds)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"type": "file", "path": "p.jsonl", "columns": {"prompt": "question", "reference": "gold"}}
    (tmp_path / "r.jsonl").write_text(json.dumps({"prompt": "0?", "model": "m", "text": "1"}) + "\n")
    sources = [{"type": "responses", "path": "r.jsonl"}]
    recipe = parse({"domain": "math", "prompts": [given], "sources": sources, "verify": {"workers": 1}}, "r", tmp_path)
    heard = Heard()
    problems = [f"{one.where}: {one.what}" for one in check(recipe, None, heard) if one.where == "references"]
    found = problems if is_problem else heard.warnings
    assert [said in one for one in found] == [True] if said else found == []
