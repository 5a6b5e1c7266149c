"""The devtools inside a page of the app, under the dev server's page script."""

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
from runtime.core.settings import DevSettings, ServerSettings, Settings
from runtime.testing import RunningServer, running_server
from tests.browser.conftest import Tabs

pytestmark = pytest.mark.browser

Write = Callable[[dict[str, str]], Path]

LIVE = """
# realtime-allow-public: tests
import asyncio
from runtime import LiveError, live

_items = live.keep("items", list)
gate = live.keep("gate", asyncio.Event)


@live.stream("todos", merge="crud", key="id")
async def todos(ctx):
    return _items


@live
async def add(ctx, text: str):
    row = {"id": len(_items) + 1, "text": text, "password": "hush-hush"}
    _items.append(row)
    ctx.publish("todos", "created", row)
    return row


@live
async def refuse(ctx):
    raise LiveError("NOPE", "not today")


@live
async def wait(ctx):
    await gate.wait()


@live.volatile
async def move(ctx, x: int): ...
"""
PAGE = """<!doctype html>
<html>
  <head>
    <meta charset="utf-8"><title>my todos</title><link rel="icon" href="data:,">
    <style>* { color: lime !important; font-size: 40px } table { display: none }</style>
  </head>
  <body>
    <input id="field"><ul></ul>
    <script type="module">
      import { add, move, refuse, todos, wait } from "$live/todos.js";
      todos.subscribe((list) => (document.querySelector("ul").textContent = JSON.stringify(list)));
      window.keys = [];
      addEventListener("keydown", (event) => keys.push(event.key));
      Object.assign(window, { add, move, refuse, wait });
    </script>
  </body>
</html>
"""
#: The files of the devtools that a page has loaded.
LOADED = "performance.getEntriesByType('resource').map(({ name }) => name).filter(name => name.includes('/files/'))"
FILES = {"live/todos.py": LIVE, "web/index.html": PAGE}


@dataclass
class Dev:
    """A served project and a page of it."""

    server: RunningServer
    page: Page

    @property
    def overlay(self) -> Locator:
        return self.page.get_by_role("region", name="Realtime devtools")

    async def toggle(self) -> None:
        await self.page.keyboard.press("Control+Shift+L")

    async def go(self, name: str) -> None:
        await self.overlay.get_by_role("tab", name=name).click()


@pytest.fixture
async def dev(project: Write, tabs: Tabs) -> AsyncIterator[Dev]:
    async with served(project(FILES)) as server:
        page = await tabs.open(f"{server.url}/")
        await expect(page.locator("ul")).to_have_text("[]")
        await page.wait_for_function(f"({LOADED}).length === 1")
        yield Dev(server, page)
        await tabs.context.close()


def served(folder: Path, **settings: Any) -> Any:
    made = Settings(server=ServerSettings(env="dev", shutdown_timeout=0.2), **settings)
    channel = DevChannel("worker-1", made)
    return running_server(create_app(folder, settings=made, routes=channel.routes(), page_snippets=[SNIPPET]))


async def test_it_comes_and_goes_by_its_keys_and_leaves_nothing(dev: Dev) -> None:
    await dev.page.focus("#field")
    await dev.toggle()
    await expect(dev.overlay).to_be_visible()
    await expect(dev.overlay.get_by_role("tab", name="Streams")).to_be_focused()
    await dev.page.keyboard.press("ArrowRight")
    await expect(dev.overlay.get_by_role("tab", name="RPC", selected=True)).to_be_focused()
    await dev.page.keyboard.press("Escape")
    await expect(dev.overlay).to_have_count(0)
    await expect(dev.page.locator("#field")).to_be_focused()
    assert await dev.page.locator("realtime-devtools").count() == 0
    await dev.toggle()
    await expect(dev.overlay).to_be_visible()
    await dev.toggle()
    await expect(dev.overlay).to_have_count(0)
    assert "ArrowRight" not in await dev.page.evaluate("keys"), (
        "the app does not get keys that were not for it"
    )


async def test_nothing_of_it_is_loaded_before_somebody_wants_it(dev: Dev) -> None:
    before = await dev.page.evaluate(LOADED)
    assert [name.rsplit("/", 1)[1] for name in before] == ["door.js"]
    await dev.toggle()
    await expect(dev.overlay).to_be_visible()
    assert len(await dev.page.evaluate(LOADED)) > 3


async def test_streams_show_their_value_their_events_and_earlier_values(dev: Dev) -> None:
    await dev.toggle()
    row = dev.overlay.get_by_role("table", name="Stores").locator("tbody tr")
    for text in ("todos/todos", "crud", "connected"):
        await expect(row).to_contain_text(text)
    await row.click()
    side = dev.overlay.get_by_label("Details")
    for text in ("one", "two"):
        await dev.page.evaluate("text => add(text)", text)
        await expect(side).to_contain_text(f'"{text}"')
    await expect(row).to_contain_text("created")
    await expect(side.locator("summary", has_text="created")).to_have_count(2)
    await side.get_by_label("Earlier values").focus()
    await dev.page.keyboard.press("Home")
    await expect(side.get_by_role("status")).to_contain_text("value 1 of 3")
    await expect(side.locator(".json").first).to_have_text("[]")
    assert "hush-hush" not in await side.inner_text()
    assert dev.server.runtime.subscriptions.count("todos") == 1, "looking is no subscription"


