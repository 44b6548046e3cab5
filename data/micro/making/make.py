"""Make the micro models and the demos' problems: `python make.py all`, or one of them by name; `report` measures them.

    python make.py all               everything, two models at a time
    python make.py llama             one model for math (llama, qwen2, mistral, gemma2, target, reward)
    python make.py code-llama        one model for code (code-llama, code-qwen2, code-mistral, code-gemma2, code-reward)
    python make.py fusion-llama      one model for the fusion demonstration (its four sources, fusion-target); chinese
    python make.py problems          ../../math/problems.jsonl; code-problems, chinese-problems, fusion-problems alike
    python make.py unseen            ../../math/unseen.jsonl: the report's problems, for `datakit eval --suite micro`;
                                     fusion-unseen: what recipes/fusion/eval asks
    python make.py fusion-held-out   checks that no training of the fusion models contains one of those
    python make.py report            pass rates and the reward models' ranking, as Markdown and report.json; report-math,
                                     report-code, report-fusion and report-chinese measure one subject

Each model is trained in a process of its own with one thread (`reward`: two) and a fixed seed. `reward` and `code-reward`
need the four sources of their subject.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from families import FAMILIES
from problems import HouseStyle, Problem, write_answer
from subjects import CHINESE, CODE, FUSION, MATH, SUBJECTS, Subject
from tasks import Task

ROOT = Path(__file__).resolve().parents[1]
SOLUTION = HouseStyle("\n", "", "*", "#### {}")


def write_problems(subject: Subject, row: Callable[[Any], dict[str, object]], unseen: bool = False) -> None:
    """Write the demo's or the report's prompts; no training set contains either."""
    folder, name = ROOT.parent / subject.name, "unseen" if unseen else "problems"
    folder.mkdir(exist_ok=True)
    begin = f"micro-{subject.name}{'-unseen' if unseen else ''}"
    rows = [
        {"prompt_id": f"{begin}/{number:04d}", "question": problem.question} | row(problem) | {"kind": problem.kind}
        for number, problem in enumerate(subject.unseen() if unseen else subject.demo())
    ]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def math_row(problem: Problem) -> dict[str, object]:
    return {"answer": problem.answer, "solution": write_answer(problem, SOLUTION, "plain")}


def bare_row(problem: Problem) -> dict[str, object]:
    return {"answer": problem.answer}


def code_row(task: Task) -> dict[str, object]:
    return {"tests": list(task.tests), "entry_point": task.name, "solution": task.solution}


def train_reward(subject: str) -> None:
    import reward

    reward.train(ROOT, reward.COURSES[subject])


def held_out() -> None:
    """Print how many test questions are among the fusion prompts and in each model's training, which is drawn again.

    Raise SystemExit if there are any.
    """
    import learn

    unseen = {problem.question for problem in FUSION.unseen()}
    trained = {name: learn.questions(family) for name, family in FAMILIES.items() if family.subject is FUSION}
    shared = 0
    for name, asked in {"the 3,000 prompts": {problem.question for problem in FUSION.demo()}, **trained}.items():
        print(f"{name}: {len(asked):,} questions, {len(asked & unseen)} of the {len(unseen)} held out")
        shared += len(asked & unseen)
    if shared:
        raise SystemExit("problems that measure are in a model's training")


def report(names: tuple[str, ...] = tuple(SUBJECTS)) -> None:
    import report

    report.write_report(ROOT, names)


OTHERS: dict[str, Callable[[], None]] = {
    "problems": lambda: write_problems(MATH, math_row), "code-problems": lambda: write_problems(CODE, code_row),
    "unseen": lambda: write_problems(MATH, math_row, unseen=True),
    "fusion-problems": lambda: write_problems(FUSION, bare_row), "chinese-problems": lambda: write_problems(CHINESE, bare_row),
    "fusion-unseen": lambda: write_problems(FUSION, bare_row, unseen=True),
    "fusion-held-out": held_out,
    "reward": lambda: train_reward("math"), "code-reward": lambda: train_reward("code"), "report": report,
    **{f"report-{name}": partial(report, (name,)) for name in SUBJECTS},
}  # fmt: skip


def make(name: str) -> None:
    """Make one thing in this process; heavy packages are imported where they are used."""
    if name in OTHERS:
        OTHERS[name]()
        return
    import learn

    learn.train(FAMILIES[name], ROOT / name)


def make_all(jobs: int) -> None:
    """Make the language models in parallel, then what needs them."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, FAMILIES))
    for name in ("problems", "unseen", "code-problems", "fusion-problems", "fusion-unseen", "chinese-problems",
                 "reward", "code-reward", "report"):  # fmt: skip
        run(name)


def run(name: str) -> None:
    subprocess.run([sys.executable, __file__, name], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["all", *FAMILIES, *OTHERS])
    parser.add_argument("--jobs", type=int, default=2, help="models trained at a time (with all)")
    chosen = parser.parse_args()
    if chosen.what == "all":
        make_all(chosen.jobs)
    else:
        make(chosen.what)


if __name__ == "__main__":
    main()
