"""What is in a run or an export, as one plain dict: `datakit inspect`. report.py draws it.

Every number comes from one of sql/audit_*.sql; here they are put together and held against the recipe's limits. A number that
does not exist is None, never NaN.
"""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import duckdb
import polars as pl

from datakit.cautions import caution
from datakit.domains import domain_of
from datakit.errors import BadInput, RunError
from datakit.judging import judge_judges
from datakit.recipe import Recipe, digest
from datakit.rewards.judges import chosen_judge, foreign_window
from datakit.select.rule import diff_pairs, judge_answers, select_demos, select_pairs
from datakit.store import Run, load_sql
from datakit.tables import OUTCOMES, Row, Rows

N_BINS = 9
EXPORTS = {"sft": "demos", "dpo": "pairs"}
LIMITED = {  # limit -> the number it holds; min_ is a least value, max_ a greatest one
    "min_pairs": "pairs",
    "min_demos": "demos",
    "max_chosen_longer_share": "chosen_longer_share",
    "max_truncated_share": "truncated_share",
    "max_failure_share": "failure_share",
}
SOURCE_FIELDS = (
    *("model", "revision", "type", "n", "prompts", "responses", "distinct", "most_distinct", "truncated", *OUTCOMES),
    *("no_verdict", "pass_rate", "mean_score", "mean_tokens", "mean_chars", "wanted", "failures", "pending", "pairs", "demos"),
    *("score_histogram", "chars_histogram"),
)
PAIR_FIELDS = (
    *("count", "margin_min", "margin_median", "margin_max", "chosen_longer", "chosen_longer_share", "length_ratio_geomean"),
    *("margin_histogram", "length_histogram"),
)


class Queries(Protocol):
    """What SQL can be asked of: store.Run, and the one file of an export."""

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """The rows of one SELECT."""
        ...

    def make_table(self, name: str, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Keep the rows of a SELECT as a temporary table."""
        ...


def inspect(folder: Path) -> dict[str, Any]:
    """The report on a run folder, an export (sft/ or dpo/), or a folder that holds exports.

    BadInput for anything else.
    """
    if (folder / "recipe.json").is_file():
        return _inspect_run(folder)
    exports = [path for path in (folder, *(folder / kind for kind in EXPORTS)) if (path / "manifest.json").is_file()]
    if exports:
        return _inspect_exports(folder, exports)
    what = "there is no such folder" if not folder.exists() else "neither a run (recipe.json) nor an export (manifest.json)"
    raise BadInput(
        f"{folder}: {what}; give the folder that 'datakit build --out' or 'datakit export' wrote (by default runs/<domain>)"
    )


# --------------------------------------------------------------------------------------------------------------------- runs


def _inspect_run(folder: Path) -> dict[str, Any]:
    with Run.open(folder) as run:
        recipe = run.recipe()
        if recipe is None:
            raise RunError(f"{folder}: recipe.json went away while it was read")
        return _report(run, recipe)


def _report(run: Run, recipe: Recipe) -> dict[str, Any]:
    domain, judge = domain_of(recipe), chosen_judge(recipe)
    verified, wrong = domain.verifier is not None, sorted(domain.wrong)
    any_source = recipe.select.pairing == "any_source"
    judge_answers(run, recipe)
    judging = judge_judges(run, recipe, wrong)
    judge_answers(run, recipe)
    for table in ("audit_wanted", "audit_closest", "audit_pairs"):
        run.make_table(table, load_sql(table))
    counts = _rows(run, "audit_tables")
    report: dict[str, Any] = {
        "run": {
            "kind": "run",
            "folder": str(run.folder),
            "domain": recipe.domain,
            "recipe": digest(recipe),
            "judge": judge,
            "verifier": domain.verifier,
            "select": recipe.select.model_dump(mode="json"),
        },
        "tables": {row["name"]: row["n_rows"] for row in counts},
        "current": {row["name"]: row["n_current"] for row in counts},
        "funnel": _rows(run, "audit_funnel", {"verified": verified}),
        "lost": _rows(run, "audit_lost"),
        "answers": _rows(run, "audit_answers", {"verified": verified, "wrong": wrong}),
        "sources": _sources(run, wrong),
        "pairs": _pairs(run),
        "scores": _rows(run, "audit_scores", {"judge": judge, "wrong": wrong, "any_source": any_source})[0],
        **judging,
        "duplicates": _rows(run, "audit_duplicates")[0],
        "failures": _rows(run, "audit_failures"),
        "examples": _examples(run, "audit_example_texts"),
    }
    repeated = {row["name"]: row["n_repeated"] for row in counts if row["n_repeated"]}
    foreign = foreign_window(recipe)
    report["warnings"] = [*caution(report, repeated), *([foreign] if foreign else []), *_out_of_date(run, recipe)]
    return _hold(report, recipe.limits.model_dump())


def _sources(run: Run, wrong: list[str]) -> Rows:
    run.make_table("amounts", load_sql("audit_source_amounts"))
    drawn = {(row["what"], row["model"]): _histogram(row) for row in _rows(run, "audit_histograms", {"n_bins": N_BINS})}
    return [
        row
        | {
            "score_histogram": drawn.get(("score", row["model"])),
            "chars_histogram": drawn.get(("chars", row["model"])),
        }
        for row in _rows(run, "audit_sources", {"wrong": wrong})
    ]


def _pairs(tables: Queries) -> Row:
    """`pairs` of the report; reads the temporary table audit_pairs."""
    tables.make_table("amounts", load_sql("audit_pair_amounts"))
    drawn = {row["what"]: _histogram(row) for row in _rows(tables, "audit_histograms", {"n_bins": N_BINS})}
    return _rows(tables, "audit_margins")[0] | {
        "margin_histogram": drawn.get("margin"),
        "length_histogram": drawn.get("log_length_ratio"),
    }


def _examples(tables: Queries, texts: str) -> Rows:
    tables.make_table("examples", load_sql("audit_examples"))
    return _rows(tables, texts)


def _out_of_date(run: Run, recipe: Recipe) -> Iterator[str]:
    """Selection is a pure function, so what is stored can be held against what it gives now."""
    demos, pairs = select_demos(run, recipe), select_pairs(run)
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


# ------------------------------------------------------------------------------------------------------------------ exports


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
    if not isinstance(manifest, dict) or manifest.get("kind") not in EXPORTS:
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
    table = EXPORTS[manifest["kind"]]
    exported = _Exported(path / "train.parquet")
    counts = {row["model"]: row["n_rows"] for row in _rows(exported, "audit_export_sources")}
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
        exported.make_table("audit_pairs", load_sql("audit_export_pairs"))
        report["pairs"] = _pairs(exported)
        report["examples"] = _examples(exported, "audit_export_texts")


# --------------------------------------------------------------------------------------------------------------- all of them


def _rows(tables: Queries, name: str, params: Mapping[str, Any] | None = None) -> Rows:
    """The rows that sql/<name>.sql gives."""
    return tables.query(load_sql(name), params).to_dicts()


def _histogram(row: Row) -> Row:
    return {"edges": row["edges"], "counts": row["counts"]}


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
