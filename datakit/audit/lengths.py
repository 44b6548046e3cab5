"""The results of rules: the recipe's with and without its length control, and every point of a sweep, from one table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from datakit.audit.length_report import Lengths, LongerWins, RuleResult, SourceLengths
from datakit.audit.queries import rows
from datakit.domains import domain_of
from datakit.errors import RecipeError
from datakit.recipe import Recipe, parse
from datakit.select.kept import with_settings
from datakit.select.rule import (
    Rule,
    choose_pairs,
    mark_answers,
    match_marked,
    obeyed,
    rank_right,
    rule_in,
    search_pairs,
    select_demos,
)
from datakit.store import Run, load_sql
from datakit.tables.intervals import clustered, wilson

PROMPTS_COMPARED = 20_000


def describe_lengths(run: Run, rule: Rule) -> Lengths:
    """Return the results of the rule with and without its length control. Reads the tables of the rule and leaves them
    intact."""
    run.make_table("current_pairs", load_sql("audit/current_pairs"))
    after, sources_after = describe_rule(run, rule, {}), _source_lengths(run)
    plain = replace(rule, select=rule.select.without_lengths)
    if plain == rule:
        return Lengths(after, after, sources_after, sources_after)
    matched_anew = bool(rule.select.length_adjust or rule.select.length_tier)  # what else there is decides later
    if matched_anew:
        match_marked(run, plain)
    choose_pairs(run, plain)
    ours, theirs = rule.select.model_dump(mode="json"), plain.select.model_dump(mode="json")
    before = describe_rule(run, plain, {name: value for name, value in theirs.items() if value != ours[name]})
    sources_before = _source_lengths(run)
    if matched_anew:
        match_marked(run, rule)
    choose_pairs(run, rule)
    return Lengths(before, after, sources_before, sources_after)


def describe_rule(run: Run, rule: Rule, settings: Mapping[str, object]) -> RuleResult:
    """Return the result of the rule whose tables exist; leaves its demos as the table `tried_demos`."""
    run.keep("tried_demos", select_demos(run, rule))
    accuracy, _ = rank_right(run, rule, raw=False)

    def result(pairs: int, longer: int, **row: Any) -> RuleResult:
        share = longer / pairs if pairs else None
        low, high = wilson(share, pairs) if share is not None else (None, None)
        return RuleResult(
            settings=dict(settings),
            pairs=pairs,
            longer=longer,
            longer_share=share,
            longer_low=low,
            longer_high=high,
            judge_accuracy=accuracy,
            **row,
        )

    return rows(run, "rule_result", result)[0]


def sweep(folder: Path, settings: list[str], knobs: Sequence[str]) -> list[RuleResult]:
    """Return the results of a run's rule with the settings (`--set`), then of every combination of the knobs' values
    (`field=VALUE,VALUE` of `select`). Writes nothing. Raises RecipeError for a field or a value that a recipe cannot have.
    """
    with Run.open(folder) as run:
        recipe, _ = with_settings(run, settings)
        return _sweep(run, recipe, knobs)


def _sweep(run: Run, recipe: Recipe, given: Sequence[str]) -> list[RuleResult]:
    """Try the points on one table of answers as far as they can share it."""
    names, values = zip(*map(_values_of, given), strict=True)
    points = [{}, *(dict(zip(names, point, strict=True)) for point in itertools.product(*values))]
    rules = [rule_in(run, _with(recipe, point), domain_of(recipe)) for point in points]  # each reads the run's flags again
    found: list[RuleResult] = []
    marked: tuple[object, ...] | None = None
    for point, rule in zip(points, rules, strict=True):
        if (rule.judge, rule.select.pairing, rule.select.target) != marked:
            mark_answers(run, rule)
            marked = rule.judge, rule.select.pairing, rule.select.target
        match_marked(run, rule)
        choose_pairs(run, rule)
        if not found:
            run.make_table("current_pairs", load_sql("audit/current_pairs"))
        found.append(describe_rule(run, rule, point))
    return found


def longer_wins(run: Run, rule: Rule) -> list[LongerWins]:
    """Return how often the longer of two answers scores higher: a measure of a judge's preference for length."""

    def row(among: str, comparisons: int, wins: int, prompts: int, spread: float) -> LongerWins:
        low, high = clustered(wins / comparisons, comparisons, spread, prompts)
        return LongerWins(among, comparisons, wins, wins / comparisons, low, high)

    by_source, verified = not rule.any_source, rule.verifier is not None
    return rows(run, "longer_wins", row, {"by_source": by_source, "verified": verified, "most": PROMPTS_COMPARED})


def find_feasible(run: Run, rule: Rule) -> None:
    """Make the temporary table `feasible`: prompts without a pair (audit_closest) that have one that would obey the window and
    the rules about lengths."""
    lost = "SELECT m.* FROM matched AS m INNER JOIN audit_closest AS c ON m.prompt_no = c.prompt_no WHERE NOT c.paired"
    search_pairs(run, {**rule.matching, **obeyed(run, rule), "rules": True}, lost)
    run.make_table("feasible", "SELECT DISTINCT prompt_no FROM found WHERE pair IS NOT NULL")


def _source_lengths(run: Run) -> list[SourceLengths]:
    return rows(run, "source_lengths", SourceLengths)


def _values_of(text: str) -> tuple[str, list[Any]]:
    """Return the field and the values of one --sweep."""
    field, equals, listed = text.partition("=")
    try:
        values = yaml.safe_load(f"[{listed}]")
    except yaml.YAMLError as error:
        raise RecipeError(f"--sweep {text}: '{listed}' is not a list of YAML values") from error
    if not equals or not values:
        raise RecipeError(f"--sweep {text}: write it as FIELD=VALUE,VALUE with a field of select, e.g. length_ratio_max=1.5,2")
    return field.strip().removeprefix("select."), values


def _with(recipe: Recipe, point: Mapping[str, object]) -> Recipe:
    values = recipe.model_dump(mode="json")
    values["select"] |= point
    return parse(values, name="--sweep", folder=recipe.folder)
