"""Rows of a run's tables by place, a part and a row number in it: ten texts of a million without a search.

Only parts that already have every column in its final form are covered; rows in journals and in parts of older versions
have no place and are read by id.
"""

from __future__ import annotations

import glob
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from datakit.errors import RunError
from datakit.machine import available_cores
from datakit.store.database import Tables
from datakit.store.parts import compared_by, parts_in
from datakit.tables import Row
from datakit.tables.compared import COMPARED

OPEN_AT_ONCE = 64  # parts with their footers in memory
GROUPS_KEPT = 24  # row groups with their columns in memory, some megabytes each


class Place(NamedTuple):
    """The place of a row."""

    part: int
    row: int


class Places:
    """The rows of one table as its parts are now: a part that is replaced later is still read as it was."""

    def __init__(self, folder: Path, table: str) -> None:
        self._open = ExitStack()
        self._lock = Lock()
        self._files: OrderedDict[int, Any] = OrderedDict()
        self._groups: OrderedDict[tuple[int, int, tuple[str, ...]], Any] = OrderedDict()
        parts = [part for part in parts_in(folder / table) if table != "responses" or compared_by(part) == COMPARED]
        self._paths = [self._fixed(part) for part in parts]

    def close(self) -> None:
        """Close the files."""
        self._open.close()
        self._files.clear()

    def indexed(self, columns: str) -> str:
        """Return a query for these columns (SQL) of every row that has a place, with its `part` and `row`."""
        queries = [
            f"SELECT {columns}, {at}::INTEGER AS part, file_row_number::INTEGER AS row "
            f"FROM read_parquet({_quoted(path)}, file_row_number = true)"
            for at, path in enumerate(self._paths)
        ]
        nothing = "SELECT NULL::INTEGER AS part, NULL::INTEGER AS row WHERE FALSE"
        return " UNION ALL BY NAME ".join([*queries, nothing])

    def read(self, places: Iterable[Place], columns: tuple[str, ...]) -> dict[Place, Row]:
        """Return these columns of the rows at the places."""
        by_group: dict[tuple[int, int], list[Place]] = {}
        found: dict[Place, Row] = {}
        with self._lock:
            for place in set(places):
                by_group.setdefault((place.part, self._group_of(place)), []).append(place)
            groups = self._read_groups(by_group, columns)
            for (part, group), wanted in by_group.items():
                first = self._starts(part)[group]
                rows = groups[part, group].take([place.row - first for place in wanted]).to_pylist()
                found |= dict(zip(wanted, rows, strict=True))
            while len(self._files) > OPEN_AT_ONCE:
                self._files.popitem(last=False)[1].close()
        return found

    def _read_groups(self, groups: Iterable[tuple[int, int]], columns: tuple[str, ...]) -> dict[tuple[int, int], Any]:
        """Return these columns of whole row groups. Several parts are unpacked at a time, one per thread."""
        kept = {key: self._groups.pop((*key, columns), None) for key in groups}
        missing: dict[int, list[int]] = {}
        for part, group in (key for key, table in kept.items() if table is None):
            missing.setdefault(part, []).append(group)
        files = [self._file(part) for part in missing]

        def unpack(file: Any, wanted: list[int]) -> list[Any]:
            return [file.read_row_group(group, columns=list(columns), use_threads=False) for group in wanted]

        with ThreadPoolExecutor(available_cores()) as threads:
            for (part, wanted), tables in zip(missing.items(), threads.map(unpack, files, missing.values()), strict=True):
                kept |= {(part, group): table for group, table in zip(wanted, tables, strict=True)}
        self._groups |= {(*key, columns): table for key, table in kept.items()}
        while len(self._groups) > GROUPS_KEPT:
            self._groups.popitem(last=False)
        return kept

    def search(self, text: str, words: str) -> Iterator[tuple[int, list[int], float]]:
        """Yield, part by part: its number, the rows whose `text` (SQL) contains the words, and the share of parts done."""
        tables = Tables(lambda error: f"search: {error}")
        tables.connection.execute("SET threads = 1")  # page requests come first
        try:
            for at, path in enumerate(self._paths):
                rows = tables.query(
                    f"SELECT file_row_number AS row FROM read_parquet({_quoted(path)}, file_row_number = true) "
                    f"WHERE contains(lower({text}), lower($words))",
                    {"words": words},
                )
                yield at, rows["row"].to_list(), (at + 1) / len(self._paths)
        finally:
            tables.close()

    def _fixed(self, part: Path) -> str:
        """Return a path that keeps pointing to this file; see Database."""
        if part.stem != "part-000000" or not Path("/dev/fd").is_dir():
            return str(part)
        return f"/dev/fd/{self._open.enter_context(part.open('rb')).fileno()}"

    def _file(self, part: int) -> Any:
        from pyarrow import parquet

        if part not in self._files:
            try:
                self._files[part] = parquet.ParquetFile(self._paths[part], memory_map=False)
            except OSError as error:
                raise RunError(f"{self._paths[part]}: is no longer there ({error}); start again") from error
        self._files.move_to_end(part)
        return self._files[part]

    def _starts(self, part: int) -> list[int]:
        metadata = self._file(part).metadata
        sizes = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        return [0, *accumulate(sizes)]

    def _group_of(self, place: Place) -> int:
        return bisect_right(self._starts(place.part), place.row) - 1


def _quoted(path: str) -> str:
    return "'" + glob.escape(path).replace("'", "''") + "'"
