"""The protocols of reward models on this machine, and of the modules that load them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from datakit.rewards.local.batching import Budget, Padding
from datakit.rewards.protocol import RewardModel

if TYPE_CHECKING:
    import torch


class LocalModel(RewardModel, Protocol):
    """A reward model on this machine, whose batching can be changed."""

    @property
    def budget(self) -> Budget:
        """The tokens of a batch."""
        ...

    @property
    def padding(self) -> Padding:
        """The side on which shorter rows of a batch are padded."""
        ...


class LocalKind(Protocol):
    """The module of one `type` of reward models, with these two functions."""

    def check(self, folder: Path, weights: bool, /) -> dict[str, Any]:
        """Refuse a folder that is no such model, without torch; return its config.json, with max_position_embeddings.

        `weights`: also check the weights, which must be in the folder then.
        """
        ...

    def load(self, reward: Any, device: torch.device, /) -> LocalModel:
        """Load the model of a recipe section of this type. Raises BadInput if it cannot be used."""
        ...
