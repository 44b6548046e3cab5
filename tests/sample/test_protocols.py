"""How a benchmark's authors ask: answers that were begun for the model, stop strings, sampling by a prompt's category."""

import json
import shutil

import pytest

from datakit.errors import RecipeError
from datakit.recipe import load
from datakit.tables import digest_of_messages, make_response_id
from tests.helpers.command import datakit, recipe_over, rows_of, write_problems, write_recipe
from tests.helpers.fake_batches import FakeBatches
from tests.helpers.fake_endpoint import Fake, running

SERVED = {"type": "serve", "model": "org/m", "sampling": {"max_tokens": 8}}


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


def sampled(tmp_path, fake, until="sample", n_prompts=2, **source):
    """What a build says, and the responses that it leaves."""
    problems = write_problems(tmp_path / "p.jsonl", n_prompts)
    recipe = write_recipe(tmp_path / "r.yaml", recipe_over(fake.url, problems, **{"n": 2, **source}))
    done = datakit("build", "--recipe", recipe, "--out", tmp_path / "run", "--until", until)
    assert done.returncode == 0, done.stderr
    return rows_of(tmp_path / "run", "SELECT * FROM responses ORDER BY prompt_id, sample_index")


def refused(tmp_path, **source):
    given = {"domain": "instruct", "prompts": [{"type": "file", "path": "p.jsonl"}], "sources": [source]}
    with pytest.raises(RecipeError) as error:
        load(write_recipe(tmp_path / "r.yaml", given))
    return str(error.value).partition("r.yaml: ")[2]


@pytest.mark.parametrize(
    ("source", "sampling", "response_id"),
    [
        ({}, "{}", "a12a181b26f1ab05fd8166c4"),
        (
            {
                "system": "Be short.",
                "sampling": {"temperature": 0.8, "top_p": 0.95, "max_tokens": 64, "stop": ["####"]},
                "extra_body": {"top_k": 7},
            },
            '{"extra_body":{"top_k":7},"max_tokens":64,"stop":["####"],"system":"Be short.","temperature":0.8,"top_p":0.95}',
            "709ae976302c5492b8875326",
        ),
    ],
)
def test_what_older_recipes_ask_has_the_ids_that_it_had(tmp_path, source, sampling, response_id):
    """Goldens of version 0.1: a field that is left at its default is no part of an id."""
    source = {"type": "endpoint", "model": "org/m", "base_urls": ["http://127.0.0.1:9/v1"], **source}
    given = {"domain": "instruct", "prompts": [{"type": "file", "path": "p.jsonl"}], "sources": [source]}
    text = load(write_recipe(tmp_path / "r.yaml", given)).sampled[0].sampling_text
    asked = digest_of_messages([{"role": "user", "content": "What is 1 + 1?"}])
    assert (text, make_response_id(asked, "org/m", None, text, 0)) == (sampling, response_id)


# --------------------------------------------------------------------------------------------------- answers that were begun

BEGUN = "Below is a script:\n```python\n"


