"""Builds, trainings and measurements of the fusion demonstration, each once: what stands in the work folder is not made again.

Every step is a command of the project in a process of its own; trainings have one thread each. Output is kept in logs/.
Measured are the 600 problems of data/fusion/unseen.jsonl, greedy and at temperature 0.8.
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
    """One training: its folder below the work folder, and the flags that go to TRL beside those of its config."""

    name: str
    kind: str
    data: Path
    model: Path
    seed: int
    steps: int
    flags: dict[str, object] = field(default_factory=dict)
    config: str | None = None
    """Whose config it has, where that is another kind's."""


@dataclass(frozen=True)
class Lab:
    work: Path
    jobs: int = 2

    def folder(self, name: str) -> Path:
        return self.work / name

    def model(self, name: str) -> Path:
        """Where the weights of a name in the tables are."""
        if name in SOURCES:
            return MODELS / name
        return TARGET if name == "base" else self.folder(name)

    def build(self, name: str, recipe: Path) -> Path:
        """The run folder of a recipe."""
        self.run(f"build {name}", DATAKIT, "build", "--recipe", recipe, "--limit", N_PROMPTS, "--out", self.folder(name))
        return self.folder(name)

    def best_source(self, run: str) -> str:
        """The source with the most right answers in a run."""
        counted = """SELECT model FROM responses JOIN verdicts USING (response_id) WHERE outcome = 'passed'
                     GROUP BY model ORDER BY count(*) DESC LIMIT 1"""
        with Run.open(self.folder(run)) as found:
            return Path(str(found.query(counted)["model"].item())).name

    def second_round(self, seed: int) -> Path:
        """The run of the sources in which the target that SFT has trained answers, too: WRPO's triples (recipes/wrpo/)."""
        name = f"second-{seed}"
        self.copy("sources", name)
        return self.build(name, self.second_recipe(seed))

    def second_recipe(self, seed: int) -> Path:
        """The sources' recipe with the target among them, where ../../ has data/ and the trained models as in the project."""
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
        """A run folder once more, whole or not at all."""
        if not self.folder(name).is_dir():
            part = self.folder(f"{name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(self.folder(run), part)
            part.rename(self.folder(name))
        return self.folder(name)

    def demos_of(self, run: str, source: str) -> Path:
        """The demos of one source of a run."""
        demos = pl.read_parquet(self.folder(run) / "sft" / "train.parquet")
        return self.write(f"{run}-{source}.parquet", demos.filter(pl.col("model").str.ends_with(source)))

    def write(self, name: str, rows: pl.DataFrame) -> Path:
        """Rows to train on, in a file of the work folder."""
        file = self.folder(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(file)
        return file

    def train(self, trainings: Iterable[Training]) -> None:
        """`jobs` at a time."""
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
        """Model folders as --model of an evaluation has them: NAME=FILE, whose file has them sampled in its process."""
        sections = self.folder("models")
        sections.mkdir(parents=True, exist_ok=True)
        given = []
        for name, folder in models.items():
            section = sections / f"{name}.yaml"
            section.write_text(yaml.safe_dump({"type": "local", "model": str(folder.resolve()), "devices": ["cpu"]}))
            given.append(f"{name}={section}")
        return given

    def measure(self, models: dict[str, Path], runs: str = "eval") -> pl.DataFrame:
        """name, benchmark, prompt_id, kind, value (0 to 1): one row a model, benchmark and problem.

        The answers stay in the folder `runs`.
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
        """A command of the project, and what it printed; SystemExit with the end of its output where it fails."""
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
    """The steps that a training's config says."""
    return int(yaml.safe_load((RECIPES / "train" / f"{kind}.yaml").read_text(encoding="utf-8"))["max_steps"])
