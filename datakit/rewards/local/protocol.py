"""What a reward model on this machine promises, and what the file of one type of them has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from datakit.rewards.local.batching import Budget, Padding
from datakit.rewards.protocol import RewardModel

if TYPE_CHECKING:
    import torch


class LocalModel(RewardModel, Protocol):
    """What the models on this machine have in common: how they batch can be changed."""

    @property
    def budget(self) -> Budget:
        """Tokens of a batch."""
        ...

    @property
    def padding(self) -> Padding:
        """The side that shorter rows of a batch are filled up on."""
        ...


class LocalKind(Protocol):
    """Reward models of one `type`: a module with these two functions."""

    def check(self, folder: Path, weights: bool, /) -> dict[str, Any]:
        """Refuse a folder that is none, without torch; returns its config.json, with max_position_embeddings.

        `weights`: whether they are there to be looked at.
        """
        ...

    def load(self, reward: Any, device: torch.device, /) -> LocalModel:
        """The model of the recipe's section, which is this type's own. BadInput where it cannot be used."""
        ...
