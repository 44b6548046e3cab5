"""What a recipe's files and datasets hold: prompts, and the responses that exist already.

Everything is read and checked before anything is written: a broken line stops the build with nothing half done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import polars as pl

from datakit.collect.formats import Found, place_of
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.errors import BadInput, BadRow
from datakit.recipe import Recipe, ResponsesSource
from datakit.tables import IMPORTED, TABLES, Prompt, Row, Rows, digest, digest_of_messages, make_response_id

ReadPrompts = Callable[[Iterable[Row], str], Iterator[Prompt]]
"""A domain's `read`: rows with our column names and the name of where they come from -> one Prompt a row."""

NOT_WANTED = "not in the recipe"


@dataclass
class Inputs:
    """What was read, beside the prompts themselves.

    `responses` are rows of the table without text where the file has none (they become failures).
    """

    prompt_ids: set[str] = field(default_factory=set)
    known: dict[str, Prompt] = field(default_factory=dict)
    """The prompts by id, where the recipe has responses that belong to them."""
    responses: dict[str, Row] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    """Why prompts are left out, with how often."""
    scores: Rows = field(default_factory=list)
    """Rows of `scores` that came with the responses."""
    notes: Counter[str] = field(default_factory=Counter)
    """Things that a user should know, with how often each was met."""
    n_rows: int = 0
    n_dropped: int = 0
    """Rows that were read, and those of them that cannot be used."""

    def source_frame(self, recipe: Recipe) -> pl.DataFrame:
        """The rows of `sources`: what the recipe samples, and the models that came with responses."""
        rows: Rows = [
            {
                "model": source.model,
                "revision": source.revision,
                "sampling": source.sampling_text,
                "type": source.type,
                "n": source.n,
            }
            for source in recipe.sampled
        ]
        most: Counter[str] = Counter()
        for row in self.responses.values():
            most[row["model"]] = max(most[row["model"]], row["sample_index"] + 1)
        rows += [{"model": model, "sampling": IMPORTED, "type": "responses", "n": n} for model, n in most.items()]
        return TABLES["sources"].frame(rows)


def prompt_row(prompt: Prompt) -> Row:
    """The row of `prompts`."""
    return vars(prompt) | {
        "messages_digest": digest_of_messages(prompt.messages),
        "reference_digest": digest(prompt.reference, prompt.test_style, prompt.entry_point),
    }


def read_inputs(
    recipe: Recipe,
    read: ReadPrompts,
    limit: int | None,
    keep: Callable[[Prompt], None],
    stored: Iterable[tuple[str, str, bool]] = (),
) -> Inputs:
    """Read every prompt and response of the recipe, at most `limit` prompts. BadInput where there are none.

    Every prompt that is kept is handed to `keep` as it is read: they may be more than memory holds. `stored` has the prompts
    whose imported responses the run has already: prompt_id, messages_digest, shares_messages.
    """
    reading = _Reading(Inputs(), read, limit, keep, remembers=bool(recipe.imported))
    for prompt_id, messages_digest, shares_messages in stored:
        reading.shares_messages[prompt_id] = shares_messages
        if not shares_messages:
            reading.asked.add(messages_digest)
    for given in recipe.prompts:
        tally = Tally(given)
        for _, row, prompt in _with_prompts(tally, read):
            if reading.full:
                break
            if prompt.prompt_id not in reading.inputs.prompt_ids:
                reading.take(prompt)
            elif "prompt_id" in row:
                raise BadInput(f"{given.name}: prompt_id '{prompt.prompt_id}' appears twice; ids must be unique in the prompts")
            else:
                reading.inputs.notes["prompts with the same messages as an earlier one, kept once"] += 1
        reading.end(tally)
    for responses in recipe.imported:
        judge = None if responses.judge is None else recipe.imported_judges[responses.judge]
        _read_responses(reading, responses, not recipe.prompts, judge)
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
    """Whether there are responses that belong to the prompts."""
    shares_messages: dict[str, bool] = field(default_factory=dict)
    """The prompts of which the run says it already."""
    asked: set[str] = field(default_factory=set)
    """The digests of the messages that some prompt has."""

    @property
    def full(self) -> bool:
        """Whether there are as many prompts as are wanted."""
        return self.limit is not None and len(self.inputs.prompt_ids) >= self.limit

    def take(self, prompt: Prompt) -> None:
        """One more prompt."""
        self.inputs.prompt_ids.add(prompt.prompt_id)
        if self.remembers:
            asked = digest_of_messages(prompt.messages)
            shares = self.shares_messages.get(prompt.prompt_id, asked in self.asked)
            self.asked.add(asked)
            prompt = replace(prompt, shares_messages=shares)
            self.inputs.known[prompt.prompt_id] = prompt
        if prompt.dropped is not None:
            self.inputs.dropped[prompt.dropped] += 1
        self.keep(prompt)

    def end(self, tally: Tally) -> None:
        """An input was read: what was dropped of it."""
        inputs, name = self.inputs, tally.given.name
        if not self.full:
            tally.check_some_used()
        inputs.n_rows += tally.n_rows
        inputs.n_dropped += tally.n_dropped
        for reason, dropped in tally.dropped.items():
            inputs.notes[f"rows of {name} dropped: {reason} (the first: {dropped.first})"] += dropped.n


