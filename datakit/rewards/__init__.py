"""Reward models: one protocol, one dict, one file each.

A judge's name carries its revision (`armorm@<commit>`) and every option that is not at its default and changes scores
(`armorm@<commit>+dtype=float32`), so that scores of different makes never mix.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datakit.engine import Worker
from datakit.errors import DISTRIBUTION, BadInput, MissingExtra, needs_extra
from datakit.recipe import Reward
from datakit.rewards import armorm_checkpoint, classifier
from datakit.rewards.checkpoint import check_pinned
from datakit.rewards.devices import all_devices, take_device
from datakit.rewards.protocol import RewardModel, Score
from datakit.rewards.selfcheck import LocalModel, self_check
from datakit.tables import Row, Rows

if TYPE_CHECKING:
    import torch

__all__ = [
    "REWARDS",
    "RewardModel",
    "Score",
    "all_devices",
    "check",
    "checking_worker",
    "judge_name",
    "load",
    "score_rows",
    "scoring_worker",
]


class Kind(NamedTuple):
    """How reward models of one `type` are checked (without torch) and loaded."""

    check: Callable[[Path], object]
    load: Callable[[Any, Path | None, torch.device], LocalModel]


REWARDS: dict[str, Kind] = {
    "armorm": Kind(armorm_checkpoint.check, armorm_checkpoint.load),
    "classifier": Kind(classifier.check, classifier.load),
}


def judge_name(reward: Reward) -> str:
    """The `judge` of this model's scores: `<type>@<revision>`, then what shapes them and is not at its default.

    A folder's revision (tables.fingerprint) must be set.
    """
    if reward.revision is None:
        raise BadInput(f"score.revision: not set for {reward.model}, so its scores would have no name")
    values = {field: getattr(reward, field) for field in reward.shaping}
    changed = [field for field, value in values.items() if value != type(reward).model_fields[field].default]
    return f"{reward.type}@{reward.revision}" + "".join(f"+{field}={values[field]}".lower() for field in changed)


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


def load(reward: Reward, folder: Path | None, devices: list[str]) -> LocalModel:
    """The model, on the device of this worker process. Raises MissingExtra, and BadInput where it cannot be used."""
    with needs_extra("local", f"scoring with {reward.type}"):
        import torch  # noqa: F401 - its absence is said here
        import transformers  # noqa: F401
    return REWARDS[reward.type].load(reward, folder, take_device(devices))


def checking_worker(reward: Reward, folder: Path | None, devices: list[str]) -> Worker:
    """Load the model and check it (selfcheck.py): gives the findings for every row, whatever it is."""
    model = load(reward, folder, devices)
    return lambda rows: (asdict(self_check(model, reward, folder)) for _ in rows)


def scoring_worker(reward: Reward, folder: Path | None, devices: list[str]) -> Worker:
    """Load the model and give the function that scores rows: the start of an Engine's worker.

    A row has `messages` that end with the assistant's answer; its result is score_rows'.
    """
    return partial(score_rows, load(reward, folder, devices), with_objectives=getattr(reward, "objectives", False))


def score_rows(model: RewardModel, rows: Rows, with_objectives: bool = False) -> Iterator[Row]:
    """One result a row, in order: score, objectives, n_tokens, n_tokens_cut, or error and message; the others are null."""
    for score in model.score([row["messages"] for row in rows]):
        objectives = list(score.objectives) if with_objectives and score.objectives is not None else None
        yield {
            "score": score.score,
            "objectives": objectives,
            "n_tokens": score.n_tokens,
            "n_tokens_cut": score.n_tokens_cut,
            "error": score.error,
            "message": score.message,
        }
