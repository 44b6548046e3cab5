"""The report on a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from datakit.audit.cautions import caution
from datakit.audit.curation import describe_curation
from datakit.audit.judges import describe_agreement, describe_judges, margins_by_judge
from datakit.audit.lengths import describe_lengths, find_feasible, longer_wins
from datakit.audit.limits import hold
from datakit.audit.measure import measure
from datakit.audit.plotted import Histogram
from datakit.audit.queries import A_FEW, Shown, describe_pairs, examples, histograms, model_numbers, rows
from datakit.audit.report import (
    NO_PAIRS,
    Duplicates,
    Ending,
    Failure,
    Flagged,
    Judge,
    Limit,
    Loss,
    LostCandidates,
    Noted,
    Report,
    Residue,
    Scores,
    Source,
    Step,
    Subject,
    Use,
)
from datakit.domains import domain_of
from datakit.recipe import Recipe, digest
from datakit.select.changes import find_changes, hold_selected, hold_stored
from datakit.select.rule import (
    Rule,
    make_candidates,
    rule_in,
    rule_warnings,
)
from datakit.store import Run, load_sql
from datakit.tables import Row
from datakit.tables.intervals import clustered
from datakit.wording import counted

_SMALL_VIEWS = ("numbered_sources", "current_failures", "current_flags")


def inspect_run(run: Run, plots: bool = True, shown: Shown = A_FEW) -> Report:
    """Return the report on a run. `plots`: include the data of the plots."""
    recipe = run.recipe()
    run.hold(*_SMALL_VIEWS)
    rule = rule_in(run, recipe, domain_of(recipe))
    margins, histograms_of_margins = margins_by_judge(run, rule)
    judges = describe_judges(run, recipe, rule)
    lengths = describe_lengths(run, rule)
    report, warnings = _look(run, recipe, rule, judges, histograms(run, "source_amounts"))
    find_feasible(run, rule)
    run.make_table("audit_pairs", load_sql("audit/pairs"))
    verified, wrong = rule.verifier is not None, list(rule.wrong)
    return replace(
        report,
        curation=describe_curation(run),
        lost=rows(run, "lost", LostCandidates),
        answers=rows(run, "answers", Use, {"verified": verified, "wrong": wrong}),
        flags=rows(run, "flagged", lambda **row: Flagged(recipe.select.flags == "obey", **row))[0],
        pairs=(pairs := describe_pairs(run)),
        agreement=describe_agreement(run, rule),
        margins=margins,
        plotted=measure(run, recipe, rule, histograms_of_margins) if plots else None,
        lengths=lengths,
        longer_wins=longer_wins(run, rule) if rule.judge is not None else [],
        examples=examples(run, "example_texts", shown, "pairs_with_texts"),
        warnings=[*warnings, *_out_of_date(run, rule)],
        limits=hold(replace(report, pairs=pairs), recipe.limits.model_dump()),
    )


def look_back(run: Run, selected: Rule | None = None) -> tuple[list[str], list[Limit]]:
    """Return the warnings and the limits of `inspect_run` on what was just selected, without what only a report shows.

    `selected`: the rule that selected, if its tables (answers with all columns) still exist.
    """
    recipe = run.recipe()
    run.hold(*_SMALL_VIEWS)
    rule = rule_in(run, recipe, domain_of(recipe))
    if selected != rule or not selected.excluded.equals(rule.excluded):
        make_candidates(run, rule, whole=True)
    report, warnings = _look(run, recipe, rule, describe_judges(run, recipe, rule, drawn=False), {})
    run.make_table("audit_pairs", load_sql("audit/pairs"))
    limits = hold(replace(report, pairs=describe_pairs(run, drawn=False)), recipe.limits.model_dump())
    flagged = run.query("SELECT 1 FROM current_flags LIMIT 1").height  # flags may have been added since
    return [*warnings, *(_out_of_date(run, rule) if flagged else ())], limits


def _look(
    run: Run, recipe: Recipe, rule: Rule, judges: list[Judge], drawn: Mapping[tuple[str | int, int | None], Histogram]
) -> tuple[Report, list[str]]:
    """Return the part of the report that warnings depend on, and the warnings. Reads the tables of `make_candidates`."""
    verified, wrong, models = rule.verifier is not None, list(rule.wrong), model_numbers(run)
    for name in ("missing", "closest"):
        run.make_table(f"audit_{name}", load_sql(f"audit/{name}"))
    counts = run.query(load_sql("audit/tables")).rows_by_key("name", named=True, unique=True)

    def step(step: str, prompts: int, lost: list[Row]) -> Step:
        return Step(step, prompts, [Loss(**loss) for loss in lost])

    def source(model: str, endings: list[Row], residue: list[Row], **row: Any) -> Source:
        score, chars = drawn.get(("score", models[model])), drawn.get(("chars", models[model]))
        named, found = [Ending(**ending) for ending in endings], [Residue(**one) for one in residue]
        return Source(model, **row, endings=named, residue=found, score_histogram=score, chars_histogram=chars)

    report = Report(
        run=Subject(
            kind="run",
            folder=str(run.folder),
            domain=recipe.domain,
            recipe=digest(recipe),
            judge=rule.judge,
            verifier=rule.verifier,
            select=recipe.select.model_dump(mode="json"),
        ),
        tables={name: row["n_rows"] for name, row in counts.items()},
        current={name: row["n_current"] for name, row in counts.items()},
        funnel=rows(run, "funnel", step, {"verified": verified, "wrong": wrong}),
        sources=rows(run, "sources", source, {"wrong": wrong}),
        pairs=NO_PAIRS,
        scores=_scores(run, rule),
        judges=judges,
        duplicates=rows(run, "duplicates", Duplicates)[0],
        failures=rows(run, "failures", Failure),
        examples=[],
        notes=[Noted(**row) for row in run.frame("notes").to_dicts()],
    )
    repeated = {name: row["n_repeated"] for name, row in counts.items() if row["n_repeated"]}
    selected = rule_warnings(run, rule, report.tables["demos"], report.tables["pairs"])
    return report, [*caution(report, repeated), *selected]


def _scores(run: Run, rule: Rule) -> Scores:
    """Reads the table `answers`."""
    n, prompts, won, spread = run.query(load_sql("audit/ranking"), {"by_source": not rule.any_source}).row(0)
    known = n > 0 and rule.verifier is not None
    low, high = clustered(won / n, n, spread, prompts) if known else (None, None)
    ranked: Row = {"ranking_accuracy": won / n if known else None, "accuracy_low": low, "accuracy_high": high}
    [scores] = rows(run, "scores", partial(Scores, **ranked, comparisons=n if known else 0), {"judge": rule.judge})
    return scores


def _out_of_date(run: Run, rule: Rule) -> Iterator[str]:
    """Yield a warning if the stored pairs or demos differ from what the rule selects now (selection is a pure function)."""
    hold_stored(run)
    hold_selected(run, rule)
    if not run.parts("pairs") or not run.parts("demos"):
        demos, pairs = run.query("SELECT (SELECT count(*) FROM after_demos), (SELECT count(*) FROM after_pairs)").row(0)
        if demos or pairs:
            yield (
                f"nothing is selected yet: the rule would give {counted(demos, 'demos')} and "
                f"{counted(pairs, 'pairs')}; finish the build, or run datakit select"
            )
    elif changes := find_changes(run):
        yield (
            f"the stored demos and pairs are out of date: {counted(changes, 'changes')} against what the rule selects now; "
            "finish the build, or run datakit select"
        )
