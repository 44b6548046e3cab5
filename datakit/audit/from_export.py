"""The report on folders that `datakit export` wrote."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from datakit.audit.limits import _hold
from datakit.audit.queries import _examples, _pairs, _rows
from datakit.errors import BadInput
from datakit.store import load_sql
from datakit.tables import EXPORTED, OUTCOMES, Row, Rows

SOURCE_FIELDS = (
    *("model", "revision", "type", "n", "prompts", "responses", "distinct", "most_distinct", "truncated", *OUTCOMES),
    *("no_verdict", "pass_rate", "mean_score", "mean_tokens", "mean_chars", "wanted", "failures", "pending", "pairs", "demos"),
    *("score_histogram", "chars_histogram"),
)


PAIR_FIELDS = (
    *("count", "margin_min", "margin_median", "margin_max", "chosen_longer", "chosen_longer_share", "length_ratio_geomean"),
    *("margin_histogram", "length_histogram"),
)


class _Exported:
    """The rows of one train.parquet, to ask SQL of as the table `exported`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = duckdb.connect()
        self.make_table("exported", "SELECT * FROM read_parquet($path)", {"path": glob.escape(str(path))})

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """See store.Run.query."""
        try:
            frame: pl.DataFrame = self._connection.sql(sql, params=dict(params or {})).pl()
        except duckdb.Error as error:
            raise self._unusable(error) from error
        return frame

    def make_table(self, name: str, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """See store.Run.make_table."""
        try:
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}", dict(params or {}))
        except duckdb.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: duckdb.Error) -> BadInput:
        return BadInput(f"{self._path}: not the data of an export ({str(error).splitlines()[0]}); export again: datakit export")


def _inspect_exports(folder: Path, exports: list[Path]) -> dict[str, Any]:
    manifests = [_read_manifest(path / "manifest.json") for path in exports]
    first = manifests[0]
    report: dict[str, Any] = {
        "run": {
            "kind": "export",
            "folder": str(folder),
            "domain": first.get("domain"),
            "recipe": first.get("recipe_digest"),
            "judge": first.get("judge"),
            "verifier": first.get("verifier"),
            "select": first.get("select"),
        },
        "tables": {},
        "current": {},
        "funnel": [],
        "lost": [],
        "answers": [],
        "sources": _exported_sources(manifests),
        "pairs": dict.fromkeys(PAIR_FIELDS),
        "scores": None,
        "judges": [],
        "agreement": [],
        "margins": [],
        "duplicates": None,
        "failures": [],
        "examples": [],
        "warnings": [],
    }
    for path, manifest in zip(exports, manifests, strict=True):
        _add_export(report, path, manifest)
    if len({manifest.get("recipe_digest") for manifest in manifests}) > 1:
        report["warnings"].append("sft/ and dpo/ were made with different recipes; export again: datakit export")
    return _hold(report, first.get("limits") or {})


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable manifest ({error}); export again: datakit export") from error
    if not isinstance(manifest, dict) or manifest.get("kind") not in EXPORTED:
        raise BadInput(f"{path}: not the manifest of an export (kind must be sft or dpo); export again: datakit export")
    return manifest


def _exported_sources(manifests: list[dict[str, Any]]) -> Rows:
    """One row a model, as far as the manifests know it."""
    sources: dict[str, Row] = {}
    for manifest in manifests:
        for source in manifest.get("sources") or []:
            known = {name: source.get(name) for name in ("model", "revision", "type", "n")}
            sources.setdefault(known["model"], dict.fromkeys(SOURCE_FIELDS) | known)
    return [sources[model] for model in sorted(sources)]


def _add_export(report: dict[str, Any], path: Path, manifest: dict[str, Any]) -> None:
    """Count one export's rows into the report."""
    table = EXPORTED[manifest["kind"]]
    exported = _Exported(path / "train.parquet")
    counts = {row["model"]: row["n_rows"] for row in _rows(exported, "export_sources")}
    for model in sorted(counts.keys() - {source["model"] for source in report["sources"]}):
        report["sources"].append(dict.fromkeys(SOURCE_FIELDS) | {"model": model})
    for source in report["sources"]:
        source[table] = counts.get(source["model"], 0)
    report["tables"][table] = report["current"][table] = sum(counts.values())
    if report["tables"][table] != manifest.get("rows"):
        report["warnings"].append(
            f"{path}: train.parquet has {report['tables'][table]:,} rows, its manifest says {manifest.get('rows')}; "
            "it was changed after the export"
        )
    if table == "pairs":
        exported.make_table("audit_pairs", load_sql("audit/export_pairs"))
        report["pairs"] = _pairs(exported)
        report["examples"] = _examples(exported, "export_texts")
