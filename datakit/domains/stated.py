"""Find the choice that a response states: the last statement wins, and nothing is guessed.

Statements are boxes, fields of JSON or tags, and without a field phrases ("the answer is", "(B) is correct"); the one that ends
last counts. Without a statement: a line that is a choice, then a letter that the last lines point at, then a choice's own text
as the last line. Every pattern is linear in the text, or bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from datakit.domains import statements
from datakit.domains.boxes import boxes
from datakit.domains.letters import bare_letter, letters_in, named_letters, plain, unmarked, without_rejected

_FIELD = re.compile(
    r"""["'](?:(?:final|best|correct|right|chosen|selected|your)[ _]?)?(?:answer|choice|option|letter)"""
    r"""(?:[ _](?:letter|choice|option))?["']\s{0,20}:\s{0,20}""",
    re.IGNORECASE,
)
_VERB = r"(?:\b(?:is|are|was|would be|must be|should be|has to be|will be|remains)\b|[:=])"
_PHRASE = re.compile(
    rf"(?:\banswers?\b[^\n.:=]{{0,60}}?{_VERB}"
    r"|\b(?:correct|right|best|final|my|only possible|matching|appropriate)\s+"
    rf"(?:option|choice|one|selection|pick|letter|response|alternative|statement)\b[^\n.:=]{{0,40}}?{_VERB}"
    r"|\b(?:option|choice)\s(?:is|would be|must be|has to be)\b"
    r"|^[\s#>-]{0,20}(?:final |correct |best )?(?:answer|choice|option)\s{0,9}(?::|\n)"
    r"|\b(?:I|we)\s?(?:'ll|'d|will|would|shall|must|can|should)?\s?(?:therefore |thus |then )?"
    r"(?:choose|chose|pick|select|go with|opt for)\b"
    r"|\b(?:respuesta|réponse|resposta|risposta|antwort|odpowiedź|ответ)\b[^\n.:=]{0,40}?(?:\b(?:es|est|é|è|ist|lautet|to)\b|[:=-])"
    r"|(?:答え|正解|답|정답)[^\n。:]{0,20}?[:は은는]"
    r"|答案[^\n。:]{0,20}?[是为:]|正确(?:的)?(?:选项|答案|选择)?[^\n。:]{0,10}?[是为:]"
    r"|选(?:择)?(?!项))[\s:]{0,20}",
    re.IGNORECASE | re.MULTILINE,
)
_LISTS = re.compile(r"\b(?:choices|options)\b", re.IGNORECASE)
_LETTER = r"([A-Z])(?![A-Za-z0-9'^_=+*/\\])"
_MIDDLE = r"(?:(?!\b[A-J]\b|不|非|\bnot\b|n't\b|\bnever\b|\bno\b)[^\n;]){0,80}?"
_CALLED_RIGHT = re.compile(
    rf"(?:(?<![A-Za-z0-9}}\\])[(\[]([A-Z])[)\]]{_MIDDLE}|(?:\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s|选项\s?){_LETTER}[.):]?{_MIDDLE}"
    rf"|^[\s>#-]{{0,9}}([A-Z])[.):]\s{_MIDDLE}|(?:^|[.!?;,:]\s+|(?i:\b(?:so|thus|therefore|hence|that|actually|indeed|but|think|believe|say)\s+)){_LETTER})"
    r"(?:\s(?:is|must be|seems|appears to be|would be|looks|[-–—:])\s(?:(?:clearly|definitely|the|most|indeed|"  # noqa: RUF001
    r"therefore|thus|likely|only|our|my|probably|in fact|obviously)\s){0,4}(?:correct|right|best|answer)\b"
    r"(?!\s+(?:only|if|when|but|in|about|that|for|under|or|side|hand|half|way|wing|panel|column|angle|to)\b)"
    r"|\s?(?:是)?(?:正确|对)(?:的)?)",
    re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<!i\.e)(?<!e\.g)[.!?](?:\s|\Z)|\n|。")
