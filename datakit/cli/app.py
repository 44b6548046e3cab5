"""The `datakit` command: the only place that prints or exits.

Heavy imports are inside the commands, so that `datakit --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from functools import cache, partial
from typing import Annotated

import typer

from datakit.cli import build, data, eval, look, read, report
from datakit.errors import DISTRIBUTION, BadInput, DatakitError

app = typer.Typer(
    name="datakit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Build and audit preference data: sample several source models, verify and score their answers, select pairs.

A first try, on a laptop with nothing else:  [bold]datakit build --domain math[/]  and then  [bold]datakit inspect runs/math[/].
With your own endpoints: save what [bold]datakit recipe math --endpoints[/] prints, change it, and give it as --recipe.

Exit status: 0 done, 1 a limit of inspect is broken, 2 bad input, 3 a source stopped the build, 4 its mirror is
behind, 130 and 143 interrupted.""",
)


def _print_version(asked: bool) -> None:
    from importlib.metadata import PackageNotFoundError, version

    if asked:
        try:
            typer.echo(f"datakit {version(DISTRIBUTION)}")
        except PackageNotFoundError as error:
            raise BadInput(f"--version: {DISTRIBUTION} is not installed here, so it has no version") from error
        raise typer.Exit


@app.callback()
def with_version(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in (
    *(
        build.build,
        look.inspect,
        report.report,
        report.diff,
        build.check,
        data.curate,
        data.merge,
        data.pull,
        data.mirror,
        look.select,
    ),
    *(read.flag, read.show, read.browse),
    *(look.export, look.push, look.sql, build.serve),
):
    app.command()(command)
app.command("recipe")(build.show_recipe)
app.command("eval")(eval.evaluate)
app.add_typer(data.batch, name="batch")


_command = cache(partial(typer.main.get_command, app))


def main(argv: list[str] | None = None) -> None:
    """Run one command and raise SystemExit; errors become one message and an exit status, without a traceback.

    Ctrl-C and SIGTERM are handled only for the console script, which passes no `argv`.
    """
    if argv is None:
        build.signals.listen()
    try:
        _command()(argv, prog_name="datakit")
    except DatakitError as error:
        if build.signals.exit_status is None:
            typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
            typer.echo(str(error), err=True)
        sys.exit(build.signals.exit_status or error.exit_status)
    except SystemExit as end:  # typer's own, also what it makes of Ctrl-C
        sys.exit(build.signals.exit_status or end.code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(build.signals.exit_status or 130)
    except RuntimeError:  # DuckDB raises this for a signal
        if build.signals.exit_status is None:
            raise
        sys.exit(build.signals.exit_status)
    except BrokenPipeError:  # the reader (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
