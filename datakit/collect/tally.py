"""The rows of one input: how many were read, and which of them cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from datakit.errors import BadInput, BadRow
from datakit.recipe import FilePrompts, HubPrompts, ResponsesSource
from datakit.wording import counted

Input: TypeAlias = FilePrompts | HubPrompts | ResponsesSource
"""A section of the recipe that names a file or a dataset."""
SHOWN = 5  # of the rows at which a build stops


@dataclass
class Dropped:
    """Rows that cannot be used for one reason."""

    first: str
    """Where the first of them stands."""
    detail: str
    """What else is to be said of the first."""
    stops: bool
    """Whether a build stops at it."""
    n: int = 0


@dataclass
class Tally:
    """Counts the rows of one input, and knows what is done with a bad one."""

    given: Input
    section: str = ""
    """Of the recipe: sources.0."""
    faults: list[str] | None = None
    """Gets the first rows that a build stops at, where all are looked for; None: the first of them is raised."""
    n_rows: int = 0
    dropped: dict[str, Dropped] = field(default_factory=dict)
    """By reason."""
    columns: list[str] = field(default_factory=list)
    """Those that were seen in the file."""

    @property
    def n_dropped(self) -> int:
        """The rows that cannot be used."""
        return sum(one.n for one in self.dropped.values())

    def field(self, name: str) -> str:
        """How messages call a field of its section: sources.0.columns.text."""
        return f"{self.section}.{name}" if self.section else f"{self.given.name}: {name}"

    def beside(self) -> Tally:
        """Another one, for reading the same input once more."""
        return Tally(self.given, self.section, None if self.faults is None else [])

    def drop(self, place: str, error: BadRow) -> None:
        """Count a row as dropped; BadInput where the input is to stop at such a row."""
        stops = (self.given.on_bad_row or ("drop" if error.may_drop else "stop")) == "stop"
        if stops and self.faults is None:
            hint = "" if self.given.on_bad_row else "; or leave such rows out: on_bad_row: drop"
            raise BadInput(f"{place}: {error.what}{error.detail}{hint}") from error
        if stops and self.faults is not None:
            self.faults += [f"{place}: {error.what}{error.detail}"][: SHOWN - len(self.faults)]
        self.dropped.setdefault(error.what, Dropped(place, error.detail, stops)).n += 1

    def check_some_used(self) -> None:
        """BadInput where every row was dropped: then it is the input that is read wrongly, not a row that is bad."""
        if not self.n_rows or self.n_dropped < self.n_rows:
            return
        reason, most = max(self.dropped.items(), key=lambda item: item[1].n)
        there = f"; the file has {', '.join(self.columns)[:200]}" if self.columns else ""
        none = f"none of its {counted(self.n_rows, 'rows')} can be used"
        raise BadInput(f"{self.given.name}: {none}. {most.first}: {reason}{most.detail}{there}")
