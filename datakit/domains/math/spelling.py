r"""Unify the spelling of an answer where it is only layout: text in, text out. Nothing is evaluated here.

What is unified: spaces, dollar signs, `\left`, colours and underlines, thousands' marks, Unicode signs, the names of \frac and
\text, program notation (`2 pi`, `sqrt(3)`, `x**2`, `3e8`), ordinals, millions, repeating decimals, "no solution", a full stop.
"""

from __future__ import annotations

import re

_NOISE = re.compile(
    r"(?<!\\)\\[,;: ]|\\(?:left|right|bigl?|bigr|Bigl?|Bigr)(?![a-zA-Z])|\\\$|[$€£¥₹₩]|\\(?:yen|pounds|euro)(?![a-zA-Z])"
    r"|\\(?:displaystyle|quad|qquad|limits|boldsymbol|mathbf|underline|uline)(?![a-zA-Z])|~"
    r"|\\(?:text)?color(?:box)?\s*(?:\[[a-zA-Z]*\])?\{[^{}]*\}"
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_SIGNS = str.maketrans(
    {
        "\u2212": "-", "\u2013": "-", "\u00d7": r"\times ", "\u222a": r"\cup ", "·": r"\cdot ", "÷": r"\div ",
        "°": r"^\circ ", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
        "±": r"\pm ", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "、": ",", "。": ".", "…": "...",
        "∅": r"\emptyset ", "∈": r"\in ", "θ": r"\theta ", "\u00a0": "~", "\u2009": "~", "\u202f": "~", "￥": "¥", "￦": "₩",
        **{chr(0xFF01 + at): chr(0x21 + at) for at in range(94)},  # full-width letters, digits and signs
    }
)  # fmt: skip
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\w+))")
_ROOT_OF = re.compile(r"(?<![\\a-zA-Z])sqrt\s*(?:\(([^()]*)\)|(?=\{))")
_NAME = re.compile(r"(?<![\\a-zA-Z])(pi|infty|infinity|theta|alpha|beta)(?![a-zA-Z])")
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
_FONT = r"\\(?:text|textnormal|textbf|textit|textrm|textsf|texttt|textup|emph|mbox|mathrm|mathbf|mathit|mathsf|operatorname\*?)"
_SPELLINGS = (  # a substring that the text must contain for the pattern to be tried, the pattern, and its replacement
    ("\\", re.compile(r"\\(?:t|d|c)frac(?![a-zA-Z])"), r"\\frac"),
    ("\\", re.compile(r"\\(?:t|d)binom(?![a-zA-Z])"), r"\\binom"),
    ("\\", re.compile(r"\\(frac|binom)\s*(\d)\s*(\d)(?!\d)"), r"\\\1{\2}{\3}"),
    ("\\", re.compile(rf"\\(frac|binom)\s*{_GROUP}\s*([a-zA-Z\d])(?!\d)"), r"\\\1{\2}{\3}"),
    ("\\", re.compile(r"\\(frac|binom)\s*([a-zA-Z\d])\s*\{"), r"\\\1{\2}{"),
    ("\\", re.compile(r"\\frac\s*(\\pi|[a-z])\s*(\d|[a-z])(?![\da-z])"), r"\\frac{\1}{\2}"),
    ("\\", re.compile(r"\\sqrt\s*(\d)"), r"\\sqrt{\1}"),
    ("\\", re.compile(r"\\varnothing(?![a-zA-Z])"), r"\\emptyset"),
    ("gle", re.compile(r"\\langle(?![a-zA-Z])\s*([^<>]*?)\s*\\rangle(?![a-zA-Z])"), r"(\1)"),
    ("\\", re.compile(r"(?<=[\d}])\s*([MLR])_\{?\s*\\odot\s*\}?"), r" \\text{ solar\1}"),
    ("\\", re.compile(r"\\([lg])eq(?:slant)?(?![a-zA-Z])"), r"\\\1e"),
    ("\\", re.compile(r"\\(?:neq(?![a-zA-Z])|not\s*=)"), r"\\ne "),
    ("!=", re.compile(r"!="), r"\\ne "),
    ("<=", re.compile(r"<="), r"\\le "),
    (">=", re.compile(r"(?<![=<])>="), r"\\ge "),
    ("*", re.compile(r"\*\*"), "^"),
    ("10", re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)"), r" \\times "),
    ("", re.compile(r"(?<![a-zA-Z0-9._])([+-]?\d+(?:\.\d+)?)[eE]\+?(-?\d{1,3})(?![a-zA-Z0-9_.])"), r"\1 \\times 10^{\2}"),
    ("/", re.compile(r"(?<![\\\d.])([+-]?\d+) (\d+)/(\d+)(?![\d/])"), r"\1\\frac{\2}{\3}"),  # a mixed number
    ("p", re.compile(r"(?<=[\d}])\s*(?:percentage|percent|pct)(?![a-z])", re.IGNORECASE), r"\\%"),
    ("%", re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*(?:percent|\\?%)\s*\}", re.IGNORECASE), r"\\%"),
    (
        "\\",
        re.compile(rf"(?<=[\d)}}!])\s*{_FONT}\s*\{{(?!\s*(?:arc)?(?:sin|cos|tan|log|ln|i\s*\}}))(?=[^{{}}]*\}}\s*(?:\^|$))"),
        r" \\text{ ",
    ),
    ("\\", re.compile(r"\\mathrm\s*\{\s*([a-zA-Z])\s*\}"), r"\1"),
    ("_", re.compile(r"_\s*\{?\s*\\(max|min)(?![a-zA-Z])\s*\}?"), r"_{\1}"),
    ("_", re.compile(rf"_\s*\{{\s*{_FONT}\s*\{{\s*(\w+)\s*\}}\s*\}}"), r"_{\1}"),
)
_ABOUT = re.compile(
    r"(?:(?:\\(?:approx|simeq|sim|thickapprox)(?![a-zA-Z])|="
    r"|(?:\\text\s*\{\s*)?(?:about|approximately|approx\.?|roughly)(?![a-z])\s*\}?)\s*)+",
    re.IGNORECASE,
)
_ORDINAL = re.compile(rf"(-?\d[\d,]*)\s*(?:\^\s*)?\{{?\s*(?:{_FONT}\s*\{{)?\s*(?:st|nd|rd|th)\s*\}}{{0,2}}")
_VALUE_IN_TEXT = re.compile(rf"{_FONT}\s*\{{\s*([-+.]?\d[^{{}}]*)\}}")
_ZEROS = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12, "万": 4, "亿": 8}
_LARGE = re.compile(
    rf"(?<![\d.,])(\d[\d,]*(?:\.\d+)?)\s*({_FONT}\s*\{{)?\s*(thousand|million|billion|trillion|万|亿)(?![a-zA-Z])\s*(?(2)(\}}?))"
)
_NOTHING = re.compile(
    r"(?:there\s+(?:is|are)\s+|has\s+)?no\s+(?:real\s+|integer\s+|such\s+)*(?:solutions?|roots)(?:\s+exists?)?|(?:the\s+)?empty\s+set"
    r"|none|无解|空集|\\\{\s*\\\}",
    re.IGNORECASE,
)
_PERIOD = re.compile(r"(-?\d*\.\d*)(?:\((\d{1,20})\)|\\dot\s*\{?(\d)\}?(?:(\d{0,20})\\dot\s*\{?(\d)\}?)?)")
_GOES_ON = re.compile(r"(-?\d*\.\d{1,40})\s*(?:\\[lc]?dots|\.\.\.)")
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:(?:,|\{,\})(?:\\!)?\d{3})+)(?!\d)")
_SPACED_THOUSANDS = re.compile(r"(?<![\d.])(\d{1,3})((?:(?:,?\\!\s*|\\[,; ]\s?|~| )\d{3})+)(?![\d/]|\.\d{1,2}\.| ?\d)")
_BRACKETED = re.compile(r"[(\[]|\\\{")
_NOT_DIGITS = re.compile(r"\D+")
_NUMERALS = {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())  # noqa: SIM905
}
_TEXT = re.compile(_FONT + r"\s*\{([^{}]*)\}")
_PRICE = re.compile(
    r"-?\s*(?P<sign>(?:US|CA|AU)?\s*\\?\$|\\(?:yen|pounds|euro)(?![a-zA-Z])|Rs\.?|[€£¥₹₩])\s*-?[\d.].*"
    r"|.*\d.*?(?P<word>dollars?|cents?|euros?|yen|yuan|won|rupees?|[元円₹₩€])\W*",
    re.DOTALL,
)
_CURRENCIES = {
    "$": "dollar", "\\$": "dollar", "\\yen": "yen", "\\pounds": "pound", "\\euro": "euro", "Rs": "rupee", "€": "euro",
    "£": "pound",    "¥": "yen", "₹": "rupee", "₩": "won", "元": "yuan", "円": "yen",
}  # fmt: skip
_FOREIGN = re.compile(r"(?:(?:US|CA|AU)\s*(?=\\?\$))|(?<![a-zA-Z])Rs\.?\s*(?=\d)|(?<=\d)\s*円")


