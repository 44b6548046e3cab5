"""Benchmarks whose answers a judge compares or grades: the table, what the judge prefers, second turns, resume, costs."""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.helpers.command import count, datakit, rows_of, wait_for_requests
from tests.helpers.fake_endpoint import Body, Fake, running
from tests.helpers.folders import ROOT
from tests.helpers.forked import Forked

PROMPTS = 24
SHORT, LONG = "It is so.", "It is so; and here is at length why it is so."
SEEN = {"template": "Q {prompt}\n<<{answer_a}>>\n<<{answer_b}>>"}
GRADED = {"system": "Grade.", "template": "Q {question}\n<<{answer}>>"}
BESIDE = {"template": "Q {question}\nR {reference}\n<<{answer}>>"}


def shown(body: Body) -> list[str]:
    """The answers that the judge sees."""
    return re.findall(r"<<(.*?)>>", body["messages"][-1]["content"], re.DOTALL)


def number_in(body: Body) -> int:
    """Of "What is A + B?", in a model's request or in a judge's."""
    found = re.findall(r"What is (\d+)", body["messages"][-1]["content"])
    return int(found[-1])


def prefers_longer(body: Body) -> str:
    a, b = map(len, shown(body))
    return f"Hm. [[{'A=B' if a == b else 'A>>B' if a > b else 'B>A'}]]"


def prefers_first(body: Body) -> str:
    return "Without reading on: [[A>B]]"


@pytest.fixture
def model():
    """Endpoints, each a model that answers so."""
    with ExitStack() as stack:
        yield lambda say, **knobs: stack.enter_context(running(Fake(models=("org/served",), say=say, **knobs)))


@pytest.fixture
def duel(tmp_path) -> Callable[..., Path]:
    """A benchmark file over additions; what is given changes it, or its judge."""

    def write(judge: dict[str, Any] | None = None, name: str = "duel", n: int = PROMPTS, **changes: Any) -> Path:
        rows = [
            {"id": f"p{at:02}", "turns": [f"What is {at} + 1?", f"What is {at} + 2?"], "kind": "even" if at % 2 == 0 else "odd"}
            | ({"reference": [f"gold {at}", f"gold too {at}"]} if at < 4 else {})
            for at in range(n)
        ]
        (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        columns = {"prompt_id": "id", "prompt": "turns.0", "category": "kind", "reference": "reference.0"}
        values = {
            **{"name": name, "version": "of the test", "licence": "Apache-2.0", "domain": "instruct"},
            "prompts": {"type": "file", "path": "prompts.jsonl", "columns": columns},
            **{"sampling": {"temperature": 0.0, "max_tokens": 64}, "metric": "win_rate", "clear": 3},
            "judge": {"type": "pairwise", "model": "org/judge", "prompt": SEEN} | (judge or {}),
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values | changes))
        return path

    return write


def command(out: Path, suite: Path, judge: Fake, *models: str, options: tuple[object, ...] = ()) -> tuple[object, ...]:
    named = [word for one in models for word in ("--model", one)]
    return ("eval", "--suite", suite, *named, "--judge", f"{judge.url}#org/judge", "--out", out, *options)


def evaluate(out: Path, *args: Any, **options: Any) -> tuple[Any, str]:
    """The one benchmark of the table, as JSON has it, and the table as people read it."""
    done = datakit(*command(out, *args, **options))
    assert done.returncode == 0, done.stderr
    [results] = json.loads((out / "eval.json").read_text())["benchmarks"]
    return results, done.stdout


# ------------------------------------------------------------------------------------------------------------- comparisons


