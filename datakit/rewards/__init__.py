"""Reward models: one protocol, one dict, one file each, on this machine (`local`) or behind URLs (`remote`).

A judge's name carries its revision (`armorm@<commit>`; behind a URL `served@<model>:<revision>`) and every option that is not
at its default and changes scores (`armorm@<commit>+dtype=float32`), so that scores of different makes never mix.
"""

from datakit.rewards.judges import judge_name
from datakit.rewards.local import LOCAL
from datakit.rewards.local.devices import all_devices
from datakit.rewards.models import (
    check,
    checking_worker,
    client_of,
    find_on_hub,
    load,
    remote_model,
    score_rows,
    scoring_worker,
)
from datakit.rewards.protocol import RemoteModel, RewardModel, Score
from datakit.rewards.remote import REMOTE

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

REWARDS = {**LOCAL, **REMOTE}
"""All of them by the `type` that a recipe writes."""
