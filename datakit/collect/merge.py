"""Runs of shards, made into one: a union of their rows by key. Nothing is selected yet; the next build goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import polars as pl

from datakit.collect.changes import differences
from datakit.collect.shards import ELSEWHERE, ROWS_AT_A_TIME
from datakit.errors import BadInput, RunError
from datakit.recipe import Recipe
from datakit.store import BatchFolder, Flags, Run
from datakit.wording import counted

GROWING = {
    **{table: f"SELECT * FROM {table}" for table in ("responses", "verdicts", "judgements", "distributions", "failures")},
    "scores": "SELECT * FROM scores WHERE judge NOT IN (SELECT judge FROM judgements)",  # others follow from judgements
}
"""The rows of tables that only grow. Of failures each attempt is a row."""
ATTEMPT = ("attempts", "at")


@dataclass(frozen=True)
class Merged:
    """What came of it."""

    added: dict[str, int]
    """Rows by table; those that were there already do not count."""
    lacking: int
    """Prompts that none of the shards asks."""
    waiting: list[Path]
    """Shards with batches that a vendor has not answered."""


def check_shards(folder: Path, shards: Sequence[Run]) -> None:
    """BadInput or RunError, which names the folders, where these are no shards of one build."""
    places = [shard.folder.resolve() for shard in shards]
    for at, place in enumerate(places):
        if place == folder.resolve() or place in places[:at]:
            raise BadInput(f"{shards[at].folder}: given twice; every shard is merged once, into a run that is none of them")
    first = shards[0]
    asked = {shard.folder: _prompts_of(shard) for shard in shards}
    for shard in shards[1:]:
        check_recipe(shard, first.folder, first.recipe())
        _check_same_prompts(asked, first.folder, shard.folder)
    for (one, prompts), (other, others) in combinations(asked.items(), 2):
        if (both := prompts.filter("kept").join(others.filter("kept"), on="prompt_id", how="semi")).height:
            raise RunError(
                f"{one} and {other} overlap: both ask {counted(both.height, 'prompts')} ('{both['prompt_id'][0]}'); "
                "leave one out, or build them with --shard of one N"
            )


def _prompts_of(shard: Run) -> pl.DataFrame:
    """prompt_id, messages_digest and `kept`, of the prompts that are of one shard or another."""
    prompts = "SELECT prompt_id, messages_digest, dropped IS NULL AS kept FROM prompts"
    return shard.query(f"{prompts} WHERE dropped IS NULL OR dropped = $reason ORDER BY ALL", {"reason": ELSEWHERE})


def _check_same_prompts(asked: Mapping[Path, pl.DataFrame], one: Path, other: Path) -> None:
    """RunError where one knows a prompt that the other does not: all shards read all prompts."""
    for has, lacks in ((one, other), (other, one)):
        unknown = asked[has].join(asked[lacks], on=["prompt_id", "messages_digest"], how="anti")
        if unknown.height:
            raise RunError(
                f"{has}: has {counted(unknown.height, 'prompts')} ('{unknown['prompt_id'][0]}') that {lacks} has not, or asks "
                "otherwise: they are shards of different prompts, or one has a --limit"
            )


def check_recipe(run: Run, other: Path, recipe: Recipe) -> None:
    """RunError where a run's responses were made in other ways than this recipe, of another folder, says."""
    old = run.recipe()
    found = [] if old.domain == recipe.domain else [f"domain: {old.domain} -> {recipe.domain}"]
    if found := [*found, *differences(run, old, recipe)]:
        raise RunError(f"{run.folder}: made by another recipe than {other}:\n  " + "\n  ".join(found))


def merge_shards(run: Run, shards: Sequence[Run]) -> Merged:
    """Add the rows of the shards, which `check_shards` has looked at. A run that is new gets their recipe and prompts, too."""
    first = shards[0]
    if run.has_recipe:
        check_recipe(run, first.folder, first.recipe())
    else:
        for table in ("sources", "judges", "overlaps", "notes"):
            run.replace(table, first.frame(table))
    _take_prompts(run, shards)
    added = {}
    for table, rows in GROWING.items():
        spool = run.spool(table)
        for shard in shards:
            for frame in shard.stream(rows, {}, ROWS_AT_A_TIME):
                spool.add(frame)
        spool.finish()
        added[table] = run.append_missing(spool, ATTEMPT if table == "failures" else ())
    for shard in shards:
        if flags := Flags(shard.folder).rows():
            Flags(run.folder).add(flags)
    if not run.has_recipe:
        run.save_recipe(first.recipe())  # last: where this is cut off, there is no run yet
    lacking = run.query("SELECT 1 FROM prompts WHERE dropped = $reason", {"reason": ELSEWHERE}).height
    return Merged(added, lacking, [shard.folder for shard in shards if BatchFolder(shard).notes()])


def _take_prompts(run: Run, shards: Sequence[Run]) -> None:
    """Each prompt as it stands in the shard that asks it; the others as they were, in a new run as in the first shard."""
    prompts, asked = run.spool("prompts"), [pl.DataFrame(schema={"prompt_id": pl.String})]
    for shard in shards:
        for frame in shard.stream("SELECT * FROM prompts WHERE dropped IS NULL", {}, ROWS_AT_A_TIME):
            prompts.add(frame)
            asked.append(frame.select("prompt_id"))
    ids = pl.concat(asked)
    for frame in (run if run.has_recipe else shards[0]).stream("SELECT * FROM prompts", {}, ROWS_AT_A_TIME):
        prompts.add(frame.join(ids, on="prompt_id", how="anti"))
    prompts.finish()
    run.replace_by(prompts)
