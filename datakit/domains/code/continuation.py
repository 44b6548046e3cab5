"""Completions: responses that continue the prompt's code with the body of its last function."""

from __future__ import annotations

import re
from typing import NamedTuple

from datakit.domains.code.blocks import Chunk, State, after, chunks, indent_of, kind_of
from datakit.domains.code.names import defines, uses

_LEAVES = re.compile(r"^[ \t]*(?:return|yield|raise)\b", re.MULTILINE)
_NO_BODY = ("def", "class", "prose", "prompt", "more", "decorator")


class Completion(NamedTuple):
    """The prompt's code with its continuation. `sure` is False if the response may have been cut off within the function."""

    text: str
    sure: bool


class _Line(NamedTuple):
    text: str
    state: State  # what is open at its start


def complete(given: str, body: str, entry_point: str | None, ended: bool) -> Completion | None:
    """Return the prompt's code with a response as the rest of its last function, and with the helpers that follow; None if
    the response is not such a rest. It ends at the first other statement, at a cut-off helper, or where the
    entry point is defined again. `ended`: the text was not cut off.
    """
    indent = _body_indent(given)
    shaped = _shaped(body.strip("\n"), indent) if indent is not None else None
    if shaped is None:
        return None
    inner, rest = shaped
    kept, sure = list[Chunk](), ended or bool(rest.strip())
    for chunk in chunks(rest):
        again = defines(given, entry_point) and defines(chunk.text, entry_point)
        if again or chunk.kind not in ("def", "class", "import", "set", "blank"):
            break
        if chunk.open and not ended:
            sure = sure and not uses(inner, chunk.names)
            break
        kept.append(chunk)
    return Completion("\n".join([given.rstrip(), inner, *(chunk.text for chunk in kept)]).rstrip() + "\n", sure)


def _body_indent(given: str) -> int | None:
    """Return the indentation of the body of a code's last function; None if the code does not end in a function."""
    last = chunks(given)[-1]
    lines = last.text.split("\n")
    at = [n for n, line in enumerate(lines) if kind_of(line.lstrip())[0] == "def"]
    if last.kind not in ("def", "class") or not at:
        return None
    state = State()
    for n, line in enumerate(lines[at[-1] :], at[-1] + 1):
        state = after(line, state)
        if state == State() and line.split("#")[0].rstrip().endswith(":"):
            return next((indent_of(line) for line in lines[n:] if line.strip()), indent_of(lines[at[-1]]) + 4)
    return indent_of(lines[at[-1]]) + 4


def _shaped(body: str, indent: int) -> tuple[str, str] | None:
    """Return the rest of a function moved to its indentation, and what follows it; None if the text does not look like one."""
    lines, state = list[_Line](), State()
    for text in body.split("\n"):
        blanks = text[: indent_of(text)].expandtabs(4)
        lines.append(_Line(text if state.quote else blanks + text[indent_of(text) :], state))
        state = after(text, state)
    code = [n for n, line in enumerate(lines) if line.state == State() and line.text.lstrip()[:1] not in ("", "#")]
    if not code or kind_of(lines[code[0]].text.strip())[0] in ("prose", "prompt"):
        return None
    first = code[0]
    end = next((n for n in code[1:] if not indent_of(lines[n].text)), len(lines))
    deeper = [indent_of(lines[n].text) for n in code[1:] if n < end]
    start = indent_of(lines[first].text)
    is_header = lines[first].text.split("#")[0].rstrip().endswith(":")
    if deeper and min(deeper) > start and (not is_header or deeper[0] > min(deeper)):
        start = min(deeper)  # a stripped response: only the first line lost its indentation
        lines[first] = _Line(" " * start + lines[first].text.lstrip(), lines[first].state)
    if start:
        return _moved(lines[:end], indent - start), "\n".join(line.text for line in lines[end:])
    found = chunks(body)  # code at the left margin is a function's body if it returns outside functions of its own
    statements = "\n".join(chunk.text for chunk in found if chunk.kind not in ("def", "class"))
    return (_moved(lines, indent), "") if found[0].kind not in _NO_BODY and _LEAVES.search(statements) else None


def _moved(lines: list[_Line], by: int) -> str:
    """Return the lines indented by `by` more blanks (fewer if negative); lines within a string are unchanged."""
    moved = []
    for text, state in lines:
        if state.quote or not text.strip():
            moved.append(text)
        else:
            moved.append(" " * by + text if by > 0 else text[min(-by, indent_of(text)) :])
    return "\n".join(moved)
