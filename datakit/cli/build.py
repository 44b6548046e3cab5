"""Commands that make a run: build, check, serve, recipe."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datakit.errors import BadInput, SourceStopped, command, raise_all
from datakit.options import Shard
from datakit.signals import Signals
from datakit.wording import counted, did_you_mean

if TYPE_CHECKING:
    from datakit.options import Options
    from datakit.recipe import Recipe

DomainOption = Annotated[
    str | None, typer.Option(help="Without --recipe: use the embedded recipe of this domain. `datakit recipe` lists them.")
]
UntilOption = Annotated[str, typer.Option(help="The last stage to run: collect, sample, verify, score, select, probe, export.")]
RecipeOption = Annotated[Path | None, typer.Option(help="A recipe file (YAML).", show_default=False)]
ShardOption = Annotated[
    Shard | None,
    typer.Option(parser=Shard.parse, metavar="I/N", help="With --until sample: only part I of N, from 0; see datakit merge."),
]
ClusterOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Verify and score on this Ray cluster: auto, or HOST:PORT.")
]
MirrorOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Copy the run to this URL while it is built: s3://..., file:///...")
]
ReportOption = Annotated[
    bool,
    typer.Option("--report/--no-report", envvar="DATAKIT_REPORT", help="Write report.html at the end (needs the extra view)."),
]

signals = Signals()
"""The signals that asked this process to end; the console script listens for them."""


def build(
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<domain>")] = None,
    until: UntilOption = "export",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N kept prompts.", show_default=False)] = None,
    shard: ShardOption = None,
    resample: Annotated[bool, typer.Option(help="Continue a run made with other settings; old rows stay.")] = False,
    retry_failures: Annotated[bool, typer.Option(help="Also retry what failed permanently.")] = False,
    keep_going: Annotated[
        bool,
        typer.Option(help="Finish with what there is if a source cannot be used or the budget is spent; exit status 3."),
    ] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="On Ctrl-C or SIGTERM: seconds to wait for answers in flight and store them.")
    ] = 20.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be requested; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --dry-run: print the plan as one JSON object.")] = False,
    recipe_select: Annotated[
        bool,
        typer.Option("--recipe-select", help="Use the recipe's select section again after select --set has changed the run's."),
    ] = False,
    selfcheck: Annotated[bool, typer.Option("--selfcheck", help="First check the reward models (check --rewards).")] = False,
    cluster: ClusterOption = None,
    mirror: MirrorOption = None,
    report: ReportOption = True,
) -> None:
    """Build a dataset, or continue one: a second call does only what is missing.

    Ctrl-C is safe at any time: answers in flight are stored first. A second Ctrl-C stops at once.
    """
    from datakit.options import STAGES, Options

    stage = next((stage for stage in STAGES if stage == until), None)
    if stage is None:
        raise BadInput(f"--until {until}: unknown stage; choose one of {', '.join(STAGES)}{did_you_mean(until, STAGES)}")
    loaded = load_recipe(domain, recipe)
    folder = out or Path("runs") / loaded.domain
    options = Options(until=stage, limit=limit, shard=shard, resample=resample, retry_failures=retry_failures)
    options = replace(options, keep_going=keep_going, grace_s=grace, recipe_select=recipe_select, selfcheck=selfcheck)
    options = replace(options, signals=signals, report=report, cluster=cluster, mirror=mirror)
    if dry_run or json:
        _dry_run(loaded, folder, options, dry_run, json)
    else:
        _build(loaded, folder, options)


def _build(recipe: Recipe, folder: Path, options: Options) -> None:
    """Run all stages and print the summary; at the end raise the error of a source that stopped early (exit status 3)."""
    from datakit import stages
    from datakit.cli.report import EXTRA, can_draw, write_report
    from datakit.screen.watch import Watch

    again = "datakit build " + " ".join(shlex.quote(arg) for arg in sys.argv[2:])
    with Watch(again, interrupted=lambda: bool(signals.received)) as watch:
        summary = stages.build(recipe, folder, replace(options, report=options.report and can_draw()), watch)
        watch.summary(summary)
        if summary.exported and summary.report is not None:
            watch.say(f"report: {write_report([summary.report], folder / 'report.html')}")
        elif summary.exported and options.report:
            watch.say(f"no report.html: pip install '{EXTRA}' draws what datakit inspect says, with plots")
        if options.keep_going or not summary.stopped:
            whole = options.until == "export"
            watch.say(f"next: {command('inspect', folder)}" if whole else f"stopped after {options.until}, as asked")
    raise_all(summary.stopped or summary.behind)


def _dry_run(recipe: Recipe, folder: Path, options: Options, asked: bool, json: bool) -> None:
    from datakit import dry_run
    from datakit.cli.printing import print_json
    from datakit.screen.console import open_console
    from datakit.screen.costs import draw_plan
    from datakit.screen.watch import Watch

    if not asked:
        raise BadInput("--json needs --dry-run; for a finished build use: datakit inspect RUN --json")
    with Watch() as watch:
        plan = dry_run.plan(recipe, folder, options, watch)
        if url := options.mirror_url(recipe.mirror.url if recipe.mirror is not None else None):
            watch.say(f"mirror: {url}")
    print_json(dry_run.as_json(plan)) if json else draw_plan(plan, open_console())


def check(
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N prompts.", show_default=False)] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help="Code: list prompts whose tests let wrong programs pass.")] = False,
    rewards: Annotated[
        bool, typer.Option("--rewards", help="Check that reward models give the same score in any batch, and known scores.")
    ] = False,
) -> None:
    """Check a recipe: it parses, extras are installed, endpoints answer, every gold answer passes its own verifier.

    Exit status 2 if there is a problem.
    """
    from datakit.check.problems import check as check_recipe
    from datakit.screen.watch import Watch

    with Watch() as watch:
        problems = check_recipe(load_recipe(domain, recipe), limit, watch, mutants, rewards)
        watch.close_stage()
        well = f"all is well, but for {counted(watch.n_warnings, 'warnings')} above" if watch.n_warnings else "all is well"
        for problem in problems:
            watch.say(f"{problem.where}: {problem.what}", warning=True)
        watch.say(counted(len(problems), "problems") if problems else well)
    raise typer.Exit(2 if problems else 0)


def serve(
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    source: Annotated[
        list[int] | None, typer.Option(min=0, help="Start only this source, by its number in the recipe.")
    ] = None,
) -> None:
    """Run the servers of a recipe's `serve` sources in the foreground, until Ctrl-C.

    Starts the sources with `together: true`, or those that --source names.
    """
    from datakit import serving
    from datakit.check.preflight import check_keys_and_folders
    from datakit.domains import domain_of
    from datakit.recipe import ServeSource, resolve

    loaded = load_recipe(domain, recipe)
    with loaded.named():
        loaded = resolve(loaded)
    served = {at: source for at, source in enumerate(loaded.sources) if isinstance(source, ServeSource)}
    if wrong := [at for at in source or [] if at not in served]:
        raise BadInput(f"--source {wrong[0]}: not a source of type serve; those are {', '.join(map(str, served)) or 'none'}")
    if not served:
        raise BadInput("this recipe has no source of type serve")
    with loaded.named():
        check_keys_and_folders(loaded, domain_of(loaded))
    turn = [served[at] for at in source] if source else serving.in_turns(list(served.values()))[0]
    if left := [str(at) for at, other in served.items() if not source and other not in turn]:
        say(f"not started, because they run alone (together: false): sources {', '.join(left)}; see --source", warning=True)
    logs = Path("runs") / "logs"
    serving.end_orphans(logs, say)
    with serving.serve(loaded, turn, logs, say) as servers:
        for shown, server in zip(turn, servers, strict=True):
            typer.echo(f"{server.base_url}  model {shown.requested_model}  log {server.log}")
        while not (gone := next((server for server in servers if server.trouble()), None)):
            time.sleep(0.5)
        raise SourceStopped(f"{gone.name}: {gone.trouble()}")


def show_recipe(
    domain: Annotated[str | None, typer.Argument(help="Without it: list the domains.", show_default=False)] = None,
    endpoints: Annotated[
        bool, typer.Option("--endpoints", help="Print a recipe that asks your own models behind URLs.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of recipes, for editors.")] = False,
    reference: Annotated[bool, typer.Option("--reference", help="Print every field with its meaning, as Markdown.")] = False,
) -> None:
    """Print the embedded recipe of a domain, as a start for your own: datakit recipe math > my.yaml"""
    from datakit.recipe import files

    if schema or reference:
        from datakit.cli.printing import print_json
        from datakit.recipe.reference import json_schema, to_markdown

        print_json(json_schema()) if schema else typer.echo(to_markdown(), nl=False)
        return
    if domain is None:
        if endpoints:
            raise BadInput(f"--endpoints: name a domain: {', '.join(files.bundled_domains())}")
        typer.echo("\n".join(files.bundled_domains()))
    else:
        typer.echo(files.recipe_for_endpoints(domain) if endpoints else files.recipe_to_save(domain), nl=False)


def load_recipe(domain: str | None, path: Path | None) -> Recipe:
    from datakit.recipe import load
    from datakit.recipe.files import bundled_recipe

    if domain is None and path is None:
        raise BadInput("give --domain (for its embedded default) or --recipe FILE")
    recipe = load(path or bundled_recipe(domain or ""))
    if domain is not None and domain != recipe.domain:
        raise BadInput(f"--domain {domain}: {path} is a recipe for domain '{recipe.domain}'; leave one of the two out")
    return recipe


def say(text: str, warning: bool = False) -> None:
    """Print a sentence on stderr."""
    typer.secho(f"{'!' if warning else ' '} {text}", fg="yellow" if warning else None, err=True)
