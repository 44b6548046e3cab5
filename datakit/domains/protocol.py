"""The protocols of a domain, which reads prompts and knows their gold answers, and of its verifier, which is optional."""

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
    """A verifier, which decides whether answers are right. It is cheap to make: `warm` loads what verify needs."""

    name: str
    """Name and version ("math@3"), with a suffix for every option that is not at its default and can change a verdict
    ("math@3+timeout_s=5")."""
    wrong: frozenset[Outcome]
    """The outcomes that count as a wrong answer."""
    deadline_s: float
    """The seconds that a row may take before the engine kills its worker."""
    faults: Mapping[str, Outcome]
    """The outcome for each fault of the engine ("timeout", "crash")."""
    retries_timeouts: bool
    """True if an answer that took too long is tried once more, when little else runs."""
    forks: bool
    """True if workers may be forked from a warm process: `warm` leaves no thread or process running."""

    @property
    def options(self) -> Verifying:
        """The section of the recipe from which it was made."""
        ...

    def preflight(self) -> None:
        """Raise a DatakitError if answers cannot be verified on this machine. Called before anything is sampled."""
        ...

    def warm(self) -> None:
        """Load what verify needs; a worker calls it before any deadline starts."""
        ...

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """Yield one verdict per row, in order. Rows have text, reference, complete, ...; an exception is a fault of the
        checker."""
        ...


class Domain(Protocol):
    """A domain, which reads prompts and knows what a right answer to them is."""

    name: str
    verifier: Verifier | None
    """The verifier; None if nothing is right or wrong by itself."""

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Yield prompts from rows with datakit's column names; `source` names their origin in messages and in the table."""
        ...

    def gold(self, prompt: Prompt) -> str | None:
        """Return a response that must pass the verifier; None if none is known."""
        ...
