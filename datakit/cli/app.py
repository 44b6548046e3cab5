"""The `datakit` command: the only place that prints or exits.

Heavy imports stand inside the commands, so that `datakit --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datakit.errors import BadInput, BudgetSpent, DatakitError, SourceStopped
from datakit.signals import Signals

if TYPE_CHECKING:
    from datakit.options import Options
    from datakit.recipe import Recipe

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

DomainOption = Annotated[str | None, typer.Option(help="math, code or instruct. Without --recipe: the embedded default of it.")]
RecipeOption = Annotated[Path | None, typer.Option(help="A recipe in YAML.", show_default=False)]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.field=VALUE, e.g. select.margin=[0.01,0.2]")]


@app.command()
def build(
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<domain>")] = None,
    until: Annotated[str, typer.Option(help="The last stage: collect, sample, verify, score, select, export.")] = "export",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N prompts.", show_default=False)] = None,
    resample: Annotated[bool, typer.Option(help="Go on in a run made with other sampled settings; old rows stay.")] = False,
    retry_failures: Annotated[bool, typer.Option(help="Ask again also for what failed for good.")] = False,
    keep_going: Annotated[
        bool,
        typer.Option(help="Finish with what there is where a source cannot be used or the budget is spent; exit status 3."),
    ] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="On Ctrl-C or SIGTERM: seconds in which answers on their way are still stored.")
    ] = 20.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked for; ask and write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --dry-run: the plan as one JSON object on stdout.")] = False,
    selfcheck: Annotated[bool, typer.Option("--selfcheck", help="First check the reward models, as check --rewards.")] = False,
) -> None:
    """Build a dataset, or go on with one: a second call does only what is missing.

    Ctrl-C is safe at any time: what is on its way is stored first. A second Ctrl-C leaves at once.
    """
    from datakit.options import STAGES, Options

    stage = next((stage for stage in STAGES if stage == until), None)
    if stage is None:
        raise BadInput(f"--until {until}: there is no such stage; stages are {', '.join(STAGES)}")
    loaded = _load(domain, recipe)
    folder = out or Path("runs") / loaded.domain
    options = Options(stage, limit, resample, retry_failures, keep_going, grace, selfcheck, _signals)
    if dry_run or json:
        _dry_run(loaded, folder, options, dry_run, json)
    else:
        _build(loaded, folder, options)


def _build(recipe: Recipe, folder: Path, options: Options) -> None:
    """All stages, what came of them, and at the end the error of a source that ended early (exit status 3)."""
    from datakit import stages
    from datakit.export import export_run
    from datakit.screen.watch import Watch

    again = "datakit build " + " ".join(_shell(arg) for arg in sys.argv[2:])
    with Watch(again, interrupted=lambda: bool(_signals.received)) as watch:
        try:
            stopped = stages.build(recipe, folder, options, watch)
        except (SourceStopped, BudgetSpent):
            watch.close_stage()
            watch.spending(folder)
            raise
        if options.until == "export":
            watch.stage("export", {})
            counts = export_run(folder, folder, replace=True)
            watch.say(f"{folder / 'sft'}: {counts['sft']:,} demos    {folder / 'dpo'}: {counts['dpo']:,} pairs")
        watch.close_stage()
        watch.failures(folder)
        watch.spending(folder)
        next_step = (
            f"next: datakit inspect {folder}" if options.until == "export" else f"stopped after {options.until}, as asked"
        )
        watch.say(next_step)
    if stopped:
        raise stopped[0] if len(stopped) == 1 else SourceStopped("\n".join(map(str, stopped)))


def _dry_run(recipe: Recipe, folder: Path, options: Options, asked: bool, json: bool) -> None:
    from datakit import dry_run
    from datakit.screen.costs import draw_plan
    from datakit.screen.report import open_console
    from datakit.screen.watch import Watch

    if not asked:
        raise BadInput("--json is for --dry-run; of a finished build: datakit inspect RUN --json")
    with Watch() as watch:
        plan = dry_run.plan(recipe, folder, options, watch)
    _print_json(dry_run.as_json(plan)) if json else draw_plan(plan, open_console())


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="A run folder or an export.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="The report as one JSON object on stdout.")] = False,
) -> None:
    """Audit a run or an export: the funnel, the sources, the pairs, the limits. Exit status 1 where a limit is passed."""
    from datakit import audit

    report = audit.inspect(folder)
    if json:
        _print_json(report)
    else:
        from datakit.screen.report import draw, open_console

        draw(report, open_console())
    raise typer.Exit(0 if report["ok"] else 1)


@app.command()
def check(
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N prompts.", show_default=False)] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help="Code: name prompts whose tests let wrong programs pass.")] = False,
    rewards: Annotated[
        bool, typer.Option("--rewards", help="Reward models: one score in any batch, and known scores.")
    ] = False,
) -> None:
    """Check a recipe: it parses, extras are there, endpoints answer, every gold answer passes its own verifier.

    Exit status 2 where there is a problem.
    """
    from datakit.check.problems import check as check_recipe
    from datakit.screen.watch import Watch

    with Watch() as watch:
        problems = check_recipe(_load(domain, recipe), limit, watch, mutants, rewards)
        watch.close_stage()
        for problem in problems:
            watch.say(f"{problem.where}: {problem.what}", warning=True)
        watch.say(f"{len(problems):,} problems" if problems else "all is well")
    raise typer.Exit(2 if problems else 0)


@app.command()
def select(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    settings: SetOption = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show which pairs would come, go or change; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --diff: the changes as a JSON list on stdout.")] = False,
) -> None:
    """Select anew in a finished run: replaces demos, pairs, sft/ and dpo/. Needs no model; --set is kept in recipe.json."""
    from datakit import stages
    from datakit.export import export_run
    from datakit.screen.frames import draw_diff
    from datakit.screen.watch import Watch

    if diff:
        changes = stages.preview(run, settings or [])
        _print_json(changes.to_dicts()) if json else draw_diff(changes)
        return
    with Watch() as watch:
        stages.reselect(run, settings or [], watch)
        export_run(run, run, replace=True)
        watch.say(f"next: datakit inspect {run}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A new folder; gets sft/ and dpo/.", show_default=False)],
) -> None:
    """Write a run's demos and pairs as folders that TRL takes, also of a run that is not finished."""
    from datakit.export import export_run

    counts = export_run(run, out)
    typer.echo(f"{out / 'sft'}: {counts['sft']:,} demos    {out / 'dpo'}: {counts['dpo']:,} pairs", err=True)


