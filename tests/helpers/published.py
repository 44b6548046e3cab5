"""Made-up copies of the data of benchmarks, in the form and under the names in which each is published, and who answers them.

Every item asks about a number `at`; twenty items a benchmark, or one a subject.
"""

from __future__ import annotations

import base64
import json
import pickle
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
from pyarrow import ipc

from datakit.recipe import HubPrompts
from datakit.recipe.benchmarks import load_suite
from datakit.tables import Row
from tests.helpers.fake_endpoint import Body

ITEMS = 20
LETTERS = "ABCDEFGHIJ"
HOLLOW = {"correct_answer", "potential_reason"}  # columns of text that may have none at all


def gsm8k(at: int) -> Row:
    return {
        "question": f"Ann has {at} pens and buys {at + 5} more. How many pens has she then?",
        "answer": f"She has {at} + {at + 5} = <<{at}+{at + 5}={2 * at + 5}>>{2 * at + 5} pens.\n#### {2 * at + 5}",
    }


def math(at: int) -> Row:
    solution = f"We have ${at}+{at + 5}=\\boxed{{{2 * at + 5}}}$."
    return {"problem": f"Compute ${at}+{at + 5}$.", "level": "Level 1", "type": "Algebra", "solution": solution}


def amc23(at: int) -> Row:
    return {"id": at, "question": f"What is ${at}+{at + 5}$?", "answer": float(2 * at + 5), "url": "https://example.org"}


def humaneval(at: int) -> Row:
    return {
        "task_id": f"HumanEval/{at}",
        "prompt": f'def add_{at}(x: int) -> int:\n    """Give x plus {at}.\n    >>> add_{at}(1)\n    {at + 1}\n    """\n',
        "canonical_solution": f"    return x + {at}\n",
        "test": f"\n\ndef check(candidate):\n    assert candidate(2) == {at + 2}\n    assert candidate(-1) == {at - 1}\n",
        "entry_point": f"add_{at}",
    }


def mbpp(at: int) -> Row:
    return {
        "task_id": at + 2,
        "code": f"def add_{at}(x):\n    return x + {at}",
        "prompt": f"Write a function that adds {at} to a number.",
        "source_file": "Benchmark Questions Verification V2.ipynb",
        "test_imports": ["import math"],
        "test_list": [f"assert add_{at}(1) == {at + 1}", f"assert add_{at}(math.floor(2.5)) == {at + 2}"],
        "test": f"assert add_{at}(1) == {at + 1}",
    }


def livecodebench(at: int) -> Row:
    """By turns for stdin and a method; two of them were set outside of the window."""
    called = at % 2 == 0
    inputs = [str(value) for value in (1, 7, -3)]
    kind, end = ("functional", "") if called else ("stdin", "\n")
    tests = [{"input": given + end, "output": str(int(given) + at), "testtype": kind} for given in inputs]
    return {
        "question_title": f"add {at}",
        "question_content": f"Given a number, add {at} to it.",
        "platform": "leetcode" if called else "atcoder",
        "question_id": str(3000 + at),
        "contest_id": "1",
        "contest_date": f"2024-{6 + at // 4:02}-15T00:00:00" if at else "2024-06-29T00:00:00",
        "starter_code": f"class Solution:\n    def add{at}(self, x: int) -> int:\n        " if called else "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(tests[:1]),
        "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests[1:])))).decode(),
        "metadata": json.dumps({"func_name": f"add{at}"} if called else {}),
    }


def mmlu_pro(at: int) -> Row:
    options = [f"the number {2 * at + 5 + step}" for step in range(-(at % 4), 10 - at % 4)]
    return {
        "question_id": 70 + at,
        "question": f"What are {at} and {at + 5} together?" if at < 19 else "What are 18 and 23 together?",
        "options": options,
        "answer": LETTERS[at % 4],
        "answer_index": at % 4 if at != 7 else 9,
        "cot_content": "",
        "category": "math",
        "src": "made-up",
    }


def mmlu_redux(at: int) -> Row:
    """Of every ten the fourth is repaired and the fifth has no right answer."""
    kind = {4: "wrong_groundtruth", 5: "no_correct_answer"}.get(at % 10, "ok")
    return {
        "question": f"What are {at} and {at + 5} together?",
        "choices": [f"the number {2 * at + 5 + step}" for step in (1, 2, 0, 3)],
        "answer": 2 if kind == "ok" else 0,
        "error_type": kind,
        "source": "made-up",
        "correct_answer": "C" if kind == "wrong_groundtruth" else None,
        "potential_reason": None,
    }


