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
from datakit.rewards.remote.prompted import Judgement, PromptedJudge, Question, as_references, prompts_of

__all__ = [
    "REWARDS",
    "Judgement",
    "PromptedJudge",
    "Question",
    "RemoteModel",
    "RewardModel",
    "Score",
    "all_devices",
    "as_references",
    "check",
    "checking_worker",
    "client_of",
    "find_on_hub",
    "judge_name",
    "load",
    "prompts_of",
    "remote_model",
    "score_rows",
    "scoring_worker",
]

REWARDS = {**LOCAL, **REMOTE, "pairwise": PromptedJudge, "grade": PromptedJudge}
"""All reward models, by the `type` that a recipe gives."""
