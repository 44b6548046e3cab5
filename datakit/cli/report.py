"""The commands report and diff."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datakit.errors import DISTRIBUTION, BadInput, needs_extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datakit.audit.report import Report

EXTRA = f"{DISTRIBUTION}[view]"


def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Runs and exports, or evaluations.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write.", show_default="RUN/report.html")] = None,
) -> None:
    """Write what inspect prints as one HTML file with plots, to mail or print. Several runs are shown side by side."""
    with needs_extra("view", "datakit report"):
        import altair  # noqa: F401 - fail before a long count
        import jinja2  # noqa: F401
        import vl_convert  # noqa: F401

    if out is None and len(folders) > 1:
        raise BadInput(f"report of {len(folders)} runs: name the file with -o FILE.html")
    target = out or folders[0] / "report.html"
    evaluated = [(folder / "eval.json").is_file() for folder in folders]
    if any(evaluated) and not all(evaluated):
        raise BadInput("a report covers either runs and exports, or evaluations: write one report for each kind")
    if target.is_dir():
        raise BadInput(f"-o {target}: is a folder; name a file in it")
    if folders[0].is_dir() and not target.parent.is_dir():
        raise BadInput(f"-o {target}: there is no folder {target.parent}")
    typer.echo(str(_write_evaluations(folders, target) if all(evaluated) else _write_runs(folders, target)), err=True)


def _write_runs(folders: list[Path], target: Path) -> Path:
    from datakit.audit.inspect import inspect

    return write_report([inspect(folder) for folder in folders], target)


def _write_evaluations(folders: list[Path], target: Path) -> Path:
    from datakit.evaluation.table import read_evaluation
    from datakit.page.report import name_folders, render_evaluation

    names = name_folders([str(folder) for folder in folders])
    found = {name: read_evaluation(folder / "eval.json") for name, folder in zip(names, folders, strict=True)}
    return _write(render_evaluation(found), target)


def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run folder.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another run folder.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the pairs and demos of two runs, also of different recipes: counts of both, what moved, three pairs as text."""
    from datakit.audit.diff import diff_runs
    from datakit.cli.printing import print_json
    from datakit.screen.console import open_console
    from datakit.screen.diff import LISTED, draw_diff

    found = diff_runs(first, second, most=None if json else LISTED)
    print_json(found.as_json()) if json else draw_diff(found, open_console())


def can_draw() -> bool:
    """Return True if the extra `view` is installed."""
    return all(importlib.util.find_spec(package) for package in ("altair", "vl_convert", "jinja2"))


def write_report(reports: Sequence[Report], target: Path) -> Path:
    """Write the page of these reports to `target`, whole or not at all, and return it. BadInput if it cannot be written."""
    from datakit.page.report import render_report

    return _write(render_report(reports), target)


def _write(page: str, target: Path) -> Path:
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BadInput(f"{target}: cannot be written ({error.strerror}); -o FILE.html names another place") from error
    return target
