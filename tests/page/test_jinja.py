"""Text that others wrote is never markup, and never unseen."""

from __future__ import annotations

import doctest
import unicodedata

import pytest

from datakit.page import jinja
from datakit.wording import UNSEEN

NASTY = "<script>alert(1)</script>{{ 7 * 7 }}\u202etxt\u200b\x1b[2J\r\n&amp;\ud800"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<i>&", "&lt;i&gt;&amp;"),
        ("a\tb\r\nc\nd", "a\tb\nc\nd"),
        ("\r", '<span class="unseen">U+000D</span>'),
        ("x\u2066y", 'x<span class="unseen">U+2066</span>y'),
        ("\U000e0041", '<span class="unseen">U+E0041</span>'),
        ("❤️ 是 é", "❤️ 是 é"),
    ],
)
def test_inert(text: str, shown: str) -> None:
    assert str(jinja.inert(text)) == shown


def test_every_control_and_format_character_is_seen_but_those_that_belong_to_a_letter() -> None:
    hidden = {chr(at) for at in range(0x110000) if unicodedata.category(chr(at)) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    drawn = {char for char in hidden if not UNSEEN.match(char)} - {"\t", "\n"}
    scripts = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN", "MUSICAL", "SHORTHAND")  # have marks that join, or stand over, letters
    assert {unicodedata.name(char) for char in drawn if not unicodedata.name(char).startswith(scripts)} == set()


def test_a_template_escapes_what_it_is_given() -> None:
    drawn = jinja.environment().from_string("{{ text }}|{{ text | inert }}").render(text=NASTY)
    assert "<script" not in drawn and "49" not in drawn
    assert "\u202e" not in drawn.partition("|")[2]


def test_the_examples_of_the_docstrings() -> None:
    found = doctest.testmod(jinja)
    assert found.attempted > 0 and found.failed == 0
