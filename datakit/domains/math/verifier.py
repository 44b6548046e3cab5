"""Mathematics: a response is right when its final answer equals the reference.

Outcomes: passed, failed, unparseable (no answer found, or none yet in a response that was cut off), unverifiable (the
reference cannot be read). The engine adds error (the checker broke) and timeout (it was too slow).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from datakit.domains import statements
from datakit.domains.math import answers, equality, parsing
from datakit.domains.math.equality import LENIENT, MAX_LENGTH, Rules
from datakit.domains.protocol import Verdict
from datakit.domains.stated import stated_choice
from datakit.machine import limit_memory
from datakit.recipe.verify import VerifyMath
from datakit.tables import Outcome, Rows

VERSION = 3  # a change that can change a verdict makes a new one
DEADLINE_S = 2.0
MEMORY_MB = 2048


class MathVerifier:
    """A verifier that compares final answers with a reference, by exact values first, then by math-verify."""

    wrong: frozenset[Outcome] = frozenset({"failed"})
    faults: Mapping[str, Outcome] = {"timeout": "timeout", "crash": "error"}
    """The outcomes for the engine's faults: the checker was too slow, or it broke; neither makes an answer wrong."""
    retries_timeouts = False
    forks = True

    def __init__(self, options: VerifyMath) -> None:
        self.options = options
        self.deadline_s = options.timeout_s or DEADLINE_S
        self.memory_mb = options.memory_mb or MEMORY_MB
        lenient = {"lenient", False}
        self.rules = Rules(**{point: getattr(options, point) not in lenient for point in Rules._fields})
        suffixes = [
            f"+{point}" if point == "strict" else f"+{point}=strict" for point, on in self.rules._asdict().items() if on
        ]
        suffixes += [f"+memory_mb={self.memory_mb}"] if self.memory_mb != MEMORY_MB else []
        suffixes += [f"+timeout_s={self.deadline_s:g}"] if self.deadline_s != DEADLINE_S else []
        self.name = f"math@{VERSION}{''.join(suffixes)}"

    def preflight(self) -> None:
        """Do nothing: math-verify is always installed."""

    def warm(self) -> None:
        """Bound this worker's memory and load math-verify."""
        parsing.load()
        limit_memory(self.memory_mb)

    def verify(self, rows: Rows) -> Iterator[Verdict]:
        """Yield one verdict per row of text, reference and complete; `detail` says how the answer was found, or why not."""
        for row in rows:
            yield verify_answer(row["text"], row["reference"], not row.get("complete", True), self.rules)


def verify_answer(text: str, reference: str | None, truncated: bool = False, rules: Rules = LENIENT) -> Verdict:
    """Return the verdict on one response. In a response that was cut off only an answer that it had already given counts."""
    if reference is None or not reference.strip():
        return Verdict("unverifiable", detail="no reference answer")
    golds = equality.golds_of(reference)
    if letters := equality.letters_of(golds):
        return _verify_letter(text, letters, truncated)
    answer = answers.extract(text)
    if answer is None and (found := parsing.answer_in(statements.answer_part(text))):
        answer = answers.Answer(found, "math-verify", False)
    if answer is None:
        return Verdict("unparseable", detail="no answer found")
    if not answer.text:
        return Verdict("unparseable", detail="the answer was left blank")
    if truncated and not answer.sure:
        return Verdict("unparseable", detail="cut off before an answer")
    if max(map(len, golds)) > MAX_LENGTH:
        return Verdict("unverifiable", _shown(answer.text), detail=f"the reference is over {MAX_LENGTH} characters")
    if len(answer.text) > MAX_LENGTH:
        return Verdict("unparseable", detail=f"the answer is over {MAX_LENGTH} characters")
    try:
        passed = equality.equal(reference, answer.text, rules)
    except parsing.UnreadableReference:
        return Verdict("unverifiable", _shown(answer.text), detail="the reference cannot be read")
    except parsing.CannotCompare as error:
        return Verdict("error", _shown(answer.text), detail=f"math-verify broke: {error}")
    return Verdict("passed" if passed else "failed", _shown(answer.text), detail=answer.way)


def _verify_letter(text: str, letters: set[str], truncated: bool) -> Verdict:
    """Return the verdict if the reference is a letter of multiple choice, by the letter that the response states
    (stated.py)."""
    found = stated_choice(text)
    if found.letter is None or (truncated and not found.sure):
        return Verdict("unparseable", found.letter, found.way if found.letter is None else "cut off before an answer")
    return Verdict("passed" if found.letter in letters else "failed", found.letter, found.way)


def _shown(answer: str) -> str:
    """Return an answer that a table can hold: without half surrogate pairs, which are not valid text."""
    return answer[:MAX_LENGTH].encode("utf-8", "replace").decode("utf-8")
