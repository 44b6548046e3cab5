"""Responses that exist already: none of them is remembered, for they may be more than memory holds.

A stretch of plain rows is taken as columns (imported_columns.py), and row by row where one of them is wrong, or of another kind
than the first of the file. Both make the same of the same rows.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import repeat
from typing import Any, TypeAlias

import polars as pl

from datakit.collect.formats import Found
from datakit.collect.imported_columns import OF_PROMPT, as_rows, is_plain, make_responses, of_prompts, parts_of
from datakit.collect.reading import Counts, Known, Note, Reading, question_in, row_place, with_prompts, words_in
from datakit.collect.rows import read_rows
from datakit.collect.stretches import INTEGERS, read_stretches
from datakit.collect.tally import Tally
from datakit.domains.reading import number_as_text
from datakit.errors import BadInput, BadRow
from datakit.recipe import ResponsesSource
from datakit.recipe.sources import RESIDUE
from datakit.tables import IMPORTED, Prompt, Row, failure_row, make_response_id
from datakit.wording import counted

TAKEN = "its prompt_id stands for another question already"
_OTHER_IDS = {
    True: "; map prompt_id to a column that tells questions apart, or leave it out: then the questions do",
    False: "; map prompt_id to the column with the ids of the prompts section, or to the question's: that finds prompts, too",
}
"""What is to be done, by whether the rows bring the prompts."""


def read_responses(reading: Reading, tally: Tally, source: ResponsesSource, bring_prompts: bool, judge: str | None) -> None:
    """The rows of one prompt id are one prompt: those that ask something else are dropped, and the first reference wins.

    `judge` is whose scores the rows have, if any. BadInput where half of the rows ask something else: their ids number what
    they should name.
    """
    importing = _Importing(reading, tally, source, bring_prompts, judge)
    importing.read()
    taken = tally.dropped.get(TAKEN)
    if taken is not None and taken.n * 2 >= tally.n_rows and source.on_bad_row is None:
        of_rows = f"{taken.n:,} of {counted(tally.n_rows, 'rows')} of {source.name} (the first: {taken.first})"
        raise BadInput(
            f"{tally.field('columns.prompt_id')}: the ids of {of_rows} stand for other questions already"
            f"{taken.detail}; or leave such rows out: on_bad_row: drop"
        )
    reading.end(tally)
    if judge is not None and not importing.n_scores and tally.n_rows:
        what = f"no row of {source.name} has a score of judge '{source.judge}'"
        raise BadInput(f"{tally.field('columns.score')}: {what}; map its column (columns: {{score: ...}})")


_OF_KNOWN = {"prompt_id": pl.String, "messages_digest": pl.String, "own_id": pl.String, "sample_index": pl.Int64}

Met: TypeAlias = tuple[Known | None, tuple[Note, ...]]
"""The prompt that rows belong to, and what is noted of each of them."""


@dataclass
class _Importing:
    """One source of responses, while it is read."""

    reading: Reading
    tally: Tally
    source: ResponsesSource
    bring_prompts: bool
    judge: str | None
    n_scores: int = 0
    counted: Counts = field(init=False)
    """From which the next sample_index of a prompt and model comes."""
    met: dict[int, Met] = field(default_factory=dict)
    """By the hash of what a row says of its prompt."""

    def __post_init__(self) -> None:
        self.counted = {model: array("I", counts) for model, counts in self.reading.given.items()}

    def read(self) -> None:
        """All rows. A prompt is read by the domain where a row is the first that says this of it, not a row."""
        labels = self.reading.labels if self.bring_prompts else ()
        if labels:
            rows = read_rows(self.source, self.tally, labels)
            self._add_rows(rows)
            return
        for stretch in read_stretches(self.source, self.tally):
            if stretch.columns is None or not self._add_columns(stretch.columns):
                self._add_rows(stretch.rows())

    def _add_rows(self, rows: Iterator[Found]) -> None:
        """Hand on rows one by one. BadInput where one is a whole dialogue."""
        last: Row | None = None
        for found, prompt in with_prompts(rows, self.tally, self.reading.read, self._is_done):
            row = found[2]
            if row is last:
                raise self._several()
            last = row
            try:
                met = self._meet(row, prompt)
            except BadRow as error:
                self.tally.drop(row_place(*found), error)
                continue
            if (key := _key(row)) is not None:
                self.met[key] = met
            self._add(found, met)

    def _several(self) -> BadInput:
        return BadInput(f"{self.source.name}: a row is a whole dialogue; a response answers one prompt, give what it answers")

    def _add_columns(self, frame: pl.DataFrame) -> bool:
        """Hand on a stretch. False, with nothing done, where one of its rows has to be looked at by itself."""
        if not is_plain(frame, self.source, self.judge is not None):
            return False
        if self.source.model is not None:
            frame = frame.with_columns(model=pl.lit(self.source.model))
        keys = of_prompts(frame).hash_rows().to_list()
        if not self._meet_all(frame, keys):
            return False
        self.tally.n_rows += frame.height
        rows = self._numbered(frame, keys)
        if rows.height:
            self._store(rows)
        return True

    def _meet_all(self, frame: pl.DataFrame, keys: list[int]) -> bool:
        """Meet prompts, by the row that is the first of theirs. False where one of them cannot be read, or is another one under
        an id that is taken: then the stretch is to be read row by row.
        """
        new: dict[int, int] = {}
        for at, key in enumerate(keys):
            if key not in self.met:
                new.setdefault(key, at)
        rows = dict(zip(new, as_rows(of_prompts(frame)[list(new.values())]), strict=True))
        named = {key: known for key, row in rows.items() if (known := self._named(row)) is not None}
        others = [row for key, row in rows.items() if key not in named]
        try:
            found = list(self.reading.read(iter(others), self.source.name))
            if len(found) != len(others):
                raise self._several()
            prompts = iter(found)
            for key, row in rows.items():
                self.met[key] = (named[key], ()) if key in named else self._meet(row, next(prompts))
        except BadRow:
            return False
        return True

    def _named(self, row: Row) -> Known | None:
        """The prompt of a row that has its id, and does not say again what is asked."""
        if self.bring_prompts or any(row.get(column) is not None for column in (*OF_PROMPT[1:], "template")):
            return None
        return self.reading.inputs.known.get(str(number_as_text(row.get("prompt_id"))))

    def _numbered(self, frame: pl.DataFrame, keys: list[int]) -> pl.DataFrame:
        """The rows of known prompts, with what is known of these, and sample_index.

        Where none is given it is one more than the prompt and model had so far.
        """
        reading, has_index = self.reading, "sample_index" in frame.columns
        reading.inputs.chooses_index |= has_index
        kept: list[int] = []
        found: list[tuple[str, str, str | None, int]] = []
        given = frame["sample_index"].to_list() if has_index else [None] * len(keys)
        for at, (key, model, index) in enumerate(zip(keys, frame["model"].to_list(), given, strict=True)):
            known, notes = self.met[key]
            for note in notes:
                reading.inputs.notes[note] += 1
            if known is not None:
                kept.append(at)
                chosen = _count(self.counted, model, known.number) if index is None else index
                found.append((known.prompt_id, known.messages_digest, known.own_id, chosen))
                if reading.several:
                    _count(reading.given, model, known.number)
        columns = zip(*found, strict=True) if found else repeat(())
        known_of = [pl.Series(name, values, dtype) for (name, dtype), values in zip(_OF_KNOWN.items(), columns, strict=False)]
        return (frame if len(kept) == len(keys) else frame[kept]).with_columns(known_of)

    def _store(self, rows: pl.DataFrame) -> None:
        """The responses, failures and scores of a stretch."""
        reading, inputs = self.reading, self.reading.inputs
        responses = make_responses(rows)
        for model, highest in responses.group_by("model", maintain_order=True).agg(pl.col("sample_index").max()).iter_rows():
            self._note_model(model, highest)
        inputs.n_responses += responses.height
        is_empty = responses["text"].is_null() & responses["reasoning"].is_null()
        for response_id, model in responses.filter(is_empty).select("response_id", "model").iter_rows():
            reading.store("failures", _empty(response_id, model))
        reading.store("responses", responses.filter(~is_empty))
        if self.judge is not None and "score" in rows.columns:
            scores = responses.select("response_id", "text", judge=pl.lit(self.judge), score=rows["score"])
            scores = scores.filter(~is_empty & pl.col("score").is_not_null())
            self.n_scores += scores.height
            reading.store("scores", scores.filter(pl.col("text").is_not_null()))

    def _note_model(self, model: str, index: int) -> None:
        """A response of this model has this sample_index."""
        inputs = self.reading.inputs
        inputs.n_samples[model] = max(inputs.n_samples.get(model, 0), index + 1)
        inputs.complete.setdefault(model, set()).update(self.source.complete)
        inputs.residue[model] = max(self.source.residue, inputs.residue.get(model, "keep"), key=RESIDUE.index)

    def _is_done(self, found: Found) -> bool:
        key = _key(found[2])
        if key is None:
            return False
        if key not in self.met:
            if (known := self._named(found[2])) is None:
                return False
            self.met[key] = known, ()
        self._add(found, self.met[key])
        return True

    def _meet(self, row: Row, prompt: Prompt) -> Met:
        """The known prompt that the row belongs to, with what is to be noted. BadRow where that asks something else."""
        inputs, name = self.reading.inputs, self.source.name
        said: Row = {} if self.bring_prompts and "template" in row else row  # what else a template says is asked, too
        if self.bring_prompts and prompt.prompt_id not in inputs.known and not self.reading.full:
            self.reading.take(prompt, said)
        known = inputs.known.get(prompt.prompt_id)
        if known is None and not self.bring_prompts:  # of other ids than the prompts': by what is asked
            known = self.reading.asking(question_in(said, prompt))
        if known is None:
            place = "--limit" if self.bring_prompts or self.reading.full else "the prompts section"
            return None, (Note("responses", f"to prompts outside of {place}"),)
        is_same = prompt.messages_digest == known.messages_digest
        if is_same:
            self.reading.complete(prompt)
        is_other = prompt.reference is not None and hash(prompt.reference) != inputs.known[known.prompt_id].reference
        if not is_same and ((is_other and "choices" in row) or self._asks_else(said, prompt, known)):
            raise BadRow(name, TAKEN, _OTHER_IDS[self.bring_prompts], may_drop=True)
        what = f"with another reference than the first row of its prompt in {name}, which counts"
        return known, (Note("rows", what, f"prompt_id {known.prompt_id}"),) if is_other else ()

    def _asks_else(self, said: Row, prompt: Prompt, known: Known) -> bool:
        """Whether it is another question. One with something around it is none, where the prompts section has the whole."""
        asks = question_in(said, prompt)
        if asks == known.asks or 0 in (asks, known.asks):
            return False
        whole = self.reading.questions().get(known.prompt_id)
        one, other = (f" {words} " for words in (whole, words_in(said, prompt)))
        return whole is None or not (one in other or other in one)

    def _add(self, found: Found, met: Met) -> None:
        """Hand on the rows that one row of the input becomes, or count it as dropped."""
        (known, notes), row = met, found[2]
        reading, inputs = self.reading, self.reading.inputs
        for note in notes:
            inputs.notes[note] += 1
        if known is None:
            return
        try:
            score = None if self.judge is None else _score(self.source, row)
            response = _response(self.source, row, known, self.counted)
        except BadRow as error:
            self.tally.drop(row_place(*found), error)
            return
        model, index, response_id = response["model"], response["sample_index"], response["response_id"]
        if reading.several:
            _count(reading.given, model, known.number)
        self._note_model(model, index)
        inputs.n_responses += 1
        inputs.chooses_index |= "sample_index" in row
        if response["text"] is None and response["reasoning"] is None:
            reading.store("failures", _empty(response_id, model))
            return
        reading.store("responses", response)
        if score is not None:
            self.n_scores += 1
        if score is not None and response["text"] is not None:
            reading.store("scores", {"response_id": response_id, "judge": self.judge, "score": score})


def _key(row: Row) -> int | None:
    """A hash of what a row says of its prompt; None where that is no plain text."""
    of_template = [value for name, value in row.items() if name.startswith("{")] if "template" in row else ()
    try:
        return hash((*[row.get(column) for column in OF_PROMPT], repr(row.get("choices")), *of_template))
    except TypeError:
        return None


def _empty(response_id: str, model: str) -> Row:
    return failure_row("sample", response_id, model, "empty", "no text in the imported row")


def _score(source: ResponsesSource, row: Row) -> float | None:
    """The score that came with a response; a missing one is just missing."""
    value = _as_number(row.get("score"))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise BadRow(source.name, "score is not a finite number", f" (got {value!r:.60}); fix it, or leave it out (null)")
    return float(value)


def _response(source: ResponsesSource, row: Row, prompt: Known, counted: Counts) -> Row:
    name = source.name
    model, text, thought = source.model or row.get("model"), row.get("text"), row.get("reasoning")
    if not isinstance(model, str) or not model.strip():
        hint = "map its column (columns: {model: ...}), or give the source one name (model: ...)"
        raise BadRow(
            name, "no model for the response", f" to '{prompt.prompt_id}': {hint}", may_drop=not model or isinstance(model, str)
        )
    if text is not None and not isinstance(text, str | list):
        raise BadRow(name, "text must be text", f" (got {text!r:.60}); check columns.text")
    if thought is not None and not isinstance(thought, str):
        raise BadRow(name, "reasoning must be text", f" (got {thought!r:.60}); check columns.reasoning")
    reason = row.get("finish_reason")
    if reason is not None and not isinstance(reason, str):
        raise BadRow(name, "finish_reason must be text", f" (got {reason!r:.60})")
    integers = {column: _integer(name, row, column) for column in INTEGERS if column in row}
    index = integers.get("sample_index")
    if index is None:
        index = _count(counted, model, prompt.number)
    response: Row = integers | {
        "response_id": make_response_id(prompt.messages_digest, model, None, IMPORTED, index, prompt.own_id),
        "prompt_id": prompt.prompt_id,
        "model": model,
        "sampling": IMPORTED,
        "sample_index": index,
        "messages_digest": prompt.messages_digest,
        "finish_reason": reason,
    }
    parts = parts_of({"content": text, "reasoning": thought}, source.force_reasoning)
    return response | {"text": parts.text, "reasoning": parts.reasoning, "reasoning_form": parts.form}


def _integer(name: str, row: Row, column: str) -> int | None:
    value: Any = _as_number(row.get(column))
    if isinstance(value, float) and (value.is_integer() or math.isnan(value)):  # as column readers write whole numbers and gaps
        value = None if math.isnan(value) else int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63):
        return value
    raise BadRow(name, f"{column} must be a whole number", f" (got {value!r:.60})")


def _as_number(value: Any) -> Any:
    """A number that is written as text, as every cell of a CSV file is, or as a Decimal."""
    if isinstance(value, str | Decimal):
        for kind in (int, float) if isinstance(value, str) else (float,):
            with suppress(ValueError):
                return kind(value)
    return value


def _count(counts: Counts, model: str, number: int, n: int = 1) -> int:
    """How many there were, and so many more from now on."""
    of_model = counts.get(model)
    if of_model is None:
        of_model = counts[model] = array("I")
    if number >= len(of_model):
        of_model.extend([0] * (number + 1024 - len(of_model)))
    before = of_model[number]
    of_model[number] += n
    return before
