"""Find the program in a response: response and prompt in, the whole program to run out. Nothing is parsed or run.

A program is the part of the prompt's code before the entry point, then the answer's code: a fenced block with the
helpers that other blocks define, bare code between prose, or the body that continues the prompt's code.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from datakit.domains.code.blocks import Block, chunks, dedented, fences, indent_of, kind_of, runs
from datakit.domains.code.continuation import complete
from datakit.domains.code.names import defines, definitions, helpers, is_stub, is_test, owner_and_name, uses

_END = re.compile(
    r"<\|(?:im_end|eot_id|endoftext|end_of_text|eom_id|end|EOT)\|>|(?:</s>|<end_of_turn>|<EOT>)[ \t]*$", re.MULTILINE
)
_TAG = re.compile(
    r"(?P<close></code>(?:\s{0,9}</pre>)?|</(?:pre|answer|solution|python)>|\[/PYTHON\]|\[DONE\]|\[/CODE\])"
    r"|(?:<pre\b[^>\n]{0,99}>\s{0,9})?<code\b[^>\n]{0,99}>|<(?:pre|answer|solution|python)>|\[PYTHON\]|\[BEGIN\]|\[CODE\]",
    re.IGNORECASE,
)
_READS = re.compile(r"\binput\s*\(|\bstdin\b|\bopen\s*\(\s*0|\bfileinput\b|['\"]/dev/stdin")
_SPEAKS = re.compile(r"\binput\s*\(|\bstdin\b|\bprint\s*\(|\bstdout\b")
_CALLED = re.compile(r"(?<![.\w])([A-Za-z_]\w*)\s*\(")
_SESSION = re.compile(r"^(?:>>>|\.\.\.)(?: (.*)|)$", re.MULTILINE)
_CODE = ("def", "class", "import", "set", "do", "main")


class Program(NamedTuple):
    """The whole program to run, and how the answer was found: "fence", "fences" (with helpers of others), "open fence",
    "whole text", "prose" (bare code in it), "indented", "continuation" or "fenced continuation".
    `sure` is False if the text ends inside the code that counts: it may have been cut off.
    """

    text: str
    way: str
    sure: bool


class _Part(NamedTuple):
    text: str
    way: str
    sure: bool
    raw: str  # with the indentation of the response


def extract(response: str, prompt: str, entry_point: str | None, style: str) -> Program | None:
    """Return the program that a response gives; None if it has no code.

    Of several blocks the last that defines the entry point counts, with what it uses from other blocks. Without a known entry
    point: the last block that defines what the prompt calls; for `stdin` the last that reads its input.
    """
    text, ended = _cleaned(response)
    script = style == "stdin"
    parts = _parts(text, ended, None if script else entry_point, script)
    at = _starting(parts) if script else _defining(parts, prompt, entry_point)
    if not script and (completed := _completed(text, ended, prompt, entry_point, parts, at)):
        return completed
    if at is None:
        return None
    before = "" if script else preamble(prompt, entry_point)
    code, way, texts = parts[at].text, parts[at].way, [part.text for part in parts]
    known = {name for chunk in chunks(before) for name in chunk.names}
    if found := helpers(code, texts[:at], texts[at + 1 :], known):
        code, way = "\n".join([*found, code]), "fences" if way == "fence" else way
    code = _as_method(code, entry_point) if style == "solution_method" else code
    return Program(_joined(before, code), way, parts[at].sure)


def prompt_code(prompt: str, entry_point: str | None) -> str | None:
    """Return the code in a prompt: its last fenced block or run of code that defines the entry point, else that defines
    anything."""
    blocks, outside = fences(prompt.replace("\r\n", "\n"))
    found = [run for run, _ in runs(outside)] + [dedented(block.code) for block in blocks if block.language in ("python", "")]
    found = [code for code in found if definitions(code)]
    return next((code for code in reversed(found) if defines(code, entry_point)), found[-1] if found else None)


def preamble(prompt: str, entry_point: str | None) -> str:
    """Return the part of the prompt's code before the entry point: imports, helpers, classes; "" if there is none."""
    code = prompt_code(prompt, entry_point)
    found = chunks(code) if code else []
    last = [n for n, c in enumerate(found) if c.kind in ("def", "class") and (not entry_point or defines(c.text, entry_point))]
    return "\n".join(chunk.text for chunk in found[: last[-1]]).strip("\n") if last else ""


