"""What one judge has not scored yet, scored: by a model on this machine, or behind URLs. Rows are stored as they come."""

from __future__ import annotations

from contextlib import closing

from datakit.client import Drain
from datakit.errors import DatakitError, SourceStopped
from datakit.options import Options
from datakit.progress import Monitor
from datakit.recipe import LocalReward, Reward
from datakit.rewards.judges import judge_name
from datakit.score.local import Chunk, score_here
from datakit.score.missing import count_scores
from datakit.score.remote import RemoteScoring
from datakit.store import Run, load_sql
from datakit.wording import counted


def score_missing(run: Run, reward: Reward, options: Options, monitor: Monitor) -> list[DatakitError]:
    """Scores of one judge; what cannot be scored is a row of failures. Returns why a judge behind a URL could not be used.

    WorkerError where a model on this machine cannot be loaded or fails on everything.
    """
    judge = judge_name(reward)
    if isinstance(reward, LocalReward) and reward.stores_objectives:
        without = int(run.query(load_sql("missing/count_without_objectives"), {"judge": judge})["n"][0])
        if without:
            said = f"{judge}: {counted(without, 'answers')} scored before the recipe asked for objectives, and without them"
            monitor.say(said, warning=True)

    def store(chunk: Chunk) -> None:
        run.journal("scores").append(chunk.scores)
        run.journal("failures").append(chunk.failures)
        monitor.advance(judge, len(chunk.scores), len(chunk.failures), chunk.note)

    n_missing, n_there = count_scores(run, judge, options.retry_failures)
    if not n_missing:
        monitor.stage("score", {})
        return []
    try:
        if isinstance(reward, LocalReward):
            monitor.stage("score", {judge: n_missing}, there={judge: n_there})
            with closing(score_here(run, reward, options.retry_failures)) as chunks:
                for chunk in chunks:
                    store(chunk)
        else:
            scoring = RemoteScoring(run, reward, options.retry_failures, Drain(options.grace_s, monitor.say), store)
            monitor.stage("score", {judge: n_missing}, {judge: scoring.progress}, {judge: n_there})
            scoring.score(options.signals)
    except SourceStopped as stopped:
        if options.signals.received:
            raise
        return [stopped]
    finally:
        run.journal("scores").close()
        run.journal("failures").close()
    return []