def test_what_a_judge_prefers_for_no_merit_is_found_and_named(model, duel, tmp_path):
    """One judge cares for length alone and one for position alone; the table says both, by name."""
    base, tuned = model(lambda body: SHORT), model(lambda body: LONG if number_in(body) < 18 else SHORT)
    asked = (f"base={base.url}", f"tuned={tuned.url}")
    with running(Fake(say=prefers_longer)) as judge:
        found, lines = evaluate(tmp_path / "a", duel(), judge, *asked, options=("--baseline", "base"))
        [score], judging = found["scores"], found["judging"]
        assert found["benchmark"] == "duel@org/judge" and judging["baseline"] == "base"
        assert (score["judged"]["wins"], score["judged"]["ties"], score["judged"]["losses"]) == (36, 12, 0)
        assert score["score"] == pytest.approx((18 * (3 + 1) + 6 * 1) / (18 * (3 + 1) + 6 * 2)), "[[A>>B]] counts three times"
        assert judging["first"]["share"] == 0.5 and judging["longer"]["share"] == 1.0
        assert "length: the judge prefers the longer answer in 100.0 %" in lines and "which may be chance" in lines
        assert judge.n_requests == 2 * PROMPTS, "in both orders"
        assert rows_of(tmp_path / "a" / "duel", "SELECT count(DISTINCT first_id) AS n FROM judgements") == [{"n": 2 * PROMPTS}]
    with running(Fake(say=prefers_first)) as judge:
        found, lines = evaluate(tmp_path / "b", duel(), judge, *asked, options=("--baseline", "base"))
        assert found["judging"]["first"]["share"] == 1.0 and found["scores"][0]["score"] == 0.5
        assert "position: the judge prefers the answer that is shown first in 100.0 %" in lines


def test_a_verdict_that_cannot_be_read_is_no_tie(model, duel, tmp_path):
    """Left out and counted; an answer with one that can be read counts by that. An answer that never came has lost."""
    base, tuned = model(lambda body: SHORT), model(lambda body: "<think>Hm." if number_in(body) == 7 else LONG)

    def judge_says(body: Body) -> str:
        if number_in(body) == 3 or (number_in(body) == 5 and shown(body)[0] == LONG):
            return "Both are fine. [[A>B]] or rather [[B>A]]"
        return prefers_longer(body)

    with running(Fake(say=judge_says)) as judge:
        asked = (f"base={base.url}", f"tuned={tuned.url}")
        found, lines = evaluate(tmp_path / "out", duel(), judge, *asked, options=("--baseline", "base"))
        [score] = found["scores"]
        assert score["endings"] | {"no_verdict": 1, "no_answer": 1, "judged": PROMPTS - 2} == score["endings"]
        assert score["score"] == pytest.approx(85 / 87), "21 prompts of weight 4, one of 1, and two battles that were lost"
        assert (found["judging"]["unreadable"], found["judging"]["judgements"]) == (3, 2 * PROMPTS - 5)
        assert score["worst"] == pytest.approx(85 / 87 * 23 / 24) and score["best"] == pytest.approx(85 / 87 * 23 / 24 + 1 / 24)
        failures = rows_of(tmp_path / "out" / "duel", "SELECT stage, error FROM current_failures")
        assert failures == 3 * [{"stage": "judge", "error": "unparseable_judgement"}]
        assert "3 judgements without a verdict" in lines and "tuned: 1 without a verdict: between" in lines
        before = judge.n_requests
        assert evaluate(tmp_path / "out", duel(), judge, *asked, options=("--baseline", "base"))[0] == found
        assert judge.n_requests == before, "a judge that decodes greedily would say the same"


