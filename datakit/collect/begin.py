"""The run as a build begins with it: its prompts, and the responses that exist already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import polars as pl

from datakit.collect.benchmarks import read_items
from datakit.collect.inputs import read_inputs
from datakit.collect.reading import NOT_WANTED, Inputs, Note, prompt_row
from datakit.collect.shards import drop_elsewhere
from datakit.domains import Domain
from datakit.errors import BadInput
from datakit.machine import collecting_rarely
from datakit.options import Options
from datakit.progress import Monitor
from datakit.recipe import Recipe, Sampled
from datakit.rewards.judges import judges
from datakit.store import Run, Spool, load_sql
from datakit.tables import TABLES, Item, Rows
from datakit.wording import counted

ROWS_AT_A_TIME = 5_000
COUNT_SELECTED = "SELECT (SELECT count(*) FROM demos), (SELECT count(*) FROM pairs)"


class Curated(Protocol):
    """What curation made of a spool of prompts."""

    @property
    def prompts(self) -> Spool:
        """The same with `dropped` set."""
        ...

    @property
    def overlaps(self) -> Spool:
        """What dropped and near prompts met."""
        ...

    @property
    def dropped(self) -> Counter[str]:
        """How many, by reason."""
        ...

    @property
    def kept_at(self) -> list[int]:
        """The places of the prompts that are kept."""
        ...


Curate: TypeAlias = Callable[[Iterable[Item]], Callable[[Run, Spool], Curated]]
"""Made ready with the items of benchmarks, it decides of the prompts of a spool which are kept."""


@dataclass(frozen=True)
class Begun:
    """All that the recipe names, read and not yet part of the run."""

    inputs: Inputs
    prompts: Spool
    imported: dict[str, Spool]
    """Rows of responses, scores and failures that come with the inputs; those of a response without text are failures."""
    overlaps: Spool | None = None
    """What dropped and near prompts met; None where the recipe has no curation."""
    curated: Counter[str] = field(default_factory=Counter)
    """Prompts dropped by curation, by reason."""
    n_elsewhere: int = 0
    """Prompts that are kept, in another shard."""
    limit: int | None = None
    """Of how many prompts there were to be at most."""
    selected: tuple[int, int] = (0, 0)
    """The demos and pairs that the run had."""

    @property
    def cut_at(self) -> int | None:
        """The limit, where the inputs may have more prompts than it lets in."""
        n_kept = self.inputs.n_kept - self.curated.total()
        return self.limit if self.limit is not None and n_kept >= self.limit else None


def begin(
    run: Run, recipe: Recipe, domain: Domain, options: Options, curate: Curate | None = None, earlier: Run | None = None
) -> Begun:
    """Read all that the recipe names into spools: errors are met before anything is changed.

    `options.limit` counts the prompts that are kept, of all shards. `curate` decides which are; what it says of a prompt
    depends on those before it alone, so with a limit more are read until there are enough, and then as many as that takes.
    `earlier`: the run whose responses' ids are to stay, where it is another one.
    """
    begun = _begin(run, recipe, domain, options.limit, curate, earlier)
    n_demos, n_pairs = run.query(COUNT_SELECTED).row(0)
    begun = replace(begun, limit=options.limit, selected=(n_demos, n_pairs))
    if options.shard is None:
        return begun
    prompts, n_elsewhere = drop_elsewhere(run, begun.prompts, options.shard)
    return replace(begun, prompts=prompts, n_elsewhere=n_elsewhere)


def _begin(run: Run, recipe: Recipe, domain: Domain, limit: int | None, curate: Curate | None, earlier: Run | None) -> Begun:
    if curate is None:
        return _read(run, recipe, domain, limit, earlier)
    decide, n_wanted = curate(read_items(recipe)), limit
    while True:
        begun = _read(run, recipe, domain, n_wanted, earlier)
        curated = decide(run, begun.prompts)
        begun.prompts.path.unlink()
        begun = replace(begun, prompts=curated.prompts, overlaps=curated.overlaps, curated=curated.dropped)
        n_kept, there_is_more = len(curated.kept_at), n_wanted is not None and begun.inputs.n_kept >= n_wanted
        if limit is None or n_wanted is None or n_kept == limit or (n_kept < limit and not there_is_more):
            return begun
        n_wanted = n_wanted + max(limit - n_kept, n_wanted // 2) if n_kept < limit else _n_usable(curated, limit)


def _n_usable(curated: Curated, limit: int) -> int:
    """How many prompts that can be used are to be read for so many of them to be kept."""
    last, of_curation, n_usable = curated.kept_at[limit - 1], {None, *curated.dropped}, 0
    for first, frame in curated.prompts.frames(ROWS_AT_A_TIME):
        n_usable += sum(reason in of_curation for at, reason in enumerate(frame["dropped"], start=first) if at <= last)
    return n_usable


def _read(run: Run, recipe: Recipe, domain: Domain, limit: int | None, earlier: Run | None) -> Begun:
    prompts = run.spool("prompts")
    imported = {table: run.spool(table) for table in ("responses", "scores", "failures")} if recipe.imported else {}
    stored = (earlier or run).query(load_sql("collect/imported_prompts")).rows() if recipe.imported else []
    with collecting_rarely():
        inputs = read_inputs(
            recipe,
            domain.read,
            limit,
            lambda prompt: prompts.add(prompt_row(prompt)),
            lambda table, rows: imported[table].add(rows),
            stored,
        )
    for spool in (prompts, *imported.values()):
        spool.finish()
    prompts = _with_later_references(run, prompts, inputs)
    inputs.note_other_references(_first_references(run, prompts, inputs))
    if inputs.chooses_index:
        _check_once(run, recipe, imported["responses"])
    for source in recipe.sampled:
        _check_asked_by(run, source, prompts, inputs)
    return Begun(inputs, prompts, imported)


def _with_later_references(run: Run, prompts: Spool, inputs: Inputs) -> Spool:
    """Prompts whose first row has no reference, with that of the first row that has one."""
    if not inputs.later:
        return prompts
    columns = ["prompt_id", "reference", "reference_digest", "solution", "test_style", "entry_point"]
    found = TABLES["prompts"].frame([prompt_row(prompt) for prompt in inputs.later.values()])[columns]
    whole, is_later = run.spool("prompts", "whole.tmp"), pl.col("prompt_id").is_in(found["prompt_id"].implode())
    for _, frame in prompts.frames(ROWS_AT_A_TIME):
        dropped = pl.when(~is_later).then("dropped")
        whole.add(frame.update(found, on="prompt_id").with_columns(dropped=dropped))
    whole.finish()
    prompts.path.unlink()
    return whole


def collect(run: Run, recipe: Recipe, begun: Begun, monitor: Monitor) -> None:
    """inputs -> prompts, and the responses that exist already. Prompts that are no longer wanted stay, marked as dropped."""
    inputs = begun.inputs
    warn_of_gone(run, begun, monitor)
    run.replace_by(_with_old_prompts(run, begun.prompts))
    if begun.overlaps is not None:
        run.replace_by(begun.overlaps)
    elif run.parts("overlaps"):
        run.replace("overlaps", TABLES["overlaps"].frame())
    if inputs.notes or run.parts("notes"):
        rows: Rows = [vars(note) | {"n": count} for note, count in inputs.notes.items()]
        run.replace("notes", TABLES["notes"].frame(rows))
    run.replace("sources", inputs.source_frame(recipe))
    run.replace("judges", TABLES["judges"].frame([{"judge": name, "type": kind} for name, kind in judges(recipe).items()]))
    n_new = {table: run.append_missing(spool) for table, spool in begun.imported.items()}
    dropped = [*inputs.dropped.items(), *begun.curated.most_common()]
    for note, count in [*inputs.notes.items(), *((Note("prompts", f"dropped: {reason}"), n) for reason, n in dropped)]:
        monitor.say(note.of(count), warning=True)
    kept = inputs.n_kept - begun.curated.total() - begun.n_elsewhere
    if begun.n_elsewhere:
        monitor.say(f"{counted(begun.n_elsewhere, 'prompts')} in other shards")
    elif not kept:
        monitor.say("curate drops every prompt: nothing is asked; datakit inspect shows what each of them met", warning=True)
    known = f" ({n_new['responses']:,} of them new)" if inputs.n_responses and n_new["responses"] < inputs.n_responses else ""
    imported = f", {counted(inputs.n_responses, 'responses')} imported{known}" if inputs.n_responses else ""
    monitor.say(f"{counted(kept, 'prompts')}{imported}")


def warn_of_gone(run: Run, begun: Begun, monitor: Monitor) -> None:
    """Say how many prompts leave the run's dataset with this build."""
    gone = f"prompt_id NOT IN (SELECT prompt_id FROM {begun.prompts.relation})"
    n_gone, n = run.query(f"SELECT count(*) FILTER ({gone}), count(*) FROM prompts WHERE dropped IS NULL").row(0)
    if n_gone:
        monitor.say(name_gone(n_gone, n, begun.cut_at), warning=True)


