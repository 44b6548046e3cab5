"""The paper's recipes on twenty rows of each of their datasets, in the columns that these are known to have."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import datakit, rows_of
from tests.helpers.folders import ROOT

N = 20
ENGLISH = [
    *("river", "bridge", "bakery", "cloud", "train", "garden", "castle", "violin", "whale", "desert"),
    *("island", "market", "lantern", "orchard", "ferry", "window", "carpet", "mountain", "letter", "sailor"),
    *("winter", "summer", "music", "painter", "forest", "harbour", "kitchen", "ladder", "mirror", "needle"),
    *("ocean", "pocket", "quarry", "rabbit", "silver", "teapot", "umbrella", "valley", "wagon", "yellow"),
]
HAN = "天地人山水风雨花鸟鱼春夏秋冬东南西北红黄蓝白黑大小多少长短高低远近快慢新旧冷热早晚书画琴棋茶酒米面桥船"
Rows = Callable[[int], dict[str, Any]]


def english(seed: object) -> str:
    """Eighteen words that no other seed gives in this order."""
    return " ".join(random.Random(f"{seed}").choices(ENGLISH, k=18))


def chinese(seed: object) -> str:
    return "".join(random.Random(f"{seed}").choices(HAN, k=24))


def ultrafeedback(at: int) -> dict[str, Any]:
    special = {3: "Write a Python function that sorts a list of names.", 4: "Solve for x: 3x + 5 = 20.", 5: "Translate this:"}
    text = special.get(at, f"Tell a story: {english(f'u{6 if at == 7 else at}')}")
    return {"source": "evol_instruct", "instruction": text, "models": [], "completions": []}


def helpsteer(at: int) -> dict[str, Any]:
    """Two rows a prompt."""
    turns = f"{english(f'h{at // 2}')}\n<extra_id_1>Assistant\nFine.\n<extra_id_1>User\nSay more, please."
    return {"prompt": turns, "response": f"r{at}", "helpfulness": 3}


def openmath(at: int) -> dict[str, Any]:
    problem = f"{english(f'o{at}').capitalize()} cost {at + 2} coins each. What do {at + 5} of them cost?"
    return {"problem": problem, "expected_answer": str((at + 2) * (at + 5)), "problem_source": "augmented_gsm8k"}


def gsm8k(at: int) -> dict[str, Any]:
    """The first is a problem of OpenMathInstruct-2, the second one with other numbers."""
    question = openmath(at)["problem"] if at == 0 else openmath(at)["problem"].replace(f"{at + 2} ", "713 ") if at == 1 else ""
    return {"question": question or f"{english(f'g{at}')}, so how many are there?", "answer": "#### 10"}


def leetcode(at: int) -> dict[str, Any]:
    example = f"\n\n**Example 1:**\n\n```\nInput: n = 2\nOutput: {at + 2}\n```" if at % 2 else ""
    solution = f"```python\ndef total{at}(n):\n    return n + {at}\n```\nIt adds."
    return {"id": at, "content": f"Add: {english(f'l{at}')}{example}", "python": solution, "java": "..."}


def self_oss(at: int) -> dict[str, Any]:
    asserts = f"\n\nYour code should pass the following assertion:\n\n```python\nassert f{at}(1) == {at + 1}\n```"
    return {"instruction": f"Write code: {english(f's{at}')}{asserts if at % 4 == 0 else ''}", "response": "..."}


def mbpp(at: int) -> dict[str, Any]:
    """The ninth has an assert of self-oss-instruct's."""
    test = "assert f8(1) == 9" if at == 8 else f"assert h{at}(1) == 2"
    return {"task_id": at, "prompt": english(f"mb{at}"), "test_list": [test], "test_imports": [], "code": "pass"}


def humaneval(at: int) -> dict[str, Any]:
    prompt = f'def g{at}(x):\n    """{english(f"he{at}")}"""\n'
    check = "def check(candidate):\n    assert candidate(1) == 1"
    return {"task_id": f"HumanEval/{at}", "prompt": prompt, "test": check, "entry_point": f"g{at}", "canonical_solution": " 1"}


def alpaca_zh(at: int) -> dict[str, Any]:
    text = "请用代码实现一个爬虫。" if at == 3 else f"请说说{chinese(f'a{at}')}"
    return {"instruction": text, "input": "尽量短一些。" if at % 2 else "", "output": "好。"}


def magpie_zh(at: int) -> dict[str, Any]:
    odd: dict[int, dict[str, Any]] = {2: {"task_category": "Math"}, 5: {"input_quality": "poor"}, 9: {"instruct_reward": -12.0}}
    usual = {"task_category": "Information seeking", "input_quality": "good", "instruct_reward": -3.0, "language": "ZH"}
    return {"instruction": f"介绍一下{chinese(f'm{at}')}", **usual, **odd.get(at, {})}


