"""Reward models: one protocol, one dict, one file each.

A judge's name carries its revision (`armorm@<commit>`), so that scores of different revisions never mix.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from datakit.engine import Worker
from datakit.errors import DISTRIBUTION, BadInput, MissingExtra
from datakit.recipe import Reward
from datakit.rewards import armorm_checkpoint
from datakit.rewards.checkpoint import check_pinned
from datakit.rewards.protocol import RewardModel, Score
from datakit.tables import Row, Rows

__all__ = ["REWARDS", "RewardModel", "Score", "check", "judge_name", "score_rows", "scoring_worker"]


class Kind(NamedTuple):
    """How reward models of one `type` are checked (without torch) and loaded."""

    check: Callable[[Path], object]
    load: Callable[[Reward, Path | None], RewardModel]


REWARDS: dict[str, Kind] = {"armorm": Kind(armorm_checkpoint.check, armorm_checkpoint.load)}


def judge_name(reward: Reward) -> str:
    """The `judge` of this model's scores, `<type>@<revision>`; a folder's revision (tables.fingerprint) must be set."""
    if reward.revision is None:
        raise BadInput(f"score.revision: not set for {reward.model}, so its scores would have no name")
    return f"{reward.type}@{reward.revision}"


def check(reward: Reward, folder: Path | None) -> None:
    """Refuse a reward model that could not be loaded; opens neither torch nor the network.

    `folder` is where the model lies, None for a hub id: then all that can be seen is whether its revision is a commit.
    Raises MissingExtra, and BadInput that names folder, file and field or tensor.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f"score: {reward.type} needs the package '{package}': pip install '{DISTRIBUTION}[local]'")
    if folder is None:
        check_pinned(reward.model, reward.revision)
    else:
        REWARDS[reward.type].check(folder)


def scoring_worker(reward: Reward, folder: Path | None) -> Worker:
    """Load the model and give the function that scores rows: the start of an Engine's worker.

    A row has `messages` that end with the assistant's answer; its result is score_rows'.
    """
    return partial(score_rows, REWARDS[reward.type].load(reward, folder))


def score_rows(model: RewardModel, rows: Rows) -> Iterator[Row]:
    """One result a row, in order: score, objectives, error, message; either both first or both last are null."""
    for score in model.score([row["messages"] for row in rows]):
        objectives = None if score.objectives is None else list(score.objectives)
        yield {"score": score.score, "objectives": objectives, "error": score.error, "message": score.message}