@app.command()
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
        _print_json(frame.to_dicts())
    elif format == "csv":
        from datakit.screen.frames import flat

        typer.echo(flat(frame).write_csv(), nl=False)
    else:
        from datakit.screen.frames import draw_table

        draw_table(frame)


@app.command()
def serve(
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    source: Annotated[list[int] | None, typer.Option(min=0, help="Only this source, by its number in the recipe.")] = None,
) -> None:
    """Run the servers of a recipe's `serve` sources in the foreground, until Ctrl-C.

    Those with `together: true`, or the sources that --source names.
    """
    from datakit import serving
    from datakit.check.preflight import preflight
    from datakit.recipe import ServeSource, resolve

    loaded = resolve(_load(domain, recipe))
    served = {at: source for at, source in enumerate(loaded.sources) if isinstance(source, ServeSource)}
    if wrong := [at for at in source or [] if at not in served]:
        raise BadInput(f"--source {wrong[0]}: not a source of type serve; those are {', '.join(map(str, served)) or 'none'}")
    if not served:
        raise BadInput("this recipe has no source of type serve")
    preflight(loaded)
    turn = [served[at] for at in source] if source else serving.in_turns(list(served.values()))[0]
    if left := [str(at) for at, other in served.items() if not source and other not in turn]:
        _say(f"not started, for they run alone (together: false): sources {', '.join(left)}; see --source", warning=True)
    logs = Path("runs") / "logs"
    serving.end_orphans(logs, _say)
    with serving.serve(loaded, turn, logs, _say) as servers:
        for shown, server in zip(turn, servers, strict=True):
            typer.echo(f"{server.base_url}  model {serving.requested_name(loaded, shown)}  log {server.log}")
        while not (gone := next((server for server in servers if server.trouble()), None)):
            time.sleep(0.5)
        raise SourceStopped(f"{gone.name}: {gone.trouble()}")


def _say(text: str, warning: bool = False) -> None:
    typer.secho(f"{'!' if warning else ' '} {text}", fg="yellow" if warning else None, err=True)


@app.command("recipe")
def show_recipe(domain: Annotated[str, typer.Argument(help="math, code or instruct")]) -> None:
    """Print the embedded recipe of a domain, to start one's own from."""
    from datakit.recipe.files import bundled_recipe

    typer.echo(bundled_recipe(domain).read_text(encoding="utf-8"), nl=False)


def _load(domain: str | None, path: Path | None) -> Recipe:
    from datakit.recipe import load
    from datakit.recipe.files import bundled_recipe

    if domain is None and path is None:
        raise BadInput("give --domain (for its embedded default) or --recipe FILE")
    recipe = load(path or bundled_recipe(domain or ""))
    if domain is not None and domain != recipe.domain:
        raise BadInput(f"--domain {domain}: {path} is a recipe for domain '{recipe.domain}'; leave one of the two out")
    return recipe


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(_finite(value), ensure_ascii=False, indent=2, default=_plain, allow_nan=False))


def _finite(value: object) -> object:
    """JSON knows no NaN and no infinity: they become null."""
    from math import isfinite

    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: object) -> object:
    """JSON of what DuckDB gives beyond it: sums are decimals, times are times."""
    from decimal import Decimal

    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _shell(argument: str) -> str:
    import shlex

    return shlex.quote(argument)


_signals = Signals()


def main(argv: list[str] | None = None) -> None:
    """One command, which ends with SystemExit: errors become one message and an exit status, without a traceback.

    Only the console script, which leaves `argv` out, takes Ctrl-C and SIGTERM over.
    """
    if argv is None:
        _signals.listen()
    try:
        app(argv, prog_name="datakit")
    except DatakitError as error:
        if _signals.exit_status is None:
            typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
            typer.echo(str(error), err=True)
        sys.exit(_signals.exit_status or error.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except RuntimeError:  # DuckDB's words for a signal
        if _signals.exit_status is None:
            raise
        sys.exit(_signals.exit_status)
    except BrokenPipeError:  # the reader (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
