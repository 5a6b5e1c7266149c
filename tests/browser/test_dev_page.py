"""What the page script of the dev server does in a page, told by the server's own dev channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from realtime_cli.devserver.overlay import DevChannel
from realtime_cli.devserver.startup import SNIPPET
from runtime import create_app
from runtime.server.settings_source import load_settings
from runtime.testing import RunningServer, eventually, running_server
from tests.browser.conftest import Tabs
from tests.browser.proxy import CuttableProxy, cuttable_proxy

pytestmark = pytest.mark.browser

Write = Callable[[dict[str, str]], Path]

LIVE = """
from runtime import live


@live.public
@live
async def fail(ctx, what: str):
    raise ValueError(what)
"""
PAGE = """<!doctype html>
<html>
  <head>
    <meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">
    <style>* { position: relative; opacity: .9 } button { background: lime }</style>
    <link rel="stylesheet" href="style.css">
    <link rel="stylesheet" href="other.css" media="screen">
  </head>
  <body>
    <h1>page</h1>
    <input id="name">
    <dialog id="dialog">a dialog</dialog>
    <div id="late"></div>
    <script type="module">
      import { fail } from "$live/things.js";
      window.fail = fail;
      window.loadedAt = performance.timeOrigin;
      setTimeout(() => (document.querySelector("#late").style.height = "5000px"), 300);
    </script>
  </body>
