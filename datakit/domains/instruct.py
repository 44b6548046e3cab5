"""Following instructions: nothing is right or wrong by itself, so the judge decides.

FuseChat-3.0 (README): of several samples of one source model the best by score is chosen against the worst, inside a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datakit.domains.protocol import Verdict
from datakit.domains.reading import read_prompts
from datakit.recipe import Verify
from datakit.tables import Prompt, Row, Rows


class Instruct:
    """Prompts without a reference and answers without a verdict."""

    name = "instruct"
    verifier: str | None = None
    wrong: frozenset[str] = frozenset()
    deadline_s = 1.0
    faults: dict[str, str] = {}  # noqa: RUF012 - read-only
    retries_timeouts = False

    def __init__(self, options: Verify) -> None:
        self.options = options

    def preflight(self) -> None:
        """There is nothing to verify with."""

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Prompts of one turn or several; a reference is kept where there is one, and asked by nobody."""
        return read_prompts(self.name, rows, source)

    def warm(self) -> None:
        """There is nothing to load."""

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """No verdicts: `verifier` is None, so no stage asks for any."""
        return iter(())

    def gold(self, prompt: Prompt) -> str | None:
        """Nothing is known to be right."""
        return None
