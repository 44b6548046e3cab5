"""Reading one input after the other: what is known of their prompts, and what was met on the way."""

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
"""A domain's `read`: rows with our column names and the name of where they come from -> one Prompt a row, of a whole dialogue
several."""

Counts: TypeAlias = dict[str, "array[int]"]
"""By model: a number for each prompt, in the order in which they were met."""

Store = Callable[[str, Row | pl.DataFrame], None]
"""Takes the name of a table, and a row of it, or several as a frame."""

NOT_WANTED = "not in the recipe"


class Known(NamedTuple):
    """What is remembered of a prompt that responses may belong to. It is little: there may be a million of them."""

    number: int
    prompt_id: str
    messages_digest: str
    reference: int
    """Its hash: only whether another one is the same is asked."""
    shares_messages: bool
    asks: int
    """The hash of what its row asks."""

    @property
    def own_id(self) -> str | None:
        """What the ids of its imported responses carry, where an earlier prompt asks the same."""
        return self.prompt_id if self.shares_messages else None


@dataclass(frozen=True)
class Note:
    """Something that a user should know of what was read."""

    things: str
    """A word in the plural: rows, prompts."""
    what: str
    """What is said of them, of one as of many."""
    first: str = field(default="", compare=False)
    """Where it was met first."""

    def of(self, n: int) -> str:
        """The sentence about so many."""
        return f"{counted(n, self.things)} {self.what}" + (f" (the first: {self.first})" if self.first else "")


@dataclass
class Inputs:
    """What was read, beside the rows themselves."""

    prompt_ids: set[str] = field(default_factory=set)
    known: dict[str, Known] = field(default_factory=dict)
    """The prompts by id, where the recipe has responses that belong to them."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Why prompts are left out, with how often."""
    n_samples: dict[str, int] = field(default_factory=dict)
    """The models that came with responses: the number of samples that a prompt has at most."""
    complete: dict[str, set[str]] = field(default_factory=dict)
    """By model that came with responses: the finish reasons that its sources say mean complete."""
    residue: dict[str, str] = field(default_factory=dict)
    """By model that came with responses: what is done with residue, the most of what its sources say."""
    n_responses: int = 0
    chooses_index: bool = False
    """Whether a response came with its sample_index: then two may have the same."""
    notes: Counter[Note] = field(default_factory=Counter)
    """With how often each was met."""
    repeated: dict[tuple[str, str], str] = field(default_factory=dict)
    """Prompts that an earlier one asks already: its id and their own reference's digest -> where the first of them stands."""
    later: dict[str, Prompt] = field(default_factory=dict)
    """Prompts whose first row lacks a reference, by id, as the first row has them that says one (Reading.complete)."""
    labels_seen: set[str] = field(default_factory=set)
    """The columns of `labels` that some prompt has something in."""
    n_rows: int = 0
    n_dropped: int = 0
    """Rows that were read, and those of them that cannot be used."""

    @property
    def n_kept(self) -> int:
        """The prompts that are not dropped."""
        return len(self.prompt_ids) - self.dropped.total()

    def note_other_references(self, first: Mapping[str, str]) -> None:
        """Prompts that ask what an earlier one asks, and call another answer right: one of the two is wrong.

        `first`: of the prompts that are `repeated`, the digest of the reference that counts, by id.
        """
        what = "with the messages of an earlier one and another reference; the first one counts"
        self.notes.update(
            Note("prompts", what, place) for (prompt_id, own), place in self.repeated.items() if own != first[prompt_id]
        )

    def source_frame(self, recipe: Recipe) -> pl.DataFrame:
        """The rows of `sources`: what the recipe samples, and the models that came with responses."""
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
    """The row of `prompts`."""
    return vars(prompt) | {"messages_digest": prompt.messages_digest, "reference_digest": reference_digest(prompt)}


def reference_digest(prompt: Prompt) -> str:
    """What tells what makes an answer to it right."""
    return digest(prompt.reference, prompt.test_style, prompt.entry_point)


@dataclass(frozen=True)
class Reading:
    """What reading one input after the other shares."""

    inputs: Inputs
    read: ReadPrompts
    limit: int | None
    keep: Callable[[Prompt], None]
    store: Store
    remembers: bool
    """Whether there are responses that belong to the prompts."""
    several: bool
    labels: tuple[str, ...] = ()
    """The columns that curation looks at."""
    questions: Callable[[], Mapping[str, str]] = dict
    """What the prompts of the prompts section ask (words_in), by id; they are read once more for it."""
    faults: list[str] | None = None
    """See Tally."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Why prompts are left out that their domain cannot use, by id."""
    shares_messages: dict[str, bool] = field(default_factory=dict)
    """The prompts of which the run says it already."""
    given: Counts = field(default_factory=dict)
    """How many responses each prompt has of a model, of all inputs so far; counted where there are `several`."""
    asked: set[str] = field(default_factory=set)
    """The digests of the messages that some prompt has."""
    by_question: dict[int, Known | None] = field(default_factory=dict)
    """By the hash of what is asked; None where several ask it. Made where responses have ids that the prompts do not know."""

    @property
    def full(self) -> bool:
        """Whether as many prompts are kept as are wanted."""
        return self.limit is not None and self.inputs.n_kept >= self.limit

    def take(self, prompt: Prompt, row: Row) -> None:
        """One more prompt, and what the row that it was read from says that it asks."""
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
        """Take the reference of a later row with a prompt's messages, where those before it have none."""
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
        """The one prompt that asks this."""
        if not self.by_question:
            for known in self.inputs.known.values():
                self.by_question[known.asks] = None if known.asks in self.by_question else known
        return self.by_question.get(question)

    def end(self, tally: Tally) -> None:
        """An input was read: what was dropped of it."""
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
    """Each row that can be used, where it stands, and the prompt that the domain reads from it; but what `is_done` takes."""
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
        except BadRow as error:  # the domain's reader has ended with it; another one goes on behind the row
            tally.drop(row_place(*last[0]), error)


def question_in(row: Row, prompt: Prompt) -> int:
    """The hash of what a row asks; 0 where it asks nothing."""
    words = words_in(row, prompt)
    return hash(words) if words else 0


def words_in(row: Row, prompt: Prompt) -> str:
    """What a row asks, before a template has put it into other words.

    With single blanks, for white space makes no other question; nor does a system prompt.
    """
    asked = None if "messages" in row and "template" not in row else row.get("prompt")
    if isinstance(asked, str):
        return _spaced(asked)
    return "\n".join([_spaced(turn["content"]) for turn in prompt.messages if turn["role"] != "system"])


def _spaced(text: str) -> str:
    """Most texts have no white space but single blanks."""
    return text.strip() if text.isprintable() and "  " not in text else " ".join(text.split())


def row_place(where: str, number: int, row: Row) -> str:
    return place_of(where, number) + (f" (prompt_id {row['prompt_id']})" if "prompt_id" in row else "")
