"""Every gold answer must pass the verifier that will verify the models' answers by it."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass

from datakit.domains.protocol import Domain
from datakit.machine import available_cores
from datakit.progress import Monitor
from datakit.recipe import Recipe
from datakit.tables import Prompt, Row, Rows
from datakit.verify import VERIFY_BATCH, verdicts


@dataclass(frozen=True)
class Problem:
    """Something that `datakit check` found."""

    where: str
    what: str


def check_golds(prompts: list[Prompt], domain: Domain, recipe: Recipe, monitor: Monitor) -> list[Problem]:
    """Every gold answer must pass the verifier that will judge the models by it."""
    golds = [(prompt, domain.gold(prompt)) for prompt in prompts if prompt.dropped is None]
    rows = [_answer(prompt, gold) for prompt, gold in golds if gold is not None]
    dropped = Counter(prompt.dropped for prompt in prompts if prompt.dropped is not None)
    monitor.say(f"{len(prompts):,} prompts, {len(rows):,} with a gold answer, {dropped.total():,} dropped")
    for reason, count in dropped.items():
        monitor.say(f"{count:,} prompts dropped: {reason}", warning=True)
    problems = []
    for row, verdict in _judged("check golds", rows, domain, recipe, monitor):
        if verdict["outcome"] != "passed":
            what = f"its gold answer is {verdict['outcome']} by {domain.verifier}: {_why(row, verdict)}"
            problems.append(Problem(f"prompt {row['prompt_id']}", what))
    return problems


def _answer(prompt: Prompt, text: str) -> Row:
    return asdict(prompt) | {"text": text, "finish_reason": None}


def _judged(stage: str, rows: Rows, domain: Domain, recipe: Recipe, monitor: Monitor) -> list[tuple[Row, Row]]:
    """Rows with their verdicts, by the verifier that a build uses."""
    if domain.verifier is None:
        return []
    monitor.stage(stage, {domain.verifier: len(rows)})
    batches = (rows[at : at + VERIFY_BATCH] for at in range(0, len(rows), VERIFY_BATCH))
    found = []
    with closing(verdicts(domain, batches, recipe.verify.workers or available_cores(), monitor)) as judged:
        for row, verdict, _ in judged:
            passed = verdict["outcome"] == "passed"
            monitor.advance(domain.verifier, int(passed), int(not passed), "")
            found.append((row, verdict))
    return found


def _why(row: Row, verdict: Row) -> str:
    """What a person needs to mend it: of code what failed, of mathematics the reference."""
    return str(verdict["detail"])[:200] if row["test_style"] else f"{row['reference']!r:.80}"
