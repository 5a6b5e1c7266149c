"""The pages that the README and the tutorial show, in two tabs of a real browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.processes import free_port, serving
from tests.docs import examples
from tools.system_tools import CHROMIUM

pytestmark = pytest.mark.browser
TIMEOUT_MS = 10_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = CHROMIUM.find()
    assert chromium, "Chromium is needed: make system"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    examples.start_project(request.param, tmp_path)
    for example in examples.examples_of(request.param):
        if example.file:
            examples.write(example, tmp_path)
    port = free_port()
    command = [sys.executable, "-m", "realtime_cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, port, directory=tmp_path):
        yield f"http://127.0.0.1:{port}/"


def open_tab(browser: Browser, url: str, errors: list[str]) -> Page:
    page = browser.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    return page


@pytest.mark.parametrize("url", ["README.md"], indirect=True)
def test_page_of_the_readme(browser: Browser, url: str) -> None:
    errors: list[str] = []
    one, other = open_tab(browser, url, errors), open_tab(browser, url, errors)
    one.locator("input").fill("milk")
    one.get_by_role("button", name="Add").click()
    expect(other.locator("li")).to_have_text(["milk"])
    other.locator("input").fill("bread")
    other.get_by_role("button", name="Add").click()
    expect(one.locator("li")).to_have_text(["milk", "bread"])
    dialogs: list[str] = []
    one.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    one.locator("input").fill(" ")
    with one.expect_event("dialog"):
        one.get_by_role("button", name="Add").click()
    assert dialogs == ["Write a few words first"]
    assert errors == []


@pytest.mark.parametrize("url", ["docs/tutorial/first-app.md"], indirect=True)
def test_page_of_the_tutorial(browser: Browser, url: str) -> None:
    errors: list[str] = []
    one, other = open_tab(browser, url, errors), open_tab(browser, url, errors)
    one.get_by_label("What to buy").fill("tea")
    one.get_by_role("button", name="Add").click()
    row = other.get_by_text("tea")
    expect(row).to_have_css("text-decoration-line", "none")
    row.click()
    expect(one.get_by_text("tea")).to_have_css("text-decoration-line", "line-through")
    one.get_by_label("What to buy").fill("x" * 81)
    one.get_by_role("button", name="Add").click()
    expect(one.locator("#problem")).not_to_be_empty()
    issues = one.evaluate(
        "async () => { const { tick } = await import('$live/shopping.js');"
        " return tick('seven').catch((error) => [error.code, error.issues.length]); }"
    )
    assert issues == ["VALIDATION", 1]
    greeting = one.evaluate("async () => (await import('$live/notes.js')).hello()")
    assert greeting == "Hello, somebody"
    assert errors == []


@pytest.mark.parametrize("url", ["docs/howto/uploads.md"], indirect=True)
def test_page_of_the_uploads(browser: Browser, url: str, tmp_path: Path) -> None:
    errors: list[str] = []
    one, other = open_tab(browser, url, errors), open_tab(browser, url, errors)
    large, small = tmp_path / "large.bin", tmp_path / "small.txt"
    large.write_bytes(bytes(3_000_000))
    small.write_bytes(b"x" * 100_000)
    one.evaluate(
        """() => {
          window.seen = [];
          const look = () => document.querySelectorAll('#running progress').forEach((bar) => seen.push(bar.value));
          const running = document.querySelector('#running');
          new MutationObserver(look).observe(running, { attributes: true, subtree: true });
        }"""
    )
    one.locator("#files").set_input_files([str(large), str(small)])
    for page in (one, other):
        expect(page.locator("#stored li")).to_have_count(2)
        names = set(page.locator("#stored li").all_text_contents())
        assert names == {"large.bin3.0 MB", "small.txt0.1 MB"}
    expect(one.locator("#running li")).to_have_count(0)
    steps = one.evaluate("[...new Set(seen)]")
    assert len(steps) > 3  # the bar has moved
    assert not list((tmp_path / "stored").glob("*.part"))
    assert errors == []
