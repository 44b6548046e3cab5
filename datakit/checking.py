"""`datakit check`: what can be known of a recipe before the first request is paid for."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import closing, suppress
from dataclasses import asdict, dataclass

from datakit.check.preflight import check_scores, find_rewards, preflight
from datakit.client import probe_endpoint, read_key
from datakit.collect.inputs import read_inputs
from datakit.domains import domain_of
from datakit.domains.code.answers import extract
from datakit.domains.code.mutants import Mutant, mutants
from datakit.domains.protocol import Domain
from datakit.engine import available_cores
from datakit.errors import BadInput
from datakit.progress import Monitor
from datakit.recipe import EndpointSource, LocalReward, Recipe, resolve
from datakit.tables import Prompt, Row, Rows
from datakit.verify import VERIFY_BATCH, verdicts


@dataclass(frozen=True)
class Problem:
    """Something that `datakit check` found."""

    where: str
    what: str


def check(
    recipe: Recipe, limit: int | None, monitor: Monitor, with_mutants: bool = False, with_rewards: bool = False
) -> list[Problem]:
    """Parse, keys, folders and extras (these raise); then endpoints that do not answer and golds that fail their verifier."""
    recipe = resolve(recipe)
    if with_mutants and recipe.domain != "code":
        raise BadInput(f"--mutants: there are mutants of programs only, and this recipe's domain is {recipe.domain}")
    if with_rewards and not recipe.score:
        raise BadInput("--rewards: the recipe has no reward model (score: null)")
    preflight(recipe)
    find_rewards(recipe)
    domain = domain_of(recipe)
    problems = [_problem(difference) for difference in check_scores(recipe, monitor)] if with_rewards else []
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            trouble = probe_endpoint(source.base_urls, read_key(source.api_key_env, "api_key_env"), source.model)
            problems += [Problem(f"sources.{at}: {url}", what) for url, what in trouble.items()]
    for at, reward in enumerate(recipe.score):
        if not isinstance(reward, LocalReward):
            trouble = probe_endpoint(reward.base_urls, read_key(reward.api_key_env, "score.api_key_env"), reward.model)
            problems += [Problem(f"score.{at}: {url}", what) for url, what in trouble.items()]
    prompts: list[Prompt] = []
    inputs = read_inputs(recipe, domain.read, limit, prompts.append)
    for note, count in inputs.notes.items():
        monitor.say(f"{count:,} {note}", warning=True)
    problems += check_golds(prompts, domain, recipe, monitor)
    return problems + (check_tests(prompts, domain, recipe, monitor) if with_mutants else [])


def _problem(text: str) -> Problem:
    where, _, what = text.partition(": ")
    return Problem(where, what)


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


def check_tests(prompts: list[Prompt], domain: Domain, recipe: Recipe, monitor: Monitor) -> list[Problem]:
    """Tests that pass for every mutant of the gold solution cannot tell wrong code from right."""
    rows = [
        _answer(prompt, f"```python\n{mutant.text}\n```") | {"mutant": mutant.what}
        for prompt in prompts
        if prompt.dropped is None and prompt.solution is not None
        for mutant in _mutants(prompt)
    ]
    passing: dict[str, list[str]] = defaultdict(list)
    n_mutants: dict[str, int] = defaultdict(int)
    for row, verdict in _judged("check tests by mutants", rows, domain, recipe, monitor):
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
    """Mutants of the solution. One that only goes on where the prompt's code ends (HumanEval's) is put behind it first; of one
    that is no Python there are none, and it fails as a gold."""
    with suppress(SyntaxError, ValueError, RecursionError):
        return mutants(prompt.solution or "")
    asked, style = prompt.messages[-1]["content"], prompt.test_style or ""
    whole = extract(f"```python\n{(prompt.solution or '').strip()}\n```", asked, prompt.entry_point, style)
    with suppress(SyntaxError, ValueError, RecursionError):
        return mutants(whole.text) if whole else []
    return []


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
