"""A knowledge base: its entities, their values, and finding them in a text.

`train retriever` reads knowledge bases the same way (train/retriever/knowledge.py): neither package imports the other, and a
test checks that both find the same.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from datakit.errors import UNREADABLE, BadInput
from datakit.recipe.verify import VerifyDialogue

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"(?<=\d) (?=\d)")


def words(text: str, spellings: Mapping[str, str]) -> str:
    """Return the words of a text in lower case, without punctuation, each in the spelling that `spellings` gives for it.

    >>> words("The Golden Wok, in the center!", {"center": "centre"})
    'the golden wok in the centre'
    """
    found = _WORD.findall(text.casefold().replace("'", "").replace("\u2019", ""))
    return " ".join(spellings.get(word, word) for word in found)


@dataclass(frozen=True)
class KnowledgeBase:
    """Entities with their attributes as texts; an entity's name is its value in the first of the columns that it has."""

    columns: tuple[str, ...]
    entities: tuple[Mapping[str, str], ...]
    spellings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], spellings: Mapping[str, str]) -> KnowledgeBase:
        """Make a knowledge base from rows of any file; without named columns, from all columns."""
        named = tuple(columns) or tuple(dict.fromkeys(column for row in rows for column in row))
        entities = tuple({name: str(row[name]) for name in named if row.get(name) not in (None, "")} for row in rows)
        return cls(named, entities, spellings)

    @cached_property
    def values(self) -> list[frozenset[str]]:
        """The words of each entity's values."""
        return [frozenset(words(value, self.spellings) for value in entity.values()) - {""} for entity in self.entities]

    @cached_property
    def names(self) -> list[str]:
        """The words of each entity's name."""
        return [words(next(iter(entity.values()), ""), self.spellings) for entity in self.entities]

    @cached_property
    def _by_digits(self) -> dict[str, str]:
        """The values by their form without blanks between digits."""
        return {_DIGITS.sub("", value): value for value in sorted({value for values in self.values for value in values})}

    @cached_property
    def _any_value(self) -> re.Pattern[str]:
        every = sorted(self._by_digits.values(), key=lambda value: (-len(value), value))
        either = "|".join(re.sub(r"(?<=\d)\\ (?=\d)", " ?", re.escape(value)) for value in every)
        return re.compile(rf"(?<!\w)(?:{either or '(?!)'})(?!\w)")

    def find(self, text: str) -> list[str]:
        """Return the values in a text, in order, each once. If one is part of another, the longer one counts; blanks between
        digits are ignored."""
        found = self._any_value.findall(words(text, self.spellings))
        return list(dict.fromkeys(self._by_digits[_DIGITS.sub("", value)] for value in found))

    def describe(self, at: int) -> str:
        """Return an entity as text."""
        entity = self.entities[at]
        return "; ".join(f"{column}: {entity[column]}" for column in self.columns if column in entity)

    def count_shared(self, found: set[str]) -> list[int]:
        """Return how many of these values each entity has."""
        return [len(values & found) for values in self.values]

    def values_of(self, names: Iterable[str]) -> set[str]:
        """Return all values of the entities with these names."""
        wanted = set(names)
        return {value for name, values in zip(self.names, self.values, strict=True) if name in wanted for value in values}


@lru_cache(maxsize=256)
def kb_of_row(rows: str, columns: tuple[str, ...], spellings: tuple[tuple[str, str], ...]) -> KnowledgeBase:
    """Return a row's own knowledge base, from its canonical JSON."""
    return KnowledgeBase.of(json.loads(rows), columns, dict(spellings))


@lru_cache(maxsize=4)
def _loaded(path: Path, changed_ns: int, columns: tuple[str, ...], spellings: tuple[tuple[str, str], ...]) -> KnowledgeBase:
    rows = _parquet(path) if path.suffix == ".parquet" else _json(path)
    there = list(dict.fromkeys(column for row in rows for column in row))
    if not rows:
        raise BadInput(f"verify.kb: {path} has no entities; give one object a line")
    for column in columns:
        if column not in there:
            raise BadInput(f"verify.columns: no entity of {path} has a '{column}'; there are {', '.join(there)}")
    return KnowledgeBase.of(rows, columns, dict(spellings))


def load(options: VerifyDialogue) -> KnowledgeBase | None:
    """Return the recipe's knowledge base, read once per process; None if every row has its own. Raises BadInput if the file is
    missing."""
    path = options.kb_path
    if path is None:
        return None
    if not path.is_file():
        raise BadInput(f"verify.kb: no such file: {options.kb} (looked at {path})")
    return _loaded(path, path.stat().st_mtime_ns, tuple(options.columns), tuple(sorted(options.spellings.items())))


def _json(path: Path) -> list[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            text = file.read()
    except UNREADABLE as error:
        raise BadInput(f"verify.kb: {path} cannot be read: {error}") from error
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        rows = json.loads(text) if path.name.removesuffix(".gz").endswith(".json") else [json.loads(line) for line in lines]
    except ValueError as error:
        raise BadInput(f"verify.kb: {path}: not JSON Lines ({error}); give one object a line") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise BadInput(f"verify.kb: {path}: line {number} is not a JSON object: {row!r:.60}")
    return list(rows)


def _parquet(path: Path) -> list[dict[str, Any]]:
    import polars as pl

    try:
        return pl.read_parquet(path).to_dicts()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"verify.kb: {path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def turns_of(value: Sequence[Any]) -> list[tuple[str, str]] | None:
    """Return (`user` or `assistant`, text) per turn, from the forms in which dialogues are published; None for anything else.

    {role, content}; {user, system}, two at a time; {speaker, utterance} (ConvLab); {turn, data: {utterance}} (KVRET).
    """
    said: list[tuple[Any, Any]] = []
    for one in value:
        match one:
            case {"role": role, "content": content}:
                said.append((None if role == "system" else role, content))
            case {"user": question, "system": answer}:
                said += [("user", question), ("assistant", answer)]
            case {"speaker": speaker, "utterance": utterance}:
                said.append((speaker, utterance))
            case {"turn": speaker, "data": {"utterance": utterance}}:
                said.append((speaker, utterance))
            case _:
                return None
    found = [(_ROLES.get(role) if isinstance(role, str) else None, text) for role, text in said]
    if any(role is None or not isinstance(text, str) for role, text in found):
        return None
    return [(str(role), str(text)) for role, text in found]


_ROLES = {"user": "user", "assistant": "assistant", "system": "assistant", "driver": "user"}
"""Our role for each published name: in dialogue data `system` is the one that answers."""