def cleaned(text: str) -> str:
    """Return the text in one spelling; it is still LaTeX, and its commas are unchanged."""
    text = text.translate(_SIGNS)
    if text.isascii() and text.isdigit():
        return text
    text = _in_ascii(text) if not text.isascii() else text
    text = _ROOT_OF.sub(lambda match: f"\\sqrt{{{match[1]}}}" if match[1] else r"\sqrt", text) if "sqrt" in text else text
    text = _NAME.sub(lambda match: "\\infty " if match[1] == "infinity" else f"\\{match[1]} ", text)
    text = _SPACED_THOUSANDS.sub(lambda match: match[1] + _NOT_DIGITS.sub("", match[2]), text).replace("\\!", "")
    text = _repeating(" ".join(_NOISE.sub(" ", _FOREIGN.sub("", text)).split()))
    text = text.rstrip(".,; ").strip("* ")
    for sign, pattern, spelling in _SPELLINGS:
        if sign in text:
            text = pattern.sub(spelling, text)
    return _in_one_word(text)


def _in_ascii(text: str) -> str:
    text = _SUPERSCRIPT.sub(lambda match: f"^{{{match[0].translate(_SUPERSCRIPTS)}}}", text)
    return _ROOT.sub(lambda match: f"\\sqrt{{{match[1] or match[2]}}}", text)


