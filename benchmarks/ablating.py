"""Ablations: which choices in making the data matter, with models of this size (`make ablations`).

    python benchmarks/ablating.py                          # every row, three seeds: a night on two cores
    python benchmarks/ablating.py --rows pairing window    # some of them
    python benchmarks/ablating.py --hours 2                # what can be started in two hours

A row compares two or three ways of doing one thing and leaves everything else as in `make fusion`, whose answers, SFT models
and settings it uses (so run that first). The cells of a row train on the same number of pairs or demos, chosen by a hash of the
prompt, and for the same number of steps. Finished trainings and measurements are reused; rows that were not started are named.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml
from fusion_lab import DATAKIT, RECIPES, TARGET, Lab, Training, steps_of
from fusion_table import Row, differences, scores

from datakit.store import Run

SEEDS = (1, 2, 3)
ONE = {"select.per_prompt": "one"}
"""Shared by pairs of one source and pairs of any sources: at most one pair per prompt."""


@dataclass(frozen=True)
class Cell:
    """One cell: which rows, how they are selected (changes of the run's recipe), and how the target is trained.

    `rows` is the export below the folder of `run`: scored (recipes/fusion/scored.yaml), unverified (the same answers and scores
    without a verdict), or second (of `make fusion`, one per seed, in which the trained target answers too).
    """

    name: str
    kind: str = "dpo"
    rows: str = "dpo"
    run: str = "scored"
    select: Mapping[str, str] = field(default_factory=dict)
    best_alone: bool = False
    flags: Mapping[str, object] = field(default_factory=dict)


ROWS: dict[str, Sequence[Cell]] = {
    "pairing": (Cell("same source", select=ONE), Cell("any source", select=ONE | {"select.pairing": "any_source"})),
    "window": (Cell("no window"), Cell("margin 0.01 to 0.1", select={"select.margin": "[0.01, 0.1]"})),
    "length": (Cell("no length rule"),
               Cell("ratio and bins", select={"select.length_ratio_max": "2", "select.length_bins": "0.2"})),
    "sources": (Cell("four sources", "sft", rows="sft"), Cell("the best source", "sft", rows="sft", best_alone=True)),
    "demos": (Cell("all right answers", "sft", rows="sft"),
              Cell("the best of a prompt", "sft", rows="sft", select={"select.demos_per_prompt": "one"})),
    "verifier": (Cell("verifier, then score"), Cell("score alone", run="unverified")),
    "loss": (Cell("LN-DPO"), Cell("DPO", flags={"loss_type": "sigmoid", "beta": 0.1})),
    "wrpo": (Cell("pairs of the sources"), Cell("pairs of the target", rows="wrpo", run="second"),
             Cell("WRPO", "wrpo", rows="wrpo", run="second")),
}  # fmt: skip
"""The cells of each row; the others are compared with the first one."""


def main() -> None:
    asked = _arguments()
    lab, until = Lab(asked.out, asked.jobs), time.monotonic() + 3600 * asked.hours
    lab.copy("sources", "scored")  # the same answers and verdicts: scores are all that is missing
    lab.build("scored", RECIPES / "scored.yaml")
    told = []
    for name in asked.rows:
        told.append(row(lab, name, asked.seeds) if time.monotonic() < until else f"### {name}\n\nnot run")
        print(told[-1], flush=True)
    (asked.out / "ablations.md").write_text("\n\n".join(told) + "\n", encoding="utf-8")


def row(lab: Lab, name: str, seeds: Sequence[int]) -> str:
    """Train every cell on as many rows as the smallest has. Return tables of scores and of differences from the first cell."""
    found = {(cell.name, seed): rows_of(lab, cell, seed) for cell in ROWS[name] for seed in seeds}
    n = min(frame.height for frame in found.values())
    trainings = []
    for cell in ROWS[name]:
        for seed in seeds:
            made = _file_name(name, cell.name, str(seed))
            rows = lab.write(f"ablations/{made}.parquet", found[cell.name, seed].head(n))
            start = TARGET if cell.kind == "sft" else lab.folder(f"sft-{seed}")
            trainings.append(Training(made, cell.kind, rows, start, seed, steps_of(cell.kind), dict(cell.flags)))
    lab.train(trainings)
    values = lab.measure({one.name: lab.folder(one.name) for one in trainings}, f"ablations/{name}")
    of_seeds = [trainings[at : at + len(seeds)] for at in range(0, len(trainings), len(seeds))]
    cells = [Row(cell.name, [one.name for one in some]) for cell, some in zip(ROWS[name], of_seeds, strict=True)]
    compared = differences(values, [(cell, cells[0]) for cell in cells[1:]])
    return f"### {name}: {n:,} rows, {trainings[0].steps} steps\n\n{scores(values, cells)}\n\n{compared}"


def rows_of(lab: Lab, cell: Cell, seed: int) -> pl.DataFrame:
    """Return a cell's demos or pairs in the order of a hash of their prompts."""
    match cell.run:
        case "second":
            run = lab.second_round(seed)
        case "unverified":
            run = unverified(lab)
        case _:
            run = lab.folder(cell.run)
    if cell.select:
        run = selected(lab, run, cell.select)
    frame = pl.read_parquet(run / cell.rows / "train.parquet")
    if cell.best_alone:
        frame = frame.filter(pl.col("model").str.ends_with(lab.best_source("sources")))
    place = pl.col("prompt").list.first().struct.field("content").map_elements(_hash, pl.String)
    return frame.sort(place, "response_id" if "response_id" in frame.columns else "chosen_id")


def selected(lab: Lab, run: Path, select: Mapping[str, str]) -> Path:
    """Return a copy of a run, selected by another rule."""
    name = _file_name(run.name, *select.values())
    copy = lab.copy(run.name, f"ablations/{name}")
    sets = [word for field, value in select.items() for word in ("--set", f"{field}={value}")]
    lab.run(f"select {name}", DATAKIT, "select", copy, *sets)
    return copy


def unverified(lab: Lab) -> Path:
    """Import the scored run's answers and scores into a run of a domain without a verifier; return its folder."""
    folder = lab.folder("ablations") / "unverified"
    scored = """SELECT prompts.messages[len(prompts.messages)].content AS prompt, model, text, score
                FROM responses JOIN scores USING (response_id) JOIN prompts USING (prompt_id)"""
    with Run.open(lab.folder("scored")) as run:
        rows = lab.write("ablations/scored.parquet", run.query(scored))
    columns = {name: name for name in ("prompt", "model", "text", "score")}
    given = yaml.safe_load((RECIPES / "scored.yaml").read_text(encoding="utf-8"))
    source = {"type": "responses", "path": str(rows.resolve()), "judge": "armorm", "columns": columns}
    recipe = folder.with_suffix(".yaml")
    select = given["select"] | {"pass_rate_min": None}  # nothing is verified there
    recipe.write_text(yaml.safe_dump({"domain": "instruct", "sources": [source], "score": None, "select": select}))
    lab.run("build unverified", DATAKIT, "build", "--recipe", recipe, "--out", folder)
    return folder


def _file_name(*words: str) -> str:
    """Return a name of letters, digits, _ . - only: Polars reads brackets as a pattern, and evaluations allow no commas."""
    return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-")


def _hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="which comparisons")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the trainings")
    parser.add_argument("--hours", type=float, default=12, help="no row is begun after so many")
    parser.add_argument("--out", type=Path, default=Path("runs/fusion"), help="the work folder of make fusion")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a thread each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
