"""What a recipe's files and datasets hold: prompts, and the responses that exist already.

Everything is read and checked before anything is written: a broken line stops the build with nothing half done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from datakit.client import read_content
from datakit.collect.rows import read_rows
from datakit.errors import BadInput
from datakit.recipe import Recipe, ResponsesSource
from datakit.tables import IMPORTED, TABLES, Prompt, Row, Rows, digest, digest_of_messages, make_response_id
from datakit.tables.answers import join

ReadPrompts = Callable[[Iterable[Row], str], Iterator[Prompt]]
"""A domain's `read`: rows with our column names and the name of where they come from -> one Prompt a row."""

NOT_WANTED = "not in the recipe"


@dataclass
class Inputs:
    """What was read, beside the prompts themselves.

    `responses` are rows of the table with neither text nor reasoning where the file has none (they become failures).
    """

    prompt_ids: set[str] = field(default_factory=set)
    known: dict[str, Prompt] = field(default_factory=dict)
    """The prompts by id, where the recipe has responses that belong to them."""
    responses: dict[str, Row] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    """Why prompts are left out, with how often."""
    complete: dict[str, set[str]] = field(default_factory=dict)
    """By model that came with responses: the finish reasons that its sources say mean complete."""
    scores: Rows = field(default_factory=list)
    """Rows of `scores` that came with the responses."""
    notes: Counter[str] = field(default_factory=Counter)
    """Things that a user should know, with how often each was met."""

    def source_frame(self, recipe: Recipe) -> pl.DataFrame:
        """The rows of `sources`: what the recipe samples, and the models that came with responses."""
        rows: Rows = [
            {
                "model": source.model,
                "revision": source.revision,
                "sampling": source.sampling_text,
                "type": source.type,
                "n": source.n,
                "complete": source.complete,
            }
            for source in recipe.sampled
        ]
        most: Counter[str] = Counter()
        for row in self.responses.values():
            most[row["model"]] = max(most[row["model"]], row["sample_index"] + 1)
        rows += [
            {"model": model, "sampling": IMPORTED, "type": "responses", "n": n, "complete": sorted(self.complete[model])}
            for model, n in most.items()
        ]
        return TABLES["sources"].frame(rows)


def prompt_row(prompt: Prompt) -> Row:
    """The row of `prompts`."""
    return vars(prompt) | {
        "messages_digest": digest_of_messages(prompt.messages),
        "reference_digest": digest(prompt.reference, prompt.test_style, prompt.entry_point),
    }


def read_inputs(recipe: Recipe, read: ReadPrompts, limit: int | None, keep: Callable[[Prompt], None]) -> Inputs:
    """Read every prompt and response of the recipe, at most `limit` prompts. BadInput where there are none.

    Every prompt that is kept is handed to `keep` as it is read: they may be more than memory holds.
    """
    reading = _Reading(Inputs(), read, limit, keep, remembers=bool(recipe.imported))
    for given in recipe.prompts:
        for row, prompt in _with_prompts(read_rows(given), read, given.name):
            if reading.full:
                break
            if prompt.prompt_id not in reading.inputs.prompt_ids:
                reading.take(prompt)
            elif "prompt_id" in row:
                raise BadInput(f"{given.name}: prompt_id '{prompt.prompt_id}' appears twice; ids must be unique in the prompts")
            else:
                reading.inputs.notes["prompts with the same messages as an earlier one, kept once"] += 1
    for responses in recipe.imported:
        judge = None if responses.judge is None else recipe.imported_judges[responses.judge]
        _read_responses(reading, responses, read_rows(responses), not recipe.prompts, judge)
    if not reading.inputs.prompt_ids:
        names = ", ".join(given.name for given in (*recipe.prompts, *recipe.imported))
        raise BadInput(f"{names}: no prompts in there; check the path and the split")
    return reading.inputs


@dataclass(frozen=True)
class _Reading:
    """What reading one input after the other shares."""

    inputs: Inputs
    read: ReadPrompts
    limit: int | None
    keep: Callable[[Prompt], None]
    remembers: bool

    @property
    def full(self) -> bool:
        """Whether there are as many prompts as are wanted."""
        return self.limit is not None and len(self.inputs.prompt_ids) >= self.limit

    def take(self, prompt: Prompt) -> None:
        """One more prompt."""
        self.inputs.prompt_ids.add(prompt.prompt_id)
        if self.remembers:
            self.inputs.known[prompt.prompt_id] = prompt
        if prompt.dropped is not None:
            self.inputs.dropped[prompt.dropped] += 1
        self.keep(prompt)


