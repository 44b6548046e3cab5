"""Commands about the data of a run: curate, batch write, batch read, merge, pull, mirror."""

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
    help="Exchange samples as files in OpenAI's batch format, for `vllm run-batch` on a machine without network.",
)


@batch.command("write")
def write_batch(
    places: Annotated[
        list[Path], typer.Argument(metavar="[RUN] FILE", help="The file to write; it must not exist.", show_default=False)
    ],
    domain: DomainOption = None,
    recipe: RecipeOption = None,
    out: Annotated[Path | None, typer.Option(help="With --recipe: the run folder.", show_default="runs/<domain>")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="With --recipe: only the first N prompts.", show_default=False)
    ] = None,
    max_lines: Annotated[int | None, typer.Option(min=1, help="Lines per file at most.", show_default=False)] = None,
    retry_failures: Annotated[bool, typer.Option(help="Also write what failed permanently.")] = False,
) -> None:
    """Write one line for every sample that a run lacks; one file per source if several sources lack samples.

    With --recipe (or --domain) the run is started first: its prompts are read, and no model is asked.
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
    """Store the answers of a file of results, each under the id of its line. Lines of other runs are reported."""
    from datakit.sample.by_hand import said_of, store_results
    from datakit.screen.watch import Watch
    from datakit.store import Run, mirrored

    Run.open(run).close()  # do not create a misspelt folder
    with Watch() as watch, Run.create(run) as opened, mirrored(opened, None, watch.say):
        read = store_results(opened, opened.recipe(), file)
        stored, failed = counted(read.stored, "answers"), counted(read.failed, "lines")
        watch.say(f"{stored} stored, {failed} without an answer, {read.there:,} there already")
        if said := said_of(read):
            watch.say(f"{file}: {said}", warning=True)
        watch.say(f"next: {command('build', '--recipe', 'my.yaml', '--out', run)} goes on with the other stages")


def merge(
    run: Annotated[Path, typer.Argument(help="The merged run: a new folder, or an earlier merge.", show_default=False)],
    shards: Annotated[list[Path], typer.Argument(metavar="SHARD...", help="Their run folders.", show_default=False)],
) -> None:
    """Merge runs that were built with --shard into one: the union of their rows. No model is asked.

    Rows that are there already stay, so more shards, and new answers of the same shards, can be merged later.
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be dropped; write no run.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N kept prompts.", show_default=False)] = None,
    resample: Annotated[bool, typer.Option(help="Continue a run made with other settings; old rows stay.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Decide which prompts are kept, by the recipe's curate section, and show why others are dropped, ten samples per reason.

    In an existing run it decides again: nothing is deleted, no model is asked, and dropped prompts may come back.
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
    url: Annotated[str, typer.Argument(help="The mirror's URL.", show_default=False)],
    run: Annotated[Path, typer.Argument(help="A new folder, or an older copy of that run.", show_default=False)],
) -> None:
    """Copy a run from its mirror. Equal files stay; files that changed on both sides are named and stop the command.

    The next build in that folder asks only for what is missing, and updates the mirror.
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
            watch.say(f"replaced by newer ones from the mirror: {', '.join(pulled.replaced)}")
        if pulled.only_here:
            watch.say(f"{counted(pulled.only_here, 'parts')} of {run} are not in the mirror: they stay", warning=True)
        watch.say(f"next: {command('build', '--recipe', 'my.yaml', '--out', run)} asks only for what is missing")


def mirror(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    url: Annotated[str | None, typer.Argument(help="The mirror's URL.", show_default="the one used before")] = None,
) -> None:
    """Copy to its mirror what the mirror of a run lacks. Exit status 4 if some of it could not be copied."""
    from datakit.screen.watch import Watch
    from datakit.store import Note, Run, mirrored

    Run.open(run).close()  # do not create a misspelt folder
    if url is None and Note.read(run) is None:
        raise BadInput(f"{run}: has no mirror yet; name one: {command('mirror', run, 'URL')}")
    with Watch() as watch, Run.create(run) as opened, mirrored(opened, url, watch.say) as behind:
        pass
    if behind:
        raise behind[0]
