"""`--data`: exports, or any Parquet or JSON Lines in TRL's columns, checked before torch or TRL is imported.

TRL takes the rows as they are: `prompt` with `completion`, or with `chosen` and `rejected`, each a list of {role, content} or a
text. If the prompt is not separate (`messages`, or whole conversations as `chosen` and `rejected`), rows.py divides them. An
export's kind follows from the manifest's `kind` and from its columns; both must fit the command.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import TrainError

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {
    "sft": ("prompt", "completion"),
    "dpo": ("prompt", "chosen", "rejected"),
    "wrpo": ("prompt", "chosen", "rejected", "source_chosen"),
    "fuse": ("prompt", "completion"),
}
TEACHERS = ("teacher", "teacher_revision", "weight", "token_ids", "ends", "token_logprobs", "top_ids", "top_logprobs")
"""The columns of fuse beside its texts: the teacher and its reading."""
VOCABULARY = "vocabulary.parquet"
"""The file beside the rows of fuse that maps the teachers' token ids to bytes."""
FOLDER_OF = {"fuse": "fusion"}
"""The folder of a command's export, if its name differs from the command's."""
UNDIVIDED = {"sft": ("messages",), "dpo": ("chosen", "rejected")}
"""TRL's columns of rows whose conversations contain the prompt."""
FITS = {("wrpo", "dpo")}
"""(kind of an export, other commands that accept it): triples contain pairs."""
PARQUET, JSON_LINES = (".parquet",), (".jsonl", ".jsonl.gz", ".ndjson", ".json", ".json.gz")
ROWS_OF = {"sft": "demos", "dpo": "pairs", "wrpo": "triples", "fuse": "texts"}


@dataclass(frozen=True)
class Data:
    """The checked contents of one path of `--data`."""

    path: Path
    kind: str
    files: tuple[Path, ...]
    """The files to train on: all Parquet or all JSON Lines."""
    test_files: tuple[Path, ...]
    """The files of the test split, if the export has one."""
    rows: int
    columns: tuple[str, ...]
    """TRL's columns, from COLUMNS or UNDIVIDED."""
    is_text: bool
    """True for plain texts, which TRL joins without a chat template."""
    manifest: dict[str, Any]
    """The manifest of an export; for other files their names, sizes and number of rows."""


def open_all(paths: Sequence[str], kind: str) -> list[Data]:
    """Open every `--data`. Raise TrainError, with what to give instead, if `train <kind>` cannot train on them together."""
    opened = [open_data(Path(path).expanduser(), kind) for path in paths]
    seen: dict[Path, Path] = {}
    for data in opened:
        for file in data.files:
            if (before := seen.setdefault(file.resolve(), data.path)) is not data.path:
                raise TrainError(f"--data {data.path}: has the same rows as --data {before}; give each only once")
    if len({data.is_text for data in opened}) > 1:
        text = next(data.path for data in opened if data.is_text)
        raise TrainError(f"--data {text}: its rows are plain texts, and the others are conversations; train on one of the two")
    return opened


def open_data(path: Path, kind: str) -> Data:
    """Open the rows at `path`. Raise TrainError, with what to give instead, if `train <kind>` cannot train on them."""
    import polars as pl

    if path.name in ("train.parquet", "train.jsonl") and (path.parent / "manifest.json").is_file():
        path = path.parent
    files = _files_at(path, kind)
    manifest = _read_manifest(path)
    found = manifest.get("kind") if manifest else None
    if found in COLUMNS and found != kind and (found, kind) not in FITS:
        raise TrainError(_wrong_kind(path, str(found), kind))
    frame = _scan(path, files)
    schema = frame.collect_schema()
    if kind == "sft" and (found == "kto" or schema.get("label") == pl.Boolean):
        raise TrainError(f"--data {path}: labelled answers (KTO); sft would learn the bad ones too; use an sft export")
    columns = _columns_in(path, schema, kind)
    if kind == "fuse":
        _check_teachers(path, files, schema)
    is_text = _is_text(path, schema, columns)
    rows = _check_rows(path, frame, columns, is_text, manifest.get("rows") if manifest else None)
    facts = manifest or {"kind": kind, "rows": rows, "files": {file.name: file.stat().st_size for file in files}}
    tests = tuple(sorted(file for file in path.glob("test.*") if file.suffix in (".parquet", ".jsonl"))) if manifest else ()
    return Data(path, kind, files, tests if facts.get("test_rows") else (), rows, columns, is_text, facts)


