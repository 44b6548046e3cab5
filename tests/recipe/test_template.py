"""Templates: what is a placeholder and what is text, what a recipe refuses, and what a file must have."""

import json

import pytest

from datakit.errors import RecipeError
from datakit.recipe import load
from datakit.recipe.template import fill
from tests.helpers.command import datakit, recipe_over, rows_of, write_recipe
from tests.helpers.fake_endpoint import Fake, running

SOURCE = {"type": "endpoint", "model": "m", "base_urls": ["http://127.0.0.1:9/v1"]}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Q: {q}\nA:", "Q: 1 + 1?\nA:"),
        ("{q} {q}", "1 + 1? 1 + 1?"),
        ("Put it into \\boxed{}. {q}", "Put it into \\boxed{}. 1 + 1?"),
        ("{q} \\frac{1}{2}", "1 + 1? \\frac{1}{2}"),
        ("{q} {{q}}", "1 + 1? {q}"),
        ("{q} \\boxed{{answer}}", "1 + 1? \\boxed{answer}"),
        ('{q} {"answer": "___"}', '1 + 1? {"answer": "___"}'),
        ("{Correct Answer} {meta.unit}", "2 cm"),
        ("{choices}", "A. x\nB. {q}"),
        ("{choices:(A) }", "(A) x\n(B) {q}"),
        ("{choices:A) }", "A) x\nB) {q}"),
    ],
)
def test_what_is_filled_in(template, text):
    values = {"q": "1 + 1?", "Correct Answer": "2", "meta.unit": "cm", "choices": ["x", "{q}"]}
    assert fill(template, values) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("no column", "prompts.0.template: a template must contain a {column} of the file"),
        ("{{q}}", "prompts.0.template: a template must contain a {column} of the file"),
        ("{q:A. }", "prompts.0.template: {q:A. }: only choices and shuffled_choices can have a form; write {q}"),
        ("{choices:- }", "prompts.0.template: {choices:- }: the form is the text before the first choice and contains one A"),
    ],
)
def test_a_template_that_a_recipe_refuses(tmp_path, template, message):
    prompts = {"type": "file", "path": "p.jsonl", "template": template}
    recipe = {"domain": "instruct", "prompts": [prompts], "sources": [SOURCE]}
    with pytest.raises(RecipeError) as error:
        load(write_recipe(tmp_path / "r.yaml", recipe))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Think.", "sources.0.template: a source's template must contain {prompt}"),
        ("{question}", "sources.0.template: a source's template knows only {prompt}"),
        ("{prompt} {question}", "write {{question}} for the text {question}"),
    ],
)
def test_a_sources_template_that_a_recipe_refuses(tmp_path, template, message):
    prompts = {"type": "file", "path": "p.jsonl"}
    recipe = {"domain": "instruct", "prompts": [prompts], "sources": [SOURCE | {"template": template}]}
    with pytest.raises(RecipeError) as error:
        load(write_recipe(tmp_path / "r.yaml", recipe))
    assert message in str(error.value)


def built(tmp_path, rows, of_rows=None, domain="math", columns=None, **source):
    """What a build says, and the user's messages that were sent, by the prompt's id."""
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with running(Fake()) as fake:
        recipe = recipe_over(fake.url, tmp_path / "p.jsonl", n=1, **source) | {"domain": domain}
        recipe["prompts"] = [{"type": "file", "path": "p.jsonl", "template": of_rows, "columns": columns or {}}]
        if domain == "instruct":
            del recipe["verify"]
        done = datakit(
            "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--until", "sample"
        )
    return done, [body["messages"] for body in fake.requests]


def test_columns_of_a_file_become_the_message(tmp_path):
    rows = [{"question": f"{at} + 1?", "meta": {"unit": "cm"}, "year": 2024, "gold": "3"} for at in range(3)]
    template = "In {meta.unit}, {year}: {question} \\boxed{}"
    done, sent = built(tmp_path, rows, template, columns={"reference": "gold"})
    assert done.returncode == 0, done.stderr
    assert sorted(messages[0]["content"] for messages in sent) == [f"In cm, 2024: {at} + 1? \\boxed{{}}" for at in range(3)]
    stored = rows_of(tmp_path / "run", "SELECT messages[1].content AS said, reference FROM prompts ORDER BY said")
    assert stored == [{"said": f"In cm, 2024: {at} + 1? \\boxed{{}}", "reference": "3"} for at in range(3)]


