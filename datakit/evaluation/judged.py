"""Turn the verdicts of a judge into results for the models under test, and for the judge."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from datakit.evaluation import statistics
from datakit.evaluation.battles import grade, win_rate
from datakit.evaluation.contest import Contest
from datakit.evaluation.length_control import Controlled, length_controlled
from datakit.evaluation.models import Model
from datakit.evaluation.priors import Priors, read_priors
from datakit.evaluation.scores import Answered, difference, figures_of
from datakit.evaluation.table import (
    ENDINGS,
    MOST_UNKNOWN,
    UNKNOWN,
    Contact,
    Judged,
    Judging,
    Results,
    Score,
    Share,
)
from datakit.evaluation.verdicts import Verdicts, judge_of
from datakit.recipe import ChatJudge
from datakit.recipe.benchmarks import Benchmark
from datakit.rewards import judge_name
from datakit.store import Run


def judged_results(contest: Contest, verdicts: Verdicts, run: Run, base: str | None, contacts: list[Contact]) -> Results:
    """Return the table's results of one benchmark. Its name includes the judge: another judge makes another benchmark."""
    benchmark, reward = contest.benchmark, judge_of(run)
    priors = read_priors(contest) if benchmark.metric == "lc_win_rate" and contest.is_own_baseline else None
    judging = judging_of(reward, benchmark, verdicts, contest.baseline, contest.is_own_baseline, priors is not None)
    tested = [model for model in contest.models if contest.baseline is None or model.name != contest.baseline.name]
    values = answered(verdicts)
    others = [model.name for model in tested if base not in (None, model.name)]
    n_prompts = int(run.query("SELECT count(*) AS n FROM prompts WHERE dropped IS NULL")["n"][0])
    return Results(
        benchmark=f"{benchmark.name}@{reward.model}",
        version=benchmark.version,
        run=str(run.folder),
        verifier=judging.judge,
        metric=benchmark.metric,
        prompts=n_prompts,
        samples=benchmark.n if benchmark.second is None else 2,
        smallest=statistics.smallest_difference(n_prompts),
        clusters=None,
        scores=[score_of(model, benchmark, verdicts, priors, judging) for model in tested],
        differences=[found for name in others if (found := difference(name, base, values)) is not None],
        contacts=contacts,
        judging=judging,
        full=best_of(benchmark),
    )


