"""Datasets of the hub: from a copy on this machine, else loaded by the `datasets` library.

$DATAKIT_DATA names a folder of copies, each under its name on the hub, as made by `hf download --repo-type dataset openai/gsm8k
--local-dir $DATAKIT_DATA/openai/gsm8k`. Files of a copy are read if their path contains the configuration, and their name the
split or no split at all: main/test-00000-of-00001.parquet, data/test.jsonl, gpqa_diamond.csv. A copy has no revision: it is
read as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from datakit.collect.formats import Found, read_file
from datakit.collect.tally import Tally
from datakit.errors import BadInput, needs_extra
from datakit.recipe import HubPrompts, ResponsesSource
from datakit.recipe.published_prompts import COPIES
from datakit.tables import Row

_SPLITS = ("train", "test", "validation", "valid", "val", "dev")
_SUFFIXES = (".parquet", ".arrow", ".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz")


def read_dataset(given: HubPrompts | ResponsesSource, tally: Tally) -> Iterator[Found]:
    """Return the rows of its configurations, one after the other. Raise BadInput if there are none."""
    configs = given.config if isinstance(given.config, list) else [given.config]
    copy = copy_of(given.name) if given.location is None else None
    if copy is None:
        return chain.from_iterable(_loaded(given, config) for config in configs)
    return chain.from_iterable(
        read_file(file, f"{given.name}/{file.relative_to(copy).as_posix()}", tally)
        for config in configs
        for file in _files_of(given, copy, config)
    )


def copy_of(name: str) -> Path | None:
    """Return the folder of a dataset's copy in $DATAKIT_DATA, or None."""
    folder = os.environ.get(COPIES, "")
    copy = Path(folder).expanduser() / name if folder else None
    return copy if copy is not None and copy.is_dir() else None


def _files_of(given: HubPrompts | ResponsesSource, copy: Path, config: str | None) -> list[Path]:
    """Return the files of a configuration and split, sorted by name."""
    files = sorted(path for path in copy.rglob("*") if path.name.endswith(_SUFFIXES) and path.is_file())
    inside = {path: path.relative_to(copy) for path in files}
    if config is not None:
        files = [path for path in files if config in inside[path].parts or _stem(path) == config]
    splits = {path: _splits_in(inside[path], given.split) for path in files}
    found = [path for path in files if given.split in splits[path]] or [path for path in files if not splits[path]]
    if not found:
        there = ", ".join(path.as_posix() for path in inside.values()) or "none that can be read"
        what = f"split {given.split}" if config is None else f"config {config}, split {given.split}"
        raise BadInput(f"{given.name}: no file of {what} in the copy {copy} (${COPIES}); its files: {there[:300]}")
    return found


def _splits_in(path: Path, asked: str) -> set[str]:
    """Return the splits in a file's name or its folder's; `asked` is a split, whatever its name."""
    known = {asked, *_SPLITS}
    said = re.findall(rf"(?:^|[-_.])({'|'.join(map(re.escape, sorted(known, key=len, reverse=True)))})(?=[-.]|$)", path.name)
    return {*said} | ({*path.parts[-2:-1]} & known)


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _loaded(given: HubPrompts | ResponsesSource, config: str | None) -> Iterator[Found]:
    """Return the rows of `datasets.load_dataset`; if the dataset's name is a folder, that folder is loaded."""
    name = given.name
    with needs_extra("hub", f"the dataset {name}"):
        import datasets
    place, commit = (name, given.revision) if given.location is None else (str(given.location), None)
    try:
        rows: Iterable[Row] = datasets.load_dataset(place, config, split=given.split, revision=commit)
    except (OSError, ValueError) as error:
        which = f"split {given.split}, revision {given.revision or 'default'}" + (f", config {config}" if config else "")
        raise BadInput(
            f"{name}: the dataset ({which}) cannot be loaded: {str(error).splitlines()[0]}; "
            f"a copy of it is read from ${COPIES}/{name}"
        ) from error
    return ((f"{name}: row", number, row) for number, row in enumerate(rows, start=1))