def test_our_names_stand_for_the_columns_that_they_are_mapped_to(tmp_path):
    _, sent = built(tmp_path, [{"q": "1 + 1?", "gold": "2"}], "Q: {prompt}", columns={"prompt": "q", "reference": "gold"})
    assert sent == [[{"role": "user", "content": "Q: 1 + 1?"}]]


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    done, sent = built(tmp_path, [{"question": "1 + 1?", "gold": "2"}], "{qestion}", columns={"reference": "gold"})
    assert (done.returncode, sent) == (2, [])
    assert (
        "r.yaml: prompts.0.template: there is no column 'qestion'; did you mean 'question'? p.jsonl has gold, question. Write "
        "the name of one of these in braces; {{qestion}} is the text {qestion}"
    ) in done.stderr


def test_a_row_without_the_column_is_dropped_and_counted(tmp_path):
    rows = [{"question": "1 + 1?", "gold": "2"}, {"question": None, "gold": "2"}]
    done, sent = built(tmp_path, rows, "Q: {question}", columns={"reference": "gold"})
    assert done.returncode == 0 and len(sent) == 1
    assert "1 row of p.jsonl dropped: template: nothing in 'question' (the first: p.jsonl: line 2)" in done.stderr


@pytest.mark.parametrize(("value", "shown"), [(["a"], "['a']"), ({"a": 1}, "{'a': 1}"), (True, "True")])
def test_a_column_that_is_no_text_stops_the_build(tmp_path, value, shown):
    done, _ = built(tmp_path, [{"question": value, "gold": "2"}], "{question}", columns={"reference": "gold"})
    assert done.returncode == 2 and f"p.jsonl: line 1: template: 'question' must be text (got {shown})" in done.stderr


def test_choices_are_for_domain_mcq(tmp_path):
    done, _ = built(tmp_path, [{"q": "x?", "choices": None}], "{q} {choices}", domain="instruct")
    assert done.returncode == 2 and "choices are read by domain mcq, from columns.choices" in done.stderr


def test_a_sources_template_is_sent_and_is_part_of_its_sampling(tmp_path):
    """A model that wants the instruction in the user's message, as FuseChat-3.0 asked Gemma, gets it there."""
    done, sent = built(tmp_path, [{"prompt": "1 + 1?", "reference": "2"}], template="{prompt}\nThink: \\boxed{}.")
    assert done.returncode == 0, done.stderr
    assert sent == [[{"role": "user", "content": "1 + 1?\nThink: \\boxed{}."}]]
    (row,) = rows_of(
        tmp_path / "run", "SELECT r.sampling, p.messages[1].content AS said FROM responses r JOIN prompts p USING (prompt_id)"
    )
    assert (json.loads(row["sampling"])["template"], row["said"]) == ("{prompt}\nThink: \\boxed{}.", "1 + 1?")


def test_a_template_of_imported_responses_is_the_prompts(tmp_path):
    rows = [{"question": "1 + 1?", "gold": "2", "text": text, "model": "m"} for text in ("2", "3")]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"type": "responses", "path": "r.jsonl", "columns": {"reference": "gold"}, "template": "Q: {question}"}
    recipe = {"domain": "math", "sources": [source], "select": {"margin": None}, "verify": {"workers": 1}}
    done = datakit(
        "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--until", "collect"
    )
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "run", "SELECT messages[1].content AS said FROM prompts") == [{"said": "Q: 1 + 1?"}]


def test_responses_to_other_rows_of_a_template_belong_to_other_prompts(tmp_path):
    """Rows that differ only in a column of the template are not taken for one prompt."""
    rows = [{"question": "1 + 1?", "unit": unit, "gold": "2", "text": "2", "model": "m"} for unit in ("cm", "m", "cm")]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"type": "responses", "path": "r.jsonl", "columns": {"reference": "gold"}, "template": "{question} {unit}"}
    recipe = {"domain": "math", "sources": [source], "select": {"margin": None}, "verify": {"workers": 1}}
    done = datakit(
        "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--until", "collect"
    )
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "run", "SELECT count(*) AS n FROM prompts") == [{"n": 2}]
