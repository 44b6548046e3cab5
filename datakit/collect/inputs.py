"""What a recipe's files and datasets hold: prompts, and the responses that exist already.

Everything is read and checked before anything is written: a broken line stops the build with nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from datakit.collect.imported import read_responses
from datakit.collect.reading import Inputs, Note, Reading, ReadPrompts, Store, reference_digest, row_place, with_prompts
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.errors import BadInput
from datakit.recipe import FilePrompts, HubPrompts, Recipe
from datakit.tables import Prompt


def read_inputs(
    recipe: Recipe,
    read: ReadPrompts,
    limit: int | None,
    keep: Callable[[Prompt], None],
    store: Store | None = None,
    stored: Iterable[tuple[str, str, bool]] = (),
) -> Inputs:
    """Read every prompt and response of the recipe, at most `limit` prompts. BadInput where there are none.

    Every prompt is handed to `keep`, and every row of what came with prompts to `store`, as it is read: they may be more than
    memory holds. `stored`: prompts whose imported responses the run has (prompt_id, messages_digest, shares_messages).
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
    )
    for prompt_id, messages_digest, shares_messages in stored:
        reading.shares_messages[prompt_id] = shares_messages
        if not shares_messages:
            reading.asked.add(messages_digest)
    for given in recipe.prompts:
        _read_prompts(reading, given)
    for responses in recipe.imported:
        judge = None if responses.judge is None else recipe.imported_judges[responses.judge]
        read_responses(reading, responses, not recipe.prompts, judge)
    names = ", ".join(given.name for given in (*recipe.prompts, *recipe.imported))
    if not reading.inputs.prompt_ids:
        raise BadInput(f"{names}: no prompts in there; check the path and the split")
    if reading.inputs.dropped.total() == len(reading.inputs.prompt_ids) and not reading.full:
        reasons = ", ".join(f"{reason} ({n:,})" for reason, n in reading.inputs.dropped.most_common())
        raise BadInput(f"{names}: none of the prompts can be used: {reasons}; check columns")
    missing = sorted(set(recipe.curate.columns) - reading.inputs.labels_seen)
    if missing and not reading.full:
        raise BadInput(f"curate.filters.columns: no prompt of {names} has anything in a column '{missing[0]}'; check its name")
    return reading.inputs


def _read_prompts(reading: Reading, given: FilePrompts | HubPrompts) -> None:
    """Every row is a prompt of its own."""
    tally = Tally(given)
    for found, prompt in with_prompts(read_rows(given, tally, reading.labels), tally, reading.read):
        if reading.full:
            break
        if prompt.prompt_id not in reading.inputs.prompt_ids:
            reading.take(prompt, found[2])
        elif "prompt_id" in found[2]:
            raise BadInput(f"{given.name}: prompt_id '{prompt.prompt_id}' appears twice; ids must be unique in the prompts")
        else:
            reading.inputs.notes[Note("prompts", "with the same messages as an earlier one, kept once")] += 1
            reading.inputs.repeated.setdefault((prompt.prompt_id, reference_digest(prompt)), row_place(*found))
    reading.end(tally)
