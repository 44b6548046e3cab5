"""The pictures of README: what `datakit report` and `datakit browse` show of a run, in the system's Chromium.

    python docs/making/pictures.py runs/math            (make pictures builds the run first)

Writes docs/pictures/report.png and docs/pictures/browse.png. DATAKIT_CHROMIUM names another browser than the first that is
installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parents[1] / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1100


def main(run: Path) -> None:
    """Draw both pictures of a run."""
    report = run / "report.html"
    subprocess.run([sys.executable, "-m", "datakit", "report", run, "-o", report], check=True)
    chromium = os.environ.get("DATAKIT_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        sys.exit(f"no Chromium ({', '.join(BROWSERS)}): apt-get install chromium, or set DATAKIT_CHROMIUM")
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright, browsing(run) as address:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 700}, color_scheme="light")
        page.goto(report.absolute().as_uri())
        picture(page, "report", "Is the judge right, and from which margin on?", 780, 425)
        page.goto(address)
        picture(page, "browse", "micro-math/", WIDTH, 510)
        browser.close()


@contextmanager
def browsing(run: Path) -> Iterator[str]:
    """The address of `datakit browse` over the run, as long as the block takes."""
    command = [sys.executable, "-m", "datakit", "browse", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        try:
            found = (re.search(r"http://\S+", line) for line in server.stdout)
            yield next(match[0] for match in found if match)
        finally:
            server.terminate()


def picture(page: Page, name: str, top: str, width: int, height: int) -> None:
    """So much of the page as a PNG, from the first line on that holds these words."""
    page.get_by_text(top).first.evaluate("line => window.scrollTo(0, line.getBoundingClientRect().top + scrollY - 16)")
    page.screenshot(path=PICTURES / f"{name}.png", clip={"x": 0, "y": 0, "width": width, "height": height})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
