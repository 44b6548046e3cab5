"""Decides which prompts of a recipe are kept: filters, then exact duplicates, then benchmarks, then near duplicates.

Prompts are read twice, in batches: first to apply filters and benchmarks and to index them for duplicates, then to write the
decisions. The order keeps reasons stable: a prompt that a filter drops is never the earlier one of a duplicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import polars as pl

from datakit.curate.decontaminate import Benchmarks, Met
from datakit.curate.duplicates import Comparison, Twin
from datakit.curate.filters import filters_of
from datakit.curate.texts import asked, common_run, tokens
from datakit.domains import domain_of
from datakit.recipe import Recipe
from datakit.recipe.curate import Curate, Duplicates
from datakit.store import Run, Spool
from datakit.tables import Item, Row

ROWS_AT_A_TIME = 10_000
SHOWN = 200  # characters shown of a text in common


@dataclass(frozen=True)
class Curated:
    """The prompts of a spool with `dropped` set, and the reasons."""

    prompts: Spool
    overlaps: Spool
    dropped: Counter[str]
    """Number of dropped prompts by reason."""
    kept_at: list[int]
    """The row numbers of the prompts that are kept."""


def curator(recipe: Recipe) -> Callable[[Iterable[Item]], Curator] | None:
    """Return a function that makes a Curator from the benchmark items; None if the recipe never drops a prompt."""
    return partial(Curator, recipe) if recipe.curate.prompts else None


class Curator:
    """Decides which prompts of a finished spool are kept. A decision depends only on earlier prompts."""

    def __init__(self, recipe: Recipe, items: Iterable[Item]) -> None:
        self._given = given = recipe.curate
        self._domain = recipe.domain
        self._verified = domain_of(recipe).verifier is not None
        against = given.decontaminate
        self._benchmarks = Benchmarks.of(against, list(items), recipe.domain) if against is not None else None

    def __call__(self, run: Run, prompts: Spool) -> Curated:
        """Write the prompts with `dropped` set, and their overlaps, to two new spools."""
        given = self._given
        with run.scratch() as folder:
            comparison = Comparison(given.duplicates or Duplicates(exact=False), folder, self._domain, self._verified)
            deciding = _Deciding(given, comparison, self._benchmarks, run.spool("overlaps"))
            try:
                for first, frame in prompts.frames(ROWS_AT_A_TIME):
                    deciding.meet(frame.with_row_index("number", first))
                twins = deciding.twins()
            finally:
                comparison.close()
            return deciding.write(prompts, run.spool("prompts", "curated.tmp"), twins)


class _Deciding:
    """The findings on the prompts so far."""

    def __init__(self, given: Curate, comparison: Comparison, benchmarks: Benchmarks | None, overlaps: Spool) -> None:
        self._filters = list(filters_of(given.filters))
        self._comparison = comparison
        self._benchmarks = benchmarks
        self._templates_drop = given.decontaminate is not None and given.decontaminate.templates == "drop"
        self._overlaps = overlaps
        self._reasons: dict[int, str] = {}

    def meet(self, batch: pl.DataFrame) -> None:
        """Compare a batch of prompts with filters and benchmarks."""
        batch = batch.filter(pl.col("dropped").is_null()).with_columns(text=asked()).with_columns(tokens=tokens(pl.col("text")))
        for name, meets in self._filters:
            met = batch.select("number", "prompt_id", meets.alias("met")).drop_nulls("met")
            for number, prompt_id, value in met.iter_rows():
                self._drop(number, prompt_id, f"filter: {name}", value)
            batch = batch.filter(~pl.col("number").is_in(met["number"].implode()))
        self._comparison.add(batch)
        if self._benchmarks is not None:
            ids = dict(batch.select("number", "prompt_id").iter_rows())
            for found in self._benchmarks.meet(batch):
                self._note(found, ids[found.number])

    def _note(self, met: Met, prompt_id: str) -> None:
        if met.reason.startswith("contaminated") or (self._templates_drop and met.reason.startswith("template")):
            self._reasons.setdefault(met.number, met.reason)
        self._overlaps.add(_overlap(prompt_id, met.reason, met.item, met.share, met.text))

    def _drop(self, number: int, prompt_id: str, reason: str, met: str) -> None:
        self._reasons[number] = reason
        self._overlaps.add(_overlap(prompt_id, reason, met[:SHOWN], None, None))

    def twins(self) -> dict[int, tuple[str, Twin]]:
        """Return the duplicates by number, with their reason. A copy of a contaminated prompt counts as a duplicate."""
        exact = {twin.number: ("duplicate", twin) for twin in self._comparison.exact()}
        near = self._comparison.near([*self._reasons, *exact])
        return exact | {twin.number: ("near duplicate", twin) for twin in near}

    def write(self, prompts: Spool, curated: Spool, twins: dict[int, tuple[str, Twin]]) -> Curated:
        """Write the prompts again, with the decisions."""
        firsts = {twin.met for _, twin in twins.values()}
        seen: dict[int, tuple[str, list[str]]] = {}
        dropped, kept_at = Counter[str](), list[int]()
        for first, frame in prompts.frames(ROWS_AT_A_TIME):
            numbers = range(first, first + frame.height)
            reasons = [twins[at][0] if at in twins else self._reasons.get(at) for at in numbers]
            whole = frame.with_columns(dropped=pl.coalesce("dropped", pl.Series(reasons, dtype=pl.String)))
            curated.add(whole)
            kept_at += [at for at, reason in zip(numbers, whole["dropped"], strict=True) if reason is None]
            dropped.update(reason for reason in reasons if reason is not None)
            wanted = pl.Series([at in firsts or at in twins for at in numbers])
            words = (
                frame.with_row_index("number", first)
                .filter(wanted)
                .select("number", "prompt_id", tokens(asked()).alias("tokens"))
            )
            for number, prompt_id, of_prompt in words.iter_rows():
                if number in firsts:
                    seen[number] = prompt_id, of_prompt
                if number in twins:
                    reason, twin = twins[number]
                    met, of_first = seen[twin.met]
                    run = common_run(of_first, of_prompt) or " ".join(of_prompt)
                    self._overlaps.add(_overlap(prompt_id, reason, met, twin.similarity, run))
        curated.finish()
        self._overlaps.finish()
        return Curated(curated, self._overlaps, dropped, kept_at)


def _overlap(prompt_id: str, reason: str, met: str, share: float | None, text: str | None) -> Row:
    shown = text if text is None or len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return {"prompt_id": prompt_id, "reason": reason, "met": met, "share": share, "text": shown}
