"""Mathematics: case tables (every case says where it comes from), real labelled responses, and reading prompts."""

import gzip
import json
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from datakit.domains import DOMAINS, verifying_worker
from datakit.domains.math.answers import extract
from datakit.domains.math.equality import equal
from datakit.domains.math.parsing import UnreadableReference, load
from datakit.domains.math.verifier import verify_answer
from datakit.engine.local import LocalEngine
from datakit.errors import BadInput
from datakit.recipe import VerifyMath
from datakit.tables import Rows
from tests.helpers.folders import ROOT
from tests.helpers.tables import cases

DATA = Path(os.environ.get("DATAKIT_TEST_DATA", ROOT.parent / "shared" / "data"))

real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA} (DATAKIT_TEST_DATA)")


def real_rows(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module", autouse=True)
def math_verify():
    load()


def math(**options) -> Any:
    return DOMAINS["math"](VerifyMath(**options))


@pytest.mark.parametrize("case", cases("math_answers.jsonl"))
def test_answers_are_found(case):
    found = extract(case["text"])
    assert (found and found.text, found and found.way) == (case["answer"], case["way"])


@pytest.mark.parametrize("case", cases("math_equality.jsonl"))
def test_answers_are_compared(case):
    assert equal(case["reference"], case["answer"]) is case["equal"]


@pytest.mark.parametrize("case", [*cases("math_verdicts.jsonl"), *cases("math_running_text.jsonl")])
def test_responses_are_judged(case):
    verdict = verify_answer(case["text"], case["reference"])
    assert verdict.outcome == case["outcome"], verdict


@pytest.mark.parametrize(
    "piece",
    [r"\boxed{", r"\boxed{1}", r"\boxed{1} and ", " ", "$", "$a", "$ ", "1", "1,", "1.", "1/", "-", "1 ", r"\(", r"\[",
     "answer ", "the answer is ", "the answer is x. ", "####", "#### \n", '"answer": ', '"answer": "', "\\", "<answer>",
     r"\frac{1", "A:\n", "*", "答案", "{", "\n", "a",
     "因此", "选", "(", "**", "B", "B ", "**B", "因此为 ", "3 或", r"\boxed 5", "1 = "],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", " 5", '"'])
def test_extraction_is_linear(piece, end):
    text = piece * (100_000 // len(piece)) + end
    began_at = time.process_time()
    extract(text)
    assert time.process_time() - began_at < 1.0  # milliseconds; anything quadratic takes minutes


@pytest.mark.parametrize(
    ("text", "reference", "finish_reason", "outcome", "extracted"),
    [
        (r"\boxed{5}", "5", "stop", "passed", "5"),
        (r"\boxed{5}", "5", None, "passed", "5"),
        (r"\boxed{6}", "5", "stop", "failed", "6"),
        ("no idea", "5", "stop", "unparseable", None),
        ("which makes 5", "5", None, "passed", "5"),
        ("which makes 5", "5", "length", "unparseable", None),
        ("which makes 6", "5", "length", "unparseable", None),
        ("The answer is 4", "42", "length", "unparseable", None),
        ("The answer is 42. To check it", "42", "length", "passed", "42"),
        (r"\boxed{42} and to check it", "42", "length", "passed", "42"),
        (r"first \boxed{7}, no, \boxed{4", "42", "length", "unparseable", None),
        ('{"answer": "4', "42", "length", "unparseable", None),
        (r"\boxed{5}", None, "stop", "unverifiable", None),
        (r"\boxed{5}", r"\frac{", "stop", "unverifiable", "5"),
        (rf"\boxed{{{'1+' * 600}1}}", "601", "stop", "unparseable", None),
    ],
)
def test_outcomes(text, reference, finish_reason, outcome, extracted):
    (verdict,) = math().verifier.verify([{"text": text, "reference": reference, "complete": finish_reason != "length"}])
    assert (verdict.outcome, verdict.extracted) == (outcome, extracted)


def test_an_unreadable_reference_is_no_verdict():
    with pytest.raises(UnreadableReference):
        equal(r"\frac{", "5")


def test_verifier_names_what_can_change_a_verdict():
    assert math().verifier.name == math(workers=3, timeout_s=2.0, memory_mb=2048).verifier.name == "math@3"
    assert math(timeout_s=5).verifier.name == "math@3+timeout_s=5"
    assert (
        math(units="strict", percent="strict", memory_mb=512).verifier.name
        == "math@3+percent=strict+units=strict+memory_mb=512"
    )
    assert math(strict=True).verifier.name == "math@3+strict"


def test_a_hostile_answer_takes_one_row():
    texts = {r"\boxed{5}": "passed", r"\boxed{9^{9^{9^9}}}": "timeout", r"\boxed{((9!)!)!}": "timeout", r"\boxed{6}": "failed"}
    rows = [{"text": text, "reference": "5", "finish_reason": "stop"} for text in texts]
    results = LocalEngine(1, forks=True).map(partial(verifying_worker, "math", VerifyMath()), [rows], 1.0)
    assert {r.row["text"]: r.fault or r.value["outcome"] for r in results} == texts


def agreement(rows):
    """Rows whose verdict contradicts their label, and how many were labelled."""
    labelled = [row for row in rows if row["label_correct"] is not None]
    batches = (
        [{"text": r["response"], "reference": r["gold_answer"], "finish_reason": None, "of": r} for r in labelled[at : at + 64]]
        for at in range(0, len(labelled), 64)
    )
    wrong = []
    for result in LocalEngine(forks=True).map(partial(verifying_worker, "math", VerifyMath()), batches, 10.0):
        row = result.row["of"]
        if result.value is None or (result.value["outcome"] == "passed") is not row["label_correct"]:
            wrong.append((row["prompt_id"], row["source_model"], row["gold_answer"], result.value or result.message))
    return wrong, len(labelled)


@real
def test_labels_of_a_sample():
    wrong, n = agreement(real_rows("responses/math.jsonl.gz")[::18])
    assert n > 590
    assert wrong == []


@real
@pytest.mark.slow
def test_labels_of_all_rows():
    wrong, n = agreement(real_rows("responses/math.jsonl.gz"))
    assert n == 10_809
    assert wrong == []


@real
def test_gold_passes_its_own_verifier():
    domain = math()
    columns = {"prompt_id": "prompt_id", "prompt": "prompt", "reference": "gold_answer", "solution": "solution"}
    rows = [{ours: row[theirs] for ours, theirs in columns.items()} for row in real_rows("prompts/gsm8k_train.jsonl.gz")]
    for prompt in domain.read(rows, "gsm8k"):
        for known in (prompt, replace(prompt, solution=None)):
            assert verify_answer(domain.gold(known), prompt.reference).outcome == "passed", prompt
        assert verify_answer(domain.gold(prompt), prompt.solution).outcome == "passed", prompt


@pytest.mark.parametrize("reference", ["5", r"\frac12", "#### 7", r"Thus \boxed{3}.", r"\{1, 2\}", r"(-\infty, 3]", "Monday"])
def test_gold_of_a_reference_alone(reference):
    (prompt,) = math().read([{"prompt": "?", "reference": reference}], "here")
    assert verify_answer(math().gold(prompt), reference).outcome == "passed"


def test_prompts_are_read():
    rows: Rows = [
        {"prompt": "1+1?", "reference": "2"},
        {"prompt": "1+1?", "reference": "2"},
        {"prompt_id": 7, "messages": [{"role": "user", "content": "2+2?", "name": None}], "reference": 4.0},
        {"prompt_id": "a", "prompt": "?", "reference": None},
        {"prompt_id": "b", "prompt": " ", "reference": 0.0000001},
        {"prompt_id": "c", "prompt": "?", "reference": float("nan"), "solution": "so"},
    ]
    same, again, seven, a, b, c = math().read(rows, "here.jsonl")
    assert same.prompt_id == again.prompt_id and len(same.prompt_id) == 16
    assert (same.domain, same.source, same.reference, same.dropped) == ("math", "here.jsonl", "2", None)
    assert same.messages == [{"role": "user", "content": "1+1?"}]
    assert (seven.prompt_id, seven.reference, seven.messages) == ("7", "4", [{"role": "user", "content": "2+2?"}])
    assert (a.dropped, math().gold(a)) == ("no reference answer", None)
    assert (b.dropped, b.reference) == ("empty prompt", "0.0000001")
    assert (c.dropped, c.reference, c.solution) == ("no reference answer", None, "so")


@pytest.mark.parametrize(
    ("listed", "reference", "right", "wrong"),
    [
        (["9/4", "2.25"], '["9/4", "2.25"]', "2.25", "2.5"),
        (["1,200", "1.2 thousand"], '["1,200", "1.2 thousand"]', "1200", "200"),
        ([1, 2.5, None], '["1", "2.5"]', "2.50", "2"),
        ([-1, 3], '["-1", "3"]', "3", "-1, 3"),
        (["(B)", "B"], '["(B)", "B"]', "B", "A"),
        (["甲", "甲队"], '["甲", "甲队"]', "甲队", "7"),
        (["x > 2"], "x > 2", r"(2, \infty)", r"[2, \infty)"),
        ([4.0, " "], "4", "4", "0.4"),
    ],
)
def test_a_list_as_reference_holds_acceptable_answers(listed, reference, right, wrong):
    (prompt,) = math().read([{"prompt": "?", "reference": listed}], "here")
    assert (prompt.reference, prompt.dropped) == (reference, None)
    assert verify_answer(rf"\boxed{{{right}}}", prompt.reference).outcome == "passed"
    assert verify_answer(rf"\boxed{{{wrong}}}", prompt.reference).outcome != "passed"


@pytest.mark.parametrize("listed", [[], [None], ["", " "], [float("nan")]])
def test_an_empty_list_is_no_reference(listed):
    (prompt,) = math().read([{"prompt": "?", "reference": listed}], "here")
    assert (prompt.reference, prompt.dropped) == (None, "no reference answer")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "?"}, r"row 2: no prompt and no messages; .*\(there are: question\)"),
        ({"prompt": 5}, r"row 2: prompt must be text \(got 5\)"),
        (
            {"prompt_id": "x", "prompt": "?", "reference": [[1]]},
            r"row 2 \(prompt_id x\): reference must be text \(got \[\[1\]\]\)",
        ),
        ({"prompt": "?", "reference": ["1", {"value": 2}]}, "reference must be text"),
        ({"prompt": "?", "reference": [True, "5"]}, "reference must be text"),
        ({"prompt_id": True, "prompt": "?"}, "prompt_id must be text"),
        ({"messages": "hello"}, "messages must be a list"),
        ({"messages": []}, "messages must be a list"),
        ({"messages": [{"role": "user"}]}, r"messages\.0 must have a role .* and a content"),
        ({"messages": [{"role": "boss", "content": "?"}]}, r"messages\.0 must have a role"),
        ({"messages": [{"role": "assistant", "content": "5"}]}, "must end with the user's"),
        ({"prompt": "?", "solution": 5}, "solution must be text"),
    ],
)
def test_bad_rows_are_named(row, message):
    with pytest.raises(BadInput, match=message) as raised:
        list(math().read([{"prompt": "fine"}, row], "here"))
    assert str(raised.value).startswith("here: row 2")


