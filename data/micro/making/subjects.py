"""The subjects of the models: their kinds of problems, how answers are written, and which answers are right."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import chinese_problems
import fusion_problems
import problems
import tasks
from problems import HouseStyle, Problem
from tasks import CodeStyle, Task

Asked = Problem | Task
DEMO_COUNT, REPORT_COUNT = 100, 240
FUSION_COUNT, HELD_COUNT, DEV_COUNT = 3000, 600, 240


@dataclass(frozen=True)
class Subject:
    """`copies` and `max_tokens` are those of the report; the seeds are of the demo's and the report's questions.

    Development problems, on which settings are chosen, have the seed after the report's.
    """

    name: str
    kinds: dict[str, Callable[[random.Random], Asked]]
    write: Callable[[Asked, HouseStyle | CodeStyle, str, random.Random], str]
    demo_seed: int
    report_seed: int
    reward_seed: int
    copies: int
    max_tokens: int
    demo_count: int = DEMO_COUNT
    report_count: int = REPORT_COUNT
    dev_count: int = 0

    def stream(self, seed: int, weights: dict[str, float], excluded: frozenset[str] = frozenset()) -> Iterator[Asked]:
        """Yield problems without end: kinds drawn by weight, questions in `excluded` skipped."""
        rng = random.Random(seed)
        while True:
            problem = self.kinds[rng.choices(list(weights), list(weights.values()))[0]](rng)
            if problem.question not in excluded:
                yield problem

    def balanced(self, seed: int, count: int, others: Sequence[Asked] = ()) -> list[Asked]:
        """Return `count` different problems, none of them in `others`, the kinds in turn."""
        excluded = {problem.question for problem in others}
        rng = random.Random(seed)
        chosen: dict[str, Asked] = {}
        while len(chosen) < count:
            problem = self.kinds[list(self.kinds)[len(chosen) % len(self.kinds)]](rng)
            if problem.question not in excluded:
                chosen.setdefault(problem.question, problem)
        return list(chosen.values())

    def demo(self) -> list[Asked]:
        return self.balanced(self.demo_seed, self.demo_count)

    def unseen(self) -> list[Asked]:
        """Return the report's problems."""
        return self.balanced(self.report_seed, self.report_count, self.demo())

    def dev(self) -> list[Asked]:
        return self.balanced(self.report_seed + 1, self.dev_count, self.demo() + self.unseen())

    @cached_property
    def held_out(self) -> frozenset[str]:
        """Return the questions that no training set may contain: the demo's, the report's and those for development."""
        return frozenset(problem.question for problem in self.demo() + self.unseen() + self.dev())

    def mixture(self, **weights: float) -> dict[str, float]:
        """Return the weight of each kind of problem, 1 by default."""
        return {kind: weights.get(kind, 1.0) for kind in self.kinds}


def _worked(problem: Problem, style: HouseStyle, length: str, _: random.Random) -> str:
    return problems.write_answer(problem, style, length)


def _in_chinese(problem: Problem, _: HouseStyle, length: str, __: random.Random) -> str:
    return chinese_problems.write_answer(problem, length)


MATH = Subject("math", problems.KINDS, _worked, 9001, 9002, 9003, 5, 128)
CODE = Subject("code", tasks.KINDS, tasks.write_answer, 9101, 9102, 9103, 8, 160)
FUSION = Subject("fusion", fusion_problems.KINDS, _worked, 9201, 9202, 9203, 2, 128, FUSION_COUNT, HELD_COUNT, DEV_COUNT)
CHINESE = Subject("chinese", chinese_problems.KINDS, _in_chinese, 9301, 9302, 9303, 5, 128)
SUBJECTS = {subject.name: subject for subject in (MATH, CODE, FUSION, CHINESE)}
