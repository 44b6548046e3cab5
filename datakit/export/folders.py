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

from datakit.domains import domain_of
from datakit.errors import BadInput, RunError, command
from datakit.export.card import make_card, make_manifest
from datakit.recipe import Recipe
from datakit.select.rule import Rule, diff_pairs, make_candidates, margin_window, rule_in, select_demos, select_pairs
from datakit.store import Run, load_sql, writing
from datakit.tables import EXPORTED, Phase


def export_run(run_folder: Path, out: Path) -> dict[Phase, int]:
    """Write OUT/sft and OUT/dpo from the run's demos and pairs; returns how many rows each has. BadInput where OUT is there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: exists already; give a new folder, or remove it first")
    with Run.open(run_folder) as run:
        recipe = run.recipe()
        return write_exports(run, recipe, rule_in(run, recipe, domain_of(recipe)), out)


def write_exports(run: Run, recipe: Recipe, rule: Rule, out: Path) -> dict[Phase, int]:
    """Write OUT/sft and OUT/dpo, each in the place of an old one; returns how many rows each has.

    RunError where pairs or demos have lost their texts, or are not what the rule selects now: the manifest names the rule.
    """
    make_candidates(run, rule)
    params = {"keep_reasoning": recipe.export.reasoning == "keep"}
    frames: dict[Phase, pl.DataFrame] = {
        "sft": run.query(load_sql("export/demos"), params),
        "dpo": run.query(load_sql("export/pairs"), params),
    }
    for kind, frame in frames.items():
        stored = run.frame(EXPORTED[kind]).height
        if stored != frame.height:  # the join drops a pair whose texts are gone: that must not pass unseen
            raise RunError(
                f"{run.folder}: {stored:,} {EXPORTED[kind]}, but only {frame.height:,} with their prompts and responses; "
                f"run: {command('select', run.folder)}"
            )
    if diff_pairs(run.frame("pairs"), select_pairs(run)).height or not select_demos(run, rule).equals(run.frame("demos")):
        again = command("select", run.folder)
        raise RunError(f"{run.folder}: pairs and demos are not what its recipe selects now; run: {again}")
    window, sources = margin_window(run, rule), run.frame("sources")
    for kind, frame in frames.items():
        manifest = make_manifest(kind, frame, recipe, rule, sources, window)
        _write(out / kind, frame, manifest, make_card(manifest))
    return {kind: frame.height for kind, frame in frames.items()}


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
