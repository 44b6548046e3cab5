"""Multiple choice: a case table (every case says where it comes from), the forms of published data sets, and a build."""

import json
import time

import pytest

from datakit.domains import DOMAINS
from datakit.domains.mcq.verifier import verify_answer
from datakit.domains.stated import stated_choice
from datakit.errors import BadRow
from datakit.recipe import VerifyMcq
from tests.helpers.command import datakit, recipe_over, rows_of, write_recipe
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.tables import cases

CITIES = ["London", "Paris", "Rome", "Bern"]


def reference(letter, choices=CITIES):
    return json.dumps({"answer": letter, "choices": choices})


@pytest.mark.parametrize("case", cases("mcq.jsonl"))
def test_choices_are_found(case):
    choices = case.get("choices", CITIES)
    found = stated_choice(case["text"], choices)
    assert found.letter == case["letter"], found
    for right in "ABCDEFGHIJ"[: len(choices)]:
        verdict = verify_answer(case["text"], reference(right, choices))
        same = found.letter and choices[ord(found.letter) - 65] == choices[ord(right) - 65]
        assert verdict.outcome == ("passed" if same else "failed" if found.letter else "unparseable")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("The answer is B. That is", "passed"),
        ("\\boxed{B} is the", "passed"),
        ('{"answer": "B", "why', "passed"),
        ("The answer is B", "unparseable"),
        ("Paris", "unparseable"),
        ("It is in France.\nB", "unparseable"),
    ],
)
def test_of_an_answer_that_was_cut_off_counts_what_it_had_stated(text, outcome):
    assert verify_answer(text, reference("B"), truncated=True).outcome == outcome
    assert verify_answer(text, reference("B")).outcome == "passed"


@pytest.mark.parametrize("broken", [None, "", "B", "[]", '{"answer": "B"}', '{"answer": "E", "choices": ["a", "b"]}'])
def test_a_reference_that_is_none_is_no_wrong_answer(broken):
    assert verify_answer("The answer is B.", broken).outcome == "unverifiable"


