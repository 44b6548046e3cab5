"""Work with a reward model of any type: check it before a build, load or ask it, and make a worker of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

from datakit.client import Client, client_for, read_access
from datakit.engine.protocol import Worker
from datakit.errors import DISTRIBUTION, MissingExtra, needs_extra
from datakit.recipe import ChatJudge, EntityF1, LocalReward, RemoteReward, Reward
from datakit.rewards.local import LOCAL
from datakit.rewards.local.checkpoint import SMALL_FILES, check_pinned, download, limit_of
from datakit.rewards.local.devices import all_devices, take_device
from datakit.rewards.local.protocol import LocalModel
from datakit.rewards.protocol import RemoteModel, RewardModel
from datakit.rewards.remote import REMOTE
from datakit.rewards.selfcheck import self_check
from datakit.tables import Row, Rows


def check(reward: Reward) -> None:
    """Refuse a reward model that could not be loaded or asked, without loading torch or using the network.

    For a model on the hub only the revision is checked: it must be a commit.
    Raises MissingExtra, and BadInput that names folder, file and field or tensor.
    """
    if isinstance(reward, RemoteReward):
        read_access(reward.api_key_env, reward.headers, reward.origin.section)
        return
    if isinstance(reward, EntityF1):  # nothing is loaded, and nothing asked
        return
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(
                f"score: {reward.type} needs the package '{package}': pip install '{DISTRIBUTION}[local]'; without a judge: "
                "score: null and select: {margin: null}"
            )
    if reward.location is None:
        check_pinned(reward.model, reward.revision)
    else:
        limit_of(reward, LOCAL[reward.type].check(reward.location, True)["max_position_embeddings"])


def find_on_hub(reward: LocalReward) -> None:
    """Fetch the small files of a hub model, without its weights, and check them. Raises BadInput if it cannot be used."""
    folder = download(reward.model, reward.revision, SMALL_FILES)
    limit_of(reward, LOCAL[reward.type].check(folder, False)["max_position_embeddings"])


def client_of(reward: RemoteReward, base_urls: Sequence[str], proven: bool) -> Client:
    """Return a client for `base_urls`, some or all of the judge's. `proven`: the judge has given scores before."""
    urls = base_urls if isinstance(reward, ChatJudge) else REMOTE[reward.type].server_urls(base_urls)
    access = read_access(reward.api_key_env, reward.headers, reward.origin.section)
    return client_for(reward, urls, access, proven)


def remote_model(reward: RemoteReward, client: Client) -> RemoteModel:
    """Return the judge that is asked through the client."""
    return REMOTE[reward.type](reward, client)


def load(reward: LocalReward, devices: list[str]) -> LocalModel:
    """Load the model onto the device of this worker process. Raises MissingExtra, and BadInput if it cannot be used."""
    with needs_extra("local", f"scoring with {reward.type}"):
        import torch  # noqa: F401 - raises here if it is absent
        import transformers  # noqa: F401
    return LOCAL[reward.type].load(reward, take_device(devices))


def checking_worker(reward: LocalReward, devices: list[str]) -> Worker:
    """Load the model and return a worker that checks it (selfcheck.py): the findings for every row, whatever the row is."""
    model = load(reward, devices)
    return lambda rows: (asdict(self_check(model, reward)) for _ in rows)


def scoring_worker(reward: LocalReward, devices: list[str] | None = None) -> Worker:
    """Load the model and return the function that scores rows: the start of an Engine's worker.

    `devices`: the devices to use; None: those of the recipe, or of the machine if it names none.
    A row has `messages` that end with the assistant's answer; its result is that of score_rows.
    """
    return partial(score_rows, load(reward, devices or all_devices(reward.devices)), with_objectives=reward.stores_objectives)


def score_rows(model: RewardModel, rows: Rows, with_objectives: bool = False) -> Iterator[Row]:
    """Yield one result per row, in order: score, objectives, n_tokens, n_tokens_cut, or error and message; the rest are
    None."""
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
