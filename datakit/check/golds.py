"""Check that every gold answer passes the verifier that will compare the models' answers with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import asdict, dataclass

from datakit.domains import Domain
from datakit.domains.math.equality import is_worded
from datakit.engine.local import LocalEngines
from datakit.progress import Monitor
from datakit.tables import Prompt, Row, Rows
from datakit.verify import VERIFY_BATCH, verdicts
from datakit.wording import counted

Places = Callable[[Collection[str]], dict[str, str]]
"""A function from prompt ids to the places of their rows in the inputs."""
OTHER_ANSWER = "The answer is \\boxed{0}."
"""An answer that is compared with every reference, so that the verifier reads them."""
SHOWN = 5  # places that are listed


@dataclass(frozen=True)
class Problem:
    """Something that `datakit check` found."""

    where: str
    what: str


def check_golds(prompts: list[Prompt], domain: Domain, places: Places, monitor: Monitor) -> list[Problem]:
    """Return a problem for every gold answer that does not pass the verifier, and if it can read none of the references."""
    used = [prompt for prompt in prompts if prompt.dropped is None]
    golds = [answer_row(prompt, gold) | {"is_gold": True} for prompt in used if (gold := domain.gold(prompt)) is not None]
    others = [answer_row(prompt, OTHER_ANSWER) | {"is_gold": False} for prompt in used if prompt.reference is not None]
    dropped = Counter(prompt.dropped for prompt in prompts if prompt.dropped is not None)
    monitor.say(f"{counted(len(prompts), 'prompts')}, {len(golds):,} with a gold answer, {dropped.total():,} dropped")
    for reason, count in dropped.items():
        found = [prompt.prompt_id for prompt in prompts if prompt.dropped == reason]
        monitor.say(f"{counted(count, 'prompts')} dropped: {reason} ({_listed(found, places)})", warning=True)
    checked = verified("check golds", [*golds, *others], domain, monitor)
    of_golds, of_references = ([one for one in checked if one[0]["is_gold"] is is_gold] for is_gold in (True, False))
    return [*_of_references(of_references, domain, places, monitor), *_of_golds(of_golds, domain, monitor)]


def _of_golds(found: list[tuple[Row, Row]], domain: Domain, monitor: Monitor) -> list[Problem]:
    problems, reasons = [], Counter[str]()
    for row, verdict in found:
        if verdict["outcome"] == "unverifiable":
            reasons[_reason(verdict)] += 1
        if verdict["outcome"] != "passed":
            # for code what failed, for mathematics the reference
            why = str(verdict["detail"])[:200] if row["test_style"] else f"{row['reference']!r:.80}"
            name = domain.verifier.name if domain.verifier is not None else "nothing"
            what = f"its gold answer is {verdict['outcome']} by {name}: {why}"
            problems.append(Problem(f"prompt {row['prompt_id']}", what))
    for reason, count in reasons.most_common(1):
        if count * 2 > len(found) and len(found) > 1:
            monitor.say(
                f"{count:,} of {len(found):,} gold answers cannot be verified, all for one reason: {reason}", warning=True
            )
    return problems


def _of_references(found: list[tuple[Row, Row]], domain: Domain, places: Places, monitor: Monitor) -> list[Problem]:
    """Warn of references that the verifier cannot read; return a problem if it can read none. Golds do not show this, because
    equal texts always match."""
    of_all = f"of {counted(len(found), 'references')}"
    unreadable = {row["prompt_id"]: _reason(verdict) for row, verdict in found if verdict["outcome"] == "unverifiable"}
    read = [row for row, _ in found if row["prompt_id"] not in unreadable]
    if worded := [row["prompt_id"] for row in read if domain.name == "math" and is_worded(row["reference"])]:
        what = f"{len(worded):,} {of_all} are words, no number and no formula ({_listed(worded, places)})"
        monitor.say(f"{what}: at most an answer with the same words is right", warning=True)
    if unreadable:
        [(reason, _)] = Counter(unreadable.values()).most_common(1)
        what = f"nothing can be verified by {len(unreadable):,} {of_all} ({_listed(list(unreadable), places)}): {reason}"
        if not read:
            return [Problem("references", f"{what}; check columns.reference")]
        monitor.say(what, warning=True)
    return []


def _reason(verdict: Row) -> str:
    """Return the detail of a verdict, without what code adds about the sandbox."""
    return str(verdict["detail"]).partition(" [")[0]


def _listed(prompt_ids: list[str], places: Places) -> str:
    """Return the places of the first few prompts, as text."""
    first = prompt_ids[:SHOWN]
    found = places(first)
    return ", ".join([*(found.get(one, f"prompt {one}") for one in first), *["..."][: len(prompt_ids) - len(first)]])


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
            passed = verdict["outcome"] == "passed" or not (verdict["outcome"] == "unverifiable" or row.get("is_gold", True))
            monitor.advance(verifier, int(passed), int(not passed), "")
            found.append((row, verdict))
    return found