@pytest.mark.slow
def test_one_token_is_a_preference_by_its_probability(model, duel, tmp_path, monkeypatch):
    """AlpacaEval's: m for the first, M for the second; in one order, by hash. Lengths are controlled with what there is."""
    base, tuned = model(lambda body: SHORT), model(lambda body: LONG[: 9 + number_in(body)])
    monkeypatch.setenv("DATAKIT_DATA", str(tmp_path / "copies"))
    path = duel(
        {"verdict": "token", "orders": "random", "sampling": {"temperature": 1.0, "max_tokens": 1}},
        metric="lc_win_rate",
        length_control="gamed/df.csv",
    )

    def likely(body: Body) -> dict[str, float]:
        first = 0.8 if len(shown(body)[0]) > len(shown(body)[1]) else 0.4
        shares = {"m": 0.9 * first, "M": 0.9 * (1 - first), "x": 0.1} if number_in(body) else {"?": 1.0}
        return {token: math.log(share) for token, share in shares.items()}

    with running(Fake(say=lambda body: "m", logprobs=likely)) as judge:
        asked = (f"base={base.url}", f"tuned={tuned.url}")
        found, _ = evaluate(tmp_path / "out", path, judge, *asked, options=("--baseline", "base"))
        [score] = found["scores"]
        assert judge.n_requests == PROMPTS and {body["max_tokens"] for body in judge.requests} == {1}
        values = rows_of(tmp_path / "out" / "duel", "SELECT value, verdict FROM judgements ORDER BY value")
        assert {(round(row["value"], 6), row["verdict"]) for row in values} == {(0.4, "M"), (0.8, "m")}
        firsts = sum(row["value"] == pytest.approx(0.8) for row in values)
        assert 3 < firsts < PROMPTS - 4, "the order is drawn"
        assert score["judged"]["raw"]["share"] == pytest.approx((0.8 * firsts + 0.6 * (PROMPTS - 1 - firsts)) / (PROMPTS - 1))
        assert (score["endings"]["no_verdict"], found["judging"]["length_control"]) == (1, "plain")
        assert score["low"] < score["score"] < score["high"] and score["judged"]["published_error"] < score["error"]


@pytest.mark.slow
def test_the_published_priors_count_where_the_baseline_is_the_benchmarks(model, duel, tmp_path, monkeypatch):
    tuned = model(lambda body: LONG[: 9 + number_in(body)])
    gamed = [
        {"index": at, "preference": 0.5, "std_delta_len": (at % 5) / 2 - 1, "instruction_difficulty": (at % 7) / 3 - 1}
        for at in [*range(PROMPTS)] * 2
    ]
    (tmp_path / "copies" / "gamed").mkdir(parents=True)
    pl.DataFrame(gamed).write_csv(tmp_path / "copies" / "gamed" / "df.csv")
    lines = [f"p{at:02},What is {at} + 1?,{SHORT}\n" for at in range(PROMPTS)]
    (tmp_path / "base.csv").write_text("prompt_id,prompt,text\n" + "".join(lines))
    monkeypatch.setenv("DATAKIT_DATA", str(tmp_path / "copies"))
    baseline = {"type": "responses", "path": "base.csv", "model": "gpt"}
    path = duel(metric="lc_win_rate", length_control="gamed/df.csv", baseline=baseline)
    with running(Fake(say=prefers_longer)) as judge:
        found, _ = evaluate(tmp_path / "out", path, judge, f"tuned={tuned.url}")
        assert (found["judging"]["baseline"], found["judging"]["length_control"]) == ("gpt", "published")
        baseline_too = ("--baseline", f"b={tmp_path}/base.csv")
        own, _ = evaluate(tmp_path / "own", path, judge, f"tuned={tuned.url}", options=baseline_too)
        assert (own["judging"]["baseline"], own["judging"]["length_control"]) == ("b", "plain")


