"""Multiple choice: a response is right when the choice that it states last is the right one.

Outcomes: passed, failed, unparseable (it states no choice, several, or one that does not exist; never a guess), unverifiable
(the reference is not one of this domain). The engine adds error (the checker broke) and timeout (it was too slow).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache

from datakit.domains.protocol import Verdict
from datakit.domains.stated import stated_choice
from datakit.machine import limit_memory
from datakit.recipe.verify import VerifyMcq
from datakit.tables import Outcome, Rows

VERSION = 1  # a change that can change a verdict makes a new one
DEADLINE_S = 2.0
MEMORY_MB = 1024


class McqVerifier:
    """A verifier that compares the choice that a response states, by letter or text, with the right one."""

    wrong: frozenset[Outcome] = frozenset({"failed"})
    faults: Mapping[str, Outcome] = {"timeout": "timeout", "crash": "error"}
    retries_timeouts = False
    forks = True

    def __init__(self, options: VerifyMcq) -> None:
        self.options = options
        self.deadline_s = options.timeout_s or DEADLINE_S
        self.memory_mb = options.memory_mb or MEMORY_MB
        suffixes = [f"+memory_mb={self.memory_mb}"] if self.memory_mb != MEMORY_MB else []
        suffixes += [f"+timeout_s={self.deadline_s:g}"] if self.deadline_s != DEADLINE_S else []
        self.name = f"mcq@{VERSION}{''.join(suffixes)}"

    def preflight(self) -> None:
        """Do nothing: the verifier needs nothing."""

    def warm(self) -> None:
        """Bound this worker's memory."""
        limit_memory(self.memory_mb)

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """Yield one verdict per row of text, reference and complete; `detail` says how the choice was found, or why none
        was."""
        for row in rows:
            yield verify_answer(row["text"], row["reference"], truncated=not row.get("complete", True))


def verify_answer(text: str, reference: str | None, truncated: bool = False) -> Verdict:
    """Return the verdict on one response. In a response that was cut off only a choice that it had already stated counts."""
    right, choices = reference_of(reference)
    if not choices:
        return Verdict("unverifiable", detail="no choices with a right one among them")
    found = stated_choice(text, choices)
    if found.letter is None:
        return Verdict("unparseable", detail=found.way)
    if truncated and not found.sure:
        return Verdict("unparseable", found.letter, detail="cut off before an answer")
    stated, wanted = (choices[ord(letter) - ord("A")] for letter in (found.letter, right))
    return Verdict("passed" if stated == wanted else "failed", found.letter, detail=found.way)


@lru_cache(maxsize=1_000)
def reference_of(reference: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the right letter and the choices in a reference of this domain; no choices if it is not one."""
    try:
        held = json.loads(reference or "")
        letter, choices = held["answer"], tuple(held["choices"])
    except (ValueError, TypeError, KeyError):
        return "", ()
    is_one = isinstance(letter, str) and len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices)
    return (letter, choices) if is_one and all(isinstance(choice, str) for choice in choices) else ("", ())
