"""Find the final answer of a mathematical response: text in, the answer's text out. Nothing is evaluated here.

Every pattern is linear in the text, or bounded: responses of 100 kB take milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from datakit.domains import statements
from datakit.domains.boxes import closing_brace, last_boxes
from datakit.domains.math.mentions import CHAIN, NUMBER, formulas, last_mention, spans

_HASHES = re.compile(r"####(?!#)[ \t]*([^\n]*)")
_BARE = re.compile(  # what follows GSM8K's hashes if text comes after it: a number or a formula; "1." begins a section
    r"[\s*]*(?:\$[^$\n]{1,200}\$|\\boxed\{.*|-?\\?\$?-?[\d.,/]{0,40}\d(?:\s?\\?%)?|\([^()\n]{1,100}\))[\s*]*"
)
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,20}(-?\d[\d.,/]{0,100})")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")
_PHRASE = re.compile(
    r"(?:\banswers?\b[^\n.:=]{0,60}?(?:\bis\b|\bare\b|[:=])|^A:|答案[^\n。\uff1a:]{0,20}?[是为\uff1a:])[\s*:\uff1a]{0,20}",
    re.IGNORECASE | re.MULTILINE,
)
_IN_PHRASES = ("nswer", "NSWER", "答案", "A:", "a:")
_THEREFORE = re.compile(r"(?:因此|所以|综上|故)[^\n。]{0,60}?(?:(?<![因认作])为|是)[\s*:\uff1a]{0,20}")
_VERB = re.compile(r"\b(?:is|are|equals?|comes to)\b:?\s*|[=:\uff1a]\s*|[是为]\s*")
_VALUE = re.compile(r"[\s*]{0,9}[-+]?\s?(?:\\?\$|[\d√π([{|]|\.\d|[€£¥₹]\s?\d|\\[a-zA-Z({[])")
_CHINESE_OR = re.compile(r"(?<=[\d$)])\s{0,9}(?:或者|或|和|与|、)\s{0,9}(?=[\d$\\(-])")
_TWO_UNITS = re.compile(
    r"\d\s?(?:[a-z]{2,8}|[\u4e00-\u9fff]{1,3})(?:\sand)?\s?\d[^.\n。]{1,30}?(?:也就是|即|i\.e\.,?|that is,?)\s*"
)
_SENTENCE_END = re.compile(r"\.(?:\s|$)|\n|。")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}|[\u4e00-\u9fff]")
_NO_WORDS = ("and", "or", "sin", "cos", "tan", "log", "ln", "sqrt", "pi")
_SIGN = re.compile(r"[$\\=<>≤≥≠([{^*/∞+-]")
_BARE_LINE = re.compile(r"[^=\n]{1,200}\d[^=\n]{0,200}")
_PRAISE = re.compile(r"(?:is\s+)?(?:correct|reasonable|consistent|valid|right|verified|plausible|indeed)\b", re.IGNORECASE)
_MOST_PHRASES = 20  # phrases that are examined, from the end
_MOST_STATED = 1_000  # characters


class Answer(NamedTuple):
    """An answer's text, and how it was found. `sure` is False for the last resort, and if the text ends in the answer."""

    text: str
    way: str
    sure: bool


def extract(text: str) -> Answer | None:
    """Return the final answer: the last of the explicit ones (box, `#### N`, JSON or tagged answer, or "the answer is" followed
    by a value), else the last phrase with a value somewhere, else the last expression or number anywhere. None if there is
    nothing; a blank answer has empty text.
    """
    text = statements.answer_part(text).replace("\u2212", "-")
    explicit = max(_explicit(text), key=lambda one: one[0], default=None)
    if explicit is not None:
        answer = explicit[1]
        return answer if answer.text.strip("_ .") else answer._replace(text="")
    if phrase := _phrase(text, _PHRASE):
        return phrase[1]
    therefore = _phrase(text, _THEREFORE)
    if therefore and not last_mention(text[therefore[0] :]):
        return therefore[1]
    if _BARE_LINE.fullmatch(text) and not _WORD.search(text):
        return Answer(text.strip(), "last", False)
    last = last_mention(text[-statements.TAIL :])
    return Answer(last, "last", False) if last else None


