"""The verdicts of a benchmark's judge on the answers of a run, by the models' names on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from datakit.evaluation.models import Model
from datakit.recipe import ChatJudge, ResponsesSource
from datakit.recipe.benchmarks import Benchmark
from datakit.rewards import judge_name
from datakit.score.judgements import wanted
from datakit.store import Run, load_sql

UNREADABLE = ("unparseable_judgement", "cut_off", "content_filter", "no_logprobs")
CLEAR = ("A>>B", "B>>A")


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of one run, or of several together."""

    answers: pl.DataFrame
    """The columns name, prompt_id, sample_index, response_id, ending, category, n_chars: one row per wanted answer."""
    battles: pl.DataFrame
    """The columns name, prompt_id, response_id, state, value, weight, first, n_chars, n_chars_other: one row per judgement of
    an answer of a model under test. `value`: the preference for the answer, 0..1, or its grade divided by the best; `first`: it
    was shown first."""

    def __add__(self, other: Verdicts) -> Verdicts:
        return Verdicts(pl.concat([self.answers, other.answers]), pl.concat([self.battles, other.battles]))


def judge_of(run: Run) -> ChatJudge:
    """Return the judge of a run of a benchmark."""
    return next(reward for reward in run.recipe().score if isinstance(reward, ChatJudge))


def read_verdicts(run: Run, benchmark: Benchmark, contestants: Sequence[Model], baseline: str | None) -> Verdicts:
    """Return all answers and judgements of a run whose sources are the contestants, without those of the baseline."""
    recipe, reward = run.recipe(), judge_of(run)
    names = {
        (source.model, None if isinstance(source, ResponsesSource) else source.revision): model.name
        for source, model in zip(recipe.sources, contestants, strict=True)
    }
    found = run.query(load_sql("evaluation/judged_answers"))
    of_rows = [names.get((model or "", revision)) for model, revision in found.select("model", "revision").iter_rows()]
    answers = found.with_columns(pl.Series("name", of_rows, dtype=pl.String)).drop("model", "revision")
    with wanted(run, recipe, reward) as snapshot:
        params = {"judge": judge_name(reward), "unreadable": list(UNREADABLE)}
        said = snapshot.query(load_sql("evaluation/judgements"), params)
    own = answers.filter(pl.col("name").ne_missing(baseline))
    battles = _battles(own, answers, said, benchmark)
    states = battles.group_by("response_id").agg(states=pl.col("state").unique())
    ended = own.join(states, on="response_id", how="left").with_columns(ending=_ending())
    met = answers.filter(pl.col("name") == (baseline or "")).unique("prompt_id", keep="first", maintain_order=True)
    lost = _lost(ended, met.select("prompt_id", n_chars_other="n_chars"), benchmark)
    return Verdicts(ended.select(*_ANSWERS), pl.concat([battles, lost], how="diagonal_relaxed").select(*_BATTLES))


def with_unasked(second: Verdicts, first: Verdicts, model: Model) -> Verdicts:
    """Return the verdicts of a second turn, with the answers that are missing because there was no first answer to follow."""
    asked = second.answers.select("prompt_id")
    owed = first.answers.filter(pl.col("name") == model.name).unique("prompt_id", keep="first", maintain_order=True)
    lost = owed.join(asked, on="prompt_id", how="anti")
    battles = first.battles.filter(pl.col("state") == "no_answer").join(lost, on="response_id", how="semi")
    return second + Verdicts(lost, battles)


_ANSWERS = ("name", "prompt_id", "sample_index", "response_id", "ending", "category", "n_chars")
_BATTLES = ("name", "prompt_id", "response_id", "state", "value", "weight", "first", "n_chars", "n_chars_other")


def _battles(own: pl.DataFrame, answers: pl.DataFrame, said: pl.DataFrame, benchmark: Benchmark) -> pl.DataFrame:
    """Return the judgements seen from the models under test: each has one answer of theirs."""
    lengths = answers.select(pl.col("response_id").alias("other_id"), pl.col("n_chars").alias("n_chars_other")).unique(
        "other_id"
    )
    best = benchmark.scale[1] if benchmark.metric == "grade" else 1.0
    sides = [
        said.select(
            pl.col(mine).alias("response_id"),
            pl.col(theirs).alias("other_id"),
            "state",
            value=pl.col("value") / best if mine == "first_id" else 1 - pl.col("value"),
            weight=pl.when(pl.col("verdict").is_in(CLEAR)).then(benchmark.clear).otherwise(1),
            first=pl.lit(mine == "first_id"),
        )
        for mine, theirs in (("first_id", "second_id"), ("second_id", "first_id"))
    ]
    return (
        own.select("name", "prompt_id", "response_id", "n_chars")
        .join(pl.concat(sides), on="response_id")
        .join(lengths, on="other_id", how="left")
        .select(*_BATTLES)
    )


def _ending() -> pl.Expr:
    """Return the expression for how an answer ended: one verdict on it is enough."""
    states, there = pl.col("states"), pl.col("ending").is_in(("judged", "cut_off"))
    otherwise = pl.coalesce(
        *(pl.when(states.list.contains(state)).then(pl.lit(state)) for state in ("missing", "no_verdict", "failed")),
        pl.lit("cannot_judge"),  # the baseline has no answer there
    )
    return pl.when(~there | states.list.contains("judged").fill_null(False)).then("ending").otherwise(otherwise)


def _lost(answers: pl.DataFrame, met: pl.DataFrame, benchmark: Benchmark) -> pl.DataFrame:
    """Return the losses of a model that gave no answer: battles against the answers that it would have met, or the worst
    grade."""
    worst = benchmark.scale[0] / benchmark.scale[1] if benchmark.metric == "grade" else 0.0
    times = 2 if benchmark.judge.get("orders", "both") == "both" and benchmark.metric != "grade" else 1
    silent = answers.filter(pl.col("ending") == "no_answer").select("name", "prompt_id", "response_id")
    return (
        pl.concat([silent] * times)
        .join(met, on="prompt_id", how="left")
        .with_columns(state=pl.lit("no_answer"), value=pl.lit(worst), weight=pl.lit(1, pl.Int32), n_chars=pl.lit(0, pl.Int64))
    )