def _cleaned(response: str) -> tuple[str, bool]:
    """Return the text without thoughts and template residue, with tags as fences; and whether it has the model's end token."""
    text = response.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    thought, mark, answer = text.rpartition("</think>")
    text = answer if answer.strip() or not mark else thought
    end = _END.search(text)
    text = text[: end.start()] if end and text[: end.start()].strip() else text
    if "```" not in text and (tag := _TAG.search(text)):
        text = html.unescape(text) if tag[0].lower().startswith(("<pre", "<code")) else text
        text = _TAG.sub(lambda tag: "\n```\n" if tag["close"] else "\n```python\n", text)
    return text, end is not None


def _parts(text: str, ended: bool, entry_point: str | None, script: bool) -> list[_Part]:
    """Return everything that may be code, the most trusted last: bare code, else indented code, then fenced blocks."""
    blocks, outside = fences(text)
    fenced = [part for block in blocks if (part := _fenced(block, ended))]
    found = [(code, to_end) for run, to_end in runs(outside) if (code := _untranscribed(run)).strip()]
    whole = not blocks and len(found) == 1 and found[0][0].strip() == text.strip()
    way = "whole text" if whole else "prose"
    bare = [_bare(code, way, ended or not to_end or bool(blocks), entry_point) for code, to_end in found]
    if not whole and not (script and any(_SPEAKS.search(part.text) for part in bare)):
        bare = [part for part in bare if any(chunk.kind in _CODE[:3] for chunk in chunks(part.text))]
    if not fenced and not any(definitions(part.text) for part in bare):
        bare += _indented(outside, ended)
    return [*bare, *fenced]


def _fenced(block: Block, ended: bool) -> _Part | None:
    """Return a block's code; None if it is blank, in another language, or unnamed and not Python. An unclosed block ends where
    prose begins.
    """
    if block.language not in ("python", ""):
        return None
    code, sure = _untranscribed(dedented(block.code)), block.closed or ended
    if not block.closed and (found := runs(code)) and definitions(found[0][0]):
        code, sure = found[0][0], sure or not found[0][1]
    kinds = {chunk.kind for chunk in chunks(code)} - {"blank"}
    python = block.language == "python" or not kinds.isdisjoint(_CODE[:3]) or kinds.issubset(_CODE)
    return _Part(code, "fence" if block.closed else "open fence", sure, block.code) if code.strip() and python else None


def _untranscribed(code: str) -> str:
    """Return the code without pasted interpreter sessions; if it is only a session, its input."""
    if not _SESSION.search(code):
        return code
    found = chunks(code)
    if not any(chunk.kind in ("def", "class") for chunk in found):
        return "\n".join(_SESSION.findall(code))
    kept, session = list[str](), False
    for chunk in found:
        session = chunk.kind == "prompt" or (session and chunk.kind == "prose")
        kept += [] if session else [chunk.text]
    return "\n".join(kept)


def _indented(text: str, ended: bool) -> list[_Part]:
    """Return code that is indented under prose, as in Markdown."""
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if indent_of(line) and kind_of(line.strip())[0] in _CODE[:3]), None)
    if first is None:
        return []
    last = next((n for n in range(first, len(lines)) if lines[n].strip() and not indent_of(lines[n])), len(lines))
    to_end = not any(line.strip() for line in lines[last:])
    return [_Part(dedented("\n".join(lines[first:last])), "indented", ended or not to_end, "")]


