"""`datakit eval`: models behind URLs and in files, on benchmarks as ordinary runs; what the table says of them, and resume."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.audit.browsing import Browsing
from datakit.errors import BadInput
from datakit.evaluation.contest import read_judge
from datakit.evaluation.models import read_models
from datakit.evaluation.scores import recipe_for
from datakit.recipe import Requested
from datakit.recipe.benchmarks import load_benchmark
from datakit.store import Run
from datakit.tables.intervals import wilson
from tests.helpers.command import count, datakit, datakit_process, rows_of, wait_for_requests
from tests.helpers.fake_endpoint import Body, Fake, running
from tests.helpers.folders import ROOT
from tests.helpers.forked import Forked

PROMPTS = 20


def number_in(body: Body) -> int:
    """The A of "What is A + B?"."""
    return int(body["messages"][-1]["content"].split()[2])


def right_below(limit: int) -> Callable[[Body], str]:
    """Who is right where A is below a limit."""
    return lambda body: f"The answer is ({'A' if number_in(body) < limit else 'B'})."


@pytest.fixture
def model():
    """Endpoints, each a model that answers so."""
    with ExitStack() as stack:
        yield lambda **knobs: stack.enter_context(running(Fake(models=("org/served",), **knobs)))


@pytest.fixture
def benchmark(tmp_path) -> Callable[..., Path]:
    """A benchmark file over twenty additions; what is given changes it."""

    def write(name: str = "sums", n_prompts: int = PROMPTS, first_gold: str = "A", **changes: Any) -> Path:
        rows = [
            {"id": f"p{at:02}", "question": f"What is {at} + {3 * at}?", "gold": "A", "sums": [f"{4 * at}", f"{4 * at + 1}"]}
            for at in range(n_prompts)
        ]
        rows[0]["gold"] = first_gold
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        values = {
            "name": name,
            "version": "of the test",
            "licence": "Apache-2.0",
            "domain": "mcq",
            "prompts": {
                "type": "file",
                "path": f"{name}.jsonl",
                "columns": {"prompt_id": "id", "prompt": "question", "choices": "sums", "reference": "gold"},
                "template": "{prompt}\n{choices}",
            },
            "verify": {"workers": 1},
            "sampling": {"temperature": 0.0, "max_tokens": 64},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values | changes))
        return path

    return write


def evaluate(out: Path, suite: Path | str, *models: str, options: tuple[object, ...] = ()) -> Any:
    """The table as JSON gives it."""
    named = [word for model in models for word in ("--model", model)]
    done = datakit("eval", "--suite", suite, *named, "--out", out, "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def table_in(out: Path) -> Any:
    """The table that it keeps beside the runs."""
    return json.loads((out / "eval.json").read_text())


# -------------------------------------------------------------------------------------------------------------------- table


def test_the_table_of_two_models(model, benchmark, tmp_path):
    base, tuned = model(say=right_below(12)), model(say=lambda body: right_below(20)(body) if number_in(body) > 2 else "Hm.")
    found = evaluate(tmp_path / "out", benchmark(), f"base={base.url}", f"tuned={tuned.url}")
    [results] = found["benchmarks"]
    assert (found["suite"], found["base"], found["models"], found["means"]) == ("sums", "base", ["base", "tuned"], [])
    assert (results["prompts"], results["samples"], results["verifier"], results["clusters"]) == (20, 1, "mcq@1", None)
    assert results["smallest"] == pytest.approx(2.8 * (0.15 / 20) ** 0.5)
    of_base, of_tuned = results["scores"]
    assert (of_base["score"], of_base["n"], of_base["endings"]["right"], of_base["endings"]["wrong"]) == (0.6, 20, 12, 8)
    assert (of_base["low"], of_base["high"]) == pytest.approx(wilson(0.6, 20))
    assert (of_tuned["score"], of_tuned["endings"]["no_answer"], of_tuned["at_k"]) == (0.85, 3, {})
    [difference] = results["differences"]
    assert (difference["model"], difference["won"], difference["lost"], difference["n"]) == ("tuned", 8, 3, 20)
    assert difference["difference"] == pytest.approx(0.25) and difference["test"] == "mcnemar"
    assert difference["p"] == pytest.approx(2 * (1 + 11 + 55 + 165) / 2**11)
    assert table_in(tmp_path / "out") == found
    assert {row["model"] for row in rows_of(tmp_path / "out" / "sums", "SELECT DISTINCT model FROM responses")} == {
        "org/served"
    }
    assert_it_can_be_looked_at(tmp_path / "out")


def assert_it_can_be_looked_at(out: Path) -> None:
    """The report of the folder, and both directions of flips in its run, though both models were served under one name."""
    assert datakit("report", out).returncode == 0
    page = (out / "report.html").read_text()
    assert "<h3>Scores</h3>" in page and re.search(r"<td[^>]*>tuned</td><td[^>]*>25.0%</td>", page)
    with Run.open(out / "sums") as run:
        browsing = Browsing(run)
        base, tuned = browsing.facets.contestants
        assert (base, tuned) == ("base (org/served)", "tuned (org/served)")
        won, n_won = browsing.flips(tuned, base)
        _, n_lost = browsing.flips(base, tuned)
        browsing.close()
    assert (n_won, n_lost) == (8, 3)
    assert (won[0]["right"]["verdict"]["extracted"], won[0]["wrong"]["verdict"]["extracted"]) == ("A", "B")
    assert datakit("browse", out).stderr.count(f"datakit browse {out / 'sums'}") == 1


def test_the_table_as_people_read_it(model, benchmark, tmp_path):
    base, tuned = model(say=right_below(12)), model(say=right_below(9))
    published = [{"model": "org/served", "score": 61.0}, {"model": "served", "score": 99.0, "protocol": "another"}]
    done = datakit(
        *("eval", "--suite", benchmark(published=published), "--out", tmp_path / "out", "--flips", "--base", "tuned"),
        *("--model", f"base={base.url}", "--model", f"tuned={tuned.url}"),
    )
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "sums of the test, 20 prompts, 1 answer each, mcq@1" in lines
    assert "model score 95 % n no answer cut off published" in lines
    assert "base 60.0 38.7..78.1 20 0 0 61.0" in lines and "tuned 45.0 25.8..65.8 20 0 0 61.0" in lines, (
        "not the other protocol's"
    )
    assert "minus tuned points SE 95 % won lost p n" in lines
    assert any(line.startswith("base +15.0 8.2") and line.endswith("3 0 0.250 20") for line in lines)
    assert "20 prompts show differences from 24.2 points on (power 80 %, 15 % flips)" in lines
    assert "sums: base right, tuned wrong prompt p09" in lines
    assert "base, passed: A tuned, failed: B" in lines and "The answer is (A). The answer is (B)." in lines, "side by side"
    assert done.stdout.count("base right, tuned wrong") == 3 and "tuned right" not in done.stdout


def test_what_is_unknown_makes_bounds_and_no_score(model, benchmark, tmp_path):
    """Two requests fail for good, three answers are cut off, one is empty of any number."""

    def fault(number: int, body: Body) -> str | None:
        return {3: "context_length", 5: "context_length", 7: "length", 8: "length", 9: "length"}.get(number_in(body))

    fake = model(
        say=lambda body: "Let me think about it" if number_in(body) in (7, 8, 9) else right_below(20)(body), fault=fault
    )
    done = datakit("eval", "--suite", benchmark(), "--model", f"m={fake.url}", "--out", tmp_path / "out")
    [results] = table_in(tmp_path / "out")["benchmarks"]
    [score] = results["scores"]
    assert score["endings"] | {"right": 15, "cut_off": 3, "failed": 2, "missing": 0} == score["endings"]
    assert score["score"] is score["low"] is None and (score["worst"], score["best"]) == (0.75, 0.85) and score["n"] == 20
    assert "75.0..85.0 *" in done.stdout and "m: 2 failed: between 75.0 and 85.0 (* too many for a score)" in done.stdout


def test_what_nobody_can_judge_is_not_wrong(model, benchmark, tmp_path):
    """One gold of two hundred cannot be compared with: below one in a hundred there is a score, with its bounds."""
    fake = model(say=lambda body: f"The answer is {4 * number_in(body) + (number_in(body) >= 100)}.")
    rows = [{"question": f"What is {at} + {3 * at}?", "gold": str(4 * at)} for at in range(200)]
    rows[5]["gold"] = "x" * 5000
    (tmp_path / "math.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"prompt": "question", "reference": "gold"}
    path = benchmark(domain="math", prompts={"type": "file", "path": "math.jsonl", "columns": columns})
    [results] = evaluate(tmp_path / "out", path, f"m={fake.url}")["benchmarks"]
    [score] = results["scores"]
    assert score["endings"]["cannot_judge"] == 1 and score["score"] == pytest.approx(99 / 199)
    assert (score["worst"], score["best"], score["n"]) == (0.495, 0.5, 200)


def test_several_answers_a_prompt_move_together(model, benchmark, tmp_path):
    fake = model()  # about half of its answers are right
    path = benchmark(n=4, sampling={"temperature": 0.8, "max_tokens": 64}, n_prompts=60)
    found = evaluate(tmp_path / "out", path, f"m={fake.url}", f"again={fake.url}")
    [results] = found["benchmarks"]
    score = results["scores"][0]
    answers = rows_of(
        tmp_path / "out" / "sums",
        "SELECT prompt_id, count(*) FILTER (outcome = 'passed') AS c FROM responses JOIN verdicts USING (response_id) "
        "WHERE revision = 'm' GROUP BY 1 ORDER BY 1",
    )
    assert score["answers"] == 240 and score["n"] == 60 and len(answers) == 60
    assert score["score"] == score["at_k"]["avg@4"] == pytest.approx(sum(row["c"] for row in answers) / 240)
    assert score["at_k"]["pass@4"] == pytest.approx(sum(row["c"] > 0 for row in answers) / 60)
    assert [*score["at_k"]] == ["avg@4", "pass@2", "pass@4"]
    plain = wilson(score["score"], 240)
    assert score["high"] - score["low"] > 0 and (score["low"], score["high"]) != pytest.approx(plain)
    assert results["differences"][0]["test"] == "normal" and results["samples"] == 4
    assert fake.n_responses == 480, "each name is a model of its own"


@pytest.mark.slow
def test_pass_at_k_as_the_metric(model, benchmark, tmp_path):
    fake = model()
    path = benchmark(n=4, metric="pass@2", sampling={"temperature": 0.8, "max_tokens": 64})
    [results] = evaluate(tmp_path / "out", path, f"m={fake.url}")["benchmarks"]
    [score] = results["scores"]
    assert score["score"] == pytest.approx(score["at_k"]["pass@2"]) and score["score"] > score["at_k"]["avg@4"]


def test_a_suite_of_two_benchmarks_has_a_mean(model, benchmark, tmp_path):
    base, tuned = model(say=right_below(10)), model(say=right_below(15))
    benchmark("sums"), benchmark("more", n_prompts=10)
    suite = tmp_path / "both.yaml"
    suite.write_text("name: both\nbenchmarks: [sums.yaml, more.yaml]\n")
    found = evaluate(tmp_path / "out", suite, f"base={base.url}", f"tuned={tuned.url}")
    assert [one["benchmark"] for one in found["benchmarks"]] == ["sums", "more"]
    of_base, of_tuned = found["means"]
    assert of_base["score"] == pytest.approx((0.5 + 1.0) / 2) and of_tuned["difference"] == pytest.approx(0.125)
    assert of_tuned["difference_error"] == pytest.approx(found["benchmarks"][0]["differences"][0]["error"] / 2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sums", "more", "eval.json"}


def test_a_budget_that_is_spent_leaves_out_what_follows(model, benchmark, tmp_path):
    """With --keep-going the benchmarks before it stand in the table all the same; the second call asks nothing more."""
    fake = model(say=right_below(10))
    benchmark("sums", n_prompts=6), benchmark("more", n_prompts=2), benchmark("most", n_prompts=2)
    suite = tmp_path / "all.yaml"
    suite.write_text("name: all\nbenchmarks: [sums.yaml, more.yaml, most.yaml]\n")
    asked = ("eval", "--suite", suite, "--model", f"m={fake.url}", "--out", tmp_path / "out", "--budget-tokens", 1)
    stopped = datakit(*asked)
    assert stopped.returncode == 3 and not (tmp_path / "out" / "eval.json").exists()
    for _ in range(2):
        done = datakit(*asked, "--keep-going", "--json")
        assert done.returncode == 3 and "left out: more, most; budget.tokens: the runs before this one" in done.stderr, (
            done.stderr
        )
        assert [one["benchmark"] for one in json.loads(done.stdout)["benchmarks"]] == ["sums"]
        assert table_in(tmp_path / "out") == json.loads(done.stdout) and not (tmp_path / "out" / "more").exists()


# ------------------------------------------------------------------------------------------------- new rows, never a mixture


def test_asking_again_asks_nothing_and_what_changes_makes_new_rows(model, benchmark, tmp_path):
    fake = model(say=lambda body: right_below(20 if len(body["messages"]) > 1 else 10)(body))
    first = evaluate(tmp_path / "out", benchmark(), f"m={fake.url}")
    assert evaluate(tmp_path / "out", benchmark(), f"m={fake.url}") == first and fake.n_requests == PROMPTS
    other_gold = evaluate(tmp_path / "out", benchmark(first_gold="B"), f"m={fake.url}")
    assert fake.n_requests == PROMPTS, "the answers are those that there are"
    assert count(tmp_path / "out" / "sums", "verdicts") == PROMPTS + 1, "the old verdict stays, and is not used"
    other_system = evaluate(tmp_path / "out", benchmark(system="Be brief."), f"m={fake.url}")
    scores = [one["benchmarks"][0]["scores"][0]["score"] for one in (first, other_gold, other_system)]
    assert scores == [0.5, 0.45, 1.0], "never a mixture"
    assert count(tmp_path / "out" / "sums", "responses") == fake.n_requests == 2 * PROMPTS


def test_families_are_asked_in_their_own_way(model, benchmark, tmp_path):
    fake = model(say=right_below(10))
    families = [{"names": ["GEMMA"], "system": None}, {"names": ["other"], "system": "Other."}]
    path = benchmark(system="Be brief.", families=families)
    evaluate(tmp_path / "out", path, f"gemma-2={fake.url}", f"llama={fake.url}")
    asked = [[message["role"] for message in body["messages"]] for body in fake.requests]
    assert sorted(map(len, asked)) == [1] * PROMPTS + [2] * PROMPTS


@pytest.mark.parametrize("sign", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_killed_and_begun_again_it_asks_nothing_twice(model, benchmark, tmp_path, sign):
    """Interrupted, what is on its way is stored; killed, only that is asked for again."""
    fake = model(say=right_below(30), latency_s=0.02)
    source = tmp_path / "source.yaml"
    source.write_text(yaml.safe_dump({"type": "endpoint", "model": "org/served", "base_urls": [fake.url], "max_in_flight": 2}))
    asked = ("eval", "--suite", benchmark(n_prompts=60), "--model", f"m={source}", "--out", tmp_path / "out")
    with Forked(*asked) as process:
        wait_for_requests(fake, 20)
        process.send_signal(sign)
        process.communicate()
    assert process.returncode in (-signal.SIGKILL, 130) and fake.n_answered < 60
    there = count(tmp_path / "out" / "sums", "responses")
    assert there >= fake.n_answered - 2
    before = fake.n_answered
    done = datakit(*asked)
    assert done.returncode == 0, done.stderr
    assert fake.n_answered - before == 60 - there and fake.responses_twice <= 2 * (sign == signal.SIGKILL)
    assert count(tmp_path / "out" / "sums", "responses") == 60 and "50.0" in done.stdout


# ----------------------------------------------------------------------------------------------------------- imported answers

COLUMNS = "{text: answer, model: who}"


@pytest.fixture
def answers(tmp_path) -> Path:
    """Two models' answers to twelve of the twenty prompts, and to two others; half of them have ids of their own."""
    rows = [
        {
            **({"prompt_id": f"mine/{at}"} if who == "a" else {"prompt_id": f"p{at:02}"}),
            "prompt": f"What is {at} + {3 * at}?",
            "who": who,
            "answer": f"It is {'A' if at < limit else 'B'}.",
        }
        for who, limit in (("a", 9), ("b", 6))
        for at in (*range(12), 98, 99)
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_only_prompts_with_an_answer_count_and_n_says_so(answers, benchmark, tmp_path):
    published = [{"model": "a", "score": 70.0, "protocol": "theirs"}, {"model": "b", "score": 5.0, "protocol": "theirs"}]
    path = benchmark(published=published)
    found = evaluate(tmp_path / "out", path, f"one={answers}#a", f"two={answers}#b", options=("--columns", COLUMNS))
    [results] = found["benchmarks"]
    assert [(score["n"], score["score"]) for score in results["scores"]] == [(12, 0.75), (12, 0.5)]
    assert [score["published"] for score in results["scores"]] == [
        [{"score": 0.7, "protocol": "theirs", "inside": True}],
        [{"score": 0.05, "protocol": "theirs", "inside": False}],
    ]
    assert (results["differences"][0]["n"], results["differences"][0]["lost"]) == (12, 3) and results["prompts"] == 20
    named = rows_of(tmp_path / "out" / "sums", "SELECT DISTINCT model, sampling FROM responses ORDER BY 1")
    assert named == [{"model": "one", "sampling": "imported"}, {"model": "two", "sampling": "imported"}]


def test_a_file_and_an_endpoint_are_compared_on_what_both_have(answers, benchmark, model, tmp_path):
    fake = model(say=right_below(20))
    found = evaluate(tmp_path / "out", benchmark(), f"old={answers}#b", f"new={fake.url}", options=("--columns", COLUMNS))
    [results] = found["benchmarks"]
    assert [score["n"] for score in results["scores"]] == [12, 20]
    assert (results["differences"][0]["n"], results["differences"][0]["won"]) == (12, 6)


# ------------------------------------------------------------------------------------------------------------ data that met it


def test_how_much_of_a_run_and_an_export_is_in_the_benchmark(model, benchmark, tmp_path):
    fake = model()
    others = [{"id": "x", "question": "  what IS 3 +\n9?", "gold": "12"}, {"id": "y", "question": "What is 4?", "gold": "4"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in others))
    source = {"type": "endpoint", "model": "org/served", "base_urls": [fake.url], "n": 8, "sampling": {"max_tokens": 64}}
    prompts = {"type": "file", "path": "train.jsonl", "columns": {"prompt_id": "id", "prompt": "question", "reference": "gold"}}
    recipe = {"domain": "math", "prompts": [prompts], "sources": [source], "verify": {"workers": 1}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    run = tmp_path / "run"
    assert datakit("build", "--recipe", tmp_path / "r.yaml", "--out", run).returncode == 0
    data = ("--data", run, "--data", run / "dpo")
    done = datakit("eval", "--suite", benchmark(), "--model", f"m={fake.url}", "--out", tmp_path / "out", *data)
    [results] = table_in(tmp_path / "out")["benchmarks"]
    of_run, of_export = results["contacts"]
    assert of_run == {"data": str(run), "prompts": 2, "met": 1, "items": 1}
    assert of_export["prompts"] == count(run, "pairs") and of_export["met"] <= 1
    assert f"{run}: 1 of 2 prompts among the items of sums (1 of its items)" in " ".join(done.stdout.split())


# ----------------------------------------------------------------------------------------------------------------- bad input

BAD = [  # the command line after --suite; what is said
    (["--model", "m"], "--model m: write NAME=URL, NAME=FOLDER or NAME=FILE"),
    (["--model", "m="], "--model m=: write NAME=URL"),
    (["--model", "m=#x"], "--model m=#x: write NAME=URL"),
    (["--model", "m=nowhere.jsonl"], "--model m=nowhere.jsonl: no such file or folder; a URL begins with http:// or https://"),
    (["--model", "m={answers}"], "it has answers of 2 models; add which one: #MODEL (a, b)"),
    (["--model", "m={answers}#c"], "#c: no answer of this model; its models are a, b"),
    (["--model", "m={answers}#a", "--model", "m={answers}#b"], "two models are called m"),
    (["--model", "m={answers}#a", "--base", "n"], "--base n: no --model has this name; known: m"),
    (["--model", "m={answers}#a", "--data", "{answers}"], "neither a run folder (recipe.json) nor an export (train.parquet)"),
    (["--model", "m={source}"], "sampling: the benchmark says that, so that models can be compared"),
    (["--model", "m={broken}"], "bsae_urls: extra field not permitted"),
    (["--model", "m={answers}#a", "--columns", "text"], "--columns text: write it as a recipe has it"),
]


@pytest.mark.parametrize("words, said", BAD, ids=[said[:50] for _, said in BAD])
def test_bad_input_is_said_before_anything_is_made(answers, benchmark, tmp_path, words, said):
    source, broken = tmp_path / "source.yaml", tmp_path / "broken.yaml"
    source.write_text("{type: endpoint, model: m, base_urls: ['http://127.0.0.1:1/v1'], sampling: {temperature: 1.0}}")
    broken.write_text("{type: endpoint, model: m, bsae_urls: ['http://127.0.0.1:1/v1']}")
    given = [word.format(answers=answers, source=source, broken=broken) for word in words]
    columns = [] if "--columns" in given else ["--columns", COLUMNS]
    done = datakit("eval", "--suite", benchmark(), *given, *columns, "--out", tmp_path / "out")
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_messages_of_a_run_send_back_to_the_command_line(benchmark, tmp_path):
    """Of a URL and of a source's file; an option's variable is called by the option."""
    source = tmp_path / "source.yaml"
    source.write_text("{type: endpoint, model: m, base_urls: ['http://127.0.0.1:1/v1']}")
    models = read_models(["a=http://127.0.0.1:1/v1#m", f"b={source}"], None, None)
    sources = recipe_for(load_benchmark(benchmark()), models).sources
    found = [one.origin for one in sources if isinstance(one, Requested)]
    assert [one.url for one in found] == ["--model a=http://127.0.0.1:1/v1", f"base_urls in {source}"]
    assert {one.again for one in found} == {"evaluate again"}
    unset = "the environment variable NO_SUCH_KEY is not set; export NO_SUCH_KEY=... or leave it out"
    with pytest.raises(BadInput, match=rf"^--api-key-env: {unset}$"):
        read_models(["a=http://127.0.0.1:1/v1#m"], None, "NO_SUCH_KEY")
    with pytest.raises(BadInput, match=rf"^--judge-key-env: {unset}$"):
        read_judge("http://a", "NO_SUCH_KEY")


BROKEN = [
    (
        {"domain": "instruct", "verify": {}},
        "domain instruct: nothing is right or wrong there by itself, so a benchmark of it needs a judge",
    ),
    ({"metric": "f1"}, "metric: string should match pattern"),
    ({"smapling": {}}, "smapling: extra field not permitted (got {}); did you mean 'sampling'?"),
    ({"prompts": {"type": "file"}}, "prompts.path: field required"),
    ({"metric": "pass@2"}, "metric: pass@2 needs as many answers per prompt; n is 1"),
    ({"cluster": "topic"}, "benchmark sums: cluster: 'topic' is not a known column; choose one of prompt_id, prompt,"),
    ({"verify": {"libraries": ["numpy"]}}, "verify.libraries is for domain code, this recipe's is mcq"),
]


@pytest.mark.parametrize("change, said", BROKEN, ids=[said[:40] for _, said in BROKEN])
def test_a_broken_benchmark_is_named(benchmark, model, tmp_path, change, said):
    done = datakit("eval", "--suite", benchmark(**change), "--model", f"m={model().url}", "--out", tmp_path / "out")
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_a_suite_that_is_not_there(tmp_path):
    done = datakit("eval", "--suite", "fusechat4", "--model", "m=http://127.0.0.1:1/v1")
    assert done.returncode == 2 and "--suite fusechat4: no such suite, benchmark or file; known are fusechat3," in done.stderr


def test_a_server_of_several_models_and_one_that_is_away(benchmark, tmp_path):
    with running(Fake(models=("org/a", "org/b"), say=right_below(10))) as fake:
        several = datakit("eval", "--suite", benchmark(), "--model", f"m={fake.url}", "--out", tmp_path / "out")
        assert (
            several.returncode == 2 and f"it serves 2 models; add which one: {fake.url}#MODEL (org/a, org/b)" in several.stderr
        )
        found = evaluate(tmp_path / "out", benchmark(), f"m={fake.url}#org/b")
        assert {body["model"] for body in fake.requests} == {"org/b"} and found["benchmarks"][0]["scores"][0]["score"] == 0.5
        url = fake.url
    away = datakit("eval", "--suite", benchmark(), "--model", f"m={url}", "--out", tmp_path / "new")
    assert away.returncode == 3 and "Traceback" not in away.stderr


# ------------------------------------------------------------------------------------------------------------- model folders


def test_a_folder_is_called_by_its_name_on_the_command_line(tmp_path):
    """By itself, and where a section says it: what an answer's seed hangs on has no path."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "section.yaml").write_text("{type: local, model: weights}")
    (tmp_path / "named.yaml").write_text("{type: local, model: org/llama, folder: weights}")
    given = [f"a={tmp_path}/weights", f"b={tmp_path}/section.yaml", f"c={tmp_path}/named.yaml"]
    models = read_models(given, None, None)
    assert [model.section["model"] for model in models] == ["a", "b", "org/llama"]
    assert {model.section["folder"] for model in models} == {str(tmp_path / "weights")}
    assert all("weights" in model.names for model in models), "a benchmark may say how models of that name are asked"


@pytest.mark.slow
def test_folders_are_served_and_stopped_and_the_prefill_is_said_to_be_left_out(tmp_path):
    """Two micro models, one after the other; what they can do lies where their own report has it."""
    micro = ROOT / "data" / "micro"
    values = yaml.safe_load((ROOT / "recipes" / "eval" / "micro.yaml").read_text())
    values["prompts"]["path"] = str(ROOT / "data" / "math" / "unseen.jsonl")
    values |= {"prefill": "Let us see.", "n": 1}
    (tmp_path / "micro.yaml").write_text(yaml.safe_dump(values))
    models = ("--model", f"target={micro / 'target'}", "--model", f"llama={micro / 'llama'}")
    done = datakit_process("eval", "--suite", tmp_path / "micro.yaml", *models, "--out", tmp_path / "out", "--limit", 24)
    assert done.returncode == 0, done.stderr
    assert "target is asked without prefill: `transformers serve` cannot go on with an answer" in done.stderr
    [results] = table_in(tmp_path / "out")["benchmarks"]
    of_target, of_llama = results["scores"]
    assert (of_target["n"], of_llama["n"], results["prompts"]) == (24, 24, 24)
    assert of_target["low"] <= 0.37 <= of_target["high"] and of_llama["low"] <= 0.46 <= of_llama["high"]
    there = rows_of(tmp_path / "out" / "micro", "SELECT DISTINCT model, revision FROM responses ORDER BY 1")
    assert [row["model"] for row in there] == ["llama", "target"], "no path: seeds are the same in every checkout"
    assert all(row["revision"].startswith("local-") for row in there), "a folder's files are the model's revision"


@pytest.mark.parametrize("request_by", ["batch", "auto"])
def test_a_model_that_cannot_be_asked_is_evaluated_again(benchmark, tmp_path, request_by):
    """Whichever client asks: no sentence sends to another command."""
    pytest.importorskip("openai")
    source = tmp_path / "source.yaml"
    with running(Fake(key="sk-right")) as fake:
        source.write_text(f"{{type: endpoint, model: m, request: {request_by}, base_urls: ['{fake.url}']}}")
        done = datakit("eval", "--suite", benchmark(), "--model", f"m={source}", "--out", tmp_path / "out")
    assert done.returncode == 3 and "then evaluate again" in done.stderr and "build again" not in done.stderr, done.stderr
