"""Letters of multiple choice in running text: which one is chosen, and which are only mentioned."""

from __future__ import annotations

import re
import unicodedata

_SOME = (  # letters, with one blank at most in a row: the text has no more
    r"(?:[ ,/]{0,3}(?:(?:or|and|nor|[Oo]ptions?|[Cc]hoices?|the|both|either) )?\(?(?<![a-zA-Z])[A-J](?![a-zA-Z])\)?){1,9}"
)
_REJECTED = re.compile(
    r"(?:\b(?:not|cannot be|isn.t|aren.t|can.t be|neither|rather than|instead of|unlike|because|since"
    r"|(?:rul(?:e|es|ed|ing) out|eliminat(?:e|es|ed|ing)|exclud(?:e|es|ed|ing)|discard(?:s|ed)?|reject(?:s|ed)?)))" + _SOME +
    r"|(?:[Oo]ptions?|[Cc]hoices?)?" + _SOME +
    r" (?:(?:is|are|do|does|would|can|can.t|cannot|has|have) )?(?:fails?|violates?|contradicts?|wrong|incorrect|false"
    r"|too|not|be ruled out|be eliminated"
    r"|be|gives?|impossible)\b"
)  # fmt: skip


_BLANKS = re.compile(r"[ \t]+")


_MARKS = re.compile(r"\*\*|__|[`$]|\\[()\[\]]|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)")
_WRAPPED = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt)|mbox|boxed|fbox|emph|underline|bf|rm)\s*\{([^{}]*)\}"
)
_LAYOUT = re.compile(r"\\(?:left|right|displaystyle|q?quad|[lL]arge|bf|rm)(?![a-zA-Z])|\\[,;:! ]|~")
_QUOTES = re.compile("[\"\u201c\u201d\u300c\u300d]|(?<!\\w)['\u2018]|['\u2019](?!\\w)")
_BRACKETED = r"[(\[{<\u3010]\s?([A-Za-z])\s?[)\]}>\u3011]"
_CALLED = r"(?:(?:the\s+)?(?:option|choice|answer|letter|alternative)s?\b|选项|选择|选)"
_BARE = re.compile(rf"(?:{_CALLED}\s*:?\s*)?(?:{_BRACKETED}|([A-Za-z]))[\s.):\]]*", re.IGNORECASE)
_HEDGED = (
    r"(?:(?:for sure|definitely|clearly|surely|(?:most )?(?:probably|likely)|indeed|still|simply|just|obviously|certainly"
    r"|therefore|thus|hence|actually|now|then|indicated by|given by|labell?ed|represented by|to be)[,\s]+){0,3}"
)
_HEAD = re.compile(
    rf"{_HEDGED}(?P<called>{_CALLED}\s*:?\s*)?(?:{_BRACKETED}(?![A-Za-z0-9])|([A-Z])(?![A-Za-z0-9'^_=+*/\\])"
    r"(?=[.):\]]+(?:\s|\Z)|\s*\Z|\s*[,;]|\s+(?:because|since|as|and not|but not|not|rather|instead|due|given|based)\b"
    r"|\s+[-\u2013\u2014:]\s|\s*\(|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]|(?<![AI])\s+(?:is|are|for|with|which|by|if|when|in|from|according)\b))"
)
_OPTION = re.compile(rf"{_CALLED}\s*:?\s*([A-Z])(?![A-Za-z0-9'^_])")
_JOINED = re.compile(
    r"[\s.)\]]*(?:,|/|&|\+|\b(?:and|or|nor|as well as)\b|和|或|与|及|\u3001)\s*"
    rf"(?:(?:and|or|also|both|maybe|possibly|perhaps)\s+){{0,2}}(?:{_CALLED}\s*)?(?:[(\[]([A-Z])[)\]]|([A-Z])(?![A-Za-z0-9'^_=+*/\\]))(?!\s+(?:is|are|was|does|do|would|can|cannot|has|have)\b)"
)
_POINTED_AT = re.compile(
    r"(?<![A-Za-z0-9}\\])[(\[\u3010]([A-Z])[)\]\u3011](?![A-Za-z0-9])"
    rf"|{_CALLED}\s*:?\s*([A-Z])(?![A-Za-z0-9'^_])|\b(?:i\.e\.,?|namely|is|be|so)\s[(\[]([a-z])[)\]]"
    r"|\b(?:leav(?:es|ing)(?: only)?|must be|has to be|choose|pick|select|[Tt]herefore,?|[Ss]o,?|[Tt]hus,?|[Hh]ence,?"
    r"|but|i\.e\.,?|namely|[Ii]t(?:'s| is))\s+([A-Z])(?=[\s.!)]*(?:\Z|\n)|[.,;]\s)"
)
_CONCLUDES = re.compile(r"[;,.]\s+(?:and )?(?:so|thus|hence|therefore|i\.e\.|namely|but)\b|\bbut\b", re.IGNORECASE)


def unmarked(text: str) -> str:
    """Return a text without Markdown's and LaTeX's marks around words and formulas, with full-width letters and brackets as
    ASCII."""
    return _MARKS.sub("", text if text.isascii() else unicodedata.normalize("NFKC", text))


def plain(statement: str) -> str:
    """Return one statement in the same form, also without LaTeX's commands for text and layout: `\\text{(B)}` is (B)."""
    text = _LAYOUT.sub(" ", _QUOTES.sub("", unmarked(statement)))
    for _ in range(3):
        text = _WRAPPED.sub(r" \1 ", text)
    return _BLANKS.sub(" ", text).strip()


def bare_letter(statement: str) -> str | None:
    """Return the letter of a plain statement that is nothing but a letter: "B", "(b).", "option B"."""
    found = _BARE.fullmatch(statement)
    return (found[1] or found[2]).upper() if found else None


def letters_in(statement: str) -> str:
    """Return the letters that a plain statement states: the one at its start, else those that are named and not ruled out.

    Several if they are joined ("A and C") or if it is unclear which one is meant; "" if there is none.
    """
    head = _HEAD.match(statement)
    if head is None and (called := _OPTION.match(statement)):
        head = called
    if head is not None:
        letters = next(group for group in reversed(head.groups()) if group and len(group) == 1).upper()
        at = head.end()
        while joined := _JOINED.match(statement, at):
            letters += joined[1] or joined[2]
            at = joined.end()
        return letters
    kept = _REJECTED.sub(" ", statement)
    letters = named_letters(kept)
    if len(letters) > 1:
        letters = named_letters(kept[[0, *(found.start() for found in _CONCLUDES.finditer(kept))][-1] :])
    return letters


def named_letters(text: str) -> str:
    """Return the letters that are pointed at anywhere, each once: "(B)", "option B", "leaving B"."""
    return "".join(dict.fromkeys(next(filter(None, found.groups())).upper() for found in _POINTED_AT.finditer(text)))


def without_rejected(text: str) -> str:
    """Return the text without the letters that are ruled out or compared with."""
    return _REJECTED.sub(" ", _BLANKS.sub(" ", text))
