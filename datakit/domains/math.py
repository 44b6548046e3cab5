"""Mathematics: a response is right when its final answer equals the reference.

Outcomes: passed, failed, unparseable (no answer found, or none yet in a response that was cut off), unverifiable (the
reference cannot be read). The engine adds error (the checker broke) and timeout (it was too slow).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from datakit.domains import Verdict, math_answers, math_equality
from datakit.domains.reading import read_prompts
from datakit.recipe import Verify
from datakit.tables import Prompt, Row, Rows

VERSION = 1  # a change that can change a verdict makes a new one


class Math:
    """Final answers compared with a reference, by exact values first and by math-verify where these do not decide."""

    name = "math"
    wrong = frozenset({"failed"})

    def __init__(self, options: Verify) -> None:
        usual = Verify().timeout_s
        suffix = "" if options.timeout_s == usual else f"+timeout_s={options.timeout_s:g}"
        self.verifier: str | None = f"math@{VERSION}{suffix}"

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Prompts with their reference, which may be a number, an answer's text, or a solution that ends in one."""
        for prompt in read_prompts(self.name, rows, source):
            missing = prompt.reference is None and prompt.dropped is None
            yield replace(prompt, dropped="no reference answer") if missing else prompt

    def warm(self) -> None:
        """Load math-verify."""
        math_equality.load()

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """One verdict a row of text, reference and finish_reason; `detail` says how the answer was found, or why not."""
        for row in rows:
            yield judge(row["text"], row["reference"], truncated=row.get("finish_reason") == "length")

    def gold(self, prompt: Prompt) -> str | None:
        """The solution where there is one, else the reference put as an answer."""
        if prompt.solution is not None or prompt.reference is None:
            return prompt.solution
        return f"The answer is \\boxed{{{math_equality.reference_answer(prompt.reference)}}}."


def judge(text: str, reference: str | None, truncated: bool = False) -> Verdict:
    """The verdict on one response. A response that was cut off is judged only by an answer that it had already given."""
    if reference is None or not reference.strip():
        return Verdict("unverifiable", detail="no reference answer")
    answer = math_answers.extract(text)
    if answer is None:
        return Verdict("unparseable", detail="no answer found")
    if truncated and not answer.sure:
        return Verdict("unparseable", detail="cut off before an answer")
    if len(reference) > math_equality.MAX_LENGTH and len(math_equality.reference_answer(reference)) > math_equality.MAX_LENGTH:
        return Verdict("unverifiable", answer.text, detail=f"the reference is over {math_equality.MAX_LENGTH} characters")
    if len(answer.text) > math_equality.MAX_LENGTH:
        return Verdict("unparseable", detail=f"the answer is over {math_equality.MAX_LENGTH} characters")
    try:
        passed = math_equality.equal(reference, answer.text)
    except math_equality.UnreadableReference:
        return Verdict("unverifiable", answer.text, detail="the reference cannot be read")
    return Verdict("passed" if passed else "failed", answer.text, detail=answer.way)
