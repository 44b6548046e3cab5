"""Entity F1: counted from verdicts by a view, with the references of now; a build selects by it."""

import json

import pytest

from datakit.domains import domain_of
from datakit.recipe import load, resolve
from tests.helpers.command import datakit, rows_of, write_recipe

KB = [{"name": "Blue Gull", "area": "harbour", "phone": "555 111"}, {"name": "Red Oak", "area": "hill", "phone": "555 222"}]
ASKED = [("Where can I eat at the harbour?", "Blue Gull is at the harbour."), ("And their phone?", "Blue Gull has 555 111.")]
ANSWERS = ["Blue Gull is at the harbour.", "Blue Gull has 555 111.", "Red Oak is at the harbour.", "Red Oak, 555 222, hill."]
COUNTS = {  # right, wrong, left out, of the values of each answer to each prompt; by hand
    (0, 0): (2, 0, 0), (0, 1): (1, 1, 1), (0, 2): (1, 1, 1), (0, 3): (0, 3, 2),
    (1, 0): (1, 1, 1), (1, 1): (2, 0, 0), (1, 2): (0, 2, 2), (1, 3): (0, 3, 2),
}  # fmt: skip


def write(folder, golds=ASKED):
    rows = [
        {"prompt_id": f"p{at}", "prompt": question, "reference": gold, "model": "m", "text": text}
        for at, (question, gold) in enumerate(golds)
        for text in ANSWERS
    ]
    (folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "kb.jsonl").write_text("".join(json.dumps(row) + "\n" for row in KB))
    values: dict = {"domain": "dialogue", "verify": {"kb": "kb.jsonl"}, "score": {"type": "entity_f1"}}
    values |= {"sources": [{"type": "responses", "path": "r.jsonl"}]}
    values |= {"select": {"split": "share", "sft_share": 0.0, "margin": None}}
    return write_recipe(folder / "r.yaml", values)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dialogue")
    done = datakit("build", "--recipe", write(folder), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder


STORED = "SELECT prompt_id, sample_index, score, objectives FROM scores JOIN responses USING (response_id)"


def test_every_answer_has_its_f1_and_its_counts(built):
    found = {(int(row["prompt_id"][1:]), row["sample_index"]): row for row in rows_of(built / "run", STORED)}
    assert found.keys() == COUNTS.keys()
    for key, (right, wrong, left_out) in COUNTS.items():
        assert found[key]["objectives"] == [right, wrong, left_out], key
        assert found[key]["score"] == pytest.approx(2 * right / (2 * right + wrong + left_out)), key


def test_the_right_answer_is_chosen_and_the_wrong_place_rejected(built):
    pairs = rows_of(built / "run", "SELECT prompt_id, chosen, rejected FROM pairs_with_texts ORDER BY prompt_id")
    assert [pair["chosen"] for pair in pairs] == ANSWERS[:2]
    assert all(pair["rejected"].startswith("Red Oak") for pair in pairs), "the second prompt has two with nothing right"


def test_the_judge_is_named_by_the_knowledge_base(built):
    recipe = resolve(load(built / "r.yaml"))
    verifier = domain_of(recipe).verifier
    assert {row["judge"] for row in rows_of(built / "run", "SELECT judge FROM scores")} == {
        f"entity_f1@{verifier.name.partition('+kb=')[2]}"
    }


@pytest.mark.parametrize("form", ["plain", "by row"])
def test_a_response_is_of_one_prompt(tmp_path, form):
    write(tmp_path)
    turns = [{"user": question, "system": gold} for question, gold in ASKED]
    rows = [{"messages": turns, "model": "m", "text": text, "score": None if form == "plain" else "1"} for text in ANSWERS]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = datakit("build", "--recipe", tmp_path / "r.yaml", "--out", tmp_path / "run")
    assert done.returncode == 2 and "a row is a whole dialogue; a response answers one prompt" in done.stderr


def test_a_merged_run_has_the_same_scores(built, tmp_path):
    assert datakit("merge", tmp_path / "run", built / "run").returncode == 0
    scores = "SELECT response_id, judge, score, objectives FROM scores ORDER BY 1"
    assert rows_of(tmp_path / "run", scores) == rows_of(built / "run", scores)
    assert not list((tmp_path / "run" / "scores").glob("*")), "they follow from verdicts"


def test_a_changed_reference_counts_alone(built):
    """The golds change places: each answer has one score, by the reference of now."""
    write(built, [(ASKED[0][0], ASKED[1][1]), (ASKED[1][0], ASKED[0][1])])
    done = datakit("build", "--recipe", built / "r.yaml", "--out", built / "run")
    assert done.returncode == 0 and "copied" not in done.stderr, done.stderr
    rows = rows_of(built / "run", STORED)
    found = {(int(row["prompt_id"][1:]), row["sample_index"]): tuple(row["objectives"]) for row in rows}
    assert len(rows) == 8 and found == {(at, index): COUNTS[1 - at, index] for at, index in COUNTS}
    pairs = rows_of(built / "run", "SELECT chosen FROM pairs_with_texts ORDER BY prompt_id")
    assert [pair["chosen"] for pair in pairs] == [ANSWERS[1], ANSWERS[0]]