def _bare(code: str, way: str, sure: bool, entry_point: str | None) -> _Part:
    """Return bare code up to the text's end. It is sure if only something that the entry point does not use can be cut off;
    such a last chunk is left out if it is clearly unfinished.
    """
    *found, last = chunks(code)
    rest = "\n".join(chunk.text for chunk in found)
    if sure or not defines(rest, entry_point) or defines(last.text, entry_point) or uses(rest, last.names):
        return _Part(code, way, sure, code)
    return _Part(rest if last.open else code, way, True, code)


def _defining(parts: Sequence[_Part], prompt: str, entry_point: str | None) -> int | None:
    """Return the index of the last part that defines what is wanted (the entry point, or what the prompt calls), a stub only if
    there is no other; else the last that defines anything.
    """
    wanted = {entry_point} if entry_point else set[str]()
    if not entry_point:
        called = set(_CALLED.findall(prompt))
        wanted = {name for part in parts for chunk in definitions(part.text) for name in chunk.names if name in called}
    texts = list(enumerate(part.text for part in parts))
    found = [(at, code) for at, code in texts if any(defines(code, name) for name in wanted)]
    whole = [(at, code) for at, code in found if not all(is_stub(code, name) for name in wanted if defines(code, name))]
    untested = [(at, code) for at, code in texts if definitions(code) and not is_test(code)]
    best = whole or found or untested or texts
    return best[-1][0] if best else None


def _starting(parts: Sequence[_Part]) -> int | None:
    """Return the index of the last part that reads the input, or calls what reads it; else the last."""
    reading = [at for at, part in enumerate(parts) if _READS.search(part.text)]
    bound = {name for at in reading for chunk in definitions(parts[at].text) for name in chunk.names}
    starting = []
    for at, part in enumerate(parts):
        acts = any(chunk.kind in ("do", "main") for chunk in chunks(part.text)) or not definitions(part.text)
        if acts and (at in reading or uses(part.text, bound)):
            starting.append(at)
    best = starting or reading or range(len(parts))
    return best[-1] if best else None


def _completed(
    text: str, ended: bool, prompt: str, entry_point: str | None, parts: Sequence[_Part], at: int | None
) -> Program | None:
    """Return the prompt's code continued by the response, or by its chosen part; None if the response defines the entry point
    itself and does not begin with the rest of another function.
    """
    chosen = None if at is None else parts[at]
    if chosen is not None:
        defined = defines(chosen.text, entry_point) if entry_point else definitions(chosen.text)
        goes_on = at == 0 and chosen.way != "fence" and chunks(chosen.raw)[0].kind == "indented"
        if defined and not goes_on:
            return None
    given = prompt_code(prompt, entry_point)
    if given is None:
        return None
    fenced = chosen is not None and chosen.way in ("fence", "open fence")
    body, known = (chosen.raw, chosen.sure) if chosen is not None and fenced else (text, ended)
    found = complete(given, body, entry_point, known)
    return Program(found.text, "fenced continuation" if fenced else "continuation", found.sure) if found else None


def _as_method(code: str, entry_point: str | None) -> str:
    """Return the code with its functions as methods of the class that is asked for, if it lacks that class."""
    owner, name = owner_and_name(entry_point or "")
    found = {name: chunk.text for chunk in definitions(code) for name in chunk.names}
    if name not in found or owner in found:
        return code
    lines = [
        f"    {own} = {own}" if re.match(r"def\s+\w+\s*\(\s*self\b", text) else f"    {own} = staticmethod({own})"
        for own, text in found.items()
        if kind_of(text)[0] == "def"
    ]
    return "\n".join([code.rstrip("\n"), "", "", f"class {owner}:", *lines])


def _joined(before: str, code: str) -> str:
    """Return the preamble without what the code defines itself, then the code; imports from __future__ come first."""
    code = code.strip("\n")
    found = chunks(code)
    own = {chunk.text.strip() for chunk in found}
    added = [chunk.text for chunk in chunks(before) if chunk.text.strip() and chunk.text.strip() not in own]
    if not added:
        return code + "\n"
    future = [chunk.text for chunk in found if chunk.text.startswith("from __future__")]
    return "\n".join([*future, *added, "", *(chunk.text for chunk in found if chunk.text not in future)]) + "\n"
