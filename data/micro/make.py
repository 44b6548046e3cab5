"""Make the micro models and the demo's problems: `python make.py all`, or one of them by name; `report` measures them.

    python make.py all               everything, two models at a time
    python make.py llama             one model (llama, qwen2, mistral, gemma2, target, reward)
    python make.py problems          ../math/problems.jsonl
    python make.py report            pass rates and the reward model's ranking, as Markdown and report.json

Each model is trained in a process of its own with one thread (`reward`: two) and a fixed seed. `reward` needs the four
sources.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from families import FAMILIES
from problems import HouseStyle, balanced, write_answer

ROOT = Path(__file__).resolve().parent
SOLUTION = HouseStyle("\n", "", "*", "#### {}")


def write_problems() -> None:
    """The demo's prompts, which no training set holds."""
    from learn import DEMO_COUNT, DEMO_SEED

    folder = ROOT.parent / "math"
    folder.mkdir(exist_ok=True)
    rows = [
        {
            "prompt_id": f"micro-math/{number:04d}",
            "question": problem.question,
            "answer": problem.answer,
            "solution": write_answer(problem, SOLUTION, "plain"),
            "kind": problem.kind,
        }
        for number, problem in enumerate(balanced(DEMO_SEED, DEMO_COUNT))
    ]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make(name: str) -> None:
    """One thing in this process; heavy packages are imported where they are used."""
    if name == "problems":
        write_problems()
    elif name == "reward":
        import reward

        reward.train(ROOT)
    elif name == "report":
        import report

        report.write_report(ROOT)
    else:
        import learn

        learn.train(FAMILIES[name], ROOT / name)


def make_all(jobs: int) -> None:
    """The language models side by side, then what needs them."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, FAMILIES))
    for name in ("problems", "reward", "report"):
        run(name)


def run(name: str) -> None:
    subprocess.run([sys.executable, __file__, name], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["all", *FAMILIES, "reward", "problems", "report"])
    parser.add_argument("--jobs", type=int, default=2, help="models trained at a time (with all)")
    chosen = parser.parse_args()
    if chosen.what == "all":
        make_all(chosen.jobs)
    else:
        make(chosen.what)


if __name__ == "__main__":
    main()