BEGINNINGS = {  # model: fields of its source, what it says
    "goes on": ({"prefill": BEGUN, "system": "Be short."}, "print(4)\n```"),
    "repeats": ({"prefill": "So: ", "extra_body": {"echo": True}}, "it is 4."),
    "thinks": ({"prefill": "<think>\nOkay, "}, "2 + 2 is 4.</think>\n\nIt is 4."),
    "says nothing": ({"prefill": "So: "}, "   "),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of sources whose answers were begun, and all that they were asked."""
    folder = tmp_path_factory.mktemp("begun")
    with running(Fake(say=lambda body: BEGINNINGS[body["model"]][1])) as fake:
        recipe = recipe_over(fake.url, write_problems(folder / "p.jsonl", 2), n=2)
        recipe["sources"] = [recipe["sources"][0] | fields | {"model": name} for name, (fields, _) in BEGINNINGS.items()]
        path = write_recipe(folder / "r.yaml", recipe)
        done = datakit("build", "--recipe", path, "--out", folder / "run", "--until", "sample")
        assert done.returncode == 0, done.stderr
        return folder / "run", fake.requests


def rows_by(begun, model):
    return rows_of(begun[0], f"FROM responses WHERE model = '{model}' ORDER BY prompt_id, sample_index")


def test_an_answer_goes_on_behind_its_beginning(begun):
    rows = rows_by(begun, "goes on")
    assert {row["text"] for row in rows} == {BEGUN + "print(4)\n```"} and len(rows) == 4
    bodies = [body for body in begun[1] if body["model"] == "goes on"]
    assert bodies
    for body in bodies:
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant"]
        assert body["messages"][-1]["content"] == BEGUN
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert {json.loads(row["sampling"])["prefill"] for row in rows} == {BEGUN}
    assert {tuple(sorted(json.loads(row["sampling"]))) for row in rows} == {("max_tokens", "prefill", "system", "temperature")}
    roles = rows_of(begun[0], "SELECT DISTINCT [m.role for m in messages] AS roles FROM prompts")
    assert roles == [{"roles": ["user"]}], "the prompt is stored without the beginning"


def test_another_beginning_is_another_answer(tmp_path, fake):
    sampled(tmp_path, fake, prefill="So: ")
    recipe = recipe_over(fake.url, tmp_path / "p.jsonl", n=2, prefill="Thus: ")
    done = datakit(
        "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--until", "sample"
    )
    assert done.returncode == 2 and "sources.0.prefill: 'So: ' -> 'Thus: '" in done.stderr


def test_a_server_that_goes_on_by_itself_is_sent_no_fields(tmp_path):
    """Some continue a last message of the assistant's unasked, and refuse what they do not know."""
    with running(Fake(refuses=("continue_final_message", "add_generation_prompt"))) as fake:
        rows = sampled(tmp_path, fake, prefill="So: ", omit=["continue_final_message", "add_generation_prompt"])
    assert all(row["text"].startswith("So: ") for row in rows)
    assert fake.met["refused"] == 0 and fake.requests[0]["messages"][-1]["role"] == "assistant"


def test_a_server_that_repeats_the_beginning_does_not_double_it(begun):
    assert {row["text"] for row in rows_by(begun, "repeats")} == {"So: it is 4."}


def test_a_thought_that_was_begun_ends_in_the_answer(begun):
    found = {(row["reasoning"], row["text"]) for row in rows_by(begun, "thinks")}
    assert found == {("\nOkay, 2 + 2 is 4.", "It is 4.")}


def test_nothing_behind_a_beginning_is_no_answer(begun):
    assert rows_by(begun, "says nothing") == []
    failed = rows_of(begun[0], "SELECT DISTINCT source, error FROM failures")
    assert [row["error"] for row in failed] == ["empty"] and "says nothing" in failed[0]["source"]


def test_transformers_serve_cannot_begin_an_answer(tmp_path):
    assert refused(tmp_path, **SERVED, engine="transformers", prefill="So: ") == (
        "sources.0: prefill: `transformers serve` cannot continue a given answer; use engine: vllm"
    )
    given = {"domain": "instruct", "prompts": [{"type": "file", "path": "p.jsonl"}]}
    source = {**SERVED, "engine": "vllm", "prefill": "So: "}
    assert load(write_recipe(tmp_path / "r.yaml", given | {"sources": [source]})).sampled[0].prefill == "So: "


def test_the_estimate_counts_the_beginning(tmp_path, fake):
    def tokens(**source):
        recipe = recipe_over(fake.url, write_problems(tmp_path / "p.jsonl", 2), n=1, **source)
        done = datakit(
            "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--dry-run", "--json"
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["sources"][0]["prompt_tokens"]

    assert tokens(prefill="x" * 400) == tokens() + 200 and tokens(template="y" * 392 + "{prompt}") == tokens() + 200


# ------------------------------------------------------------------------------------------------------------- stop strings


STOPPED = {
    "none": ({}, "The sum is 4.\nQuestion: what is 2 + 3?"),
    "one": ({"sampling": {"stop": ["Question:"]}}, "The sum is 4.\n"),
    "the first of two": ({"sampling": {"stop": ["what", "sum"]}}, "The "),
    "kept": (
        {"sampling": {"stop": "Question:"}, "extra_body": {"include_stop_str_in_output": True}},
        "The sum is 4.\nQuestion:",
    ),
}


def test_an_answer_ends_where_a_stop_string_stands(tmp_path, fake):
    """The server keeps it or leaves it out, and the text is stored as it came: complete."""
    fake.say = lambda body: "The sum is 4.\nQuestion: what is 2 + 3?"
    recipe = recipe_over(fake.url, write_problems(tmp_path / "p.jsonl", 1), n=1)
    recipe["sources"] = [recipe["sources"][0] | source | {"model": name} for name, (source, _) in STOPPED.items()]
    done = datakit(
        "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--until", "sample"
    )
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "run", "SELECT model, text FROM current_responses WHERE complete")
    assert {row["model"]: row["text"] for row in rows} == {name: text for name, (_, text) in STOPPED.items()}
    sent = {body["model"]: body.get("stop") for body in fake.requests}
    assert sent == {"none": None, "one": ["Question:"], "the first of two": ["what", "sum"], "kept": ["Question:"]}


def test_a_program_whose_fence_was_begun_and_stopped_is_read(tmp_path, fake):
    """HumanEval as FuseChat-3.0 asked it: the fence is open in the prompt, and its end is the stop string."""
    (tmp_path / "c.jsonl").write_text(json.dumps({"prompt": "Add.", "reference": "assert add(1, 2) == 3"}) + "\n")
    fake.say = lambda body: "def add(a, b):\n    return a + b\n```\nThat is all."
    recipe = recipe_over(fake.url, tmp_path / "c.jsonl", n=1, prefill=BEGUN, sampling={"stop": "```"}) | {"domain": "code"}
    recipe["prompts"] = [{"type": "file", "path": "c.jsonl"}]
    recipe |= {"select": {"margin": None}}
    done = datakit(
        "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--until", "verify"
    )
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(tmp_path / "run", "SELECT text, outcome FROM responses JOIN verdicts USING (response_id)")
    assert row == {"text": f"{BEGUN}def add(a, b):\n    return a + b\n", "outcome": "passed"}


@pytest.mark.parametrize("stop", [[], [""], ""])
def test_no_stop_string_is_refused(tmp_path, stop):
    source = {"type": "endpoint", "model": "m", "base_urls": ["http://127.0.0.1:9/v1"], "sampling": {"stop": stop}}
    assert "sources.0.sampling.stop" in refused(tmp_path, **source)


# ----------------------------------------------------------------------------------------------------- sampling by category

CATEGORIES = ["writing", "math", "roleplay", None, "stem"]
BY = {"category": {"writing": {"temperature": 0.7}, "roleplay": {"temperature": 0.7}, "stem": {"temperature": 0.1}}}


def categories(tmp_path, rows=CATEGORIES):
    lines = [{"id": str(at), "q": f"What is {at} + 1?", "gold": str(at + 1), "kind": kind} for at, kind in enumerate(rows)]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = {"prompt_id": "id", "prompt": "q", "reference": "gold", "category": "kind"}
    return [{"type": "file", "path": "c.jsonl", "columns": columns}]


def build(tmp_path, fake, *args, prompts=None, until="sample", **source):
    source = {"n": 2, "sampling": {"temperature": 0, "max_tokens": 64}, "sampling_by": BY, **source}
    recipe = recipe_over(fake.url, tmp_path, **source) | {"prompts": prompts or categories(tmp_path)}
    return datakit(
        "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", *args, "--until", until
    )


@pytest.fixture(scope="module")
def by_category(tmp_path_factory):
    """A run of two answers to each, and all that was asked."""
    folder = tmp_path_factory.mktemp("categories")
    with running(Fake()) as fake:
        done = build(folder, fake)
        assert done.returncode == 0, done.stderr
        return folder / "run", fake.requests


@pytest.fixture
def copy(by_category, tmp_path):
    """A run of its own of the same."""
    return shutil.copytree(by_category[0], tmp_path / "run")


def test_each_prompt_is_asked_as_its_category_is(by_category):
    """MT-Bench's temperatures: 0.7 for writing and roleplay, 0.1 for stem, else 0."""
    run, requests = by_category
    sent = {body["messages"][0]["content"]: (body["temperature"], body["max_tokens"]) for body in requests}
    expected = dict(enumerate([0.7, 0, 0.7, 0, 0.1]))
    assert sent == {f"What is {at} + 1?": (temperature, 64) for at, temperature in expected.items()}
    rows = rows_of(run, "SELECT prompt_id, sampling, count(*) AS n FROM responses GROUP BY ALL ORDER BY 1")
    stored = [(row["prompt_id"], json.loads(row["sampling"]), row["n"]) for row in rows]
    assert stored == [(str(at), {"temperature": value, "max_tokens": 64}, 2) for at, value in expected.items()]


def test_an_id_says_the_sampling_that_was_sent(by_category):
    """An answer to a prompt of a category has the id that it has where its temperature is the source's own."""
    (row,) = rows_of(by_category[0], "FROM responses WHERE prompt_id = '0' AND sample_index = 0")
    asked = digest_of_messages([{"role": "user", "content": "What is 0 + 1?"}])
    assert row["response_id"] == make_response_id(asked, "fake/one", None, '{"max_tokens":64,"temperature":0.7}', 0)


def test_nothing_is_asked_twice_nothing_is_missing_and_more_are_asked_for_as_before(copy, tmp_path, fake):
    assert build(tmp_path, fake).returncode == 0 and fake.n_requests == 0
    report = json.loads(datakit("inspect", copy, "--json").stdout)
    (source,) = report["sources"]
    assert (source["n"], source["wanted"], source["responses"], source["pending"]) == (2, 10, 10, 0)
    assert build(tmp_path, fake, n=3).returncode == 0
    assert sorted(body["temperature"] for body in fake.requests) == [0, 0, 0.1, 0.7, 0.7]


def test_the_estimate_counts_every_prompt_once(tmp_path, fake):
    done = build(tmp_path, fake, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert sorted(source["missing"] for source in planned["sources"]) == [2, 4, 4]
    assert planned["planned"]["completion_tokens"] == 64 * 10


def test_a_temperature_that_changes_is_named(copy, tmp_path, fake):
    changed = build(tmp_path, fake, sampling_by={"category": {"writing": {"temperature": 0.7}}})
    assert changed.returncode == 2 and "sources.0.sampling_by: " in changed.stderr


def test_by_the_file_that_a_prompt_comes_from(tmp_path, fake):
    prompts = []
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": f"What is {ord(name)} + 1?", "reference": "1"}) + "\n")
        prompts.append({"type": "file", "path": f"{name}.jsonl"})
    assert build(tmp_path, fake, prompts=prompts, sampling_by={"source": {"b.jsonl": {"temperature": 1.0}}}).returncode == 0
    assert {body["messages"][0]["content"]: body["temperature"] for body in fake.requests} == {
        "What is 97 + 1?": 0,
        "What is 98 + 1?": 1.0,
    }


def test_a_category_that_no_prompt_has_is_named(tmp_path, fake):
    done = build(tmp_path, fake, sampling_by={"category": {"writting": {"temperature": 0.7}}})
    said = "1 value in sampling_by.category of fake/one that no prompt has: 'writting' (prompts have: math, "
    assert said + "roleplay, stem, writing)" in done.stderr


def test_one_question_in_two_categories_is_refused(tmp_path, fake):
    prompts = categories(tmp_path, ["writing", "math"])
    lines = (tmp_path / "c.jsonl").read_text().replace("What is 1", "What is 0")
    (tmp_path / "c.jsonl").write_text(lines)
    done = build(tmp_path, fake, prompts=prompts)
    assert done.returncode == 2 and fake.n_requests == 0
    assert "sampling_by.category: prompts '0' and '1' ask the same, each in a category of its own" in done.stderr


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ({"topic": {"a": {"temperature": 1.0}}}, "sources.0.sampling_by.topic"),
        ({"category": {}}, "sources.0.sampling_by.category"),
        ({"category": {"a": {"temperature": 1.0}}, "source": {"b": {"temperature": 1.0}}}, "sources.0.sampling_by: "),
        ({"category": {"a": {"temprature": 1.0}}}, "sources.0.sampling_by.category.a.temprature: extra field not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, by, message):
    source = {"type": "endpoint", "model": "m", "base_urls": ["http://127.0.0.1:9/v1"], "sampling_by": by}
    assert message in refused(tmp_path, **source)


def test_a_batch_stores_what_single_requests_store(tmp_path):
    """Each line with the temperature of its prompt, and each answer under the sampling that its id says."""
    tables = []
    for name, kind in (("single", Fake()), ("batch", FakeBatches())):
        (tmp_path / name).mkdir()
        with running(kind) as fake:
            done = build(tmp_path / name, fake, request=name, **({"batch": {"poll_s": 0.05}} if name == "batch" else {}))
            assert done.returncode == 0, done.stderr
        tables.append(rows_of(tmp_path / name / "run", "SELECT response_id, sampling, text, seed FROM responses ORDER BY 1"))
    assert tables[0] == tables[1] and len(tables[0]) == 10