@pytest.mark.parametrize(
    "piece",
    ["the answer is ", "The answer is A. ", "A is correct. ", "(A) ", "A. London\n", "option A ", "\\boxed{A} ", "\\text{",
     "not A or ",     '"answer": "A", ', "<answer>", "选", "答案", "A, ", "[", "The best option ",
     "B ", "* ", "a. x\n", "$", "(A) foo ", "correct option "],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", " A"])
def test_finding_is_linear(piece, end):
    text = piece * (100_000 // len(piece)) + end
    began_at = time.process_time()
    stated_choice(text, CITIES)
    assert time.process_time() - began_at < 1.0  # milliseconds; anything quadratic takes minutes


# -------------------------------------------------------------------------------------------------- what data sets publish


def read(row, template=None, **options):
    (prompt,) = DOMAINS["mcq"](VerifyMcq(**options)).read([row | ({"template": template} if template else {})], "p.jsonl")
    return prompt


def held(prompt):
    found = json.loads(prompt.reference)
    return found["answer"], found["choices"]


PUBLISHED = {
    "a letter": ({"choices": CITIES, "reference": "C"}, {}),
    "a letter in brackets": ({"choices": CITIES, "reference": "(C)"}, {}),
    "an index": ({"choices": CITIES, "reference": 2}, {}),
    "an index of a reader of tables": ({"choices": CITIES, "reference": 2.0}, {}),
    "an index as text": ({"choices": CITIES, "reference": "2"}, {"reference": "index"}),
    "a number": ({"choices": CITIES, "reference": 3}, {"reference": "number"}),
    "its text": ({"choices": CITIES, "reference": "Rome"}, {}),
    "its text, with a line end": ({"choices": CITIES, "reference": "Rome\n"}, {}),
    "choices as JSON": ({"choices": json.dumps(CITIES), "reference": "C"}, {}),
    "choices by letter": ({"choices": dict(zip("ABCD", CITIES, strict=True)), "reference": "C"}, {}),
    "ARC": ({"choices": {"text": CITIES, "label": ["1", "2", "3", "4"]}, "reference": "3"}, {}),
    "MMLU-Pro": ({"choices": CITIES, "reference": {"answer": "C", "answer_index": 2}}, {}),
    "MMLU-redux": ({"choices": CITIES, "reference": {"answer": 2, "error_type": "ok"}}, {}),
    "MMLU-redux, repaired": (
        {"choices": CITIES, "reference": {"answer": 0, "error_type": "wrong_groundtruth", "correct_answer": "C"}},
        {},
    ),
    "unused columns at the end": ({"choices": [*CITIES, None, ""], "reference": "C"}, {}),
}


@pytest.mark.parametrize(("row", "options"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_forms(row, options):
    prompt = read({"prompt": "Where is the Forum?", **row}, **options)
    assert held(prompt) == ("C", CITIES)
    assert prompt.messages[0]["content"].startswith("Where is the Forum?\n\nA. London\nB. Paris\nC. Rome\nD. Bern\n\n")
    assert verify_answer(DOMAINS["mcq"](VerifyMcq()).gold(prompt), prompt.reference).outcome == "passed"


DROPPED = {
    "no choices": ({"reference": "C"}, "no choices"),
    "no reference": ({"choices": CITIES}, "no reference answer"),
    "a blank reference": ({"choices": CITIES, "reference": " "}, "no reference answer"),
    "MMLU-redux, unclear": ({"choices": CITIES, "reference": {"answer": 2, "error_type": "bad_question_clarity"}},
                            "error_type is bad_question_clarity"),
    "MMLU-redux, wrong and not repaired": (
        {"choices": CITIES, "reference": {"answer": 2, "error_type": "wrong_groundtruth", "correct_answer": "Milan"}},
        "error_type is wrong_groundtruth, without the right letter"),
    "MMLU-Pro, at odds with itself": ({"choices": CITIES, "reference": {"answer": "C", "answer_index": 1}},
                                      "answer and answer_index disagree"),
}  # fmt: skip


@pytest.mark.parametrize(("row", "reason"), DROPPED.values(), ids=DROPPED)
def test_a_row_without_a_right_choice_is_dropped_with_its_reason(row, reason):
    prompt = read({"prompt": "Where?", **row})
    assert (prompt.dropped, prompt.reference) == (reason, None)


REFUSED = {
    "a letter that is not there": ({"choices": CITIES, "reference": "E"}, "reference is none of the choices"),
    "an index from 1": ({"choices": CITIES, "reference": 4}, "verify.reference: number counts from 1"),
    "a text or a letter": ({"choices": ["B", "A"], "reference": "A"}, "may be meant in two ways ('A': letter A, text B)"),
    "digits as text": ({"choices": CITIES, "reference": "2"}, "may be meant in two ways ('2': index C, number B)"),
    "a hole": ({"choices": ["x", None, "y"], "reference": "B"}, "one is empty between others"),
    "one choice": ({"choices": ["x"], "reference": "A"}, "choices must be 2 to 26"),
    "a text of choices": ({"choices": "A) x B) y", "reference": "A"}, "choices must be a list"),
    "a truth": ({"choices": CITIES, "reference": True}, "must be a letter, an index or the text"),
    "unknown columns": ({"choices": CITIES, "reference": {"key": "A", "answer": "B"}}, "column 'key' is not known"),
}


@pytest.mark.parametrize(("row", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_clear_is_refused(row, message):
    with pytest.raises(BadRow, match=r"^p\.jsonl: row 1: ") as error:
        read({"prompt": "Where?", **row})
    assert message in str(error.value)


def test_the_way_out_of_two_meanings():
    assert held(read({"prompt": "Type?", "choices": ["B", "A"], "reference": "A"}, reference="letter"))[0] == "A"
    assert held(read({"prompt": "Type?", "choices": ["B", "A"], "reference": "A"}, reference="text"))[0] == "B"


# --------------------------------------------------------------------------------------------------------------- the order

GPQA = "What is the correct answer to this question: {Question}\n\nChoices:\n{shuffled_choices:(A) }"


def gpqa(question="Which?", choices=("right", "wrong 1", "wrong 2", "wrong 3")):
    """A row as rows.py makes it of GPQA's columns."""
    return {"{Question}": question, "choices": list(choices), "reference": choices[0]}


def test_the_order_is_a_function_of_the_question_and_its_choices():
    prompts = [read(gpqa(f"Question {at}?"), GPQA) for at in range(40)]
    assert prompts == [read(gpqa(f"Question {at}?"), GPQA) for at in range(40)]
    letters = [held(prompt)[0] for prompt in prompts]
    assert {letters.count(letter) > 3 for letter in "ABCD"} == {True}
    backwards = read(gpqa("Question 0?") | {"choices": ["wrong 3", "wrong 2", "wrong 1", "right"]}, GPQA)
    assert backwards.messages == prompts[0].messages


def test_another_version_of_the_data_set_has_other_ids():
    assert read(gpqa(), GPQA).prompt_id == read(gpqa(), GPQA).prompt_id
    changed = read(gpqa(choices=("right", "wrong 1", "wrong 2", "wrong three")), GPQA)
    assert read(gpqa(), GPQA).prompt_id != changed.prompt_id


@pytest.mark.parametrize(
    ("choices", "shown"),
    [
        (["5", "6", "7", "All of the above"], "All of the above"),
        (["5", "6", "None of these"], "None of these"),
        (["5 m", "6 m", "7 m", "8 m", "None of the above."], "None of the above."),
    ],
)
def test_all_of_the_above_stays_at_the_end(choices, shown):
    for at in range(20):
        assert held(read(gpqa(f"{at}?", choices), GPQA))[1][-1] == shown


@pytest.mark.parametrize(
    "last", ["Both A and B", "A and C only", "Neither (A) nor (B)", "Only B", "Options A and B are correct"]
)
def test_choices_that_name_letters_keep_the_order(last):
    for at in range(20):
        assert held(read(gpqa(f"{at}?", ("x", "y", "z", last)), GPQA)) == ("A", ["x", "y", "z", last])


def test_control_letters_in_other_choices_do_not():
    orders = {
        tuple(held(read(gpqa(f"{at}?", ("hepatitis B", "vitamin A", "A vector", "plan B")), GPQA))[1]) for at in range(20)
    }
    assert len(orders) > 5


def test_one_order_is_shown():
    with pytest.raises(BadRow, match="choices and shuffled_choices exclude each other"):
        read(gpqa(), "{choices} {shuffled_choices}")


# ----------------------------------------------------------------------------------------------------------------- a build


def test_a_build_from_the_columns_of_a_file(tmp_path):
    """GPQA's columns, shuffled; right answers are chosen, wrong ones rejected, and what states no choice is neither."""
    rows = [
        {"Question": f"Q{at}?", "Correct Answer": "yes\n", "Incorrect Answer 1": "no", "Incorrect Answer 2": "maybe"}
        for at in range(6)
    ]
    (tmp_path / "g.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    said = ["The answer is yes.", "The answer is no.", "I do not know."]
    columns = {"choices": ["Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2"], "reference": "Correct Answer"}
    with running(Fake(say=lambda body: said[body["seed"] % 3])) as fake:
        recipe = recipe_over(fake.url, tmp_path / "g.jsonl", n=6, request="single") | {"domain": "mcq"}
        recipe["prompts"] = [
            {"type": "file", "path": "g.jsonl", "columns": columns, "template": "{Question}\n{shuffled_choices:(A) }"}
        ]
        recipe |= {"select": {"margin": None}}
        done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
    asked = [body["messages"][0]["content"] for body in fake.requests]
    assert done.returncode == 0, done.stderr
    assert {text.partition("\n")[0] for text in asked} == {f"Q{at}?" for at in range(6)}
    assert set(asked[0].splitlines()[1:]) <= {f"({a}) {b}" for a in "ABC" for b in ("yes", "no", "maybe")}
    outcomes = rows_of(tmp_path / "run", "SELECT DISTINCT text, outcome FROM responses JOIN verdicts USING (response_id)")
    assert {(row["text"], row["outcome"]) for row in outcomes} == {
        ("The answer is yes.", "passed"),
        ("The answer is no.", "failed"),
        ("I do not know.", "unparseable"),
    }
    pairs = rows_of(
        tmp_path / "run",
        "SELECT DISTINCT c.text AS chosen, r.text AS rejected FROM pairs JOIN responses c ON chosen_id = c.response_id "
        "JOIN responses r ON rejected_id = r.response_id",
    )
    assert pairs == [{"chosen": "The answer is yes.", "rejected": "The answer is no."}]
