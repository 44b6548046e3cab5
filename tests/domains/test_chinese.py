"""Chinese: which prompts it reads, which answers a recipe leaves out, and demos without a judge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from datakit.domains.chinese import Chinese
from datakit.recipe.curate import Answers
from datakit.recipe.verify import Unverified
from datakit.select.rule import find_faults
from datakit.store import Run
from tests.helpers.command import datakit, rows_of, write_recipe
from tests.helpers.fake_endpoint import Body, Fake, running
from tests.helpers.folders import ROOT
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


ASKED_FOR = [
    ("请把这句话翻译成英文：李白是唐代诗人。", "Li Bai was a poet of the Tang dynasty."),
    ("写一个排序函数的代码。", "```python\ndef sort(items):\n    return sorted(items)\n```"),
    ("請介紹一下唐代詩人李白的生平。", ANSWERS["traditional characters"]),
    ("请用繁体字介绍李白的生平和他的诗。", ANSWERS["traditional characters"]),
    ("他叫什么名字？只写名字。", "Guido"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with every rule: each answer is of a prompt of its own."""
    folder = tmp_path_factory.mktemp("chinese")
    given = [(fault, f"{at}. {QUESTION}", answer) for at, (fault, answer) in enumerate(ANSWERS.items())]
    given += [(question, question, answer) for question, answer in ASKED_FOR]
    rows = [{"prompt_id": name or "good", "prompt": question, "model": "m", "text": text} for name, question, text in given]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "domain": "chinese",
        "sources": [{"type": "responses", "path": "answers.jsonl"}],
        "curate": {"answers": RULES},
        "select": {"allow_unjudged": True, "margin": None},
        "limits": {"min_pairs": None},
    }
    done = datakit("build", "--recipe", write_recipe(folder / "r.yaml", recipe), "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def demos(run: Path) -> set[str]:
    """The prompts that have one."""
    return {row["prompt_id"] for row in rows_of(run, "SELECT prompt_id FROM demos")}


@pytest.mark.parametrize("fault", [fault for fault in ANSWERS if fault])
def test_an_answer_that_a_rule_leaves_out(run, demos, fault):
    with Run.open(run) as opened:
        find_faults(opened, opened.recipe().curate.answers)
        found = dict(opened.query("SELECT prompt_id, fault FROM faults").rows())
        there = opened.query("SELECT text FROM responses WHERE prompt_id = $id", {"id": fault})["text"].to_list()
    assert found == {name: name for name in ANSWERS if name}
    assert fault not in demos and there == [ANSWERS[fault]], "it stays"


@pytest.mark.parametrize("prompt_id", ["good", *(question for question, _ in ASKED_FOR)])
def test_what_a_prompt_asks_for_is_no_fault(demos, prompt_id):
    assert prompt_id in demos


def test_inspect_counts_them_by_rule(run):
    uses = {row["use"]: row["responses"] for row in json.loads(datakit("inspect", run, "--json").stdout)["answers"]}
    assert uses == {f"left out: {fault}": 1 for fault in ANSWERS if fault} | {"usable": 1 + len(ASKED_FOR)}


def test_without_rules_nothing_is_left_out(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with Run.open(copy) as opened:
        find_faults(opened, Answers())
        assert opened.query("SELECT * FROM faults").is_empty()


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
    assert len(demos) > 20 and {demo["model"] for demo in demos} == {"micro/chinese"}
    assert all("答案是" in demo["text"] for demo in demos)


def test_a_judge_with_alignbenchs_dimensions_gives_pairs(tmp_path):
    """As the head of the recipe says; the judge is a chat endpoint."""
    shutil.copytree(ROOT / "recipes" / "answers", tmp_path, dirs_exist_ok=True)
    answers = [
        (GOOD, 9),
        ("李白是一位诗人，别的我不太清楚，请您自己查一查资料。", 4),
        ("李白是宋代的一位皇帝，他在位一共三十年。", 2),
    ]
    questions = [QUESTION, "杜甫的诗为什么叫诗史？", "谁写了《红楼梦》？", "长江有多长？", "春节的时候人们做什么？"]
    rows = [{"prompt": question, "model": "m", "text": text} for question in questions for text, _ in answers]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole = (tmp_path / "chinese.yaml").read_text(encoding="utf-8")
    instead = [line.removeprefix("#   ") for line in whole.splitlines() if line.startswith(("#   score:", "#   select:"))]
    asked: list[str] = []

    def say(body: Body) -> str:
        asked.append(json.dumps(body["messages"], ensure_ascii=False))
        score = next(score for text, score in answers if text in asked[-1])
        return f"这是一个事实与知识类问题。\nScore: {score}"

    with running(Fake(say=say)) as fake:
        judged = "\n".join(instead).replace("http://localhost:8000/v1", fake.url)
        (tmp_path / "r.yaml").write_text(
            whole.partition("score: null")[0] + judged + "\nlimits: {min_pairs: 3, min_demos: 2}\n"
        )
        done = datakit("build", "--recipe", tmp_path / "r.yaml", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    dimensions = ("事实正确性", "满足用户需求", "清晰度", "完备性", "逻辑连贯性", "创造性", "丰富度", "公平与可负责程度")
    assert len(asked) == len(rows) and all(name in text for text in asked for name in dimensions)
    with Run.open(tmp_path / "run") as opened:
        pairs = opened.query("SELECT DISTINCT margin, chosen, rejected FROM pairs_with_texts").rows()
        n_pairs, n_demos = (opened.query(f"SELECT count(*) FROM {table}").item() for table in ("pairs", "demos"))
    assert pairs == [(7.0, GOOD, answers[2][0])] and (n_pairs, n_demos) == (3, 2)
