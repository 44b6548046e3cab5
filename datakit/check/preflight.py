"""What would fail after hours, found before the first request: keys, folders, extras, reward models."""

from __future__ import annotations

from datakit import serving
from datakit.client import read_key
from datakit.domains import domain_of
from datakit.progress import Monitor
from datakit.recipe import ArmoRM, Classifier, EndpointSource, LocalReward, Recipe, ServeSource
from datakit.recipe.files import reward_folder
from datakit.rewards import check as check_reward
from datakit.rewards import find_on_hub
from datakit.rewards.judges import chosen_judge, judge_name
from datakit.score import remote
from datakit.score.local import self_check


def preflight(recipe: Recipe) -> None:
    """Find now what would fail after hours: unset keys, broken model folders, missing extras."""
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            read_key(source.api_key_env, f"sources.{at}.api_key_env")
        elif isinstance(source, ServeSource):
            serving.check(recipe, source, f"sources.{at}")
    for reward in recipe.score:
        check_reward(reward, reward_folder(recipe, reward))
    chosen_judge(recipe)
    domain_of(recipe).preflight()


def find_rewards(recipe: Recipe) -> None:
    """Look at reward models that lie on the hub: no night of sampling for one that cannot be had or used."""
    for reward in recipe.score:
        if isinstance(reward, ArmoRM | Classifier) and reward_folder(recipe, reward) is None:
            find_on_hub(reward)


def check_scores(recipe: Recipe, monitor: Monitor) -> list[str]:
    """What the self-check of the reward models finds wrong: batches that change scores, scores that are known to be others."""
    differences = []
    for at, reward in enumerate(recipe.score):
        if isinstance(reward, LocalReward):
            checked = self_check(reward, reward_folder(recipe, reward))
        else:
            checked = remote.self_check(reward)
        for place, findings in checked:
            where = f"score.{at}: {judge_name(reward)} on {place}"
            differences += [f"{where}: {difference}" for difference in findings.differences]
            for note in findings.notes:
                monitor.say(f"{where}: {note}")
    return differences
