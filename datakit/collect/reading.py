"""The reading of several inputs: what is known about their prompts, and what was noted on the way."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import polars as pl

from datakit.collect.formats import Found, place_of
from datakit.collect.tally import Tally
from datakit.errors import BadRow
from datakit.recipe import Recipe
from datakit.tables import IMPORTED, TABLES, Prompt, Row, Rows, digest
from datakit.wording import counted

ReadPrompts = Callable[[Iterable[Row], str], Iterator[Prompt]]
"""A domain's `read`: takes rows with our column names and the name of their origin, and yields one Prompt per row, several
for a whole dialogue."""

Counts: TypeAlias = dict[str, "array[int]"]
"""Numbers by model, one for each prompt, in the order in which prompts were read."""

Store = Callable[[str, Row | pl.DataFrame], None]
"""Takes the name of a table, and a row of it or a frame of several."""

NOT_WANTED = "not in the recipe"


class Known(NamedTuple):
    """The facts about a prompt that are kept for its responses: few, because there may be a million prompts."""

    number: int
    prompt_id: str
    messages_digest: str
    reference: int
    """The hash of its reference, which is only compared."""
    shares_messages: bool
    asks: int
    """The hash of what its row asks."""

    @property
    def own_id(self) -> str | None:
        """The part of its imported responses' ids that is its own, if an earlier prompt has the same messages."""
        return self.prompt_id if self.shares_messages else None


@dataclass(frozen=True)
class Note:
    """A fact about the inputs that the user should know."""

    things: str
    """The things it is about, in the plural: rows, prompts."""
    what: str
    """The rest of the sentence, which must fit one thing and many."""
    first: str = field(default="", compare=False)
    """The place of the first."""

    def of(self, n: int) -> str:
        """Return the sentence about n things."""
        return f"{counted(n, self.things)} {self.what}" + (f" (the first: {self.first})" if self.first else "")


@dataclass
class Inputs:
    """The result of reading, except for the rows themselves."""

    prompt_ids: set[str] = field(default_factory=set)
    known: dict[str, Known] = field(default_factory=dict)
    """The prompts by id, if the recipe has responses for them."""
    dropped: Counter[str] = field(default_factory=Counter)
    """The number of dropped prompts, by reason."""
    n_samples: dict[str, int] = field(default_factory=dict)
    """The models that came with responses: the largest number of samples of a prompt."""
    complete: dict[str, set[str]] = field(default_factory=dict)
    """The models that came with responses: the finish reasons that their sources count as complete."""
    residue: dict[str, str] = field(default_factory=dict)
    """The models that came with responses: how residue is treated, the strictest of their sources."""
    n_responses: int = 0
    chooses_index: bool = False
    """True if a response came with its sample_index: two may then have the same."""
    notes: Counter[Note] = field(default_factory=Counter)
    """The notes, and how often each applies."""
    repeated: dict[tuple[str, str], str] = field(default_factory=dict)
    """Prompts that repeat an earlier one: its id and the digest of their own reference -> the place of the first such."""
    later: dict[str, Prompt] = field(default_factory=dict)
    """Prompts whose first row lacks a reference, by id, as in the first row that has one (Reading.complete)."""
    labels_seen: set[str] = field(default_factory=set)
    """The columns of `labels` for which some prompt has a value."""
    n_rows: int = 0
    n_dropped: int = 0
    """Rows that were read, and those of them that cannot be used."""

    @property
    def n_kept(self) -> int:
        """The number of prompts that are not dropped."""
        return len(self.prompt_ids) - self.dropped.total()

    def note_other_references(self, first: Mapping[str, str]) -> None:
        """Note the prompts that repeat an earlier one with another reference: one of the two is wrong.

        `first`: the digest of the reference that counts, by id, for the prompts in `repeated`.
        """
        what = "with the messages of an earlier one and another reference; the first one counts"
        self.notes.update(
            Note("prompts", what, place) for (prompt_id, own), place in self.repeated.items() if own != first[prompt_id]
        )

    def source_frame(self, recipe: Recipe) -> pl.DataFrame:
        """Return the rows of `sources`: what the recipe samples, and the models that came with responses."""
        rows: Rows = [
            {
                "model": way.source.model,
                "revision": way.source.revision,
                "sampling": way.source.sampling_text,
                "type": source.type,
                "n": source.n,
                "complete": source.complete,
                "residue": source.residue,
                "asks": way.asks,
            }
            for source in recipe.sampled
            for way in source.ways
        ]
        imported = {"sampling": IMPORTED, "type": "responses"}
        rows += [
            {
                "model": model,
                **imported,
                "n": n,
                "complete": sorted(self.complete.get(model, ())),
                "residue": self.residue.get(model),
            }
            for model, n in self.n_samples.items()
        ]
        return TABLES["sources"].frame(rows)


def prompt_row(prompt: Prompt) -> Row:
    """Return a row of `prompts`."""
    return vars(prompt) | {"messages_digest": prompt.messages_digest, "reference_digest": reference_digest(prompt)}


def reference_digest(prompt: Prompt) -> str:
    """Return the digest of everything that decides which answers are right."""
    return digest(prompt.reference, prompt.test_style, prompt.entry_point)


