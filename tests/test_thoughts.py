"""Builds over a source that thinks, in each of the four forms: verdicts, scores and exports are of the answer alone.

Every thought comes to the opposite of its answer, so that a verdict on a thought is a wrong one.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from datakit.sandbox.inside.confine import landlock_abi
from tests.helpers.command import count, datakit, rows_of, write_recipe
from tests.helpers.fake_endpoint import Body, Fake, body_text, running

CONFINED = sys.platform == "linux" and (landlock_abi() or shutil.which("bwrap"))
PROMPTS, N = 3, 4
PROGRAM = "```python\ndef f():\n    return {} + {}\n```"
SAY: dict[str, Callable[[int, int], str]] = {  # domain: what says a value; the number makes texts differ
    "math": lambda value, number: f"Of {number} ways: the answer is \\boxed{{{value}}}.",
    "code": lambda value, number: f"Way {number}:\n{PROGRAM.format(value - number, number)}",
    "instruct": lambda value, number: f"Way {number} gives {value}.",
}
FORMS: dict[str, Callable[[str, str], Body]] = {
    "think": lambda thought, answer: {"content": f"<think>\n{thought}\n</think>\n\n{answer}"},
    "think_open": lambda thought, answer: {"content": f"{thought}\n</think>\n\n{answer}"},
    "field": lambda thought, answer: {"content": answer, "reasoning_content": thought},
    "parts": lambda thought, answer: {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
            {"type": "text", "text": answer},
        ]
    },
}


class Thinker:
    """Answers in the form that the model is called by: the first two choices are right, the third wrong, and the last thinks
    until it is cut off. The judge takes the forms in turn."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.sent: set[str] = set()

    def __call__(self, number: int, body: Body) -> web.Response:
        asked = body["messages"][-1]["content"]
        if "<rubric>" in asked:
            score = 9 if "gives 7" in asked.split("<answer>")[-1] else 3
            choices = [self._choice([*FORMS][number % len(FORMS)], f"Score: {12 - score}\nNo.\n", f"Fine.\nScore: {score}")]
        else:
            choices = [self._sample(body["model"], asked, at) for at in range(body["n"])]
        usage = {"prompt_tokens": 11, "completion_tokens": 40 * len(choices)}
        return body_text(json.dumps({"choices": choices, "usage": usage}))

    def _sample(self, form: str, asked: str, at: int) -> Body:
        way = 10 * int(asked.split()[-1]) + at
        right, wrong = SAY[self.domain](7, way), SAY[self.domain](8, way)
        answer, thought = (wrong, right) if at == 2 else (right, wrong)
        if at == 3 and form != "think_open":  # a thought that is opened elsewhere and never ends has no sign of it
            return self._cut_off(form, f"SECRET {thought}")
        return self._choice(form, f"SECRET {thought}", answer)

    def _choice(self, form: str, thought: str, answer: str) -> Body:
        message = FORMS[form](thought, answer)
        if isinstance(message["content"], str) and "reasoning_content" not in message:
            self.sent.add(message["content"])
        else:
            self.sent.add(f"<think>\n{thought}\n</think>\n\n{answer}")
        return {"message": {"role": "assistant", **message}, "finish_reason": "stop"}

    def _cut_off(self, form: str, thought: str) -> Body:
        message = FORMS[form](thought, "")
        if form == "think":
            message = {"content": f"<think>\n{thought}"}
        return {"message": {"role": "assistant", **message}, "finish_reason": "length"}


def recipe_of(domain: str, url: str, prompts: Path) -> dict[str, Any]:
    columns: dict[str, str] = {"math": {"reference": "gold"}, "code": {"reference": "tests"}, "instruct": {}}[domain]
    judge = {"type": "llm_judge", "model": "fake/judge", "base_urls": [url]}
    return {
        "domain": domain,
        "prompts": [{"type": "file", "path": str(prompts), "columns": {"prompt_id": "id", "prompt": "question", **columns}}],
        "sources": [
            {"type": "endpoint", "model": form, "base_urls": [url], "n": N, "sampling": {"temperature": 0.8}} for form in FORMS
        ],
        "score": judge if domain == "instruct" else None,
        "select": {"margin": None, "per_prompt": "one_per_source"},
        "verify": {} if domain == "instruct" else {"workers": 1},
    }


