"""The choices of a question and which of them is right, in the forms in which data sets publish them.

Choices: a list, a list as JSON text, several columns, ARC's {text, label}, or {A: ..., B: ...}. The right one: a letter, an
index from 0, its text, or several columns: MMLU-Pro's answer and answer_index, MMLU-redux's answer, error_type and
correct_answer.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from string import ascii_uppercase
from typing import Any, NamedTuple

from datakit.errors import BadRow
from datakit.recipe.verify import RightChoice

FEWEST, MOST = 2, len(ascii_uppercase)
_LETTER = re.compile(r"[\s(\[]*([A-Za-z])[\s)\].:]*")
_OF_OTHERS = re.compile(
    r"(?:(?:all|both|none|neither|either|any|two|only|more than one|not|some)\b.{0,20}\b)?(?:of\s+)?"
    r"(?:the\s+)?(?:above|preceding|these|listed|options?|choices?|answers?|statements? above)\b.{0,30}",
    re.IGNORECASE,
)
_LETTERS = re.compile(
    r"(?:(?:both|either|neither|only|all of|none of)\s+)?(?:(?:options?|choices?|answers?)\s+)?"
    r"\(?[A-J]\)?(?:(?:\s*,\s*|\s*(?:,\s*)?(?:and|or|nor|&)\s*)\(?[A-J]\)?)+(?:\s+(?:only|are\s+\w+|above|both))?\.?"
    r"|(?:options?|choices?|answers?)\s+\(?[A-J]\)?.{0,30}|(?:only\s+\(?[A-J]\)?|\(?[A-J]\)?\s+only)\.?",
    re.IGNORECASE,
)


class Unusable(Exception):
    """Raised for a row that is left out, with the reason that its data set gives or that is obvious."""


class Listed(NamedTuple):
    """Choices, and the data set's own labels for them if it has any: 1, 2, 3 or A, B, C."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()


def read_choices(value: Any, where: str) -> Listed:
    """Return the choices of a row. Raises Unusable if there are none, BadRow if they are not a list."""
    given = value
    if isinstance(value, str):
        given = None
        with suppress(ValueError):
            given = json.loads(value) if value.strip() else []
    labels: Sequence[Any] = ()
    if isinstance(given, dict) and isinstance(given.get("text"), list):
        labels, given = given.get("label") or (), given["text"]
    elif isinstance(given, dict):
        labels, given = tuple(given), [*given.values()]
    if value is None or given == []:
        raise Unusable("no choices")
    if not isinstance(given, list):
        raise BadRow(where, "choices must be a list", f" (got {value!r:.80})")
    texts = [_as_text(one) for one in given]
    while texts and texts[-1] is None:
        texts.pop()
    kept = tuple(text for text in texts if text is not None)
    if len(kept) < len(texts):
        raise BadRow(where, "choices: one is empty between others", f" (got {given!r:.80}); letters would shift")
    if not FEWEST <= len(kept) <= MOST:
        raise BadRow(where, f"choices must be {FEWEST} to {MOST}", f" (got {given!r:.80})")
    return Listed(kept, tuple(str(label).strip() for label in labels)[: len(kept)])


def right_choice(reference: Any, listed: Listed, kind: RightChoice, where: str) -> int:
    """Return the index of the right choice. Raises Unusable if there is none, BadRow if it is ambiguous."""
    if isinstance(reference, dict):
        return _of_columns(reference, listed, where)
    if reference is None or (isinstance(reference, str) and not reference.strip()):
        raise Unusable("no reference answer")
    if isinstance(reference, float) and reference.is_integer():
        reference = int(reference)
    is_index = isinstance(reference, int) and not isinstance(reference, bool)
    if not is_index and not isinstance(reference, str):
        raise BadRow(where, "reference must be a letter, an index or the text of a choice", f" (got {reference!r:.80})")
    found = _readings(str(reference), listed)
    if kind == "auto" and is_index:
        found = {"index": found["index"]} if "index" in found else {}
    elif kind != "auto":
        found = {kind: found[kind]} if kind in found else {}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    if not found:
        what = "reference is none of the choices" if kind == "auto" else f"reference is not the {kind} of a choice"
        hint = f"; indices count from 0, verify.reference: number counts from 1 ({len(listed.texts)} choices)"
        raise BadRow(where, what, f" (got {reference!r:.80}){hint if is_index else ''}")
    said = ", ".join(f"{one} {ascii_uppercase[at]}" for one, at in found.items())
    raise BadRow(
        where, "reference may be meant in two ways", f" ({reference!r:.40}: {said}); write verify.reference: letter, ..."
    )


def shown_order(texts: Sequence[str], question: str) -> list[int]:
    """Return the indices of the choices in the order in which they are shown: by a hash of question and text, not as in the
    file.

    "All of the above" stays at the end; if a choice names letters ("Both A and B") nothing moves.
    """
    if any(_LETTERS.fullmatch(text.strip()) for text in texts):
        return [*range(len(texts))]

    def place(at: int) -> tuple[bool, str]:
        is_last = _OF_OTHERS.fullmatch(texts[at].strip().rstrip(".")) is not None
        return is_last, hashlib.sha256(f"{question}\x1f{texts[at]}".encode()).hexdigest()

    return sorted(range(len(texts)), key=place)


def _as_text(choice: Any) -> str | None:
    if isinstance(choice, float):
        return None if math.isnan(choice) else f"{choice:g}" if not choice.is_integer() else str(int(choice))
    if choice is None:
        return None
    return str(choice).strip() or None


def _readings(reference: str, listed: Listed) -> dict[str, int]:
    """Return what a reference may mean: the index of the choice, by kind of reference."""
    texts, said = listed.texts, reference.strip()
    found = {}
    letter = _LETTER.fullmatch(said)
    if letter and (at := ord(letter[1].upper()) - ord("A")) < len(texts):
        found["letter"] = at
    if said in listed.labels:
        found = {"letter": listed.labels.index(said)}
    if said.isdecimal() and said not in listed.labels:
        found |= {
            kind: int(said) - first for kind, first in (("index", 0), ("number", 1)) if 0 <= int(said) - first < len(texts)
        }
    if said in texts:
        found["text"] = texts.index(said)
    return found


def _of_columns(reference: dict[str, Any], listed: Listed, where: str) -> int:
    """Return the right choice from several columns, named as in MMLU-Pro and MMLU-redux."""
    if unknown := sorted(set(reference) - {"answer", "answer_index", "error_type", "correct_answer"}):
        raise BadRow(
            where, f"reference: column '{unknown[0]}' is not known", "; known: answer, answer_index, error_type, correct_answer"
        )
    verdict, repaired = reference.get("error_type", "ok"), reference.get("correct_answer")
    if verdict == "wrong_groundtruth":  # ZeroEval uses those for which an annotator gave a letter
        at = _readings(repaired, listed).get("letter") if isinstance(repaired, str) else repaired
        if isinstance(at, int) and 0 <= at < len(listed.texts):
            return at
        raise Unusable("error_type is wrong_groundtruth, without the right letter")
    if verdict != "ok":
        raise Unusable(f"error_type is {verdict}")
    said = [right_choice(reference[name], listed, "auto", where) for name in ("answer", "answer_index") if name in reference]
    if not said:
        raise Unusable("no reference answer")
    if len(set(said)) > 1:
        raise Unusable("answer and answer_index disagree")
    return said[0]
