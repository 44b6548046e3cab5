"""Commands to read the data of a run, pair by pair, and to flag what is wrong: show, browse, flag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datakit.errors import BadInput, command
from datakit.wording import counted

RunArgument = Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]
WhoOption = Annotated[str | None, typer.Option(help="The name that flags are stored under.", show_default="you")]


def show(
    run: RunArgument,
    prompt_id: Annotated[str, typer.Argument(help="A prompt_id that inspect or sql shows.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    texts: Annotated[bool, typer.Option("--texts", help="Also print every answer in full.")] = False,
) -> None:
    """Show what became of a prompt: every answer with its verdict, its scores, and the rule that left it out."""
    from dataclasses import asdict

    from datakit.audit.lineage import read_lineage
    from datakit.cli.printing import print_json
    from datakit.screen.console import open_console
    from datakit.screen.lineage import draw_lineage
    from datakit.store import Run

    with Run.open(run) as opened:
        lineage = read_lineage(opened, prompt_id)
    print_json(asdict(lineage)) if json else draw_lineage(lineage, open_console(), texts)


def browse(
    run: RunArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on this machine; 0: a free one.")] = 0,
    who: WhoOption = None,
) -> None:
    """Read the pairs in a browser, side by side, and flag what is wrong. Listens on this machine only, until Ctrl-C."""
    from datakit.audit.browsing import Browsing
    from datakit.errors import needs_extra
    from datakit.machine import user_name
    from datakit.store import Run

    with needs_extra("view", "datakit browse"):
        from datakit.page.serve import serve
    if (run / "eval.json").is_file():
        runs = ", ".join(command("browse", path.parent) for path in sorted(run.glob("*/recipe.json")))
        raise BadInput(f"{run}: is an evaluation; browse the run of a benchmark: {runs}")
    with Run.open(run) as opened:
        browsing = Browsing(opened)
        try:
            serve(browsing, who or user_name(), port, typer.echo)
        finally:
            browsing.close()


def flag(
    run: RunArgument,
    file: Annotated[
        Path | None, typer.Argument(help="A file of flags to add: JSON Lines, CSV, ...", show_default=False)
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write all flags to this .jsonl or .csv file.", show_default=False)
    ] = None,
    who: Annotated[
        str | None, typer.Option(help="Whose flags these are, if the file does not say.", show_default="you")
    ] = None,
) -> None:
    """Add or list flags on prompts, responses and pairs: exclude, keep, note or clear. Works while a build runs.

    A file has the columns flag, and prompt_id, or response_id, or chosen_id and rejected_id; note, who and at are optional.
    The next selection leaves out what is excluded. Without a file: list the current flags.
    """
    from datakit.collect.flags import export_flags, import_flags
    from datakit.machine import user_name
    from datakit.screen.frames import draw_table
    from datakit.store import Note, Run

    if file is not None:
        done = import_flags(run, file, who or user_name())
        there = f", {done.read - done.new:,} there already" if done.read > done.new else ""
        typer.echo(f"{file}: {counted(done.new, 'flags')} added{there}", err=True)
        if done.unknown:
            typer.echo(
                f"{counted(done.unknown, 'flags')} of ids that this run does not have now; what is flagged stays:", err=True
            )
            typer.echo("".join(f"  {one}\n" for one in done.named), err=True, nl=False)
        if Note.read(run) is not None:
            typer.echo(f"its mirror gets them with the next build; to copy them now: {command('mirror', run)}", err=True)
        typer.echo(f"next: {command('select', run)}", err=True)
    if export is not None:
        typer.echo(f"{export}: {counted(export_flags(run, export), 'flags')}", err=True)
    elif file is None:
        with Run.open(run) as opened:
            draw_table(opened.query('SELECT * EXCLUDE (decides) FROM current_flags ORDER BY "at"'))
