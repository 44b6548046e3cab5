"""Entity F1 as a judge: a statement computes each answer's score from its verdict. No model is loaded or asked."""

from __future__ import annotations

import polars as pl

from datakit.domains import domain_of
from datakit.progress import Monitor
from datakit.store import Run, load_sql


def score_by_values(run: Run, judge: str, monitor: Monitor) -> None:
    """Store the scores that the run lacks."""
    scores = missing_f1(run, judge)
    monitor.stage("score", {judge: scores.height} if scores.height else {})
    run.append("scores", scores)
    monitor.advance(judge, scores.height, 0, "")


def missing_f1(run: Run, judge: str) -> pl.DataFrame:
    """Return the scores that the run lacks: response_id, judge, score, objectives. Delete those whose reference has changed.

    An answer without a verdict has no score: the next build verifies it.
    """
    verifier = domain_of(run.recipe()).verifier
    params = {"verifier": verifier.name if verifier is not None else "", "judge": judge}
    found = run.query(load_sql("score/find_entity_f1"), params)
    changed = found.filter("has_changed")["response_id"]
    if len(changed):
        kept = run.query("SELECT * FROM scores")
        run.replace("scores", kept.filter(~((pl.col("judge") == judge) & pl.col("response_id").is_in(changed.implode()))))
    return found.select("response_id", pl.lit(judge).alias("judge"), "score", "objectives")