def find_shipped(name: str) -> Path:
    """Return the user's path; if it does not exist, the recipe or micro model of that name that the package contains."""
    path, root = Path(name).expanduser(), Path(__file__).parents[1]
    if not path.exists() and path.parts[:1] in (("recipes",), ("data",)):
        for home in (root / "datakit" / "_bundled", root):
            if (home / path).exists():
                return home / path
    return path


def is_parquet(file: Path) -> bool:
    """Return True if the name says that it is Parquet and not JSON Lines."""
    return file.name.endswith(PARQUET)


def _files_at(path: Path, kind: str) -> tuple[Path, ...]:
    """Return the files to train on: `path` if it is a file; in a folder train.parquet, train.jsonl or the hub's shards
    (train-00000-of-00002, also in data/)."""
    if path.is_file():
        if not path.name.endswith((*PARQUET, *JSON_LINES)):
            raise TrainError(f"--data {path}: neither Parquet (.parquet) nor JSON Lines (.jsonl, .json, also as .gz)")
        return (path,)
    if not path.is_dir():
        raise TrainError(
            f"--data {path}: no such folder or file; it takes an export, for example the {kind}/ folder of a run: "
            f"datakit build --domain math --out runs/my writes runs/my/{kind}"
        )
    folder = FOLDER_OF.get(kind, kind)
    patterns = [
        f"{inner}train{rest}{suffix}" for suffix in (".parquet", ".jsonl") for inner in ("", "data/") for rest in ("", "-*")
    ]
    for pattern in patterns:
        if found := tuple(sorted(path.glob(pattern))):
            return found
    if any((path / folder / f"train{suffix}").is_file() for suffix in (".parquet", ".jsonl")):
        raise TrainError(
            f"--data {path}: this is a run or an export of both phases, and train {kind} takes one; use --data {path / folder}"
        )
    if kind == "fuse" and (within := sorted(file.parent for file in path.glob(f"*/{VOCABULARY}"))):
        raise TrainError(
            f"--data {path}: has a folder for each source (teacher pairwise), and a target is trained on one: "
            f"--data {within[0]} (there are {', '.join(one.name for one in within)})"
        )
    if (path / "recipe.json").is_file():
        how = f"finish it with datakit build, or write its exports with datakit export {path} OUT and use --data OUT/{kind}"
        if kind == "fuse":
            how = "its recipe needs probe and export.teacher (docs/distributions.md)"
        raise TrainError(f"--data {path}: this is a run without a {folder} export yet; {how}")
    raise TrainError(f"--data {path}: no train.parquet or train.jsonl in it, so this is no export; use a run's {kind}/ folder")


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of an export; None for data from elsewhere."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise TrainError(
            f"--data {path}: manifest.json cannot be read ({error}); write the export again with datakit export RUN OUT"
        ) from None
    if not isinstance(manifest, dict):
        raise TrainError(f"--data {path}: manifest.json is not a JSON object; write the export again")
    return manifest


def _scan(path: Path, files: tuple[Path, ...]) -> pl.LazyFrame:
    import polars as pl

    try:
        frame = pl.scan_parquet(list(files)) if is_parquet(files[0]) else pl.scan_ndjson(list(files), infer_schema_length=None)
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason, names = str(error).splitlines()[0], ", ".join(file.name for file in files)
        form = "Parquet" if is_parquet(files[0]) else "JSON Lines"
        raise TrainError(
            f"--data {path}: {names} cannot be read as {form} ({reason}); an export is written again by datakit export RUN OUT"
        ) from None
    return frame


