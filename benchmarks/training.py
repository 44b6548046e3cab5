"""The overhead of `train dpo` over TRL itself: steps per second of the same training, in turns.

    python benchmarks/training.py --repeat 5

Both train data/micro/target on the same pairs with the same settings, each in a separate process on one thread. The training
loop (`Trainer.train`) is timed from its first step to its last, logging included; processor seconds are those of that process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table
from timing import ratio

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "data" / "micro" / "target"

TIMED = """
import json, sys, time
from transformers import Trainer
real = Trainer.train
def timed(self, *args, **kwargs):
    wall, cpu = time.perf_counter(), time.process_time()
    done = real(self, *args, **kwargs)
    spent = {"steps": self.state.global_step, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    open(sys.argv[1], "w").write(json.dumps(spent))
    return done
Trainer.train = timed
data, out, steps = sys.argv[2:]
"""
SETTINGS = {
    "max_steps": "STEPS", "per_device_train_batch_size": 4, "max_length": 256, "learning_rate": 1e-5, "logging_steps": 5,
    "save_strategy": "no", "loss_type": "sigmoid_norm", "beta": 10.0, "seed": 1,
}  # fmt: skip
BARE = f"""
import torch
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer
settings = {SETTINGS!r} | {{"max_steps": int(steps), "loss_type": ["sigmoid_norm"]}}
rows = load_dataset("parquet", data_files=data + "/train.parquet", split="train")
rows = rows.select_columns(["prompt", "chosen", "rejected"])
args = DPOConfig(output_dir=out, report_to="none", bf16=False, gradient_checkpointing=False,
                 dataloader_pin_memory=torch.accelerator.is_available(), **settings)
trainer = DPOTrainer(model={str(TARGET)!r}, args=args, train_dataset=rows)
trainer.train()
trainer.save_model(out)
"""
OURS = f"""
from train.cli import main
flags = [word for name, value in {SETTINGS!r}.items() for word in ("--" + name, steps if value == "STEPS" else str(value))]
flags += ["--output_dir", out, "--gradient_checkpointing", "false", "--bf16", "false"]
sys.exit(main(["dpo", "--data", data, "--model", {str(TARGET)!r}, *flags]))
"""
CONTESTANTS = {"bare TRL": BARE, "train dpo": OURS}


def write_pairs(folder: Path, n: int) -> Path:
    """Write pairs about sums, as long as short answers are."""
    folder.mkdir(parents=True)

    def say(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    rows = [
        {
            "prompt": say("user", f"What is {n} + {at}? Show your work."),
            "chosen": say("assistant", f"First I write {n} + {at}. " * (1 + at % 5) + f"The answer is {n + at}."),
            "rejected": say("assistant", f"I think that {n} + {at} may be " * (1 + at % 3) + f"{n + at + 1}."),
        }
        for at in range(n)
    ]
    pl.DataFrame(rows).write_parquet(folder / "train.parquet")
    (folder / "manifest.json").write_text(json.dumps({"kind": "dpo", "rows": n}))
    return folder


def run(code: str, data: Path, out: Path, steps: int) -> dict[str, float]:
    """Run one training. Return its steps, wall and processor seconds."""
    result = out.with_suffix(".json")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(out.parent / "hf"),
    }
    command = [sys.executable, "-c", TIMED + code, result, data, out, str(steps)]
    subprocess.run(list(map(str, command)), check=True, env=environment, capture_output=True)
    spent: dict[str, float] = json.loads(result.read_text())
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        data = write_pairs(home / "dpo", 400)
        for turn in range(options.repeat):
            for name in list(CONTESTANTS)[:: -1 if turn % 2 else 1]:
                spent[name].append(run(CONTESTANTS[name], data, home / f"{name.replace(' ', '-')}-{turn}", options.steps))
    table = Table(
        "", "steps/s", "ratio", "steps a processor second", "ratio", title=f"{options.steps} steps, {options.repeat} turns"
    )
    first = spent["bare TRL"]
    for name, turns in spent.items():
        cells = [name]
        for clock in ("wall", "cpu"):
            cells.append(f"{statistics.median(one['steps'] / one[clock] for one in turns):.2f}")
            cells.append(f"{ratio([one[clock] for one in first], [one[clock] for one in turns]):.3f}")
        table.add_row(*cells)
    Console().print(table)


if __name__ == "__main__":
    main()
