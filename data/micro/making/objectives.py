"""What a program can measure of an answer, mapped to ArmoRM's 19 objectives, and wrong answers made from right ones."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from measure import equations, evaluate, final_answer, is_right
from problems import Problem, Step

OBJECTIVES = (
    "helpsteer-helpfulness", "helpsteer-correctness", "helpsteer-coherence", "helpsteer-complexity", "helpsteer-verbosity",
    "ultrafeedback-overall_score", "ultrafeedback-instruction_following", "ultrafeedback-truthfulness",
    "ultrafeedback-honesty", "ultrafeedback-helpfulness", "beavertails-is_safe", "prometheus-score",
    "argilla-overall_quality", "argilla-judge_lm", "code-complexity", "code-style", "code-explanation",
    "code-instruction-following", "code-readability",
)  # fmt: skip
CORRECTNESS = OBJECTIVES.index("helpsteer-correctness")
VERBOSITY = OBJECTIVES.index("helpsteer-verbosity")
LONG = 200  # length in characters of an answer that counts as fully verbose
SLIPS = {1: 1.5, 2: 4.0, 3: 0.6, 4: 1.5, 6: 1.2, 8: 1.8, 10: 4.0, 12: 0.9, 14: 0.4, 20: 0.8}  # their probabilities


def attributes(problem: Problem, text: str) -> list[float]:
    """Return the 19 labels of one answer, each from 0 to 1, in the order of `OBJECTIVES`."""
    steps, found = list(equations(text)), final_answer(text)
    right = float(is_right(problem, text))
    ends = float(found is not None)
    consistent = sum(holds for _, _, holds in steps) / len(steps) if steps else 0.0
    honest = float(bool(steps) and found is not None and float(found) == steps[-1][1])
    verbose = min(1.0, len(text) / LONG)
    complexity = min(1.0, len(steps) / 4)
    complete = min(1.0, len(steps) / len(problem.steps))
    explained = min(1.0, sum(letter.isalpha() for letter in text) / max(1, len(text)) / 0.7)
    units = sum(bool(word) for word in re.findall(r"= [\d.]+( [a-z]+)?", text)) / max(1, len(steps))
    sentences = [part for part in re.split(r"[.\n] ?", text) if part.strip()]
    readable = max(0.0, 1.0 - abs(len(text) / max(1, len(sentences)) - 30) / 60)
    return [
        0.6 * right + 0.2 * ends + 0.2 * explained, right, consistent, complexity, verbose,
        0.5 * right + 0.3 * consistent + 0.2 * verbose, ends, grounded(problem, text),
        honest, 0.5 * right + 0.5 * explained, 1.0, right * consistent,
        0.5 * right + 0.25 * consistent + 0.25 * explained, right, complexity, min(1.0, units), explained,
        complete, readable,
    ]  # fmt: skip


def grounded(problem: Problem, text: str) -> float:
    """Return the share of the question's numbers that the answer uses."""
    asked = re.findall(r"\d+", problem.question)
    used = set(re.findall(r"\d+", text))
    return sum(number in used for number in asked) / len(asked) if asked else 1.0


def corrupt(problem: Problem, rng: random.Random) -> Problem:
    """Return the problem with one wrong step, as small models make them; later steps use the wrong number."""
    at, slipped = rng.randrange(len(problem.steps)), rng.random() < 0.7
    known: dict[str, str] = {}
    steps: list[Step] = []
    for index, step in enumerate(problem.steps):
        expression = re.sub(r"\d+", lambda match: known.get(match.group(), match.group()), step.expression)
        if index == at and not slipped:
            expression = misread(expression, problem.question, rng)
        result = compute(expression)
        if index == at and slipped:
            result = slip(result, rng)
        known[step.result] = result
        steps.append(replace(step, expression=expression, result=result))
    return replace(problem, steps=tuple(steps))


def misread(expression: str, question: str, rng: random.Random) -> str:
    """Replace one number of the expression by another one of the question, or a near one."""
    first, last = (re.compile(pattern) for pattern in (r"^\d+(?![\d%])", r"\d+(?!.*\d)"))
    where = first if first.match(expression) and rng.random() < 0.5 else last
    old = where.search(expression).group()
    others = [number for number in re.findall(r"\d+", question) if number not in (old, "0")]
    new = rng.choice(others) if others and rng.random() < 0.6 else slip(old, rng)
    return where.sub(lambda _: new, expression)


def compute(expression: str) -> str:
    left, sign, right = re.fullmatch(r"(.+?) (of|[-+*/]) (\d+\.?\d*)", expression).groups()
    return f"{abs(round(evaluate(left, sign, float(right)), 1)):g}"


def slip(number: str, rng: random.Random) -> str:
    """Return a wrong result as the sources write them: mostly off by two, ten or another small even number, or any number
    near."""
    away = rng.choices(list(SLIPS), list(SLIPS.values()))[0] if rng.random() < 0.85 else rng.randint(1, 30)
    other = float(number) + away * rng.choice([-1, 1])
    return f"{other if other > 0 else float(number) + away:g}"