def _with_prompts(tally: Tally, read: ReadPrompts) -> Iterator[tuple[str, Row, Prompt]]:
    """Each row that can be used, where it stands, and the prompt that the domain reads from it."""
    found = read_rows(tally.given, tally)
    last: list[Found] = []

    def rows() -> Iterator[Row]:
        for one in found:
            last[:] = [one]
            yield one[2]

    while True:
        try:
            for prompt in read(rows(), tally.given.name):
                where, number, row = last[0]
                yield _place(where, number, row), row, prompt
            return
        except BadRow as error:  # the domain's reader has ended with it; another one goes on behind the row
            tally.drop(_place(*last[0]), error)


def _place(where: str, number: int, row: Row) -> str:
    return place_of(where, number) + (f" (prompt_id {row['prompt_id']})" if "prompt_id" in row else "")


def _read_responses(reading: _Reading, source: ResponsesSource, bring_prompts: bool, judge: str | None) -> None:
    """The rows of one prompt id are one prompt, and the first reference wins. `judge` is whose scores the rows have, if any."""
    name, inputs, n_scores = source.name, reading.inputs, len(reading.inputs.scores)
    counted: Counter[tuple[str, str]] = Counter((row["prompt_id"], row["model"]) for row in inputs.responses.values())
    tally = Tally(source)
    for place, row, prompt in _with_prompts(tally, reading.read):
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
        try:
            response = _response(source, place, row, known, counted)
            scores = [] if judge is None else _imported_score(place, row, response, judge)
        except BadRow as error:
            tally.drop(place, error)
            continue
        if response["response_id"] in inputs.responses:
            raise BadInput(
                f"{name}: two rows with prompt_id '{known.prompt_id}', model '{response['model']}', sample_index "
                f"{response['sample_index']}; leave sample_index out of columns to number them in file order"
            )
        inputs.responses[response["response_id"]] = response
        inputs.scores += scores
    reading.end(tally)
    if judge is not None and len(inputs.scores) == n_scores:
        raise BadInput(f"{name}: no row has a score of judge '{source.judge}'; map its column (columns: {{score: ...}})")


def _imported_score(place: str, row: Row, response: Row, judge: str) -> Rows:
    """The row of `scores` of a response that came with one; a missing score is just missing."""
    value = _as_number(row.get("score"))
    if value is None:
        return []
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRow(place, "score is", f" {value!r:.60}, not a finite number; fix it, or leave it out (null)")
    there = response["text"] is not None
    return [{"response_id": response["response_id"], "judge": judge, "score": float(value)}] if there else []


def _response(source: ResponsesSource, place: str, row: Row, prompt: Prompt, counted: Counter[tuple[str, str]]) -> Row:
    model, text = source.model or row.get("model"), row.get("text")
    if not isinstance(model, str) or not model:
        hint = "map its column (columns: {model: ...}), or give the source one name (model: ...)"
        raise BadRow(place, "no model for the response", f" to '{prompt.prompt_id}': {hint}", is_empty=not model)
    if text is not None and not isinstance(text, str):
        raise BadRow(place, "text must be text", f" (got {text!r:.60}); check columns.text")
    reason = row.get("finish_reason")
    if reason is not None and not isinstance(reason, str):
        raise BadRow(place, "finish_reason must be text", f" (got {reason!r:.60})")
    integers = {name: _integer(place, row, name) for name in ("sample_index", "seed", "n_prompt_tokens", "n_tokens")}
    index = integers["sample_index"]
    if index is None:
        index = counted[prompt.prompt_id, model]
        counted[prompt.prompt_id, model] += 1
    return integers | {
        "response_id": make_response_id(
            digest_of_messages(prompt.messages),
            model,
            None,
            IMPORTED,
            index,
            prompt.prompt_id if prompt.shares_messages else None,
        ),
        "prompt_id": prompt.prompt_id,
        "model": model,
        "sampling": IMPORTED,
        "sample_index": index,
        "text": text if text and text.strip() else None,
        "finish_reason": reason,
    }


def _integer(place: str, row: Row, column: str) -> int | None:
    value: Any = _as_number(row.get(column))
    if isinstance(value, float) and (value.is_integer() or math.isnan(value)):  # as column readers write whole numbers and gaps
        value = None if math.isnan(value) else int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63):
        return value
    raise BadRow(place, f"{column} must be a whole number", f" (got {value!r:.60})")


def _as_number(value: Any) -> Any:
    """A number that is written as text, as every cell of a CSV file is, or as a Decimal."""
    if isinstance(value, str | Decimal):
        for kind in (int, float) if isinstance(value, str) else (float,):
            with suppress(ValueError):
                return kind(value)
    return value
