"""Compare the report's numbers with the recipe's limits."""

from __future__ import annotations

from collections.abc import Mapping

from datakit.audit.report import Limit, Report
from datakit.wording import number

LIMITED = {  # limit -> the number that it bounds; min_ from below, max_ from above
    "min_pairs": "pairs",
    "min_demos": "demos",
    "max_chosen_longer_share": "chosen_longer_share",
    "max_truncated_share": "truncated_share",
    "max_failure_share": "failure_share",
    "min_judge_accuracy": "judge_accuracy",
}


def hold(report: Report, limits: Mapping[str, float | None]) -> list[Limit]:
    """Return every limit that is set, except those on numbers that are unknown here (an export has no responses)."""
    sources = report.sources
    values = {
        "pairs": report.tables.get("pairs"),
        "demos": report.tables.get("demos"),
        "chosen_longer_share": report.pairs.chosen_longer_share,
        "truncated_share": _share([(source.truncated, source.responses) for source in sources]),
        "failure_share": _share([(source.failures, source.wanted) for source in sources]),
        "judge_accuracy": report.scores.ranking_accuracy if report.scores is not None else None,
    }
    known = set(values)
    if report.run.kind == "export":
        known = {*report.tables, *(["chosen_longer_share"] if "pairs" in report.tables else [])}
    held = []
    for name, measured in LIMITED.items():
        value, limit = values[measured], limits.get(name)
        if limit is not None and measured in known:
            within = value is None or (value >= limit if _is_least(name) else value <= limit)
            held.append(Limit(name, value, limit, within))
    return held


def name_broken(limits: list[Limit]) -> list[str]:
    """Return a sentence for each broken limit.

    >>> name_broken([Limit("min_pairs", 8, 1000, False), Limit("min_demos", 4, 1, True)])
    ['limit broken: min_pairs is 8, must be at least 1,000']
    """
    broken = [limit for limit in limits if not limit.ok]
    return [f"limit broken: {limit.name} is {number(limit.value)}, must be {_bound(limit)}" for limit in broken]


def verdict(limit: Limit) -> str:
    """Return `ok`, or the side of a broken limit on which the number is."""
    return "ok" if limit.ok else "BELOW" if _is_least(limit.name) else "ABOVE"


def said(limit: Limit) -> str:
    """Return the limit as text: "min_pairs: 8, at least 1,000"."""
    return f"{limit.name}: {number(limit.value)}, {_bound(limit)}"


def _bound(limit: Limit) -> str:
    return f"{'at least' if _is_least(limit.name) else 'at most'} {number(limit.limit)}"


def _is_least(name: str) -> bool:
    return name.startswith("min_")


def _share(counts: list[tuple[int | None, int | None]]) -> float | None:
    """Return the sum of the parts divided by the sum of the wholes."""
    whole = sum(whole or 0 for _, whole in counts)
    return sum(part or 0 for part, _ in counts) / whole if whole else None
