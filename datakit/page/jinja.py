"""The templates of pages. Every value in them is text that somebody else may have written, and none of it is markup."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from datakit import wording


@cache
def environment() -> Environment:
    """Templates of page/templates, with autoescape; a name that is not given is an error.

    Filters: `inert` for text of others, and how `wording` writes numbers.
    """
    found = Environment(
        loader=PackageLoader("datakit.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    written = ("compact", "counted", "decimal", "duration", "mean", "number", "percent", "share", "shorten")
    found.filters |= {name: getattr(wording, name) for name in written}
    found.filters["inert"] = inert
    return found


def inert(text: object) -> Markup:
    """A text that others wrote, escaped; characters that are not seen, or that would move others about, stand as their numbers.

    >>> str(inert("<b>\\u202e"))
    '&lt;b&gt;<span class="unseen">U+202E</span>'
    """
    shown, at = Markup(), 0
    whole = str(text).replace("\r\n", "\n")
    for found in wording.UNSEEN.finditer(whole):
        mark = Markup('<span class="unseen">U+{:04X}</span>').format(ord(found.group()))
        shown += escape(whole[at : found.start()]) + mark
        at = found.end()
    return shown + escape(whole[at:])
