"""The system's Chromium, driven by Playwright, and what every page of ours must be in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser's path; DATAKIT_CHROMIUM names another one than the first that is installed."""
    return os.environ.get("DATAKIT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser without a window. Until it ends no event loop can be started in this thread: build runs before."""
    path = chromium()
    if path is None:
        pytest.skip(f"no Chromium ({', '.join(NAMES)}): apt-get install chromium, or set DATAKIT_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def faults(page: Page) -> list[str]:
    """What axe-core finds on the page: rule, help and the first places."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found]


def requests_of(page: Page) -> list[str]:
    """The addresses that the page asks for from now on; the list grows."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


def screenshot(page: Page, name: str) -> None:
    """A picture for people, where DATAKIT_SCREENSHOTS names a folder for them."""
    if folder := os.environ.get("DATAKIT_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
