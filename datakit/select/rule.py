"""Which answers become pairs and demos: a pure function of the other tables and the recipe's `select`, in SQL.

FuseChat-3.0 (README, section on data construction): DPO pairs are the best right answer against the worst wrong answer of the
same source model, SFT demos the right answer with the highest score. The rules stand in sql/select_*.sql.
"""

from __future__ import annotations

import polars as pl

from datakit.domains import domain_of
from datakit.recipe import MEAN_RANK, Recipe
from datakit.rewards.judges import chosen_judge, judges
from datakit.store import Run, load_sql
from datakit.tables import TABLES


def judge_answers(run: Run, recipe: Recipe) -> None:
    """Make the temporary tables `answers` (one row a response) and `pair_candidates` (one row a prompt and source)."""
    match_answers(run, recipe, chosen_judge(recipe))
    select = recipe.select
    low, high = margin_window(run, recipe)
    run.make_table(
        "pair_candidates",
        load_sql("select/select_pairs"),
        {
            "margin_low": low,
            "margin_high": high,
            "length_ratio_max": select.length_ratio_max,
            "one_per_source": select.per_prompt == "one_per_source",
            "sft_share": select.sft_share if select.split == "share" else None,
            "length_bins": select.length_bins,
        },
    )


def match_answers(run: Run, recipe: Recipe, judge: str | None) -> None:
    """Make the temporary tables `answers` and `matched`, the candidates before any rule about margins or lengths."""
    domain = domain_of(recipe)
    counted = list(judges(recipe)) if judge == MEAN_RANK else [judge] if judge is not None else []
    run.make_table(
        "answers",
        load_sql("select/judge_answers"),
        {"verifier": domain.verifier, "wrong": sorted(domain.wrong), "judges": counted},
    )
    if judge == MEAN_RANK:
        run.make_table("answers", load_sql("select/rank_answers"), {"judges": counted})
    run.make_table(
        "matched",
        load_sql("select/match_answers"),
        {
            "any_source": recipe.select.pairing == "any_source",
            "verified": domain.verifier is not None,
            "ranked": judge == MEAN_RANK,
        },
    )


def margin_window(run: Run, recipe: Recipe) -> tuple[float | None, float | None]:
    """Both ends of the recipe's window in numbers, for the margins of `matched`; None and None for no window."""
    margin = recipe.select.margin
    if margin is None or isinstance(margin, list):
        return (margin[0], margin[1]) if margin else (None, None)
    low, high = margin.quantiles
    return run.query(load_sql("select/select_window"), {"low": low, "high": high}).row(0)


def select_pairs(run: Run) -> pl.DataFrame:
    """The pairs among the candidates of `judge_answers`."""
    return run.query(f"SELECT {_columns('pairs')} FROM pair_candidates WHERE lost IS NULL ORDER BY prompt_id, model")


def select_demos(run: Run, recipe: Recipe) -> pl.DataFrame:
    """The demos that go with the candidates of `judge_answers`."""
    return run.query(load_sql("select/select_demos"), {"share": recipe.select.split == "share"})


def diff_pairs(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Which pairs came, went or changed: prompt_id, model, change, and both answers' ids before and after.

    Where each prompt has one pair, a prompt whose pair comes from another source now has changed.
    """
    single = not old["prompt_id"].is_duplicated().any() and not new["prompt_id"].is_duplicated().any()
    key = ["prompt_id"] if single else ["prompt_id", "model"]
    both = old.join(new, on=key, how="full", coalesce=True, suffix="_new")
    if single:
        both = both.with_columns(model=pl.coalesce("model_new", "model"))
    change = (
        pl.when(pl.col("chosen_id").is_null())
        .then(pl.lit("came"))
        .when(pl.col("chosen_id_new").is_null())
        .then(pl.lit("went"))
        .otherwise(pl.lit("changed"))
    )
    same = pl.struct("chosen_id", "rejected_id") == pl.struct(
        pl.col("chosen_id_new").alias("chosen_id"), pl.col("rejected_id_new").alias("rejected_id")
    )
    columns = ["chosen_id", "rejected_id", "margin", "chosen_id_new", "rejected_id_new", "margin_new"]
    return (
        both.filter(~same.fill_null(False))
        .select("prompt_id", "model", change.alias("change"), *columns)
        .sort("change", "prompt_id", "model")
    )


def _columns(table: str) -> str:
    return ", ".join(TABLES[table].schema)
