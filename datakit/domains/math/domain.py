"""Mathematics: prompts whose reference is a number, an answer's text, or a solution that ends in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from datakit.domains.math.equality import acceptable_answers, reference_answer
from datakit.domains.math.verifier import MathVerifier
from datakit.domains.protocol import Verifier
from datakit.domains.reading import read_prompts
from datakit.recipe.verify import VerifyMath
from datakit.tables import Prompt, Row


class Math:
    """Problems with a final answer."""

    name = "math"

    def __init__(self, options: VerifyMath) -> None:
        self.verifier: Verifier | None = MathVerifier(options)

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Prompts with their reference; dropped where there is none."""
        for prompt in read_prompts(self.name, rows, source):
            unanswered = prompt.reference is None and prompt.dropped is None
            yield replace(prompt, dropped="no reference answer") if unanswered else prompt

    def gold(self, prompt: Prompt) -> str | None:
        """The solution where there is one, else the reference put as an answer."""
        if prompt.solution is not None or prompt.reference is None:
            return prompt.solution
        return f"The answer is \\boxed{{{reference_answer(acceptable_answers(prompt.reference)[0])}}}."
