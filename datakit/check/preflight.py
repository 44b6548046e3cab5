"""Find before the first request what would fail after hours: keys, folders, extras, reward models."""

from __future__ import annotations

from pathlib import Path

from datakit import serving
from datakit.client import check_package, read_access
from datakit.domains import Domain
from datakit.errors import BadInput, RunError
from datakit.options import Options
from datakit.probe.readings import check as check_readings
from datakit.progress import Monitor
from datakit.recipe import (
    ChatJudge,
    EndpointSource,
    EntityF1,
    LocalReward,
    LocalSource,
    Recipe,
    Sampled,
    ServeSource,
    VerifyCode,
)
from datakit.rewards import check as check_reward
from datakit.rewards import find_on_hub
from datakit.rewards.judges import chosen_judge, judge_name
from datakit.sample.local import check as check_local
from datakit.score import remote
from datakit.score.local import self_check
from datakit.select.rule import check_named

OURS = ("recipe.json", ".lock", "shards")
"""Names that a run folder may have before it is a run: a build that was killed while reading its inputs leaves a lock, and
shards may be built below the run that they will be merged into."""
UNSAFE = (
    "verify.allow_unsafe: where neither Landlock nor bubblewrap can confine programs, they run with limits on CPU time, memory "
    "and files only. Code that models wrote can then read and write your files, use the network, and find the tests and change "
    "the verdict"
)


def preflight(recipe: Recipe, domain: Domain, folder: Path, options: Options, monitor: Monitor) -> None:
    """Find now what would fail after hours, before the first request of a build is paid for."""
    check_run_folder(folder)
    chosen_judge(recipe)
    if not recipe.imported:
        check_named(recipe.select, [source.model for source in recipe.sampled], "none of the recipe's sources:")
    check_keys_and_folders(recipe, domain, verifies_here=options.cluster is None)
    for at, source in enumerate(recipe.sources):
        if isinstance(source, Sampled) and source.n and source.sampling.max_tokens is None:
            who = "the model's positions decide" if isinstance(source, LocalSource) else "the server decides"
            monitor.say(f"sources.{at}: {source.model} has no sampling.max_tokens: {who} how long an answer may get", True)
    if isinstance(recipe.verify, VerifyCode) and recipe.verify.allow_unsafe:
        monitor.say(UNSAFE, warning=True)
    if not folder.exists() and "score" in options.stages:  # an old run may be scored already and need no model
        find_rewards(recipe)
    if options.selfcheck and (differences := check_scores(recipe, monitor)):
        raise BadInput("the reward models do not give the scores that they must:\n  " + "\n  ".join(differences))


def check_run_folder(folder: Path) -> None:
    """Refuse to build into a folder with other contents. Raises BadInput."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; give another --out")
    if folder.is_dir() and not any((folder / name).exists() for name in OURS) and any(folder.iterdir()):
        raise RunError(f"{folder}: is not a run folder, and not empty; give a new folder as --out")


def check_keys_and_folders(recipe: Recipe, domain: Domain, verifies_here: bool = True) -> None:
    """Raise a DatakitError for unset keys, broken model folders, missing extras, or a sandbox that does not work."""
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            read_access(source.api_key_env, source.headers, f"sources.{at}")
            if source.request == "batch":
                check_package()
        elif isinstance(source, ServeSource):
            serving.check(source, f"sources.{at}", recipe.key_names)
        elif isinstance(source, LocalSource):
            check_local(source, f"sources.{at}")
    for reward in recipe.score:
        check_reward(reward)
    check_readings(recipe)
    if domain.verifier is not None and verifies_here:
        domain.verifier.preflight()


def find_rewards(recipe: Recipe) -> None:
    """Check reward models on the hub, so that no night of sampling is spent for one that cannot be loaded or used."""
    for reward in recipe.score:
        if isinstance(reward, LocalReward) and reward.location is None:
            find_on_hub(reward)


def check_scores(recipe: Recipe, monitor: Monitor) -> list[str]:
    """Return what the self-check of the reward models finds wrong: scores that change with the batch, or differ from known
    ones."""
    differences = []
    for at, reward in enumerate(recipe.score):
        if isinstance(reward, ChatJudge | EntityF1):  # a chat judge may vary, and entity F1 is counted
            continue
        checked = self_check(reward) if isinstance(reward, LocalReward) else remote.self_check(reward)
        for place, findings in checked:
            where = f"score.{at}: {judge_name(reward)} on {place}"
            differences += [f"{where}: {difference}" for difference in findings.differences]
            for note in findings.notes:
                monitor.say(f"{where}: {note}")
            for warning in findings.warnings:
                monitor.say(f"{where}: {warning}", warning=True)
    return differences
