"""Where the final answer of a mathematical response stands: text in, the answer's text out. Nothing is evaluated here.

Every pattern is linear in the text, or bounded: responses of 100 kB take milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOX_OR_BRACE = re.compile(r"(\\{1,2}(?:boxed|fbox)\s*\{)|\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(r"[\s$,;.]*(?:\\text\{)?[\s,]*(?:and|or)?[\s}]*\$?\s*(?:[a-zA-Z]\s*=\s*)?\$?\s*")
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_FIELD = re.compile(r"""["'](?:final[ _])?answer["']\s{0,20}:\s{0,20}""", re.IGNORECASE)
_PHRASE = re.compile(
    r"(?:\banswer\b[^\n.:=]{0,60}?(?:\bis\b|[:=])|^A:|答案[^\n。\uff1a:]{0,20}?[是为\uff1a:])[\s*:]{0,20}",
    re.IGNORECASE | re.MULTILINE,
)
_SPAN = re.compile(
    r"\$\$([^$]{1,1000})\$\$|\$(?![\s$])([^$\n]{1,500})(?<!\s)\$(?!\d)|\\\(([^\n]{1,500}?)\\\)|\\\[(.{1,1000}?)\\\]", re.DOTALL
)
_NUMBER = re.compile(
    r"(?<![\w.])-?(?:\\?\$)?-?(?:\d[\d,]*\d|\d)?(?:\.\d+|(?<=\d))(?:/-?\d+)?(?:\s?\\?%)?"
    r"|-?\\[dt]?frac\{-?\d+\}\{-?\d+\}"
)
_SENTENCE_END = re.compile(r"\.(?:\s|$)|\n|。")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_END_OF_VALUE = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in ("'", '"')}
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_TAIL = 2_000  # characters: an answer that nothing announces stands at the end, or is none
_JSON_ESCAPE = re.compile(r'\\(?:([\\/"])|n(?![a-zA-Z])|u([0-9a-fA-F]{4}))')


class Answer(NamedTuple):
    """An answer's text, and how it was found. `sure` is False for the last resort, and where the text ends in it."""

    text: str
    way: str
    sure: bool


def extract(text: str) -> Answer | None:
    """The final answer: the last of the explicit ones (box, `#### N`, JSON or tagged answer), else the last phrase
    ("the answer is ..."), else the last expression or number anywhere. None where there is nothing, or a blank.
    """
    text = text.rstrip()
    explicit = max(_explicit(text), key=lambda found: found[0], default=None)
    if explicit is not None:
        answer = explicit[1]
        return answer if answer.text.strip("_ .") else None
    return _phrase(text) or _last_resort(text)


def boxes(text: str) -> list[tuple[int, int, str]]:
    """Every closed `\\boxed{}` and `\\fbox{}`, the outermost of nested ones: where it begins, where it ends, what it holds."""
    found: list[tuple[int, int, str]] = []
    opened: list[re.Match[str]] = []
    for match in _BOX_OR_BRACE.finditer(text):
        if match[1] or match[0] == "{":
            opened.append(match)
        elif match[0] == "}" and opened:
            box = opened.pop()
            if box[1]:
                while found and found[-1][0] > box.start():
                    found.pop()
                found.append((box.start(), match.end(), text[box.end() : match.start()].strip()))
    return found


def last_boxes(text: str) -> tuple[int, str] | None:
    """Where the last box ends and what it holds, with the boxes that it is listed with ("\\boxed{1} and \\boxed{2}")."""
    found = boxes(text)
    if not found:
        return None
    first = len(found) - 1
    while first > 0 and _BETWEEN_BOXES.fullmatch(text, found[first - 1][1], found[first][0]):
        first -= 1
    contents = list(dict.fromkeys(content for _, _, content in found[first:]))
    return found[-1][1], ", ".join(contents)


