"""What `datakit inspect` says of the judges: all that the recipe wants, not only the one that selects.

Their scores by source, how far they agree, and what margins each of them would give the rule: what is needed to choose a judge
and a window with open eyes.
"""

from __future__ import annotations

from datakit.recipe import MEAN_RANK, Recipe
from datakit.select.rule import Rule, margin_window, match_answers
from datakit.store import Run, load_sql
from datakit.tables import Row, Rows

N_BINS = 9


def describe_judges(run: Run, recipe: Recipe, rule: Rule) -> Row:
    """`judges`, `agreement` and `margins` of the report. Reads the table `answers`, and leaves those of the last judge."""
    names = list(rule.judges)
    run.make_table("judged", load_sql("audit/judged"), {"judges": names})
    return {
        "judges": _described(run, recipe, rule) if names else [],
        "agreement": run.query(load_sql("audit/agreement"), {"judges": names}).to_dicts() if len(names) > 1 else [],
        "margins": [_margins(run, rule, judge) for judge in (*names, *([MEAN_RANK] if len(names) > 1 else []))],
    }


def _described(run: Run, recipe: Recipe, rule: Rule) -> Rows:
    """One row a judge over all sources, with the rows of its sources in `sources`."""
    run.make_table("amounts", load_sql("audit/judge_amounts"))
    histograms = {
        (row["what"], row["model"]): {"edges": row["edges"], "counts": row["counts"]}
        for row in run.query(load_sql("audit/histograms"), {"n_bins": N_BINS}).to_dicts()
    }
    failed = run.query("SELECT source, count(*) FROM current_failures WHERE stage = 'score' GROUP BY source")
    failures = dict(failed.iter_rows())
    params = {"judges": list(rule.judges), "wrong": list(rule.wrong), "any_source": rule.any_source}
    rows = run.query(load_sql("audit/judges"), params).to_dicts()
    for row in rows:
        row["score_histogram"] = histograms.get((row["judge"], row["model"]))
    return [
        row
        | {
            "type": rule.judges[row["judge"]],
            "imported": row["judge"] in recipe.imported_judges.values(),
            "selects": rule.judge in (row["judge"], MEAN_RANK),
            "failures": failures.get(row["judge"], 0),
            "sources": [source for source in rows if source["judge"] == row["judge"] and source["model"] is not None],
        }
        for row in rows
        if row["model"] is None
    ]


def _margins(run: Run, rule: Rule, judge: str) -> Row:
    """The margins of the candidates if this judge selected, held against the recipe's window."""
    match_answers(run, rule, judge)
    low, high = margin_window(run, rule)
    return {"judge": judge} | run.query(load_sql("audit/judge_margins"), {"low": low, "high": high}).row(0, named=True)