</html>
"""
FILES = {
    "live/things.py": LIVE,
    "web/index.html": PAGE,
    "web/style.css": '@import "imported.css";\nh1 { color: rgb(1, 1, 1) }',
    "web/imported.css": "h1 { margin-left: 1px }",
    "web/other.css": "h1 { text-indent: 1px }",
}
SYNTAX = {
    "file": "live/todos.py",
    "line": 3,
    "column": 9,
    "errorType": "SyntaxError",
    "message": "'(' was never closed",
    "hint": "Close the bracket.",
    "excerpt": [[1, "from runtime import live"], [2, ""], [3, "print(a, <b>bold</b>"], [4, "\tx = 1"]],
    "traceback": 'File "live/todos.py", line 3\nSyntaxError: <i>never</i> closed',
}
IMPORT = {
    "file": "live/other.py",
    "line": None,
    "column": None,
    "errorType": "ImportError",
    "message": "No module named 'nothing'",
    "hint": "",
    "excerpt": [],
    "traceback": "",
}


@dataclass
class Dev:
    """A served project with a dev channel."""

    server: RunningServer
    channel: DevChannel
    proxy: CuttableProxy
    web: Path
    tabs: Tabs

    async def open(self) -> Page:
        """Open the page and wait until it listens."""
        page = await self.tabs.open(f"{self.proxy.url}/")
        await eventually(lambda: self.channel.pages == 1)
        return page

    def say(self, *problems: dict[str, Any]) -> None:
        self.channel.set_problems("live", [dict(problem) for problem in problems])

    def save(self, name: str, text: str) -> None:
        (self.web / name).write_text(text, encoding="utf-8")
        static = self.server.runtime.static
        assert static is not None
        static.refresh()


@pytest.fixture
async def dev(project: Write, tabs: Tabs) -> AsyncIterator[Dev]:
    folder = project(FILES)
    settings = load_settings(folder, env_default="dev").settings
    channel = DevChannel("worker-1", settings)
    app = create_app(folder, settings=settings, routes=channel.routes(), page_snippets=[SNIPPET])
    async with running_server(app) as server, cuttable_proxy(server.port) as proxy:
        yield Dev(server, channel, proxy, folder / "web", tabs)
        await tabs.context.close()


def panel(page: Page) -> Locator:
    return page.get_by_role("alertdialog")


async def style(page: Page, name: str) -> str:
    value: str = await page.evaluate(f"getComputedStyle(document.querySelector('h1')).{name}")
    return value


# ---------------------------------------------------------------- overlay


async def test_the_overlay_shows_what_is_wrong_and_goes_by_itself(dev: Dev) -> None:
    page = await dev.open()
    await expect(panel(page)).to_have_count(0)
    dev.say(SYNTAX)
    await expect(panel(page)).to_be_visible()
    for text in ("SyntaxError", "live/todos.py:3", "'(' was never closed", "Close the bracket."):
        await expect(panel(page).get_by_text(text, exact=True)).to_be_visible()
    await expect(panel(page).locator(".row.here")).to_have_text("3print(a, <b>bold</b>")
    await expect(panel(page).locator(".row.caret")).to_have_text("        ^")
    assert await panel(page).locator(".row").count() == 5
    traceback = panel(page).locator(".trace")
    await expect(traceback).to_be_hidden()
    await panel(page).locator("summary").click()
    await expect(traceback).to_have_text(SYNTAX["traceback"])
    dev.say()
    await expect(panel(page)).to_have_count(0)
    assert await page.locator("realtime-dev").count() == 0, "nothing of it stays in the page"


async def test_text_is_never_markup(dev: Dev) -> None:
    page = await dev.open()
    dev.say(
        {**SYNTAX, **dict.fromkeys(("file", "message", "hint", "errorType"), "<img src=x onerror=alert(1)>")}
    )
    await expect(panel(page)).to_be_visible()
    assert await panel(page).locator("img, b:not(.place b), i").count() == 0


async def test_several_problems_are_listed(dev: Dev) -> None:
    page = await dev.open()
    dev.say(SYNTAX, IMPORT)
    await expect(panel(page).locator(".problem")).to_have_count(2)
    await expect(panel(page).get_by_text("No module named 'nothing'")).to_be_visible()
    await expect(panel(page).locator("h1")).to_contain_text("2 problems")
    dev.say(IMPORT)
    await expect(panel(page).locator(".problem")).to_have_count(1)


async def test_the_page_is_covered_whatever_its_styles_and_dialogs(dev: Dev) -> None:
    page = await dev.open()
    await page.evaluate("document.querySelector('#dialog').showModal()")
    dev.say(SYNTAX)
    await expect(panel(page)).to_be_visible()
    box = await page.locator("realtime-dev").bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, size["width"], size["height"])
    top = await page.evaluate("document.elementFromPoint(innerWidth / 2, 200).localName")
    assert top == "realtime-dev"


async def test_escape_puts_it_away_until_something_else_is_wrong(dev: Dev) -> None:
    page = await dev.open()
    await page.focus("#name")
    await page.evaluate(
        "window.escapes = 0; addEventListener('keydown', e => e.key === 'Escape' && escapes++)"
    )
    dev.say(SYNTAX)
    await expect(panel(page)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(panel(page)).to_have_count(0)
    await expect(page.locator("#name")).to_be_focused()
    assert await page.evaluate("escapes") == 0, "the page does not get the key that was not meant for it"
    await page.keyboard.press("Escape")
    assert await page.evaluate("escapes") == 1
    badge = page.get_by_role("button", name="1 problem")
    await badge.click()
    await expect(panel(page)).to_be_visible()
    await panel(page).get_by_role("button", name="Close").click()
    dev.say(SYNTAX, IMPORT)
    await expect(panel(page)).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="2 problems")).to_be_visible()
    dev.say()
    await expect(page.locator("realtime-dev")).to_have_count(0)


async def test_a_page_that_opens_late_shows_what_is_wrong_already(dev: Dev) -> None:
    dev.say(SYNTAX)
    page = await dev.open()
    await expect(panel(page)).to_be_visible()


async def test_it_finds_a_server_that_comes_back_and_keeps_quiet_meanwhile(dev: Dev) -> None:
    page = await dev.open()
    dev.say(SYNTAX)
    await expect(panel(page)).to_be_visible()
    await page.keyboard.press("Escape")
    dev.proxy.cut()
    await eventually(lambda: dev.channel.pages == 0)
    await page.fill("#name", "still works")
    dev.proxy.restore()
    await eventually(lambda: dev.channel.pages == 1)
    await expect(page.get_by_role("button", name="1 problem")).to_be_visible()
    await expect(panel(page)).to_have_count(0)
    dev.say(IMPORT)
    await expect(panel(page)).to_be_visible()
    dev.proxy.cut()
    await eventually(lambda: dev.channel.pages == 0)
    dev.say()
    dev.proxy.restore()
    await expect(panel(page)).to_have_count(0)


async def test_frames_that_make_no_sense_are_ignored(dev: Dev) -> None:
    page = await dev.open()
    for message in ({"kind": "new one"}, {"kind": "error"}, {"kind": "css"}):
        dev.channel._tell(message)
    dev.channel._tell({"kind": "error", "problems": [{}]})
    await expect(panel(page).get_by_text("unknown file")).to_be_visible()


# ---------------------------------------------------------------- style sheets and reload


async def test_a_style_sheet_is_swapped_in_place(dev: Dev) -> None:
    page = await dev.open()
    await page.fill("#name", "typed")
    started = await page.evaluate("loadedAt")
    await page.evaluate(
        """() => {
            window.bare = 0;
            const look = () => {
                if (getComputedStyle(document.querySelector("h1")).color === "rgb(0, 0, 0)") bare++;
                requestAnimationFrame(look);
            };
            look();
        }"""
    )
    for shade in (2, 3):
        dev.save("style.css", f'@import "imported.css";\nh1 {{ color: rgb({shade}, {shade}, {shade}) }}')
        dev.channel.css_changed(["/style.css"])
        await page.wait_for_function(
            f"getComputedStyle(document.querySelector('h1')).color === 'rgb({shade}, {shade}, {shade})'"
        )
    links = page.locator("link[rel=stylesheet]")
    await expect(links).to_have_count(2)
    hrefs = [await links.nth(i).get_attribute("href") or "" for i in range(2)]
    assert "style.css?realtime-dev=" in hrefs[0]
    assert hrefs[1] == "other.css", "the other one is left alone, and the order is kept"
    assert await style(page, "marginLeft") == "1px"
    assert await page.input_value("#name") == "typed"
    assert await page.evaluate("loadedAt") == started
    assert await page.evaluate("bare") == 0, "the page was without its styles for a moment"


async def test_a_sheet_that_another_one_imports_is_renewed(dev: Dev) -> None:
    page = await dev.open()
    dev.save("imported.css", "h1 { margin-left: 7px }")
    dev.channel.css_changed(["/imported.css"])
    await page.wait_for_function("getComputedStyle(document.querySelector('h1')).marginLeft === '7px'")
    await expect(page.locator("link[rel=stylesheet]")).to_have_count(2)


async def test_a_sheet_that_is_gone_leaves_the_old_one(dev: Dev) -> None:
    page = await dev.open()
    (dev.web / "style.css").unlink()
    dev.save("other.css", "h1 { text-indent: 9px }")
    dev.channel.css_changed(["/style.css", "/other.css"])
    await page.wait_for_function("getComputedStyle(document.querySelector('h1')).textIndent === '9px'")
    await expect(page.locator("link[rel=stylesheet]")).to_have_count(2)
    assert await style(page, "color") == "rgb(1, 1, 1)"
    assert await page.locator("link").nth(2).get_attribute("media") == "screen"


async def test_a_page_reloads_and_keeps_its_place_though_its_content_comes_late(dev: Dev) -> None:
    page = await dev.open()
    await page.wait_for_function("document.documentElement.scrollHeight > 4000")
    await page.evaluate("history.scrollRestoration = 'manual'; scrollTo(0, 2500); window.isOld = true")
    dev.channel.page_changed()
    await page.wait_for_function("!window.isOld && scrollY === 2500")
    await page.reload()
    await page.wait_for_function("document.documentElement.scrollHeight > 4000")
    assert await page.evaluate("scrollY") == 0, "the place is used once"


async def test_a_page_that_missed_changes_of_its_files_reloads_when_the_server_is_back(dev: Dev) -> None:
    dev.channel.web = "first"
    page = await dev.open()
    await page.evaluate("window.isOld = true")

    async def reconnect() -> None:
        dev.proxy.cut()
        await eventually(lambda: dev.channel.pages == 0)
        dev.proxy.restore()
        await eventually(lambda: dev.channel.pages == 1)

    await reconnect()
    dev.channel.web = "styles changed"  # and were swapped in place
    dev.channel.css_changed(["/style.css"])
    await expect(page.locator("link[href*=realtime-dev]")).to_have_count(1)
    await reconnect()
    dev.say(SYNTAX)
    await expect(panel(page)).to_be_visible()  # all that came before is taken in
    assert await page.evaluate("isOld")
    dev.channel.web = "something changed"
    await reconnect()
    await page.wait_for_function("!window.isOld")


# ---------------------------------------------------------------- failed calls


async def test_a_failed_call_shows_its_traceback(dev: Dev) -> None:
    page = await dev.open()
    code = await page.evaluate("fail('no <b>luck</b>').catch(error => [error.code, error.message])")
    assert code == ["INTERNAL_ERROR", "Internal server error"]
    toast = page.locator(".toast")
    await expect(toast).to_have_count(1)
    await expect(toast.locator(".message")).to_have_text("ValueError: no <b>luck</b>")
    await expect(toast).to_contain_text("things/fail")
    await toast.locator("summary").click()
    await expect(toast.locator(".trace")).to_contain_text("live/things.py")
    await page.evaluate("fail('no <b>luck</b>').catch(() => {})")
    await expect(toast).to_contain_text("2 times")
    await expect(toast.locator(".trace")).to_be_visible()
    await toast.get_by_role("button", name="Dismiss").click()
    await expect(page.locator("realtime-dev")).to_have_count(0)


async def test_toasts_are_few_and_go_with_escape_or_new_code(dev: Dev) -> None:
    page = await dev.open()
    for number in range(6):
        await page.evaluate(f"fail('{number}').catch(() => {{}})")
    toasts = page.locator(".toast .message")
    await expect(toasts).to_have_text([f"ValueError: {number}" for number in (5, 4, 3, 2)])
    await page.keyboard.press("Escape")
    await expect(toasts).to_have_text([f"ValueError: {number}" for number in (4, 3, 2)])
    await page.locator(".toast").nth(1).locator("summary").click()
    dev.channel.stubs_changed(["things"])
    await expect(toasts).to_have_text(["ValueError: 3"])


async def test_the_client_warns_of_mistakes_under_the_dev_server(dev: Dev) -> None:
    page = await dev.open()
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text) if message.type == "warning" else None)
    await page.evaluate("fail(undefined).catch(() => {})")
    await eventually(lambda: any("argument 1 of 'things/fail' is undefined" in text for text in warnings))
