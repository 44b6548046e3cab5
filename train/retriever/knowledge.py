"""A knowledge base as text: finding its values in texts, and writing entities and conversations.

datakit's domain `dialogue` reads knowledge bases the same way (datakit/domains/dialogue/knowledge.py): neither package imports
the other, and a test checks that both find the same values.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from train.errors import TrainError

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"(?<=\d) (?=\d)")


def words(text: str, spellings: Mapping[str, str]) -> str:
    """Return the words of a text in lowercase, without punctuation, with `spellings` applied.

    >>> words("The Golden Wok, in the center!", {"center": "centre"})
    'the golden wok in the centre'
    """
    found = _WORD.findall(text.casefold().replace("'", "").replace("\u2019", ""))
    return " ".join(spellings.get(word, word) for word in found)


@dataclass(frozen=True)
class KnowledgeBase:
    """Entities with their attributes as texts; the first column that an entity has is its name."""

    columns: tuple[str, ...]
    entities: tuple[Mapping[str, str], ...]
    spellings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def values(self) -> list[frozenset[str]]:
        """The values of each entity, as `words` writes them."""
        return [frozenset(words(value, self.spellings) for value in entity.values()) - {""} for entity in self.entities]

    @cached_property
    def names(self) -> list[str]:
        """The name of each entity, as `words` writes it."""
        return [words(next(iter(entity.values()), ""), self.spellings) for entity in self.entities]

    @cached_property
    def _by_digits(self) -> dict[str, str]:
        """The values by what they are without spaces between digits."""
        return {_DIGITS.sub("", value): value for value in sorted({value for values in self.values for value in values})}

    @cached_property
    def _any_value(self) -> re.Pattern[str]:
        every = sorted(self._by_digits.values(), key=lambda value: (-len(value), value))
        either = "|".join(re.sub(r"(?<=\d)\\ (?=\d)", " ?", re.escape(value)) for value in every)
        return re.compile(rf"(?<!\w)(?:{either or '(?!)'})(?!\w)")

    def find(self, text: str) -> list[str]:
        """Return the values that a text contains, each once, in the text's order. If one is part of another, the longer one
        counts; a space between digits makes no difference."""
        found = self._any_value.findall(words(text, self.spellings))
        return list(dict.fromkeys(self._by_digits[_DIGITS.sub("", value)] for value in found))

    def describe(self, at: int) -> str:
        """Return an entity as text."""
        entity = self.entities[at]
        return "; ".join(f"{column}: {entity[column]}" for column in self.columns if column in entity)

    def count_shared(self, found: set[str]) -> list[int]:
        """Return how many of these values each entity has."""
        return [len(values & found) for values in self.values]

    def named_first(self, text: str) -> int | None:
        """Return the index of the entity that a text names first, None if it names none."""
        first = next((value for value in self.find(text) if value in self._by_name), None)
        return None if first is None else self._by_name[first]

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: at for at, name in reversed(list(enumerate(self.names))) if name}


@dataclass(frozen=True)
class Turn:
    """A conversation so far, its answer, and the index of the entity that the answer is about.

    `label`: the entity that shares most values with both (distant supervision); None if none shares two.
    `named`: the entity that the answer is the first to name; None if there is none.
    """

    context: tuple[tuple[str, str], ...]
    response: str
    label: int | None
    named: int | None
    before: frozenset[str]
    """The values in the conversation."""
    gold: tuple[str, ...]
    """The values in the answer."""

    @property
    def text(self) -> str:
        """The conversation as one text."""
        return written(self.context)


def written(context: Sequence[tuple[str, str]]) -> str:
    """Return a conversation as encoders and generator read it: each role and its text."""
    return " ".join(f"{role}: {text.strip()}" for role, text in context)


def read_json_lines(path: Path, flag: str) -> list[dict[str, Any]]:
    """Return the objects of a file. Raise TrainError with flag, file and line."""
    opener = gzip.open if path.suffix == ".gz" else open
    rows = []
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise TrainError(f"{flag} {path}: line {number} is not a JSON object: {line.strip()[:60]!r}")
                rows.append(row)
    except OSError as error:
        raise TrainError(f"{flag} {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise TrainError(f"{flag} {path}: not JSON Lines ({error}); give one object per line") from None
    if not rows:
        raise TrainError(f"{flag} {path}: the file has no rows")
    return rows


def read_knowledge(path: Path, columns: Sequence[str], spellings: Mapping[str, str]) -> KnowledgeBase:
    """Read a knowledge base from JSON Lines or Parquet. Raise TrainError for a column that no entity has."""
    if path.suffix == ".parquet":
        import polars as pl

        try:
            rows = pl.read_parquet(path).to_dicts()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise TrainError(f"--kb {path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
    else:
        rows = read_json_lines(path, "--kb")
    there = list(dict.fromkeys(column for row in rows for column in row))
    for column in columns:
        if column not in there:
            raise TrainError(f"--columns {column}: {path} has no such column; its columns are {', '.join(there)}")
    entities = tuple({column: str(row[column]) for column in columns if row.get(column) not in (None, "")} for row in rows)
    return KnowledgeBase(tuple(columns), entities, spellings)


def read_turns(path: Path, kb: KnowledgeBase, flag: str = "--data") -> list[Turn]:
    """Return a turn per answer of every dialogue: rows with `turns`, each {user, system}. Raise TrainError with the row."""
    found: list[Turn] = []
    for number, row in enumerate(read_json_lines(path, flag), start=1):
        turns = row.get("turns")
        if not isinstance(turns, list) or not turns:
            raise TrainError(f"{flag} {path}: row {number} has no turns; a row is {{turns: [{{user: ..., system: ...}}, ...]}}")
        context: list[tuple[str, str]] = []
        for place, turn in enumerate(turns):
            texts = [turn.get(role) if isinstance(turn, dict) else None for role in ("user", "system")]
            if not all(isinstance(text, str) for text in texts):
                raise TrainError(f"{flag} {path}: row {number}: turns.{place} must have user and system, both text")
            context.append(("user", str(texts[0])))
            found.append(make_turn(tuple(context), str(texts[1]), kb))
            context.append(("system", str(texts[1])))
    return found


def make_turn(context: tuple[tuple[str, str], ...], response: str, kb: KnowledgeBase) -> Turn:
    """Return a turn with the values and entities of the knowledge base that occur in it."""
    before, gold = kb.find(written(context)), kb.find(response)
    shared = kb.count_shared({*before, *gold})
    best = max(range(len(shared)), key=lambda at: (shared[at], -at)) if shared else 0
    named = kb.named_first(response)
    seen = named is not None and kb.names[named] in before
    label = best if shared and shared[best] > 1 else None
    return Turn(context, response, label, None if seen else named, frozenset(before), tuple(gold))
