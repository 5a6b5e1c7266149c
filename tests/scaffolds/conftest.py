"""Projects made from each template, and a browser to look at them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.cli.commands import realtime
from tools.system_tools import CHROMIUM, advice

PAGE_TIMEOUT_MS = 15_000


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a fresh project from a template."""

    def made(template: str) -> Path:
        folder = tmp_path_factory.mktemp(template)
        ended = realtime("new", "my-app", "--template", template, cwd=folder)
        assert ended.code == 0, ended.err
        return folder / "my-app"

    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("REALTIME_TEST_CHROMIUM") or CHROMIUM.find()
    if path is None:
        pytest.fail(advice([CHROMIUM])) if os.environ.get("CI") else pytest.skip(advice([CHROMIUM]))
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


class Visitors:
    """Opens pages as different people, and keeps what the browser complained about."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []

    def open(self, url: str, *, phone: bool = False, dark: bool = False) -> Page:
        context = self._browser.new_context(
            viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 800},
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            is_mobile=phone,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PAGE_TIMEOUT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._listen)
        page.goto(url)
        return page

    def _listen(self, said: ConsoleMessage) -> None:
        # At its end a test stops the server under the pages that are still open.
        if said.type in ("error", "warning") and "ERR_CONNECTION_REFUSED" not in said.text:
            self.complaints.append(said.text)

    def close(self) -> None:
        for context in self._browser.contexts:
            context.close()


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    made = Visitors(browser)
    yield made
    made.close()
