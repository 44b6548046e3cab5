"""Judges behind URLs: served classifiers and LLM judges. Their faults, against a fake server; real vLLM is in test_vllm.py."""

from __future__ import annotations

import asyncio
import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from datakit import stages
from datakit.check.problems import check as check_recipe
from datakit.errors import BadInput, RecipeError, SourceStopped
from datakit.options import Options, Stage
from datakit.recipe import LLMJudge, Served, load, resolve
from datakit.rewards import Score, client_of
from datakit.rewards.judges import judge_name
from datakit.rewards.remote import llm_judge, served
from datakit.score import remote
from datakit.store import Run
from datakit.tables import Messages
from tests.helpers.command import datakit, write_recipe
from tests.helpers.fake_endpoint import Body, Fake, _score, body_text, error, running
from tests.helpers.forked import Forked
from tests.helpers.monitors import Heard
from tests.helpers.waiting import wait_for

TALK: Messages = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": "4 {or so}"},
]
PROBES = 2 * len(served.PROBES)
"""Requests by which a build makes sure that the activation is off."""


@pytest.fixture
def fake():
    with running(Fake()) as endpoint:
        yield endpoint


def served_by(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "served", "model": "org/rm", "revision": "abc", "base_urls": [url], **fields}


def judged_by(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "llm_judge", "model": "org/llm", "base_urls": [url], **fields}


def recipe_of(folder: Path, *score: dict[str, Any], prompts: int = 6) -> Path:
    """Two answers to each prompt exist already; of several judges the one of revision d selects."""
    lines = [
        json.dumps({"id": f"p/{at}", "prompt": f"Question {at}", "m": "one", "text": f"Answer {at}/{sample}", "k": sample})
        for at in range(prompts)
        for sample in range(2)
    ]
    (folder / "answers.jsonl").write_text("".join(f"{line}\n" for line in lines))
    columns = {"prompt_id": "id", "model": "m", "sample_index": "k"}
    recipe = {
        "domain": "instruct",
        "sources": [{"type": "responses", "path": "answers.jsonl", "columns": columns}],
        "score": list(score),
        "select": {"split": "share", "sft_share": 0.0, "judge": "served@org/rm:d" if len(score) > 1 else None},
    }
    return write_recipe(folder / "r.yaml", recipe)


def build(folder: Path, *score: dict[str, Any], prompts: int = 6, until: Stage = "score", **options: Any) -> Heard:
    """A build in this process, into folder/run; what is about scores alone ends with them."""
    heard = Heard()
    recipe = load(recipe_of(folder, *score, prompts=prompts))
    summary = stages.build(recipe, folder / "run", Options(until=until, **options), heard)
    if summary.stopped:
        raise summary.stopped[0]
    return heard


def command(folder: Path, *score: dict[str, Any], prompts: int = 6) -> list[str]:
    """The same as a command."""
    return ["build", "--recipe", str(recipe_of(folder, *score, prompts=prompts)), "--out", str(folder / "run")]


def query(folder: Path, sql: str) -> list[dict[str, Any]]:
    with Run.open(folder / "run") as run:
        return run.query(sql).to_dicts()


def count(folder: Path, table: str) -> int:
    return int(query(folder, f"SELECT count(*) AS n FROM {table}")[0]["n"])


def scores_of(folder: Path) -> dict[str, float]:
    rows = query(folder, "SELECT text, score FROM scores JOIN responses USING (response_id)")
    return {row["text"]: row["score"] for row in rows}


def failures_of(folder: Path) -> list[dict[str, Any]]:
    return query(folder, "SELECT error, message, permanent, source FROM failures ORDER BY message")


def answer_of(body: Body) -> str:
    """The answer that a request asks to score."""
    return body["messages"][-1]["content"]


def unanswered(bodies: list[Body]) -> list[str]:
    """The answers that were asked for, without those of the check at the start."""
    known = {messages[-1]["content"] for messages in served.PROBES}
    return sorted(answer_of(body) for body in bodies if answer_of(body) not in known)


# --------------------------------------------------------------------------------------------------------- served classifiers


