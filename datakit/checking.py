"""`datakit check`: what can be known of a recipe before the first request is paid for."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial

from datakit.client import probe_endpoint, read_key
from datakit.collecting import read_inputs
from datakit.domains import DOMAINS, Domain, verifying_worker
from datakit.engine import LocalEngine
from datakit.recipe import EndpointSource, Recipe
from datakit.stages import FAULTS, VERIFY_BATCH, Monitor, preflight, resolve
from datakit.tables import Prompt


@dataclass(frozen=True)
class Problem:
    """Something that `datakit check` found."""

    where: str
    what: str


def check(recipe: Recipe, limit: int | None, monitor: Monitor) -> list[Problem]:
    """Parse, keys, folders and extras (these raise); then endpoints that do not answer and golds that fail their verifier."""
    recipe = resolve(recipe)
    preflight(recipe)
    domain = DOMAINS[recipe.domain](recipe.verify)
    problems = []
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            trouble = probe_endpoint(source.base_urls, read_key(source.api_key_env, "api_key_env"), source.model)
            problems += [Problem(f"sources.{at}: {url}", what) for url, what in trouble.items()]
    inputs = read_inputs(recipe, domain.read, limit)
    for note, count in inputs.notes.items():
        monitor.say(f"{count:,} {note}", warning=True)
    return problems + check_golds(list(inputs.prompts.values()), domain, recipe, monitor)


def check_golds(prompts: list[Prompt], domain: Domain, recipe: Recipe, monitor: Monitor) -> list[Problem]:
    """Every gold answer must pass the verifier that will judge the models by it."""
    golds = [(prompt, domain.gold(prompt)) for prompt in prompts if prompt.dropped is None]
    rows = [asdict(prompt) | {"text": gold, "finish_reason": None} for prompt, gold in golds if gold is not None]
    monitor.say(f"{len(prompts):,} prompts, {len(rows):,} with a gold answer, {len(prompts) - len(golds):,} dropped")
    if domain.verifier is None:
        return []
    monitor.stage("check golds", {domain.verifier: len(rows)})
    batches = (rows[at : at + VERIFY_BATCH] for at in range(0, len(rows), VERIFY_BATCH))
    start = partial(verifying_worker, domain.name, recipe.verify)
    problems = []
    with closing(LocalEngine(recipe.verify.workers).map(start, batches, recipe.verify.timeout_s)) as results:
        for result in results:
            outcome = result.value["outcome"] if result.value else FAULTS[result.fault or "crash"]
            monitor.advance(domain.verifier, int(outcome == "passed"), int(outcome != "passed"), "")
            if outcome != "passed":
                what = f"its gold answer is {outcome} by {domain.verifier}: {result.row['reference']!r:.80}"
                problems.append(Problem(f"prompt {result.row['prompt_id']}", what))
    return problems
