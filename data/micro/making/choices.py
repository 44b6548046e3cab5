"""Questions with choices from the demo's word problems: `python choices.py` writes ../../mcq/problems.jsonl.

Ten choices per problem, so that wrong answers of the micro models are often among them: the right number, intermediate results
of the solution, and numbers near it. The order is that of a hash, so no letter is right more often than by chance.
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path

DATA = Path(__file__).resolve().parents[2]
N_CHOICES = 10
NEAR = (1, -1, 2, -2, 10, -10, 3, -3, 5, -5, 4, -4, 20)


def choices_of(answer: str, solution: str) -> list[str]:
    """Return the right choice and nine others, ordered by a hash of problem and number."""
    steps = re.findall(r"= (\d+(?:\.\d+)?)", solution)
    near = [str(Decimal(answer) + step) for step in NEAR if Decimal(answer) + step > 0]
    some = [answer, *dict.fromkeys(number for number in (*steps, *near) if number != answer)][:N_CHOICES]
    return sorted(some, key=lambda number: hashlib.sha256(f"{solution}/{number}".encode()).digest())


def main() -> None:
    problems = [json.loads(line) for line in (DATA / "math" / "problems.jsonl").read_text(encoding="utf-8").splitlines()]
    (DATA / "mcq").mkdir(exist_ok=True)
    rows = []
    for number, problem in enumerate(problems):
        choices = choices_of(problem["answer"], problem["solution"])
        rows.append(
            {
                "prompt_id": f"micro-mcq/{number:04d}",
                "question": problem["question"],
                "choices": choices,
                "answer_index": choices.index(problem["answer"]),
                "kind": problem["kind"],
            }
        )
    (DATA / "mcq" / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