@pytest.mark.parametrize("api, more", [("classify", {}), ("pooling", {"task": "classify"})])
def test_what_vllm_is_asked(api, more):
    """vllm 0.32, entrypoints/pooling: ClassificationChatRequest, PoolingChatRequest."""
    reward = Served.model_validate(served_by("http://a/v1", api=api))
    assert served.request(reward, TALK) == {
        "model": "org/rm", "messages": TALK, "use_activation": False, "add_special_tokens": False, **more,
    }  # fmt: skip
    urls = ["http://a:1/v1", "http://b/rm/v1/", "http://c", "http://d/v1?api-version=1"]
    assert served.ServedClassifier.server_urls(urls) == ["http://a:1", "http://b/rm", "http://c", "http://d?api-version=1"]


def test_scores_come_from_all_urls_are_stored_as_given_and_asked_for_once(fake, tmp_path):
    with running(Fake()) as other:
        urls = [fake.url, other.url]
        judges = [served_by("", api="classify", base_urls=urls), served_by("", revision="d", api="pooling", base_urls=urls)]
        heard = build(tmp_path, *judges)
        asked = fake.requests + other.requests
        assert fake.requests and other.requests
        wanted = sorted(f"Answer {at}/{sample}" for at in range(6) for sample in range(2))
        assert unanswered(asked) == sorted(wanted * 2)
        rows = query(tmp_path, "SELECT judge, text, score FROM scores JOIN responses USING (response_id)")
        given = {answer_of(body): _score(body) for body in asked}
        assert {row["text"]: row["score"] for row in rows} == {text: given[text] for text in wanted}
        assert {row["judge"] for row in rows} == {"served@org/rm:abc", "served@org/rm:d"}
        assert set(heard.notes.values()) == {f"{11 * (12 + PROBES)} tokens in"}
        build(tmp_path, *judges)
        assert len(fake.requests + other.requests) == len(asked), "the second build asks nothing"


def test_the_best_and_worst_by_a_served_score_are_a_pair(fake, tmp_path):
    fake.score = lambda body: float(answer_of(body).endswith("/1")) * 3 - 1
    build(tmp_path, served_by(fake.url), until="select")
    pairs = query(tmp_path, "SELECT c.text, margin FROM pairs JOIN responses c ON chosen_id = response_id")
    assert len(pairs) == 6 and all(row["text"].endswith("/1") and row["margin"] == 3 for row in pairs)


