"""The names of steps and losses for readers, on a terminal and on a page."""

from __future__ import annotations

from datakit.audit.report import Report

SERVES = "serves SFT"  # the name in sql/select/select_pairs.sql; not a loss, because the prompt's demo is used


def name_steps(report: Report) -> dict[str, str]:
    """Return the steps of the funnel, in order, with their names in this report."""
    return {
        "read": "prompts read",
        "kept": "not dropped",
        "answered": "answered",
        "judged": "a right and a wrong answer" if report.run.verifier else "an answer to choose and one to reject",
        "candidates": "that differ" if report.run.any_source else "both of one source",
        "paired": "with a pair",
    }
