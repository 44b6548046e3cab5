"""`datakit check`: what can be known of a recipe before the first request is paid for."""

from __future__ import annotations

from datakit.check.golds import Problem, check_golds
from datakit.check.libraries import LOOKED_AT, unlisted
from datakit.check.preflight import check_keys_and_folders, check_scores, find_rewards
from datakit.check.weak_tests import check_tests
from datakit.client import probe_endpoint, read_access
from datakit.collect.inputs import read_inputs
from datakit.domains import domain_of
from datakit.errors import BadInput
from datakit.progress import Monitor
from datakit.recipe import EndpointSource, LocalReward, Recipe, VerifyCode, resolve
from datakit.rewards.judges import chosen_judge
from datakit.tables import Prompt
from datakit.wording import counted


def check(
    recipe: Recipe, limit: int | None, monitor: Monitor, with_mutants: bool = False, with_rewards: bool = False
) -> list[Problem]:
    """Parse, keys, folders and extras (these raise); then endpoints that do not answer and golds that fail their verifier."""
    recipe = resolve(recipe)
    if with_mutants and recipe.domain != "code":
        raise BadInput(f"--mutants: there are mutants of programs only, and this recipe's domain is {recipe.domain}")
    if with_rewards and not recipe.score:
        raise BadInput("--rewards: the recipe has no reward model (score: null)")
    domain = domain_of(recipe)
    check_keys_and_folders(recipe, domain)
    chosen_judge(recipe)
    find_rewards(recipe)
    differences = [difference.partition(": ") for difference in check_scores(recipe, monitor)] if with_rewards else []
    problems = [Problem(where, what) for where, _, what in differences]
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            access = read_access(source.api_key_env, source.headers, f"sources.{at}")
            trouble = probe_endpoint(source.base_urls, access, source.model)
            problems += [Problem(f"sources.{at}: {url}", what) for url, what in trouble.items()]
    for at, reward in enumerate(recipe.score):
        if not isinstance(reward, LocalReward):
            access = read_access(reward.api_key_env, reward.headers, reward.where)
            trouble = probe_endpoint(reward.base_urls, access, reward.model)
            problems += [Problem(f"score.{at}: {url}", what) for url, what in trouble.items()]
    prompts: list[Prompt] = []
    inputs = read_inputs(recipe, domain.read, limit, prompts.append)
    monitor.say(f"{counted(inputs.n_rows, 'rows')} read, {inputs.n_dropped:,} dropped")
    for note, count in inputs.notes.items():
        monitor.say(counted(count, note), warning=True)
    if isinstance(recipe.verify, VerifyCode):
        texts = [(prompt.solution, prompt.reference) for prompt in prompts if prompt.dropped is None][:LOOKED_AT]
        if found := unlisted(texts, recipe.verify.libraries):
            monitor.say(found, warning=True)
    problems += check_golds(prompts, domain, monitor)
    return problems + (check_tests(prompts, domain, monitor) if with_mutants else [])