def _in_one_word(text: str) -> str:
    """Unify an answer that is not a formula: a value in words, an ordinal, a round number, or nothing at all."""
    if about := _ABOUT.match(text):
        text = text[about.end() :]
    if text.startswith("{") and text.endswith("}") and not _BRACES.search(text, 1, len(text) - 1):
        text = text[1:-1].strip()
    if value := _VALUE_IN_TEXT.fullmatch(text):
        text = value[1].strip()
    if ordinal := _ORDINAL.fullmatch(text):
        text = ordinal[1]
    text = _LARGE.sub(_in_digits, text)
    words = unwrapped(text)
    if _NOTHING.fullmatch(words):
        return r"\emptyset"
    return _NUMERALS.get(words.lower(), text)


_BRACES = re.compile(r"[{}]")


def _in_digits(match: re.Match[str]) -> str:
    """Replace "million" by a power of ten; other words of the text (\\text{million dollars}) stay text."""
    power = f"{match[1].replace(',', '')} \\times 10^{{{_ZEROS[match[3]]}}}"
    return power + r"\text{ " if match[2] and not match[4] else power + ("" if match[2] else " ")


def _repeating(text: str) -> str:
    r"""Write every repeating decimal with \overline: 0.1(6), 0.1\dot{6}, 0.1666\ldots; dots after other digits are removed."""
    if "." not in text:
        return text
    if found := _PERIOD.fullmatch(text):
        return f"{found[1]}\\overline{{{found[2] or ''.join(part or '' for part in found.groups()[2:])}}}"
    if found := _GOES_ON.fullmatch(text):
        whole, _, digits = found[1].partition(".")
        for length in range(1, len(digits) // 2 + 1):
            period = digits[-length:]
            times = next(n for n in range(1, len(digits) + 2) if not digits.endswith(period * (n + 1)))
            if times >= 3 or (times == 2 and (length > 1 or len(digits) <= 3)):
                return f"{whole}.{digits[: -length * times]}\\overline{{{period}}}"
        return found[1]
    return text


def currency(text: str) -> str | None:
    """Return the currency of a price as written; None if it has none. A single dollar sign is a currency, two are LaTeX's."""
    if text.isascii() and text.isdigit():
        return None
    text = text.translate(_SIGNS).strip()
    if text.startswith("$") and text.endswith("$"):
        text = text[1:-1].strip()
    found = _PRICE.fullmatch(text)
    if found is None:
        return None
    sign = (found["sign"] or "").removeprefix("US").removeprefix("CA").removeprefix("AU").strip().rstrip(".")
    return _CURRENCIES.get(sign) or _CURRENCIES.get(found["word"] or "") or (found["word"] or "").removesuffix("s") or None


def without_thousands(text: str) -> str:
    """Remove thousands' commas, except in brackets, where (1,200) is a pair."""
    if "," not in text or _BRACKETED.search(text):
        return text
    return _THOUSANDS.sub(lambda match: match[1] + _NOT_DIGITS.sub("", match[2]), text)


def unwrapped(text: str) -> str:
    r"""Replace \text{...} and the like by their content, for comparing words, letters and units."""
    return " ".join(_TEXT.sub(r" \1 ", text).split()) if "\\" in text else text
