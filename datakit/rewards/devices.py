"""Which devices score, and which of them a worker process takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakit.engine import available_cores, worker_number
from datakit.errors import BadInput, needs_extra

if TYPE_CHECKING:
    import torch

CPU_TOKENS = 2_048  # more in one pass gains nothing there
GPU_TOKENS = 16_384


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


def budget_tokens(batch_tokens: int | None, device: torch.device) -> int:
    """Tokens of a batch: the recipe's, or what is good on such a device."""
    return batch_tokens or (CPU_TOKENS if device.type == "cpu" else GPU_TOKENS)
