"""The command line of `train merge`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from train.errors import TrainError
from train.merge import DTYPES, METHODS, Merging

_DESCRIPTION = """\
Merge models that were trained from one pivot, by what each of them changed in every tensor.

  sce     weights from the changes that differ most between the models, minority signs erased (FuseChat 2)
  varm    weights from the mean squared changes (FuseChat 1)
  linear  the weighted mean        ties, dare   as in PEFT

Give float32 checkpoints: bfloat16 rounds small changes away before they can be merged.
"""


@dataclass(frozen=True)
class MergeOptions:
    """The arguments of one merge."""

    pivot: str
    models: list[str]
    merging: Merging
    out: Path
    overwrite: bool


def merge_parser() -> argparse.ArgumentParser:
    """Return a parser that raises TrainError for unknown or missing flags, and exits after --help."""
    plain = Merging()
    parser = argparse.ArgumentParser(
        prog="train merge",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def fail(message: str) -> NoReturn:
        raise TrainError(f"train merge: {message}")

    parser.error = fail  # type: ignore[method-assign]
    parser.add_argument("--pivot", required=True, help="the model that all of them were trained from: a folder")
    parser.add_argument("--models", nargs="+", required=True, help="the trained models: folders")
    parser.add_argument("--method", choices=METHODS, default=plain.method)
    parser.add_argument("--tau", type=float, default=plain.tau, help="sce: share of the elements that decide the weights (0.1)")
    parser.add_argument(
        "--mask_deltas", action="store_true", help="sce: leave the other elements out, as in the published formula"
    )
    parser.add_argument("--density", type=float, default=plain.density, help="ties, dare: share of the changes kept (0.5)")
    parser.add_argument("--weights", type=float, nargs="+", default=(), help="linear, dare: one per model; by default equal")
    parser.add_argument("--dtype", default=plain.dtype, help=f"of the merged model: {', '.join(DTYPES)}")
    parser.add_argument("--seed", type=int, default=plain.seed, help="dare: seed of the random choice")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--overwrite", action="store_true", help="replace the model in --output_dir; other files there stay")
    return parser


def parse_merge(argv: list[str]) -> MergeOptions:
    """Parse a command line. Raise TrainError for unknown or missing flags; exit after --help."""
    found = merge_parser().parse_args(argv)
    merging = Merging(found.method, found.tau, found.mask_deltas, found.density, tuple(found.weights), found.dtype, found.seed)
    return MergeOptions(found.pivot, found.models, merging, found.output_dir, found.overwrite)
