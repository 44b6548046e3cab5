"""`datakit browse` as people use it: keys, filters, flags and the back button, with JavaScript and without."""

import re

import pytest
from playwright.sync_api import expect

from datakit.store import Flags
from tests.helpers.browser import faults, requests_of, screenshot
from tests.helpers.serving_pages import TOKEN, served
from tests.page.looked_at import make_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATHS = [
    "/",
    "/?reason=any&source=qwen&words=needle",
    "/prompt?id=p%2F01",
    "/flips?better=qwen&worse=llama",
    "/dropped",
    "/failures",
    "/flags",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("browser") / "run")


@pytest.fixture(scope="module")
def site(folder):
    with served(folder) as site:
        yield site


@pytest.fixture(scope="module")
def known(browser, site):
    """The cookies of one who came with the token."""
    context = browser.new_context()
    context.new_page().goto(f"{site}/?token={TOKEN}")
    yield context.storage_state()
    context.close()


@pytest.fixture
def blank(browser, known):
    """A page of one who came with the token before."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, storage_state=known)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("dialog", lambda dialog: pytest.fail(f"a script of a text ran: {dialog.message}"))
    yield page
    context.close()


@pytest.fixture
def page(blank, site):
    blank.goto(f"{site}/?token={TOKEN}")
    return blank


def current(page):
    return page.locator("article[aria-current]").get_attribute("id")


def wait_for_keys(page, current):
    """Until the page that has come listens: its script marks what is current."""
    expect(page.locator("article[aria-current]")).to_have_attribute("id", current)


def standing(folder):
    last = {}
    for row in Flags(folder).rows():
        last[row["target"], row["prompt_id"], row["chosen_id"], row["rejected_id"]] = (row["flag"], row["note"])
    return sorted(last.values(), key=str)


def test_keys_go_through_the_pairs_and_back_finds_them(page, site):
    ids = [article.get_attribute("id") for article in page.locator("article").all()]
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert current(page) == ids[1] and page.url.endswith(f"#{ids[1]}")
    page.keyboard.press("k")
    assert current(page) == ids[0]
    for _ in ids:  # past the end: the next page
        page.keyboard.press("j")
    page.wait_for_url(re.compile("after="))
    following = page.locator("article").first.get_attribute("id")
    expect(page.locator("article[aria-current]")).to_have_attribute("id", following)
    assert following not in ids
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/prompt"))
    assert page.locator("h1").inner_text().startswith("Prompt p/")
    page.go_back()
    expect(page.locator("article[aria-current]")).to_have_attribute("id", following)
    page.keyboard.press("k")  # before the first: the page before, at its end
    page.wait_for_url(re.compile("before="))
    expect(page.locator("article[aria-current]")).to_have_attribute("id", ids[-1])


def test_keys_flag_take_notes_and_undo(page, folder):
    before = standing(folder)
    page.keyboard.press("j")
    first = current(page)
    page.keyboard.press("x")
    expect(page.locator(f"#{first} .said.exclude")).to_contain_text("exclude (pair)")
    wait_for_keys(page, first)  # where one was
    page.keyboard.press("n")
    page.keyboard.type("jkxu wrong unit")  # letters, not keys
    page.keyboard.press("Enter")
    expect(page.locator(f"#{first} .said.exclude")).to_contain_text("jkxu wrong unit")
    wait_for_keys(page, first)
    page.keyboard.press("u")
    expect(page.locator(f"#{first} .said.exclude")).not_to_contain_text("wrong unit")
    wait_for_keys(page, first)
    assert standing(folder) == sorted([*before, ("exclude", None)], key=str)
    page.keyboard.press("Control+x")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_have_attribute("open", "")
    page.locator("#keys").uncheck()
    page.locator("h1").click()
    page.keyboard.press("j")
    page.reload()
    wait_for_keys(page, first)
    assert not page.locator("#keys").is_checked()  # WCAG 2.1.4: they stay off
    page.keyboard.press("x")
    assert standing(folder) == sorted([*before, ("exclude", None)], key=str)


def test_filters_are_an_address_and_back_undoes_them(page, site):
    page.get_by_label("Source").select_option("llama")
    page.get_by_label("Order").select_option("margin")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("source=llama"))
    assert page.locator("article h2").first.inner_text() == "p/00"
    address = page.url
    page.keyboard.press("/")
    page.keyboard.type("needle")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("words=needle"))
    expect(page.locator("article h2")).to_have_text(["p/07"])  # the page looks again by itself until all is searched
    page.go_back()
    page.wait_for_url(address)
    assert page.get_by_label("Source").input_value() == "llama"


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_wrong_for_those_who_do_not_see(blank, site, path):
    asked = requests_of(blank)
    for scheme in ("light", "dark"):
        blank.emulate_media(color_scheme=scheme)
        blank.goto(site + path)
        blank.wait_for_load_state("networkidle")
        assert blank.title() != "pwned"
        assert [one for one in asked if not one.startswith(site)] == []
        assert faults(blank) == [], scheme
        screenshot(blank, f"browse-{PATHS.index(path)}-{scheme}")


def test_all_but_the_keys_works_without_javascript(browser, site, folder):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{site}/?token={TOKEN}")
    page.get_by_label("Source").select_option("qwen")
    page.get_by_role("button", name="Show").click()
    page.locator("article").first.get_by_role("button", name="Keep").click()
    page.wait_for_url(re.compile("source=qwen#p"))
    assert "keep (pair)" in page.locator("article").first.inner_text()
    assert ("keep", None) in standing(folder)
    page.get_by_role("link", name="Later").click()
    page.locator("article h2 a").first.click()
    assert page.locator("h1").inner_text().startswith("Prompt p/")
    context.close()


def test_a_narrow_screen_has_the_answers_one_below_the_other(blank, site):
    blank.set_viewport_size({"width": 390, "height": 800})
    blank.goto(site)
    assert blank.evaluate("document.documentElement.scrollWidth") <= 390
    screenshot(blank, "browse-narrow")
