"""Reward models on this machine. In `rewards` torch is imported only here, inside functions."""

from datakit.rewards.local import armorm_checkpoint, classifier
from datakit.rewards.local.protocol import LocalKind

__all__ = ["LOCAL"]

LOCAL: dict[str, LocalKind] = {
    "armorm": armorm_checkpoint,
    "classifier": classifier,
}
