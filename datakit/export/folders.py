"""Write demos and pairs as folders: one per phase with a file per split, manifest.json and a dataset card, and one card over
all.

A folder appears whole or not at all: it is written next to its place and renamed into it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from datakit.domains import domain_of
from datakit.errors import BadInput
from datakit.export.card import make_card
from datakit.export.formats import Format, RowWriter, dataset_info, shape_of, split_pairs
from datakit.export.given import NOT_WRITTEN, Given, read_given
from datakit.export.manifest import phase_manifest, whole_manifest
from datakit.export.mix import Mix, mix_runs
from datakit.select.rule import rule_in
from datakit.store import Run, writing
from datakit.tables import Phase, Row


@dataclass(frozen=True)
class Wish:
    """The options of an export."""

    format: Format = "parquet"
    test_share: float = 0.0
    """The share of the prompts, by a hash of their messages, whose rows go to a test file."""
    mix: Mix = field(default_factory=Mix)
    tokenizer: str | None = None
    """The target's folder or hub id, for counting the rows' tokens."""


@dataclass(frozen=True)
class Exported:
    """The numbers of rows in each phase's folder and in its test split, and what was left out and why."""

    rows: Mapping[str, int]
    left_out: list[Row]


def write_exports(given: Given, out: Path) -> dict[Phase, int]:
    """Write the run's own OUT/sft and OUT/dpo (with a target OUT/wrpo), replacing old ones; return how many rows each has."""
    for phase, frame in given.frames.items():
        kind = given.kind_of(phase)
        with writing(out / kind):
            new = beside(out / kind, "new")
            _write_phase(new, Written(phase, kind, {"train": frame}, [given], Wish()))
            put(new, out / kind)
    gone = out / ("dpo" if given.has_target else "wrpo")
    if (gone / "manifest.json").is_file():  # it was written before the run had its target, or when it had one
        shutil.rmtree(gone)
    return {phase: frame.height for phase, frame in given.frames.items()}


def export_runs(folders: Sequence[Path], out: Path, wish: Wish) -> Exported:
    """Write a new folder with the rows of one or more runs, with one folder per phase in it. Raises BadInput if OUT exists."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: exists already; give a new folder (the last one is where the export goes), or remove it first")
    if out.resolve() == Path.cwd():
        raise BadInput(f"{out}: is the folder that you are in, and an export takes a folder's place; give a new folder")
    given = _read_runs(folders)
    wish.mix.check([one.name for one in given])
    frames, left_out = dict(given[0].frames), list[Row]()
    if len(given) > 1 or wish.mix.max_rows:
        mixed = mix_runs(given, wish.mix)
        frames, left_out = dict(mixed.frames), mixed.left_out
    with writing(out):
        new = beside(out, "new")
        manifests: dict[str, Row] = {}
        for phase, frame in frames.items():
            kept = _readable(frame, phase, wish.format, left_out)
            kind = "kto" if phase == "dpo" and wish.format == "kto" else given[0].kind_of(phase)
            written = Written(phase, kind, _split(kept, wish.test_share), given, wish)
            manifests[kind] = _write_phase(new / kind, written)
        _write_whole(new, manifests, given, wish, left_out)
        put(new, out)
    return Exported({kind: made["rows"] + made.get("test_rows", 0) for kind, made in manifests.items()}, left_out)


def _read_runs(folders: Sequence[Path]) -> list[Given]:
    """Read what each run has to export, named by its folder, or by its path if two folders have the same name."""
    last = [folder.resolve().name for folder in folders]
    names = [name if last.count(name) == 1 else str(folder) for name, folder in zip(last, folders, strict=True)]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise BadInput("the same run is given twice; give each once, and --weight NAME=... for more or less of it")
    given = []
    with ExitStack() as opened:
        for name, folder in zip(names, folders, strict=True):
            run = opened.enter_context(Run.open(folder))
            recipe = run.recipe()
            given.append(read_given(run, recipe, rule_in(run, recipe, domain_of(recipe)), name))
    if len({one.has_target for one in given}) > 1:
        with_target = next(one.name for one in given if one.has_target)
        raise BadInput(
            f"{with_target}: its pairs are triples (select.target), and those of the others are not; export them apart"
        )
    return given


def _readable(frame: pl.DataFrame, phase: Phase, format: Format, left_out: list[Row]) -> pl.DataFrame:
    """Return the rows that the format can represent; count the others in `left_out`."""
    if format not in ("sharegpt", "alpaca"):
        return frame
    fits = frame["takes_turns"]
    if n := int((~fits).sum()):
        reason = f"{format} has no place for a prompt that is not user and assistant in turn"
        left_out.append({"run": None, "phase": phase, "reason": reason, "rows": n})
    return frame.filter(fits)


def _split(rows: pl.DataFrame, test_share: float) -> dict[str, pl.DataFrame]:
    if not test_share:
        return {"train": rows}
    held = pl.col("test_place") < test_share
    return {"train": rows.filter(~held), "test": rows.filter(held)}


@dataclass(frozen=True)
class Written:
    """The rows of one folder. `splits` holds them without their texts, which are read from the runs while they are written."""

    phase: Phase
    kind: str
    """The kind of rows: sft, dpo, wrpo, or kto (two rows per pair)."""
    splits: Mapping[str, pl.DataFrame]
    given: Sequence[Given]
    wish: Wish

    def rows(self, split: str) -> pl.DataFrame:
        """Return the rows of a split without texts, as they are counted."""
        return self._as_kind(self.splits[split])

    def texts(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield (split, frame) as they are written, the first run's first; at least one frame per split."""
        for one in self.given:
            places = {split: self._places(rows, one) for split, rows in self.splits.items()}
            at = 0
            for frame in one.texts(self.phase):
                for split, kept in places.items():
                    part = frame.filter(kept[at : at + frame.height])
                    if len(self.given) > 1:
                        part = part.with_columns(run=pl.lit(one.name))
                    yield split, self._as_kind(part).drop(NOT_WRITTEN, strict=False)
                at += frame.height

    def _places(self, rows: pl.DataFrame, one: Given) -> pl.Series:
        mine = rows.filter(pl.col("run") == one.name) if len(self.given) > 1 else rows
        return one.frames[self.phase]["at"].is_in(mine["at"].implode())

    def _as_kind(self, rows: pl.DataFrame) -> pl.DataFrame:
        return split_pairs(rows) if self.kind == "kto" else rows


