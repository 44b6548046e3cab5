"""`train retriever` from scratch on CamRest676: Recall@K before and after the marginal likelihood, Entity F1 with and without
meta knowledge, over several seeds, against counting shared values.

    python benchmarks/dialogue.py --data FOLDER [--out runs/dialogue] [--seeds 0 1 2] [--metas prefix none]

FOLDER has camrest.jsonl.gz and camrest_kb.jsonl.gz: {turns: [{user, system}]}, and one entity per line. The split is the file's
order, 406, 135 and 135 dialogues; the last part is measured. Existing runs are reused. Without the marginal likelihood
nothing trains the retriever after its warm-up, so its Recall@K is that of before.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TRAIN, VALID = 406, 135
WARM, ALONE, STEPS = 400, 800, 1600
FROZEN = STEPS // 2
"""A step at which the retriever is as after its warm-up; the marginal likelihood starts after WARM + ALONE steps."""
COLUMNS = ["name", "area", "food", "pricerange", "address", "phone", "postcode"]
SPELLINGS = {"moderately": "moderate", "center": "centre"}
FLAGS = {
    "max_steps": STEPS, "retriever_steps": WARM, "generator_steps": ALONE,
    "eval_strategy": "steps", "eval_steps": FROZEN, "save_strategy": "no", "disable_tqdm": True,
    "per_device_train_batch_size": 16, "retriever_batch": 32, "learning_rate": 2e-3, "warmup_steps": 30,
    "logging_steps": 25, "num_layers": 1, "top": 3, "max_context_length": 48, "max_entity_length": 40,
    "max_retriever_length": 64, "max_response_length": 32,
}  # fmt: skip
"""Flags for small models and short runs: one layer, three entities and a negative one, the last 48 tokens."""


def unpacked(path: Path) -> list[str]:
    """Return the lines of a gzip file."""
    return gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)


RECALLS = ("recall@1", "recall@5", "recall@7")


def split(data: Path, out: Path) -> list[Path]:
    """Write train.jsonl, test.jsonl and kb.jsonl to `out`; return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    lines = unpacked(data / "camrest.jsonl.gz")
    parts = {"train": lines[:TRAIN], "test": lines[TRAIN + VALID :]}
    parts["kb"] = unpacked(data / "camrest_kb.jsonl.gz")
    for name, rows in parts.items():
        (out / f"{name}.jsonl").write_text("".join(rows), encoding="utf-8")
    return [out / f"{name}.jsonl" for name in parts]


def train(out: Path, files: list[Path], seed: int, meta: str) -> Path:
    """Train in a separate process on the CPU; return the output folder."""
    folder = out / f"{meta}-{seed}"
    if not (folder / "retriever.json").is_file():
        own = ["--data", files[0], "--eval_data", files[1], "--kb", files[2], "--columns", *COLUMNS]
        own += ["--spellings", json.dumps(SPELLINGS), "--meta", meta, "--seed", seed, "--output_dir", folder]
        flags = [item for name, value in FLAGS.items() for item in (f"--{name}", value)]
        command = [sys.executable, "-m", "train.cli", "retriever", *own, *flags, "--use_cpu", "--overwrite"]
        subprocess.run([*map(str, command)], cwd=ROOT, check=True)
    return folder


def measured(folder: Path) -> dict[int, dict[str, float]]:
    """Return the measures by step."""
    logs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {log["step"]: log for log in logs if "eval_entity_f1" in log}


def counted(files: list[Path]) -> dict[str, float]:
    """Return Recall@K of ranking by the number of shared values, on the same turns."""
    sys.path.insert(0, str(ROOT))
    from train.retriever.knowledge import read_knowledge, read_turns
    from train.retriever.measures import rank_of, recall_at

    kb = read_knowledge(files[2], COLUMNS, SPELLINGS)
    ranks = [
        rank_of(turn.named, kb.count_shared(set(turn.before))) for turn in read_turns(files[1], kb) if turn.named is not None
    ]
    return {"turns": len(ranks), **{f"recall@{k}": recall_at(k, ranks) for k in (1, 5, 7)}}


def spread(values: list[float]) -> str:
    """Return mean and range as text."""
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/dialogue"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--metas", nargs="+", default=["prefix", "none"])
    given = parser.parse_args()
    out = given.out.absolute()
    files = split(given.data, out)
    runs: dict[str, list[dict[int, dict[str, Any]]]] = {}
    for seed in given.seeds:
        for meta in given.metas:
            runs.setdefault(meta, []).append(measured(train(out, files, seed, meta)))
    base = counted(files)
    print(f"\n{base['turns']:.0f} turns of the test part name an entity for the first time; {len(given.seeds)} seeds")
    print("\n| | Recall@1 | Recall@5 | Recall@7 | Entity F1 | BLEU |\n| --- | --- | --- | --- | --- | --- |")
    print(f"| counting | {' | '.join(f'{100 * base[name]:.1f}' for name in RECALLS)} | | |")
    for meta, of_meta in runs.items():
        for step, name in ((FROZEN, "without the marginal likelihood, half of the steps"), (STEPS, "with it")):
            found = [run[step] for run in of_meta]
            shares = [spread([100 * one[f"eval_{name}"] for one in found]) for name in (*RECALLS, "entity_f1")]
            print(f"| meta {meta}: {name} | {' | '.join(shares)} | {spread([one['eval_bleu'] for one in found])} |")


if __name__ == "__main__":
    main()
