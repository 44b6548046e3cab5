"""The report on a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datakit.audit.cautions import caution
from datakit.audit.judges import describe_judges
from datakit.audit.limits import _hold
from datakit.audit.queries import N_BINS, _examples, _histogram, _pairs, _rows
from datakit.domains import domain_of
from datakit.recipe import Recipe, digest
from datakit.select.rule import Rule, diff_pairs, make_candidates, rule_of, select_demos, select_pairs
from datakit.store import Run, load_sql
from datakit.tables import Rows


def _inspect_run(folder: Path) -> dict[str, Any]:
    with Run.open(folder) as run:
        recipe = run.recipe()
        return _report(run, recipe)


def _report(run: Run, recipe: Recipe) -> dict[str, Any]:
    rule = rule_of(recipe, domain_of(recipe))
    verified, wrong = rule.verifier is not None, list(rule.wrong)
    make_candidates(run, rule)
    judging = describe_judges(run, recipe, rule)
    make_candidates(run, rule)
    for name in ("wanted", "closest", "pairs"):
        run.make_table(f"audit_{name}", load_sql(f"audit/{name}"))
    counts = _rows(run, "tables")
    report: dict[str, Any] = {
        "run": {
            "kind": "run",
            "folder": str(run.folder),
            "domain": recipe.domain,
            "recipe": digest(recipe),
            "judge": rule.judge,
            "verifier": rule.verifier,
            "select": recipe.select.model_dump(mode="json"),
        },
        "tables": {row["name"]: row["n_rows"] for row in counts},
        "current": {row["name"]: row["n_current"] for row in counts},
        "funnel": _rows(run, "funnel", {"verified": verified}),
        "lost": _rows(run, "lost"),
        "answers": _rows(run, "answers", {"verified": verified, "wrong": wrong}),
        "sources": _sources(run, wrong),
        "pairs": _pairs(run),
        "scores": _rows(run, "scores", {"judge": rule.judge, "wrong": wrong, "any_source": rule.any_source})[0],
        **judging,
        "duplicates": _rows(run, "duplicates")[0],
        "failures": _rows(run, "failures"),
        "examples": _examples(run, "example_texts"),
    }
    repeated = {row["name"]: row["n_repeated"] for row in counts if row["n_repeated"]}
    foreign = rule.foreign_window
    report["warnings"] = [*caution(report, repeated), *([foreign] if foreign else []), *_out_of_date(run, rule)]
    return _hold(report, recipe.limits.model_dump())


def _sources(run: Run, wrong: list[str]) -> Rows:
    run.make_table("amounts", load_sql("audit/source_amounts"))
    drawn = {(row["what"], row["model"]): _histogram(row) for row in _rows(run, "histograms", {"n_bins": N_BINS})}
    return [
        row
        | {
            "score_histogram": drawn.get(("score", row["model"])),
            "chars_histogram": drawn.get(("chars", row["model"])),
        }
        for row in _rows(run, "sources", {"wrong": wrong})
    ]


def _out_of_date(run: Run, rule: Rule) -> Iterator[str]:
    """Selection is a pure function, so what is stored can be held against what it gives now."""
    demos, pairs = select_demos(run, rule), select_pairs(run)
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
