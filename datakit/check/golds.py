"""Check that every gold answer passes the verifier that will compare the models' answers with it."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass

from datakit.domains import Domain
from datakit.engine.local import LocalEngines
from datakit.progress import Monitor
from datakit.tables import Prompt, Row, Rows
from datakit.verify import VERIFY_BATCH, verdicts
from datakit.wording import counted


@dataclass(frozen=True)
class Problem:
    """Something that `datakit check` found."""

    where: str
    what: str


def check_golds(prompts: list[Prompt], domain: Domain, monitor: Monitor) -> list[Problem]:
    """Return a problem for every gold answer that does not pass the verifier."""
    golds = [(prompt, domain.gold(prompt)) for prompt in prompts if prompt.dropped is None]
    rows = [answer_row(prompt, gold) for prompt, gold in golds if gold is not None]
    dropped = Counter(prompt.dropped for prompt in prompts if prompt.dropped is not None)
    monitor.say(f"{counted(len(prompts), 'prompts')}, {len(rows):,} with a gold answer, {dropped.total():,} dropped")
    for reason, count in dropped.items():
        monitor.say(f"{counted(count, 'prompts')} dropped: {reason}", warning=True)
    problems, reasons = [], Counter[str]()
    for row, verdict in verified("check golds", rows, domain, monitor):
        if verdict["outcome"] == "unverifiable":
            reasons[str(verdict["detail"]).partition(" [")[0]] += 1
        if verdict["outcome"] != "passed":
            # for code what failed, for mathematics the reference
            why = str(verdict["detail"])[:200] if row["test_style"] else f"{row['reference']!r:.80}"
            name = domain.verifier.name if domain.verifier is not None else "nothing"
            what = f"its gold answer is {verdict['outcome']} by {name}: {why}"
            problems.append(Problem(f"prompt {row['prompt_id']}", what))
    for reason, count in reasons.most_common(1):
        if count * 2 > len(rows) and len(rows) > 1:
            monitor.say(
                f"{count:,} of {len(rows):,} gold answers cannot be verified, all for one reason: {reason}", warning=True
            )
    return problems


def answer_row(prompt: Prompt, text: str) -> Row:
    """Return a row for the verifier: this text as the answer to the prompt."""
    return asdict(prompt) | {"text": text, "complete": True}


def verified(stage: str, rows: Rows, domain: Domain, monitor: Monitor) -> list[tuple[Row, Row]]:
    """Return the rows with their verdicts, from the verifier that a build uses."""
    if domain.verifier is None:
        return []
    verifier = domain.verifier.name
    monitor.stage(stage, {verifier: len(rows)})
    batches = (rows[at : at + VERIFY_BATCH] for at in range(0, len(rows), VERIFY_BATCH))
    found = []
    with closing(verdicts(domain, batches, monitor, LocalEngines())) as results:
        for row, verdict, _ in results:
            passed = verdict["outcome"] == "passed"
            monitor.advance(verifier, int(passed), int(not passed), "")
            found.append((row, verdict))
    return found
