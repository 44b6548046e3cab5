"""The part of `datakit inspect` about the judges: all that the recipe wants, not only the one that selects.

Their scores by source, how far they agree, and the margins that each would produce: what one needs to choose a judge and a
window.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from datakit.audit.plotted import MarginHistogram
from datakit.audit.queries import histograms, model_numbers, rows
from datakit.audit.report import Agreement, Judge, JudgeScores, Margins
from datakit.recipe import MEAN_RANK, Recipe
from datakit.select.rule import Rule, make_candidates, margin_window, match_answers
from datakit.store import Run, load_sql

MARGIN_BINS = 20


def describe_judges(run: Run, recipe: Recipe, rule: Rule, drawn: bool = True) -> list[Judge]:
    """Return statistics of each judge's scores. `drawn`: with histograms. Reads the table `answers`, makes `judged`."""
    names = list(rule.judges)
    if not names:
        return []
    run.make_table("judged", load_sql("audit/judged"), {"judges": names})
    histograms_of, models = (histograms(run, "judge_amounts"), model_numbers(run)) if drawn else ({}, {})
    params = {"judges": names, "wrong": list(rule.wrong), "any_source": rule.any_source}
    described = rows(
        run,
        "judges",
        lambda judge, model, **row: JudgeScores(
            judge, model, **row, score_histogram=histograms_of.get((names.index(judge) + 1, models.get(model)))
        ),
        params,
    )
    failures = dict(
        run.query("SELECT source, count(*) FROM current_failures WHERE stage = 'score' GROUP BY source").iter_rows()
    )
    return [
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


def describe_agreement(run: Run, rule: Rule) -> list[Agreement]:
    """Return how far each two judges agree. Reads the table `judged`."""
    return rows(run, "agreement", Agreement, {"judges": list(rule.judges)}) if len(rule.judges) > 1 else []


def margins_by_judge(run: Run, rule: Rule) -> tuple[list[Margins], list[MarginHistogram]]:
    """Return the margins that each judge would produce, compared with the rule's window.

    Makes the tables of `make_candidates`, whole.
    """
    names = list(rule.judges)
    every = (*names, *([MEAN_RANK] if len(names) > 1 else []))
    found: dict[str, list[Margins]] = {}
    drawn: dict[str, list[MarginHistogram]] = {}
    models: dict[int | None, str | None] = {number: model for model, number in model_numbers(run).items()}
    for judge in sorted(every, key=lambda judge: judge == rule.judge):  # its tables are what stays
        if judge != rule.judge:
            match_answers(run, replace(rule, judge=judge, select=rule.select.without_lengths))
        else:
            make_candidates(run, rule, whole=True)
        low, high = margin_window(run, rule)
        found[judge] = rows(run, "judge_margins", partial(Margins, judge), {"low": low, "high": high})
        bins = histograms(run, "margin_amounts", MARGIN_BINS)
        drawn[judge] = [MarginHistogram(judge, models.get(number), histogram) for (_, number), histogram in bins.items()]
    if not every:
        make_candidates(run, rule, whole=True)
    return [one for judge in every for one in found[judge]], [one for judge in every for one in drawn[judge]]
