"""The report on a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from datakit.audit.cautions import caution
from datakit.audit.curation import describe_curation
from datakit.audit.judges import describe_judges, margins_by_judge
from datakit.audit.lengths import describe_lengths, find_feasible, longer_wins
from datakit.audit.limits import hold
from datakit.audit.measure import measure
from datakit.audit.queries import A_FEW, Shown, describe_pairs, examples, histograms, model_numbers, rows
from datakit.audit.report import (
    Duplicates,
    Ending,
    Failure,
    Flagged,
    Loss,
    LostCandidates,
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
from datakit.select.rule import Rule, diff_pairs, rank_right, rule_in, rule_warnings, select_demos, select_pairs
from datakit.store import Run, load_sql
from datakit.tables import Row


def inspect_run(run: Run, plots: bool = True, shown: Shown = A_FEW) -> Report:
    """`plots`: with what they are drawn of."""
    recipe = run.recipe()
    rule = rule_in(run, recipe, domain_of(recipe))
    margins, histograms_of_margins = margins_by_judge(run, rule)
    judges, agreement = describe_judges(run, recipe, rule)
    lengths = describe_lengths(run, rule)
    find_feasible(run, rule)
    for name in ("missing", "closest", "pairs"):
        run.make_table(f"audit_{name}", load_sql(f"audit/{name}"))
    plotted = measure(run, recipe, rule, histograms_of_margins) if plots else None
    counts = run.query(load_sql("audit/tables")).rows_by_key("name", named=True, unique=True)
    report = replace(
        _describe(run, recipe, rule, shown),
        tables={name: row["n_rows"] for name, row in counts.items()},
        current={name: row["n_current"] for name, row in counts.items()},
        judges=judges,
        agreement=agreement,
        margins=margins,
        plotted=plotted,
        lengths=lengths,
        longer_wins=longer_wins(run, rule) if rule.judge is not None else [],
    )
    repeated = {name: row["n_repeated"] for name, row in counts.items() if row["n_repeated"]}
    selected = rule_warnings(run, rule, report.tables["demos"], report.tables["pairs"])
    warnings = [*caution(report, repeated), *selected, *_out_of_date(run, rule)]
    return replace(report, warnings=warnings, limits=hold(report, recipe.limits.model_dump()))


def _describe(run: Run, recipe: Recipe, rule: Rule, shown: Shown) -> Report:
    """All that is no count of tables and not about judges."""
    verified, wrong = rule.verifier is not None, list(rule.wrong)
    drawn, models = histograms(run, "source_amounts"), model_numbers(run)

    def score(**row: Any) -> Scores:
        accuracy, comparisons = rank_right(run, rule)
        return Scores(**row, ranking_accuracy=accuracy, comparisons=comparisons)

    def step(step: str, prompts: int, lost: list[Row]) -> Step:
        return Step(step, prompts, [Loss(**loss) for loss in lost])

    def source(model: str, endings: list[Row], residue: list[Row], **row: Any) -> Source:
        score, chars = drawn.get(("score", models[model])), drawn.get(("chars", models[model]))
        named = [Ending(**ending) for ending in endings]
        found = [Residue(**one) for one in residue]
        return Source(model, **row, endings=named, residue=found, score_histogram=score, chars_histogram=chars)

    return Report(
        run=Subject(
            kind="run",
            folder=str(run.folder),
            domain=recipe.domain,
            recipe=digest(recipe),
            judge=rule.judge,
            verifier=rule.verifier,
            select=recipe.select.model_dump(mode="json"),
        ),
        tables={},
        current={},
        curation=describe_curation(run),
        funnel=rows(run, "funnel", step, {"verified": verified, "wrong": wrong}),
        lost=rows(run, "lost", LostCandidates),
        answers=rows(run, "answers", Use, {"verified": verified, "wrong": wrong}),
        flags=rows(run, "flagged", lambda **row: Flagged(recipe.select.flags == "obey", **row))[0],
        sources=rows(run, "sources", source, {"wrong": wrong}),
        pairs=describe_pairs(run),
        scores=rows(run, "scores", score, {"judge": rule.judge})[0],
        duplicates=rows(run, "duplicates", Duplicates)[0],
        failures=rows(run, "failures", Failure),
        examples=examples(run, "example_texts", shown, "pairs_with_texts"),
    )


def _out_of_date(run: Run, rule: Rule) -> Iterator[str]:
    """Selection is a pure function, so what is stored can be held against what it gives now."""
    demos, pairs = select_demos(run, rule), select_pairs(run, rule)
    if not run.parts("pairs") or not run.parts("demos"):
        if demos.height or pairs.height:
            yield (
                f"nothing is selected yet: the rule would give {demos.height:,} demos and {pairs.height:,} pairs; "
                "finish the build, or run datakit select"
            )
        return
    changes = diff_pairs(run.frame("pairs"), pairs).height
    key = ["prompt_id", "response_id"]
    stored = run.frame("demos")
    changes += stored.join(demos, on=key, how="anti").height + demos.join(stored, on=key, how="anti").height
    if changes:
        yield (
            f"the stored demos and pairs are out of date: {changes:,} of them differ from what the rule selects now; "
            "finish the build, or run datakit select"
        )
