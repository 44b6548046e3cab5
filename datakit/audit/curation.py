"""Describe what curation did to the prompts of a run."""

from __future__ import annotations

from datakit.audit.plotted import Histogram
from datakit.audit.queries import rows
from datakit.audit.report import Cluster, Curation, CurationReason, Overlap
from datakit.store import Run

SAMPLES = 10  # prompts per reason
N_BINS = 10


def describe_curation(run: Run) -> Curation | None:
    """Return what curation did; None if the recipe has no rule that drops prompts."""
    if not run.recipe().curate.prompts:
        return None
    before, after = run.query(
        "SELECT count(*), count(*) FILTER (WHERE dropped IS NULL) FROM prompts "
        "WHERE dropped IS NULL OR dropped IN (SELECT reason FROM overlaps)"
    ).row(0)
    reasons = rows(run, "curation_reasons", CurationReason)
    return Curation(
        before=before,
        after=after,
        reasons=[reason for reason in reasons if reason.drops],
        noted=[reason for reason in reasons if not reason.drops],
        clusters=rows(run, "curation_clusters", Cluster),
        nearest=rows(run, "curation_nearest", Histogram, {"n_bins": N_BINS})[0] if run.recipe().curate.benchmarks else None,
        samples=rows(run, "curation_samples", Overlap, {"most": SAMPLES}),
    )
