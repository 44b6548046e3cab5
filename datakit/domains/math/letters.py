"""Letters of multiple choice in running text: which one is chosen, and which are only spoken of."""

from __future__ import annotations

import re

CHOICE = r"[A-J]"
_AT_HEAD = re.compile(  # of a statement; A and I may be words
    r"[\s*$]*(?:\\[a-z]+\{\s*)?(?:(?:for sure|definitely|clearly|surely|probably|likely|indeed|still)\s+)?"
    r"(?:(?:option|choice|选项|选)\s*)?"
    r"(?:\(([A-J])\)|([A-J])(?=[.):]\s|[.):*}$\s]*\Z|,|;|\s+(?:because|since|as|and not|but not|rather)\b)"
    r"|([B-HJ])(?![a-zA-Z'^_=+*/\d-])(?!\s*[=+*/^-]))",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\(([A-J])\)|\*\*\s*\(?([A-J])\)?[.:)]?(?:\s[^*\n]{0,80})?\*\*"
    r"|\b(?:[Oo]ptions?|[Cc]hoices?|[Aa]nswers?)\s+(?:is\s+|are\s+)?([A-J])(?![a-zA-Z'])"
    r"|选\s*[:\uff1a]?\s*([A-J])(?![a-zA-Z])|^[ \t]*([A-J])[.)]?[ \t]*$|(?<![a-zA-Z\\{=])([A-J])[.!*)]{0,4}\Z"
    r"|^[ \t]*([A-J])\)\s|\b(?:leav(?:es|ing)|must be|has to be|is|choose|pick|select|[Tt]herefore,?|[Ss]o,?|[Tt]hus,?)"
    r"\s+\(?([B-HJ])(?![a-zA-Z'^_=+*/\d-])(?!\s*[=+*/^-])|^[ \t]*([B-HJ]) is\b",
    re.MULTILINE,
)
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


def letter_at_head(statement: str) -> str | None:
    """The letter that a statement begins with: "B", "(B) 12", "option B because ..."."""
    found = _AT_HEAD.match(statement)
    return next(filter(None, found.groups())).upper() if found else None


def named_letter(text: str) -> str | None:
    """The last letter that is named anywhere, without those that are ruled out or compared with."""
    kept = _REJECTED.sub(" ", _BLANKS.sub(" ", text))
    *_, named = [None, *_NAMED.finditer(kept)]
    return str(next(filter(None, named.groups()))) if named else None
