"""Right is what has all gold values and none of another entity: a case table, references that are none, the run's name."""

import json

import pytest

from datakit.domains.dialogue.knowledge import KnowledgeBase
from datakit.domains.dialogue.verifier import DialogueVerifier, verify_answer
from datakit.recipe import VerifyDialogue
from tests.helpers.tables import cases

COLUMNS = ("name", "area", "food", "price", "address", "phone")
ROWS = [
    ("Blue Gull", "harbour", "fish", "cheap", "4 Mill Lane", "555 111"),
    ("Red Oak", "old harbour", "fish", "dear", "7 Quay Street", "555 222"),
]
SPELLINGS = {"harbor": "harbour"}
KB = KnowledgeBase.of([dict(zip(COLUMNS, row, strict=True)) for row in ROWS], (), SPELLINGS)
OPTIONS = VerifyDialogue(kb="kb.jsonl", spellings=SPELLINGS)


def reference(values, entities, **more):
    return json.dumps({"values": values, "entities": entities, "response": "", **more})


@pytest.mark.parametrize("case", cases("dialogue.jsonl"))
def test_verdicts(case):
    held = reference(case["values"], case["entities"])
    verdict = verify_answer(case["text"], held, KB, OPTIONS, case.get("truncated", False))
    assert (verdict.outcome, json.loads(verdict.extracted)) == (case["outcome"], case["found"])
    assert verdict.detail.endswith(f"[{case.get('way', 'complete')}]")


def test_a_row_with_knowledge_of_its_own_needs_no_file():
    held = reference(["tom"], ["tea"], kb=[{"event": "Tea", "party": "Tom"}, {"event": "Dinner", "party": "Ann"}])
    options = VerifyDialogue()
    assert verify_answer("With Tom.", held, None, options).outcome == "passed"
    assert verify_answer("Dinner with Tom.", held, None, options).outcome == "failed"
    assert verify_answer("Red Oak, with Tom.", held, KB, options).outcome == "passed", "what another file has is no value here"


@pytest.mark.parametrize("broken", [None, "", "x", "[]", '{"values": []}', reference([], ["red oak"]), '{"values": "red"}'])
def test_a_reference_that_is_none_is_no_wrong_answer(broken):
    assert verify_answer("Red Oak", broken, KB, OPTIONS).outcome == "unverifiable"


def test_a_knowledge_base_without_values_finds_nothing():
    assert KnowledgeBase.of([{"name": "-"}], (), {}).find("- a -") == [] == KnowledgeBase.of([], (), {}).find("a")


def test_the_name_has_what_changes_verdicts():
    assert DialogueVerifier(VerifyDialogue()).name == "dialogue@1"
    assert DialogueVerifier(VerifyDialogue(kb="k", revision="abc", timeout_s=5)).name == "dialogue@1+kb=abc+timeout_s=5"
    assert DialogueVerifier(VerifyDialogue(kb="k", revision="abc", top=9, meta=False)).name == "dialogue@1+kb=abc"