def test_what_is_transient_is_asked_again(fake, tmp_path):
    faults = ["500", "cut_off", "429", "reset", "not_an_object", "html"]
    fake.fault = lambda number, body: faults[(number - PROBES) // 2] if PROBES < number < PROBES + 12 and number % 2 else None
    build(tmp_path, served_by(fake.url, max_in_flight=2))
    assert fake.met.total() == 6 and len(scores_of(tmp_path)) == 12 and failures_of(tmp_path) == []


def test_too_long_is_a_failure_for_good(fake, tmp_path):
    fake.fault = lambda number, body: "context_length" if answer_of(body) == "Answer 3/0" else None
    judge = served_by(fake.url)
    build(tmp_path, judge)
    [row] = failures_of(tmp_path)
    assert (row["error"], row["permanent"], row["source"]) == ("too_long", True, "served@org/rm:abc")
    assert "maximum context length is 4096 tokens" in row["message"] and len(scores_of(tmp_path)) == 11
    asked = len(fake.requests)
    build(tmp_path, judge)
    assert len(fake.requests) == asked
    fake.fault = lambda number, body: None
    build(tmp_path, judge, retry_failures=True)
    assert unanswered(fake.requests[asked:]) == ["Answer 3/0"] and len(scores_of(tmp_path)) == 12


WRONG_SERVERS = {
    "two labels": ({"score": lambda body: [0.2, 0.8]}, {}, "gives 2 numbers, and a score is one number. Start vLLM"),
    "no classifier": (
        {"fault": lambda number, body: error(404, "Not Found")},
        {},
        "Start vLLM with a model that has one label",
    ),
    "activation on": ({"knows_activation": False}, {}, "whether the activation is to be on or off"),
    "another model": ({"models": ("org/other",)}, {}, "The model `org/rm` does not exist."),
    "refuses": ({"fault": lambda number, body: "422"}, {}, "cannot score a short conversation"),
    "wrong key": ({"key": "sesame"}, {}, "requires a key, and none was sent (HTTP 401"),
}


@pytest.mark.parametrize("knobs, fields, said", WRONG_SERVERS.values(), ids=WRONG_SERVERS.keys())
def test_a_server_that_gives_no_raw_scores_stops_the_build(knobs, fields, said, tmp_path):
    with running(Fake(**knobs)) as fake, pytest.raises(SourceStopped) as stopped:
        build(tmp_path, served_by(fake.url, **fields))
    assert said in str(stopped.value)
    assert count(tmp_path, "scores") == 0


def test_a_number_for_every_token_is_no_score(tmp_path):
    """What token_classify gives at /pooling."""
    by_token = '{"data": [{"index": 0, "object": "pooling", "data": [[1.0], [2.0], [3.0]]}]}'
    with running(Fake(fault=lambda number, body: body_text(by_token))) as fake, pytest.raises(SourceStopped) as stopped:
        build(tmp_path, served_by(fake.url, api="pooling"))
    assert "gives 3 lists, one per token" in str(stopped.value)


def test_what_is_no_number_is_a_failure(fake, tmp_path):
    fake.fault = lambda number, body: body_text('{"data": [{"probs": [NaN]}]}') if answer_of(body) == "Answer 3/0" else None
    build(tmp_path, served_by(fake.url))
    assert [row["error"] for row in failures_of(tmp_path)] == ["not_finite"] and len(scores_of(tmp_path)) == 11


def test_a_head_without_activation_may_give_what_looks_like_probabilities(tmp_path):
    with running(Fake(knows_activation=False)) as fake:
        build(tmp_path, served_by(fake.url, no_activation=True))
    assert len(scores_of(tmp_path)) == 12


def test_with_keep_going_the_other_judges_and_the_selection_go_on(fake, tmp_path):
    with running(Fake(score=lambda body: [1.0, 2.0])) as broken:
        judges = [served_by(broken.url), served_by(fake.url, revision="d")]
        done = datakit(*command(tmp_path, *judges), "--keep-going")
    assert "gives 2 numbers" in done.stderr and done.returncode == 3 and "Traceback" not in done.stderr, done.stderr
    assert count(tmp_path, "scores") == 12 and count(tmp_path, "pairs") == 6


# ------------------------------------------------------------------------------------------------------- killed, interrupted


def test_ctrl_c_during_the_check_at_the_start(fake, tmp_path):
    fake.fault = lambda number, body: "503"
    with Forked(*command(tmp_path, served_by(fake.url))) as process:
        wait_for(lambda: fake.requests)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said, said


@pytest.mark.parametrize("sign, status", [(signal.SIGKILL, -9), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)])
def test_a_build_that_is_ended_goes_on_where_it_was(fake, tmp_path, sign, status):
    fake.latency_s = 0.05
    judge = served_by(fake.url, max_in_flight=4)
    with Forked(*command(tmp_path, judge, prompts=60), "--until", "score") as process:
        wait_for(lambda: fake.n_answered > PROBES + 30)
        process.send_signal(sign)
        _, said = process.communicate(timeout=60)
    assert process.returncode == status and "Traceback" not in said, said
    stored, asked = scores_of(tmp_path), unanswered(fake.requests)
    assert 0 < len(stored) < 120
    assert len(asked) - len(stored) <= (4 if sign == signal.SIGKILL else 0), "what is on its way is waited for"
    fake.latency_s = 0.0
    build(tmp_path, judge, prompts=60)
    assert len(unanswered(fake.requests)) == len(asked) + 120 - len(stored), "nothing that is stored is asked for twice"
    assert len(scores_of(tmp_path)) == 120 == count(tmp_path, "scores")


# ------------------------------------------------------------------------------------------------------------------ LLM judges

READABLE = {"Well said.\n\nScore: 8": 8, "Score: 1": 1, "Score: 10 \n": 10, "So so\r\nScore: 7.5\r\n": 7.5}
UNREADABLE = {
    "": "the last line is not 'Score: N'",
    "A fine answer.": "the last line is not 'Score: N'",
    "Score: 8/10": "the last line is not 'Score: N'",
    "**Score: 8**": "the last line is not 'Score: N'",
    "It is fine. Score: 8": "the last line is not 'Score: N' alone",
    "score: 8": "the last line is not 'Score: N'",
    "Score: eight": "the last line is not 'Score: N'",
    "Score: 8.": "the last line is not 'Score: N'",
    "Score: ٣": "the last line is not 'Score: N'",
    "Score: nan": "the last line is not 'Score: N'",
    "Score: 8\nThank you.": "the last line is not 'Score: N'",
    "Score: 3\nNo, better:\nScore: 8": "more than one score",
    "Score: 0": "not within [1, 10]",
    "Score: 11": "not within [1, 10]",
    "Score: -3": "not within [1, 10]",
}


