"""`--data`: an export folder (train.parquet and manifest.json), checked before torch or TRL is imported.

An export says what it is twice, in the manifest's `kind` and in its columns, and both must fit the command. TRL takes
the rows as they are: `prompt` with `completion`, or with `chosen` and `rejected`, each a list of {role, content}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import TrainError

if TYPE_CHECKING:
    import polars as pl
    from datasets import Dataset

COLUMNS = {"sft": ("prompt", "completion"), "dpo": ("prompt", "chosen", "rejected")}
_ROWS_OF = {"sft": "demos", "dpo": "pairs"}


@dataclass(frozen=True)
class Export:
    """A checked export: `rows` is what train.parquet really holds."""

    path: Path
    kind: str
    rows: int
    manifest: dict[str, Any]

    @property
    def table(self) -> Path:
        return self.path / "train.parquet"


def open_export(path: Path, kind: str) -> Export:
    """The export at `path`, if `train <kind>` can train on it; TrainError says what to give instead."""
    _check_folder(path, kind)
    manifest = _read_manifest(path)
    found = manifest.get("kind")
    if found in COLUMNS and found != kind:
        raise TrainError(_wrong_kind(path, str(found), kind))
    frame = _scan(path / "train.parquet")
    _check_columns(path, frame.collect_schema(), kind)
    rows = _check_rows(path, frame, kind, manifest.get("rows"))
    return Export(path, kind, rows, manifest)


def find_shipped(name: str) -> Path:
    """The user's path; where nothing is there, the recipe or micro model of that name that came with the package."""
    path, root = Path(name).expanduser(), Path(__file__).parents[1]
    if not path.exists() and path.parts[:1] in (("recipes",), ("data",)):
        for home in (root / "datakit" / "_bundled", root):
            if (home / path).exists():
                return home / path
    return path


def _check_folder(path: Path, kind: str) -> None:
    if path.name == "train.parquet" and path.is_file():
        raise TrainError(f"--data {path}: this is a file, and the export is its folder; use --data {path.parent}")
    if not path.is_dir():
        raise TrainError(
            f"--data {path}: no such folder; it takes an export, for example the {kind}/ folder of a run: "
            f"datakit build --domain math --out runs/my writes runs/my/{kind}"
        )
    if (path / "train.parquet").is_file():
        return
    if (path / kind / "train.parquet").is_file():
        raise TrainError(f"--data {path}: this is a run, and train {kind} takes its export; use --data {path / kind}")
    if (path / "recipe.json").is_file():
        raise TrainError(
            f"--data {path}: this is a run without a {kind} export yet; finish it with datakit build, or write its "
            f"exports with datakit export {path} OUT and use --data OUT/{kind}"
        )
    raise TrainError(f"--data {path}: no train.parquet in it, so this is not an export; use a run's {kind}/ folder")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainError(
            f"--data {path}: no manifest.json beside train.parquet, so nobody can say what these rows are; write the "
            "export again with datakit export RUN OUT"
        ) from None
    except (OSError, ValueError) as error:
        raise TrainError(
            f"--data {path}: manifest.json cannot be read ({error}); write the export again with datakit export RUN OUT"
        ) from None
    if not isinstance(manifest, dict):
        raise TrainError(f"--data {path}: manifest.json is not a JSON object; write the export again")
    return manifest


def _scan(table: Path) -> pl.LazyFrame:
    import polars as pl

    try:
        frame = pl.scan_parquet(table)
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise TrainError(
            f"--data {table.parent}: train.parquet cannot be read as Parquet ({reason}); write the export again with "
            "datakit export RUN OUT"
        ) from None
    return frame


