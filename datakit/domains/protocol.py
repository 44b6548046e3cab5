"""What a domain promises: it reads prompts and knows what a right answer is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from datakit.recipe import Verify
from datakit.tables import Prompt, Row, Rows

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Verdict:
    """What a domain's verifier says of one response; `outcome` is one of tables.OUTCOMES."""

    outcome: str
    extracted: str | None = None
    detail: str | None = None


class Domain(Protocol):
    """Reads prompts and judges answers to them. Cheap to make: what verify needs is loaded by `warm`."""

    name: str
    options: Verify
    verifier: str | None
    """Name and version ("math@2"), with a suffix for every option that is not at its default and can change a verdict
    ("math@2+timeout_s=5"); None: this domain has no verifier."""
    wrong: frozenset[str]
    """The outcomes that count as a wrong answer."""
    deadline_s: float
    """How long a row may take before the engine ends its worker."""
    faults: dict[str, str]
    """What a fault of the engine ("timeout", "crash") means as an outcome."""
    retries_timeouts: bool
    """Whether an answer that took too long is tried once more, when little else runs."""

    def preflight(self) -> None:
        """Raise a DatakitError where answers could not be verified here. Called before anything is sampled."""
        ...

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Prompts from rows that have our column names; `source` is how messages and the table call their origin."""
        ...

    def warm(self) -> None:
        """Load what verify needs; a worker calls it before any deadline runs."""
        ...

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """One verdict a row, in order. Rows hold text, reference, finish_reason, ...; an exception is the checker's own."""
        ...

    def gold(self, prompt: Prompt) -> str | None:
        """A response that must pass verify; None where nothing is known."""
        ...