@pytest.mark.parametrize("text, score", READABLE.items())
def test_a_judgement_that_can_be_read(text, score):
    assert llm_judge.parse(text, [1, 10]).score == score


@pytest.mark.parametrize("text, why", UNREADABLE.items())
def test_a_judgement_that_cannot(text, why):
    score = llm_judge.parse(text, [1, 10])
    assert score.score is None and score.error == "unparseable_judgement" and why in (score.message or "")


@pytest.mark.parametrize(
    ("message", "reason", "score"),
    [
        ({"content": "<think>Score: 3\nNo.</think>\nFine.\nScore: 8"}, "stop", 8.0),
        ({"content": "Score: 3\n</think>\n\nScore: 8"}, "stop", 8.0),
        ({"content": "Score: 8", "reasoning": "Score: 3"}, "stop", 8.0),
        ({"content": [{"type": "thinking", "thinking": "Score: 3"}, {"type": "text", "text": "Score: 8"}]}, "end_turn", 8.0),
        ({"content": "<think>So, in the end:\nScore: 3"}, "stop", "the judge's thought never ended"),
        ({"content": "", "reasoning_content": "Score: 3"}, "stop", "the judge's thought never ended"),
        ({"content": "Score: 3"}, "length", "cut off at max_tokens"),
        ({"content": "Score: 3"}, "abort", "ended with 'abort'"),
        ({"content": "Score: 3", "refusal": "No."}, "stop", "withheld"),
    ],
)
def test_a_judge_that_thinks_gives_its_score_after_its_thought(message, reason, score):
    found = llm_judge.read_score({"message": message, "finish_reason": reason}, [1, 10])
    assert found.score == score or (found.score is None and score in str(found.message))


def test_what_a_judge_is_asked():
    reward = LLMJudge.model_validate(judged_by("http://a/v1", rubric="Short {is} good.", scale=[0, 5]))
    body = llm_judge.request(reward, TALK)
    [turn] = body.pop("messages")
    assert body == {"model": "org/llm", "temperature": 0.0, "max_tokens": 1024}, "a greedy judge needs no seed"
    for part in (
        "Short {is} good.",
        "[system]\nBe brief.",
        "[user]\n2 + 2?",
        "<answer>\n4 {or so}\n</answer>",
        "from 0 (worst) to 5",
    ):
        assert part in turn["content"], turn["content"]
    assert turn["content"].endswith("Score: N") and turn["role"] == "user"
    sampled = reward.model_copy(update={"sampling": reward.sampling.model_copy(update={"temperature": 0.5})})
    seeds = [llm_judge.request(sampled, TALK, attempt)["seed"] for attempt in (0, 1, 0)]
    assert seeds[0] == seeds[2] != seeds[1]


def test_a_judges_name_changes_with_all_that_shapes_its_scores():
    def name(**fields: Any) -> str:
        return judge_name(LLMJudge.model_validate(judged_by("http://a/v1", **fields)))

    usual = name()
    assert usual.startswith("llm_judge@org/llm+rubric=") and "sampling" not in usual
    assert name(revision="1").startswith("llm_judge@org/llm:1+rubric=")
    same: list[dict[str, Any]] = [
        {"base_urls": ["http://b/v1"]},
        {"max_in_flight": 3},
        {"api_key_env": "K"},
        {"headers": {"x": "y"}},
        {"omit": ["seed"]},
        {"rubric": llm_judge.RUBRIC},
    ]
    assert {name(**fields) for fields in [*same, {"sampling": {"temperature": 0.0}}]} == {usual}
    other: list[dict[str, Any]] = [
        {"rubric": "Be kind."}, {"scale": [1, 5]}, {"sampling": {"max_tokens": 9}}, {"extra_body": {"top_k": 1}},
        {"revision": "2"},
    ]  # fmt: skip
    assert len({usual, *(name(**fields) for fields in other)}) == 1 + len(other)
    assert judge_name(Served.model_validate(served_by("http://a/v1"))) == "served@org/rm:abc"
    with_bos = Served.model_validate(served_by("http://a/v1", add_special_tokens=True, api="pooling"))
    assert judge_name(with_bos) == "served@org/rm:abc+add_special_tokens=true"