def test_what_stages_need_to_know():
    verifier = math().verifier
    other = math(timeout_s=7.5, memory_mb=512).verifier
    assert (verifier.deadline_s, verifier.memory_mb, other.deadline_s) == (2.0, 2048, 7.5)
    assert verifier.faults == {"timeout": "timeout", "crash": "error"}
    assert not verifier.retries_timeouts and not verifier.wrong & set(verifier.faults.values())


@pytest.mark.parametrize(
    ("text", "reference", "outcome", "detail"),
    [
        (r"\begin{align*} x &= \frac{a}{b} \end{align*}", r"\frac{a}{b}", "passed", "math-verify"),
        (r"\begin{align*} x &= \frac{a}{b} \end{align*}", r"\frac{a}{c}", "failed", "math-verify"),
        ('{"answer": null}', "5", "unparseable", "the answer was left blank"),
        ("I do not know.", "5", "unparseable", "no answer found"),
        ("The answer is (B).", "B", "passed", "phrase"),
        ("Thus the right choice is\n\n**B**", "(B)", "passed", "line"),
        (r"\boxed{\text{(B)}}", r"\text{(B)}", "passed", "box"),
        ("So 12 in all.", "B", "unparseable", "no answer found"),
        ("答案为 (C) 12", "C", "passed", "phrase"),
        (r"\boxed{\frac{1}{2}}" + "\n" + r"\boxed{\frac{1}{3}}", "1/3", "passed", "box"),
        (r"\boxed{5}", "5 " + "a" * 1100, "unverifiable", "the reference is over 1000 characters"),
    ],
)
def test_details_say_how_an_answer_was_found(text, reference, outcome, detail):
    verdict = verify_answer(text, reference)
    assert (verdict.outcome, verdict.detail) == (outcome, detail)
