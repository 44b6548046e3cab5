"""Write texts with the distributions of a teacher to fusion/, which `train fuse` reads.

Token ids are the teacher's own, so one folder serves targets with any tokenizer: vocabulary.parquet has their bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datakit.errors import command
from datakit.export.card import make_card
from datakit.export.folders import beside, put, write_json
from datakit.export.formats import RowWriter, Shape
from datakit.export.given import Given
from datakit.export.manifest import phase_manifest
from datakit.recipe import Recipe
from datakit.store import Run, load_sql, writing
from datakit.wording import counted

ROWS_AT_A_TIME = 500  # a row has a few hundred tokens, with ten numbers per token
FOLDER = "fusion"


@dataclass(frozen=True)
class Fusion:
    """What was written: rows by folder, and texts that were left out, by reason."""

    rows: Mapping[str, int]
    left_out: Mapping[str, int]

    def sentences(self, folder: Path) -> Iterator[tuple[str, bool]]:
        """Yield (sentence, is_warning) for the user."""
        written = "    ".join(f"{folder / name}: {counted(rows, 'texts')}" for name, rows in self.rows.items())
        yield written or f"{folder / FOLDER}: no texts", False
        if missing := self.left_out.get("missing"):
            again = command("build", "--out", folder, "--until", "probe")
            yield (
                f"{FOLDER}: {counted(missing, 'texts')} left out that not all models have read yet; this reads them, with the "
                f"recipe of the run: {again} --recipe ...",
                True,
            )
        if failed := self.left_out.get("failed"):
            yield f"{FOLDER}: {counted(failed, 'texts')} left out that could not be read (the table failures says why)", True


def write_fusion(run: Run, recipe: Recipe, given: Given, out: Path) -> Fusion | None:
    """Write OUT/fusion, or with teacher pairwise OUT/fusion/<source>, replacing an old one.

    Returns None if the recipe names no teacher: an old folder is removed then, because it belongs to another selection.
    """
    folder = out / FOLDER
    if recipe.probe is None or recipe.export.teacher is None:
        if folder.is_dir():
            shutil.rmtree(folder)
        return None
    params = {"texts": recipe.probe.texts, "keep_reasoning": given.params["keep_reasoning"]}
    with run.snapshot() as snapshot, writing(folder):
        snapshot.make_table("probed_texts", load_sql("probe/texts"), params)
        snapshot.make_table("chosen_teachers", load_sql("export/choose_teachers"), {"teacher": recipe.export.teacher})
        chosen = snapshot.query("SELECT source, model, revision, reading, unread FROM chosen_teachers")
        names = _folders(chosen["source"].unique(maintain_order=True).sort().to_list())
        new = beside(folder, "new")
        new.mkdir(parents=True)
        rows: dict[str, int] = {}
        for source, name in names.items():
            frames = snapshot.stream(load_sql("export/fusion"), {"source": source, **given.params}, ROWS_AT_A_TIME)
            vocabulary = snapshot.query(
                "SELECT model AS teacher, revision AS teacher_revision, token_hex FROM readings AS r "
                "SEMI JOIN (SELECT * FROM chosen_teachers WHERE source IS NOT DISTINCT FROM $source AND unread IS NULL) AS c "
                "ON r.model = c.model AND r.revision IS NOT DISTINCT FROM c.revision AND r.reading = c.reading "
                "ORDER BY r.model, r.revision, r.reading",
                {"source": source},
            )
            rows[f"{FOLDER}/{name}" if name else FOLDER] = _write_folder(new / name, frames, vocabulary, recipe, given)
        put(new, folder)
    left_out = chosen.filter(pl.col("unread").is_not_null())["unread"].value_counts()
    return Fusion(rows, dict(left_out.iter_rows()))


def _folders(sources: list[str | None]) -> dict[str | None, str]:
    """Return the folder name below fusion/ for each source: the end of the model's name, with a number if two end alike."""
    ends = [Path(source).name if source is not None else "" for source in sources]
    return {
        source: f"{end}-{ends[:at].count(end) + 1}" if end and ends.count(end) > 1 else end
        for at, (source, end) in enumerate(zip(sources, ends, strict=True))
    }


def _write_folder(folder: Path, frames: Iterator[pl.DataFrame], vocabulary: pl.DataFrame, recipe: Recipe, given: Given) -> int:
    """Write one folder; return its number of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: list[str] = []
    kept: list[pl.DataFrame] = []
    with closing(RowWriter(folder / "train.parquet", Shape())) as file:
        for frame in _in_order(frames, folder / ".rows"):
            columns = frame.columns
            file.write(frame)
            chars = pl.col("completion").list.last().struct.field("content").str.len_chars()
            tokens = pl.col("token_ids").list.len()
            kept.append(frame.select("model", "teacher", completion_chars=chars, completion_tokens=tokens))
    rows = pl.concat(kept) if kept else pl.DataFrame(schema=dict.fromkeys(("model", "teacher"), pl.String))
    vocabulary.write_parquet(folder / "vocabulary.parquet")
    manifest = phase_manifest("fusion", {"train": rows}, columns, [given], "parquet")
    manifest["teacher"] = recipe.export.teacher
    manifest["teachers"] = dict(rows["teacher"].value_counts().sort("teacher").iter_rows())
    configs = [{"config_name": "default", "data_files": [{"split": "train", "path": "train.parquet"}]}]
    (folder / "README.md").write_text(make_card({"fusion": manifest}, configs), encoding="utf-8")
    write_json(folder / "manifest.json", manifest)
    return rows.height


def _in_order(frames: Iterator[pl.DataFrame], folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows in the order of `place`. Rows are first grouped on disk with their neighbours: a full sort would hold
    all."""
    import pyarrow as pa

    folder.mkdir()
    for frame in frames:
        near = frame.with_columns(near=pl.col("place") // ROWS_AT_A_TIME).partition_by("near", as_dict=True, include_key=False)
        for (number,), part in near.items():
            with (folder / f"{number:012d}").open("ab") as file:
                part.write_ipc_stream(file)
    for path in sorted(folder.iterdir()):
        parts: list[pa.Table] = []
        with pa.OSFile(str(path)) as file:
            while file.tell() < file.size():
                parts.append(pa.ipc.open_stream(file).read_all())
        path.unlink()
        yield pl.DataFrame(pa.concat_tables(parts)).sort("place").drop("place")
    folder.rmdir()
