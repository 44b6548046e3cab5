"""What a domain promises: it reads prompts and knows their gold answers; a verifier of answers is there or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from datakit.recipe.verify import Verifying
from datakit.tables import Outcome, Prompt, Row, Rows


@dataclass(frozen=True)
class Verdict:
    """What a verifier says of one response."""

    outcome: Outcome
    extracted: str | None = None
    detail: str | None = None


class Verifier(Protocol):
    """Says of answers whether they are right. Cheap to make: what verify needs is loaded by `warm`."""

    name: str
    """Name and version ("math@3"), with a suffix for every option that is not at its default and can change a verdict
    ("math@3+timeout_s=5")."""
    wrong: frozenset[Outcome]
    """The outcomes that count as a wrong answer."""
    deadline_s: float
    """How long a row may take before the engine ends its worker."""
    faults: Mapping[str, Outcome]
    """What a fault of the engine ("timeout", "crash") means as an outcome."""
    retries_timeouts: bool
    """Whether an answer that took too long is tried once more, when little else runs."""
    forks: bool
    """Whether workers may be forked from a process that is warm: `warm` leaves no thread and no process at work."""

    @property
    def options(self) -> Verifying:
        """The section of the recipe that made it."""
        ...

    def preflight(self) -> None:
        """Raise a DatakitError where answers could not be verified here. Called before anything is sampled."""
        ...

    def warm(self) -> None:
        """Load what verify needs; a worker calls it before any deadline runs."""
        ...

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """One verdict a row, in order. Rows hold text, reference, complete, ...; an exception is the checker's own."""
        ...


class Domain(Protocol):
    """Reads prompts and knows what a right answer to them is."""

    name: str
    verifier: Verifier | None
    """None where nothing is right or wrong by itself."""

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Prompts from rows that have our column names; `source` is how messages and the table call their origin."""
        ...

    def gold(self, prompt: Prompt) -> str | None:
        """A response that must pass the verifier; None where nothing is known."""
        ...
