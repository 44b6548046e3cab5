"""Fuzz the extraction and the comparison of mathematical answers with pieces of real answer syntax mixed with random text.

    python benchmarks/fuzz_answers.py --minutes 15

Every round gives each law some hundred new examples; a law that fails is shown with its smallest example, and the exit status
is 1. Past findings are cases in tests/cases/.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from datakit.domains.boxes import balanced
from datakit.domains.math.answers import extract
from datakit.domains.math.equality import equal
from datakit.domains.math.parsing import CannotCompare, UnreadableReference, load
from datakit.domains.math.verifier import verify_answer
from datakit.domains.stated import stated_choice

PIECES = [
    r"\boxed{", r"\fbox{", r"\\boxed{", "}", "{", r"\{", r"\}", "$", "$$", r"\(", r"\)", r"\[", r"\]", "####", "#### 5", "\n",
    "The answer is ", "the final answer is: ", "Answer: ", "**Answer:** ", "A: ", "answer", "答案是", "答案为", "答案\uff1a",
    "因此", "为", "。", '{"answer": "', '"answer": ', "'final_answer': '", '"', "'", '\\"', "<answer>", "</answer>", "```json",
    "```", "null", "___", r"\frac{1}{2}", r"\frac12", r"\sqrt{3}", r"\text{cm}", r"\text{ and }", r"\pi", r"\cup", r"\pm",
    r"\infty", r"\%", "%", r"\\", "\\", "5", "-3", "1,430", "3.14", "1/2", "4210_5", "x", "x = ", "= ", "(B)", "**B**", "B.",
    "(0, 1]", "1, 2", "and", "or", " ", ", ", ".", "^{", "^2", "apples", "miles per hour", "百", "个", "\u200b", "\ud800", "\0",
    r"\begin{pmatrix}", r"\end{pmatrix}", "&", "*", "**",
]  # fmt: skip
VALUES = [
    "1", "2", "-3", "0.5", "12", r"\frac{1}{2}", r"\sqrt{2}", r"\pi", "x", "y", "(1, 2)", "[0, 1)", r"\{1, 2\}", "1, 2", "cm",
    r"\text{ cm}", r"\%", "+", "-", "/", "=", r"\cup", r"\pm", "^2", "^{-1}", "_5", "!", "B", "No", r"\infty", "pi", "<",
    r"\le", r"\begin{pmatrix}1\\2\end{pmatrix}", " ", ",", "|", "e", "i", "°", "个",
]  # fmt: skip
LENGTH = 100_000
SLOW_S = 5.0

texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=30).map("".join)
expressions = st.lists(st.sampled_from(VALUES), min_size=1, max_size=6).map("".join)
boxable = st.lists(st.sampled_from([*VALUES, "a b", r"\{", r"\}", r"\frac{x}{y}"]), min_size=1, max_size=6).map("".join)
seen: Counter[str] = Counter()


class TooSlow(BaseException):
    """Raised when a call takes too long. It is no Exception, so that no library catches it."""


@contextmanager
def patience() -> Any:
    """Raise TooSlow in calls that take too long; in a build the engine kills these."""

    def stop(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SLOW_S)
    try:
        yield
    except TooSlow:
        seen["given up"] += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def an_answer_comes_from_its_text(text: str) -> None:
    """Nothing raises, and the text contains the parts of an answer, apart from escapes and spaces."""
    answer = extract(text)
    seen[answer.way if answer else "nothing"] += 1
    if answer is None or "\\u" in text:
        return
    given_text = bare(text)
    assert all(bare(part) in given_text for part in answer.text.split(", ")), answer


def bare(text: str) -> str:
    """Return a text without what unescaping and joining change."""
    return "".join(text.lower().replace("\\n", "").replace("\\", "").split())


def blanks_at_the_end_change_nothing(text: str, blanks: str) -> None:
    """Spaces at the end are not part of an answer."""
    assert extract(text) == extract(text + blanks)


def the_last_box_is_the_answer(text: str, inside: str) -> None:
    """The last box is the answer, whatever comes before it."""
    inside = inside.strip()
    if not balanced(inside) or not inside.strip("_ ."):
        return
    answer = extract(text + "\n\n" + rf"\boxed{{{inside}}}")
    assert answer is not None and (answer.text == inside or answer.text.endswith(", " + inside)), answer


def extraction_is_linear(piece: str) -> None:
    """100 kB of anything take milliseconds."""
    text = piece * (LENGTH // len(piece))
    began_at = time.process_time()
    extract(text)
    stated_choice(text)
    assert time.process_time() - began_at < 1.0


def a_right_box_passes(text: str) -> None:
    """A response that ends in the boxed reference is right."""
    with patience():
        assert verify_answer(text + "\n\nFinally: " + r"\boxed{7}", "7").outcome == "passed"


def comparing_raises_nothing_unknown(gold: str, said: str) -> None:
    """The only error is that the reference cannot be read."""
    with patience():
        try:
            seen[f"equal: {equal(gold, said)}"] += 1
        except UnreadableReference:
            seen["unreadable"] += 1
        except CannotCompare:
            seen["math-verify broke"] += 1


def what_can_be_read_equals_itself(gold: str) -> None:
    """An answer equals itself, also with a box, dollar signs, spaces and a full stop around it."""
    with patience():
        try:
            readable = equal(gold, "123454321") in (True, False)
        except (UnreadableReference, CannotCompare):
            return
        assert readable and equal(gold, f"$ {gold} $."), gold


fragments = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)
LAWS: dict[Callable[..., None], tuple[int, tuple[st.SearchStrategy[Any], ...]]] = {
    an_answer_comes_from_its_text: (400, (texts,)),
    blanks_at_the_end_change_nothing: (400, (texts, st.sampled_from([" ", "\n", "\n\n \t"]))),
    the_last_box_is_the_answer: (400, (texts, boxable)),
    extraction_is_linear: (60, (fragments,)),
    a_right_box_passes: (200, (texts,)),
    comparing_raises_nothing_unknown: (150, (expressions, expressions)),
    what_can_be_read_equals_itself: (100, (expressions,)),
}
"""The number of examples per round, and their strategies."""


def broken(law: Callable[..., None], number: int) -> str | None:
    """Run one more round of a law. Return the smallest example that breaks it, or None."""
    examples, strategies = LAWS[law]
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    limits = settings(max_examples=examples, database=None, deadline=None, suppress_health_check=checks)
    try:
        seed(number)(limits(given(*strategies)(law)))()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    load()
    end, number, failures = time.process_time() + 60 * options.minutes, options.seed, 0
    laws = list(LAWS)
    while laws and time.process_time() < end:
        for law in list(laws):
            if trouble := broken(law, number):
                failures += 1
                laws.remove(law)
                print(f"{law.__name__} (seed {number}): {trouble}\n", flush=True)
        number += 1
    print(f"{number - options.seed} rounds of {len(LAWS)} laws, {failures} broken; {dict(seen)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
