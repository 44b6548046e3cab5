"""`train merge`: merge models that were trained from one pivot, tensor by tensor, by what each of them changed.

With d_j = theta_j - pivot, the weights of VaRM and SCE follow from the models' mean squared changes of each tensor (FuseChat:
Wan et al., arXiv 2402.16107 and 2408.07990); TIES (2306.01708) and DARE (2311.03099) are PEFT's functions on whole tensors.
Everything is computed in float32. There is no lower limit for the sum of squares: changes by AdamW at rates of 1e-6 are small,
their squares even smaller.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from train.errors import TrainError
from train.output import check_inputs, remove_model

if TYPE_CHECKING:
    from torch import Tensor

Method = Literal["sce", "varm", "linear", "ties", "dare"]
METHODS: tuple[Method, ...] = get_args(Method)
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
COPIED = ("*.json", "*.jinja", "*.model", "*.txt")
NOT_COPIED = (INDEX, "merge.json", "data_manifest.json", "trainer_state.json", "adapter_config.json")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Merging:
    """The settings of a merge."""

    method: Method = "sce"
    tau: float = 0.1
    """sce: the weights follow from this share of a tensor's elements, those whose changes vary most between the models."""
    mask_deltas: bool = False
    """sce: if True, the other elements are left out of the merge too, as in the published formula. FuseChat's own models were
    merged without that."""
    density: float = 0.5
    """ties: the share of the changes that is kept, the largest; dare: the same, at random."""
    weights: tuple[float, ...] = ()
    """linear, dare: one per model, normalized to sum to 1; empty: equal weights."""
    dtype: str = "float32"
    seed: int = 0
    """dare: the seed of the random choice."""

    def check(self, n_models: int) -> None:
        """Raise TrainError for values that make no sense for `n_models` models."""
        for name, value in (("--tau", self.tau), ("--density", self.density)):
            if not 0 < value <= 1:
                raise TrainError(f"{name} {value:g}: must be a share of a tensor: above 0, at most 1")
        if self.weights and self.method not in ("linear", "dare"):
            raise TrainError(f"--weights: {self.method} computes its own; only linear and dare take them")
        if self.weights and len(self.weights) != n_models:
            raise TrainError(f"--weights: {len(self.weights)} for {n_models} --models; give one number for each")
        if self.weights and not (min(self.weights) >= 0 and 0 < sum(self.weights) < float("inf")):
            raise TrainError("--weights: give numbers of at least 0, not all of them 0")
        if self.dtype not in DTYPES:
            raise TrainError(f"--dtype {self.dtype}: choose one of {', '.join(DTYPES)}")


def mean_squares(deltas: Tensor) -> Tensor:
    """Return each model's share [J] of the mean squared changes [J, ...] of a tensor; equal shares if no model changed it."""
    squares = deltas.double().flatten(1).square().mean(1)
    total = squares.sum()
    return squares / total if total > 0 else squares.new_full(squares.shape, 1 / len(squares))


def most_varied(deltas: Tensor, tau: float) -> Tensor:
    """Return a mask [...] of the elements whose changes [J, ...] vary most between the models: the share `tau` of those that
    vary at all."""
    import torch

    variance = deltas.var(0, unbiased=False)
    if tau >= 1:
        return torch.ones_like(variance, dtype=torch.bool)
    mask = torch.zeros(variance.numel(), dtype=torch.bool)
    mask[variance.flatten().topk(int(tau * int(variance.count_nonzero()))).indices] = True
    return mask.view(variance.shape)


def merge_deltas(deltas: Tensor, merging: Merging, name: str = "") -> tuple[Tensor, list[float]]:
    """Return the change of a tensor of the pivot, [...], and each model's weight, [J].

    deltas [J, ...]: the models' changes in float32; `name`: the tensor's, which seeds the choice of dare.
    """
    n = len(deltas)
    given = [weight / sum(merging.weights) for weight in merging.weights] or [1 / n] * n
    match merging.method:
        case "linear":
            return _weighted(deltas, given), given
        case "varm":
            weights = mean_squares(deltas).tolist()
            return _weighted(deltas, weights), weights
        case "sce":
            return _select_calculate_erase(deltas, merging)
        case "ties" | "dare":
            return _by_peft(deltas, merging, given, name)


def _weighted(deltas: Tensor, weights: Sequence[float]) -> Tensor:
    return (deltas * deltas.new_tensor(weights).view(-1, *[1] * (deltas.dim() - 1))).sum(0)


def _select_calculate_erase(deltas: Tensor, merging: Merging) -> tuple[Tensor, list[float]]:
    """Select, calculate, erase (arXiv 2408.07990): compute the weights from the elements that vary most; leave out the elements
    whose sign differs from the sum's."""
    mask = most_varied(deltas, merging.tau)
    weights = mean_squares(deltas * mask)
    kept = deltas * mask if merging.mask_deltas else deltas
    agrees = kept.sign() == kept.sum(0).sign()
    shares = weights.float().view(-1, *[1] * (deltas.dim() - 1)) * agrees
    total = shares.sum(0)
    merged = (kept * shares).sum(0) / total.where(total > 0, total.new_ones(()))
    return merged, weights.tolist()


def _by_peft(deltas: Tensor, merging: Merging, given: list[float], name: str) -> tuple[Tensor, list[float]]:
    import torch
    from peft.utils.merge_utils import dare_linear, ties

    tensors = list(deltas)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message="The density", category=UserWarning)  # a density of 1 prunes nothing
        if merging.method == "ties":  # PEFT does not divide by the weights: with ones it gives the mean
            return ties(tensors, torch.ones(len(tensors)), merging.density), [1.0] * len(tensors)
        torch.manual_seed(int(hashlib.sha256(f"{merging.seed}/{name}".encode()).hexdigest()[:15], 16))
        return dare_linear(tensors, torch.tensor(given), merging.density), given