_AND_WHY = re.compile(r"\s*(?:[,;(]|\b(?:because|since|as|which|and|due to|for)\b)")
_NONE_OF_THEM = re.compile(
    r"\b(?:none of (?:the|these|them|those)|no (?:correct|right|valid|suitable) (?:answer|option|choice)"
    r"|not (?:listed|given|among)|cannot be (?:determined|answered|decided)"
    r"|(?:un|not )(?:able|possible) to (?:determine|answer|decide))\b",
    re.IGNORECASE,
)
_BLANK = re.compile(r"[\s._?…-]*")
_CORRECTS = re.compile(
    r"\b(?:wait|actually|however|correction|instead|mistake|re-?(?:check|evaluat|consider|examin)\w*|no,|so|thus|therefore|hence)\b",
    re.IGNORECASE,
)
_LETTERED = re.compile(r"[\s>#*•-]{0,9}(?:[(\[]([A-Z])[)\]][.:]?|([A-Z])[.):])\s+(\S.*)", re.IGNORECASE)
_BULLET = re.compile(r"^[\s>#*•-]+")
_LAST_LINES = 3
_MOST_UNKNOWN = 10
_MOST_STATEMENTS = 20  # phrases that are examined, from the end
_MOST_STATED = 1_000  # characters
_BREATH = 160  # characters within which several choices that are called right count together
_AROUND_SIGNS = re.compile(r"\s*([=+*/^(){}\[\],<>|-])\s*|\s+(?=\\)")
_SPELT = re.compile(r"\\[dt]frac")


class Stated(NamedTuple):
    """A letter and how it was found, or no letter and why. `sure`: text follows it, so it was not cut off there."""

    letter: str | None
    way: str
    sure: bool = False


class _Statement(NamedTuple):
    """A statement about which choice is meant, and where it ends."""

    end: int
    text: str
    way: str
    sure: bool


def stated_choice(text: str, choices: Sequence[str] | None = None) -> Stated:
    """Return the choice that a response states last; no letter if it states none, several, or one that does not exist.

    Without `choices` the letters are A to J, and their texts are unknown.
    """
    text = unmarked(statements.answer_part(text))
    known = _Choices(choices)
    found = sorted(_statements(text))
    for at in reversed(range(len(found))):
        letters = _together(text, found[: at + 1]) if found[at].way == "called right" else known.letters_of(found[at])
        if letters is not None:
            return known.checked(letters, found[at].way, found[at].sure)
    return known.in_lines([line for line in text.splitlines() if line.strip()])


def _statements(text: str) -> Iterator[_Statement]:
    """Yield everything that may state a choice."""
    for _, end, content in boxes(text):
        yield _Statement(end, content, "box", end < len(text))
    fields = [_Statement(field.end, field.text, field.way, field.closed) for field in statements.fields(text, _FIELD)]
    yield from fields
    for phrase in [] if fields else list(_PHRASE.finditer(text))[-_MOST_STATEMENTS:]:
        if _LISTS.search(phrase[0]) or statements.is_spoken_of(text, phrase.start()):
            continue
        line = text[phrase.end() : phrase.end() + _MOST_STATED].partition("\n")[0]
        sentence = _SENTENCE_END.search(line)
        yield _Statement(phrase.end(), line, "phrase", phrase.end() + (sentence.end() if sentence else len(line)) < len(text))
    *before, last = ["", *(line for line in text.splitlines() if line.strip())]
    if _bare_of(last) and not _bare_of(before[-1] if before else ""):
        yield _Statement(len(text), last, "line", False)
    for called in [] if fields else list(_CALLED_RIGHT.finditer(text))[-_MOST_STATEMENTS:]:
        if not statements.is_spoken_of(text, called.start()):
            yield _Statement(called.end(), next(filter(None, called.groups())), "called right", called.end() < len(text))


def _together(text: str, found: Sequence[_Statement]) -> str:
    """Return the letter that the last of these statements calls right, and those called right within _BREATH before it."""
    first = len(found) - 1
    while first and found[first - 1].way == "called right":
        between = text[found[first - 1].end : found[first].end]
        if len(between) > _BREATH or _CORRECTS.search(between):
            break
        first -= 1
    return "".join(dict.fromkeys(one.text for one in reversed(found[first:])))


def _key(text: str) -> str:
    """Return a choice's text in one spelling, for comparison."""
    return _AROUND_SIGNS.sub(lambda found: found[1] or "", _SPELT.sub(r"\\frac", plain(text))).strip(" .")