def balanced(text: str) -> bool:
    """Whether every brace has its partner."""
    depth = 0
    for match in _BRACE.finditer(text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0


def _closing_brace(text: str, opening: int) -> int | None:
    depth = 0
    for match in _BRACE.finditer(text, opening):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return None


def _explicit(text: str) -> Iterator[tuple[int, Answer]]:
    """The last answer of each explicit kind, and where it ends: a box in a JSON field is the field's."""
    boxed = last_boxes(text)
    if boxed:
        yield boxed[0], Answer(boxed[1], "box", True)
    opened = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if opened >= 0 and _closing_brace(text, text.index("{", opened)) is None:
        rest = text[opened:].partition("{")[2].partition("\n")[0]
        yield opened, Answer(rest.strip("$ ."), "open box", False)
    *_, hashes = [None, *_HASHES.finditer(text)]
    if hashes:
        yield hashes.end(), _inner(hashes[1], "hashes", hashes.end() < len(text))
    closing = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, max(closing, 0))
    if opening >= 0:
        yield closing, _inner(text[opening + len("<answer>") : closing], "tag", True)
    *_, field = [None, *_FIELD.finditer(text)]
    if field:
        yield _field(text, field.end())


def _field(text: str, start: int) -> tuple[int, Answer]:
    """The value that begins here, in JSON that may be broken: a string up to its quote, else the rest of the line."""
    quote = text[start : start + 1]
    if quote in _END_OF_VALUE:
        for match in _END_OF_VALUE[quote].finditer(text, start + 1):
            if match[0] == quote:
                return match.end(), _inner(_unescaped(text[start + 1 : match.start()]), "json", True)
        return len(text), _inner(_unescaped(text[start + 1 :]), "json", False)
    line = text[start:].partition("\n")[0].strip().rstrip("`,}").strip()
    value = line[1:].partition("]")[0] if line.startswith("[") else line.partition("}")[0]
    end = start + len(line)
    return end, Answer("" if value in ("null", "None", "{") else value, "json", end < len(text))


def _unescaped(raw: str) -> str:
    """JSON's escapes undone, except those that LaTeX written without doubling means: \\frac, \\times, \\neq, \\rho."""
    return _JSON_ESCAPE.sub(lambda m: m[1] or (chr(int(m[2], 16)) if m[2] else " "), raw)


def _inner(value: str, way: str, sure: bool) -> Answer:
    """A field's or tag's value, or what it says in turn: a box or a sentence in it."""
    boxed = last_boxes(value)
    return Answer(boxed[1] if boxed else _stated(value), way, sure)


def _phrase(text: str) -> Answer | None:
    for match in reversed(list(_PHRASE.finditer(text))):
        end = _SENTENCE_END.search(text, match.end())
        sentence = text[match.end() : end.start() if end else len(text)][:1000]
        if found := _stated(sentence):
            return Answer(found, "phrase", end is not None)
    return None


def _stated(sentence: str) -> str:
    """The answer in what follows "the answer is": its first formula or number where there are words around it."""
    sentence = sentence.strip().strip("*").strip()
    words = [word for word in _WORD.findall(sentence) if word not in ("and", "or")]
    if not words and len(_SPAN.findall(sentence)) != 1:
        return sentence
    span, number = _SPAN.search(sentence), _NUMBER.search(sentence)
    if span and (number is None or span.start() <= number.start()):
        return next(group for group in span.groups() if group).strip()
    return number[0].strip() if number else sentence


def _last_resort(text: str) -> Answer | None:
    """The last formula or number of the text, whichever ends later; of an equation its right side."""
    tail = text[-_TAIL:]
    matches = [match for pattern in (_SPAN, _NUMBER) for match in pattern.finditer(tail) if match[0]]
    found = [(match.end(), next(filter(None, match.groups()), match[0])) for match in matches]
    if not found:
        return None
    last = max(found)[1].rpartition("=")[2].strip()
    return Answer(last, "last", False) if last else None
