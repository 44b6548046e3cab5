"""What would fail after hours, found before the first request: keys, folders, extras, reward models."""

from __future__ import annotations

from datakit import serving
from datakit.client import read_key
from datakit.domains import Domain
from datakit.errors import BadInput
from datakit.options import Options
from datakit.progress import Monitor
from datakit.recipe import EndpointSource, LocalReward, Recipe, ServeSource, VerifyCode
from datakit.rewards import check as check_reward
from datakit.rewards import find_on_hub
from datakit.rewards.judges import judge_name
from datakit.score import remote
from datakit.score.local import self_check

UNSAFE = (
    "verify.allow_unsafe: where neither Landlock nor bubblewrap can confine programs, they run with limits on CPU time, memory "
    "and files only. Code that models wrote can then read and write your files, use the network, and find the tests and change "
    "the verdict"
)


def preflight(recipe: Recipe, domain: Domain, options: Options, monitor: Monitor, is_new: bool) -> None:
    """Find now what would fail after hours, before the first request of a build is paid for."""
    check_keys_and_folders(recipe, domain)
    if isinstance(recipe.verify, VerifyCode) and recipe.verify.allow_unsafe:
        monitor.say(UNSAFE, warning=True)
    if is_new and "score" in options.stages:  # an old run may have scores already, and need no model
        find_rewards(recipe)
    if options.selfcheck and (differences := check_scores(recipe, monitor)):
        raise BadInput("the reward models do not give the scores that they must:\n  " + "\n  ".join(differences))


def check_keys_and_folders(recipe: Recipe, domain: Domain) -> None:
    """Unset keys, broken model folders, missing extras, a sandbox that does not hold."""
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            read_key(source.api_key_env, f"sources.{at}.api_key_env")
        elif isinstance(source, ServeSource):
            serving.check(source, f"sources.{at}", recipe.key_names)
    for reward in recipe.score:
        check_reward(reward)
    if domain.verifier is not None:
        domain.verifier.preflight()


def find_rewards(recipe: Recipe) -> None:
    """Look at reward models that lie on the hub: no night of sampling for one that cannot be had or used."""
    for reward in recipe.score:
        if isinstance(reward, LocalReward) and reward.location is None:
            find_on_hub(reward)


def check_scores(recipe: Recipe, monitor: Monitor) -> list[str]:
    """What the self-check of the reward models finds wrong: batches that change scores, scores that are known to be others."""
    differences = []
    for at, reward in enumerate(recipe.score):
        checked = self_check(reward) if isinstance(reward, LocalReward) else remote.self_check(reward)
        for place, findings in checked:
            where = f"score.{at}: {judge_name(reward)} on {place}"
            differences += [f"{where}: {difference}" for difference in findings.differences]
            for note in findings.notes:
                monitor.say(f"{where}: {note}")
    return differences
