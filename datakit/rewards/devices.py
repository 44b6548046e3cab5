"""Which devices score, and which of them a worker process takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakit.engine import available_cores, worker_number
from datakit.errors import BadInput, needs_extra
from datakit.recipe import LocalReward
from datakit.rewards.batching import Budget

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

CPU_TOKENS = 2_048  # more in one pass gains nothing there
GPU_TOKENS = 16_384
CPU_LAYER = 6e6
GPU_LAYER = 3e10
"""What a layer costs in every pass beside its arithmetic (launches, reading the weights): as much as so many parameters
applied to one token. The CPU's is measured, the GPU's is not."""


def all_devices(named: list[str]) -> list[str]:
    """Those that the recipe names, else every GPU, else the CPU."""
    if named:
        return named
    with needs_extra("local", "scoring"):
        import torch
    return [f"cuda:{at}" for at in range(torch.cuda.device_count())] or ["cpu"]


def take_device(names: list[str]) -> torch.device:
    """The device of this worker process. Workers on the CPU share its cores. BadInput where it cannot be used."""
    import torch

    name = names[worker_number() % len(names)]
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        raise BadInput(f"score.devices: {name} cannot be used here ({reason}); try cpu, or leave it out") from error
    shared = sum(torch.device(other).type == "cpu" for other in names)
    if device.type == "cpu" and shared > 1:
        torch.set_num_threads(max(1, available_cores() // shared))
    return device


def budget_of(reward: LocalReward, backbone: PreTrainedModel) -> Budget:
    """How large the batches of a loaded model may be, as the recipe says or as is good on its device.

    Of padding, as many tokens as one more pass would cost: many where the model is small, next to none where it is large.
    """
    on_cpu = backbone.device.type == "cpu"
    applied = _numbers(backbone) - _numbers(backbone.get_input_embeddings())
    one_pass = (CPU_LAYER if on_cpu else GPU_LAYER) * backbone.config.num_hidden_layers
    tokens = reward.batch_tokens or (CPU_TOKENS if on_cpu else GPU_TOKENS)
    return Budget(tokens, reward.exact, padding=int(one_pass / applied))


def _numbers(module: nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.parameters())