class _Choices:
    """The choices of a question, as answers may write them."""

    def __init__(self, texts: Sequence[str] | None) -> None:
        self.letters = ascii_uppercase[: _MOST_UNKNOWN if texts is None else len(texts)]
        self.keys = [_key(text) for text in texts or ()]

    def checked(self, letters: str, way: str, sure: bool) -> Stated:
        """Return the result for these letters: one valid letter, or why there is none."""
        if not letters:
            return Stated(None, "no choice is said to be right")
        if len(letters) > 1:
            return Stated(None, f"several choices are stated: {', '.join(sorted(set(letters)))}")
        return Stated(letters, way, sure) if letters in self.letters else Stated(None, f"{letters} is none of the choices")

    def letters_of(self, statement: _Statement) -> str | None:
        """Return the letters that a statement states, "" if it says that none is right; None if it says nothing about
        choices."""
        if statement.way == "line":
            letter = _bare_of(statement.text)
            return letter if letter and letter in self.letters else None
        if _BLANK.fullmatch(plain(statement.text)):
            return None if statement.way == "phrase" else ""
        ends = [found.start() for found in _SENTENCE_END.finditer(statement.text)][:3] if statement.way == "phrase" else []
        sentence = statement.text[: ends[0]] if ends else statement.text
        for written in (statement.text, *(statement.text[:end] for end in reversed(ends))):
            bare = bare_letter(plain(written))
            if bare and bare in self.letters:
                return bare
            if (letter := self.letter_of_text(written) or self.lettered(written)) is not None:
                return letter
        said = plain(sentence).strip(" .,:;")
        if letters := bare_letter(said) or letters_in(said):
            return letters
        if (why := _AND_WHY.search(sentence)) and (letter := self.letter_of_text(sentence[: why.start()])) is not None:
            return letter
        return "" if _NONE_OF_THEM.search(said) else None

    def letter_of_text(self, text: str) -> str | None:
        """Return the letter of the only choice with this text, in the same case or, if unambiguous, in another."""
        key = _key(text)
        if not key:
            return None
        if key in self.keys:
            return self.letters[self.keys.index(key)]
        folded = [at for at, known in enumerate(self.keys) if known.casefold() == key.casefold()]
        return self.letters[folded[0]] if len({self.keys[at] for at in folded}) == 1 else None

    def lettered(self, text: str) -> str | None:
        """Return the letter of "B. Paris" if B is Paris."""
        found = _LETTERED.match(text)
        if found is None:
            return None
        letter, key = (found[1] or found[2]).upper(), _key(found[3])
        return letter if (letter, key) in zip(self.letters, self.keys, strict=False) else None

    def in_lines(self, lines: Sequence[str]) -> Stated:
        """Return the choice that is a line of its own, that the last lines point at, or whose text is the last line."""
        said = [(at, letter) for at, line in enumerate(lines) if (letter := self._of_line(line, len(lines) == 1)) is not None]
        if said and (len({letter for _, letter in said}) == 1 or self._concludes(lines, [at for at, _ in said])):
            return self.checked(said[-1][1], "line", said[-1][0] < len(lines) - 1)
        last = "\n".join(lines[-_LAST_LINES:])[-statements.TAIL :]
        *_, sentence = ["", *(part for part in _SENTENCE_END.split(last) if part.strip())]
        for some in (sentence, last):
            letters = named_letters(without_rejected(some))
            if len(letters) == 1:
                return self.checked(letters, "named", False)
        letter = self.letter_of_text(_BULLET.sub("", lines[-1])) if lines else None
        return Stated(letter, "text") if letter else Stated(None, "no answer found")

    def _of_line(self, line: str, is_all: bool) -> str | None:
        """Return the letter of a line that is only a choice. If the line `is_all` of the answer, its words may differ."""
        bare = _bare_of(line)
        if bare and bare in self.letters:
            return bare
        found = _LETTERED.match(line) if is_all else None
        return (found[1] or found[2]).upper() if found else self.lettered(line)

    def _concludes(self, lines: Sequence[str], said: Sequence[int]) -> bool:
        """Return whether the last line is a choice, and not the end of a listing of the choices."""
        last = len(lines) - 1
        goes_on = last - 1 in said and (_bare_of(lines[last]) is None) == (_bare_of(lines[last - 1]) is None)
        return said[-1] == last and not goes_on


def _bare_of(line: str) -> str | None:
    return bare_letter(plain(_BULLET.sub("", line)))