@pytest.mark.slow
def test_published_figures_need_the_published_judge_and_prompt(model, duel, tmp_path, monkeypatch):
    """With a copy of the published prompt below $DATAKIT_DATA the judge is asked that, and the figure stands; else not."""
    base, tuned = model(lambda body: SHORT), model(lambda body: LONG)
    asked = (f"base={base.url}", f"served={tuned.url}")
    figures = [{"model": "org/served", "score": 61.0}, {"model": "served", "score": 1.0, "protocol": "another"}]
    (tmp_path / "base.csv").write_text(f"prompt_id,prompt,text\np00,What is 0 + 1?,{SHORT}!\n")
    baseline = {"type": "responses", "path": "base.csv", "model": "gpt"}
    path = duel({"prompt": SEEN | {"published": "them/prompt.txt"}}, published=figures, baseline=baseline)
    monkeypatch.setenv("DATAKIT_DATA", str(tmp_path / "copies"))
    with running(Fake(say=prefers_longer)) as judge:
        ours, _ = evaluate(tmp_path / "out", path, judge, *asked, options=("--limit", 1))
        assert not ours["judging"]["prompt_is_published"] and [score["published"] for score in ours["scores"]] == [[], []]
        (tmp_path / "copies" / "them").mkdir(parents=True)
        (tmp_path / "copies" / "them" / "prompt.txt").write_text(
            "<|im_start|>system\nJudge.<|im_end|>\n<|im_start|>user\nQ {instruction} <<{output_1}>> <<{output_2}>><|im_end|>"
        )
        theirs, _ = evaluate(tmp_path / "out", path, judge, *asked, options=("--limit", 1))
        assert judge.requests[-1]["messages"][0] == {"role": "system", "content": "Judge."}
        assert theirs["judging"]["is_published"] and [one["score"] for one in theirs["scores"][1]["published"]] == [0.61]
        assert count(tmp_path / "out" / "duel", "judgements") == 8, "another prompt is another judge"
        other, _ = evaluate(tmp_path / "out", path, judge, *asked, options=("--limit", 1, "--judge", f"{judge.url}#org/other"))
        assert other["benchmark"] == "duel@org/other" and other["scores"][1]["published"] == []


# ------------------------------------------------------------------------------------------------------------------ grades


def test_a_second_turn_follows_each_models_own_first_answer(model, duel, tmp_path):
    """MT-Bench's: references where there are some, the mean of all grades, prompts as independent draws."""
    fakes = {
        "a": model(lambda body: f"a says {len(body['messages'])}"),
        "b": model(lambda body: f"b says {len(body['messages'])}"),
    }
    later = {"template": "C {question_1} {answer_1} {question_2}\n<<{answer_2}>>"}
    beside = {"template": "R {ref_answer_1} {ref_answer_2}\nC {question_1} {answer_1} {question_2}\n<<{answer_2}>>"}
    second = {
        "columns": {"prompt": "turns.1", "reference": "reference.1"},
        "judge": {"prompt": later, "with_reference": beside},
    }
    graded = {"type": "grade", "prompt": GRADED, "with_reference": BESIDE}
    path = duel(graded, metric="grade", second=second, n=6)

    def grade(body: Body) -> str:
        return f"Rating: [[{4 + 2 * (shown(body)[0].startswith('a')) + (shown(body)[0].endswith('3'))}]]"

    with running(Fake(say=grade)) as judge:
        asked = [f"{name}={fake.url}" for name, fake in fakes.items()]
        found, lines = evaluate(tmp_path / "out", path, judge, *asked)
        assert [score["score"] for score in found["scores"]] == [pytest.approx(0.65), pytest.approx(0.45)]
        assert found["full"] == 10.0 and [score["answers"] for score in found["scores"]] == [12, 12]
        assert found["differences"][0]["difference"] == pytest.approx(-0.2) and found["differences"][0]["n"] == 6
        texts = [body["messages"][-1]["content"] for body in judge.requests]
        assert "C What is 5 + 1? a says 1 What is 5 + 2?\n<<a says 3>>" in texts
        assert "R gold 0 gold too 0\nC What is 0 + 1? b says 1 What is 0 + 2?\n<<b says 3>>" in texts
        assert "Q What is 0 + 1?\nR gold 0\n<<a says 1>>" in texts and len(texts) == 24
        assert re.search(r"\n +a +6\.50 ", lines) and re.search(r"minus a .*\n +b +-2\.00 ", lines)


