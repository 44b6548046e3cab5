"""Rows of what exists already: files of several kinds and hub datasets, all under our own column names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from datakit.collect.formats import Found, read_file
from datakit.collect.hub import read_dataset
from datakit.collect.tally import Input, Tally
from datakit.collect.where import matching
from datakit.errors import BadInput
from datakit.recipe import HubPrompts
from datakit.recipe.template import CHOICES, placeholders
from datakit.tables import Row
from datakit.wording import did_you_mean

COLUMNS = (
    *(
        "prompt_id",
        "prompt",
        "messages",
        "choices",
        "knowledge",
        "reference",
        "solution",
        "test_style",
        "entry_point",
        "category",
    ),
    *("text", "reasoning", "model", "sample_index", "finish_reason", "n_prompt_tokens", "n_tokens", "seed", "score"),
)
PEEK = 1000  # a mapped column must be seen in this many rows; JSON rows may leave out what is null
_PLAIN = (str, int, list, dict)


def read_rows(given: Input, tally: Tally, labels: Sequence[str] = ()) -> Iterator[Found]:
    """The rows, lazily, with our column names only. BadInput where the file, a line or a mapped column is not there.

    Where there is a template each row has it, too, and the file's columns that it names: `{question}`. `labels`: columns of the
    file's own that are kept together, under the name `labels`.
    """
    raw = read_raw(given, tally)
    first = list(islice(raw, PEEK))
    return renamed(chain(first, raw), Names.of(given, tally, first), tally, labels)


@dataclass(frozen=True)
class Names:
    """Which of an input's columns is which of ours."""

    wanted: dict[str, list[tuple[str, ...]]]
    """Ours, and `{question}` of a template: the steps to each column that it is made of; one to a column of the file itself."""
    template: str | None

    @classmethod
    def of(cls, given: Input, tally: Tally, first: list[Found]) -> Names:
        """By what the first rows have. BadInput where a mapped column is not there."""
        for ours in given.columns:
            if ours not in COLUMNS:
                hint = did_you_mean(ours, COLUMNS) or f"; known are {', '.join(COLUMNS)}"
                raise BadInput(f"{tally.field(f'columns.{ours}')}: not a column of ours{hint}")
        tally.columns = sorted({column for _, _, row in first for column in row})
        # A dot leads into a column of objects, unless a column is called so.
        templated = {f"{{{name}}}": name for name in _file_columns(given)}
        wanted = {
            ours: [(name,) if name in tally.columns else tuple(name.split(".")) for name in _listed(theirs)]
            for ours, theirs in ({column: column for column in COLUMNS} | given.columns | templated).items()
        }
        for ours, names in (given.columns | templated).items():
            for theirs, steps in zip(_listed(names), wanted[ours], strict=True):
                if first and not any(_is_there(row, steps) for _, _, row in first):
                    at, hint = f"columns.{ours}", f"Write the file's own name after '{ours}:'"
                    if ours in templated:
                        at, hint = "template", f"Write the name of one of these in braces; {{{ours}}} is the text {ours}"
                    there = _names_near(first, theirs) or tally.columns
                    near = did_you_mean(theirs, there) or ";"
                    what = f"there is no column '{theirs}'{near} {given.name} has {', '.join(there)}. {hint}"
                    raise BadInput(f"{tally.field(at)}: {what}")
        return cls(wanted, given.template)


def renamed(raw: Iterable[Found], names: Names, tally: Tally, labels: Sequence[str] = ()) -> Iterator[Found]:
    """The same rows with our column names only; they are counted."""
    template: Row = {} if names.template is None else {"template": names.template}
    plain: dict[str, list[str]] = {}
    for ours, places in names.wanted.items():
        if len(places) == len(places[0]) == 1:
            plain.setdefault(places[0][0], []).append(ours)
    others = {ours: places for ours, places in names.wanted.items() if not len(places) == len(places[0]) == 1}
    for where, number, row in raw:
        tally.n_rows += 1
        found = _ours(row, plain)
        if labels:
            found["labels"] = {name: value for name in labels if (value := value_at(row, name)) is not None}
        yield where, number, found | template | _ours_elsewhere(row, others) if others or template else found


