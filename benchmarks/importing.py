"""Import existing responses into a run: processor time and memory by the number of rows.

python benchmarks/importing.py [--rows 400000 1600000] [--turns 3] [--kind jsonl] [--other CHECKOUT]

See benchmarks/README.md for what is measured, and the results.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import yaml

ROOT = Path(__file__).parents[1]
MODELS, SAMPLES = 4, 5
WORDS = [f"word{number}" for number in range(2000)]
ONCE = """
import resource, sys
from datakit.cli import main
sys.argv[0] = "datakit"
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("measured", used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, file=sys.stderr)
"""


def rows(n: int) -> Iterator[dict[str, object]]:
    """Yield n rows: MODELS models, each with SAMPLES answers of 20 to 100 words to every prompt, and a score."""
    chance = random.Random(7)
    prompts = [" ".join(chance.choices(WORDS, k=15)) + "?" for _ in range(n // (MODELS * SAMPLES))]
    for model in range(MODELS):
        for at, prompt in enumerate(prompts):
            for _ in range(SAMPLES):
                text = " ".join(chance.choices(WORDS, k=chance.randrange(20, 100)))
                yield {"id": f"p{at}", "question": prompt, "model": f"org/m{model}", "answer": text, "reward": chance.random()}


def write_rows(folder: Path, n: int, kind: str) -> Path:
    path = folder / f"rows-{n}.{kind}"
    if kind == "parquet":
        pl.DataFrame(list(rows(n))).write_parquet(path)
    else:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(n))
    return path


def write_recipe(folder: Path, path: Path) -> Path:
    columns = {"prompt_id": "id", "prompt": "question", "text": "answer", "score": "reward"}
    source = {"type": "responses", "path": str(path), "columns": columns, "judge": "reward"}
    recipe = folder / f"{path.stem}.yaml"
    recipe.write_text(yaml.safe_dump({"domain": "instruct", "sources": [source]}), encoding="utf-8")
    return recipe


def measure(checkout: Path, recipe: Path, folder: Path, until: str) -> tuple[float, float]:
    """Return the processor seconds and the peak memory (MB) of one build."""
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", ONCE, "build", "--recipe", str(recipe), "--out", str(out), "--until", until]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    # not from here: python -c looks for datakit in its folder first
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    said = [line.split() for line in done.stderr.splitlines() if line.startswith("measured ")]
    if done.returncode or not said:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return float(said[-1][1]), float(said[-1][2])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[400_000])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--kind", choices=["jsonl", "parquet"], default="jsonl")
    parser.add_argument("--until", default="collect")
    parser.add_argument("--other", type=Path, help="another checkout, taking turns with this one")
    given = parser.parse_args()
    checkouts = {"this": ROOT} | ({"other": given.other} if given.other else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in given.rows:
            recipe = write_recipe(folder, write_rows(folder, n, given.kind))
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
            for turn in range(given.turns):
                for one in list(checkouts)[:: -1 if turn % 2 else 1]:
                    found[one].append(measure(checkouts[one], recipe, folder, given.until))
            for one, measured in found.items():
                seconds, peaks = zip(*measured, strict=True)
                print(f"{n:>9,} rows  {one:6} {statistics.median(seconds):7.1f} processor s  {max(peaks):6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
