"""The parts of a response: the model's thought (`reasoning`) and its answer (`text`); and how a response ends.

Models mark a thought with tags at the very beginning of the text; if the chat template has opened it, only the closing tag
is there. Servers that know their model return the thought in a field beside the content, or as parts of it. `reasoning_form`
says which it was, so that `whole` restores what came: the text before the thought, `…` in its place, and the text up to the
answer ("<think>…</think>\\n\\n").
A tag inside code, in quotes or in the middle of prose is talk about thoughts, and does not mark one.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

MARK = "…"
FIELDS = ("reasoning_content", "reasoning", "parts")
"""The text before the mark if the thought came beside the answer: the field of the message, or parts of its content."""

COMPLETE = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "word")
"""Finish reasons that are documented to mean that the model had finished: of OpenAI, vLLM, SGLang and llama.cpp (stop; of its
own API eos, word), TGI (eos_token, stop_sequence), Anthropic and proxies in its layout (end_turn, stop_sequence)."""

CUT_OFF = ("length", "max_tokens", "model_length")
"""Finish reasons that are documented to mean that the token limit was reached."""


class Parts(NamedTuple):
    """`text` is None if a thought was never followed by an answer; the others are None if there is no thought."""

    text: str | None
    reasoning: str | None = None
    form: str | None = None


class _Tags(NamedTuple):
    """The tags by which a family of models marks a thought."""

    opening: str
    closing: str
    """A regular expression."""
    always_closed: bool = False
    """True if the opening is an ordinary word: then both tags are needed to mark a thought, and either alone marks nothing."""


_TAGS = (
    *(_Tags(f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning", "seed:think")),
    _Tags("[THINK]", r"\[/THINK\]"),
    _Tags("◁think▷", "◁/think▷"),
    _Tags("<|begin_of_thought|>", r"<\|end_of_thought\|>(?:\s*<\|begin_of_solution\|>)?"),
    _Tags("<|START_THINKING|>", r"<\|END_THINKING\|>"),
    _Tags("<|channel|>analysis<|message|>", r"<\|end\|>(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>"),
    _Tags("analysis", "assistantfinal", always_closed=True),  # the same if the server leaves out special tokens
)
MAY_THINK = (
    "|".join(f"{re.escape(tags.opening)}|{tags.closing}" for tags in _TAGS if not tags.always_closed) + "|assistantfinal"
)
"""A pattern, also for RE2; a text that it does not match has no thought."""

_OPENINGS = tuple(tags.opening for tags in _TAGS)
_ENDS = tuple(re.split(r"\(\?:", tags.closing)[0].replace("\\", "") for tags in _TAGS)
"""The beginning of each closing."""
_SIGNS = ("<", "[", "◁", "assistantfinal")
"""The beginning of each of these: the search in every text is fast for single characters."""
_BOTH = {tags: re.compile(f"({re.escape(tags.opening)})|{tags.closing}") for tags in _TAGS}
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\S\n]*(\S?)", re.MULTILINE)
_QUOTED = re.compile(r"`[^`\n]+`|[\"'\u201c\u2018\u00ab][<\[◁][^\s\"'<>]*[>\]▷][\"'\u201d\u2019\u00bb]")
_SENTENCE_END = (*".!?)]}$*", "\u3002", "\uff01", "\uff1f")
_SPACE = re.compile(r"\s*")


def is_complete(finish_reason: str | None) -> bool:
    """Return True if the model had finished. None (the reason in datasets without one) counts."""
    return finish_reason is None or finish_reason in COMPLETE


def split(whole: str) -> Parts:
    """Split a text into its parts. If a thought never ends, there is no answer.

    >>> split("<think>5?</think>\\n\\nIt is 6.")
    Parts(text='It is 6.', reasoning='5?', form='<think>…</think>\\n\\n')
    """
    begin = len(whole) - len(whole.lstrip())
    if not whole.startswith(_OPENINGS, begin) and not _may_end(whole):
        return Parts(whole)
    for tags in _TAGS:
        if whole.startswith(tags.opening, begin):
            start = begin + len(tags.opening)
            end = _end(whole, start, tags)
            if end is not None:
                return _cut(whole, start, end)
            if not tags.always_closed:
                return Parts(None, whole[start:], whole[:start] + MARK)
    ends = [end for tags in _TAGS if not tags.always_closed and (end := _end_of_opened(whole, tags)) is not None]
    return _cut(whole, 0, min(ends)) if ends else Parts(whole)


def _may_end(whole: str) -> bool:
    """Return True if a thought may end in the text. Most texts have none of the signs."""
    for sign in _SIGNS:
        if sign in whole:
            return any(end in whole for end in _ENDS)
    return False


def join(text: str | None, thought: str | None, field: str | None, *, forced: bool = False) -> Parts:
    """Return the parts of a message whose thought came beside its text, in this one of FIELDS; the text may have one too.

    A thought in the text takes precedence: servers that give it twice give the same. `forced`: the model's template opens a
    thought, so a text in which nothing closes one is a thought that never ended.
    """
    inline = split(text) if text is not None and text.strip() else Parts(None)
    if (inline.reasoning or "").strip():
        return inline
    if field is None or thought is None or not thought.strip():
        return Parts(None, text, MARK) if forced and inline.text is not None and inline.form is None else inline
    answer = inline.text or ""
    gap = _SPACE.match(answer)[0]  # type: ignore[index]
    return Parts(answer[len(gap) :] or None, thought, f"{field}{MARK}{gap}")


def whole(text: str | None, reasoning: str | None, form: str | None) -> str:
    """Return thought and answer as one text, as they came; sql/views/whole_answer.sql computes the same.

    A thought that came beside its answer is put between the tags that most models know.
    """
    if form is None:
        return text or ""
    before, _, after = form.partition(MARK)
    if before in FIELDS:
        return f"<think>\n{(reasoning or '').strip()}\n</think>\n\n{text or ''}"
    return f"{before}{reasoning or ''}{after}{text or ''}"


def _cut(whole: str, start: int, end: tuple[int, int]) -> Parts:
    answer_at = _SPACE.match(whole, end[1]).end()  # type: ignore[union-attr]
    form = f"{whole[:start]}{MARK}{whole[end[0] : answer_at]}"
    return Parts(whole[answer_at:] or None, whole[start : end[0]], form)


def _end(whole: str, start: int, tags: _Tags) -> tuple[int, int] | None:
    """Return the span of the tag that ends the thought which begins at `start`; None if there is none.

    Thoughts may contain thoughts, and talk about tags: the end is the tag that closes the first, or the last tag if none does.
    If every closing tag is in code, that is ignored, because the code was never closed.
    """
    plain = list(_BOTH[tags].finditer(whole, start))
    for found in (list(_meant(whole, start, tags)) if len(plain) > 1 else plain, plain):
        depth, last = 1, None
        for tag in found:
            depth += 1 if tag[1] else -1
            last = last if tag[1] else tag.span()
            if not depth:
                return last
        if last is not None:
            return last
    return None


def _end_of_opened(whole: str, tags: _Tags) -> tuple[int, int] | None:
    """Return the span of the tag that ends a thought which the template, not the text, has opened; None if there is none."""
    depth = 0
    for tag in _meant(whole, 0, tags):
        if not tag[1] and not depth:
            return None if _is_prose(whole, *tag.span()) else tag.span()
        depth += 1 if tag[1] else -1
    return None


def _meant(whole: str, start: int, tags: _Tags) -> Iterator[re.Match[str]]:
    """Yield the tags that are neither in code nor quoted, in linear time, whatever a model repeats."""
    quoted = sorted([*_fenced(whole, start), *(found.span() for found in _QUOTED.finditer(whole, start))])
    ends = list(accumulate((end for _, end in quoted), max))
    for tag in _BOTH[tags].finditer(whole, start):
        before = bisect(quoted, (tag.start(), len(whole)))
        if not before or ends[before - 1] <= tag.start():
            yield tag


def _fenced(whole: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of code blocks, from fence to fence; an unclosed one does not count."""
    opened = None
    for fence in _FENCE.finditer(whole, start):
        if opened is None:
            opened = fence
        elif fence[1] == opened[1] and not fence[2]:
            yield opened.start(), fence.end()
            opened = None


def _is_prose(whole: str, begin: int, end: int) -> bool:
    """Return True if a tag is a word within a sentence: "the </think> tag"."""
    before, after = whole[:begin], whole[end : end + 1]
    if not before.endswith((" ", "\t")):
        return False
    return after in tuple(" \t,;:.)") and not before.rstrip().endswith(_SENTENCE_END)
