"""`realtime dev` with a real page: edits arrive without a reload, mistakes as an overlay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Tabs
from tests.cli.dev_process import DevProcess, make_project, running, save

pytestmark = pytest.mark.browser

LIVE = """
from runtime import live

@live.public
@live.stream("words", merge="set")
async def words(ctx):
    return ["one"]

@live.public
@live
async def answer(ctx):
    return "old"
"""
PAGE = """<!doctype html>
<html>
  <head>
    <meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">
    <link rel="stylesheet" href="style.css">
  </head>
  <body>
    <h1>first</h1><input><output></output>
    <script type="module">
      import { status } from "$live/client.js";
      import { answer, words } from "$live/todos.js";
      window.app = { answer, status, statuses: [], seen: [] };
      words.subscribe((list) => {
        app.seen.push(list);
        document.querySelector("output").textContent = list?.join() ?? "";
      });
      status.subscribe((value) => app.statuses.push(value));
    </script>
  </body>
</html>
"""


@pytest.fixture
async def dev(tmp_path: Path, tabs: Tabs) -> AsyncIterator[DevProcess]:
    files = {"live/todos.py": LIVE, "web/index.html": PAGE, "web/style.css": "h1 { color: rgb(1, 1, 1) }"}
    with running(make_project(tmp_path, files)) as process:
        yield process
        await tabs.context.close()


async def opened(dev: DevProcess, tabs: Tabs) -> Page:
    """The page, loaded, with something typed into it that a reload would lose."""
    page = await tabs.open(f"http://127.0.0.1:{dev.port}/")
    await expect(page.locator("output")).to_have_text("one")
    await page.fill("input", "typed")
    return page


async def is_same_page(page: Page) -> bool:
    return await page.input_value("input") == "typed"


async def test_edited_code_answers_on_the_open_socket_and_streams_follow(dev: DevProcess, tabs: Tabs) -> None:
    page = await opened(dev, tabs)
    save(dev.project / "live/todos.py", LIVE.replace('"old"', '"new"').replace('["one"]', '["one", "two"]'))
    await expect(page.locator("output")).to_have_text("one,two")
    assert await page.evaluate("app.answer()") == "new"
    assert await page.evaluate("app.seen") == [None, ["one"], ["one", "two"]], "no empty value in between"
    assert await page.evaluate("app.statuses") == ["connecting", "open"]
    assert await is_same_page(page)


async def test_a_mistake_shows_as_overlay_and_the_old_code_answers(dev: DevProcess, tabs: Tabs) -> None:
    page = await opened(dev, tabs)
    save(dev.project / "live/todos.py", LIVE.replace("async def answer(ctx):", "async def answer(ctx:"))
    overlay = page.get_by_role("alertdialog")
    await expect(overlay).to_be_visible()
    await expect(overlay).to_contain_text("SyntaxError")
    await expect(overlay).to_contain_text("live/todos.py:11")
    await expect(overlay.locator(".row.here")).to_contain_text("async def answer(ctx:")
    assert await page.evaluate("app.answer()") == "old"
    save(dev.project / "live/todos.py", LIVE.replace('"old"', '"right"'))
    await expect(overlay).to_have_count(0)
    assert await page.evaluate("app.answer()") == "right"
    assert await is_same_page(page)


async def test_a_stream_that_failed_loads_when_its_code_is_mended(dev: DevProcess, tabs: Tabs) -> None:
    save(dev.project / "live/todos.py", LIVE.replace('return ["one"]', 'raise KeyError("gone")'))
    dev.wait_event("reload")
    page = await tabs.open(f"http://127.0.0.1:{dev.port}/")
    await expect(page.locator(".toast .message")).to_have_text("KeyError: 'gone'")
    save(dev.project / "live/todos.py", LIVE)
    await expect(page.locator("output")).to_have_text("one")
    await expect(page.locator(".toast")).to_have_count(0)


async def test_styles_swap_in_place_and_other_files_reload_the_page(dev: DevProcess, tabs: Tabs) -> None:
    page = await opened(dev, tabs)
    save(dev.project / "web/style.css", "h1 { color: rgb(2, 2, 2) }")
    await page.wait_for_function("getComputedStyle(document.querySelector('h1')).color === 'rgb(2, 2, 2)'")
    assert await is_same_page(page)
    save(dev.project / "web/index.html", PAGE.replace("<h1>first", "<h1>second"))
    await expect(page.locator("h1")).to_have_text("second")


async def test_a_new_worker_takes_over_and_the_page_is_back_within_a_second(
    dev: DevProcess, tabs: Tabs
) -> None:
    page = await opened(dev, tabs)
    await page.evaluate(
        "app.statuses.length = 0; void app.status.subscribe(s => (app[s] ??= performance.now()))"
    )
    save(dev.project / "hooks.py", "async def init(**_):\n    pass\n")
    await page.wait_for_function("app.statuses.at(-1) === 'open' && app.statuses.includes('disconnected')")
    waited = await page.evaluate("app.connecting - app.disconnected")
    assert 50 <= waited < 1000
    assert await page.evaluate("app.answer()") == "old"
    await expect(page.locator("output")).to_have_text("one")
    assert await is_same_page(page)


async def test_the_devtools_go_on_with_the_new_worker(dev: DevProcess, tabs: Tabs) -> None:
    page = await opened(dev, tabs)
    tools = await tabs.open(f"http://127.0.0.1:{dev.port}/__realtime#frames")
    await expect(tools.locator(".dot.good")).to_be_visible()
    answers = tools.locator("tbody tr").filter(has_text="todos/answer").filter(has_text="reply")
    await page.evaluate("app.answer()")
    await expect(answers).to_have_count(1)
    save(dev.project / "live/todos.py", LIVE.replace('"old"', '"new"'))
    await expect(tools.get_by_text("code 2")).to_be_visible()
    save(dev.project / "hooks.py", "async def init(**_):\n    pass\n")
    await expect(tools.get_by_text("code 1")).to_be_visible()
    assert await page.evaluate("app.answer()") == "new"
    await expect(answers).to_have_count(2)
    await page.bring_to_front()
    await page.keyboard.press("Control+Shift+L")
    await expect(page.get_by_role("region", name="Realtime devtools")).to_contain_text("todos/words")
    assert not [event for event in dev.events("http") if "/__realtime/" in event["path"]], (
        "nobody wants to read of that"
    )
