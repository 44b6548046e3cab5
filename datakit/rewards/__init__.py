"""Reward models: one protocol, one dict, one file each.

A judge's name carries its revision (`armorm@<commit>`; behind a URL `served@<model>:<revision>`) and every option that is not
at its default and changes scores (`armorm@<commit>+dtype=float32`), so that scores of different makes never mix.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datakit.client import Client, read_access, server_url
from datakit.engine.protocol import Worker
from datakit.errors import DISTRIBUTION, MissingExtra, needs_extra
from datakit.recipe import ArmoRM, Classifier, LocalReward, RemoteReward, Reward, Served
from datakit.rewards.judges import judge_name
from datakit.rewards.local import armorm_checkpoint, classifier
from datakit.rewards.local.checkpoint import SMALL_FILES, check_pinned, download, limit_of
from datakit.rewards.local.devices import all_devices, take_device
from datakit.rewards.protocol import RemoteModel, RewardModel, Score
from datakit.rewards.remote import llm_judge, served
from datakit.rewards.selfcheck import LocalModel, self_check
from datakit.tables import Row, Rows

if TYPE_CHECKING:
    import torch

__all__ = [
    "REWARDS",
    "RemoteModel",
    "RewardModel",
    "Score",
    "all_devices",
    "check",
    "checking_worker",
    "client_of",
    "find_on_hub",
    "judge_name",
    "load",
    "remote_model",
    "score_rows",
    "scoring_worker",
]


class Kind(NamedTuple):
    """How reward models of one `type` are checked (without torch) and loaded."""

    check: Callable[[Path, bool], dict[str, Any]]
    """Of a folder, and whether its weights are there to be looked at; gives config.json."""
    load: Callable[[Any, Path | None, torch.device], LocalModel]


REWARDS: dict[str, Kind] = {
    "armorm": Kind(armorm_checkpoint.check, armorm_checkpoint.load),
    "classifier": Kind(classifier.check, classifier.load),
}


def check(reward: Reward) -> None:
    """Refuse a reward model that could not be loaded or asked; opens neither torch nor the network.

    Of a model on the hub all that can be seen is whether its revision is a commit.
    Raises MissingExtra, and BadInput that names folder, file and field or tensor.
    """
    if not isinstance(reward, LocalReward):
        read_access(reward.api_key_env, reward.headers, "score")
        return
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f"score: {reward.type} needs the package '{package}': pip install '{DISTRIBUTION}[local]'")
    if reward.location is None:
        check_pinned(reward.model, reward.revision)
    else:
        limit_of(reward, REWARDS[reward.type].check(reward.location, True)["max_position_embeddings"])


def find_on_hub(reward: ArmoRM | Classifier) -> None:
    """Fetch the small files of a hub model, without its weights, and look at them. Raises BadInput where it cannot be used."""
    folder = download(reward.model, reward.revision, SMALL_FILES)
    limit_of(reward, REWARDS[reward.type].check(folder, False)["max_position_embeddings"])


def client_of(reward: RemoteReward, base_urls: Sequence[str], proven: bool) -> Client:
    """A client of these of the judge's URLs. `proven`: it has given scores before."""
    # /classify and /pooling stand beside /v1, not below it.
    urls = [server_url(url) for url in base_urls] if isinstance(reward, Served) else base_urls
    access = read_access(reward.api_key_env, reward.headers, "score")
    limits = (reward.max_in_flight, reward.timeout_s, reward.patience_s, proven)
    return Client(reward.model, urls, access, *limits, where="score", omit=reward.omit)


def remote_model(reward: RemoteReward, client: Client) -> RemoteModel:
    """The judge that is asked through the client."""
    return served.ServedClassifier(reward, client) if isinstance(reward, Served) else llm_judge.Judge(reward, client)


def load(reward: ArmoRM | Classifier, devices: list[str]) -> LocalModel:
    """The model, on the device of this worker process. Raises MissingExtra, and BadInput where it cannot be used."""
    with needs_extra("local", f"scoring with {reward.type}"):
        import torch  # noqa: F401 - its absence is said here
        import transformers  # noqa: F401
    return REWARDS[reward.type].load(reward, reward.location, take_device(devices))


def checking_worker(reward: ArmoRM | Classifier, devices: list[str]) -> Worker:
    """Load the model and check it (selfcheck.py): gives the findings for every row, whatever it is."""
    model = load(reward, devices)
    return lambda rows: (asdict(self_check(model, reward)) for _ in rows)


def scoring_worker(reward: ArmoRM | Classifier, devices: list[str]) -> Worker:
    """Load the model and give the function that scores rows: the start of an Engine's worker.

    A row has `messages` that end with the assistant's answer; its result is score_rows'.
    """
    return partial(score_rows, load(reward, devices), with_objectives=getattr(reward, "objectives", False))


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
