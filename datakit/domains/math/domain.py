"""Mathematics: prompts whose reference is a number, an answer's text, or a solution that ends in one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from datakit.domains.math.equality import golds_of
from datakit.domains.math.verifier import MathVerifier
from datakit.domains.protocol import Verifier
from datakit.domains.reading import number_as_text, read_prompts
from datakit.recipe.verify import VerifyMath
from datakit.tables import Prompt, Row


class Math:
    """The domain of problems with a final answer."""

    name = "math"

    def __init__(self, options: VerifyMath) -> None:
        self.verifier: Verifier | None = MathVerifier(options)

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Yield prompts with their reference (a list of acceptable answers as JSON text); those without one are dropped."""
        texts = (
            row | {"reference": _as_text(row["reference"])} if isinstance(row.get("reference"), list) else row for row in rows
        )
        for prompt in read_prompts(self.name, texts, source):
            unanswered = prompt.reference is None and prompt.dropped is None
            yield replace(prompt, dropped="no reference answer") if unanswered else prompt

    def gold(self, prompt: Prompt) -> str | None:
        """Return the solution if there is one, else the reference in the form of an answer."""
        if prompt.solution is not None or prompt.reference is None:
            return prompt.solution
        return f"The answer is \\boxed{{{golds_of(prompt.reference)[0]}}}."


def _as_text(listed: list[Any]) -> Any:
    """Return a list of acceptable texts and numbers as JSON, a single one as it is; other lists unchanged: the reader refuses
    them."""
    given = [one for one in map(number_as_text, listed) if one is not None]
    if not all(isinstance(one, str) for one in given):
        return listed
    found = [one for one in given if one.strip()]
    return json.dumps(found, ensure_ascii=False) if len(found) > 1 else "".join(found)
