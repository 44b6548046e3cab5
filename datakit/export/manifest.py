"""The description of an export for programs: manifest.json of each phase, and one over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import polars as pl

from datakit.errors import DISTRIBUTION
from datakit.export.given import Given
from datakit.tables import Row
from datakit.tables import digest as digest_of

_LENGTHS = ("prompt_chars", "completion_chars", "chosen_chars", "rejected_chars", "source_chosen_chars",
            "completion_tokens", "chosen_tokens", "rejected_tokens", "source_chosen_tokens")  # fmt: skip


def phase_manifest(
    kind: str, splits: Mapping[str, pl.DataFrame], columns: Sequence[str], given: Sequence[Given], format: str
) -> Row:
    """Return the manifest of one phase's folder: its contents and how they were made. `kind`: sft, dpo, wrpo or kto; `splits`:
    the rows without their texts; `columns`: the written columns, in order.

    With several runs, `runs` holds one entry per run, with the fields that a single run has at top level.
    """
    rows = pl.concat(splits.values())
    train = splits["train"]
    held = {"test_rows": splits["test"].height} if "test" in splits else {}
    made: Row = given[0].facts_of(rows)
    if len(given) > 1:
        of_run = {one.name: rows.filter(pl.col("run") == one.name) for one in given}
        runs = [{"name": one.name, "rows": of_run[one.name].height, **one.facts_of(of_run[one.name])} for one in given]
        made = {"recipe_digest": digest_of(*(one.facts["recipe_digest"] for one in given))[:16], "runs": runs}
    return {
        "kind": kind,
        "rows": train.height,
        **held,
        "columns": list(columns),
        "format": format,
        **made,
        "lengths": _lengths(rows),
        "versions": _versions(),
        "created": _now(),
    }


def whole_manifest(phases: Mapping[str, Row], given: Sequence[Given], choices: Row) -> Row:
    """Return the manifest over all phases and runs. `choices`: the options of the export, and what was left out."""
    return {
        "kind": "export",
        "phases": {kind: {name: made[name] for name in ("rows", "test_rows") if name in made} for kind, made in phases.items()},
        "runs": [
            {"name": one.name, "domain": one.facts["domain"], "recipe_digest": one.facts["recipe_digest"],
             "rows": {kind: _rows_of(made, one.name) for kind, made in phases.items()}}
            for one in given
        ],
        **choices,
        "versions": _versions(),
        "created": _now(),
    }  # fmt: skip


def runs_of(manifest: Row) -> list[Row]:
    """Return the facts of each run in a phase's manifest."""
    runs: list[Row] = manifest.get("runs") or [manifest]
    return runs


def _rows_of(manifest: Row, name: str) -> int:
    named = {run["name"]: run["rows"] for run in manifest.get("runs", ())}
    return int(named.get(name, manifest["rows"] + manifest.get("test_rows", 0)))


def _lengths(rows: pl.DataFrame) -> Row:
    """Return the median, the 95th percentile and the maximum of each kind of length; kinds that no row has are left out."""
    lengths = {}
    for name in _LENGTHS:
        if name in rows.columns and rows[name].count():
            column = rows[name]
            lengths[name] = {"median": column.median(), "p95": column.quantile(0.95, "nearest"), "max": column.max()}
    return lengths


def _versions() -> Row:
    return {name: version(name) for name in (DISTRIBUTION, "duckdb", "polars", "math-verify")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
