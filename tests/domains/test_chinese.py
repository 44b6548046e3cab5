"""Chinese: which prompts it reads, which answers a recipe leaves out, and demos without a judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.domains.chinese import Chinese
from datakit.recipe.verify import Unverified
from tests.helpers.command import datakit, rows_of, write_recipe
from tests.helpers.tables import cases

QUESTION = "请介绍一下唐代诗人李白的生平。"
GOOD = "李白是唐代著名诗人，字太白，号青莲居士，被后人称为诗仙。"
ANSWERS = {  # by the rule that leaves it out
    "": GOOD,
    "another language than the prompt": "Li Bai was a famous poet of the Tang dynasty, and many people know his poems.",
    "traditional characters": "李白是唐代著名詩人，字太白，號青蓮居士，被後人稱為詩仙，他對後來的詩人產生了很大的影響。",
    "damaged characters": GOOD.replace("著名", "\ufffd\ufffd"),
    "repetition": "李白是唐代著名诗人。" * 20,
    "length in characters": "诗人。",
}
RULES = {"language": True, "simplified": True, "damaged": True, "characters": {"min": 4}, "repetition": 0.5}


@pytest.mark.parametrize("case", cases("chinese.jsonl"))
def test_which_prompts_are_read(case):
    [prompt] = Chinese(Unverified()).read([{"prompt": case["text"]}], "x")
    assert prompt.dropped == case["dropped"]


def built(folder: Path, question: str, answers: list[str], rules: dict[str, Any]) -> Path:
    rows = [{"prompt_id": "p", "prompt": question, "model": f"m{at}", "text": text} for at, text in enumerate(answers)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "domain": "chinese",
        "sources": [{"type": "responses", "path": "answers.jsonl"}],
        "curate": {"answers": rules},
        "select": {"allow_unjudged": True, "margin": None},
        "limits": {"min_pairs": None},
    }
    run = folder / "run"
    done = datakit("build", "--recipe", write_recipe(folder / "r.yaml", recipe), "--out", run)
    assert done.returncode == 0, done.stderr
    return run


@pytest.mark.parametrize("fault", ANSWERS)
def test_an_answer_that_a_rule_leaves_out(tmp_path, fault):
    run = built(tmp_path, QUESTION, [ANSWERS[fault]], RULES)
    uses = {row["use"] for row in json.loads(datakit("inspect", run, "--json").stdout)["answers"]}
    assert uses == {f"left out: {fault}"} if fault else {"usable"}
    assert len(rows_of(run, "SELECT * FROM demos")) == (0 if fault else 1)
    assert len(rows_of(run, "SELECT * FROM responses")) == 1, "it stays"


def test_without_rules_nothing_is_left_out(tmp_path):
    run = built(tmp_path, QUESTION, list(ANSWERS.values()), {})
    assert json.loads(datakit("inspect", run, "--json").stdout)["answers"] == [{"use": "usable", "responses": len(ANSWERS)}]
    assert len(rows_of(run, "SELECT * FROM demos")) == 1


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("请把这句话翻译成英文：李白是唐代诗人。", "Li Bai was a poet of the Tang dynasty."),
        ("写一个排序函数的代码。", "```python\ndef sort(items):\n    return sorted(items)\n```"),
        ("請介紹一下唐代詩人李白的生平。", ANSWERS["traditional characters"]),
        ("请用繁体字介绍李白的生平和他的诗。", ANSWERS["traditional characters"]),
        ("他叫什么名字？只写名字。", "Guido"),
    ],
)
def test_what_a_prompt_asks_for_is_no_fault(tmp_path, question, answer):
    run = built(tmp_path, question, [answer], RULES)
    assert json.loads(datakit("inspect", run, "--json").stdout)["answers"] == [{"use": "usable", "responses": 1}]


def test_the_embedded_default_asks_in_chinese(tmp_path):
    run = tmp_path / "run"
    done = datakit("build", "--domain", "chinese", "--out", run, "--limit", 12, "--until", "collect")
    assert done.returncode == 0, done.stderr
    assert rows_of(run, "SELECT count(*) AS n FROM prompts WHERE dropped IS NULL") == [{"n": 12}]


@pytest.mark.slow
def test_the_embedded_default_makes_a_demo_of_every_answer_in_chinese(tmp_path):
    run = tmp_path / "run"
    done = datakit("build", "--domain", "chinese", "--out", run, "--limit", 24)
    assert done.returncode == 0, done.stderr
    demos = rows_of(run, "SELECT model, text FROM demos JOIN responses USING (response_id)")
    assert len(demos) > 20 and {demo["model"] for demo in demos} == {"../data/micro/chinese"}
    assert all("答案是" in demo["text"] for demo in demos)
