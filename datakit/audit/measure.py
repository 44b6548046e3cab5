"""Compute the data of the plots in a report on a run."""

from __future__ import annotations

from typing import Any

from datakit.audit.plotted import (
    Accuracy,
    Against,
    Kind,
    Latency,
    LengthCell,
    LengthMedian,
    MarginHistogram,
    Plotted,
    RankCell,
    Share,
    SideLengths,
    Solved,
    Way,
)
from datakit.audit.queries import model_numbers, rows
from datakit.recipe import Recipe
from datakit.sample.spending import spending
from datakit.select.rule import Rule
from datakit.store import Run, load_sql
from datakit.tables.intervals import clustered

ACCURACY_BINS = 10
LENGTHS, SCORES = 16, 12  # bins in the two directions of score against length
RANKS = 8  # bins for each of two judges' ranks
FEWEST = 5  # minimum answers in a bin whose median is drawn


def measure(run: Run, recipe: Recipe, rule: Rule, margins: list[MarginHistogram]) -> Plotted:
    """Return the data of the plots. Reads the tables of `make_candidates`, whole, audit_pairs and, with judges, `judged`."""
    verdicts = {"verifier": rule.verifier, "wrong": list(rule.wrong)}
    cells, medians = _by_length(run, rule) if rule.judges else ([], [])
    return Plotted(
        shares=rows(run, "source_steps", Share),
        kinds=rows(run, "verdict_kinds", Kind, verdicts) if rule.verifier else [],
        ways=rows(run, "found_ways", Way, verdicts) if rule.verifier else [],
        solved=rows(run, "solved", Solved, {"wrong": list(rule.wrong)}) if rule.verifier else [],
        matrix=rows(run, "matrix", Against),
        lengths=rows(run, "side_lengths", SideLengths),
        accuracy=_accuracy(run, rule) if rule.verifier and rule.judges else [],
        length_cells=cells,
        length_medians=medians,
        margins=margins,
        ranks=_ranks(run, rule) if len(rule.judges) > 1 else [],
        latency=rows(run, "latency", Latency),
        spending=spending(run, recipe),
    )


def _by_length(run: Run, rule: Rule) -> tuple[list[LengthCell], list[LengthMedian]]:
    judges, models = list(rule.judges), {number: model for model, number in model_numbers(run).items()}

    def cell(judge_no: int, **row: Any) -> LengthCell:
        return LengthCell(judges[judge_no - 1], **row)

    def median(judge_no: int, model_no: int, **row: Any) -> LengthMedian:
        return LengthMedian(judges[judge_no - 1], models.get(model_no), **row)

    run.make_table("length_ranges", load_sql("audit/length_ranges"))
    cells = rows(run, "length_cells", cell, {"n_lengths": LENGTHS, "n_scores": SCORES})
    return cells, rows(run, "length_medians", median, {"n_lengths": LENGTHS, "fewest": FEWEST})


def _ranks(run: Run, rule: Rule) -> list[RankCell]:
    judges = list(rule.judges)

    def cell(judge_no: int, other_no: int, **row: Any) -> RankCell:
        return RankCell(judges[judge_no - 1], judges[other_no - 1], **row)

    return rows(run, "rank_cells", cell, {"n_bins": RANKS})


def _accuracy(run: Run, rule: Rule) -> list[Accuracy]:
    judges = list(rule.judges)

    def accuracy(judge_no: int, low: float, high: float, comparisons: int, prompts: int, won: float, spread: float) -> Accuracy:
        share = won / comparisons
        ends = clustered(share, comparisons, spread, prompts)
        return Accuracy(judges[judge_no - 1], low, high, comparisons, prompts, share, *ends)

    params = {"wrong": list(rule.wrong), "any_source": rule.any_source, "n_bins": ACCURACY_BINS}
    return rows(run, "judge_accuracy", accuracy, params)
