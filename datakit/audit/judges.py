"""What `datakit inspect` says of the judges: all that the recipe wants, not only the one that selects.

Their scores by source, how far they agree, and what margins each of them would give the rule: what is needed to choose a judge
and a window with open eyes.
"""

from __future__ import annotations

from functools import partial

from datakit.audit.queries import histograms, rows
from datakit.audit.report import Agreement, Judge, JudgeScores, Margins
from datakit.recipe import MEAN_RANK, Recipe
from datakit.select.rule import Rule, margin_window, match_answers
from datakit.store import Run, load_sql


def describe_judges(run: Run, recipe: Recipe, rule: Rule) -> tuple[list[Judge], list[Agreement]]:
    """What each judge's scores are like, and how far each two agree. Reads the table `answers`."""
    names = list(rule.judges)
    if not names:
        return [], []
    run.make_table("judged", load_sql("audit/judged"), {"judges": names})
    drawn = histograms(run, "judge_amounts")
    params = {"judges": names, "wrong": list(rule.wrong), "any_source": rule.any_source}
    described = rows(
        run,
        "judges",
        lambda judge, model, **row: JudgeScores(judge, model, **row, score_histogram=drawn.get((judge, model))),
        params,
    )
    failures = dict(
        run.query("SELECT source, count(*) FROM current_failures WHERE stage = 'score' GROUP BY source").iter_rows()
    )
    found = [
        Judge(
            **vars(whole),
            type=rule.judges[whole.judge],
            imported=whole.judge in recipe.imported_judges.values(),
            selects=rule.judge in (whole.judge, MEAN_RANK),
            failures=failures.get(whole.judge, 0),
            sources=[part for part in described if part.judge == whole.judge and part.model is not None],
        )
        for whole in described
        if whole.model is None
    ]
    return found, rows(run, "agreement", Agreement, {"judges": names}) if len(names) > 1 else []


def margins_by_judge(run: Run, rule: Rule) -> list[Margins]:
    """What each judge would give the rule, held against the rule's window. Leaves the table `answers` of the last judge."""
    names, found = list(rule.judges), []
    for judge in (*names, *([MEAN_RANK] if len(names) > 1 else [])):
        match_answers(run, rule, judge)
        low, high = margin_window(run, rule)
        found += rows(run, "judge_margins", partial(Margins, judge), {"low": low, "high": high})
    return found
