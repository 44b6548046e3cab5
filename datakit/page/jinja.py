"""The templates of pages. Every value may be text that somebody else has written, so no value is markup."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from datakit import wording


@cache
def environment() -> Environment:
    """Return the environment of page/templates, with autoescape; an undefined name is an error.

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
    """Return foreign text escaped; characters that are invisible or that reorder others are shown as their code points.

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