@dataclass(frozen=True)
class Reading:
    """The state that the reading of several inputs shares."""

    inputs: Inputs
    read: ReadPrompts
    limit: int | None
    keep: Callable[[Prompt], None]
    store: Store
    remembers: bool
    """True if the recipe has responses for the prompts."""
    several: bool
    labels: tuple[str, ...] = ()
    """The columns that curation reads."""
    questions: Callable[[], Mapping[str, str]] = dict
    """Returns what the prompts of the prompts section ask (words_in), by id; that reads them once more."""
    faults: list[str] | None = None
    """See Tally."""
    unusable: dict[str, str] = field(default_factory=dict)
    """The reasons for leaving out prompts that their domain cannot use, by id."""
    shares_messages: dict[str, bool] = field(default_factory=dict)
    """The prompts whose imported responses the run already has: True if an earlier one has the same messages."""
    given: Counts = field(default_factory=dict)
    """The number of responses of a model that each prompt has, in all inputs so far; counted only if there are `several`."""
    asked: set[str] = field(default_factory=set)
    """The digests of all prompts' messages."""
    by_question: dict[int, Known | None] = field(default_factory=dict)
    """The prompts by the hash of the question; None if several ask it. Made only if responses have ids that no prompt has."""

    @property
    def full(self) -> bool:
        """True if as many prompts are kept as are wanted."""
        return self.limit is not None and self.inputs.n_kept >= self.limit

    def take(self, prompt: Prompt, row: Row) -> None:
        """Add a prompt, with the row that it was read from, which says what it asks."""
        self.inputs.prompt_ids.add(prompt.prompt_id)
        if self.remembers:
            asked = prompt.messages_digest
            shares = self.shares_messages.get(prompt.prompt_id, asked in self.asked)
            self.asked.add(asked)
            prompt = replace(prompt, shares_messages=True) if shares else prompt
            number = len(self.inputs.known)
            self.inputs.known[prompt.prompt_id] = Known(
                number, prompt.prompt_id, asked, hash(prompt.reference), shares, question_in(row, prompt)
            )
        if prompt.dropped is not None:
            self.inputs.dropped[prompt.dropped] += 1
            self.unusable[prompt.prompt_id] = prompt.dropped
        if prompt.labels is not None and len(self.inputs.labels_seen) < len(self.labels):
            self.inputs.labels_seen.update(json.loads(prompt.labels))
        self.keep(prompt)

    def complete(self, prompt: Prompt) -> None:
        """Take the reference from a later row with a prompt's messages, if the rows before it have none."""
        inputs, prompt_id = self.inputs, prompt.prompt_id
        known, reason = inputs.known.get(prompt_id), self.unusable.get(prompt_id)
        lacks = reason is not None or (known is not None and known.reference == hash(None))
        if not lacks or prompt.reference is None or prompt.dropped is not None or (reason is not None and self.full):
            return
        inputs.later[prompt_id] = prompt
        if known is not None:
            inputs.known[prompt_id] = known._replace(reference=hash(prompt.reference))
        if reason is not None:
            del self.unusable[prompt_id]
            inputs.dropped -= Counter([reason])

    def asking(self, question: int) -> Known | None:
        """Return the only prompt that asks this, or None."""
        if not self.by_question:
            for known in self.inputs.known.values():
                self.by_question[known.asks] = None if known.asks in self.by_question else known
        return self.by_question.get(question)

    def end(self, tally: Tally) -> None:
        """Finish an input: note what was dropped."""
        inputs, name = self.inputs, tally.given.name
        if not self.full:
            tally.check_some_used()
        inputs.n_rows += tally.n_rows
        inputs.n_dropped += tally.n_dropped
        for reason, dropped in tally.dropped.items():
            done = (
                "at which a build stops (on_bad_row: drop leaves them out)"
                if dropped.stops and self.faults is not None
                else "dropped"
            )
            inputs.notes[Note("rows", f"of {name} {done}: {reason}", dropped.first)] += dropped.n


def with_prompts(
    found: Iterator[Found], tally: Tally, read: ReadPrompts, is_done: Callable[[Found], bool] = lambda found: False
) -> Iterator[tuple[Found, Prompt]]:
    """Yield each usable row, with its place and the prompt that the domain reads from it, except those that `is_done` takes."""
    last: list[Found] = []

    def rows() -> Iterator[Row]:
        for one in found:
            if not is_done(one):
                last[:] = [one]
                yield one[2]

    while True:
        try:
            for prompt in read(rows(), tally.given.name):
                yield last[0], prompt
            return
        except BadRow as error:  # the domain's reader ends with it; start another one after the row
            tally.drop(row_place(*last[0]), error)


def question_in(row: Row, prompt: Prompt) -> int:
    """Return the hash of what a row asks; 0 if it asks nothing."""
    words = words_in(row, prompt)
    return hash(words) if words else 0


def words_in(row: Row, prompt: Prompt) -> str:
    """Return what a row asks, before a template rewords it.

    White space is reduced to single blanks and system prompts are left out: neither makes another question.
    """
    asked = None if "messages" in row and "template" not in row else row.get("prompt")
    if isinstance(asked, str):
        return _spaced(asked)
    return "\n".join([_spaced(turn["content"]) for turn in prompt.messages if turn["role"] != "system"])


def _spaced(text: str) -> str:
    """Reduce white space to single blanks, which is all that most texts have."""
    return text.strip() if text.isprintable() and "  " not in text else " ".join(text.split())


def row_place(where: str, number: int, row: Row) -> str:
    return place_of(where, number) + (f" (prompt_id {row['prompt_id']})" if "prompt_id" in row else "")
