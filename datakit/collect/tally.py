"""Counts the rows of one input: those that were read, and those that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from datakit.errors import BadInput, BadRow
from datakit.recipe import FilePrompts, HubPrompts, ResponsesSource
from datakit.wording import counted

Input: TypeAlias = FilePrompts | HubPrompts | ResponsesSource
"""A section of the recipe that names a file or a dataset."""
SHOWN = 5  # rows at which a build stops


@dataclass
class Dropped:
    """The rows that cannot be used for one reason."""

    first: str
    """The place of the first."""
    detail: str
    """Details on the first."""
    stops: bool
    """True if a build stops at it."""
    n: int = 0


@dataclass
class Tally:
    """Counts the rows of one input, and decides what happens to a bad one."""

    given: Input
    section: str = ""
    """The section of the recipe, such as sources.0."""
    faults: list[str] | None = None
    """Collects the first faults at which a build would stop; None to raise the first one."""
    n_rows: int = 0
    dropped: dict[str, Dropped] = field(default_factory=dict)
    """The dropped rows by reason."""
    columns: list[str] = field(default_factory=list)
    """The columns seen in the file."""

    @property
    def n_dropped(self) -> int:
        """The number of rows that cannot be used."""
        return sum(one.n for one in self.dropped.values())

    def field(self, name: str) -> str:
        """Return the name of a field for messages: sources.0.columns.text."""
        return f"{self.section}.{name}" if self.section else f"{self.given.name}: {name}"

    def beside(self) -> Tally:
        """Return a new tally, for reading the same input again."""
        return Tally(self.given, self.section, None if self.faults is None else [])

    def drop(self, place: str, error: BadRow) -> None:
        """Count a row as dropped. Raise BadInput if the input stops at such a row."""
        stops = (self.given.on_bad_row or ("drop" if error.may_drop else "stop")) == "stop"
        if stops and self.faults is None:
            hint = "" if self.given.on_bad_row else "; or leave such rows out: on_bad_row: drop"
            raise BadInput(f"{place}: {error.what}{error.detail}{hint}") from error
        if stops and self.faults is not None:
            self.faults += [f"{place}: {error.what}{error.detail}"][: SHOWN - len(self.faults)]
        self.dropped.setdefault(error.what, Dropped(place, error.detail, stops)).n += 1

    def check_some_used(self) -> None:
        """Raise BadInput if every row was dropped: the input is then read wrongly, rather than every row bad."""
        if not self.n_rows or self.n_dropped < self.n_rows:
            return
        reason, most = max(self.dropped.items(), key=lambda item: item[1].n)
        there = f"; the file has {', '.join(self.columns)[:200]}" if self.columns else ""
        none = f"none of its {counted(self.n_rows, 'rows')} can be used"
        raise BadInput(f"{self.given.name}: {none}. {most.first}: {reason}{most.detail}{there}")
