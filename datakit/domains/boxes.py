r"""`\boxed{...}` and `\fbox{...}` in a text: where they are, and which of them are parts of one answer."""

from __future__ import annotations

import re

_BOX_OR_BRACE = re.compile(r"(\\{1,2}(?:boxed|fbox)\s*\{)|\\.|[{}]", re.DOTALL)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_MOST_BETWEEN = 80  # characters
_LAYOUT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{|\\q?quad(?![a-zA-Z])|\\[,;:! ()\[\]]|[${}~*]")
_NAMED = re.compile(r"(?<![a-zA-Z])\\?[a-zA-Z]{1,7}(?:_\w{1,3})?'?\s*=|=")
_JOINED = re.compile(r"(?:[,;\uff0c\uff1b、]\s*(?:(?:and|or)\b)?|(?:and|or)\b|和|或|与|以及)")
_SAME_SENTENCE = re.compile(r"[,;\uff0c]?\s*(?:(?:and|or|while)\b|和|或|而)[^.\n。]*", re.IGNORECASE)
_OTHER_CASE = re.compile(
    r"[^\n]*[.;\n]\s*(?:and\s+)?(?:if|when|for|case|also|otherwise|another|the other|the second|similarly)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_NEXT_STEP = re.compile(  # or the same value again, or a correction
    r"\b(?:so|thus|hence|therefore|total|altogether|sum|which|because|since|gives?|giving|check|verify|that is|i\.e|actually"
    r"|wait|step|namely|equals?|becomes?|simplif\w*|rather|instead|finally|then (?:we|the)|first)\b"
    r"|因此|所以|=>|\\(?:implies|Rightarrow|to)(?![a-zA-Z])",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"(?:\\[hv]?phantom\s*\{.*\}|\\(?:q?quad|square|Box|[lc]?dots|hspace\s*\{[^{}]*\}|[,;:! ])|[?_.~\s])*", re.DOTALL
)


def boxes(text: str) -> list[tuple[int, int, str]]:
    """Return every closed box, outermost only: (begin, end, content)."""
    if "boxed" not in text and "fbox" not in text:
        return []
    found: list[tuple[int, int, int]] = []
    opened: list[tuple[int, int]] = []  # begin of a brace's command, and begin of a box's content (0: not a box)
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


def last_boxes(text: str) -> tuple[int, int, str] | None:
    r"""Return the last box and those listed with it ("\boxed{1} and \boxed{2}"): (begin, end, content); None without a box."""
    found = boxes(text)
    return _group(text, found, other_cases=False) if found else None


def boxed_reference(text: str) -> str | None:
    """Return the content of the boxes that form the answer of a worked solution, without earlier steps and blanks to fill
    in."""
    found = [box for box in boxes(text) if not _PLACEHOLDER.fullmatch(box[2])]
    return _group(text, found, other_cases=True)[2] if found else None


def balanced(text: str) -> bool:
    """Return whether all braces are balanced."""
    depth = 0
    for match in _BRACE.finditer(text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0


def closing_brace(text: str, opening: int) -> int | None:
    """Return the index of the brace that closes the one at `opening`."""
    depth = 0
    for match in _BRACE.finditer(text, opening):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return None


def _group(text: str, found: list[tuple[int, int, str]], other_cases: bool) -> tuple[int, int, str]:
    first = len(found) - 1
    while first > 0 and _belong_together(text[found[first - 1][1] : found[first][0]], other_cases):
        first -= 1
    contents = list(dict.fromkeys(content for _, _, content in found[first:]))
    return found[first][0], found[-1][1], ", ".join(contents)


def _belong_together(between: str, other_cases: bool) -> bool:
    """Return whether the text between two boxes makes them parts of one answer: a comma, "and", "or", names with "=", few
    words.

    `other_cases`: also accept a sentence that begins another case, as in worked solutions: "If ..., it is 1. If ..., it is 2."
    """
    if len(between) > _MOST_BETWEEN * (2 if other_cases else 1):
        return False
    plain = _NAMED.sub(" ", _LAYOUT.sub(" ", between)).strip()
    if _JOINED.fullmatch(plain.lstrip(". ")) and "\n" not in between.strip(" "):
        return True
    if _NEXT_STEP.search(plain):
        return False
    return bool(_SAME_SENTENCE.fullmatch(plain) or (other_cases and _OTHER_CASE.fullmatch(plain)))