def _with_prompts(rows: Iterator[Row], read: ReadPrompts, name: str) -> Iterator[tuple[Row, Prompt]]:
    """Each row with the prompt that the domain reads from it; the domain sees all rows, so it can count them."""
    last: list[Row] = []

    def remembered() -> Iterator[Row]:
        for row in rows:
            last[:] = [row]
            yield row

    for prompt in read(remembered(), name):
        yield last[0], prompt


def _read_responses(
    reading: _Reading, source: ResponsesSource, rows: Iterator[Row], bring_prompts: bool, judge: str | None
) -> None:
    """The rows of one prompt id are one prompt, and the first reference wins. `judge` is whose scores the rows have, if any."""
    name, inputs, n_scores = source.name, reading.inputs, len(reading.inputs.scores)
    counted: Counter[tuple[str, str]] = Counter((row["prompt_id"], row["model"]) for row in inputs.responses.values())
    for number, (row, prompt) in enumerate(_with_prompts(rows, reading.read, name), start=1):
        if bring_prompts and prompt.prompt_id not in inputs.known and not reading.full:
            reading.take(prompt)
        known = inputs.known.get(prompt.prompt_id)
        if known is None:
            inputs.notes[f"responses to prompts outside of {'the limit' if bring_prompts else 'the prompts section'}"] += 1
            continue
        if prompt.reference is not None and prompt.reference != known.reference:
            inputs.notes[f"{name}: rows whose reference differs from the first one of their prompt (the first one counts)"] += 1
        if prompt.messages != known.messages:
            inputs.notes[f"{name}: rows whose prompt differs from the first one of their prompt_id (the first one counts)"] += 1
        response = _response(source, name, row, known, counted)
        if response["response_id"] in inputs.responses:
            raise BadInput(
                f"{name}: two rows with prompt_id '{known.prompt_id}', model '{response['model']}', sample_index "
                f"{response['sample_index']}; leave sample_index out of columns to number them in file order"
            )
        inputs.responses[response["response_id"]] = response
        inputs.complete.setdefault(response["model"], set()).update(source.complete)
        if judge is not None:
            inputs.scores += _imported_score(f"{name}: row {number} (prompt_id {known.prompt_id})", row, response, judge)
    if judge is not None and len(inputs.scores) == n_scores:
        raise BadInput(f"{name}: no row has a score of judge '{source.judge}'; map its column (columns: {{score: ...}})")


def _imported_score(where: str, row: Row, response: Row, judge: str) -> Rows:
    """The row of `scores` of a response that came with one; a missing score is just missing."""
    value = row.get("score")
    if value is None:
        return []
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{where}: score is {value!r:.60}, not a finite number; fix it, or leave it out (null)")
    there = response["text"] is not None
    return [{"response_id": response["response_id"], "judge": judge, "score": float(value)}] if there else []


def _response(source: ResponsesSource, name: str, row: Row, prompt: Prompt, counted: Counter[tuple[str, str]]) -> Row:
    model = source.model or row.get("model")
    if not isinstance(model, str):
        raise BadInput(
            f"{name}: no model for the response to '{prompt.prompt_id}': map its column (columns: {{model: ...}}), "
            "or give the source one name (model: ...)"
        )
    index = _integer(name, prompt, row, "sample_index")
    if index is None:
        index = counted[prompt.prompt_id, model]
        counted[prompt.prompt_id, model] += 1
    text, thought = row.get("text"), row.get("reasoning")
    if text is not None and not isinstance(text, str | list):
        raise BadInput(f"{name}: text of a response to '{prompt.prompt_id}' is {text!r:.60}, not a string; check columns.text")
    if thought is not None and not isinstance(thought, str):
        raise BadInput(
            f"{name}: reasoning of a response to '{prompt.prompt_id}' is {thought!r:.60}, not a string; check columns.reasoning"
        )
    content = read_content({"message": {"content": text, "reasoning": thought}})
    parts = join(content.text, content.thinking, content.form)
    return {
        "response_id": make_response_id(digest_of_messages(prompt.messages), model, None, IMPORTED, index),
        "prompt_id": prompt.prompt_id,
        "model": model,
        "sampling": IMPORTED,
        "sample_index": index,
        "seed": _integer(name, prompt, row, "seed"),
        "text": parts.text,
        "reasoning": parts.reasoning,
        "reasoning_form": parts.form,
        "finish_reason": row.get("finish_reason"),
        "n_prompt_tokens": _integer(name, prompt, row, "n_prompt_tokens"),
        "n_tokens": _integer(name, prompt, row, "n_tokens"),
    }


def _integer(name: str, prompt: Prompt, row: Row, column: str) -> int | None:
    value: Any = row.get(column)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise BadInput(f"{name}: {column} of a response to '{prompt.prompt_id}' is {value!r:.60}, not a whole number")
