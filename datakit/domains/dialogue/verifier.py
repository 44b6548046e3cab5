"""Dialogue: a response is right when it has every value of the gold answer and no value of another entity.

Outcomes: passed, failed, unparseable (cut off before its values were there), unverifiable (the reference is not one of this
domain). `extracted` is the list of the values found, by which Entity F1 is counted. The engine adds error and timeout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from datakit.domains.dialogue.knowledge import KnowledgeBase, kb_of_row, load
from datakit.domains.protocol import Verdict
from datakit.machine import limit_memory
from datakit.recipe.verify import VerifyDialogue
from datakit.tables import Outcome, Rows, canonical_json

VERSION = 1  # a change that can change a verdict makes a new one
DEADLINE_S = 2.0
MEMORY_MB = 1024


class DialogueVerifier:
    """A verifier that compares the values of a response with those of the gold answer."""

    wrong: frozenset[Outcome] = frozenset({"failed"})
    faults: Mapping[str, Outcome] = {"timeout": "timeout", "crash": "error"}
    retries_timeouts = False
    forks = True

    def __init__(self, options: VerifyDialogue) -> None:
        self.options = options
        self.deadline_s = options.timeout_s or DEADLINE_S
        self.memory_mb = options.memory_mb or MEMORY_MB
        suffixes = [f"+kb={options.revision}"] if options.revision is not None else []
        suffixes += [f"+memory_mb={self.memory_mb}"] if self.memory_mb != MEMORY_MB else []
        suffixes += [f"+timeout_s={self.deadline_s:g}"] if self.deadline_s != DEADLINE_S else []
        self.name = f"dialogue@{VERSION}{''.join(suffixes)}"

    def preflight(self) -> None:
        """Raise BadInput if the knowledge base cannot be read."""
        load(self.options)

    def warm(self) -> None:
        """Read the knowledge base, and bound this worker's memory."""
        kb = load(self.options)
        if kb is not None:
            kb.find("")
        limit_memory(self.memory_mb)

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """Yield one verdict per row of text, reference and complete."""
        kb = load(self.options)
        for row in rows:
            yield verify_answer(row["text"], row["reference"], kb, self.options, truncated=not row.get("complete", True))


def verify_answer(
    text: str, reference: str | None, kb: KnowledgeBase | None, options: VerifyDialogue, truncated: bool = False
) -> Verdict:
    """Return the verdict on one response. `kb`: the recipe's knowledge base, used if the reference has none of its own."""
    held = reference_of(reference)
    known = kb
    if held.get("kb") is not None:
        known = kb_of_row(canonical_json(held["kb"]), tuple(options.columns), tuple(sorted(options.spellings.items())))
    if not held or known is None:
        return Verdict("unverifiable", detail="no values of a knowledge base in the reference [unverifiable]")
    found, gold = known.find(text), held["values"]
    allowed = {*gold, *known.values_of(held["entities"])}
    foreign, left_out = [value for value in found if value not in allowed], [value for value in gold if value not in found]
    extracted = canonical_json(found)
    if foreign:
        return Verdict("failed", extracted, f"of another entity: {', '.join(foreign)} [foreign]")
    if left_out and truncated:
        return Verdict("unparseable", extracted, f"cut off before {', '.join(left_out)} [cut off]")
    if left_out:
        return Verdict("failed", extracted, f"left out: {', '.join(left_out)} [left out]")
    return Verdict("passed", extracted, "every value [complete]")


@lru_cache(maxsize=1_000)
def reference_of(reference: str | None) -> dict[str, Any]:
    """Return the content of a reference of this domain: values, entities, response, and kb if the row has its own; empty for
    any other reference."""
    try:
        held = json.loads(reference or "")
    except ValueError:
        return {}
    is_one = isinstance(held, dict) and all(isinstance(held.get(name), list) for name in ("values", "entities"))
    return held if is_one and held["values"] and isinstance(held.get("response"), str) else {}