def _file_columns(given: Input) -> list[str]:
    """What a template names that is no column of ours: it is one of the file's."""
    named = [] if given.template is None else [name for name, _ in placeholders(given.template)]
    return [name for name in dict.fromkeys(named) if name not in given.columns and name not in CHOICES]


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def read_raw(given: Input, tally: Tally) -> Iterator[Found]:
    """The rows as the file has them, those that the section asks for."""
    if isinstance(given, HubPrompts) or given.path is None:
        found = read_dataset(given, tally)
    else:
        found = chain.from_iterable(read_file(file, name, tally) for file, name in files_of(given))
    return matching(found, given.where, tally) if given.where else found


def files_of(given: Input) -> list[tuple[Path, str]]:
    """Its files, each with what messages call it; none of a dataset. BadInput where there is no such file."""
    if isinstance(given, HubPrompts) or given.path is None:
        return []
    if not given.files:
        looked = f"looked at {given.location}"
        if given.location is not None and given.location.is_dir():
            raise BadInput(f"{given.name}: a folder ({looked}); name its files: path: {given.name.rstrip('/')}/*.jsonl")
        raise BadInput(f"{given.name}: no such file ({looked}); relative paths start from the recipe's folder")
    names = [given.name] if len(given.files) == 1 else [file.name for file in given.files]
    return list(zip(given.files, names, strict=True))


def _ours(row: Row, names: dict[str, list[str]]) -> Row:
    """The row with our names, without what is null. `names`: what we call each of the file's columns."""
    found: Row = {}
    for theirs, value in row.items():
        if value is not None and theirs in names:
            for ours in names[theirs]:
                found[ours] = value if isinstance(value, _PLAIN) else _plain(value)
    return found


def _ours_elsewhere(row: Row, places: dict[str, list[tuple[str, ...]]]) -> Row:
    """What stands inside columns of objects or in several columns, with our names, without what is null."""
    found: Row = {}
    for ours, several in places.items():
        values = {steps[-1]: value for steps in several if (value := value_of(row, steps)) is not None}
        if ours == "choices" and values and len(several) > 1:
            found[ours] = [values.get(steps[-1]) for steps in several]  # a hole in it is not closed: letters count
        elif values:
            found[ours] = _joined(ours, values) if len(several) > 1 else next(iter(values.values()))
    return found


def value_at(row: Row, column: str) -> Any:
    """What stands in a column, or where a dot leads into one of objects; None where nothing does."""
    return value_of(row, (column,) if column in row else tuple(column.split(".")))


def value_of(row: Row, steps: tuple[str, ...]) -> Any:
    """What stands where the steps lead; None where nothing does."""
    value: Any = row
    for step in steps:
        value = _inside_of(value, step)
    return value if value is None or isinstance(value, _PLAIN) else _plain(value)


def _inside_of(value: Any, step: str) -> Any:
    """What is called so in an object, or stands there in a list, from 0 on; None for nothing."""
    if isinstance(value, list) and step.isdecimal():
        return value[int(step)] if int(step) < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


def _joined(ours: str, values: Row) -> Any:
    """Several columns as one: texts of a prompt one below the other; all else as an object."""
    if ours == "prompt" and all(isinstance(value, str) for value in values.values()):
        return "\n\n".join(value for value in values.values() if value.strip())
    return values


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as those of Python."""
    return value.tolist() if hasattr(value, "tolist") else value


def _is_there(row: Row, steps: tuple[str, ...]) -> bool:
    value: Any = row
    for step in steps:
        if not (isinstance(value, dict) and step in value) and _inside_of(value, step) is None:
            return False
        value = _inside_of(value, step)
    return True


def _names_near(first: list[Found], theirs: str) -> list[str]:
    """Of a dotted name the names that there are beside its last part."""
    above = theirs.rpartition(".")[0]
    steps = tuple(above.split("."))
    inside = {name for _, _, row in first if above and _is_there(row, steps) for name in _inside(row, steps)}
    return [f"{above}.{name}" for name in sorted(inside)]


def _inside(row: Row, steps: tuple[str, ...]) -> list[str]:
    value: Any = row
    for step in steps:
        value = value[step]
    return list(value) if isinstance(value, dict) else []