def _explicit(text: str) -> Iterator[tuple[int, Answer]]:
    """Yield the last answer of each explicit kind, and where it ends; a box in a JSON field belongs to the field."""
    boxed = last_boxes(text)
    if boxed:
        yield boxed[1], Answer(boxed[2], "box", True)
    opened = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if opened >= 0 and closing_brace(text, text.index("{", opened)) is None:
        rest = text[opened:].partition("{")[2].partition("\n")[0]
        yield opened, Answer(rest.strip("$ ."), "open box", False)
    *_, bare = [None, *_BARE_BOX.finditer(text)]
    if bare:
        yield bare.end(), Answer(bare[1].rstrip(".,/"), "box", bare.end() < len(text))
    for hashes in reversed([*_HASHES.finditer(text)]):
        if hashes.end() == len(text) or _BARE.fullmatch(hashes[1]):
            yield hashes.end(), _inner(hashes[1], "hashes", hashes.end() < len(text))
            break
    fields = [*_fields(text)]
    yield from fields
    behind = max([0, *(end for end in (boxed and boxed[1], bare and bare.end()) if end)])
    if not fields and (stated := _phrase(text, _PHRASE, firmly=True, start=behind)):
        yield stated


def _fields(text: str) -> Iterator[tuple[int, Answer]]:
    """Yield answers in fields of their own, which phrases around them cannot change."""
    for field in statements.fields(text):
        found = _inner(field.text, field.way, field.closed) if field.quoted else Answer(*field[1:4])
        yield field.end, found


def _inner(value: str, way: str, sure: bool) -> Answer:
    """Return a field's or tag's value, or the answer of a box or a sentence inside it."""
    boxed = last_boxes(value)
    return Answer(boxed[2] if boxed else _stated(value), way, sure)


def _phrase(text: str, pattern: re.Pattern[str], firmly: bool = False, start: int = 0) -> tuple[int, Answer] | None:
    """Return the last phrase that states an answer, and where it ends. `firmly`: only one that is followed by a value, or "the
    area is" and a value, so that it can compete with a box; not "the answer is correct", nor a check of the answer.
    """
    if pattern is _PHRASE:  # most texts have one only at their end, and finding plain text is many times faster
        start = min((at for part in _IN_PHRASES if (at := text.find(part, start)) >= 0), default=len(text)) - 1
    for match in reversed(list(pattern.finditer(text, max(start, 0)))[-_MOST_PHRASES:]):
        rest = text[match.end() : match.end() + _MOST_STATED]
        end = _SENTENCE_END.search(rest)
        sentence = rest[: end.start()] if end else rest
        if not firmly:
            found = _stated(sentence)
        elif _BOX.search(sentence) or statements.is_spoken_of(text, match.start()):
            continue
        else:
            found = _firmly_stated(sentence)
        if found:
            return match.end() + len(sentence), Answer(found, "phrase", match.end() + len(sentence) < len(text))
    return None


def _firmly_stated(sentence: str) -> str:
    sentence = sentence.strip().strip("*").strip()
    if _VALUE.match(sentence):
        return _stated(sentence)
    if _PRAISE.match(sentence):
        return ""
    values = [
        (verb[0].strip(" :") in ("", "="), verb.end())
        for verb in _VERB.finditer(sentence)
        if _VALUE.match(sentence, verb.end())
    ]
    return _stated(sentence[min(values)[1] :]) if values else ""  # after "is" rather than after "="


def _stated(sentence: str) -> str:
    """Return the answer in the text after "the answer is": its first formula or number if there are words around it."""
    sentence = sentence.strip().strip("*").strip()
    sentence = _CHINESE_OR.sub(", ", sentence)
    if twice := _TWO_UNITS.search(sentence):
        sentence = sentence[twice.end() :]
    words = [word for word in _WORD.findall(sentence) if word not in _NO_WORDS]
    if not words and len(spans(sentence)) != 1:
        return sentence
    number = NUMBER.search(sentence)
    first = next((one for one in formulas(sentence) if one.text), None) if _SIGN.search(sentence) else None
    if first and (number is None or first.start <= number.start()):
        return first.text
    if number is None:
        return sentence
    end = number.start()
    while chain := CHAIN.match(sentence, end):  # the result of arithmetic: 12 in "3 * 4 = 12 apples"
        end = chain.end()
    result = NUMBER.match(sentence, end)
    return (result[0] if result and result[0] else number[0]).strip()
