"""Commands about an existing run: inspect, select, export, push, sql."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datakit.errors import BadInput, command
from datakit.wording import counted, did_you_mean

if TYPE_CHECKING:
    from datakit.store import Run

SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.field=VALUE, e.g. select.margin=[0.01,0.2]")]


def inspect(
    folder: Annotated[Path, typer.Argument(help="A run folder or an export.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    examples: Annotated[
        int, typer.Option(min=0, help="Show this many pairs as text, from the smallest margin to the largest.")
    ] = 3,
    where: Annotated[
        str | None,
        typer.Option(help="Only pairs for which this SQL is true: \"chosen LIKE '%def %'\"; columns of pairs_with_texts."),
    ] = None,
) -> None:
    """Audit a run or an export: the funnel, the sources, the pairs, the limits. Exit status 1 if a limit is broken."""
    from datakit.audit.inspect import inspect
    from datakit.audit.queries import Shown

    report = inspect(folder, Shown(examples, where))
    if json:
        from datakit.cli.printing import print_json

        print_json(report.as_json())
    else:
        from datakit.screen.console import open_console
        from datakit.screen.report import draw

        draw(report, open_console())
    raise typer.Exit(0 if report.ok else 1)


def select(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    settings: SetOption = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change, before and after; write nothing.")] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=V,V", help="Show what select.FIELD gives at each of these values; several fields: all combinations."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="With --diff or --sweep: print a JSON list.")] = False,
) -> None:
    """Repeat the selection in a finished run: replaces demos, pairs, sft/ and dpo/. Needs no model; recipe.json keeps --set."""
    if diff:
        _show_diff(run, settings or [], json)
        return
    if sweep:
        _show_sweep(run, settings or [], sweep, json)
        return
    from datakit import stages
    from datakit.screen.watch import Watch

    with Watch() as watch:
        summary = stages.reselect(run, settings or [], watch)
        watch.close_stage()
        for warning in summary.warnings:
            watch.say(warning, warning=True)
        if (run / "report.html").is_file():
            watch.say(f"{run / 'report.html'} still shows the old selection: {command('report', run)}")
        watch.say(f"next: {command('inspect', run)}")


def _show_diff(run: Path, settings: list[str], json: bool) -> None:
    from datakit.audit.diff import preview

    if json:
        from datakit.cli.printing import print_json

        print_json(preview(run, settings).changes.to_dicts())
    else:
        from datakit.screen.console import open_console
        from datakit.screen.diff import LISTED, draw_diff

        draw_diff(preview(run, settings, most=LISTED), open_console())


def _show_sweep(run: Path, settings: list[str], knobs: list[str], json: bool) -> None:
    from datakit.audit.lengths import sweep

    points = sweep(run, settings, knobs)
    if json:
        from datakit.cli.printing import print_json

        print_json([asdict(point) for point in points])
    else:
        from datakit.screen.sweep import draw_sweep

        draw_sweep(points)


def export(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN... OUT", help="Run folders, then a new folder.", show_default=False)
    ],
    format: Annotated[str, typer.Option(help="parquet, jsonl, sharegpt or alpaca (LLaMA-Factory), kto (TRL).")] = "parquet",
    test_share: Annotated[
        float, typer.Option(help="Share of the prompts that go to a test split, chosen by their hash.")
    ] = 0.0,
    max_rows: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN=N", help="At most N demos and N pairs of this run; RUN is its folder's name."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN=W",
            help="Mix rows of the runs in this proportion (1 for runs without a weight); no row is taken twice.",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="The target model's folder: count the rows above 1k, 2k and 4k of its tokens.")
    ] = None,
) -> None:
    """Write the demos and pairs of runs as a folder for TRL and `load_dataset`; the runs need not be finished.

    Several runs are mixed: a prompt serves one phase, no row appears twice, and the column `run` says where each comes from.
    """
    from datakit.export import FORMATS, Mix, Wish, export_runs

    if len(folders) < 2:
        raise BadInput(f"export {folders[0]}: name one or more runs, then a new folder: datakit export {folders[0]} OUT")
    if (chosen := next((name for name in FORMATS if name == format), None)) is None:
        raise BadInput(f"--format {format}: write {', '.join(FORMATS[:-1])} or {FORMATS[-1]}{did_you_mean(format, FORMATS)}")
    if not 0 <= test_share < 1:
        raise BadInput(f"--test-share {test_share:g}: must be at least 0 and less than 1")
    most = {name: int(n) for name, n in _by_run("--max-rows", max_rows, whole=True).items()}
    wish = Wish(chosen, test_share, Mix(most, _by_run("--weight", weight)), tokenizer)
    *runs, out = folders
    done = export_runs(runs, out, wish)
    for one in done.left_out:
        of = f"{one['run']}: " if one["run"] else ""
        typer.echo(f"left out: {of}{counted(one['rows'], 'rows')} of {one['phase']} ({one['reason']})", err=True)
    words = {"sft": "demos", "dpo": "pairs", "wrpo": "triples", "kto": "labelled answers"}
    typer.echo("    ".join(f"{out / kind}: {counted(rows, words[kind])}" for kind, rows in done.rows.items()), err=True)


def push(
    folder: Annotated[Path, typer.Argument(help="A folder that datakit export wrote.", show_default=False)],
    repo: Annotated[str, typer.Argument(help="The dataset's owner/name.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="If the dataset is new, make it private.")] = False,
    message: Annotated[str | None, typer.Option(help="The commit's message.", show_default=False)] = None,
) -> None:
    """Upload an export to the Hugging Face hub as a dataset, in one commit. Uses huggingface_hub's token (HF_TOKEN)."""
    from datakit.export.hub import push as push_export

    typer.echo(push_export(folder, repo, private, message), err=True)


