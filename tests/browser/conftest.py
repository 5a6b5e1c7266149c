"""Chromium for the browser tests: the system's own, headless, one per test file."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS = 15_000


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium to drive, from `REALTIME_TEST_CHROMIUM` or the search path."""
    found = os.environ.get("REALTIME_TEST_CHROMIUM") or shutil.which("chromium")
    if found is None:
        message = "Chromium is missing: `make test` installs it, or set REALTIME_TEST_CHROMIUM to its path"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


@pytest.fixture(scope="module")
async def browser(chromium_path: str, anyio_backend: str) -> AsyncIterator[Browser]:
    """A running browser."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
def no_leaked_tasks(browser: Browser, no_leaked_tasks: None) -> None:
    """Start the browser before the tasks are counted: its own outlive the test."""


class Tabs:
    """Opens tabs of one browser profile and keeps what went wrong in them."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.errors: list[str] = []

    async def open(self, url: str | None = None) -> Page:
        """Open a tab, at `url` if one is given."""
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(f"{error}"))
        if url is not None:
            await page.goto(url)
        return page


@pytest.fixture
async def tabs(browser: Browser) -> AsyncIterator[Tabs]:
    """Tabs of a fresh profile; an exception that no script caught fails the test."""
    context = await browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    opened = Tabs(context)
    yield opened
    await context.close()
    assert opened.errors == [], "uncaught in the page"


@pytest.fixture
def project(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Write the files of an app and give its folder."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write
