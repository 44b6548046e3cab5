"""Commands about the data of a run: which prompts are kept (curate), samples by hand (batch write, batch read)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from datakit.cli.build import DomainOption, RecipeOption, load_recipe
from datakit.errors import BadInput, command
from datakit.wording import counted

batch = typer.Typer(
    no_args_is_help=True,
    help="Samples as files in OpenAI's batch format, for `vllm run-batch` on a machine without network.",
)


@batch.command("write")
def write_batch(
    places: Annotated[list[Path], typer.Argument(metavar="[RUN] FILE", help="The file is new.", show_default=False)],
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    out: Annotated[Path | None, typer.Option(help="With --recipe: the run folder.", show_default="runs/<domain>")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Of a recipe only N prompts.", show_default=False)] = None,
    max_lines: Annotated[int | None, typer.Option(min=1, help="Lines a file at most.", show_default=False)] = None,
    retry_failures: Annotated[bool, typer.Option(help="Also what failed for good.")] = False,
) -> None:
    """Write a line for every sample that a run misses; a file a source, where several miss some.

    With --recipe (or --domain) the run is begun first: its prompts are read, and nothing is asked.
    """
    from datakit import stages
    from datakit.options import Options
    from datakit.screen.watch import Watch

    begins = recipe is not None or domain is not None
    if len(places) != (1 if begins else 2):
        raise BadInput("write it as: datakit batch write RUN FILE, or datakit batch write --recipe my.yaml FILE")
    loaded = load_recipe(domain, recipe) if begins else None
    run = places[0] if loaded is None else out or Path("runs") / loaded.domain
    options = Options("collect", limit=limit, retry_failures=retry_failures)
    with Watch() as watch:
        for written in stages.write_batch(run, loaded, places[-1], max_lines, options, watch):
            watch.say(f"{written.path}: {counted(written.n_lines, 'lines')} for {written.model}")
        watch.say(f"next: vllm run-batch -i FILE -o RESULTS --model ..., then {command('batch', 'read', run)} RESULTS")


@batch.command("read")
def read_batch(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="A file of results.", show_default=False)],
) -> None:
    """Store the answers of a file of results, each under the id of its line. Lines that are not of this run are named."""
    from datakit.sample.by_hand import said_of, store_results
    from datakit.screen.watch import Watch
    from datakit.store import Run, mirrored

    Run.open(run).close()  # a misspelt folder is not made
    with Watch() as watch, Run.create(run) as opened, mirrored(opened, None, watch.say):
        read = store_results(opened, opened.recipe(), file)
        stored, failed = counted(read.stored, "answers"), counted(read.failed, "lines")
        watch.say(f"{stored} stored, {failed} without an answer, {read.there:,} there already")
        if said := said_of(read):
            watch.say(f"{file}: {said}", warning=True)
        watch.say(f"next: {command('build', '--recipe', 'my.yaml', '--out', run)} goes on with the other stages")


def merge(
    run: Annotated[Path, typer.Argument(help="The run that they become; new, or an earlier merge.", show_default=False)],
    shards: Annotated[list[Path], typer.Argument(metavar="SHARD...", help="Their run folders.", show_default=False)],
) -> None:
    """Make one run of those that were built with --shard: a union of their rows, and no model is asked.

    The rows that are there already stay, so more shards, and what they were answered since, can be merged later.
    """
    from datakit import stages
    from datakit.screen.watch import Watch

    with Watch() as watch:
        merged = stages.merge(run, shards, watch)
        added = ", ".join(counted(n, table) for table, n in merged.added.items() if n) or "nothing new"
        watch.say(f"{run}: {added}, of {counted(len(shards), 'shards')}")
        watch.say(f"next: {command('build', '--recipe', 'my.yaml', '--out', run)} goes on with the other stages")


def curate(
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/<domain>")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be dropped; no run is written.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N kept prompts.", show_default=False)] = None,
    resample: Annotated[bool, typer.Option(help="Go on in a run made with other settings; old rows stay.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The findings as one JSON object on stdout.")] = False,
) -> None:
    """Decide which prompts are kept, by the recipe's curate section, and show why others go, with ten samples a reason.

    In a run that is there it decides anew: nothing is deleted, no model is asked, and what was dropped may come back.
    """
    from dataclasses import asdict

    from datakit import stages
    from datakit.cli.printing import print_json
    from datakit.options import Options
    from datakit.screen.console import open_console
    from datakit.screen.curation import print_curation
    from datakit.screen.watch import Watch

    if dry_run and out is not None:
        raise BadInput(f"--dry-run writes no run: leave --out {out} out, or --dry-run")
    loaded = load_recipe(domain, recipe)
    if dry_run:
        loaded = loaded.model_copy(update={"mirror": None})
    options = Options("collect", limit=limit, resample=resample)
    with TemporaryDirectory(prefix="datakit-") as temporary, Watch() as watch:
        folder = Path(temporary) / "run" if dry_run else out or Path("runs") / loaded.domain
        found = stages.curate(loaded, folder, options, watch)
        watch.close_stage()
        if not dry_run:
            watch.say(f"next: {command('build', *(('--recipe', recipe) if recipe else ('--domain', domain)), '--out', folder)}")
    print_json(asdict(found) if found is not None else None) if json else print_curation(found, open_console())


def pull(
    url: Annotated[str, typer.Argument(help="Where a build mirrored a run.", show_default=False)],
    run: Annotated[Path, typer.Argument(help="A new folder, or an older state of that run.", show_default=False)],
) -> None:
    """Bring a run from its mirror. What is there and equal stays; what was changed on both sides stops it, and is named.

    The next build in that folder asks only for what is missing, and keeps the mirror up.
    """
    from datakit.check.preflight import check_run_folder
    from datakit.screen.watch import Watch
    from datakit.store import pull as pull_run

    check_run_folder(run)
    with Watch() as watch:
        pulled = pull_run(
            url,
            run,
            lambda missing, there: watch.stage("pull", missing, there=there),
            lambda table: watch.advance(table, 1, 0, ""),
        )
        watch.close_stage()
        watch.say(f"{run}: {counted(pulled.copied, 'files')} copied, {pulled.there:,} there already")
        if pulled.replaced:
            watch.say(f"replaced, as the mirror had newer ones: {', '.join(pulled.replaced)}")
        if pulled.only_here:
            watch.say(f"{counted(pulled.only_here, 'parts')} of {run} are not in the mirror: they stay", warning=True)
        watch.say(f"next: {command('build', '--recipe', 'my.yaml', '--out', run)} asks only for what is missing")


def mirror(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    url: Annotated[str | None, typer.Argument(help="Where to.", show_default="where it was mirrored before")] = None,
) -> None:
    """Copy a run to its mirror now: what the mirror lacks. Exit status 4 where some of it could not be copied."""
    from datakit.screen.watch import Watch
    from datakit.store import Note, Run, mirrored

    Run.open(run).close()  # a misspelt folder is not made
    if url is None and Note.read(run) is None:
        raise BadInput(f"{run}: has no mirror; name one: {command('mirror', run, 'URL')}")
    with Watch() as watch, Run.create(run) as opened, mirrored(opened, url, watch.say) as behind:
        pass
    if behind:
        raise behind[0]