@pytest.mark.slow
def test_grades_of_groups_are_means_of_means(model, duel, tmp_path):
    """AlignBench's: the mean of groups, a group's the mean of its categories; the grade in the last dictionary."""
    fake = model(lambda body: f"answer to {number_in(body)}")

    def grade(body: Body) -> str:
        at = number_in(body)
        return "说明。{'事实': 1, '综合得分': " + f"{8 if at % 2 == 0 else 2}}}" if at < 20 else "没有"

    path = duel(
        {"type": "grade", "prompt": GRADED, "verdict": "dictionary"}, metric="grade", groups={"x": ["even"], "y": ["odd"]}
    )
    with running(Fake(say=grade)) as judge:
        found, _ = evaluate(tmp_path / "out", path, judge, f"m={fake.url}")
        [score] = found["scores"]
        assert score["score"] == pytest.approx((0.8 + 0.2) / 2) and score["endings"]["no_verdict"] == 4


# ------------------------------------------------------------------------------------------------- what it takes, and resume


@pytest.mark.slow
def test_killed_and_begun_again_it_judges_nothing_twice(model, duel, tmp_path):
    base, tuned = model(lambda body: SHORT), model(lambda body: LONG)
    with running(Fake(say=prefers_longer, latency_s=0.02)) as judge:
        section = tmp_path / "judge.yaml"
        section.write_text(yaml.safe_dump({"base_urls": [judge.url], "model": "org/judge", "max_in_flight": 2}))
        named = ("--model", f"base={base.url}", "--model", f"tuned={tuned.url}", "--baseline", "base", "--judge", section)
        asked = ("eval", "--suite", duel(), *named, "--out", tmp_path / "out")
        with Forked(*asked) as process:
            wait_for_requests(judge, 16)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        there, before = count(tmp_path / "out" / "duel", "judgements"), judge.n_answered
        assert before - 2 <= there < 2 * PROMPTS
        done = datakit(*asked)
        assert done.returncode == 0, done.stderr
        assert judge.n_answered - before == 2 * PROMPTS - there and judge.asked_twice <= 2
        assert count(tmp_path / "out" / "duel", "judgements") == 2 * PROMPTS and "100.0" in done.stdout


@pytest.mark.slow
def test_a_dry_run_prices_the_judge_and_a_budget_counts_it(model, duel, tmp_path):
    base, tuned = model(lambda body: SHORT), model(lambda body: LONG)
    with running(Fake(say=prefers_longer)) as judge:
        section = tmp_path / "judge.yaml"
        price = {"input": 10.0, "output": 30.0}
        section.write_text(yaml.safe_dump({"base_urls": [judge.url], "model": "org/judge", "price": price, "max_in_flight": 1}))
        named = ("--model", f"base={base.url}", "--model", f"tuned={tuned.url}", "--baseline", "base", "--judge", section)
        asked = ("eval", "--suite", duel(), *named, "--out", tmp_path / "out")
        plan = json.loads(datakit(*asked, "--dry-run", "--json").stdout)["duel"]
        [judging] = plan["judging"]
        assert (judging["missing"], judging["completion_tokens"]) == (48, 48 * 1024)
        assert judging["cost"] == pytest.approx((10 * judging["prompt_tokens"] + 30 * 48 * 1024) / 1e6)
        assert plan["planned"]["cost"] == pytest.approx(judging["cost"]) and judge.n_requests == 0
        done = datakit(*asked, "--budget-cost", 0.006)
        assert done.returncode == 3 and "budget.cost: this run has cost" in done.stderr, done.stderr
        took = judge.n_requests
        assert 0.006 <= took * (11 * 10 + 10 * 30) / 1e6 < 0.008 and count(tmp_path / "out" / "duel", "judgements") == took
        assert datakit(*asked, "--budget-cost", 0.006).returncode == 3 and judge.n_requests == took, "earlier builds count"
        assert datakit(*asked).returncode == 0 and judge.n_requests == 2 * PROMPTS


