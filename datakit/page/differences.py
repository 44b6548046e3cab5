"""Marks where two texts differ, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from markupsafe import Markup

from datakit.page.jinja import inert

RELATED = 0.3
"""Below this share of common words marks do not help, and nothing is marked."""
MOST_WORDS = 3_000  # of either text; longer ones are compared line by line
_WORDS = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")  # a space belongs to the word before it; alone it would match everywhere
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


def differences(chosen: str, rejected: str, always: bool = False) -> tuple[Markup, Markup] | None:
    """Return both texts escaped, with what only one of them has in `ins` and `del`; None if they have too little in common.

    >>> differences("it is 12.", "it is 13.")[1]
    Markup('it is <del>13</del>.')
    """
    words = _WORDS.findall(chosen), _WORDS.findall(rejected)
    if max(map(len, words)) > MOST_WORDS:
        words = _LINES.findall(chosen), _LINES.findall(rejected)
    matcher = SequenceMatcher(None, *words, autojunk=False)
    if not always and (matcher.quick_ratio() < RELATED or matcher.ratio() < RELATED):
        return None
    left, right = Markup(), Markup()
    for kind, a, b, c, d in matcher.get_opcodes():
        one, other = inert("".join(words[0][a:b])), inert("".join(words[1][c:d]))
        if kind == "equal":
            left, right = left + one, right + other
        else:
            left += Markup("<ins>{}</ins>").format(one) if one else one
            right += Markup("<del>{}</del>").format(other) if other else other
    return left, right
