"""Where the final answer of a mathematical response stands: text in, the answer's text out. Nothing is evaluated here.

Every pattern is linear in the text, or bounded: responses of 100 kB take milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOX_OR_BRACE = re.compile(r"(\\{1,2}(?:boxed|fbox)\s*\{)|\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(
    r"[\s$.]*(?:\\text\s*\{)?\s*(?:[,;\uff0c、]\s*(?:and\b|or\b)?|and\b|or\b|和|或)[\s}]*\$?\s*(?:[a-zA-Z]\s*=\s*)?\$?\s*"
)
_MOST_BETWEEN_BOXES = 40  # characters
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_FIELD = re.compile(r"""["'](?:final[ _])?answer["']\s{0,20}:\s{0,20}""", re.IGNORECASE)
_NEXT_FIELD = re.compile(r",\s{0,20}[\"']")
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,20}(-?\d[\d.,/]{0,100})")
_PHRASE = re.compile(
    r"(?:\banswers?\b[^\n.:=]{0,60}?(?:\bis\b|\bare\b|[:=])|^A:|答案[^\n。\uff1a:]{0,20}?[是为\uff1a:])[\s*:\uff1a]{0,20}",
    re.IGNORECASE | re.MULTILINE,
)
_THEREFORE = re.compile(r"(?:因此|所以|综上|故)[^\n。]{0,60}?[为是][\s*:\uff1a]{0,20}")
_LETTER = re.compile(  # of multiple choice, at the head of a statement; A and I may be words
    r"[\s*$]*(?:\\[a-z]+\{\s*)?(?:(?:option|choice|选项|选)\s*)?"
    r"(?:\(([A-J])\)|([A-J])(?=[.):]\s|[.):*}$\s]*\Z|\s+(?:because|since|as)\b)|([B-HJ])(?![a-zA-Z'^_=+*/\d-])(?!\s*[=+*/^-]))",
    re.IGNORECASE,
)
_LETTERS = re.compile(  # and anywhere
    r"\(([A-J])\)|\*\*\s*\(?([A-J])\)?[.:)]?(?:\s[^*\n]{0,80})?\*\*|\b(?:[Oo]ption|[Cc]hoice)\s+([A-J])\b"
    r"|选\s*[:\uff1a]?\s*([A-J])(?![a-zA-Z])|^[ \t]*([A-J])[.)]?[ \t]*$|(?<![a-zA-Z\\{=])([A-J])[.!*)]{0,4}\Z",
    re.MULTILINE,
)
_CHINESE_OR = re.compile(r"(?<=[\d$)])\s{0,9}(?:或者|或|和|与|、)\s{0,9}(?=[\d$\\(-])")
_CHAIN = re.compile(r"[\d\s.,$()+\-*/\u00d7÷·^%]{1,200}=\s*")
_SPAN = re.compile(
    r"\$\$([^$]{1,1000})\$\$|\$(?![\s$])([^$\n]{1,500})(?<!\s)\$(?!\d)|\\\(([^\n]{1,500}?)\\\)|\\\[(.{1,1000}?)\\\]", re.DOTALL
)
_NUMBER = re.compile(
    r"(?<![a-zA-Z0-9_.])-?(?:\\?\$)?-?(?:\d[\d,]*\d|\d)?(?:\.\d+|(?<=\d))(?:/-?\d+)?(?:\s?\\?%)?"
    r"|-?\\[dt]?frac\{-?\d+\}\{-?\d+\}"
)
_SENTENCE_END = re.compile(r"\.(?:\s|$)|\n|。")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}|[\u4e00-\u9fff]")
_END_OF_VALUE = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in ("'", '"')}
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_TAIL = 2_000  # characters: an answer that nothing announces stands at the end, or is none
_JSON_ESCAPE = re.compile(r'\\(?:([\\/"])|n(?![a-zA-Z])|u([0-9a-fA-F]{4}))')


class Answer(NamedTuple):
    """An answer's text, and how it was found. `sure` is False for the last resort, and where the text ends in it."""

    text: str
    way: str
    sure: bool


def extract(text: str, letter: bool = False) -> Answer | None:
    """The final answer: the last of the explicit ones (box, `#### N`, JSON or tagged answer), else the last phrase
    ("the answer is ..."), else the last expression or number anywhere. None where there is nothing; a blank has no text.
    `letter`: a letter of multiple choice is wanted.
    """
    text = text.rstrip()
    explicit = max(_explicit(text, letter), key=lambda found: found[0], default=None)
    if explicit is not None:
        answer = explicit[1]
        return answer if answer.text.strip("_ .") else answer._replace(text="")
    if phrase := _phrase(text, _PHRASE, letter) or _phrase(text, _THEREFORE, letter):
        return phrase
    tail = text[-_TAIL:]
    if letter:
        *_, named = [None, *_LETTERS.finditer(tail)]
        return Answer(next(filter(None, named.groups())), "last", False) if named else None
    matches = [match for pattern in (_SPAN, _NUMBER) for match in pattern.finditer(tail) if match[0]]
    found = [(match.end(), next(filter(None, match.groups()), match[0])) for match in matches]
    last = max(found)[1].rpartition("=")[2].strip() if found else ""  # whichever ends later; of an equation its right side
    return Answer(last, "last", False) if last else None


