"""How a benchmark's authors ask: answers that were begun for the model, stop strings, sampling by a prompt's category."""

import json

import pytest

from datakit.errors import RecipeError
from datakit.recipe import load
from datakit.tables import digest_of_messages, make_response_id
from tests.helpers.command import datakit, recipe_over, rows_of, write_problems, write_recipe
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


def test_an_answer_goes_on_behind_its_beginning(tmp_path, fake):
    fake.say = lambda body: "print(4)\n```"
    rows = sampled(tmp_path, fake, prefill=BEGUN, system="Be short.")
    assert {row["text"] for row in rows} == {BEGUN + "print(4)\n```"} and len(rows) == 4
    for body in fake.requests:
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant"]
        assert body["messages"][-1]["content"] == BEGUN
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert {json.loads(row["sampling"])["prefill"] for row in rows} == {BEGUN}
    assert {tuple(sorted(json.loads(row["sampling"]))) for row in rows} == {("max_tokens", "prefill", "system", "temperature")}


def test_the_prompt_is_stored_without_the_beginning(tmp_path, fake):
    sampled(tmp_path, fake, prefill=BEGUN)
    roles = rows_of(tmp_path / "run", "SELECT DISTINCT [m.role for m in messages] AS roles FROM prompts")
    assert roles == [{"roles": ["user"]}]


def test_another_beginning_is_another_answer(tmp_path, fake):
    first = sampled(tmp_path, fake, prefill="So: ")
    recipe = recipe_over(fake.url, tmp_path / "p.jsonl", n=2, prefill="Thus: ")
    done = datakit(
        "build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run", "--until", "sample"
    )
    assert done.returncode == 2 and "sources.0.prefill: 'So: ' -> 'Thus: '" in done.stderr
    (tmp_path / "run").rename(tmp_path / "old")
    second = sampled(tmp_path, fake, prefill="Thus: ")
    assert not {row["response_id"] for row in first} & {row["response_id"] for row in second}


def test_a_server_that_goes_on_by_itself_is_sent_no_fields(tmp_path):
    """Some continue a last message of the assistant's unasked, and refuse what they do not know."""
    with running(Fake(refuses=("continue_final_message", "add_generation_prompt"))) as fake:
        rows = sampled(tmp_path, fake, prefill="So: ", omit=["continue_final_message", "add_generation_prompt"])
    assert all(row["text"].startswith("So: ") for row in rows)
    assert fake.met["refused"] == 0 and fake.requests[0]["messages"][-1]["role"] == "assistant"


def test_a_server_that_repeats_the_beginning_does_not_double_it(tmp_path, fake):
    fake.say = lambda body: "it is 4."
    rows = sampled(tmp_path, fake, prefill="So: ", extra_body={"echo": True})
    assert {row["text"] for row in rows} == {"So: it is 4."}


def test_a_thought_that_was_begun_ends_in_the_answer(tmp_path, fake):
    fake.say = lambda body: "2 + 2 is 4.</think>\n\nIt is 4."
    rows = sampled(tmp_path, fake, prefill="<think>\nOkay, ")
    assert {(row["reasoning"], row["text"]) for row in rows} == {("\nOkay, 2 + 2 is 4.", "It is 4.")}


def test_nothing_behind_a_beginning_is_no_answer(tmp_path, fake):
    fake.say = lambda body: "   "
    assert sampled(tmp_path, fake, prefill="So: ") == []
    assert rows_of(tmp_path / "run", "SELECT DISTINCT error FROM failures") == [{"error": "empty"}]


def test_transformers_serve_cannot_begin_an_answer(tmp_path):
    assert refused(tmp_path, **SERVED, engine="transformers", prefill="So: ") == (
        "sources.0: prefill: `transformers serve` cannot go on with an answer that was begun; use engine: vllm"
    )
    given = {"domain": "instruct", "prompts": [{"type": "file", "path": "p.jsonl"}]}
    source = {**SERVED, "engine": "vllm", "prefill": "So: "}
    assert load(write_recipe(tmp_path / "r.yaml", given | {"sources": [source]})).sampled[0].prefill == "So: "


def test_the_estimate_counts_the_beginning(tmp_path, fake):
    def tokens(**source):
        recipe = recipe_over(fake.url, write_problems(tmp_path / "p.jsonl", 2), n=1, **source)
        done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["sources"][0]["prompt_tokens"]

    assert tokens(prefill="x" * 400) == tokens() + 200 and tokens(template="y" * 392 + "{prompt}") == tokens() + 200


# ------------------------------------------------------------------------------------------------------------- stop strings


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({}, "The sum is 4.\nQuestion: what is 2 + 3?"),
        ({"sampling": {"stop": ["Question:"]}}, "The sum is 4.\n"),
        ({"sampling": {"stop": "Question:"}}, "The sum is 4.\n"),
        ({"sampling": {"stop": ["what", "sum"]}}, "The "),
        ({"sampling": {"stop": ["Question:"]}, "extra_body": {"include_stop_str_in_output": True}}, "The sum is 4.\nQuestion:"),
    ],
)
def test_an_answer_ends_where_a_stop_string_stands(tmp_path, fake, source, text):
    """The server keeps it or leaves it out, and the text is stored as it came."""
    fake.say = lambda body: "The sum is 4.\nQuestion: what is 2 + 3?"
    rows = sampled(tmp_path, fake, **source)
    assert {row["text"] for row in rows} == {text}
    stop = source.get("sampling", {}).get("stop")
    assert fake.requests[0].get("stop") == ([stop] if isinstance(stop, str) else stop)
    (complete,) = rows_of(tmp_path / "run", "SELECT bool_and(complete) AS complete FROM current_responses")
    assert complete == {"complete": True}


def test_one_stop_string_is_a_list_of_one(tmp_path, fake):
    one = sampled(tmp_path, fake, sampling={"stop": "####"})
    (tmp_path / "run").rename(tmp_path / "old")
    assert one == [
        row | {"latency_s": old["latency_s"]}
        for row, old in zip(sampled(tmp_path, fake, sampling={"stop": ["####"]}), one, strict=True)
    ]


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
