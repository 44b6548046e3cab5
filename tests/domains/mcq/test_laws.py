"""Laws of multiple choice: an order keeps what is right, and what states one letter that is there gets it."""

import json
from string import ascii_uppercase

from hypothesis import assume, given
from hypothesis import strategies as st

from datakit.domains import DOMAINS
from datakit.domains.mcq.choices import shown_order
from datakit.domains.mcq.verifier import verify_answer
from datakit.domains.stated import stated_choice
from datakit.recipe import VerifyMcq
from tests.helpers.laws import examples

many = examples(150)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30).filter(str.strip)
choices = st.lists(texts.map(str.strip), min_size=2, max_size=10, unique=True)
question = st.text(max_size=40)

STATED = (
    "{}", "({})", "{}.", "**{}**", "({}).", "The answer is {}.", "The answer is ({}).", "the answer is ({})", "Answer: {}",
    "**Answer:** {}", "The best answer is {}.", "The correct answer is option {}.", "The correct option is ({}).",
    "\\boxed{{{}}}", "$\\boxed{{\\text{{{}}}}}$", "\\boxed{{\\text{{({})}}}}", '{{"reasoning": "x", "answer": "{}"}}',
    "<answer>{}</answer>", "Final answer: **{}**", "答案是{}。", "故选 {}", "It follows.\n\n{}", "I choose option {}.",
    "Option {} is correct.", "({}) is the correct answer.", "The answer is {} because it follows.",
    "So the answer must be ({}).",
)  # fmt: skip


@many
@given(choices, question, st.data())
def test_an_order_keeps_what_is_right(texts, question, data):
    right = data.draw(st.integers(0, len(texts) - 1))
    row = {"{q}": question, "choices": texts, "reference": right, "template": "{q}\n{shuffled_choices}"}
    (prompt,) = DOMAINS["mcq"](VerifyMcq()).read([row], "p.jsonl")
    held = json.loads(prompt.reference)
    assert sorted(held["choices"]) == sorted(texts)
    assert held["choices"]["ABCDEFGHIJ".index(held["answer"])] == texts[right]
    assert f"{held['answer']}. {texts[right]}" in prompt.messages[0]["content"]


@many
@given(choices, question, st.randoms())
def test_the_order_does_not_know_the_files_order(texts, question, random):
    mixed = random.sample(texts, len(texts))
    orders = [[some[at] for at in shown_order(some, question)] for some in (texts, mixed)]
    kept = [[*range(len(some))] == shown_order(some, question) for some in (texts, mixed)]
    assert orders[0] == orders[1] or all(kept)


@many
@given(st.integers(2, 10), st.sampled_from(STATED), st.data())
def test_a_letter_that_is_stated_is_found(n, template, data):
    """Whatever the choices are, as long as no other one is written as the statement is."""
    texts = [f"number {at}" for at in range(n)]
    letter = data.draw(st.sampled_from(ascii_uppercase[:n]))
    assert stated_choice(template.format(letter), texts).letter == letter
    beyond = ascii_uppercase[n:]
    outside = stated_choice(template.format(data.draw(st.sampled_from(beyond))), texts).letter
    assert outside is None


@many
@given(st.integers(3, 10), st.sampled_from(STATED), st.sampled_from(STATED[5:]), st.data())
def test_the_last_statement_counts(n, first, last, data):
    assume("{{" not in first or "{{" in last)  # a field of JSON is not changed by a phrase behind it
    assume("<answer>" not in first or "<answer>" in last)
    texts = [f"number {at}" for at in range(n)]
    before, after = data.draw(st.permutations(ascii_uppercase[:n]))[:2]
    text = f"{first.format(before)}\n\nWait, let me look at that again.\n\n{last.format(after)}"
    assert stated_choice(text, texts).letter == after


@many
@given(st.lists(st.text("abcdefgh123", min_size=2), min_size=2, max_size=10, unique=True), st.data())
def test_the_text_of_a_choice_is_its_letter(texts, data):
    at = data.draw(st.integers(0, len(texts) - 1))
    for template in ("\\boxed{{\\text{{{}}}}}", "The answer is {}.", "{}", '{{"answer": "{}"}}', "The answer is {}, as it is."):
        assert stated_choice(template.format(texts[at]), texts).letter == ascii_uppercase[at]


@examples(200)
@given(st.text(max_size=200), choices)
def test_nothing_breaks_it(text, texts):
    reference = json.dumps({"answer": "A", "choices": texts})
    assert verify_answer(text, reference).outcome in ("passed", "failed", "unparseable")