def boxes(text: str) -> list[tuple[int, int, str]]:
    """Every closed `\\boxed{}` and `\\fbox{}`, the outermost of nested ones: where it begins, where it ends, what it holds."""
    found: list[tuple[int, int, int]] = []
    opened: list[tuple[int, int]] = []  # where a brace's command begins, and where a box's content does (0: no box)
    for match in _BOX_OR_BRACE.finditer(text):
        if match[1] or match[0] == "{":
            opened.append((match.start(), match.end() if match[1] else 0))
        elif match[0] == "}" and opened:
            start, content = opened.pop()
            if content:
                while found and found[-1][0] > start:
                    found.pop()
                found.append((start, match.end(), content))
    return [(start, end, text[content : end - 1].strip()) for start, end, content in found]


def last_boxes(text: str) -> tuple[int, str] | None:
    """Where the last box ends and what it holds, with the boxes that it is listed with ("\\boxed{1} and \\boxed{2}")."""
    found = boxes(text)
    if not found:
        return None
    first = len(found) - 1
    while first > 0:
        end, start = found[first - 1][1], found[first][0]
        if start - end > _MOST_BETWEEN_BOXES or not _BETWEEN_BOXES.fullmatch(text, end, start):
            break
        first -= 1
    contents = list(dict.fromkeys(content for _, _, content in found[first:]))
    return found[-1][1], ", ".join(contents)


def boxed_reference(text: str) -> str | None:
    found = boxes(text)
    return ", ".join(dict.fromkeys(content for _, _, content in found)) if found else None


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


def _explicit(text: str, letter: bool) -> Iterator[tuple[int, Answer]]:
    """The last answer of each explicit kind, and where it ends: a box in a JSON field is the field's."""
    boxed = last_boxes(text)
    if boxed:
        yield boxed[0], Answer(boxed[1], "box", True)
    opened = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if opened >= 0 and _closing_brace(text, text.index("{", opened)) is None:
        rest = text[opened:].partition("{")[2].partition("\n")[0]
        yield opened, Answer(rest.strip("$ ."), "open box", False)
    *_, bare = [None, *_BARE_BOX.finditer(text)]
    if bare:
        yield bare.end(), Answer(bare[1].rstrip(".,/"), "box", bare.end() < len(text))
    *_, hashes = [None, *_HASHES.finditer(text)]
    if hashes:
        yield hashes.end(), _inner(hashes[1], "hashes", hashes.end() < len(text), letter)
    closing = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, max(closing, 0))
    if opening >= 0:
        yield closing, _inner(text[opening + len("<answer>") : closing], "tag", True, letter)
    *_, field = [None, *_FIELD.finditer(text)]
    if field:
        yield _field(text, field.end(), letter)


def _field(text: str, start: int, letter: bool) -> tuple[int, Answer]:
    """The value that begins here, in JSON that may be broken: a string up to its quote, else the rest of the line."""
    quote = text[start : start + 1]
    if quote in _END_OF_VALUE:
        for match in _END_OF_VALUE[quote].finditer(text, start + 1):
            if match[0] == quote:
                return match.end(), _inner(_unescaped(text[start + 1 : match.start()]), "json", True, letter)
        return len(text), _inner(_unescaped(text[start + 1 :]), "json", False, letter)
    line = text[start:].partition("\n")[0].strip().rstrip("`,}").strip()
    value = line[1:].partition("]")[0] if line.startswith("[") else _NEXT_FIELD.split(line.partition("}")[0])[0]
    end = start + len(line)
    return end, Answer("" if value in ("null", "None", "{") else value, "json", end < len(text))


def _unescaped(raw: str) -> str:
    """JSON's escapes undone, except those that LaTeX written without doubling means: \\frac, \\times, \\neq, \\rho."""
    return _JSON_ESCAPE.sub(lambda m: m[1] or (chr(int(m[2], 16)) if m[2] else " "), raw)


def _inner(value: str, way: str, sure: bool, letter: bool) -> Answer:
    """A field's or tag's value, or what it says in turn: a box or a sentence in it."""
    boxed = last_boxes(value)
    return Answer(boxed[1] if boxed else _stated(value, letter), way, sure)


def _phrase(text: str, pattern: re.Pattern[str], letter: bool) -> Answer | None:
    for match in reversed(list(pattern.finditer(text))):
        end = _SENTENCE_END.search(text, match.end())
        sentence = text[match.end() : end.start() if end else len(text)][:1000]
        if found := _stated(sentence, letter):
            return Answer(found, "phrase", end is not None)
    return None


def _stated(sentence: str, letter: bool = False) -> str:
    """The answer in what follows "the answer is": its first formula or number where there are words around it."""
    sentence = sentence.strip().strip("*").strip()
    if letter and (chosen := _LETTER.match(sentence)):
        return str(next(filter(None, chosen.groups()))).upper()
    sentence = _CHINESE_OR.sub(", ", sentence)
    words = [word for word in _WORD.findall(sentence) if word not in ("and", "or")]
    if not words and len(_SPAN.findall(sentence)) != 1:
        return sentence
    span, number = _SPAN.search(sentence), _NUMBER.search(sentence)
    if span and (number is None or span.start() <= number.start()):
        return next(group for group in span.groups() if group).strip()
    if number is None:
        return sentence
    end = number.start()
    while chain := _CHAIN.match(sentence, end):  # what arithmetic comes to: 12 in "3 * 4 = 12 apples"
        end = chain.end()
    result = _NUMBER.match(sentence, end)
    return (result[0] if result and result[0] else number[0]).strip()