def graded(body: Body) -> str:
    """The answer within a judge's prompt."""
    return answer_of(body).split("<answer>\n")[1].split("\n</answer>")[0]


def test_judgements_become_scores_and_unreadable_ones_failures(fake, tmp_path):
    said = {"Answer 0/0": "Wrong.\nScore: 2", "Answer 0/1": "Right.\nScore: 9", "Answer 1/0": "Score: 7/10", "Answer 1/1": ""}
    fake.say = lambda body: said.get(graded(body), "Fair.\nScore: 5")
    fake.fault = lambda number, body: "length" if graded(body) == "Answer 2/0" else None
    judge = judged_by(fake.url)
    heard = build(tmp_path, judge, until="select")
    scores = scores_of(tmp_path)
    assert len(scores) == 9 and scores["Answer 0/0"] == 2 and scores["Answer 0/1"] == 9 and scores["Answer 5/0"] == 5
    failures = failures_of(tmp_path)
    assert sorted(row["error"] for row in failures) == ["cut_off", "unparseable_judgement", "unparseable_judgement"]
    assert all(row["permanent"] for row in failures) and "'Score: 7/10'" in str(failures)
    assert len(fake.requests) == 12, "a greedy judge would say the same again"
    assert all(note.startswith(f"{12 * 11} tokens in, ") and note.endswith(" out") for note in heard.notes.values())
    assert [row["margin"] for row in query(tmp_path, "SELECT margin FROM pairs")] == [7], "ties are no pairs"

    build(tmp_path, judge)
    assert len(fake.requests) == 12, "the second build asks nothing"
    build(tmp_path, judge | {"rubric": "Be kind."})
    assert len(fake.requests) == 24
    judges = {row["judge"] for row in query(tmp_path, "SELECT DISTINCT judge FROM scores")}
    assert len(judges) == 2, "scores by another rubric are another judge's"


def test_a_judge_that_samples_is_asked_once_more(fake, tmp_path):
    bodies: dict[str, list[int]] = {}

    def say(body: Body) -> str:
        seeds = bodies.setdefault(graded(body), [])
        seeds.append(body["seed"])
        return "Score: 4" if len(seeds) == 2 and graded(body) != "Answer 0/0" else "Hm."

    fake.say = say
    build(tmp_path, judged_by(fake.url, sampling={"temperature": 0.7}))
    assert all(len(set(seeds)) == 2 for seeds in bodies.values()) and len(fake.requests) == 24
    assert len(scores_of(tmp_path)) == 11 and [row["error"] for row in failures_of(tmp_path)] == ["unparseable_judgement"]


def test_a_judge_that_never_follows_the_form_is_given_up(fake, tmp_path):
    fake.say = lambda body: "I would rather not."
    with pytest.raises(SourceStopped, match="none of its first 20 judgements could be read"):
        build(tmp_path, judged_by(fake.url, max_in_flight=1), prompts=60)
    assert len(fake.requests) <= 21


def test_a_judge_that_could_be_read_before_is_not_given_up(fake, tmp_path):
    fake.say = lambda body: "Fair.\nScore: 5" if graded(body).endswith("/0") else "Hm."
    judge = judged_by(fake.url, max_in_flight=1)
    build(tmp_path, judge, prompts=30)
    assert len(scores_of(tmp_path)) == 30 and len(failures_of(tmp_path)) == 30
    build(tmp_path, judge, prompts=30, retry_failures=True)
    assert len(fake.requests) == 90, "the thirty that could not be read are asked once more, and no other"