def name_gone(n_gone: int, n: int, cut_at: int | None) -> str:
    """That so many of the prompts of a run are out of its dataset, why, and what brings them back. `cut_at`: Begun's."""
    why = "not in the recipe any more" if cut_at is None else f"beyond --limit {cut_at}"
    back = "once a build reads them again" if cut_at is None else "with a build without --limit"
    are = "is" if n_gone == 1 else "are"
    return (
        f"{n_gone:,} of the {counted(n, 'prompts')} of this run {are} {why}, and out of its dataset; "
        f"their answers stay, and come back {back}; to have both datasets, give another --out"
    )


def _first_references(run: Run, prompts: Spool, inputs: Inputs) -> dict[str, str]:
    """Of the prompts that are there more than once: the digest of the reference that counts, by id."""
    if not inputs.repeated:
        return {}
    run.keep("repeated", pl.DataFrame({"prompt_id": [prompt_id for prompt_id, _ in inputs.repeated]}))
    of_first = f"SELECT prompt_id, reference_digest FROM {prompts.relation} SEMI JOIN repeated USING (prompt_id)"
    return dict(run.query(of_first).iter_rows())


def _check_once(run: Run, recipe: Recipe, responses: Spool) -> None:
    """BadInput where two rows are the same sample.

    Found by a hash of 64 bits first: of strings, millions of groups would take gigabytes.
    """
    with run.snapshot() as snapshot:
        rows = responses.relation
        hashes = f"SELECT hash(response_id) FROM {rows} GROUP BY 1 HAVING count(*) > 1"
        twice = snapshot.query(
            f"SELECT prompt_id, model, sample_index FROM {rows} WHERE hash(response_id) IN ({hashes}) "
            "GROUP BY response_id, prompt_id, model, sample_index HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
        ).rows()
    for prompt_id, model, index in twice:
        names = ", ".join(source.name for source in recipe.imported)
        raise BadInput(
            f"{names}: two rows with prompt_id '{prompt_id}', model '{model}', sample_index {index}; "
            "leave sample_index out of columns to number them in file order"
        )