def alignbench(at: int) -> dict[str, Any]:
    """The first is a prompt of alpaca_gpt4_zh's."""
    return {"question_id": at, "question": alpaca_zh(0)["instruction"] if at == 0 else chinese(f"b{at}")}


def alpaca_eval(at: int) -> dict[str, Any]:
    """The first is a prompt of UltraFeedback's."""
    return {"instruction": ultrafeedback(0)["instruction"] if at == 0 else english(f"ae{at}")}


MATH = ["algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra", "precalculus"]
COPIES: dict[str, Rows] = {
    "openbmb/UltraFeedback/train": ultrafeedback,
    "Magpie-Align/Magpie-Pro-DPO-100K-v0.1/train": lambda at: {"uuid": str(at), "instruction": english(f"mp{at}")},
    "nvidia/HelpSteer2/train": helpsteer,
    "tatsu-lab/alpaca_eval/eval": alpaca_eval,
    "lmarena-ai/arena-hard-auto/train": lambda at: {"uid": f"u{at}", "prompt": english(f"ah{at}")},
    "HuggingFaceH4/mt_bench_prompts/train": lambda at: {"prompt_id": at, "prompt": [english(f"mt{at}"), "Rewrite it."]},
    "nvidia/OpenMathInstruct-2/train_1M": lambda at: {**openmath(at), "generated_solution": "\\boxed{1}"},
    "openai/gsm8k/main/test": gsm8k,
    **{f"EleutherAI/hendrycks_math/{of}/test": lambda at: {"problem": english(f"hm{at}"), "solution": "$1$"} for of in MATH},
    "math-ai/amc23/test": lambda at: {"question": english(f"amc{at}"), "answer": "1"},
    "greengerong/leetcode/train": leetcode,
    "bigcode/self-oss-instruct-sc2-exec-filter-50k/train": self_oss,
    "openai/openai_humaneval/openai_humaneval/test": humaneval,
    "evalplus/mbppplus/test": mbpp,
    "llamafactory/alpaca_gpt4_zh/train": alpaca_zh,
    "Magpie-Align/Magpie-Qwen2-Pro-200K-Chinese/train": magpie_zh,
    "THUDM/AlignBench/train": alignbench,
}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """$DATAKIT_DATA with twenty rows of everything."""
    folder = tmp_path_factory.mktemp("copies")
    for name, row in COPIES.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row(at), ensure_ascii=False) + "\n" for at in range(N)))
    return folder


def curated(copies: Path, tmp_path: Path, name: str) -> tuple[dict[str, int], Path]:
    """How many prompts by reason, the kept ones under "", and the run."""
    recipe, run = ROOT / "recipes" / "fusechat3" / f"{name}.yaml", tmp_path / "run"
    done = datakit("curate", "--recipe", recipe, "--out", run, env={"DATAKIT_DATA": str(copies)})
    assert done.returncode == 0, done.stderr
    found = rows_of(run, "SELECT coalesce(dropped, '') AS reason, count(*) AS n FROM prompts GROUP BY 1")
    return {row["reason"]: row["n"] for row in found}, run


def test_instruct(copies: Path, tmp_path: Path) -> None:
    found, run = curated(copies, tmp_path, "instruct")
    dropped = {"filter: code": 1, "filter: math": 1, "filter: trailing colon": 1, "contaminated: alpacaeval": 1}
    assert found == {**dropped, "": 2 * N + N // 2 - 5}, "one prompt of UltraFeedback's is there twice, and kept once"
    turns = rows_of(run, "SELECT DISTINCT len(messages) AS n FROM prompts WHERE source LIKE 'nvidia/%'")
    assert turns == [{"n": 3}], "HelpSteer2's turns are turns"


def test_math(copies: Path, tmp_path: Path) -> None:
    found, run = curated(copies, tmp_path, "math")
    assert found == {"contaminated: gsm8k": 2, "": N - 2}
    shares = rows_of(run, "SELECT share FROM overlaps WHERE reason = 'contaminated: gsm8k' ORDER BY 1")
    assert 0.5 < shares[0]["share"] < 1 == shares[1]["share"]


def test_code(copies: Path, tmp_path: Path) -> None:
    found, run = curated(copies, tmp_path, "code")
    assert found == {"no tests": 10 + 15, "contaminated: mbpp": 1, "": 10 + 4}
    [prompt] = rows_of(run, "SELECT reference FROM prompts WHERE entry_point = 'total1'")
    assert prompt["reference"] == "assert total1(2) == 3"


def test_chinese(copies: Path, tmp_path: Path) -> None:
    found, _ = curated(copies, tmp_path, "chinese")
    dropped = ("code", "task_category", "input_quality", "instruct_reward")
    assert found == {**{f"filter: {one}": 1 for one in dropped}, "contaminated: alignbench": 1, "": 2 * N - 5}