def test_a_rubric_in_a_file_is_the_rubric(tmp_path):
    (tmp_path / "rubric.md").write_text("Be kind.\n")
    recipes = []
    for fields in ({"rubric_path": "rubric.md"}, {"rubric": "Be kind."}):
        path = tmp_path / f"{len(recipes)}.yaml"
        values = {
            "domain": "instruct",
            "sources": [{"type": "responses", "path": "a"}],
            "score": judged_by("http://a", **fields),
        }
        recipes.append(resolve(load(write_recipe(path, values))))
    assert recipes[0].score == recipes[1].score and judge_name(recipes[0].score[0]) == judge_name(recipes[1].score[0])
    (tmp_path / "rubric.md").write_text(" \n")
    with pytest.raises(RecipeError, match=r"rubric\.md is empty"):
        resolve(load(tmp_path / "0.yaml"))
    (tmp_path / "rubric.md").unlink()
    with pytest.raises(RecipeError, match=r"rubric_path: .*rubric\.md cannot be read"):
        resolve(load(tmp_path / "0.yaml"))


WRONG_RECIPES = {
    "no revision": (served_by("http://a") | {"revision": None}, "score.0.revision: "),
    "no URL": (served_by("http://a", base_urls=[]), "score.0.base_urls: "),
    "another API": (served_by("http://a", api="score"), "score.0.api: "),
    "two rubrics": (judged_by("http://a", rubric="a", rubric_path="b"), "either rubric or rubric_path"),
    "scale": (judged_by("http://a", scale=[10, 1]), "scale must be [worst, best]"),
    "own field": (judged_by("http://a", extra_body={"seed": 1}), "extra_body must not have seed"),
    "misspelt": (
        judged_by("http://a", rubrik="a"),
        "score.0.rubrik: extra field not permitted (got 'a'); did you mean 'rubric'?",
    ),
    "top_k": (judged_by("http://a", sampling={"top_k": 1}), "write it under extra_body"),
}


@pytest.mark.parametrize("reward, said", WRONG_RECIPES.values(), ids=WRONG_RECIPES.keys())
def test_recipes_that_are_refused(reward, said, tmp_path):
    values = {"domain": "instruct", "sources": [{"type": "responses", "path": "a"}], "score": [reward]}
    with pytest.raises(RecipeError) as refused:
        load(write_recipe(tmp_path / "r.yaml", values))
    assert said in str(refused.value)


# -------------------------------------------------------------------------------------------------------------- keys and checks


def test_keys_are_sent_and_are_in_no_file(tmp_path):
    key = "sk-1234567890-very-secret"
    with running(Fake(key=key, echo_key=True, say=lambda body: "Score: 3")) as fake:
        fake.fault = lambda number, body: "422" if "Answer 3/0" in answer_of(body) else None
        judges = [served_by(fake.url, revision="d", api_key_env="RM_KEY"), judged_by(fake.url, api_key_env="RM_KEY")]
        with pytest.raises(BadInput, match=r"score\.0\.api_key_env \(org/rm\): the environment variable RM_KEY is not set"):
            build(tmp_path, *judges)
        done = datakit(*command(tmp_path, *judges), env={"RM_KEY": key})
    assert done.returncode == 0 and key not in done.stdout + done.stderr, done.stderr
    assert count(tmp_path, "scores") == 22 and "[the key]" in str(failures_of(tmp_path))
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def check(folder: Path, *score: dict[str, Any], with_rewards: bool = False) -> tuple[list[str], list[str]]:
    """What is wrong, and what else was said."""
    heard = Heard()
    problems = check_recipe(load(recipe_of(folder, *score)), None, heard, with_rewards=with_rewards)
    return [f"{problem.where}: {problem.what}" for problem in problems], heard.said


def test_check_asks_the_judges_urls(fake, tmp_path):
    fake.models = ("org/other",)
    found, _ = check(tmp_path, served_by(fake.url, revision="d"), judged_by("http://127.0.0.1:9/v1"))
    assert found[0] == f"score.0: {fake.url}: does not serve 'org/rm'; it serves org/other"
    assert found[1].startswith("score.1: http://127.0.0.1:9/v1: does not answer") and len(found) == 2


