"""How numbers, names and other people's texts are formatted for a reader, in a terminal and on a page."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

NAME_CHARS = 24
_PLURAL = re.compile(r"s\b")
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls except tab and line feed
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e"
    r"\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"  # Unicode's Default_Ignorable_Code_Point except U+FE0F, which makes emoji
    r"\ud800-\udfff]"  # lone surrogates
)
"""Characters that are invisible or reorder others: controls, bidirectional marks, zero-width characters."""


def short_names(models: Iterable[str], most: int = NAME_CHARS) -> dict[str, str]:
    """Return each model's last path parts, as many as distinguish it from the others.

    A name longer than `most` characters is cut to its beginning and end, if these still distinguish it.

    >>> short_names(["../data/micro/llama", "../data/micro/qwen2"])
    {'../data/micro/llama': 'llama', '../data/micro/qwen2': 'qwen2'}
    """
    parts = {model: PurePosixPath(model).parts or (model,) for model in models}

    def tail(model: str) -> str:
        for n in range(1, len(parts[model])):
            if sum(other[-n:] == parts[model][-n:] for other in parts.values()) == 1:
                return "/".join(parts[model][-n:])
        return model

    for chars in (most, NAME_CHARS):
        shortened = {model: shorten_name(tail(model), chars) for model in parts}
        if len(set(shortened.values())) == len(parts):
            return shortened
    return {model: tail(model) for model in parts}


def shorten_name(name: str, most: int) -> str:
    """Return the beginning and the end of a long name: models differ in both.

    >>> shorten_name("Mistral-Large-Instruct-2407", 16)
    'Mistral..ct-2407'
    """
    half = (most - 2) // 2
    return name if len(name) <= most else f"{name[:half]}..{name[-half:]}"


def shorten(text: str, most: int) -> str:
    """Return the beginning and the end of a long text: the answer is at the end."""
    text = text.strip()
    if len(text) <= most:
        return text
    head, tail = text[: most * 2 // 3].rstrip(), text[-most // 3 :].lstrip()
    return f"{head} [... {len(text) - len(head) - len(tail):,} characters ...] {tail}"


def span(low: float | None, high: float | None, written: Callable[[float], str]) -> str:
    """Format an interval; an end that is None is open.

    >>> span(0.01, None, str)
    '0.01..inf'
    """
    return f"{'-inf' if low is None else written(low)}..{'inf' if high is None else written(high)}"


def counted(n: int, things: str) -> str:
    """Format a number of things. `things` is in the plural: for one, the first word that ends in s loses it.

    >>> counted(1_000, "pairs"), counted(1, "lines of another recipe")
    ('1,000 pairs', '1 line of another recipe')
    """
    return f"{n:,} {things if n != 1 else _PLURAL.sub('', things, count=1)}"


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: the nearest known word, or nothing if none is near.

    >>> did_you_mean("same_sorce", ["same_source", "any_source"])
    "; did you mean 'same_source'?"
    """
    near = difflib.get_close_matches(str(given), list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def percent(part: int | None, whole: int | None) -> str:
    return f"{part / whole:.0%}" if part is not None and whole else "-"


def share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else decimal(value)


def compact(value: float) -> str:
    """Format a number in at most six characters, up to a million millions.

    >>> [compact(value) for value in (0, 0.25, 12.34, 512.0, 9999, 12_345, 1_234_567, 5_000_000_000)]
    ['0', '0.2', '12', '512', '9,999', '12.3k', '1.23M', '5.00G']
    """
    if 0 < value < 9.95:
        return str(value) if isinstance(value, int) else f"{value:.1f}"
    for least, size, unit in ((0.9995e9, 1e9, "G"), (0.9995e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}{unit}"
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Format seconds as a clock does.

    >>> [duration(seconds) for seconds in (7, 83.4, 3_725, 200_000)]
    ['0:07', '1:23', '1:02:05', '2d 07h']
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24:02}h"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def mean(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def decimal(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
