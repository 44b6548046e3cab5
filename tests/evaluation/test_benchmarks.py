"""The benchmarks of recipes/eval/: their data as it is published, what models are asked, and that right answers are right."""

from __future__ import annotations

import json
import re

import pytest

from datakit.collect.benchmarks import items_of
from datakit.collect.inputs import read_inputs
from datakit.domains import domain_of
from datakit.evaluation.contest import contest_for
from datakit.evaluation.items import clusters_of
from datakit.evaluation.models import Model
from datakit.evaluation.scores import recipe_for
from datakit.recipe import ChatJudge
from datakit.recipe.benchmarks import benchmarks_folder, known_benchmarks, known_suites, load_benchmark, load_suite
from datakit.rewards import Question, judge_name
from datakit.rewards.remote import prompted
from tests.helpers.command import datakit, rows_of
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.published import ITEMS, JUDGED, right_below, write_copy, write_judged_copy

NAMES = ["amc23", "gpqa_diamond", "gsm8k", "humaneval", "livecodebench", "math", "mbpp", "mmlu_pro", "mmlu_redux"]
DIALOGUES = ["camrest", "mwoz", "smd"]
READ = {"livecodebench": 16, "mmlu_pro": 19, "mmlu_redux": 27}
"""Items that count, where not all of them do: of the window; where answer and its index agree; with a right choice."""
ASKED = {
    "gsm8k": "Ann has 8 pens and buys 13 more. How many pens has she then?",
    "math": "Compute $8+13$.",
    "amc23": "What is $8+13$?",
    "humaneval": 'def add_8(x: int) -> int:\n    """Give x plus 8.\n    >>> add_8(1)\n    9\n    """\n',
    "mbpp": '"""\nWrite a function that adds 8 to a number.\nassert add_8(1) == 9\n"""\n',
    "livecodebench": "Given a number, add 8 to it.\n\nclass Solution:\n    def add8(self, x: int) -> int:\n        ",
    "mmlu_pro": "Question: What are 8 and 13 together?\nOptions:\nA. the number 21\nB. the number 22",
    "mmlu_redux": "What are 8 and 13 together?\n\nA) the number 22\nB) the number 23\nC) the number 21\nD) the number 24",
    "gpqa_diamond": "Question: What are 8 and 13 together?\nOptions:\n",
}


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The folder of copies, as the environment names it."""
    monkeypatch.setenv("DATAKIT_DATA", str(tmp_path / "copies"))
    return tmp_path / "copies"


def test_the_benchmarks_and_suites_that_there_are():
    assert known_benchmarks() == sorted([*NAMES, *DIALOGUES, *JUDGED, "micro"]) and known_suites() == [
        "fusechat3",
        "fusechat3_exact",
    ]
    assert sorted(found.benchmark.name for found in load_suite("fusechat3")[1]) == sorted([*NAMES, *JUDGED])
    assert sorted(found.benchmark.name for found in load_suite("fusechat3_exact")[1]) == NAMES


@pytest.mark.parametrize("name", [*NAMES, *JUDGED])
def test_a_benchmark_says_what_it_must(name):
    benchmark, folder = load_benchmark(benchmarks_folder() / f"{name}.yaml")
    assert (benchmark.name, folder) == (name, benchmarks_folder().absolute())
    assert benchmark.sampling.max_tokens and benchmark.sampling.temperature is not None
    assert all("revision" in section.model_fields_set for section in benchmark.prompts), "said, where it is none"
    assert len(benchmark.published) >= 12 and len({one.model for one in benchmark.published}) == len(benchmark.published)


@pytest.mark.parametrize("name", NAMES)
def test_its_data_is_read_as_it_is_published(copies, name):
    write_copy(copies, name)
    [found] = load_suite(name)[1]
    model = Model("m", {"type": "endpoint", "model": "m", "revision": "m", "base_urls": ["http://127.0.0.1:1/v1"]})
    recipe = recipe_for(found, [model])
    prompts = []
    inputs = read_inputs(recipe, domain_of(recipe).read, None, prompts.append)
    kept = [prompt for prompt in prompts if prompt.dropped is None]
    assert len(kept) == READ.get(name, ITEMS) and not inputs.n_dropped
    assert any(prompt.messages[0]["content"].startswith(ASKED[name]) for prompt in kept), prompts[0].messages
    assert all(prompt.reference for prompt in kept)
    assert [*items_of(found.benchmark)] and len(clusters_of(recipe, "reference")) == len(prompts)
    if name == "mmlu_pro":
        assert len(set(clusters_of(recipe, "prompt").values())) == ITEMS - 1, "one question comes twice"
    if name == "gpqa_diamond":
        answers = {json.loads(prompt.reference)["answer"] for prompt in kept}
        assert len(answers) == 3 and "D" not in answers, "shuffled, but 'none of the above' stays last"


TOLD = {
    "alpacaeval2": "<instruction>\nSay how 8 pens and 13 are put into boxes.\n</instruction>",
    "arena_hard": "<prompt>\nPlan a walk of 8 miles.\n</prompt>",
    "mt_bench": "<question>\nWhat is twice 8?\n</question>",
    "alignbench": "问题的类型是“数学计算”",
}
"""What the judge is told of the ninth item."""


@pytest.mark.parametrize("name", JUDGED)
def test_the_data_of_judged_benchmarks_and_what_the_judge_is_asked(copies, name):
    write_judged_copy(copies, name)
    [found] = load_suite(name)[1]
    where = {"type": "endpoint", "model": "m", "revision": "m", "base_urls": ["http://127.0.0.1:1/v1"]}
    contest = contest_for(found, [Model("m", where)], {"base_urls": ["http://127.0.0.1:2/v1"]}, None)
    prompts, answers = [], []
    inputs = read_inputs(
        contest.recipe, domain_of(contest.recipe).read, None, prompts.append, lambda _, rows: answers.append(rows)
    )
    assert len(prompts) == ITEMS and not inputs.n_dropped and not any(prompt.dropped for prompt in prompts)
    assert inputs.n_responses == (ITEMS if contest.baseline else 0) and [*items_of(found.benchmark)]
    assert contest.is_own_baseline and (contest.baseline is None) == (found.benchmark.metric == "grade")
    [judge], asked = contest.recipe.score, prompts[8]
    assert isinstance(judge, ChatJudge) and judge.model == found.benchmark.judge["model"] and judge_name(judge)
    given = ("An answer.",) if contest.baseline is None else ("An answer.", "Another.")
    body = prompted.request(judge, Question(asked.messages, given, asked.reference, asked.category))
    told = body["messages"][-1]["content"]
    assert TOLD[name] in told and all(answer in told for answer in given) and "{" not in told.replace("{'事实正确'", "")
    assert (body.get("logprobs"), judge.sampling.max_tokens == 1) == ((True, True) if name == "alpacaeval2" else (None, False))


@pytest.mark.parametrize(("name", "about"), [("camrest", "name: The Gull 8; area"), ("mwoz", "name: The Gull 8; type: inn"),
                                             ("smd", "poi: inn 8; distance: 8 miles")])  # fmt: skip
def test_dialogues_are_read_as_they_are_published(copies, name, about):
    write_copy(copies, name)
    [found] = load_suite(name)[1]
    model = Model("m", {"type": "endpoint", "model": "m", "revision": "m", "base_urls": ["http://127.0.0.1:1/v1"]})
    recipe = recipe_for(found, [model])
    prompts = []
    domain = domain_of(recipe)
    read_inputs(recipe, domain.read, None, prompts.append)
    kept = [prompt for prompt in prompts if prompt.dropped is None]
    assert len(kept) == ITEMS and any(about in prompt.messages[-1]["content"] for prompt in kept)
    rows = [{"text": domain.gold(prompt), "reference": prompt.reference} for prompt in kept]
    assert [verdict.outcome for verdict in domain.verifier.verify(rows)] == ["passed"] * ITEMS
    assert [*items_of(found.benchmark)]


def test_entity_f1_stands_beside_the_score(copies, tmp_path):
    """Every second answer names another place: of all values together half are right."""
    write_copy(copies, "camrest")

    def say(body):
        at = int(re.findall(r"quarter (\d+) can", body["messages"][-1]["content"])[0])
        return f"At The Gull {at}." if at % 2 else f"At The Gull {(at + 1) % ITEMS}."

    with running(Fake(say=say)) as fake:
        done = datakit("eval", "--suite", "camrest", "--model", f"m={fake.url}", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    [score] = json.loads(done.stdout)["benchmarks"][0]["scores"]
    assert (score["score"], score["at_k"]) == (0.5, {"entity_f1": 0.5})


@pytest.mark.slow
def test_the_whole_suite_through_the_command(copies, tmp_path):
    """All nine, from their published form to the table: right answers are right, wrong ones wrong."""
    for name in NAMES:
        write_copy(copies, name)
    with running(Fake(say=right_below(10))) as fake:
        done = datakit(
            "eval", "--suite", "fusechat3_exact", "--model", f"gemma={fake.url}", "--out", tmp_path / "out", "--json"
        )
    assert done.returncode == 0, done.stderr
    found = {one["benchmark"]: one for one in json.loads(done.stdout)["benchmarks"]}
    for name, results in found.items():
        [score] = results["scores"]
        failed = rows_of(
            tmp_path / "out" / name, "SELECT outcome, detail, text FROM verdicts JOIN responses USING (response_id)"
        )
        assert results["prompts"] == READ.get(name, ITEMS), name
        assert score["endings"]["right"] + score["endings"]["wrong"] == score["answers"], (name, failed[:3])
        below = {"livecodebench": 6, "mmlu_pro": 9, "mmlu_redux": 9}.get(name, 10)
        assert score["score"] == pytest.approx(below / results["prompts"]), (name, failed)
    assert found["livecodebench"]["scores"][0]["at_k"]["pass@10"] and found["mmlu_pro"]["clusters"] == 18
    systems = {body["messages"][0]["content"] for body in fake.requests if body["messages"][0]["role"] == "system"}
    assert len(systems) == 1, "of the nine only LiveCodeBench has a system prompt for gemma"
    begun = [body["messages"][-1]["content"] for body in fake.requests if body["messages"][-1]["role"] == "assistant"]
    assert len(begun) == 2 * ITEMS and all(text.endswith("```python\n") for text in begun)


@pytest.mark.slow
def test_the_judged_ones_through_the_command(copies, tmp_path):
    """All four, from their published form to the table, with a judge that has one opinion."""
    suite = tmp_path / "judged.yaml"
    suite.write_text(f"name: judged\nbenchmarks: [{', '.join(JUDGED)}]\n")
    for name in JUDGED:
        write_judged_copy(copies, name)

    def says(body):
        asked = body["messages"][-1]["content"]
        return "{'清楚': 6, '综合得分': 6}" if "参考答案" in asked else "Rating: [[7]]" if "grade" in str(body) else "[[A>>B]]"

    likely = {"m": -0.2231435, "M": -1.6094379}  # four to one
    with running(Fake(say=lambda body: "A walk.")) as model, running(Fake(say=says, logprobs=lambda body: likely)) as judge:
        asked = ("--suite", suite, "--model", f"gemma={model.url}", "--judge", judge.url, "--out", tmp_path / "out")
        plans = json.loads(datakit("eval", *asked, "--dry-run", "--json").stdout)
        done = datakit("eval", *asked)
    assert done.returncode == 0, done.stderr
    wanted = {name: plans[name]["judging"][0]["missing"] for name in JUDGED}
    assert wanted == {"alpacaeval2": 20, "arena_hard": 40, "mt_bench": 20, "alignbench": 20}
    found = {one["benchmark"]: one for one in json.loads((tmp_path / "out" / "eval.json").read_text())["benchmarks"]}
    scores = {name: one["scores"][0]["score"] for name, one in found.items()}
    assert scores["arena_hard@gpt-4-1106-preview"] == 0.5 and scores["mt_bench@gpt-4-0125-preview"] == pytest.approx(0.7)
    assert scores["alignbench@gpt-4"] == pytest.approx(0.6) and 0.2 < scores["alpacaeval2@gpt-4-1106-preview"] < 0.8
    assert found["mt_bench@gpt-4-0125-preview"]["scores"][0]["answers"] == 40
    assert {body["model"] for body in judge.requests} == {"gpt-4-1106-preview", "gpt-4-0125-preview", "gpt-4"}
    assert done.stdout.count("published figures have another judge, prompt or baseline") == 4
