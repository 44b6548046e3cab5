"""`train merge` beside mergekit: the largest difference of any weight, on float32 models that were trained from one pivot.

    python -m venv peers && peers/bin/pip install mergekit
    python benchmarks/merging.py --mergekit peers/bin/mergekit-yaml

The pivot is data/micro/target in float32; three models are the pivot with every weight moved at random, by about 0.01: far
enough that mergekit's SCE computes weights (below a sum of mean squares of 1e-6 it takes equal ones). The last line is how much
its weights differ from ours if the models move as little as in fine-tuning.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[1]
PIVOT = ROOT / "data" / "micro" / "target"
TIES = 0.6
WAYS: dict[str, tuple[list[object], dict[str, Any]]] = {  # ours, mergekit's
    "linear": (["--method", "linear"], {"merge_method": "linear", "each": {"weight": 1.0}}),
    "ties": (
        ["--method", "ties", "--density", TIES],
        {"merge_method": "ties", "each": {"density": TIES, "weight": 1.0}, "parameters": {"normalize": True}},
    ),
    "sce, all elements": (["--method", "sce", "--tau", 1], {"merge_method": "sce", "parameters": {"select_topk": 1.0}}),
    "sce, a tenth, masked": (
        ["--method", "sce", "--tau", 0.1, "--mask_deltas"],
        {"merge_method": "sce", "parameters": {"select_topk": 0.1}},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mergekit", type=Path, help="the command mergekit-yaml of an environment that has it")
    asked = parser.parse_args()
    if asked.mergekit is None:
        raise SystemExit("give --mergekit: the command mergekit-yaml")
    with tempfile.TemporaryDirectory() as work:
        print("| | moved by | largest difference |\n| --- | ---: | ---: |")
        for name in WAYS:
            print(f"| {name} | 0.01 | {difference(Path(work), asked.mergekit, name, 0.01):.1e} |", flush=True)
        small = difference(Path(work), asked.mergekit, "sce, all elements", 1e-4)
        print(f"| sce, all elements | 0.0001 | {small:.1e} |")


def difference(work: Path, mergekit: Path, name: str, scale: float) -> float:
    """Return the largest difference of any weight between both merges of three models, each moved by a share of `scale`."""
    models = [moved(work / f"{scale}-{seed}", seed, scale * seed / 2) for seed in (1, 2, 3)]
    pivot = moved(work / f"{scale}-pivot", 0, 0.0)
    ours, theirs = work / "ours", work / "theirs"
    flags, config = WAYS[name]
    command = ["-m", "train.cli", "merge", "--pivot", pivot, "--models", *models, *flags, "--output_dir", ours, "--overwrite"]
    _run([sys.executable, *command])
    parts = [{"model": str(model), **({"parameters": config["each"]} if "each" in config else {})} for model in models]
    sections = {key: value for key, value in config.items() if key != "each"} | {"models": parts, "dtype": "float32"}
    if config["merge_method"] != "linear":
        sections["base_model"] = str(pivot)
    (work / "merge.yaml").write_text(yaml.safe_dump(sections))
    _run([mergekit, work / "merge.yaml", theirs, "--copy-tokenizer"])
    one, other = (load_file(folder / "model.safetensors") for folder in (ours, theirs))
    return max(float((one[tensor] - other[tensor].float()).abs().max()) for tensor in one)


def moved(folder: Path, seed: int, scale: float) -> Path:
    """Write the pivot with every weight moved by a normal deviate of this scale; return the folder."""
    if not (folder / "config.json").is_file():
        generator = torch.Generator().manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(PIVOT, dtype=torch.float32)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(scale * torch.randn(weight.shape, generator=generator))
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(PIVOT).save_pretrained(folder)
    return folder


def _run(command: list[object]) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{json.dumps(list(map(str, command)))}\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
