"""The summary at the end of a build: rows exported, failures by cause, what its samples took, and what stopped it early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datakit.audit.from_run import inspect_run, look_back
from datakit.audit.limits import name_broken
from datakit.audit.report import Report
from datakit.errors import DatakitError
from datakit.recipe import Recipe
from datakit.sample.spending import SourceSpent, spending
from datakit.select.rule import Rule
from datakit.store import Run
from datakit.tables import Phase


@dataclass(frozen=True)
class FailureCause:
    """Failures of one kind, among what the recipe wants."""

    stage: str
    source: str
    error: str
    count: int
    example: str | None
    """The message of one of them."""


@dataclass(frozen=True)
class Summary:
    """The summary of a build."""

    folder: Path
    exported: Mapping[Phase, int]
    """The numbers of rows in sft/ and dpo/; empty if this build did not reach its last stage."""
    failures: list[FailureCause]
    """The most frequent first."""
    spending: list[SourceSpent]
    stopped: list[DatakitError]
    """The errors of sources, judges or a budget that ended the build, or their part of it, early."""
    warnings: list[str]
    """The warnings of `datakit inspect` and the broken limits; only for a build that reached selection."""
    report: Report | None
    """The report of `datakit inspect`, if it was asked for."""
    behind: list[DatakitError] = field(default_factory=list)
    """The errors of what the run's mirror lacks."""


def summarise(
    run: Run,
    recipe: Recipe,
    exported: Mapping[Phase, int],
    stopped: list[DatakitError],
    selected: Rule | None,
    plots: bool = False,
) -> Summary:
    """Return the summary of a run as it is now. `selected`: the rule that has just made demos and pairs, None if none were
    made; `plots`: with its report."""
    run.hold("current_failures")
    causes = run.query(
        "SELECT stage, source, error, count(*) AS count, any_value(message) AS example "
        "FROM current_failures GROUP BY ALL ORDER BY count DESC"
    )
    failures = [FailureCause(**row) for row in causes.iter_rows(named=True)]
    report = inspect_run(run) if selected is not None and plots else None
    warnings, limits = look_back(run, selected) if selected is not None and report is None else ([], [])
    if report is not None:
        warnings, limits = report.warnings, report.limits
    return Summary(run.folder, exported, failures, spending(run, recipe), stopped, [*warnings, *name_broken(limits)], report)
