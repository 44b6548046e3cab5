"""The items of a benchmark, read again from its data: which belong together, and how much of a run or an export meets them.

Texts meet that are the same but for case, blanks and forms of letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from datakit.collect.reading import with_prompts
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.domains import domain_of
from datakit.errors import BadInput
from datakit.evaluation.table import Contact
from datakit.recipe import Recipe
from datakit.recipe.benchmarks import Benchmark
from datakit.store import Run
from datakit.tables import Messages


def clusters_of(recipe: Recipe, column: str) -> dict[str, str]:
    """By prompt: the value of the column of ours, or the prompt's own id where it has none. BadInput where none has one."""
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


def contact(data: Path, prompts: Iterable[set[str]], benchmark: Benchmark) -> Contact:
    """What of the data's prompts is an item of the benchmark."""
    items = {text for text in texts_of(benchmark) if text}
    met = [texts & items for texts in prompts]
    found = set[str]().union(*met)
    return Contact(str(data), len(met), sum(1 for one in met if one), len(found))


def texts_of(benchmark: Benchmark) -> Iterator[str]:
    """The normalised text of every item."""
    for section in benchmark.prompts:
        for _, _, row in read_rows(section, Tally(section)):
            yield normalised(" ".join(str(row[column]) for column in benchmark.text if row.get(column) is not None))


def prompts_of(data: Path) -> list[set[str]]:
    """What users say in each prompt of a run, or of an export or its sft/ or dpo/ folder; normalised."""
    files = [file for file in (data / "train.parquet", *sorted(data.glob("*/train.parquet"))) if file.is_file()]
    if (data / "recipe.json").is_file():
        with Run.open(data) as run:
            found = run.query("SELECT messages FROM prompts WHERE dropped IS NULL")["messages"]
    elif files:
        column = pl.concat([pl.read_parquet(file, columns=["prompt"]) for file in files])
        found = column["prompt"]
    else:
        raise BadInput(f"--data {data}: neither a run folder (recipe.json) nor an export (train.parquet)")
    return [set(_said(messages)) for messages in found.to_list()]


def _said(messages: Messages) -> Iterator[str]:
    return (normalised(message["content"]) for message in messages if message["role"] == "user")


def normalised(text: str) -> str:
    """NFKC, without case, every run of white space one blank."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
