"""Choose the devices that score, and the one that a worker process takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datakit.engine.worker import worker_number
from datakit.errors import BadInput, needs_extra
from datakit.machine import available_cores, has_gpu
from datakit.recipe import LocalReward
from datakit.rewards.local.batching import Budget
from datakit.rewards.local.checkpoint import weight_files

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel


SMALL = 200 * 2**20  # bytes of weights up to which every core gets its own copy of the model


class Costs(NamedTuple):
    """The figures of a kind of device that bound its batches."""

    tokens: int
    """Maximum tokens in a batch, padding included: more in one pass gain nothing."""
    activations: float
    """Tokens times hidden size of one pass above which it gets slower: what the caches hold."""
    reading: int
    """Cost of reading the weights once, in tokens."""
    launching: float
    """Cost of launching a layer's kernels, in parameters applied to one token."""


CPU = Costs(tokens=2_048, activations=2**18, reading=24, launching=6e6)  # measured: benchmarks/README.md
GPU = Costs(tokens=16_384, activations=math.inf, reading=150, launching=1.5e10)  # computed from an H100's figures, not measured


def all_devices(named: list[str]) -> list[str]:
    """Return the devices that the recipe names, else every GPU, else the CPU."""
    if named:
        return named
    with needs_extra("local", "scoring"):
        import torch
    return [f"cuda:{at}" for at in range(torch.cuda.device_count())] or ["cpu"]


def devices_for(folder: Path, named: list[str]) -> list[str]:
    """Return one device per worker for a causal model in this folder: those that the recipe names, else every GPU, else the
    CPU: once per core for a small model, once for a larger one."""
    if named or has_gpu():
        return all_devices(named)
    size = sum(path.stat().st_size for path in weight_files(folder))
    return ["cpu"] * (available_cores() if size <= SMALL else 1)


def take_device(names: list[str], field: str = "score.devices") -> torch.device:
    """Return the device of this worker process. Workers on the CPU share its cores. Raises BadInput if it cannot be used.

    `field`: the recipe field that names the devices, for the message.
    """
    import torch

    name = names[worker_number() % len(names)]
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        raise BadInput(f"{field}: {name} cannot be used here ({reason}); try cpu, or leave it out") from error
    shared = sum(torch.device(other).type == "cpu" for other in names)
    if device.type == "cpu" and shared > 1:
        torch.set_num_threads(max(1, available_cores() // shared))
    return device


def budget_of(reward: LocalReward, backbone: PreTrainedModel) -> Budget:
    """Return how large the batches of a loaded model may be: as the recipe says, or as suits its device.

    Padding may take as many tokens as one more pass would cost: many for a small model, few for a large one.
    """
    costs = CPU if backbone.device.type == "cpu" else GPU
    tokens = int(min(costs.tokens, costs.activations / backbone.config.hidden_size))
    applied = _numbers(backbone) - _numbers(backbone.get_input_embeddings())
    padding = costs.reading + int(costs.launching * backbone.config.num_hidden_layers / applied)
    return Budget(reward.batch_tokens or tokens, reward.exact, padding)


def _numbers(module: nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.parameters())