def gpqa_diamond(at: int) -> Row:
    return {
        "Record ID": f"rec{at:04}",
        "Question": f"What are {at} and {at + 5} together?",
        "Correct Answer": f"the number {2 * at + 5}",
        "Incorrect Answer 1": f"the number {2 * at + 6}",
        "Incorrect Answer 2": f"the number {2 * at + 7}",
        "Incorrect Answer 3": "none of the above",
        "Subdomain": "Arithmetic",
    }


PLACES = [
    {"name": f"The Gull {at}", "area": f"quarter {at}", "phone": f"0{at:03} 1", "type": "inn", "food": "fish"}
    | {"pricerange": "cheap", "address": f"{at} Long Road", "postcode": f"c{at}"}
    for at in range(ITEMS)
]


def camrest(at: int) -> Row:
    return {
        "dialogue_id": f"camrest-test-{at}",
        "data_split": "test" if at < ITEMS else "train",
        "turns": [
            {"speaker": "user", "utterance": f"Where in quarter {at} can one eat?", "utt_idx": 0},
            {"speaker": "system", "utterance": f"At The Gull {at}.", "utt_idx": 1},
            {"speaker": "user", "utterance": "Thank you.", "utt_idx": 2},
            {"speaker": "system", "utterance": "Goodbye.", "utt_idx": 3},
        ],
    }


def mwoz(at: int) -> Row:
    return camrest(at)


def smd(at: int) -> Row:
    said = [("driver", f"Where is inn {at}?"), ("assistant", f"Inn {at} is {at} miles away."), ("driver", "Thanks.")]
    items = [{"poi": f"inn {one}", "distance": f"{one} miles", "traffic_info": "-"} for one in (at, at + 1)]
    return {
        "dialogue": [{"turn": who, "data": {"utterance": text, "end_dialogue": False}} for who, text in said],
        "scenario": {"uuid": f"u{at}", "kb": {"items": items, "kb_title": "places"}, "task": {"intent": "navigate"}},
    }


ROWS: dict[str, Callable[[int], Row]] = {
    made.__name__: made
    for made in (
        *(gsm8k, math, amc23, humaneval, mbpp, livecodebench, mmlu_pro, mmlu_redux, gpqa_diamond),
        *(camrest, mwoz, smd),
    )
}
FILES = {  # of each configuration, as its repository has them
    "gsm8k": "{config}/test-00000-of-00001.parquet",
    "math": "{config}/test-00000-of-00001.parquet",
    "amc23": "data/test-00000-of-00001.parquet",
    "humaneval": "{config}/test-00000-of-00001.parquet",
    "mbpp": "data/test-00000-of-00001-d5781c9c51e02795.parquet",
    "livecodebench": "{config}/test-00000-of-00001.parquet",
    "mmlu_pro": "data/test-00000-of-00001.parquet",
    "mmlu_redux": "{config}/data-00000-of-00001.arrow",
    "gpqa_diamond": "{config}.csv",
    "camrest": "dialogues.json",
    "mwoz": "dialogues.json",
    "smd": "kvret_test_public.json",
}


def write_copy(copies: Path, name: str) -> None:
    """The data of a benchmark below the folder of copies; where it has configurations, each gets some of the items."""
    [(benchmark, _)] = load_suite(name)[1]
    [section] = benchmark.prompts
    assert isinstance(section, HubPrompts)
    configs = section.config if isinstance(section.config, list) else [section.config]
    n_items = max(ITEMS, len(configs))
    for number, config in enumerate(configs):
        file = copies / section.dataset / FILES[name].format(config=config)
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [ROWS[name](at) for at in range(number, n_items, len(configs))]
        if file.suffix == ".json":
            file.write_text(json.dumps(rows))
            file.parent.with_name(f"{file.parent.name}_kb.json").write_text(json.dumps(PLACES))
            continue
        frame = pl.DataFrame(rows, schema_overrides=dict.fromkeys(HOLLOW & rows[0].keys(), pl.String))
        if file.suffix == ".csv":
            frame.write_csv(file)
        elif file.suffix == ".arrow":
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            with ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)
        else:
            frame.write_parquet(file)


