"""What a recipe's files and datasets hold: prompts, and the responses that exist already.

Everything is read and checked before anything is written: a broken line stops the build with nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache

from datakit.collect.formats import Found
from datakit.collect.imported import read_responses
from datakit.collect.reading import (
    Inputs,
    Note,
    Reading,
    ReadPrompts,
    Store,
    reference_digest,
    row_place,
    with_prompts,
    words_in,
)
from datakit.collect.rows import read_rows
from datakit.collect.tally import Input, Tally
from datakit.errors import BadInput
from datakit.recipe import Recipe, ResponsesSource
from datakit.tables import Prompt


def read_inputs(
    recipe: Recipe,
    read: ReadPrompts,
    limit: int | None,
    keep: Callable[[Prompt], None],
    store: Store | None = None,
    stored: Iterable[tuple[str, str, bool]] = (),
    faults: list[str] | None = None,
) -> Inputs:
    """Read every prompt and response of the recipe, at most `limit` prompts. BadInput where there are none.

    Every prompt is handed to `keep`, and every row of what came with prompts to `store`, as it is read: they may be more than
    memory holds. `stored`: the run's prompts with imported responses (id, messages_digest, shares_messages). `faults`: Tally's.
    """
    reading = Reading(
        Inputs(),
        read,
        limit,
        keep,
        store or (lambda table, rows: None),
        remembers=bool(recipe.imported),
        several=len(recipe.imported) > 1,
        labels=tuple(recipe.curate.columns),
        questions=cache(lambda: {one.prompt_id: words_in(found[2], one) for found, one in _once_more(recipe.prompts, read)}),
        faults=faults,
    )
    for prompt_id, messages_digest, shares_messages in stored:
        reading.shares_messages[prompt_id] = shares_messages
        if not shares_messages:
            reading.asked.add(messages_digest)
    for at, given in enumerate(recipe.prompts):
        _read_prompts(reading, Tally(given, f"prompts.{at}", faults))
    for at, source in enumerate(recipe.sources):
        if isinstance(source, ResponsesSource):
            tally, judge = Tally(source, f"sources.{at}", faults), recipe.imported_judges.get(source.judge or "")
            read_responses(reading, tally, source, not recipe.prompts, judge)
    _check_usable(reading, recipe)
    return reading.inputs


def _check_usable(reading: Reading, recipe: Recipe) -> None:
    """BadInput where there are no prompts, or none that can be used."""
    names = ", ".join(given.name for given in (*recipe.prompts, *recipe.imported))
    if not reading.inputs.prompt_ids:
        raise BadInput(f"{names}: no prompts in there; check the path and the split")
    if reading.inputs.dropped.total() == len(reading.inputs.prompt_ids) and not reading.full:
        reasons = ", ".join(f"{reason} ({n:,})" for reason, n in reading.inputs.dropped.most_common())
        raise BadInput(f"{names}: none of the prompts can be used: {reasons}; check columns")
    missing = sorted(set(recipe.curate.columns) - reading.inputs.labels_seen)
    if missing and not reading.full:
        raise BadInput(f"curate.filters.columns: no prompt of {names} has anything in a column '{missing[0]}'; check its name")


def _read_prompts(reading: Reading, tally: Tally) -> None:
    """Every row is a prompt of its own."""
    given = tally.given
    for found, prompt in with_prompts(read_rows(given, tally, reading.labels), tally, reading.read):
        if reading.full:
            break
        if prompt.prompt_id not in reading.inputs.prompt_ids:
            reading.take(prompt, found[2])
        elif "prompt_id" in found[2]:
            raise BadInput(f"{given.name}: prompt_id '{prompt.prompt_id}' appears twice; ids must be unique in the prompts")
        else:
            reading.complete(prompt)
            reading.inputs.notes[Note("prompts", "with the same messages as an earlier one, kept once")] += 1
            if prompt.reference is not None and prompt.dropped is None:
                reading.inputs.repeated.setdefault((prompt.prompt_id, reference_digest(prompt)), row_place(*found))
    reading.end(tally)


def find_places(recipe: Recipe, read: ReadPrompts, ids: Collection[str]) -> dict[str, str]:
    """Where the first rows of these prompts stand, as messages say it. Reads the inputs once more, as far as needed."""
    places: dict[str, str] = {}
    for found, prompt in _once_more(recipe.prompts or recipe.imported, read):
        if prompt.prompt_id in ids:
            places.setdefault(prompt.prompt_id, row_place(*found))
        if len(places) == len(ids):
            break
    return places


def _once_more(inputs: Iterable[Input], read: ReadPrompts) -> Iterator[tuple[Found, Prompt]]:
    """The rows that can be used, and their prompts."""
    for given in inputs:
        tally = Tally(given.model_copy(update={"on_bad_row": "drop"}))
        yield from with_prompts(read_rows(given, tally), tally, read)
