"""Following instructions: nothing is right or wrong by itself, so the judge decides.

FuseChat-3.0 (README): among several samples of one source model the best by score is chosen over the worst, inside a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datakit.domains.protocol import Verifier
from datakit.domains.reading import read_prompts
from datakit.recipe.verify import Unverified
from datakit.tables import Prompt, Row


class Instruct:
    """Prompts of one or more turns; a reference is kept but not used."""

    name = "instruct"
    verifier: Verifier | None = None

    def __init__(self, options: Unverified) -> None:
        """There are no options."""

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """See Domain.read."""
        return read_prompts(self.name, rows, source)

    def gold(self, prompt: Prompt) -> str | None:
        """Return None: no answer is known to be right."""
        return None
