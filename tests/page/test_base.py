"""The page that all others are made of, in a real browser."""

from __future__ import annotations

import pytest

from datakit.page.jinja import environment
from tests.helpers.browser import faults, requests_of

pytestmark = pytest.mark.browser
PAGE = "{% extends 'base.html' %}{% block title %}A page{% endblock %}{% block main %}<h1>A page</h1>" + (
    "<p>Words <a href='#main'>here</a></p><p class='text'>{{ text | inert }}</p>{% endblock %}"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_accessible_in_both_schemes_and_asks_for_nothing(browser, scheme) -> None:
    page = browser.new_page(color_scheme=scheme)
    asked = requests_of(page)
    page.set_content(environment().from_string(PAGE).render(text="<b>\u202eno\u200b"))
    assert faults(page) == []
    assert (
        page.evaluate("getComputedStyle(document.body).backgroundColor")
        == {
            "light": "rgb(255, 255, 255)",
            "dark": "rgb(22, 24, 28)",
        }[scheme]
    )
    assert page.locator(".text").inner_text() == "<b>U+202EnoU+200B"
    assert asked == []
    page.close()
