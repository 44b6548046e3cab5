"""`datakit check`: find what can be known of a recipe before the first request is paid for."""

from __future__ import annotations

from functools import partial

from datakit.check.golds import Problem, check_golds
from datakit.check.libraries import LOOKED_AT, unlisted
from datakit.check.preflight import check_keys_and_folders, check_scores, find_rewards
from datakit.check.weak_tests import check_tests
from datakit.client import Probed, probe_endpoint, read_access
from datakit.collect.inputs import find_places, read_inputs
from datakit.collect.reading import Inputs, reference_digest
from datakit.domains import Domain, domain_of
from datakit.errors import BadInput
from datakit.progress import Monitor
from datakit.recipe import EndpointSource, Recipe, RemoteReward, Served, VerifyCode, resolve
from datakit.rewards.judges import chosen_judge
from datakit.tables import Prompt
from datakit.wording import counted

SHOWN_URLS = 2


def check(
    recipe: Recipe, limit: int | None, monitor: Monitor, with_mutants: bool = False, with_rewards: bool = False
) -> list[Problem]:
    """Check parsing, keys, folders and extras, which raise; then return all further problems at once: reward models that cannot
    be fetched, endpoints that do not answer, prompts that cannot be read, golds that fail their verifier.
    """
    with recipe.named():
        recipe = resolve(recipe)
        domain = domain_of(recipe)
        check_keys_and_folders(recipe, domain)
        chosen_judge(recipe)
    if with_mutants and recipe.domain != "code":
        raise BadInput(f"--mutants: there are mutants of programs only, and this recipe's domain is {recipe.domain}")
    if with_rewards and not recipe.score:
        raise BadInput("--rewards: the recipe has no reward model (score: null)")
    try:
        find_rewards(recipe)
        problems = [_problem(one) for one in (check_scores(recipe, monitor) if with_rewards else [])]
    except BadInput as error:
        problems = [_problem(str(error))]
    problems += _silent_endpoints(recipe, monitor)
    faults: list[str] = []
    try:
        with recipe.named():
            inputs, prompts = _read(recipe, domain, limit, faults)
        found = _of_prompts(recipe, domain, inputs, prompts, monitor, with_mutants)
    except BadInput as error:
        found = [_problem(str(error))]
    return [*problems, *map(_problem, faults), *found]


def _problem(sentence: str) -> Problem:
    """Split a message into its place and its text: `score.model: NAME cannot be fetched`."""
    where, _, what = sentence.partition(": ")
    return Problem(where, what)


def _silent_endpoints(recipe: Recipe, monitor: Monitor) -> list[Problem]:
    """Return the problems of the sources' and judges' URLs; a progress line per model says which have answered."""
    asked: list[tuple[str, str, EndpointSource | RemoteReward]] = [
        *((f"sources.{at}", f"sources.{at}", one) for at, one in enumerate(recipe.sources) if isinstance(one, EndpointSource)),
        *((f"score.{at}", one.origin.section, one) for at, one in enumerate(recipe.score) if isinstance(one, RemoteReward)),
    ]
    problems = []
    for called, where, section in asked:
        access = read_access(section.api_key_env, section.headers, where)
        beside = f"/{section.api}" if isinstance(section, Served) else None
        probed = probe_endpoint(section.base_urls, access, section.model, beside)
        monitor.say(f"{called}: {section.model} {_describe(probed)}")
        problems += [Problem(f"{called}: {one.url}", one.trouble) for one in probed if one.trouble is not None]
    return problems


def _describe(probed: list[Probed]) -> str:
    """Return which URLs can be used, as text.

    >>> _describe([Probed("http://a/v1", None, lists=True), Probed("http://b/v1", None), Probed("http://c/v1", "is away")])
    'is listed at http://a/v1, may be asked at http://b/v1 (no list of models), cannot be asked at http://c/v1'
    """
    groups = [
        ("is listed at {}", [one.url for one in probed if one.trouble is None and one.lists]),
        ("may be asked at {} (no list of models)", [one.url for one in probed if one.trouble is None and not one.lists]),
        ("cannot be asked at {}", [one.url for one in probed if one.trouble is not None]),
    ]
    return ", ".join(said.format(_a_few(urls)) for said, urls in groups if urls)


def _a_few(urls: list[str]) -> str:
    more = f" and {len(urls) - SHOWN_URLS} more" if len(urls) > SHOWN_URLS else ""
    return ", ".join(urls[:SHOWN_URLS]) + more


def _read(recipe: Recipe, domain: Domain, limit: int | None, faults: list[str]) -> tuple[Inputs, list[Prompt]]:
    """Read all inputs, even beyond rows at which a build would stop: `faults` gets the first of these."""
    prompts: list[Prompt] = []
    inputs = read_inputs(recipe, domain.read, limit, prompts.append, faults=faults)
    prompts = [inputs.later.get(prompt.prompt_id, prompt) for prompt in prompts]
    inputs.note_other_references({prompt.prompt_id: reference_digest(prompt) for prompt in prompts})
    return inputs, prompts


def _of_prompts(
    recipe: Recipe, domain: Domain, inputs: Inputs, prompts: list[Prompt], monitor: Monitor, with_mutants: bool
) -> list[Problem]:
    monitor.say(f"{counted(inputs.n_rows, 'rows')} read, {inputs.n_dropped:,} dropped")
    for note, count in inputs.notes.items():
        monitor.say(note.of(count), warning=True)
    if isinstance(recipe.verify, VerifyCode):
        texts = [(prompt.solution, prompt.reference) for prompt in prompts if prompt.dropped is None][:LOOKED_AT]
        if found := unlisted(texts, recipe.verify.libraries):
            monitor.say(found, warning=True)
    problems = check_golds(prompts, domain, partial(find_places, recipe, domain.read), monitor)
    return problems + (check_tests(prompts, domain, monitor) if with_mutants else [])
