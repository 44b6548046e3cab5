"""Reward models behind URLs."""

from datakit.rewards.protocol import RemoteModel
from datakit.rewards.remote.llm_judge import Judge
from datakit.rewards.remote.served import ServedClassifier

__all__ = ["REMOTE"]

REMOTE: dict[str, type[RemoteModel]] = {
    "served": ServedClassifier,
    "llm_judge": Judge,
}