def right_below(limit: int) -> Callable[[Body], str]:
    """An answer to any of them, right where its number is below a limit."""
    return lambda body: _answer(next(one["content"] for one in reversed(body["messages"]) if one["role"] == "user"), limit)


def _answer(asked: str, limit: int) -> str:
    if found := re.search(r"add(?:s)? (\d+) to|add_(\d+)", asked):
        at = int(found[1] or found[2])
        return _program(asked, at, off=at >= limit)
    at, other = (int(one) for one in re.findall(r"\d+", asked.partition("Question:")[2] or asked)[:2])
    said = at + other + (at >= limit)
    letter = re.search(rf"^([A-J])[.)] the number {said}$", asked, re.MULTILINE)
    if letter is None:
        return f"So it is \\boxed{{{said}}}."
    return f'{{"reasoning": "", "answer": "{letter[1]}"}}' if "JSON" in asked else f"The best answer is {letter[1]}."


def _program(asked: str, at: int, off: bool) -> str:
    body = f"return x + {at + off}"
    if "class Solution" in asked:
        return f"```python\nclass Solution:\n    def add{at}(self, x):\n        {body}\n```"
    if "stdin" in asked and "add_" not in asked:
        return f"```python\nprint(int(input()) + {at + off})\n```"
    return f"def add_{at}(x):\n    {body}\n"


# ------------------------------------------------------------------------------------------- those whose answers are judged


def _alpacaeval2(at: int) -> Row:
    asked = f"Say how {at} pens and {at + 5} are put into boxes."
    return {"instruction": asked, "output": f"In {at} ways.", "generator": "gpt4_1106_preview", "dataset": "made-up"}


def _arena_hard(at: int) -> Row:
    return {
        "uid": f"u{at:02}",
        "category": "arena-hard-v0.1",
        "subcategory": "made-up",
        "prompt": f"Plan a walk of {at} miles.",
    }


def _of_gpt4(at: int) -> Row:
    answer = {"role": "assistant", "content": {"answer": f"Walk {at} miles."}}
    turns = [{"role": "user", "content": _arena_hard(at)["prompt"]}, answer]
    return {"uid": f"u{at:02}", "ans_id": f"a{at}", "model": "gpt-4-0314", "messages": turns, "tstamp": 1.0, "metadata": {}}


def _mt_bench(at: int) -> Row:
    gold = [f"It is {2 * at}.", f"It is {3 * at}."] if at % 2 else []
    category = ("math", "writing")[at % 2 == 0]
    return {"prompt_id": 100 + at, "prompt": [f"What is twice {at}?", "And thrice?"], "category": category, "reference": gold}


def _alignbench(at: int) -> Row:
    categories = ("数学计算", "逻辑推理", "基本任务", "角色扮演")
    kind = {"category": categories[at % 4], "subcategory": "编的"}
    return {"question_id": at, **kind, "question": f"{at}加一是多少？", "reference": f"{at + 1}。", "evidences": []}


JUDGED: dict[str, list[tuple[str, Callable[[int], Row]]]] = {
    "alpacaeval2": [("tatsu-lab/alpaca_eval/alpaca_eval_gpt4_baseline.json", _alpacaeval2)],
    "arena_hard": [
        ("lmarena-ai/arena-hard-auto/data/arena-hard-v0.1/question.jsonl", _arena_hard),
        ("lmarena-ai/arena-hard-auto/data/arena-hard-v0.1/model_answer/gpt-4-0314.jsonl", _of_gpt4),
    ],
    "mt_bench": [("HuggingFaceH4/mt_bench_prompts/data/train-00000-of-00001-ab12.parquet", _mt_bench)],
    "alignbench": [
        ("THUDM/AlignBench/data_v1.1_release.jsonl", _alignbench),
        ("THUDM/AlignBench/data_release.jsonl", lambda at: _alignbench(at) | {"question": "an older one"}),
    ],
}
"""The files of each, and who makes their rows."""


def write_judged_copy(copies: Path, name: str) -> None:
    """The same for a benchmark whose answers are judged."""
    for path, row in JUDGED[name]:
        file = copies / path
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [row(at) for at in range(ITEMS)]
        if file.suffix == ".parquet":
            pl.DataFrame(rows).write_parquet(file)
        elif file.suffix == ".json":
            file.write_text(json.dumps(rows))
        else:
            file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))
