"""The items of a benchmark, read again from its data: which belong together, and which occur in a run or an export.

Matches are found by the rule of curation (curate/decontaminate.py) with its defaults.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from datakit.collect.benchmarks import items_of
from datakit.collect.reading import with_prompts
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.curate.decontaminate import Benchmarks
from datakit.curate.texts import asked, tokens
from datakit.domains import domain_of
from datakit.errors import BadInput
from datakit.evaluation.table import Contact
from datakit.recipe import Recipe
from datakit.recipe.benchmarks import Benchmark
from datakit.recipe.curate import Decontaminate
from datakit.store import Run

ROWS_AT_A_TIME = 10_000


def clusters_of(recipe: Recipe, column: str) -> dict[str, str]:
    """Return the cluster of each prompt: the value of the column, or the prompt's own id if it has none. Raises BadInput if no
    prompt has a value."""
    clusters, n_there = dict[str, str](), 0
    for section in recipe.prompts:
        tally = Tally(section)
        for found, prompt in with_prompts(read_rows(section, tally), tally, domain_of(recipe).read):
            value = found[2].get(column)
            n_there += value is not None
            clusters.setdefault(prompt.prompt_id, prompt.prompt_id if value is None else str(value))
    if not n_there:
        raise BadInput(f"cluster: no prompt has a '{column}'; map it in columns")
    return clusters


def contact(data: Path, prompts: pl.DataFrame, benchmark: Benchmark) -> Contact:
    """Count the prompts of the data that match an item of the benchmark: exactly, with text around it, or slightly changed."""
    given = Decontaminate.model_validate({"against": [{"benchmark": benchmark.name}]})
    benchmarks = Benchmarks.of(given, list(items_of(benchmark)), benchmark.domain)
    met = [one for frame in prompts.iter_slices(ROWS_AT_A_TIME) for one in benchmarks.meet(frame)]
    found = [one for one in met if one.reason.startswith("contaminated")]
    return Contact(str(data), prompts.height, len({one.number for one in found}), len({one.item for one in found}))


def prompts_of(data: Path) -> pl.DataFrame:
    """Return the prompts of a run, or of an export or its sft/ or dpo/ folder, in the form that Benchmarks reads."""
    files = [file for file in (data / "train.parquet", *sorted(data.glob("*/train.parquet"))) if file.is_file()]
    if (data / "recipe.json").is_file():
        with Run.open(data) as run:
            frame = run.query("SELECT messages, reference, entry_point FROM prompts WHERE dropped IS NULL")
    elif files:
        messages = pl.concat([pl.read_parquet(file, columns=["prompt"]) for file in files]).rename({"prompt": "messages"})
        nothing = pl.lit(None, pl.String)
        frame = messages.with_columns(reference=nothing, entry_point=nothing)
    else:
        raise BadInput(f"--data {data}: neither a run folder (recipe.json) nor an export (train.parquet)")
    frame = frame.with_row_index("number").with_columns(text=asked()).drop("messages")
    return frame.with_columns(tokens=tokens(pl.col("text")))
