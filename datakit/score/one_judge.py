"""Score what one judge has not scored yet, with a model on this machine or behind URLs. Rows are stored as they come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from datakit.client import Drain
from datakit.engine.protocol import Engines
from datakit.errors import BudgetSpent, DatakitError, SourceStopped
from datakit.options import Options
from datakit.progress import Monitor
from datakit.recipe import ChatJudge, LocalReward, Recipe, RemoteReward, Reward
from datakit.rewards.judges import judge_name
from datakit.score.judgements import Judging, count_judgements
from datakit.score.local import Chunk, score_here
from datakit.score.missing import Counts, count_scores
from datakit.score.remote import RemoteScoring
from datakit.store import Run, load_sql
from datakit.wording import counted


def score_missing(
    run: Run,
    recipe: Recipe,
    reward: Reward,
    options: Options,
    monitor: Monitor,
    engines: Engines,
    over_budget: Callable[[int, int], str | None],
) -> list[DatakitError]:
    """Store the missing scores or judgements of one judge; what cannot be scored becomes a row of `failures`.

    `over_budget(prompt_tokens, completion_tokens)` returns the error message if this spends the budget, else None.
    Returns the errors of a judge behind a URL that failed or spent its budget. WorkerError: a local model failed altogether.
    """
    judge = judge_name(reward)
    table = "judgements" if isinstance(reward, ChatJudge) else "scores"

    def store(chunk: Chunk) -> None:
        run.journal(table).append(chunk.scores)
        run.journal("failures").append(chunk.failures)
        monitor.advance(judge, len(chunk.scores), len(chunk.failures), chunk.note)

    n_missing, n_there = _count(run, recipe, reward, options, monitor)
    if not n_missing:
        monitor.stage("score", {})
        return []
    try:
        if isinstance(reward, LocalReward):
            monitor.stage("score", {judge: n_missing}, there={judge: n_there})
            with closing(score_here(run, reward, options.retry_failures, engines)) as chunks:
                for chunk in chunks:
                    store(chunk)
        elif isinstance(reward, RemoteReward):
            kind = Judging if isinstance(reward, ChatJudge) else RemoteScoring
            scoring = kind(run, reward, options.retry_failures, Drain(options.grace_s, monitor.say), store, over_budget)
            monitor.stage("score", {judge: n_missing}, {judge: scoring.progress}, {judge: n_there})
            scoring.score(options.signals)
    except (SourceStopped, BudgetSpent) as stopped:
        if options.signals.received:
            raise
        return [stopped]
    finally:
        run.journal(table).close()
        run.journal("failures").close()
    return []


def _count(run: Run, recipe: Recipe, reward: Reward, options: Options, monitor: Monitor) -> Counts:
    """Return how much is missing and how much exists; warn of stored scores that lack the objectives that are wanted now."""
    judge = judge_name(reward)
    if isinstance(reward, ChatJudge):
        return count_judgements(run, recipe, reward, options.retry_failures, "judge/find_answers")
    if isinstance(reward, LocalReward) and reward.stores_objectives:
        without = int(run.query(load_sql("missing/count_without_objectives"), {"judge": judge})["n"][0])
        if without:
            said = f"{judge}: {counted(without, 'answers')} scored before the recipe asked for objectives, and without them"
            monitor.say(said, warning=True)
    return count_scores(run, judge, options.retry_failures)