def _check_columns(path: Path, schema: pl.Schema, kind: str) -> None:
    import polars as pl

    missing = [name for name in COLUMNS[kind] if name not in schema]
    if missing:
        for other, columns in COLUMNS.items():
            if other != kind and all(name in schema for name in columns):
                raise TrainError(_wrong_kind(path, other, kind))
        raise TrainError(
            f"--data {path}: train {kind} needs the columns {', '.join(COLUMNS[kind])}, and train.parquet has no "
            f"{', '.join(missing)} (it has {', '.join(schema)})"
        )
    for name in COLUMNS[kind]:
        inner = schema[name].inner if isinstance(schema[name], pl.List) else None  # type: ignore[attr-defined]
        fields = {field.name for field in inner.fields} if isinstance(inner, pl.Struct) else set()
        if not {"role", "content"} <= fields:
            raise TrainError(
                f"--data {path}: column {name} is {schema[name]}, and must be a list of messages with role and content"
            )


def _check_rows(path: Path, frame: pl.LazyFrame, kind: str, promised: object) -> int:
    """How many rows there are: as many as the manifest promises, each with something to learn from."""
    import polars as pl

    empty = [
        (pl.col(name).list.len().fill_null(0) == 0)
        | pl.col(name).list.last().struct.field("content").fill_null("").str.strip_chars().eq("")
        for name in COLUMNS[kind]
    ]
    counts = frame.select(rows=pl.len(), empty=pl.any_horizontal(empty).sum()).collect().row(0, named=True)
    if counts["rows"] == 0:
        raise TrainError(
            f"--data {path}: the export has no rows; datakit inspect {path.parent} shows which rule kept no {_ROWS_OF[kind]}"
        )
    if isinstance(promised, int) and promised != counts["rows"]:
        raise TrainError(
            f"--data {path}: manifest.json promises {promised} rows and train.parquet has {counts['rows']}; write the "
            "export again with datakit export RUN OUT"
        )
    if counts["empty"]:
        raise TrainError(
            f"--data {path}: {counts['empty']} of {counts['rows']} rows have an empty {' or '.join(COLUMNS[kind])}; "
            "such rows teach nothing, write the export again without them"
        )
    return int(counts["rows"])


def _wrong_kind(path: Path, found: str, kind: str) -> str:
    noun = {"sft": "demos", "dpo": "pairs"}[kind]
    better = path.parent / kind if path.name == found else Path("RUN") / kind
    return (
        f"--data {path}: this is {'an' if found == 'sft' else 'a'} {found} export ({', '.join(COLUMNS[found])}), and "
        f"train {kind} needs {noun} ({', '.join(COLUMNS[kind])}); use --data {better}"
    )


def load_rows(export: Export, eval_share: float) -> tuple[Dataset, Dataset | None]:
    """The rows to train on and those held out, as TRL takes them.

    Whole prompts are held out, chosen by the hash of `prompt_id`: the same ones in every run, whatever the order of the
    rows, and a prompt with several rows never stands on both sides.
    """
    from datasets import load_dataset

    rows = load_dataset("parquet", data_files=str(export.table), split="train")
    columns = COLUMNS[export.kind]
    if not eval_share:
        return rows.select_columns(list(columns)), None
    if "prompt_id" not in rows.column_names:
        raise TrainError(f"--eval_share {eval_share}: {export.table} has no column prompt_id to choose prompts by")
    held = _held_prompts(rows["prompt_id"], eval_share)
    marks = [prompt_id in held for prompt_id in rows["prompt_id"]]
    rows = rows.select_columns(list(columns))
    train = rows.select([index for index, mark in enumerate(marks) if not mark])
    if not len(train):
        raise TrainError(f"--eval_share {eval_share}: holds every prompt of {export.path} out; give a smaller share")
    return train, rows.select([index for index, mark in enumerate(marks) if mark])


def _held_prompts(prompt_ids: Any, share: float) -> set[str]:
    from hashlib import blake2b

    ordered = sorted(set(prompt_ids), key=lambda prompt_id: blake2b(str(prompt_id).encode()).digest())
    return set(ordered[: max(1, round(share * len(ordered)))])
