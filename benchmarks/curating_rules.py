"""Rules of decontamination over planted changes: what datakit's and other rules find and flag."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
from curating_texts import CHANGES, GROUPS, items, planted, unplanted

from datakit.curate.decontaminate import Benchmarks
from datakit.curate.texts import tokens
from datakit.recipe.curate import Decontaminate
from datakit.tables import Item

GROUP_NAMES = tuple(GROUPS)
Found = Callable[[list[str]], set[int]]
"""Returns the indices of the texts that a rule calls contaminated."""


def measure(data: Path, plantings: int) -> Iterator[tuple[str, dict[str, list[float]], int]]:
    """Yield for each rule its name, by change the recall per group, and the number of flagged prompts that were not planted."""
    by_name = items(data)
    there = [item for found in by_name.values() for item in found]
    texts = {change: [planted(by_name, change, seed) for seed in range(plantings)] for change in CHANGES}
    clean = unplanted(data)
    for name, rule in rules(there):
        recall = {}
        for change, made in texts.items():
            shares = [[len(rule(one[group])) / len(one[group]) for one in made] for group in GROUP_NAMES]
            recall[change] = [sum(of_group) / plantings for of_group in shares]
        yield name, recall, len(rule(clean))


def rules(there: list[Item]) -> Iterator[tuple[str, Found]]:
    yield "any 13-gram (lm-eval, GPT-3)", _grams(there, 13, lambda share, _: share > 0)
    yield "any 8-gram", _grams(there, 8, lambda share, _: share > 0)
    yield "8-grams cover >= 0.5 of the item (Tulu 3)", _grams(there, 8, lambda share, _: share >= 0.5)
    yield "IDF-weighted 5-grams >= 0.8, to 1.0 when short (Olmo 3)", _grams(there, 5, _olmo, weighed=True, least=20)
    for share in (0.3, 0.4, 0.5, 0.6, 0.7):
        yield f"datakit, share {share}", _datakit(there, share)


def _datakit(there: list[Item], share: float) -> Found:
    given = Decontaminate.model_validate({"against": ["x"], "share": share})
    benchmarks = Benchmarks.of(given, there, "instruct")

    def found(texts: list[str]) -> set[int]:
        frame = pl.DataFrame({"text": texts}).with_row_index("number")
        nothing = pl.lit(None, pl.String)
        batch = frame.with_columns(tokens=tokens(pl.col("text")), reference=nothing, entry_point=nothing)
        return {met.number for met in benchmarks.meet(batch) if met.reason.startswith("contaminated")}

    return found


def _olmo(share: float, n_tokens: int) -> bool:
    return share >= 1.0 - 0.2 * min(max(n_tokens - 20, 0) / 30, 1) - 1e-9


def _grams(there: list[Item], n: int, decide: Callable[[float, int], bool], weighed: bool = False, least: int = 0) -> Found:
    """Return a rule over the share of an item's tokens (`weighed`: of its n-grams' weight) that the prompt's n-grams
    contain."""
    words = _tokens([item.texts[0] for item in there])
    own = [[tuple(one[at : at + n]) for at in range(len(one) - n + 1)] for one in words]
    holders: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for at, grams in enumerate(own):
        if len(words[at]) >= least:
            for gram in grams:
                holders[gram].add(at)

    def weight(gram: tuple[str, ...]) -> float:
        return math.log(len(there) / len(holders[gram]))

    def share(at: int, gone: set[tuple[str, ...]]) -> float:
        if weighed:
            return sum(weight(gram) for gram in set(own[at]) & gone) / sum(map(weight, set(own[at])))
        covered = {place + step for place, gram in enumerate(own[at]) if gram in gone for step in range(n)}
        return len(covered) / len(words[at])

    def found(texts: list[str]) -> set[int]:
        places = set()
        for place, one in enumerate(_tokens(texts)):
            grams = {tuple(one[at : at + n]) for at in range(len(one) - n + 1)} & holders.keys()
            candidates = {at for gram in grams for at in holders[gram]}
            if any(decide(share(at, grams), len(words[at])) for at in candidates):
                places.add(place)
        return places

    return found


def _tokens(texts: list[str]) -> list[list[str]]:
    return pl.DataFrame({"text": texts}).select(tokens(pl.col("text")))["text"].to_list()
