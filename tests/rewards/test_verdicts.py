"""Verdicts of judges: as they are read, what judges are asked, and what tells one judge from another."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from datakit.recipe import ChatJudge, Grade, Pairwise
from datakit.recipe.judging import RewardSection
from datakit.rewards import Question, as_references, judge_name
from datakit.rewards.remote.judgement import Unread
from datakit.rewards.remote.prompted import request
from datakit.rewards.remote.verdicts import Verdict, read_verdict
from tests.helpers.tables import cases

WHERE: dict[str, Any] = {"model": "j", "base_urls": ["http://127.0.0.1:1/v1"]}
PAIR: dict[str, Any] = {"type": "pairwise", **WHERE}
GRADE: dict[str, Any] = {"type": "grade", "prompt": {"template": "{question} {answer}"}, **WHERE}


def judge(**values: Any) -> ChatJudge:
    made = TypeAdapter(RewardSection).validate_python(values)
    assert isinstance(made, ChatJudge)
    return made


@pytest.mark.parametrize("case", cases("judgements.jsonl"), ids=lambda case: case["source"])
def test_a_verdict_is_read_or_none_is(case):
    shape = PAIR | {"prompt": {"template": "{answer_a} {answer_b}"}} if case["verdict"] in ("grades", "token") else GRADE
    choice: dict[str, Any] = {"message": {"content": case.get("text", "m")}, "finish_reason": "stop"}
    if case.get("likely"):
        choice["logprobs"] = {"content": [{"top_logprobs": [{"token": t, "logprob": p} for t, p in case["likely"].items()]}]}
    found = read_verdict(judge(**shape, verdict=case["verdict"]), choice)
    if "error" in case:
        assert isinstance(found, Unread) and found.error == case["error"]
    else:
        assert isinstance(found, Verdict) and found.verdict == case["said"] and found.value == pytest.approx(case["value"])


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        ({"message": {"content": "[[A>B]]"}, "finish_reason": "length"}, "cut_off"),
        ({"message": {"content": "[[A>B]]"}, "finish_reason": "content_filter"}, "content_filter"),
        ({"message": {"content": "<think>[[A>B]]"}, "finish_reason": "stop"}, "cut_off"),
        ({"message": {"content": "<think>[[A>B]]</think>Hm."}, "finish_reason": "stop"}, "unparseable_judgement"),
    ],
)
def test_drafts_and_halves_are_no_verdicts(choice, error):
    found = read_verdict(judge(**PAIR), choice)
    assert isinstance(found, Unread) and found.error == error


def test_answers_are_shown_in_the_order_of_the_question_and_braces_in_them_are_text():
    asked = Question([{"role": "user", "content": "Say {answer_b}."}], ("{answer_b}", "two"), key="k")
    told = request(judge(**PAIR), asked)["messages"][-1]["content"]
    assert "<answer_a>\n{answer_b}\n</answer_a>" in told and "<answer_b>\ntwo\n</answer_b>" in told
    assert "[user]\nSay {answer_b}." in told and "{rubric}" not in told


def test_of_a_second_turn_a_judge_sees_both_turns_and_both_references():
    template = "{question_1}|{answer_1}|{question_2}|{answer_2}|{ref_answer_1}|{ref_answer_2}|{reference}"
    turns: Any = [{"role": role, "content": text} for role, text in (("user", "q1"), ("assistant", "a1"), ("user", "q2"))]
    asked = Question(turns, ("a2",), as_references(["r1", "r2"]))
    plain = judge(**GRADE, with_reference={"template": template + "{answer}"})
    assert request(plain, asked)["messages"][-1]["content"] == "q1|a1|q2|a2|r1|r2|r2a2"
    assert request(plain, Question(turns, ("a2",)))["messages"][-1]["content"] == "q2 a2", "no reference, the other prompt"
    with pytest.raises(KeyError):
        request(judge(**GRADE | {"prompt": {"template": "{answer} {reference}"}}), Question(turns, ("a2",)))


def test_what_changes_a_verdict_changes_the_judges_name():
    """And nothing else does: where it is, what it costs, which orders it is shown."""
    same = [
        PAIR,
        PAIR | {"price": {"input": 1.0}},
        PAIR | {"orders": "random"},
        PAIR | {"against": 3},
        PAIR | {"labels": ["x", "y"]},
    ]
    own = {"template": "{answer_a} {answer_b}"}
    other = [
        *(PAIR | {"rubric": "Short."}, PAIR | {"prompt": own}, PAIR | {"prompt": own | {"system": "s"}}),
        *(PAIR | {"prompt": own, "verdict": "token"}, PAIR | {"prompt": own, "verdict": "token", "labels": ["x", "y"]}),
        *(PAIR | {"sampling": {"temperature": 1.0}}, PAIR | {"revision": "2"}, GRADE, GRADE | {"scale": [1, 5]}),
        GRADE | {"with_reference": {"template": "{reference} {answer}"}},
    ]
    assert len({judge_name(judge(**one)) for one in same}) == 1
    assert len({judge_name(judge(**one)) for one in [PAIR, *other]}) == len(other) + 1
    assert judge_name(judge(**GRADE | {"scale": [1, 10]})) == judge_name(judge(**GRADE | {"scale": [1.0, 10.0]}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (PAIR | {"prompt": {"template": "{answer_a}"}}, "it must contain {answer_b}"),
        (PAIR | {"prompt": {"template": "{answer_a} {answer_b} {gold}"}}, "there is no {gold}"),
        (PAIR | {"verdict": "token"}, "verdict: token needs a prompt"),
        (PAIR | {"labels": ["m", "m"]}, "labels must be two different tokens"),
        (PAIR | {"rubric": "r", "prompt": {"template": "{answer_a} {answer_b}"}}, "rubric is for the built-in prompt"),
        (GRADE | {"prompt": {"template": "{question}"}}, "it must contain {answer}"),
        (GRADE | {"scale": [10, 1]}, "scale must be [worst, best]"),
    ],
)
def test_what_cannot_be_a_judge(values, said):
    with pytest.raises(ValidationError) as error:
        judge(**values)
    assert said in str(error.value)


def test_both_kinds_are_sections_of_a_score():
    assert isinstance(judge(**PAIR), Pairwise) and isinstance(judge(**GRADE), Grade)