def test_check_rewards_finds_scores_that_move_and_urls_that_differ(fake, tmp_path):
    found, said = check(tmp_path, served_by(fake.url), with_rewards=True)
    assert found == [] and "13 of 13 conversations scored" in said[0]
    with running(Fake(score=lambda body: _score(body) + 1)) as other:
        found, _ = check(tmp_path, served_by("", base_urls=[fake.url, other.url]), with_rewards=True)
        assert len(found) == 1 and f"on {other.url}: at this URL, not the first one, scores differ" in found[0]
    fake.latency_s = 0.02  # so that there is something beside it
    fake.score = lambda body: _score(body) + fake.in_flight / 10
    found, _ = check(tmp_path, served_by(fake.url), with_rewards=True)
    assert len(found) == 1 and "asked together scores differ from those one by one" in found[0]
    found, _ = check(tmp_path, judged_by(fake.url), with_rewards=True)
    assert len(found) == 1 and "none of its first 20 judgements could be read" in found[0]


# scale, how far scores move when they are asked for again: what is said, if anything
NOISE = {
    "a random one": ([1, 10], [4, 7, 0, 3], "by 3.5 on average, 39% of its scale"),
    "one in four, by one": ([1, 10], [1, 0, 0, 0], None),
    "all by one of ten": ([1, 10], [1, 1, 1, 1], "by 1 on average, 11% of its scale"),
    "all by one of a hundred": ([0, 100], [1, 1, 1, 1], None),
    "all by a fifth of one": ([0, 1], [0.2, 0.2, 0.2, 0.2], "by 0.2 on average, 20% of its scale"),
    "none": ([1, 10], [0, 0, 0, 0], None),
}


@pytest.mark.parametrize(("scale", "moves", "said"), NOISE.values(), ids=NOISE)
def test_a_judge_that_changes_its_mind_is_warned_of(scale, moves, said):
    judge = LLMJudge.model_validate(judged_by("http://127.0.0.1:9/v1", scale=scale))
    alone = [Score(scale[0] + at / 10 * (scale[1] - scale[0]) / 10) for at in range(4)]
    again = [Score(one.score + move) for one, move in zip(alone, moves, strict=True)]
    findings = remote._findings(judge, alone, alone, again)
    assert findings.differences == [] and len(findings.notes) == 1
    assert [said in warning for warning in findings.warnings] == ([True] if said else [])
    served_one = Served.model_validate(served_by("http://127.0.0.1:9/v1"))
    assert remote._findings(served_one, alone, alone, again).warnings == [], "a reward model has a tolerance"


def test_a_judge_behind_a_proxy(tmp_path, monkeypatch):
    """It wants a header and a query, and takes no seed; thoughts come in parts."""
    monkeypatch.setenv("PROXY_KEY", "very-secret-0123")
    needs: dict[str, Any] = {"headers": {"x-key": "very-secret-0123"}, "query": "api-version=1", "refuses": ("seed",)}
    with running(Fake(say=lambda body: "Fine.\nScore: 7", shares={"thinking_parts": 1.0}, **needs)) as fake:
        url = fake.url + "?api-version=1"
        judge = judged_by(url, sampling={"temperature": 0.5}, headers={"x-key": "${PROXY_KEY}"}, omit=["seed"])
        reward = LLMJudge.model_validate(judge)

        async def score() -> object:
            async with client_of(reward, reward.base_urls, proven=False) as client:
                return (await llm_judge.Judge(reward, client).score(TALK)).score

        assert asyncio.run(score()) == 7.0


def test_messages_call_a_judge_of_several_by_its_place(fake, tmp_path):
    """A refused field, a variable that is not set; what has answered is asked no more by the second build."""
    with running(Fake(refuses=("temperature",))) as refusing:
        judges = [served_by(fake.url, revision="d"), judged_by(refusing.url)]
        with pytest.raises(SourceStopped, match=r"write into the recipe: score\.1: omit: \[temperature\]"):
            build(tmp_path, *judges)
        with pytest.raises(SourceStopped, match=r"write into the recipe: score: omit: \[temperature\]"):
            (tmp_path / "alone").mkdir()
            build(tmp_path / "alone", judges[1])
    judges[1] |= {"headers": {"x-key": "${NO_SUCH_KEY}"}}
    for found in (partial(build, tmp_path, *judges), partial(check, tmp_path, *judges)):
        with pytest.raises(
            BadInput, match=r"r\.yaml: score\.1\.headers\.x-key \(.+\): the environment variable NO_SUCH_KEY is not set"
        ):
            found()