def answered(verdicts: Verdicts) -> Answered:
    """Return the values by prompt, for the paired differences that all benchmarks report."""
    counted = verdicts.battles.filter(pl.col("value").is_not_null())
    values = counted.group_by("name", "prompt_id", maintain_order=True).agg(
        value=(pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum(), n=pl.col("response_id").n_unique()
    )
    return Answered(verdicts.answers, values.with_columns(passed=pl.col("value")))


def score_of(model: Model, benchmark: Benchmark, verdicts: Verdicts, priors: Priors | None, judging: Judging) -> Score:
    """Return the score of one model on one benchmark."""
    answers = verdicts.answers.filter(pl.col("name") == model.name)
    battles = verdicts.battles.filter(pl.col("name") == model.name, pl.col("value").is_not_null())
    counted = dict(answers["ending"].value_counts().iter_rows())
    endings = {ending: counted.get(ending, 0) for ending in ENDINGS}
    n_unknown = sum(endings[ending] for ending in UNKNOWN if ending != "no_verdict")
    known = battles.height > 0 and n_unknown <= MOST_UNKNOWN * answers.height
    estimate = _estimate(battles, answers, benchmark, priors) if known else _NOTHING
    low, high = (estimate.low, estimate.high) if estimate.share is not None else (None, None)
    unknown, worst = sum(endings[ending] for ending in UNKNOWN), _worst(benchmark)
    mean = float((battles["value"] * battles["weight"]).sum()) / float(battles["weight"].sum()) if battles.height else 0.0
    of_known = 1 - unknown / answers.height if answers.height else 0.0
    return Score(
        model=model.name,
        n=answers["prompt_id"].n_unique(),
        answers=answers.height,
        score=estimate.share,
        low=low,
        high=high,
        error=estimate.error,
        worst=mean * of_known + worst * (1 - of_known) if answers.height else None,
        best=mean * of_known + 1 - of_known if answers.height else None,
        endings=endings,
        at_k={},
        published=figures_of(model, benchmark, low, high, judging.is_published, best_of(benchmark)),
        judged=_judged(battles, benchmark, estimate),
    )


def best_of(benchmark: Benchmark) -> float:
    """Return the number that a score of 1 is shown as."""
    return benchmark.scale[1] if benchmark.metric == "grade" else 100.0


def judging_of(
    reward: ChatJudge, benchmark: Benchmark, verdicts: Verdicts, baseline: Model | None, is_own: bool, with_priors: bool
) -> Judging:
    """Return who judged, and its preferences for position and length. `is_own`: the baseline is the benchmark's own."""
    battles = verdicts.battles.filter(pl.col("state") != "no_answer")
    known = battles.filter(pl.col("value").is_not_null())
    prompts = [one for one in (reward.prompt, reward.with_reference) if one is not None]
    as_published = bool(prompts) and all(one.published is not None for one in prompts)
    longer, first = None, None
    if benchmark.metric != "grade":
        of_first = pl.when("first").then("value").otherwise(1 - pl.col("value"))
        first = _share(known["prompt_id"], of_first, known)
        unequal = known.filter(pl.col("n_chars") != pl.col("n_chars_other"))
        of_longer = pl.when(pl.col("n_chars") > pl.col("n_chars_other")).then("value").otherwise(1 - pl.col("value"))
        longer = _share(unequal["prompt_id"], of_longer, unequal)
    controls = benchmark.metric == "lc_win_rate"
    return Judging(
        judge=judge_name(reward),
        model=reward.model,
        is_published=as_published and is_own and reward.model == benchmark.judge.get("model") and (with_priors or not controls),
        prompt_is_published=as_published,
        baseline=None if baseline is None else baseline.name,
        judgements=known.height,
        unreadable=battles.filter(pl.col("state") == "no_verdict").height,
        failed=battles.filter(pl.col("state") == "failed").height,
        first=first,
        longer=longer,
        length_control=("published" if with_priors else "plain") if controls else None,
    )


def _share(prompts: pl.Series, value: pl.Expr, rows: pl.DataFrame) -> Share | None:
    if not rows.height:
        return None
    values = rows.select(value.alias("value"))["value"]
    low, high = statistics.interval(values, prompts, several=True)
    return Share(float(values.sum()) / len(values), low, high)


@dataclass(frozen=True)
class _Estimate:
    share: float | None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    raw: Share | None = None
    published: tuple[float | None, float | None, float | None] = (None, None, None)
    """low, high, error."""


_NOTHING = _Estimate(None)


def _worst(benchmark: Benchmark) -> float:
    return benchmark.scale[0] / benchmark.scale[1] if benchmark.metric == "grade" else 0.0


def _estimate(battles: pl.DataFrame, answers: pl.DataFrame, benchmark: Benchmark, priors: Priors | None) -> _Estimate:
    if benchmark.metric == "grade":
        categories = battles.join(answers.select("prompt_id", "category").unique("prompt_id"), on="prompt_id")["category"]
        share, (low, high), error = grade(battles["value"], battles["prompt_id"], categories, benchmark.groups)
        return _Estimate(share, low, high, _known(error))
    found = win_rate(battles["prompt_id"], battles["value"], battles["weight"])
    raw = Share(found.share, *found.interval)
    if benchmark.metric == "win_rate":
        return _Estimate(found.share, *found.interval, _known(found.error), raw, (*found.published, None))
    controlled = _controlled(battles, priors)
    if math.isnan(controlled.win_rate):
        return _Estimate(None, raw=raw)
    published = (None, None, controlled.spread)
    return _Estimate(controlled.win_rate, *controlled.interval, _known(controlled.error), raw, published)


def _controlled(battles: pl.DataFrame, priors: Priors | None) -> Controlled:
    """Return the length-controlled win rate, from one row per prompt. As in AlpacaEval, a missing answer has length 0 and
    loses."""
    lengths = pl.col("n_chars", "n_chars_other").first().cast(pl.Float64)
    rows = (
        battles.filter(pl.col("n_chars_other").is_not_null())
        .group_by("prompt_id", maintain_order=True)
        .agg(lengths, value=(pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum())
    )
    values, own, others = (rows[name].to_numpy() for name in ("value", "n_chars", "n_chars_other"))
    if priors is None:
        return length_controlled(values, own, others)
    difficulties = np.array([priors.difficulties[prompt_id] for prompt_id in rows["prompt_id"]])
    return length_controlled(values, own, others, difficulties, priors.gamed)


def _judged(battles: pl.DataFrame, benchmark: Benchmark, estimate: _Estimate) -> Judged:
    values = battles["value"]
    compared = benchmark.metric != "grade"
    return Judged(
        estimate.raw,
        *estimate.published,
        wins=int((values > 0.5).sum()) if compared else 0,
        ties=int((values == 0.5).sum()) if compared else 0,
        losses=int((values < 0.5).sum()) if compared else 0,
        n_chars=_mean(battles["n_chars"]),
        n_chars_baseline=_mean(battles["n_chars_other"]),
    )


def _mean(values: pl.Series) -> float | None:
    known = values.drop_nulls()
    return float(known.sum()) / len(known) if len(known) else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