def _columns_in(path: Path, schema: pl.Schema, kind: str) -> tuple[str, ...]:
    for columns in filter(None, (COLUMNS[kind], UNDIVIDED.get(kind))):
        if all(name in schema for name in columns):
            return columns
    for other in COLUMNS:
        if other != kind and all(name in schema for name in COLUMNS[other]):
            raise TrainError(_wrong_kind(path, other, kind))
    missing = [name for name in COLUMNS[kind] if name not in schema]
    undivided = f" (or {', '.join(UNDIVIDED[kind])} with the prompt in them)" if kind in UNDIVIDED else ""
    raise TrainError(
        f"--data {path}: train {kind} needs the columns {', '.join(COLUMNS[kind])}{undivided}, and there is no "
        f"{', '.join(missing)} (there are {', '.join(schema)})"
    )


def _check_teachers(path: Path, files: tuple[Path, ...], schema: pl.Schema) -> None:
    """Raise TrainError if the rows have no distributions, or no file maps their tokens to bytes."""
    needed = "train fuse takes the fusion/ folder of a run, whose recipe needs probe and export.teacher (docs/distributions.md)"
    if missing := [name for name in TEACHERS if name not in schema]:
        raise TrainError(f"--data {path}: has no {', '.join(missing)}; {needed}")
    if not (files[0].parent / VOCABULARY).is_file():
        raise TrainError(f"--data {path}: no {VOCABULARY} beside {files[0].name}, which maps its token ids to bytes; {needed}")


def _is_text(path: Path, schema: pl.Schema, columns: tuple[str, ...]) -> bool:
    """Return True if all columns are texts, False if they are conversations. Raise TrainError for any other type."""
    import polars as pl

    if columns in COLUMNS.values() and all(schema[name] == pl.String for name in columns):
        return True
    for name in columns:
        inner = schema[name].inner if isinstance(schema[name], pl.List) else None  # type: ignore[attr-defined]
        fields = {field.name for field in inner.fields} if isinstance(inner, pl.Struct) else set()
        if not {"role", "content"} <= fields:
            raise TrainError(
                f"--data {path}: column {name} is {schema[name]}, and must be a list of messages with role and content"
            )
    return False


def _check_rows(path: Path, frame: pl.LazyFrame, columns: tuple[str, ...], is_text: bool, promised: object) -> int:
    """Return the number of rows. Raise TrainError if it differs from the manifest's, or if a row has an empty text."""
    import polars as pl

    least = 1 if columns in COLUMNS.values() else 2  # an undivided conversation is a prompt and an answer
    empty = [
        pl.col(name).fill_null("").str.strip_chars().eq("")
        if is_text
        else (pl.col(name).list.len().fill_null(0) < least)
        | pl.col(name).list.last().struct.field("content").fill_null("").str.strip_chars().eq("")
        for name in columns
    ]
    counts = frame.select(rows=pl.len(), empty=pl.any_horizontal(empty).sum()).collect().row(0, named=True)
    kind = next(kind for kind in COLUMNS if columns in (COLUMNS[kind], UNDIVIDED.get(kind)))
    if counts["rows"] == 0:
        raise TrainError(
            f"--data {path}: the export has no rows; datakit inspect {path.parent} shows which rule kept no {ROWS_OF[kind]}"
        )
    if isinstance(promised, int) and promised != counts["rows"]:
        raise TrainError(
            f"--data {path}: has {counts['rows']} of the {promised} rows that manifest.json names; write the "
            "export again with datakit export RUN OUT"
        )
    if counts["empty"]:
        raise TrainError(
            f"--data {path}: rows with an empty {' or '.join(columns)}: {counts['empty']} of {counts['rows']}; "
            "remove these rows, there is nothing to learn from them"
        )
    return int(counts["rows"])


def _wrong_kind(path: Path, found: str, kind: str) -> str:
    noun = ROWS_OF[kind]
    folder = FOLDER_OF.get(kind, kind)
    better = path.parent / folder if path.name == found else Path("RUN") / folder
    return (
        f"--data {path}: this is {'an' if found == 'sft' else 'a'} {found} export ({', '.join(COLUMNS[found])}), and "
        f"train {kind} needs {noun} ({', '.join(COLUMNS[kind])}); use --data {better}"
    )
