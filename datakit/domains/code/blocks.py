"""Find Python in a text, line by line: fenced blocks, top-level chunks, and runs of code between prose. Nothing is parsed or
run.

Every pattern is linear in the text. Lines are classified by how they begin; strings and brackets that stay open over
several lines are tracked, so a docstring may contain fences, prose or code.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_SIGN = re.compile(r"""#.*|(\"{3}|'{3})|"(?:\\.|[^"\\])*(?:"|\\?$)|'(?:\\.|[^'\\])*(?:'|\\?$)|[()\[\]{}]""")
_TO_THE_END = {quote: re.compile(rf"(?:\\.|(?!{quote})[^\\])*(?:({quote})|\\?$)", re.DOTALL) for quote in ("'''", '"""')}
_FENCE = re.compile(r"([ \t]*(?:(?:[-*+>]|\d{1,3}[.)])[ \t]+)*)(`{3,}|~{3,})([^`\n]*)")
_LATE_FENCE = re.compile(r"[^`]*[^`\s]()[ \t]*(```)[ \t]*((?:python|py)\d?)[ \t]*", re.IGNORECASE)
_PYTHON = re.compile(r"\{?\.?(?:i?python|py|pycon)[\d.]*(?:[}:,]\S*|(?=\s|$))", re.IGNORECASE)
_NAME = r"[A-Za-z_]\w*"
_TARGET = rf"{_NAME}(?:\.\w+|\[[^\]\n]*\])*"
_KINDS = [
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("def", rf"(?:async[ \t]+)?def[ \t]+({_NAME})[ \t]*\("),
        ("class", rf"class[ \t]+({_NAME})[ \t]*[(:]"),
        ("import", r"import[ \t]+\w[\w.]*(?:[ \t]+as[ \t]+\w+)?[ \t]*(?:$|[,;#])|from[ \t]+[.\w]+[ \t]+import[ \t]+\S"),
        ("decorator", rf"@{_NAME}"),
        ("main", r"if[ \t]*\(?__name__[ \t]*=="),
        ("more", r"(?:else|finally)[ \t]*:|(?:elif|except)\b.*:"),
        ("prompt", r"(?:>>>|\.\.\.)(?: |$)"),
        ("set", rf"({_TARGET})(?:[ \t]*,[ \t]*{_TARGET})*[ \t]*(?:[-+*/%|&^@]|//|\*\*|<<|>>)?=(?!=)"),
        ("set", rf"(?![A-Z][a-z]+:)({_NAME})[ \t]*:[ \t]*[\w.]+(?:\[.*\])?[ \t]*=(?!=)"),
        ("do", r"try[ \t]*:|(?:if|while|with|match|async (?:for|with))\b.*:[ \t]*(?:#.*)?$|for\b.{1,300}?\bin\b.*:"),
        ("do", r"(?:if|while)\b[^:]*:[ \t]*(?:return|print|pass|break|continue|raise|\w+[ \t]*[-+*/]?=)"),
        ("do", r"(?:pass|break|continue|return)[ \t]*(?:#.*)?$|(?:assert|raise|return|del|global|nonlocal|yield)[ \t(\[-].*"),
        ("do", rf"{_NAME}(?:\.\w+)*[ \t]?\(.*[)(,\[{{:;\\][ \t]*(?:#.*)?$|[rbfu]{{0,2}}(?:\"{{3}}|'{{3}})|[)\]}}]"),
    )
]
_IMPORTED = re.compile(r"import[ \t]*\(?([^#]*)")
_BOUND_BY_IMPORT = re.compile(r"([\w*]+)[\w.]*(?:[ \t]+as[ \t]+(\w+))?")


class Block(NamedTuple):
    """A fenced block. `language` is "python", "" if none is named, or another language's name."""

    code: str
    language: str
    closed: bool


class Chunk(NamedTuple):
    """A top-level statement with everything that belongs to it, or a stretch of prose. It binds `names`; `open` is True if it
    ends within a string, a bracket or a header without a body.
    """

    kind: str
    names: tuple[str, ...]
    text: str
    open: bool


class State(NamedTuple):
    """What is open at the end of a line: a triple-quoted string, and the number of brackets."""

    quote: str = ""
    depth: int = 0


def after(line: str, state: State) -> State:
    """Return the state after this line."""
    quote, depth, at = state.quote, state.depth, 0
    while True:
        if quote:
            end = _TO_THE_END[quote].match(line, at)
            if end is None or end[1] is None:
                return State(quote, depth)
            at = end.end()
        sign = _SIGN.search(line, at)
        if sign is None:
            return State("", depth)
        quote, at = sign[1] or "", sign.end()
        if len(sign[0]) == 1:
            depth = depth + 1 if sign[0] in "([{" else max(0, depth - 1) if sign[0] in ")]}" else depth


def indent_of(line: str) -> int:
    """Return the number of blanks at the start of a line."""
    return len(line) - len(line.lstrip(" \t"))


def dedented(code: str) -> str:
    """Return the code without the first line's indentation, as far as the other lines have it, too."""
    lines = code.strip("\n").split("\n")
    margin = next((indent_of(line) for line in lines if line.strip()), 0)
    return "\n".join(line[min(margin, indent_of(line)) :] for line in lines)


def kind_of(line: str) -> tuple[str, str]:
    """Return what a line at the left margin begins, and the name that it binds; "prose" if it does not look like Python."""
    for kind, pattern in _KINDS:
        if match := pattern.match(line):
            return kind, (match[1] if match.lastindex else "")
    return "prose", ""


