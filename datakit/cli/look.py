"""Commands about a run that is there: inspect, select, export, sql."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datakit.errors import BadInput, command

SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.field=VALUE, e.g. select.margin=[0.01,0.2]")]


def inspect(
    folder: Annotated[Path, typer.Argument(help="A run folder or an export.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="The report as one JSON object on stdout.")] = False,
) -> None:
    """Audit a run or an export: the funnel, the sources, the pairs, the limits. Exit status 1 where a limit is passed."""
    from datakit import audit

    report = audit.inspect(folder)
    if json:
        from datakit.cli.printing import print_json

        print_json(report.as_json())
    else:
        from datakit.screen.report import draw, open_console

        draw(report, open_console())
    raise typer.Exit(0 if report.ok else 1)


def select(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    settings: SetOption = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show which pairs would come, go or change; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --diff: the changes as a JSON list on stdout.")] = False,
) -> None:
    """Select anew in a finished run: replaces demos, pairs, sft/ and dpo/. Needs no model; --set is kept in recipe.json."""
    from datakit import stages
    from datakit.cli.printing import print_json
    from datakit.screen.frames import draw_diff
    from datakit.screen.watch import Watch

    if diff:
        changes = stages.preview(run, settings or [])
        print_json(changes.to_dicts()) if json else draw_diff(changes)
        return
    with Watch() as watch:
        summary = stages.reselect(run, settings or [], watch)
        watch.close_stage()
        for warning in summary.warnings:
            watch.say(warning, warning=True)
        watch.say(f"next: {command('inspect', run)}")


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A new folder; gets sft/ and dpo/.", show_default=False)],
) -> None:
    """Write a run's demos and pairs as folders that TRL takes, also of a run that is not finished."""
    from datakit.export import export_run

    counts = export_run(run, out)
    typer.echo(f"{out / 'sft'}: {counts['sft']:,} demos    {out / 'dpo'}: {counts['dpo']:,} pairs", err=True)


def sql(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    query: Annotated[str, typer.Argument(help='"select model, count(*) from responses group by 1"', show_default=False)],
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
) -> None:
    """Ask a run a question in SQL (DuckDB).

    Tables: prompts, sources, judges, responses, verdicts, scores, demos, pairs, failures.
    """
    from datakit.store import Run

    if format not in ("table", "csv", "json"):
        raise BadInput(f"--format {format}: write table, csv or json")
    with Run.open(run) as opened:
        frame = opened.query(query)
    if format == "json":
        from datakit.cli.printing import print_json

        print_json(frame.to_dicts())
    elif format == "csv":
        from datakit.screen.frames import flat

        typer.echo(flat(frame).write_csv(), nl=False)
    else:
        from datakit.screen.frames import draw_table

        draw_table(frame)
