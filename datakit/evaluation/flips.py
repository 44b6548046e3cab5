"""Find the prompts that one of two models got right and the other wrong, with both answers."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from datakit.evaluation.scores import Answered, pairs_of, verifier_of
from datakit.evaluation.table import Flip, Side
from datakit.recipe.benchmarks import Benchmark
from datakit.store import Run, load_sql
from datakit.tables import Row

SHOWN = 5  # flips per model and direction


def read_flips(run: Run, benchmark: Benchmark, base: str, names: list[str], answered: Answered) -> list[Flip]:
    """Return at most SHOWN flips per model and direction; those lost to the base come first: they show what training cost."""
    chosen = [pair for name in names if name != base for pair in _chosen(name, base, answered)]
    ids = [response_id for _, right, _, wrong in chosen for response_id in (right, wrong)]
    params = {"verifier": verifier_of(run.recipe()).name, "ids": ids}
    rows = {row["response_id"]: row for row in run.query(load_sql("evaluation/flipped"), params).iter_rows(named=True)}
    return [
        Flip(
            benchmark.name,
            rows[right]["prompt_id"],
            rows[right]["prompt"],
            rows[right]["reference"],
            _side(right_name, rows[right]),
            _side(wrong_name, rows[wrong]),
        )
        for right_name, right, wrong_name, wrong in chosen
        if right in rows and wrong in rows
    ]


def _chosen(name: str, base: str, answered: Answered) -> Iterator[tuple[str, str, str, str]]:
    """Yield for each flip which model was right with which response and which was wrong with which (the first such answer)."""
    both = pairs_of(name, base, answered)
    for better, worse, flipped in (
        (base, name, both.filter(pl.col("value") < pl.col("value_base"))),
        (name, base, both.filter(pl.col("value") > pl.col("value_base"))),
    ):
        for prompt_id in flipped["prompt_id"].sort().head(SHOWN):
            right = _first(answered, prompt_id, better, right=True)
            wrong = _first(answered, prompt_id, worse, right=False)
            if right is not None and wrong is not None:
                yield better, right, worse, wrong


def _first(answered: Answered, prompt_id: str, name: str, right: bool) -> str | None:
    is_right = pl.col("ending") == "right"
    known = ~pl.col("ending").is_in(("cannot_judge", "failed", "missing"))
    mine = answered.answers.filter(
        pl.col("prompt_id") == prompt_id, pl.col("name") == name, is_right if right else known & ~is_right
    )
    return None if mine.is_empty() else str(mine.sort("sample_index")["response_id"][0])


def _side(model: str, row: Row) -> Side:
    return Side(model, row["text"], row["outcome"], row["extracted"], row["detail"])