@lru_cache(maxsize=256)
def chunks(text: str) -> tuple[Chunk, ...]:
    """Return the top-level chunks of a text; joined with newlines they reproduce it. Comments belong to the chunk before them;
    a text that begins with indented lines begins with a chunk of kind "indented".
    """
    found: list[Chunk] = []
    kind, name, lines, state = "", "", list[str](), State()
    for line in text.split("\n"):
        begins = _beginning(line, kind, state)
        if begins and kind == "decorator":
            kind, name = begins
        elif begins:
            if kind:
                found.append(_chunk(kind, name, lines, state))
                lines = []
            (kind, name), state = begins, State()
        elif not kind and line.strip() and not line.lstrip().startswith("#"):
            kind = "prose" if kind_of(line.strip())[0] == "prose" else "indented"
        lines.append(line)
        state = state if kind == "prose" else after(line, state)
    return (*found, _chunk(kind or "blank", name, lines, state))


def _beginning(line: str, kind: str, state: State) -> tuple[str, str] | None:
    """Return kind and name of the chunk that this line begins; None if it continues the chunk before."""
    if not line or line[0] in " \t#" or state.quote:
        return None
    begins = kind_of(line)
    if begins[0] == "more" and kind in ("do", "main", "set") and not state.depth:
        return None
    if state.depth and begins[0] not in ("def", "class", "import", "decorator"):
        return None
    return None if begins[0] == kind == "prose" else (begins[0], begins[1])


def _chunk(kind: str, name: str, lines: list[str], state: State) -> Chunk:
    text = "\n".join(lines)
    names = [name]
    if kind == "import":
        clause = _IMPORTED.search(text)
        names = [alias or bound for bound, alias in _BOUND_BY_IMPORT.findall(clause[1])] if clause else []
    last = next((line.split("#")[0].rstrip() for line in reversed(lines) if line.strip()), "")
    return Chunk(kind, tuple(filter(None, names)), text, bool(state.quote or state.depth) or last.endswith((":", "\\")))


def runs(text: str) -> list[tuple[str, bool]]:
    """Return the stretches of code between prose in a text without fences, each with whether the text ends in it."""
    found: list[tuple[str, bool]] = []
    pending: list[Chunk] = []
    for chunk in [*chunks(text), None]:
        if chunk is not None and chunk.kind not in ("prose", "blank"):
            pending.append(chunk)
        elif pending:
            found.append(("\n".join(part.text for part in pending), chunk is None or chunk.kind == "blank"))
            pending = []
    return found


def fences(text: str) -> tuple[list[Block], str]:
    """Return the fenced blocks of a text, and the text outside them. A fence within a string of the block belongs to the
    string; one that names a language ends the block before it; a text that begins with code may omit the first fence.
    """
    blocks: list[Block] = []
    outside: list[str] = []
    opened, lines, state = _begun(text), list[str](), State()
    for line in text.split("\n"):
        fence = _fence(line)
        if opened is None:
            if fence is None:
                outside.append(line)
            else:
                opened, lines, state = fence, list(filter(None, [fence.first])), State()
            continue
        end = _end(line, fence, opened, state)
        if end is None:
            lines.append(line)
            state = after(line, state) if opened.language in ("python", "") else state
            continue
        blocks.append(_block(opened, [*lines, *filter(None, [end])], True))
        outside.append("")
        opened, lines, state = (fence if fence and fence.tagged else None), list[str](), State()
    if opened is not None:
        blocks.append(_block(opened, lines, False))
    return blocks, "\n".join(outside)


class _Fence(NamedTuple):
    indent: int
    sign: str
    language: str
    tagged: bool
    first: str  # code on the fence's own line


def _fence(line: str) -> _Fence | None:
    if "```" not in line and "~~~" not in line:
        return None
    match = _FENCE.fullmatch(line) or _LATE_FENCE.fullmatch(line)
    if match is None:
        return None
    info = match[3].strip()
    python = _PYTHON.match(info)
    rest = info[python.end() :].strip() if python else info
    first = rest if kind_of(rest)[0] in ("def", "class", "import") else ""
    language = "python" if python else "" if first or not info else info.split()[0].lower()
    return _Fence(len(match[1]), match[2], language, bool(info), first)


def _begun(text: str) -> _Fence | None:
    """Return a fence before the text if it begins with code and its first fence has no language: that one closes the block."""
    before, line = "", ""
    for match in re.finditer(r"^.*(?:```|~~~).*$", text, re.MULTILINE):
        before, line = text[: match.start()], match[0]
        break
    fence = _fence(line)
    if not before.strip() or (fence is None and not line.rstrip().endswith("```")) or (fence and fence.tagged):
        return None
    found = [chunk for chunk in chunks(before) if chunk.kind != "blank"]
    begins_with_code = not before.lstrip("\n").startswith((" ", "\t")) and all(chunk.kind != "prose" for chunk in found)
    defines = any(chunk.kind in ("def", "class", "import") for chunk in found)
    return _Fence(0, "```", "python", True, "") if begins_with_code and defines else None


def _end(line: str, fence: _Fence | None, opened: _Fence, state: State) -> str | None:
    """Return the part of this line that belongs to the block that it ends; None if it does not end it."""
    if fence is None:
        late = line.rstrip().endswith(opened.sign) and opened.language in ("python", "") and not state.quote
        return line.rstrip().rstrip(opened.sign[0]) if late else None
    if fence.sign[0] != opened.sign[0] or len(fence.sign) < len(opened.sign):
        return None
    nested = bool(state.quote) and (fence.tagged or fence.indent > opened.indent)
    return None if nested else ""


def _block(opened: _Fence, lines: list[str], closed: bool) -> Block:
    code = "\n".join(line[min(opened.indent, indent_of(line)) :] for line in lines)
    return Block(code, opened.language, closed)
