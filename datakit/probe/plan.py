"""What the probe stage would read, and roughly how many tokens that takes, for `build --dry-run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datakit.probe.missing import count_missing, wanted_texts
from datakit.probe.readings import Reading, Way, readings_of
from datakit.recipe import Recipe
from datakit.store import Run, load_sql


@dataclass(frozen=True)
class ReadingPlan:
    """The texts that one model would read, counted."""

    model: str
    way: Way
    missing: int
    there: int
    at_most: bool
    """True if `missing` is an upper bound, because answers are selected later."""
    prompt_tokens: int
    """A rough estimate for prompts and texts."""
    cost: float | None
    """None if reading costs nothing (in this process) or has no price."""


def plan_readings(
    begun: Run, old: Run | None, recipe: Recipe, means: Mapping[str, float], retry_failures: bool
) -> list[ReadingPlan]:
    """Return a plan per model that reads.

    `begun`: the run as the build begins with it, with rough_tokens; `old`: the run as it is; `means`: the mean tokens of an
    answer, by model."""
    if recipe.probe is None:
        return []
    readings = readings_of(recipe)
    found = begun.query(load_sql("plan/solutions")).row(0, named=True)
    is_selected = old is not None and old.query("SELECT 1 FROM demos LIMIT 1").height > 0
    if old is not None and (is_selected or recipe.probe.texts == "solutions"):
        counts = count_missing(old, wanted_texts(recipe, recipe.probe), readings, retry_failures)
        return [
            _plan(one, count.missing, count.there, False, found, means) for one, count in zip(readings, counts, strict=True)
        ]
    n_answers = recipe.select.most_demos or sum(source.n for source in recipe.sampled)
    texts = found["n_prompts"] * n_answers if recipe.probe.texts != "solutions" else 0
    solutions = found["n_solutions"] if recipe.probe.texts != "demos" else 0
    return [_plan(one, texts + solutions, 0, texts > 0, found, means) for one in readings]


def _plan(
    reading: Reading, missing: int, there: int, at_most: bool, found: Mapping[str, float], means: Mapping[str, float]
) -> ReadingPlan:
    answer = max([*means.values(), found["solution_tokens"]], default=0.0)
    tokens = round(missing * (found["prompt_tokens"] + answer))
    price = reading.source.price if reading.source is not None else None
    paid = reading.way == "vllm" and price is not None and bool(price.input or price.output)
    cost = (tokens * price.input + missing * price.output) / 1e6 if paid and price is not None else None
    return ReadingPlan(reading.model, reading.way, missing, there, at_most, tokens, cost)
