"""Take the picture of the README: `python -m tools.board_picture` writes `docs/images/board.png`.

Makes the board from its template in a temporary folder, serves it, opens it for two people in a headless Chromium,
lets one of them work, and takes the other's page.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import urllib.parse
import uuid
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.processes import ROOT, free_port, serving
from tools.system_tools import CHROMIUM

TARGET = ROOT / "docs" / "images" / "board.png"
TIMEOUT_MS = 15_000
SETTLE_MS = 1_000


def open_page(browser: Browser, url: str, name: str) -> Page:
    """Open the board as one more person."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="light")
    visitor = urllib.parse.quote(json.dumps({"id": str(uuid.uuid4()), "name": name}))
    context.add_cookies([{"name": "visitor", "value": visitor, "url": url}])
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(url)
    page.get_by_text("Live", exact=True).wait_for()
    return page


def add(page: Page, title: str) -> None:
    """Add a task and wait until it is on the page."""
    page.locator("#title").fill(title)
    page.get_by_role("button", name="Add task").click()
    page.locator(".cards").get_by_text(title).wait_for()


def main() -> int:
    """Take the picture; return 1 when there is no Chromium."""
    chromium = CHROMIUM.find()
    if chromium is None:
        print("Chromium is missing: make system", file=sys.stderr)
        return 1
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "board"
        realtime = [sys.executable, "-m", "realtime_cli"]
        subprocess.run([*realtime, "new", "board", "--project", str(folder), "--quiet"], check=True)
        port = free_port()
        stack.enter_context(serving([*realtime, "serve", "--port", str(port)], port, directory=folder))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        url = f"http://localhost:{port}/"
        ada, grace, alan = (
            open_page(browser, url, name) for name in ("Ada Lovelace", "Grace Hopper", "Alan Turing")
        )
        add(ada, "Order the paper for the print shop")
        add(grace, "Find the moth in relay 70")
        moth = grace.locator(".cards > li").filter(has_text="Find the moth in relay 70")
        moth.hover()
        moth.get_by_role("button", name="Move to Doing").click()
        alan.locator('[data-status="doing"]').get_by_text("Find the moth in relay 70").wait_for()
        add(alan, "Book a room for the reading group")
        ada.locator(".cards").get_by_text("Book a room").wait_for()
        ada.wait_for_timeout(SETTLE_MS)  # the cards have arrived; their entrance is animated
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        ada.screenshot(path=str(TARGET))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
