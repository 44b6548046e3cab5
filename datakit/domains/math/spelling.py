r"""One spelling for what is only layout in an answer: text in, text out. Nothing is evaluated here.

What is unified: spaces, dollar signs, `\left`, thousands' commas, Unicode signs, the names of \frac and \text, program
notation (`2 pi`, `sqrt(3)`, `x**2`), a trailing full stop.
"""

from __future__ import annotations

import re

_NOISE = re.compile(
    r"(?<!\\)\\[,;: ]|\\(?:left|right|bigl?|bigr|Bigl?|Bigr)(?![a-zA-Z])|\\\$|[$€£]"
    r"|\\(?:displaystyle|quad|qquad|limits|boldsymbol|mathbf)(?![a-zA-Z])|~"
)
_SIGNS = str.maketrans(
    {
        "\u2212": "-", "\u2013": "-", "\u00d7": r"\times ", "\u222a": r"\cup ", "·": r"\cdot ", "÷": r"\div ",
        "°": r"^\circ ", "²": "^2", "³": "^3", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ",
        "±": r"\pm ", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "、": ",", "。": ".",
        **{chr(0xFF01 + at): chr(0x21 + at) for at in range(94)},  # full-width letters, digits and signs
    }
)  # fmt: skip
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\w+))")
_ROOT_OF = re.compile(r"(?<![\\a-zA-Z])sqrt\s*(?:\(([^()]*)\)|(?=\{))")
_NAME = re.compile(r"(?<![\\a-zA-Z])(pi|infty|infinity|theta|alpha|beta)(?![a-zA-Z])")
_SPELLINGS = (
    (re.compile(r"\\(?:t|d|c)frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*\{([^{}]*)\}\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\frac\s*(\\pi|[a-z])\s*(\d|[a-z])(?![\da-z])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\sqrt\s*(\d)"), r"\\sqrt{\1}"),
    (re.compile(r"\\varnothing(?![a-zA-Z])"), r"\\emptyset"),
    (re.compile(r"\\([lg])eq(?:slant)?(?![a-zA-Z])"), r"\\\1e"),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"([+-]?\d+\.\d+|[+-]?\d+(?=[eE][+-]))[eE]\+?(-?\d{1,3})"), r"\1 \\times 10^{\2}"),
    (re.compile(r"(?<![\\\d.])([+-]?\d+) (\d+)/(\d+)(?!\d)"), r"\1\\frac{\2}{\3}"),  # a mixed number
    (re.compile(r"(?<=[\d}])\s*(?:percentage|percent|pct)(?![a-z])", re.IGNORECASE), r"\\%"),
    (re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*(?:percent|\\?%)\s*\}", re.IGNORECASE), r"\\%"),
    (re.compile(r"\\mathrm\s*\{\s*([a-zA-Z])\s*\}"), r"\1"),
)
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:(?:,|\{,\})(?:\\!)?\d{3})+)(?!\d)")
_SPACED_THOUSANDS = re.compile(r"(?<=\d)(?:,?\\!|\\,)(?=\d{3}(?!\d))")
_BRACKETED = re.compile(r"[(\[]|\\\{")
_NOT_DIGITS = re.compile(r"\D+")
_NUMERALS = {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())  # noqa: SIM905
}
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|emph)\s*\{([^{}]*)\}")


def cleaned(text: str) -> str:
    """The text in one spelling; it is still LaTeX, and its commas are as they were."""
    text = text.translate(_SIGNS)
    if text.isdigit():
        return text
    text = _ROOT.sub(lambda match: f"\\sqrt{{{match[1] or match[2]}}}", text)
    text = _ROOT_OF.sub(lambda match: f"\\sqrt{{{match[1]}}}" if match[1] else r"\sqrt", text)
    text = _NAME.sub(lambda match: "\\infty " if match[1] == "infinity" else f"\\{match[1]} ", text)
    text = _SPACED_THOUSANDS.sub("", text).replace("\\!", "")
    text = " ".join(_NOISE.sub(" ", text).split()).rstrip(".,; ").strip("* ")
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    return _NUMERALS.get(text.lower(), text)


def without_thousands(text: str) -> str:
    """Thousands' commas taken out, except in brackets, where (1,200) is a pair."""
    if "," not in text or _BRACKETED.search(text):
        return text
    return _THOUSANDS.sub(lambda match: match[1] + _NOT_DIGITS.sub("", match[2]), text)


def unwrapped(text: str) -> str:
    r"""What \text{...} and its kin hold stands for itself: for comparing words, letters and units."""
    return " ".join(_TEXT.sub(r" \1 ", text).split()) if "\\" in text else text