def _by_run(option: str, given: list[str] | None, whole: bool = False) -> dict[str, float]:
    """Return the values of a repeated option RUN=NUMBER, by run. BadInput for one that is not written so."""
    values: dict[str, float] = {}
    for text in given or []:
        name, _, number = text.rpartition("=")
        try:
            value = int(number) if whole else float(number)
        except ValueError:
            value = None
        if not name or value is None:
            raise BadInput(f"{option} {text}: write it as RUN={'N, a whole number' if whole else 'NUMBER'}")
        if name in values:
            raise BadInput(f"{option} {text}: {name} already has a value")
        values[name] = value
    return values


def sql(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    query: Annotated[
        str | None,
        typer.Argument(help='"select model, count(*) from responses group by 1"', show_default="list the tables"),
    ] = None,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
    lines: Annotated[bool, typer.Option("--lines", help="One line per value, with whole texts: for wide results.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write to this .parquet, .csv or .jsonl file.", show_default=False)
    ] = None,
) -> None:
    """Query a run with SQL (DuckDB). Without a query: list its tables and views with their columns."""
    from datakit.store import Run

    if format not in ("table", "csv", "json"):
        raise BadInput(f"--format {format}: write table, csv or json{did_you_mean(format, ('table', 'csv', 'json'))}")
    with Run.open(run) as opened:
        if query is None:
            _list_contents(opened, format)
            return
        frame = opened.query(query)
    if out is not None:
        from datakit.screen.frames import write_frame

        write_frame(frame, out)
        typer.echo(f"{out}: {counted(frame.height, 'rows')}", err=True)
        return
    if lines:
        from datakit.screen.frames import draw_upright

        draw_upright(frame)
        return
    if format == "json":
        from datakit.cli.printing import print_json

        print_json(frame.to_dicts())
    elif format == "csv":
        from datakit.screen.frames import flat

        typer.echo(flat(frame).write_csv(), nl=False)
    else:
        from datakit.screen.frames import draw_table

        draw_table(frame)


def _list_contents(run: Run, format: str) -> None:
    from dataclasses import asdict

    from datakit.audit.contents import contents
    from datakit.cli.printing import print_json
    from datakit.screen.frames import draw_contents

    found = contents(run)
    print_json([asdict(one) for one in found]) if format == "json" else draw_contents(found)
