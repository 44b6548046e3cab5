"""demos and pairs -> sft/ and dpo/ folders: train.parquet as TRL takes it, manifest.json, and a dataset card.

A folder appears whole or not at all: it is written beside its place and renamed into it.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl

from datakit.errors import BadInput, RunError
from datakit.export.card import TABLE, Kind, make_card, make_manifest
from datakit.recipe import Recipe
from datakit.select.rule import diff_pairs, judge_answers, margin_window, select_demos, select_pairs
from datakit.store import Run, load_sql, writing


def export_run(run_folder: Path, out: Path, replace: bool = False) -> dict[Kind, int]:
    """Write OUT/sft and OUT/dpo from the run's demos and pairs; gives how many rows each has.

    BadInput where OUT has one of them already, unless `replace`: then each takes the place of the old one.
    """
    if not replace and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: exists already; give a new folder, or remove it first")
    with Run.open(run_folder) as run:
        recipe = run.recipe()
        if recipe is None:
            raise RunError(f"{run_folder}: not a run folder (no recipe.json)")
        judge_answers(run, recipe)
        frames: dict[Kind, pl.DataFrame] = {
            "sft": run.query(load_sql("export/demos")),
            "dpo": run.query(load_sql("export/pairs")),
        }
        window = margin_window(run, recipe)
        sources = run.frame("sources")
        for kind, frame in frames.items():
            _check_whole(run, kind, frame)
        _check_current(run, recipe)
    for kind, frame in frames.items():
        manifest = make_manifest(kind, frame, recipe, sources, window)
        _write(out / kind, frame, manifest, make_card(manifest))
    return {kind: frame.height for kind, frame in frames.items()}


def _check_whole(run: Run, kind: Kind, frame: pl.DataFrame) -> None:
    """A pair whose texts are gone would be dropped by the join: that must not pass unseen."""
    stored = run.frame(TABLE[kind]).height
    if stored != frame.height:
        raise RunError(
            f"{run.folder}: {stored:,} {TABLE[kind]}, but only {frame.height:,} with their prompts and responses; "
            f"run: datakit select {run.folder}"
        )


def _check_current(run: Run, recipe: Recipe) -> None:
    """The manifest names the recipe's rule, so the rows must be what that rule selects now (after judge_answers)."""
    if diff_pairs(run.frame("pairs"), select_pairs(run)).height or not select_demos(run, recipe).equals(run.frame("demos")):
        raise RunError(f"{run.folder}: pairs and demos are not what its recipe selects now; run: datakit select {run.folder}")


def _write(folder: Path, frame: pl.DataFrame, manifest: dict[str, Any], card: str) -> None:
    """Write beside the place, then rename; an old folder of that name goes."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    with writing(folder):
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(parents=True)
        buffer = io.BytesIO()  # polars gives no OSError of its own where the disk is full
        frame.write_parquet(buffer)
        (new / "train.parquet").write_bytes(buffer.getbuffer())
        (new / "README.md").write_text(card, encoding="utf-8")
        (new / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
