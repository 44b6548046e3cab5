"""What a build ends with: rows exported, failures by cause, what its samples took, and what stopped it early."""

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
    """Failures of one kind, of what the recipe wants."""

    stage: str
    source: str
    error: str
    count: int
    example: str | None
    """The message of one of them."""


@dataclass(frozen=True)
class Summary:
    """What there is to say when a build has ended."""

    folder: Path
    exported: Mapping[Phase, int]
    """Rows of sft/ and dpo/; empty where this build did not come to its last stage."""
    failures: list[FailureCause]
    """The most frequent first."""
    spending: list[SourceSpent]
    stopped: list[DatakitError]
    """Why sources, judges or a budget ended the build, or their part of it, early."""
    warnings: list[str]
    """Those that `datakit inspect` shows, and the limits that are broken; only of a build that came to selection."""
    report: Report | None
    """What `datakit inspect` shows, where it was asked for."""
    behind: list[DatakitError] = field(default_factory=list)
    """What the run's mirror lacks."""


def summarise(
    run: Run,
    recipe: Recipe,
    exported: Mapping[Phase, int],
    stopped: list[DatakitError],
    selected: Rule | None,
    plots: bool = False,
) -> Summary:
    """The summary of a run as it is now. `selected`: the rule by which demos and pairs were just made, None where none were;
    `plots`: with its report."""
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
