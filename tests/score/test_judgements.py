"""Who is held against whom, in SQL; and selection by what comparisons come to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from datakit.store import Run, load_sql
from datakit.tables import TABLES, digest
from tests.helpers.command import datakit, recipe_over, rows_of, write_recipe
from tests.helpers.fake_endpoint import Body, Fake, running

ANSWERS = """
    SELECT * FROM (VALUES
        ('p', 'a1', 'a', NULL, 's', 0, 'd', 1::UBIGINT), ('p', 'a2', 'a', NULL, 's', 1, 'd', 2::UBIGINT),
        ('p', 'a3', 'a', NULL, 's', 2, 'd', 2::UBIGINT), ('p', 'b1', 'b', 'r', 's', 0, 'd', 4::UBIGINT),
        ('p', 'b2', 'b', 'r', 's', 1, 'd', 5::UBIGINT), ('q', 'b3', 'b', 'r', 's', 0, 'e', 6::UBIGINT),
        ('q2', 'b3', 'b', 'r', 's', 0, 'e', 6::UBIGINT)
    ) AS t (prompt_id, response_id, model, revision, sampling, sample_index, reference_digest, text_hash)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with Run.create(tmp_path_factory.mktemp("run") / "run") as run:
        run.make_table("judged_answers", ANSWERS)
        yield run


def pairs(run: Run, statement: str, **params: object) -> list[tuple[str, str]]:
    found = run.query(load_sql(f"judge/{statement}"), {"judge": "j", **params})
    for row in found.iter_rows(named=True):
        second = row["second_id"] or ""
        assert row["judgement_id"] == digest("j", row["first_id"], second, row["reference_digest"])
    return sorted((row["first_id"], row["second_id"]) for row in found.iter_rows(named=True))


def test_one_answer_is_graded_once_whoever_asks(run):
    assert [first for first, _ in pairs(run, "pair_none")] == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_all_others_meet_the_baselines_first_answer(run):
    both = pairs(run, "pair_against", model="b", revision="r", both=True)
    assert both == sorted([*((a, "b1") for a in ("a1", "a2", "a3")), *(("b1", a) for a in ("a1", "a2", "a3"))])
    once = pairs(run, "pair_against", model="b", revision="r", both=False)
    assert {frozenset(pair) for pair in once} == {frozenset(pair) for pair in both} and len(once) == 3
    assert pairs(run, "pair_against", model="b", revision=None, both=True) == []


def test_answers_of_one_source_meet_each_other_and_equal_texts_do_not(run):
    both = pairs(run, "pair_among", both=True)
    assert both == [("a1", "a2"), ("a1", "a3"), ("a2", "a1"), ("a3", "a1"), ("b1", "b2"), ("b2", "b1")]
    assert len(pairs(run, "pair_among", both=False)) == 3


def test_only_grades_with_the_references_of_now_count(run):
    """Two prompts have exchanged their references: each old one is still that of a prompt."""
    now = "(VALUES ('x', 'of y'), ('y', 'of x')) AS t (response_id, reference_digest)"
    run.make_table("current_responses", f"SELECT * FROM {now}")
    grades = "('x', 'of x', 1.0), ('y', 'of y', 0.8), ('x', 'of y', 0.2), ('y', 'of x', 0.4)"
    named = f"(VALUES {grades}) AS t (first_id, reference_digest, value)"
    run.make_table("judgements", f"SELECT *, NULL::VARCHAR AS second_id, 'j' AS judge FROM {named}")
    found = run.query(load_sql("views/judged_scores")).sort("response_id")
    assert found.rows() == [("x", "j", 0.2), ("y", "j", 0.4)]


def longer(body: Body) -> str:
    """A judge of length: it says so in five grades."""
    text = body["messages"][-1]["content"]
    a, b = (len(re.findall(rf"<answer_{one}>(.*?)</answer_{one}>", text, re.DOTALL)[0]) for one in "ab")
    return "[[A=B]]" if a == b else "[[A>B]]" if a > b else "[[B>>A]]"


def test_pairs_are_selected_by_the_share_of_comparisons_won(tmp_path: Path):
    """The longest of a source against its shortest; scores are of answers that are current, also after n has changed."""
    prompts = tmp_path / "p.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"p{at}", "question": f"What is {at} + 1?"}) + "\n" for at in range(4)))
    with running(Fake()) as source, running(Fake(say=longer)) as judge:
        recipe = recipe_over(source.url, prompts, n=4) | {
            **{"domain": "instruct", "verify": {}, "select": {"margin": [0.1, 1.0]}},
            "score": {"type": "pairwise", "model": "org/judge", "base_urls": [judge.url]},
            "limits": {"min_pairs": None, "max_chosen_longer_share": None},
        }
        recipe["prompts"][0]["columns"] = {"prompt_id": "id", "prompt": "question"}
        build = ("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
        assert datakit(*build).returncode == 0
        shares = "SELECT r.prompt_id, s.score, r.n_chars FROM scores s JOIN responses r USING (response_id) ORDER BY ALL"
        found = rows_of(tmp_path / "run", shares)
        for row in found:
            others = [one for one in found if one["prompt_id"] == row["prompt_id"] and one["n_chars"] != row["n_chars"]]
            beaten = sum(one["n_chars"] < row["n_chars"] for one in others)
            alike = sum(one["n_chars"] == row["n_chars"] and one["prompt_id"] == row["prompt_id"] for one in found) - 1
            assert row["score"] == pytest.approx((beaten + alike / 2) / 3), "a tie is half a win"
        chosen = rows_of(tmp_path / "run", "SELECT chosen_score, rejected_score, log_length_ratio FROM pairs")
        assert len(chosen) == 4 and all(row["log_length_ratio"] > 0 and row["chosen_score"] > 0.6 for row in chosen)
        asked = judge.n_requests
        recipe["sources"][0]["n"] = 2
        write_recipe(tmp_path / "r.yaml", recipe)
        assert datakit(*build).returncode == 0 and judge.n_requests == asked == 4 * 6 * 2
        assert {row["score"] for row in rows_of(tmp_path / "run", "SELECT score FROM scores")} <= {0.0, 0.5, 1.0}
        assert set(TABLES["scores"].schema) == set(rows_of(tmp_path / "run", "SELECT * FROM scores LIMIT 1")[0])
