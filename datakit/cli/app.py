"""The `datakit` command: the only place that prints or exits.

Heavy imports stand inside the commands, so that `datakit --help` answers at once.
"""

from __future__ import annotations

import os
import sys

import typer

from datakit.cli import build, look
from datakit.errors import DatakitError

app = typer.Typer(
    name="datakit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Build and audit preference data: sample several source models, verify and score their answers, select pairs.

A first try, on a laptop with nothing else:  [bold]datakit build --domain math[/]  and then  [bold]datakit inspect runs/math[/].
With your own endpoints: copy the recipe that [bold]datakit recipe math[/] prints, change its sources, and give it as --recipe.

Exit status: 0 done, 1 a limit of inspect passed, 2 bad input, 3 a source stopped the build, 130 and 143 interrupted.""",
)

for command in (build.build, look.inspect, build.check, look.select, look.export, look.sql, build.serve):
    app.command()(command)
app.command("recipe")(build.show_recipe)


def main(argv: list[str] | None = None) -> None:
    """One command, which ends with SystemExit: errors become one message and an exit status, without a traceback.

    Only the console script, which leaves `argv` out, takes Ctrl-C and SIGTERM over.
    """
    if argv is None:
        build.signals.listen()
    try:
        app(argv, prog_name="datakit")
    except DatakitError as error:
        if build.signals.exit_status is None:
            typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
            typer.echo(str(error), err=True)
        sys.exit(build.signals.exit_status or error.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except RuntimeError:  # DuckDB's words for a signal
        if build.signals.exit_status is None:
            raise
        sys.exit(build.signals.exit_status)
    except BrokenPipeError:  # the reader (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