def exported(run: Path) -> list[str]:
    """Every chosen, rejected and completion."""
    found = []
    for table, columns in (("sft", ["completion"]), ("dpo", ["chosen", "rejected"])):
        for row in pq.read_table(run / table / "train.parquet").to_pylist():
            found += [row[column][0]["content"] for column in columns]
    return found


@pytest.mark.parametrize("domain", ["math", *(pytest.param(domain, marks=pytest.mark.slow) for domain in ("code", "instruct"))])
def test_an_answer_is_what_counts(domain: str, tmp_path: Path) -> None:
    if domain == "code" and not CONFINED:
        pytest.skip("nothing on this machine can confine a program: no Landlock, no bubblewrap")
    prompts, run = tmp_path / "prompts.jsonl", tmp_path / "run"
    rows = [
        {"id": f"p{at}", "question": f"Write f() for {at}", "gold": "7", "tests": "assert f() == 7"} for at in range(PROMPTS)
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    thinker = Thinker(domain)
    with running(Fake(fault=thinker)) as fake:
        recipe = write_recipe(tmp_path / "recipe.yaml", recipe_of(domain, fake.url, prompts))
        done = datakit("build", "--recipe", recipe, "--out", run)
        assert done.returncode == 0, done.stderr
        n_requests = fake.n_requests
        assert datakit("build", "--recipe", recipe, "--out", run).returncode == 0
        assert fake.n_requests == n_requests, "nothing is asked again"
    report = json.loads(datakit("inspect", run, "--json").stdout)
    for form in FORMS:
        _check_tables(run, domain, form)
        _check_source(next(source for source in report["sources"] if source["model"] == form), form)
    texts = exported(run)
    assert count(run, "pairs") == PROMPTS * len(FORMS) and texts
    assert not [text for text in texts if "SECRET" in text or "think" in text]

    assert datakit("select", run, "--set", "export.reasoning=keep").returncode == 0
    kept = exported(run)
    assert len(kept) == len(texts) and set(kept) <= thinker.sent
    assert "precedes its answer" in (run / "dpo" / "README.md").read_text()
    assert json.loads((run / "dpo" / "manifest.json").read_text())["export"]["reasoning"] == "keep"


def _check_tables(run: Path, domain: str, form: str) -> None:
    n_cut = 0 if form == "think_open" else PROMPTS
    responses = rows_of(run, f"SELECT * FROM responses WHERE model = '{form}'")
    assert len(responses) == PROMPTS * N and all("SECRET" in row["reasoning"] for row in responses)
    assert sum(row["text"] is None for row in responses) == n_cut
    assert not [row for row in responses if "SECRET" in (row["text"] or "")]
    joined = f"JOIN responses USING (response_id) WHERE responses.model = '{form}'"
    if domain == "instruct":
        scores = rows_of(run, f"SELECT score, text FROM scores {joined}")
        assert len(scores) == PROMPTS * N - n_cut
        assert all(row["score"] == (9 if "gives 7" in row["text"] else 3) for row in scores)
    else:
        verdicts = rows_of(run, f"SELECT outcome, sample_index, detail FROM verdicts {joined}")
        wanted = ["passed", "passed", "failed", "unparseable" if n_cut else "passed"]
        assert [row for row in verdicts if row["outcome"] != wanted[row["sample_index"]]] == []
        assert len(verdicts) == PROMPTS * N


def _check_source(source: dict[str, Any], form: str) -> None:
    n_cut = 0 if form == "think_open" else PROMPTS
    assert (source["truncated"], source["failures"], source["pending"]) == (n_cut, 0, 0)
    assert source["endings"] == ([{"reason": "thought without an answer", "responses": n_cut}] if n_cut else [])
    assert source["mean_thought_tokens"] > 0 and source["mean_answer_tokens"] > 0 and not source["thought_tokens_counted"]


def test_imported_responses_are_split_and_their_endings_named(tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = [
        {"answer": "<think>8?</think>The answer is 7.", "end": "stop"},
        {"answer": "The answer is 7, surely.", "thought": "8?", "end": "done"},
        {"answer": [{"type": "thinking", "thinking": "7?"}, {"type": "text", "text": "The answer is 8."}], "end": None},
        {"answer": "<think>Is the answer 8", "end": "length"},
        {"answer": "The answer is 9.", "end": "tool_calls"},
        {"answer": " "},
    ]
    lines = [json.dumps({"id": "p", "q": "What?", "gold": "7", **answer}) + "\n" for answer in answers]
    (tmp_path / "answers.jsonl").write_text("".join(lines))
    names = {"prompt_id": "id", "prompt": "q", "reference": "gold", "text": "answer", "reasoning": "thought"}
    columns = {**names, "finish_reason": "end"}
    source = {"type": "responses", "path": "answers.jsonl", "model": "m", "complete": ["done"], "columns": columns}
    recipe = {"domain": "math", "sources": [source], "verify": {"workers": 1}, "select": {"margin": None}}
    path, run = write_recipe(tmp_path / "recipe.yaml", recipe), tmp_path / "run"
    done = datakit("build", "--recipe", path, "--out", run)
    assert done.returncode == 0, done.stderr
    assert "m: 1 response ended with 'tool_calls', neither chosen nor rejected" in done.stderr
    assert "'done'" not in done.stderr and done.stderr.count("'tool_calls'") == 1
    found = rows_of(
        run,
        "SELECT text, reasoning, reasoning_form, complete, outcome FROM current_responses JOIN verdicts USING (response_id) "
        "ORDER BY sample_index",
    )
    assert [tuple(row.values()) for row in found] == [
        ("The answer is 7.", "8?", "<think>…</think>", True, "passed"),
        ("The answer is 7, surely.", "8?", "reasoning…", True, "passed"),
        ("The answer is 8.", "7?", "parts…", True, "failed"),
        (None, "Is the answer 8", "<think>…", False, "unparseable"),
        ("The answer is 9.", None, None, False, "failed"),
    ]
    report = json.loads(datakit("inspect", run, "--json").stdout)
    [said] = report["sources"]
    assert said["endings"] == [
        {"reason": "thought without an answer", "responses": 1},
        {"reason": "tool_calls", "responses": 1},
    ]
    assert sum("'tool_calls'" in warning for warning in report["warnings"]) == 1
    drawn = datakit("inspect", run).stdout
    assert "m: not complete: 1 thought without an answer, 1 tool_calls" in drawn
    assert datakit("build", "--recipe", path, "--out", run).returncode == 0, "the same answers are the same"


def test_a_source_whose_template_opens_the_thought(tmp_path: Path) -> None:
    """Imported and sampled: what is cut off within it is no answer, whatever number stands there last."""
    texts = ["Is it 7? No, so it is 8", "8?</think>The answer is 7.", "7?</think>The answer is 8."]
    lines = [json.dumps({"prompt": "What?", "reference": "7", "text": text}) + "\n" for text in texts]
    (tmp_path / "r.jsonl").write_text("".join(lines))

    def say(number: int, body: Body) -> web.Response:
        return body_text(json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"} for text in texts]}))

    with running(Fake(fault=say)) as fake:
        forced = {"force_reasoning": True}
        sources = [
            {"type": "responses", "path": "r.jsonl", "model": "m", **forced},
            {"type": "endpoint", "model": "n", "base_urls": [fake.url], "n": 3, **forced},
        ]
        recipe = {"domain": "math", "sources": sources, "verify": {"workers": 1}, "select": {"margin": None}}
        done = datakit("build", "--recipe", write_recipe(tmp_path / "recipe.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    for model in "mn":
        found = rows_of(
            tmp_path / "run",
            "SELECT text, reasoning, reasoning_form, complete, outcome FROM current_responses "
            f"JOIN verdicts USING (response_id) WHERE model = '{model}' ORDER BY sample_index",
        )
        assert [tuple(row.values()) for row in found] == [
            (None, texts[0], "…", False, "unparseable"),
            ("The answer is 7.", "8?", "…</think>", True, "passed"),
            ("The answer is 8.", "7?", "…</think>", True, "failed"),
        ]
