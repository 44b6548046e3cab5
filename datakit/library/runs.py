"""A run folder in Python: its tables as Polars frames, SQL, the report, and selection under other settings."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from datakit import stages
from datakit.audit.contents import Readable, contents
from datakit.audit.diff import Diff, preview
from datakit.audit.from_run import inspect_run
from datakit.audit.report import Report
from datakit.export import Exported, Format, Wish, export_runs
from datakit.screen import report as screen
from datakit.screen.console import WIDTH
from datakit.screen.watch import Watch
from datakit.store import Run
from datakit.wording import did_you_mean


class OpenRun:
    """A run folder, read anew at each call; nothing stays open between calls.

    >>> run = datakit.open_run("runs/math")                                     # doctest: +SKIP
    >>> run["pairs"].group_by("model").len()                                    # doctest: +SKIP
    >>> run.sql("SELECT outcome, count(*) FROM verdicts GROUP BY 1")            # doctest: +SKIP
    >>> run.diff({"margin": [0.02, 0.2]}).pairs                                 # doctest: +SKIP
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"datakit.open_run({str(self.folder)!r})"

    def __getitem__(self, table: str) -> pl.DataFrame:
        """Return a whole table or view (`pairs_with_texts`). Raise KeyError if there is none of this name."""
        known = [one.name for one in self.contents()]
        if table not in known:
            raise KeyError(f"{table}: no table or view of a run; there are {', '.join(known)}{did_you_mean(table, known)}")
        return self.sql(f'SELECT * FROM "{table}"')

    def contents(self) -> list[Readable]:
        """Return the tables and views, with their columns."""
        with Run.open(self.folder) as run:
            return contents(run)

    def sql(self, query: str, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of one SELECT (DuckDB); `params` are the values of its $names. Raise BadInput if it cannot be run."""
        with Run.open(self.folder) as run:
            return run.query(query, params)

    @property
    def report(self) -> Report:
        """Return what `datakit inspect` prints, typed."""
        with Run.open(self.folder) as run:
            return inspect_run(run)

    def diff(self, select: Mapping[str, Any]) -> Diff:
        """Return what pairs and demos would be under other settings of the section `select`, without writing anything."""
        return preview(self.folder, _as_settings(select))

    def select(self, select: Mapping[str, Any]) -> OpenRun:
        """Select and export again under these settings, and keep them in the run, as `datakit select --set` does."""
        with Watch() as watch:
            watch.summary(stages.reselect(self.folder, _as_settings(select), watch))
        return self

    def export(self, out: str | Path, format: Format = "parquet", test_share: float = 0.0) -> Exported:
        """Write demos and pairs to a new folder that TRL and `load_dataset` read."""
        return export_runs([self.folder], Path(out), Wish(format, test_share))

    def _repr_html_(self) -> str:
        """Return the report as a terminal shows it, for a notebook."""
        console = Console(file=io.StringIO(), width=WIDTH, highlight=False, color_system=None)
        screen.draw(self.report, console)
        assert isinstance(console.file, io.StringIO)
        return f"<pre>{html.escape(console.file.getvalue())}</pre>"


def open_run(folder: str | Path) -> OpenRun:
    """Open a finished or unfinished run folder. Raise RunError if there is no run."""
    Run.open(Path(folder)).close()
    return OpenRun(Path(folder))


def _as_settings(select: Mapping[str, Any]) -> list[str]:
    return [f"select.{name}={json.dumps(value)}" for name, value in select.items()]
