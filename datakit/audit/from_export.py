"""The report on a folder that `datakit export` wrote."""

from __future__ import annotations

import glob
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from datakit.audit.cautions import noted
from datakit.audit.limits import hold
from datakit.audit.queries import A_FEW, Shown, describe_pairs, examples
from datakit.audit.report import Example, Noted, Pairs, Report, Source, Subject
from datakit.errors import BadInput
from datakit.store import Tables, load_sql
from datakit.tables import EXPORTED, Row
from datakit.wording import counted

Part = TypeVar("Part", Source, Pairs)
TABLE_OF: dict[str, str] = {**dict(EXPORTED.items()), "wrpo": "pairs"}
"""The table that a folder's rows count as, by its kind."""


def inspect_exports(folder: Path, paths: list[Path], wished: Shown = A_FEW) -> Report:
    exports = [_read_export(path) for path in paths]
    manifests = [manifest for manifest, _ in exports]
    runs = [run for manifest in manifests for run in manifest.get("runs") or [manifest]]  # an export may mix several
    given = [source for run in runs for source in run.get("sources") or []]
    named = {source.get("model"): source for source in reversed(given)}  # the first of each name wins
    facts = ("model", "revision", "type", "n")
    sources = {model: _unknown(Source, {fact: named[model].get(fact) for fact in facts}) for model in sorted(named)}
    tables, pairs, shown, warnings = {}, _unknown(Pairs, {}), list[Example](), []
    for path, (manifest, exported) in zip(paths, exports, strict=True):
        table = TABLE_OF[manifest["kind"]]
        counts = dict(exported.query(load_sql("audit/export_sources")).iter_rows())
        for model in sorted(counts.keys() - sources.keys()):
            sources[model] = _unknown(Source, {"model": model})
        sources = {model: replace(source, **{table: counts.get(model, 0)}) for model, source in sources.items()}
        tables[table] = sum(counts.values())
        if tables[table] != manifest.get("rows"):
            warnings.append(
                f"{path}: train.parquet has {counted(tables[table], 'rows')}, its manifest says {manifest.get('rows')}; "
                "it was changed after the export"
            )
        if table == "pairs":
            exported.make_table("audit_pairs", load_sql("audit/export_pairs"))
            pairs, shown = describe_pairs(exported), examples(exported, "export_texts", wished, "exported")
    if len({manifest.get("recipe_digest") for manifest in manifests}) > 1:
        warnings.append("sft/ and dpo/ were made with different recipes; export again: datakit export")
    first = manifests[0]
    made_with = {name: _shared([run.get(name) for run in runs]) for name in ("domain", "judge", "verifier", "select")}
    subject = Subject(kind="export", folder=str(folder), recipe=first.get("recipe_digest"), **made_with)
    report = Report(
        run=subject,
        tables=tables,
        current=tables,
        sources=list(sources.values()),
        pairs=pairs,
        examples=shown,
        notes=[Noted(**one) for run in first.get("runs") or [first] for one in run.get("notes", ())],
    )
    report = replace(report, warnings=[*noted(report), *warnings])
    return replace(report, limits=hold(report, _shared([run.get("limits") for run in runs]) or {}))


def _shared(values: list[Any]) -> Any:
    """Return the value that all runs share; differing names are listed, a differing section is None."""
    if all(value == values[0] for value in values):
        return values[0]
    if all(value is None or isinstance(value, str) for value in values):
        return ", ".join(sorted({value for value in values if value is not None}))
    return None


def _read_export(folder: Path) -> tuple[Row, Tables]:
    """Return its manifest, and the rows of its train.parquet as the table `exported`."""
    path, data = folder / "manifest.json", folder / "train.parquet"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a readable manifest ({error}); export again: datakit export") from error
    if not isinstance(manifest, dict) or manifest.get("kind") not in TABLE_OF:
        raise BadInput(f"{path}: not the manifest of an export (kind must be sft, dpo or wrpo); export again: datakit export")
    again = "export again: datakit export"
    if manifest.get("format", "parquet") != "parquet":
        raise BadInput(f"{folder}: written with --format {manifest['format']}; inspect reads runs, and exports in Parquet")
    exported = Tables(lambda error: f"{data}: not the data of an export ({error.splitlines()[0]}); {again}")
    exported.make_table("exported", "SELECT * FROM read_parquet($path)", {"path": glob.escape(str(data))})
    return manifest, exported


def _unknown(part: type[Part], known: Row) -> Part:
    """Return an instance with None for every unknown field."""
    values: Row = dict.fromkeys(field.name for field in fields(part))
    return part(**values | known)