def _write_phase(folder: Path, written: Written) -> Row:
    """Write the folder of one phase; return its manifest."""
    folder.mkdir(parents=True)
    kind, wish = written.kind, written.wish
    shape = shape_of(wish.format, "sft" if kind == "sft" else "dpo")
    columns: list[str] = []
    with ExitStack() as opened:
        files = {split: opened.enter_context(RowWriter(folder / f"{split}{shape.suffix}", shape)) for split in written.splits}
        for split, frame in written.texts():
            columns = frame.columns
            files[split].write(frame)
    counted = {split: written.rows(split) for split in written.splits}
    manifest = phase_manifest(kind, counted, columns, written.given, wish.format)
    if wish.tokenizer:
        from datakit.export.tokens import count_tokens

        manifest["target_tokens"] = count_tokens((frame for _, frame in written.texts()), wish.tokenizer)
    named = _data_files(".", manifest, shape.suffix) or [{"split": "train", "path": f"train{shape.suffix}"}]
    card = make_card({kind: manifest}, [{"config_name": "default", "data_files": named}])
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_json(folder / "manifest.json", manifest)
    return manifest


def _write_whole(folder: Path, manifests: Mapping[str, Row], given: Sequence[Given], wish: Wish, left_out: list[Row]) -> None:
    """Write the files above the phases: the manifest over all, the card with one configuration per phase, LLaMA-Factory's
    list."""
    choices = {
        "format": wish.format,
        "test_share": wish.test_share,
        "max_rows": dict(wish.mix.max_rows),
        "weights": dict(wish.mix.weights),
        "left_out": left_out,
    }
    write_json(folder / "manifest.json", whole_manifest(manifests, given, choices))
    suffix = shape_of(wish.format, "sft").suffix
    configs = [
        {"config_name": kind, "data_files": _data_files(kind, made, suffix)} for kind, made in manifests.items() if made["rows"]
    ]
    (folder / "README.md").write_text(make_card(manifests, configs), encoding="utf-8")
    if wish.format in ("sharegpt", "alpaca"):
        named = {
            kind if split == "train" else f"{kind}_{split}": (f"{kind}/{split}{suffix}", wish.format, kind != "sft")
            for kind, made in manifests.items()
            for split, rows in (("train", made["rows"]), ("test", made.get("test_rows", 0)))
            if rows
        }
        write_json(folder / "dataset_info.json", dataset_info(named))


def _data_files(folder: str, manifest: Row, suffix: str) -> list[Row]:
    """Return the splits as the hub's configurations name them, without files that have no rows: `datasets` cannot open
    these."""
    rows = {"train": manifest["rows"], "test": manifest.get("test_rows", 0)}
    return [{"split": split, "path": (Path(folder) / f"{split}{suffix}").as_posix()} for split, n in rows.items() if n]


def beside(folder: Path, word: str) -> Path:
    """Return a path to write to before renaming it to the folder's; remove what an interrupted export left there."""
    path = folder.with_name(f".{folder.name}.{word}")
    shutil.rmtree(path, ignore_errors=True)
    return path


def put(new: Path, folder: Path) -> None:
    """Rename the new folder to its place; an old folder there is removed."""
    old = beside(folder, "old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, values: Row) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