def merge(pivot: Path, models: Sequence[Path], merging: Merging, out: Path, overwrite: bool = False) -> dict[str, Any]:
    """Write the merged model to `out`, with the pivot's shards, configuration and tokenizer, and return what merge.json says.

    One shard of the result and one tensor of each model are in memory at a time. Raises TrainError if the models differ in
    their tensors, or if `out` is or contains one of them, or is not empty and `overwrite` is False. With `overwrite` a model in
    `out` is replaced once the merged one is complete; other files there stay.
    """
    merging.check(len(models))
    new = out / ".new"
    check_inputs(out, (pivot, *models))
    if out.exists() and any(path != new for path in out.iterdir()) and not overwrite:
        raise TrainError(f"--output_dir {out}: is not empty; give a new folder, or --overwrite")
    with ExitStack() as opened:
        base, *others = [Checkpoint(folder, opened) for folder in (pivot, *models)]
        for other in others:
            other.check_like(base)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        opened.callback(shutil.rmtree, new, ignore_errors=True)
        weights = _write_tensors(base, others, merging, new)
        _copy_rest(pivot, new, merging.dtype)
        record = {
            **asdict(merging),
            "pivot": {"folder": str(pivot), "sha256": base.digests()},
            "models": [{"folder": str(one.folder), "sha256": one.digests()} for one in others],
            "tensor_weights": weights,
        }
        _write_json(new / "merge.json", record)
        remove_model(out)
        for path in list(new.iterdir()):
            path.replace(out / path.name)
    return record


def _write_tensors(base: Checkpoint, others: Sequence[Checkpoint], merging: Merging, new: Path) -> dict[str, list[float]]:
    """Write the merged tensors in the shards of `base`, and the index if there are several; return the weights per tensor."""
    import torch
    from safetensors.torch import save_file

    weights: dict[str, list[float]] = {}
    dtype, total = getattr(torch, merging.dtype), 0
    for shard, names in base.shards.items():
        tensors = {}
        for name in names:
            start = base.read(name)
            deltas = torch.stack([other.read(name) - start for other in others])
            change, weights[name] = merge_deltas(deltas, merging, name)
            tensors[name] = (start + change).to(dtype).contiguous()
            total += tensors[name].numel() * tensors[name].element_size()
        save_file(tensors, new / shard, metadata={"format": "pt"})
    if len(base.shards) > 1:
        places = {name: shard for shard, names in base.shards.items() for name in names}
        _write_json(new / INDEX, {"metadata": {"total_size": total}, "weight_map": places})
    return weights


class Checkpoint:
    """The tensors of a model folder, which are read one at a time. `opened` closes its files."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.folder = folder
        self._open: Callable[[Path], Any] = partial(_open_tensors, opened)
        self.files = weight_files(folder)
        self._files = {path.name: self._open(path) for path in self.files}
        self.shards: dict[str, list[str]] = {name: list(file.keys()) for name, file in self._files.items()}
        self._file_of = {name: file for file, names in self.shards.items() for name in names}

    def read(self, name: str) -> Tensor:
        """Return a tensor in float32."""
        tensor: Tensor = self._files[self._file_of[name]].get_tensor(name)
        return tensor.float()

    def shape(self, name: str) -> list[int]:
        """Return the shape of a tensor without reading it."""
        shape: list[int] = self._files[self._file_of[name]].get_slice(name).get_shape()
        return shape

    def check_like(self, pivot: Checkpoint) -> None:
        """Raise TrainError if the tensors differ from the pivot's in name or shape. An additional lm_head.weight, which repeats
        tied embeddings, is allowed."""
        for name in pivot._file_of:
            if name not in self._file_of:
                raise TrainError(
                    f"--models {self.folder}: has no tensor {name}, unlike {pivot.folder}; was it trained from that?"
                )
            if self.shape(name) != pivot.shape(name):
                raise TrainError(
                    f"--models {self.folder}: {name} has shape {self.shape(name)}, and in {pivot.folder} {pivot.shape(name)}; "
                    "give models that were trained from this pivot"
                )
        more = [name for name in self._file_of if name not in pivot._file_of and name != "lm_head.weight"]
        if more:
            raise TrainError(
                f"--models {self.folder}: has a tensor {more[0]}, unlike {pivot.folder}; was it trained from that?"
            )

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each weight file."""
        found = {}
        for path in self.files:
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found


def _open_tensors(opened: ExitStack, path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return opened.enter_context(safe_open(path, framework="pt"))
    except (SafetensorError, OSError) as error:
        raise TrainError(f"{path}: cannot be read as safetensors ({error}); save the model again") from error


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder. Raise TrainError if there are none, or if one is missing."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        if lost := [name for name in sorted(names) if not (folder / name).is_file()]:
            raise TrainError(f"{folder}: {lost[0]} is missing ({INDEX} names it)")
        return [folder / name for name in sorted(names)]
    if (folder / "adapter_config.json").is_file():
        raise TrainError(f"{folder}: is a LoRA adapter; merge it into its base model first (train printed the command)")
    raise TrainError(f"{folder}: contains no {WEIGHTS}; give the folder of a complete model")


def _copy_rest(pivot: Path, out: Path, dtype: str) -> None:
    for pattern in COPIED:
        for file in pivot.glob(pattern):
            if file.name not in NOT_COPIED:
                shutil.copyfile(file, out / file.name)
    config: dict[str, Any] = json.loads((pivot / "config.json").read_text(encoding="utf-8"))
    name = "torch_dtype" if "torch_dtype" in config else "dtype"
    _write_json(out / "config.json", config | {name: dtype})


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
