"""Find the names that a piece of Python defines, uses and lacks, as far as its text shows. Nothing is parsed or run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from datakit.domains.code.blocks import Chunk, chunks, kind_of

_LITERAL = re.compile(
    r"""#[^\n]*|\"{3}(?:\\.|(?!\"{3})[^\\])*(?:\"{3}|\Z|\\)|'{3}(?:\\.|(?!'{3})[^\\])*(?:'{3}|\Z|\\)"""
    r"""|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?""",
    re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_USED = re.compile(r"(?<![.\w])([A-Za-z_]\w*)(?=\s*[(.\[@])|(?<![.\w])([A-Z][A-Z0-9_]+)\b|(?::|->|@)[ \t]*([A-Za-z_]\w*)")
_PARAMETERS = re.compile(r"\bdef\s+\w+\s*\(([^)]{0,500})\)|\blambda\s+([^:]{0,200}):")
_PARAMETER = re.compile(r"(?:^|,)\s*\*{0,2}(\w+)")
_BOUND = re.compile(r"\b(?:def|class|as|import|for)[ \t]+(\w+)|^[ \t]*(\w+)[ \t]*=(?!=)", re.MULTILINE)
_STUB = re.compile(r"def\s+\w+\s*\([^)]*\)[^:\n]*:((?:\s|''|\.\.\.|pass\b|raise\s+NotImplementedError(?:\(''\)|\(\))?)*)")
_FUNCTION = re.compile(
    r"=[ \t]*(?:lambda\b|(?:functools\.)?(?:partial|lru_cache|cache)\b|[A-Za-z_][\w.]*[ \t]*(?:#.*)?$)", re.MULTILINE
)
_ROUNDS = 20  # helpers of helpers: deeper than any answer goes


def plain(code: str) -> str:
    """Return the code without comments, and with empty strings."""
    return _LITERAL.sub(lambda match: "" if match[0][0] == "#" else "''", code)


def definitions(code: str) -> list[Chunk]:
    """Return the functions and classes at the top level."""
    return [chunk for chunk in chunks(code) if chunk.kind in ("def", "class")]


def owner_and_name(entry_point: str) -> tuple[str, str]:
    """Return the class and the method of "Class.method"; the class is Solution if none is named."""
    owner, _, name = entry_point.rpartition(".")
    return owner or "Solution", name


def defines(code: str, entry_point: str | None) -> bool:
    """Return whether the code binds the entry point: at the top level, or as a method of its class."""
    if not entry_point:
        return False
    owner, name = owner_and_name(entry_point)
    found = chunks(code)
    named = [chunk for chunk in found if name in chunk.names]
    if any(chunk.kind in ("def", "class") or (chunk.kind == "set" and _FUNCTION.search(chunk.text)) for chunk in named):
        return True
    method = re.compile(rf"^[ \t]+(?:async[ \t]+)?def[ \t]+{re.escape(name)}[ \t]*\(", re.MULTILINE)
    return any(chunk.kind == "class" and owner in chunk.names and method.search(chunk.text) for chunk in found)


def is_stub(code: str, name: str) -> bool:
    """Return whether the code's definition of a name has no body yet: only a docstring, `...` or `pass`."""
    found = [chunk for chunk in definitions(code) if name in chunk.names]
    return bool(found) and _STUB.fullmatch(plain(found[-1].text).strip()) is not None


def is_test(code: str) -> bool:
    """Return whether everything that the code defines is named like a test."""
    return all(name.startswith(("test_", "Test")) or name == "check" for chunk in definitions(code) for name in chunk.names)


def uses(code: str, names: Iterable[str]) -> bool:
    """Return whether one of the names occurs in the code, outside strings and comments."""
    return not set(names).isdisjoint(_WORD.findall(plain(code)))


def unbound(code: str) -> set[str]:
    """Return the names that the code calls, subscripts, takes attributes of or annotates with, and never binds."""
    text = plain(code)
    bound = {name for match in _BOUND.findall(text) for name in match}
    bound.update(name for chunk in chunks(code) for name in chunk.names)
    for parameters in _PARAMETERS.findall(text):
        bound.update(_PARAMETER.findall(parameters[0] or parameters[1]))
    return {name for match in _USED.findall(text) for name in match if name} - bound


def helpers(code: str, before: Sequence[str], behind: Sequence[str], known: set[str]) -> list[str]:
    """Return the definitions in other pieces of names that the code lacks and that are not `known`, imports first; of several
    definitions the nearest before the code.
    """
    near = [chunk for other in [*reversed(before), *behind] for chunk in chunks(other)]
    binding = {"def", "class", "import", "set"}
    by_name: dict[str, Chunk] = {}
    for chunk in near:
        for name in chunk.names if chunk.kind in binding else ():
            by_name.setdefault(name, chunk)
    taken = {by_name["*"]: None} if "*" in by_name else dict[Chunk, None]()
    needed = unbound(code) - known
    for _ in range(_ROUNDS):
        more = dict.fromkeys(by_name[name] for name in sorted(needed) if name in by_name and by_name[name] not in taken)
        if not more:
            break
        taken.update(more)
        needed = {name for chunk in more for name in unbound(chunk.text)} - known
    texts = [chunk.text for other in [*before, *behind] for chunk in chunks(other) if chunk in taken]
    return sorted(dict.fromkeys(texts), key=lambda text: kind_of(text)[0] != "import")