def _check_asked_by(run: Run, source: Sampled, prompts: Spool, inputs: Inputs) -> None:
    """Where prompts are asked by their category: BadInput where one question is in two, a note of one that no prompt has."""
    for column, by_value in source.sampling_by.items():
        with run.snapshot() as snapshot:
            there = snapshot.query(f"SELECT DISTINCT {column} FROM {prompts.relation} WHERE {column} IS NOT NULL ORDER BY 1")
            apart = snapshot.query(
                f"SELECT min(prompt_id), max(prompt_id) FROM {prompts.relation} WHERE dropped IS NULL "
                f"GROUP BY messages_digest HAVING count(DISTINCT coalesce({column}, '')) > 1 ORDER BY 1 LIMIT 1"
            )
        for one, other in apart.iter_rows():
            alike = f"prompts '{one}' and '{other}' ask the same, each in a {column} of its own"
            raise BadInput(f"sampling_by.{column}: {alike}; leave one out")
        known = there[column].to_list()
        for value in sorted(set(by_value) - set(known)):
            there_are = ", ".join(known)[:200]
            what = f"in sampling_by.{column} of {source.model} of no prompt: '{value}' (there are: {there_are})"
            inputs.notes[Note("values", what)] += 1


def _with_old_prompts(run: Run, new: Spool) -> Spool:
    """The new prompts, and those of earlier builds that the recipe has no longer."""
    gone = f"FROM prompts WHERE prompt_id NOT IN (SELECT prompt_id FROM {new.relation})"
    if not run.query(f"SELECT 1 {gone} LIMIT 1").height:
        return new
    both = run.spool("prompts", "both.tmp")
    rows = f"SELECT * FROM {new.relation} UNION ALL BY NAME SELECT * REPLACE ($dropped AS dropped) {gone}"
    for frame in run.stream(rows, {"dropped": NOT_WANTED}, rows=10_000):
        both.add(frame)
    both.finish()
    new.path.unlink()
    return both
