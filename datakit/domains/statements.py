"""Find where an answer of any kind is stated: the part of a response after its thought, and fields that hold an answer.

Every pattern is linear in the text, or bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from datakit.tables.answers import split

TAIL = 2_000  # characters at the end in which an answer that nothing announces is looked for
_END_TOKENS = re.compile(r"(?:\s|</s>|<eos>|<\|(?:im_end|eot_id|endoftext|end|end_of_text|eom_id|return)\|>|<end_of_turn>)+\Z")
_FIELD = re.compile(r"""["'](?:final[ _])?answer["']\s{0,20}:\s{0,20}""", re.IGNORECASE)
_NEXT_FIELD = re.compile(r",\s{0,20}[\"']")
_END_OF_VALUE = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in ("'", '"')}
_JSON_ESCAPE = re.compile(r'\\(?:([\\/"])|n(?![a-zA-Z])|u([0-9a-fA-F]{4}))')
_SPOKEN_OF = re.compile(
    r"\b(?:check|verif|confirm|substitut|plug|test|guess|suppose|if)[a-z]*\s+"
    r"(?:(?:that|whether|if|the|our|this|my|your|final|back|in|into|original)\s+){0,4}\Z",
    re.IGNORECASE,
)
_BEFORE = 60  # characters before a phrase that show whether the answer is given or only mentioned


class Field(NamedTuple):
    """The content of an answer field. `end`: where it ends; `closed`: True if it is complete."""

    end: int
    text: str
    way: str
    closed: bool
    quoted: bool = True
    """False for a bare value of JSON, which has no words around the answer."""


def answer_part(text: str) -> str:
    """Return a text without the thought before its answer and the end tokens after it."""
    text = text.rstrip()
    if text.endswith(">"):
        text = text[:-TAIL] + _END_TOKENS.sub("", text[-TAIL:])
    return split(text).text or ""


def fields(text: str, named: re.Pattern[str] = _FIELD) -> Iterator[Field]:
    """Yield the last `<answer>...</answer>`, and the last JSON field whose name matches `named`."""
    closing = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, max(closing, 0))
    if opening >= 0:
        yield Field(closing, text[opening + len("<answer>") : closing], "tag", True)
    *_, name = [None, *named.finditer(text)]
    if name:
        yield _value(text, name.end())


def is_spoken_of(text: str, start: int) -> bool:
    """Return whether the answer in the phrase at `start` is only supposed or checked, not given."""
    return _SPOKEN_OF.search(text[max(0, start - _BEFORE) : start]) is not None


def _value(text: str, start: int) -> Field:
    """Return the value at `start`, in JSON that may be broken: a string up to its quote, else the rest of the line."""
    quote = text[start : start + 1]
    if quote in _END_OF_VALUE:
        for match in _END_OF_VALUE[quote].finditer(text, start + 1):
            if match[0] == quote:
                return Field(match.end(), _unescaped(text[start + 1 : match.start()]), "json", True)
        return Field(len(text), _unescaped(text[start + 1 :]), "json", False)
    line = text[start:].partition("\n")[0].strip().rstrip("`,}").strip()
    value = line[1:].partition("]")[0] if line.startswith("[") else _NEXT_FIELD.split(line.partition("}")[0])[0]
    end = start + len(line)
    return Field(end, "" if value in ("null", "None", "{") else value, "json", end < len(text), quoted=False)


def _unescaped(raw: str) -> str:
    """Undo JSON's escapes, except those that are LaTeX with undoubled backslashes: \\frac, \\times, \\neq, \\rho."""
    return _JSON_ESCAPE.sub(lambda m: m[1] or (chr(int(m[2], 16)) if m[2] else " "), raw)
