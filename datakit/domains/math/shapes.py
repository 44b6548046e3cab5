r"""The outer shape of an answer: a list, a set, a tuple or interval, a union, a matrix, and the texts of its parts."""

from __future__ import annotations

import re
from typing import NamedTuple

_MAX_PARTS = 200
_PIECE = re.compile(r"\\[{}]|\\[a-zA-Z]+|\\.|[(\[{)\]},;]|(?<![a-zA-Z])(?:and|or)(?![a-zA-Z])", re.DOTALL)
_OPENING = {"(": 1, "[": 1, "{": 1, "\\{": 1, "\\lbrace": 1, "\\begin": 1}
_CLOSING = {")": 1, "]": 1, "}": 1, "\\}": 1, "\\rbrace": 1, "\\end": 1}
_LIST_MARKS = {",", ";", "and", "or"}
_JOINING_TEXT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*,?\s*(and|or)\s*\}")
_MATRIX = re.compile(r"\\begin\{([pb]?matrix|array)\}(?:\{[clr| ]*\})?(.*)\\end\{\1\}", re.DOTALL)


class Shape(NamedTuple):
    """`kind`: "" (a bare list, or a set), the two brackets of a tuple or interval ("(]"), union, matrix and its rows."""

    kind: str
    parts: list[str]


def shape_of(text: str) -> Shape | None:
    """Return the shape of a cleaned text; None for a single expression."""
    text = _JOINING_TEXT.sub(r" \1 ", text)
    if matrix := _MATRIX.fullmatch(text):
        rows = [row.strip() for row in matrix[2].split("\\\\")]
        rows = rows[:-1] if rows and not rows[-1] else rows
        cells = [cell.strip() for row in rows for cell in row.split("&")]
        readable = "\\begin" not in matrix[2] and len(cells) <= _MAX_PARTS and all(cells)
        return Shape(f"matrix of {len(rows)} rows", cells) if readable else None
    pieces = _split(text, {"\\cup"})
    if len(pieces) > 1:
        return Shape("union", pieces)
    parts = _split(text, _LIST_MARKS)
    if len(parts) > 1:
        return Shape("", _expanded(parts))
    brackets = _outer_brackets(text)
    if brackets is None:
        return Shape("", _expanded([text])) if text.count("\\pm") == 1 else None
    kind, inner = brackets
    parts = _split(inner, _LIST_MARKS)
    single = len(parts) < 2
    if not single and kind != "\\{\\}" and text.count("\\pm") == 1:  # (\\pm 1, 0) is two points
        return Shape("", _expanded([text]))
    return Shape("" if kind == "\\{\\}" or single else kind, _expanded(parts)) if inner else None


def _split(text: str, marks: set[str]) -> list[str]:
    """Split a text at marks outside brackets; return the text alone if there are none, or if brackets do not match."""
    parts, depth, start = [], 0, 0
    for match in _PIECE.finditer(text):
        sign = match[0]
        depth += _OPENING.get(sign, 0) - _CLOSING.get(sign, 0)
        if depth < 0:
            return [text]
        if depth == 0 and sign in marks:
            parts.append(text[start : match.start()].strip())
            start = match.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part] if depth == 0 and len(parts) <= _MAX_PARTS else [text]


def _outer_brackets(text: str) -> tuple[str, str] | None:
    """Return the brackets around the whole text and their content; redundant ones are removed."""
    found = None
    while (opening := re.match(r"\(|\[|\\\{|\\lbrace(?![a-zA-Z])", text)) and (
        closing := re.search(r"(?:\)|\]|\\\}|\\rbrace)$", text)
    ):
        if not _belong_together(text):
            break
        kind = ("\\{" if opening[0] == "\\lbrace" else opening[0]) + ("\\}" if closing[0] == "\\rbrace" else closing[0])
        found = kind, text[opening.end() : closing.start()].strip()
        text = found[1]
        if len(_split(text, _LIST_MARKS)) > 1:
            break
    return found


def _belong_together(text: str) -> bool:
    depth = 0
    for match in _PIECE.finditer(text):
        depth += _OPENING.get(match[0], 0) - _CLOSING.get(match[0], 0)
        if depth == 0 and (match[0] in _CLOSING):
            return match.end() == len(text)
    return False


def _expanded(parts: list[str]) -> list[str]:
    """Replace \\pm by two values, the plus and the minus."""
    values: list[str] = []
    for part in parts:
        values += [part.replace("\\pm", sign) for sign in ("+", "-")] if part.count("\\pm") == 1 else [part]
    return values
