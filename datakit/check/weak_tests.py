"""Find tests that let wrong programs pass, by mutants of the gold solutions."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

from datakit.check.golds import Problem, answer_row, verified
from datakit.domains import Domain
from datakit.domains.code.answers import extract
from datakit.domains.code.cases import CannotRun
from datakit.domains.code.formats import runnable
from datakit.domains.code.mutants import Mutant, mutants
from datakit.progress import Monitor
from datakit.tables import Prompt


def check_tests(prompts: list[Prompt], domain: Domain, monitor: Monitor) -> list[Problem]:
    """Return a problem for tests that pass for every mutant of the gold solution: they cannot tell wrong code from right."""
    rows = [
        answer_row(prompt, f"```python\n{mutant.text}\n```") | {"mutant": mutant.what}
        for prompt in prompts
        if prompt.dropped is None and prompt.solution is not None
        for mutant in _mutants(prompt)
    ]
    passing: dict[str, list[str]] = defaultdict(list)
    n_mutants: dict[str, int] = defaultdict(int)
    for row, verdict in verified("check tests by mutants", rows, domain, monitor):
        n_mutants[row["prompt_id"]] += 1
        if verdict["outcome"] == "passed":
            passing[row["prompt_id"]].append(row["mutant"])
    caught = len(rows) - sum(map(len, passing.values()))
    monitor.say(f"{len(rows):,} mutants of {len(n_mutants):,} solutions, {caught:,} of them caught by the tests")
    return [
        Problem(
            f"prompt {prompt_id}", f"weak tests: all {len(through)} mutants of its solution pass ({'; '.join(through)})"[:300]
        )
        for prompt_id, through in sorted(passing.items())
        if len(through) == n_mutants[prompt_id]
    ]


def _mutants(prompt: Prompt) -> list[Mutant]:
    """Return mutants of the solution. If it only continues the prompt's code (HumanEval), the two are joined first. There are
    none if it is not Python; it fails as a gold then."""
    with suppress(SyntaxError, ValueError, RecursionError):
        return mutants(prompt.solution or "")
    tests = runnable(prompt.reference or "", prompt.test_style or "", prompt.entry_point)
    if isinstance(tests, CannotRun):
        return []
    asked = prompt.messages[-1]["content"]
    whole = extract(f"```python\n{(prompt.solution or '').strip()}\n```", asked, tests.entry_point, tests.style)
    with suppress(SyntaxError, ValueError, RecursionError):
        return mutants(whole.text) if whole else []
    return []
