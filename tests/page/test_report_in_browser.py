"""The report in Chromium: offline, in the dark, printed, and under a policy that forbids scripts and styles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datakit.audit.inspect import inspect
from datakit.page.report import render_evaluation, render_report
from tests.helpers.browser import faults, requests_of, screenshot
from tests.page.test_report import evaluation

pytestmark = [pytest.mark.browser, pytest.mark.slow]
STRICT = "sandbox; default-src 'none'; style-src 'self'"  # what CI servers say of files that builds have made


@pytest.fixture(scope="module")
def folder(evil_run, tmp_path_factory) -> Path:
    """report.html, two.html (two runs) and evaluation.html."""
    folder = tmp_path_factory.mktemp("pages")
    reports = [inspect(evil_run), inspect(evil_run / "dpo")]
    (folder / "report.html").write_text(render_report(reports[:1]))
    (folder / "two.html").write_text(render_report(reports))
    (folder / "evaluation.html").write_text(render_evaluation({"mine": evaluation()}))
    return folder


@pytest.fixture(scope="module")
def strict_url(folder) -> Iterator[str]:
    """The same files from a server with the strict policy."""

    class Strict(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", STRICT)
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Strict, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["report", "two", "evaluation"])
def test_offline_it_is_whole_and_accessible(browser, folder, name) -> None:
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        asked, said = requests_of(page), []
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        address = (folder / f"{name}.html").as_uri()
        for scheme, expected in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(22, 24, 28)")):
            asked.clear()
            page.emulate_media(color_scheme=scheme)
            page.goto(address)
            screenshot(page, f"{name}-{scheme}")
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert asked == [address] and said == []
            assert faults(page) == [], scheme
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == expected
            # Words in plots have the colour of the page's text; nothing is wider than the page.
            words = page.locator("figure svg text").first.evaluate("one => getComputedStyle(one).fill")
            assert words == page.evaluate("getComputedStyle(document.body).color")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_and_on_a_telephone(browser, folder) -> None:
    with browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        page.goto((folder / "report.html").as_uri())
        screenshot(page, "report-narrow")
        frame = page.get_by_role("region", name="Plot: From prompts to pairs").bounding_box()
        assert frame["x"] + frame["width"] <= 390
        assert page.locator("figure svg").first.bounding_box()["width"] > 800, "it scrolls in its frame, and is not made small"
        page.get_by_text("The numbers: From prompts to pairs").click()
        assert page.get_by_role("cell", name="prompts read").is_visible()


def test_printed_it_is_light_and_open(browser, folder) -> None:
    with browser.new_context(color_scheme="dark") as context:
        page = context.new_page()
        page.goto((folder / "report.html").as_uri())
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.get_by_role("navigation").is_hidden()
        closed = page.locator("details table").first
        assert closed.bounding_box()["height"] > 20, "folded numbers are printed"
        printed = page.pdf(format="A4")
        assert printed.startswith(b"%PDF") and printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 3


def test_under_a_strict_policy_it_reads_and_plots_keep_their_colours(browser, strict_url) -> None:
    with browser.new_context(color_scheme="light") as context:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{strict_url}/report.html")
        screenshot(page, "report-strict")
        refused = [text for text in said if "style" not in text]
        assert refused == [], "only the style sheet is refused"
        assert page.get_by_role("heading", name="From prompts to pairs").is_visible()
        assert page.get_by_role("img").first.bounding_box()["width"] > 300
        with browser.new_context(bypass_csp=True) as free:
            looked = free.new_page()
            looked.goto(f"{strict_url}/report.html")
            fills = looked.evaluate(
                "() => { document.querySelectorAll('style').forEach(one => one.remove());"
                " return [...document.querySelectorAll('figure svg path')].map(one => getComputedStyle(one).fill) }"
            )
        assert "rgb(43, 95, 179)" in fills