async def test_calls_wait_fail_and_are_answered(dev: Dev) -> None:
    await dev.toggle()
    await dev.go("RPC")
    await dev.page.evaluate("void wait()")
    pending = dev.overlay.get_by_role("table", name="Pending calls").locator("tbody tr")
    await expect(pending).to_contain_text("todos/wait")
    await dev.page.evaluate("refuse().catch(() => {})")
    answered = dev.overlay.get_by_role("table", name="Answered calls").locator("tbody tr")
    await expect(answered.first).to_contain_text("NOPE")
    dev.server.runtime.live.registry.modules["todos"].module.gate.set()
    await expect(pending).to_have_count(0)
    await expect(answered.filter(has_text="todos/wait")).to_contain_text("ok")
    await dev.page.evaluate("move.fireAndForget(3)")
    await dev.go("Volatile")
    await expect(dev.overlay.get_by_role("table").locator("tbody tr")).to_contain_text("[3]")
    await expect(dev.overlay).to_contain_text("0 dropped")
    await dev.go("Connection")
    await expect(dev.overlay.get_by_role("tabpanel")).to_contain_text("open")


async def test_it_can_be_paused_cleared_and_shown_raw(dev: Dev) -> None:
    await dev.toggle()
    await dev.page.evaluate("add('one')")
    await dev.go("RPC")
    answered = dev.overlay.locator("tbody tr").filter(has_text="todos/add")
    await expect(answered).to_have_count(1)
    await dev.overlay.get_by_role("button", name="Pause").click()
    await dev.page.evaluate("add('two')")
    await expect(dev.overlay.get_by_role("button", name="Go on")).to_be_visible()
    await expect(answered).to_have_count(1)
    await dev.overlay.get_by_role("button", name="Clear").click()
    await expect(answered).to_have_count(0)
    await dev.overlay.get_by_role("button", name="Go on").click()
    await dev.overlay.get_by_role("button", name="Pretty").click()
    assert await dev.page.evaluate("localStorage['realtime.devtools.mode']") == "raw"
    await dev.go("Streams")
    await dev.overlay.locator("tbody tr").click()
    await expect(dev.overlay.locator("pre.json").first).to_contain_text('"text": "two"')


async def test_the_styles_of_the_page_do_not_reach_it(dev: Dev) -> None:
    await dev.toggle()
    table = dev.overlay.get_by_role("table", name="Stores")
    await expect(table).to_be_visible()
    size = await table.evaluate("node => getComputedStyle(node).fontSize")
    assert size == "14px"


async def test_it_comes_back_with_the_page(dev: Dev) -> None:
    await dev.toggle()
    await expect(dev.overlay).to_be_visible()
    await dev.page.reload()
    await expect(dev.overlay).to_be_visible()
    await dev.toggle()
    await expect(dev.overlay).to_have_count(0)
    await dev.page.reload()
    await expect(dev.page.locator("ul")).to_have_text("[]")
    await expect(dev.overlay).to_have_count(0)


async def test_without_devtools_the_keys_do_nothing(project: Write, tabs: Tabs) -> None:
    async with served(project(FILES), dev=DevSettings(devtools=False)) as server:
        page = await tabs.open(f"{server.url}/")
        await expect(page.locator("ul")).to_have_text("[]")
        await page.keyboard.press("Control+Shift+L")
        assert await page.evaluate("keys") == ["Control", "Shift", "L"]
        assert await page.locator("realtime-devtools").count() == 0
        await tabs.context.close()


async def test_it_works_under_a_strict_content_policy(project: Write, tabs: Tabs) -> None:
    script = 'import { todos } from "/live/todos.js";\ntodos.subscribe((list) => (document.title = `${list?.length}`))'
    policy = '<meta http-equiv="content-security-policy" content="default-src \'self\'">'
    body = '<body><script type="module" src="app.js"></script></body>'
    text = f'<!doctype html><html><head><meta charset="utf-8">{policy}</head>{body}</html>'
    files = {**FILES, "web/index.html": text, "web/app.js": script}
    async with served(project(files)) as server:
        page = await tabs.open(f"{server.url}/")
        refused: list[str] = []
        page.on(
            "console", lambda message: refused.append(message.text) if "Refused" in message.text else None
        )
        await expect(page).to_have_title("0")
        await page.wait_for_function(f"({LOADED}).length === 1")
        await page.keyboard.press("Control+Shift+L")
        overlay = page.get_by_role("region", name="Realtime devtools")
        await expect(overlay.locator("tbody tr")).to_contain_text("todos/todos")
        assert await overlay.locator("table").evaluate("node => getComputedStyle(node).fontSize") == "14px"
        assert refused == []
        await tabs.context.close()
