"""The report's numbers held against the recipe's limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LIMITED = {  # limit -> the number it holds; min_ is a least value, max_ a greatest one
    "min_pairs": "pairs",
    "min_demos": "demos",
    "max_chosen_longer_share": "chosen_longer_share",
    "max_truncated_share": "truncated_share",
    "max_failure_share": "failure_share",
}


def _hold(report: dict[str, Any], limits: Mapping[str, float | None]) -> dict[str, Any]:
    """Add `limits` and `ok`. A number that cannot be known here (an export has no responses) is not held to anything."""
    values = {
        "pairs": report["tables"].get("pairs"),
        "demos": report["tables"].get("demos"),
        "chosen_longer_share": report["pairs"]["chosen_longer_share"],
        "truncated_share": _share(report, "truncated", "responses"),
        "failure_share": _share(report, "failures", "wanted"),
    }
    report["limits"] = [
        {"name": name, "value": values[number], "limit": limits[name], "ok": _within(name, values[number], limits[name])}
        for name, number in LIMITED.items()
        if limits.get(name) is not None and _known(report, number)
    ]
    report["ok"] = all(limit["ok"] for limit in report["limits"])
    return {key: _plain(value) for key, value in report.items()}


def _known(report: dict[str, Any], number: str) -> bool:
    if report["run"]["kind"] == "run":
        return True
    return number in report["tables"] or (number == "chosen_longer_share" and "pairs" in report["tables"])


def _within(name: str, value: float | None, limit: float | None) -> bool:
    if value is None or limit is None:
        return True
    return value >= limit if name.startswith("min_") else value <= limit


def _share(report: dict[str, Any], part: str, whole: str) -> float | None:
    total = sum(source[whole] or 0 for source in report["sources"])
    return sum(source[part] or 0 for source in report["sources"]) / total if total else None


def _plain(value: Any) -> Any:
    """The same without numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
