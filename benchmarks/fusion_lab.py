"""Builds, trainings and measurements of the fusion demonstration, each once: what the work folder contains is reused.

Every step is a command of the project in a separate process; trainings have one thread each. Output is kept in logs/. Models
are measured on the 600 problems of data/fusion/unseen.jsonl, greedy and at temperature 0.8.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml

from datakit.evaluation.models import read_models
from datakit.evaluation.scores import read_answers
from datakit.recipe.benchmarks import load_suite
from datakit.store import Run

ROOT = Path(__file__).resolve().parents[1]
RECIPES, MODELS = ROOT / "recipes" / "fusion", ROOT / "data" / "micro"
SUITE = RECIPES / "eval" / "suite.yaml"
TARGET = MODELS / "fusion-target"
SOURCES = ("fusion-llama", "fusion-qwen2", "fusion-mistral", "fusion-gemma2")
N_PROMPTS = 1_800
DATAKIT, TRAIN, MAKING = ("-m", "datakit"), ("-m", "train.cli"), (str(MODELS / "making" / "make.py"),)


@dataclass(frozen=True)
class Training:
    """One training: its folder in the work folder, and its flags for TRL beside those of its config."""

    name: str
    kind: str
    data: Path
    model: Path
    seed: int
    steps: int
    flags: dict[str, object] = field(default_factory=dict)
    config: str | None = None
    """The kind whose config it uses, if that differs from its own."""


@dataclass(frozen=True)
class Lab:
    work: Path
    jobs: int = 2

    def folder(self, name: str) -> Path:
        return self.work / name

    def model(self, name: str) -> Path:
        """Return the folder with the weights of a model in the tables."""
        if name in SOURCES:
            return MODELS / name
        return TARGET if name == "base" else self.folder(name)

    def build(self, name: str, recipe: Path) -> Path:
        """Build a recipe; return the run folder."""
        self.run(f"build {name}", DATAKIT, "build", "--recipe", recipe, "--limit", N_PROMPTS, "--out", self.folder(name))
        return self.folder(name)

    def best_source(self, run: str) -> str:
        """Return the source with the most right answers in a run."""
        counted = """SELECT model FROM responses JOIN verdicts USING (response_id) WHERE outcome = 'passed'
                     GROUP BY model ORDER BY count(*) DESC LIMIT 1"""
        with Run.open(self.folder(run)) as found:
            return Path(str(found.query(counted)["model"].item())).name

    def second_round(self, seed: int) -> Path:
        """Build the run in which the SFT-trained target answers beside the sources: WRPO's triples (recipes/wrpo/)."""
        name = f"second-{seed}"
        self.copy("sources", name)
        return self.build(name, self.second_recipe(seed))

    def second_recipe(self, seed: int) -> Path:
        """Write the sources' recipe with the target added, in a folder whose ../../ has data/ and the trained models."""
        first = yaml.safe_load((RECIPES / "sources.yaml").read_text(encoding="utf-8"))
        target = f"../../sft-{seed}"
        sources = [*first["sources"], first["sources"][0] | {"model": target}]
        sections = first | {"sources": sources, "select": first["select"] | {"target": target}}
        file = self.folder("recipes") / "fusion" / f"second-{seed}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not self.folder("data").is_symlink():
            self.folder("data").symlink_to(ROOT / "data")
        file.write_text(yaml.safe_dump(sections, sort_keys=False), encoding="utf-8")
        return file

    def copy(self, run: str, name: str) -> Path:
        """Copy a run folder, whole or not at all."""
        if not self.folder(name).is_dir():
            part = self.folder(f"{name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(self.folder(run), part)
            part.rename(self.folder(name))
        return self.folder(name)

    def demos_of(self, run: str, source: str) -> Path:
        """Write the demos of one source of a run; return the file."""
        demos = pl.read_parquet(self.folder(run) / "sft" / "train.parquet")
        return self.write(f"{run}-{source}.parquet", demos.filter(pl.col("model").str.ends_with(source)))

    def write(self, name: str, rows: pl.DataFrame) -> Path:
        """Write rows to train on to a file in the work folder."""
        file = self.folder(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(file)
        return file

    def train(self, trainings: Iterable[Training]) -> None:
        """Run the trainings, `jobs` at a time."""
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self._train, trainings))

    def _train(self, one: Training) -> None:
        out = self.folder(one.name)
        if (out / "model.safetensors").is_file():
            return
        config = RECIPES / "train" / f"{one.config or one.kind}.yaml"
        flags = {"seed": one.seed, "max_steps": one.steps, **one.flags, "output_dir": out}
        given = [word for name, value in flags.items() for word in (f"--{name}", value)]
        self.run(f"train {one.name}", TRAIN, one.kind, "--data", one.data, "--model", one.model, "--config", config,
                 *given, "--overwrite", threads=1)  # fmt: skip

    def given(self, models: Mapping[str, Path]) -> list[str]:
        """Return model folders as --model arguments of an evaluation, NAME=FILE; the file makes it sample in its own
        process."""
        sections = self.folder("models")
        sections.mkdir(parents=True, exist_ok=True)
        given = []
        for name, folder in models.items():
            section = sections / f"{name}.yaml"
            section.write_text(yaml.safe_dump({"type": "local", "model": str(folder.resolve()), "devices": ["cpu"]}))
            given.append(f"{name}={section}")
        return given

    def measure(self, models: dict[str, Path], runs: str = "eval") -> pl.DataFrame:
        """Return name, benchmark, prompt_id, kind, value (0 to 1): one row per model, benchmark and problem.

        The answers are kept in the folder `runs`.
        """
        given = self.given(models)
        flags = [word for one in given for word in ("--model", one)]
        self.run("eval", DATAKIT, "eval", "--suite", SUITE, *flags, "--out", self.folder(runs))
        frames = []
        for found in load_suite(str(SUITE))[1]:
            name = found.benchmark.name
            with Run.open(self.folder(runs) / name) as run:
                values = read_answers(run, found.benchmark, read_models(given, None, None)).values
                kinds = run.query("SELECT prompt_id, category AS kind FROM prompts")
            frames.append(
                values.select("name", "prompt_id", "value").join(kinds, on="prompt_id").with_columns(benchmark=pl.lit(name))
            )
        return pl.concat(frames)

    def run(self, name: str, program: tuple[str, ...], *args: object, threads: int | None = None) -> str:
        """Run a command of the project; return its output. Raise SystemExit with the end of the output if it fails."""
        log = self.folder("logs") / f"{name.replace(' ', '-')}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        began, limits = time.monotonic(), {"OMP_NUM_THREADS": str(threads)} if threads else {}
        done = subprocess.run([sys.executable, *program, *map(str, args)], cwd=ROOT, env={**os.environ, **limits},
                              capture_output=True, text=True)  # fmt: skip
        log.write_text(f"{program[-1]} {' '.join(map(str, args))}\n{done.stdout}{done.stderr}", encoding="utf-8")
        print(f"{time.monotonic() - began:6.0f} s  {name}", flush=True)
        if done.returncode:
            raise SystemExit(f"{log}: exit status {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout


def steps_of(kind: str) -> int:
    """Return the number of steps in a training's config."""
    return int(yaml.safe_load((RECIPES / "train" / f"{kind}.yaml").read_text(encoding="utf-8"))["max_steps"])