WRONG = {
    "no price": (
        {},
        ("--judge", "http://127.0.0.1:1/v1", "--baseline", "a", "--budget-cost", "1"),
        "--budget-cost: nothing has a",
    ),
    "no judge": ({}, (), "benchmark duel: its answers are judged by a model; give --judge URL#MODEL or --judge JUDGE.yaml"),
    "no baseline": ({}, ("--judge", "http://127.0.0.1:1/v1"), "benchmark duel: it has no baseline; give --baseline NAME"),
    "nobody's baseline": ({}, ("--judge", "http://127.0.0.1:1/v1", "--baseline", "c"), "--baseline c: no --model has this"),
    "a judge of what": ({}, ("--judge", "judge"), "--judge judge: write a URL, URL#MODEL, or a YAML file"),
    "no answer in it": (
        {"prompt": {"template": "{prompt} {answer_a}"}},
        ("--judge", "http://127.0.0.1:1/v1", "--baseline", "a"),
        "benchmark duel: score: template: it must contain {answer_b}, an answer to judge",
    ),
}


@pytest.mark.parametrize(("judge", "options", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_judged_is_said_before_the_first_request(duel, tmp_path, judge, options, said):
    done = datakit("eval", "--suite", duel(judge), "--model", "a=http://127.0.0.1:1/v1#m", "--out", tmp_path / "out", *options)
    assert done.returncode == 2 and said in done.stderr, done.stderr


@pytest.mark.slow
def test_two_micro_models_before_a_scripted_judge_killed_and_resumed(tmp_path):
    """Model folders, served; llama's answers are the longer ones, and the judge cares for nothing else."""
    micro = ROOT / "data" / "micro"
    judge_sees = {"type": "pairwise", "model": "org/judge", "prompt": SEEN}
    values = yaml.safe_load((ROOT / "recipes" / "eval" / "micro.yaml").read_text())
    values["prompts"]["path"] = str(ROOT / "data" / "math" / "unseen.jsonl")
    values |= {"n": 1, "domain": "instruct", "metric": "lc_win_rate", "judge": judge_sees}
    (tmp_path / "duel.yaml").write_text(yaml.safe_dump(values))
    with running(Fake(say=prefers_longer, latency_s=0.02)) as judge:
        (tmp_path / "judge.yaml").write_text(
            yaml.safe_dump({"base_urls": [judge.url], "model": "org/judge", "max_in_flight": 2})
        )
        models = ("--model", f"target={micro / 'target'}", "--model", f"llama={micro / 'llama'}", "--baseline", "target")
        named = ("--suite", tmp_path / "duel.yaml", *models, "--judge", tmp_path / "judge.yaml")
        asked = ("eval", *named, "--limit", 24, "--out", tmp_path / "out")
        with Forked(*asked) as process:
            wait_for_requests(judge, 12)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        there, before = count(tmp_path / "out" / "micro", "judgements"), judge.n_answered
        assert 0 < there < 48
        done = datakit(*asked)
        assert done.returncode == 0, done.stderr
        assert judge.n_answered - before == 48 - there, "nothing twice, and no answer sampled again"
    [results] = json.loads((tmp_path / "out" / "eval.json").read_text())["benchmarks"]
    [score] = results["scores"]
    lengths = rows_of(
        tmp_path / "out" / "micro",
        "SELECT a.n_chars > b.n_chars AS won, a.n_chars = b.n_chars AS tied FROM responses a JOIN responses b "
        "USING (prompt_id) WHERE a.model LIKE '%llama' AND b.model LIKE '%target'",
    )
    wins, ties = sum(row["won"] for row in lengths), sum(row["tied"] for row in lengths)
    assert len(lengths) == 24 and score["judged"]["raw"]["share"] == pytest.approx((wins + ties / 2) / 24)
    assert results["judging"]["longer"]["share"] == 1.0 and results["judging"]["first"]["share"] == 0.5
    assert "micro@org/judge" in done.stdout and "length: the judge prefers the longer answer in 100.0 %" in done.stdout
