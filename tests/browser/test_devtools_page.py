"""The page `/__realtime` in a browser: its tabs, its forms, its recorded sessions."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Error, Locator, Page, expect

from realtime_cli.devserver.overlay import DevChannel
from realtime_cli.devserver.startup import SNIPPET
from runtime import create_app
from runtime.core.settings import DevtoolsSettings, ServerSettings, Settings
from runtime.server.settings_source import load_settings
from runtime.testing import RunningServer, eventually, running_server
from tests.browser.conftest import TIMEOUT_MS, Tabs

pytestmark = pytest.mark.browser

Write = Callable[[dict[str, str]], Path]

LIVE = """
# realtime-allow-public: tests
import asyncio
from typing import Literal

import msgspec
from runtime import Lifetime, LiveError, Reducer, live

_items = live.keep("items", dict)
gate = live.keep("gate", asyncio.Event)


class Item(msgspec.Struct):
    text: str
    priority: Literal["low", "high"] = "low"


@live.stream("todos", merge="crud", key="id")
async def todos(ctx):
    return list(_items.values())


@live
async def add(ctx, item: Item):
    if not item.text:
        raise LiveError("EMPTY", "Write something first")
    row = {"id": len(_items) + 1, "text": item.text, "password": "hush-hush"}
    _items[row["id"]] = row
    ctx.publish("todos", "created", row)
    return row


@live
async def search(ctx, text: str, limit: int = 10, exact: bool = False, order: Literal["new", "old"] = "new"):
    return [text, limit, exact, order]


@live
async def wait(ctx):
    await gate.wait()
    return "done"


@live.cron("0 0 1 1 *", tz="UTC")
async def year(ctx): ...


class Counted(live.Aggregate):
    source, topic = "todos", "counted"
    windows = {"total": Lifetime()}
    count = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1)


board = live.room(
    topic=lambda id: f"board:{id}", init=lambda ctx, id: [], presence=lambda ctx: {"name": ctx.user["name"]}
)
"""
HOOKS = """
def upgrade(ctx):
    return {"id": "ada", "name": "Ada", "token": "hush-hush"}
"""
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>my todos</title><link rel="icon" href="data:,"></head>
  <body>
    <ul></ul>
    <script type="module">
      import { add, board, todos, wait } from "$live/todos.js";
      todos.subscribe((list) => (document.querySelector("ul").textContent = JSON.stringify(list)));
      board.data("kitchen").subscribe(() => {});
      Object.assign(window, { add, wait });
    </script>
  </body>
</html>
"""
FILES = {"live/todos.py": LIVE, "hooks.py": HOOKS, "web/index.html": PAGE}
TABS = (
    "Connections", "Topics", "Frames", "Calls", "Stores", "Presence", "Cron", "Aggregates", "Pressure", "Paths",
    "Time travel",
)  # fmt: skip


@dataclass
class Dev:
    """A served project, its devtools page and a page of the app."""

    server: RunningServer
    tabs: Tabs
    page: Page
    app: Page

    async def go(self, name: str) -> Locator:
        """Choose a tab; return its panel."""
        await self.page.get_by_role("tab", name=re.compile(f"^{name}")).click()
        return self.page.get_by_role("tabpanel")


@pytest.fixture
async def dev(project: Write, tabs: Tabs) -> AsyncIterator[Dev]:
    folder = project(FILES)
    settings = load_settings(folder, env_default="dev").settings
    channel = DevChannel("worker-1", settings)
    app = create_app(folder, settings=settings, routes=channel.routes(), page_snippets=[SNIPPET])
    async with running_server(app) as server:
        page = await tabs.open(f"{server.url}/__realtime")
        await expect(page.locator(".dot.good")).to_be_visible()
        visited = await tabs.open(f"{server.url}/")
        await expect(visited.locator("ul")).to_have_text("[]")
        await page.bring_to_front()
        yield Dev(server, tabs, page, visited)
        await tabs.context.close()


async def test_connections_and_topics_are_shown_with_their_details(dev: Dev) -> None:
    panel = await dev.go("Connections")
    row = panel.locator("tbody tr")
    await expect(row).to_contain_text("Ada")
    await row.click()
    side = panel.get_by_label("Connection", exact=True)
    await expect(side).to_contain_text("board:kitchen")
    await expect(side).to_contain_text("[REDACTED]")
    panel = await dev.go("Topics")
    topics = panel.locator("tbody tr")
    await expect(topics.filter(has_text="todos/todos")).to_contain_text("crud")
    await panel.get_by_role("searchbox").fill("kitchen")
    await expect(topics.filter(has_text="board:kitchen")).to_have_count(await topics.count())
    await panel.get_by_role("searchbox").fill("nothing like it")
    await expect(topics).to_have_count(0)
    assert "hush-hush" not in await dev.page.content()


async def test_frames_come_by_themselves_and_can_be_filtered(dev: Dev) -> None:
    panel = await dev.go("Frames")
    await dev.app.evaluate("add({ text: 'buy milk' })")
    await dev.app.evaluate("add({ text: '' }).catch(() => {})")
    rows = panel.get_by_role("table", name="Frames").locator("tbody tr")
    await expect(rows.filter(has_text="buy milk").first).to_be_visible()
    await expect(rows.filter(has_text="EMPTY")).to_be_visible()
    await panel.get_by_label("Only failures").check()
    await expect(rows).to_have_count(1)
    await panel.get_by_label("Only failures").uncheck()
    await panel.get_by_role("searchbox").fill("created")
    await expect(rows).to_have_count(1)
    await rows.click()
    side = panel.get_by_label("Frame", exact=True)
    await expect(side).to_contain_text("1 connection")
    await expect(side).to_contain_text('"[REDACTED]"')
    for name in ("→ in", "← out", "⇶ publish"):
        await panel.get_by_label(name).uncheck()
    await expect(panel.get_by_text("No frame yet that fits")).to_be_visible()


async def test_while_paused_the_frames_stand_still(dev: Dev) -> None:
    panel = await dev.go("Frames")
    await panel.focus()
    await dev.page.keyboard.press("Space")
    await expect(dev.page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
    before = await panel.locator("tbody tr").count()
    await dev.app.evaluate("add({ text: 'later' })")
    await eventually(lambda: any(b"later" in bytes(one) for one in dev_frames(dev)))
    assert await panel.locator("tbody tr").count() == before
    await dev.page.get_by_role("button", name="Go on").click()
    await expect(panel.locator("tbody tr").filter(has_text="later").first).to_be_visible()
    await dev.page.get_by_role("button", name="Clear").click()
    await expect(panel.locator("tbody tr")).to_have_count(0)


def dev_frames(dev: Dev) -> list[bytes]:
    assert dev.server.runtime.devtools is not None
    return [bytes(one) for one in dev.server.runtime.devtools.recorder.frames.after(0, 1000)]


async def test_calls_wait_and_are_answered(dev: Dev) -> None:
    panel = await dev.go("Calls")
    await dev.app.evaluate("void wait()")
    pending = panel.get_by_role("table", name="Pending calls").locator("tbody tr")
    await expect(pending).to_contain_text("todos/wait")
    dev.server.runtime.live.registry.modules["todos"].module.gate.set()
    await expect(pending).to_have_count(0)
    answered = panel.get_by_role("table", name="Results").locator("tbody tr").filter(has_text="todos/wait")
    await expect(answered).to_contain_text("ok")
    await answered.click()
    await expect(panel.get_by_label("Call", exact=True)).to_contain_text('"done"')


async def test_the_stores_of_the_open_pages_are_shown_with_their_earlier_values(dev: Dev) -> None:
    panel = await dev.go("Stores")
    await expect(panel.get_by_role("heading", name="my todos")).to_be_visible()
    store = panel.locator("tbody tr").filter(has_text="todos/todos")
    await store.click()
    side = panel.get_by_label("Store", exact=True)
    await expect(side).to_contain_text("connected")
    for text in ("one", "two"):
        await dev.app.evaluate("text => add({ text })", text)
        await expect(side).to_contain_text(f'"{text}"')
    slider = side.get_by_label("Earlier values")
    await slider.focus()
    await dev.page.keyboard.press("ArrowLeft")
    await expect(side.get_by_role("status")).to_contain_text("value 2 of 3")
    await expect(side.locator(".json").first).not_to_contain_text("two")
    await expect(side).to_contain_text("[REDACTED]")
    assert "hush-hush" not in await side.inner_text()


async def test_people_jobs_aggregates_and_gauges_are_shown(dev: Dev) -> None:
    panel = await dev.go("Presence")
    await expect(panel.locator(".panel")).to_contain_text("board:kitchen")
    await expect(panel.locator(".panel")).to_contain_text("Ada")
    panel = await dev.go("Cron")
    await expect(panel.locator("tbody tr")).to_contain_text("todos/year")
    await expect(panel.locator("tbody tr")).to_contain_text("not yet")
    await dev.app.evaluate("add({ text: 'counted' })")
    panel = await dev.go("Aggregates")
    await expect(panel).to_contain_text("counted:total")
    await expect(panel).to_contain_text("count: 1")
    panel = await dev.go("Pressure")
    for text in ("Memory", "Loop lag", "no pressure", "MAX_TOPICS"):
        await expect(panel.get_by_text(text, exact=True)).to_be_visible()


async def test_a_path_is_called_by_a_form_made_of_its_schema(dev: Dev) -> None:
    panel = await dev.go("Paths")
    await panel.get_by_role("button", name="search rpc").click()
    await panel.get_by_label("text str").fill("milk")
    await panel.get_by_label("order").select_option("old")
    await panel.get_by_role("button", name="Call").click()
    result = panel.locator(".result").first
    await expect(result).to_contain_text("ok")
    await expect(result.locator(".json").last).to_contain_text('0: "milk"')
    await expect(result.locator(".json").last).to_contain_text('3: "old"')
    await expect(result.locator(".json").last).to_contain_text("1: 10")
    await panel.get_by_role("button", name="add rpc").click()
    field = panel.get_by_label("item")
    assert json.loads(await field.input_value()) == {"text": ""}, "what has to be there to begin with"
    await panel.get_by_role("button", name="Call").click()
    await expect(panel.locator(".result").first).to_contain_text("EMPTY")
    await field.fill("{")
    await panel.get_by_role("button", name="Call").click()
    await expect(panel.get_by_role("alert")).to_contain_text("no JSON")
    await expect(field).to_be_focused()
    await field.fill('{"text": 5}')
    await panel.get_by_role("button", name="Call").click()
    await expect(panel.locator(".result").first).to_contain_text("VALIDATION")


async def test_a_stream_is_followed_as_long_as_wanted(dev: Dev) -> None:
    panel = await dev.go("Paths")
    await panel.get_by_role("button", name="todos stream").click()
    await panel.get_by_role("button", name="Subscribe").click()
    result = panel.locator(".result").first
    await expect(result).to_contain_text("connected")
    subscriptions = dev.server.runtime.subscriptions
    assert subscriptions.count("todos") == 2
    await dev.app.evaluate("add({ text: 'seen' })")
    await expect(result).to_contain_text('"seen"')
    await result.get_by_role("button", name="Stop").click()
    await expect(result).to_contain_text("ended")
    await eventually(lambda: subscriptions.count("todos") == 1)


async def test_a_session_is_recorded_saved_loaded_and_travelled(dev: Dev, tmp_path: Path) -> None:
    panel = await dev.go("Paths")
    await panel.get_by_role("button", name="todos stream").click()
    panel = await dev.go("Time travel")
    await panel.get_by_role("button", name="Record").click()
    await dev.app.reload()
    await expect(dev.app.locator("ul")).to_have_text("[]")
    for text in ("one", "two", "three"):
        await dev.app.evaluate("text => add({ text })", text)
    await expect(panel.get_by_role("status")).to_contain_text(re.compile(r"recording: \d\d frames"))
    await eventually(lambda: any(b"three" in one for one in dev_frames(dev)))
    await dev.page.wait_for_timeout(1200)  # real time: the page asks once a second
    await panel.get_by_role("button", name="Stop").click()
    values = panel.locator(".panel").filter(has_text="Values of streams")
    await expect(values).to_contain_text("3 events")
    async with dev.page.expect_download() as waiting:
        await panel.get_by_role("button", name="Save").click()
    file = tmp_path / "session.json"
    await (await waiting.value).save_as(file)
    assert "hush-hush" not in file.read_text(encoding="utf-8")
    await dev.page.reload()
    panel = dev.page.get_by_role("tabpanel")
    await expect(panel.get_by_text("Record while you use the app")).to_be_visible()
    await panel.locator("input[type=file]").set_input_files(file)
    values = panel.locator(".panel").filter(has_text="Values of streams")
    await expect(values).to_contain_text("3 events")
    await panel.get_by_role("button", name="First frame").click()
    await expect(panel).to_contain_text("frame 1 of")
    await expect(values).to_contain_text("No stream was loaded")
    for _ in range(60):
        if "1 event" in await values.inner_text():
            break
        await panel.get_by_role("button", name="Next frame").click()
    await expect(values).to_contain_text('text: "one"')
    await expect(values).not_to_contain_text('"two"')
    await panel.locator("input[type=file]").set_input_files(
        {"name": "other.json", "mimeType": "application/json", "buffer": b'{"a": 1}'}
    )
    await expect(panel.get_by_role("status").first).to_contain_text("other.json cannot be loaded")


async def test_everything_is_reached_by_the_keyboard(dev: Dev) -> None:
    tabs = dev.page.get_by_role("tab")
    await expect(tabs).to_have_count(len(TABS))
    await tabs.first.focus()
    for name in TABS[1:]:
        await dev.page.keyboard.press("ArrowDown")
        tab = dev.page.get_by_role("tab", selected=True)
        await expect(tab).to_contain_text(name)
        await expect(tab).to_be_focused()
        await expect(dev.page).to_have_title(f"{name} · Realtime devtools")
    await dev.page.keyboard.press("Home")
    await expect(tabs.first).to_have_attribute("aria-selected", "true")
    await dev.page.keyboard.press("/")
    await expect(dev.page.get_by_role("searchbox")).to_be_focused()
    row = dev.page.locator("tbody tr")
    await row.focus()
    await dev.page.keyboard.press("Enter")
    await expect(dev.page.get_by_label("Connection", exact=True)).to_contain_text("Ada")


async def test_it_fits_a_phone_in_both_colours(dev: Dev) -> None:
    await dev.page.set_viewport_size({"width": 390, "height": 844})
    grounds = []
    for scheme in ("light", "dark"):
        await dev.page.emulate_media(color_scheme=scheme)
        grounds.append(await dev.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]
    for name in TABS:
        await dev.go(name)
        assert await dev.page.evaluate("document.documentElement.scrollWidth") <= 390, name
    await dev.page.get_by_role("button", name="Auto").click()
    assert await dev.page.evaluate("document.documentElement.dataset.theme") == "light"


async def test_the_page_says_when_the_server_is_gone(project: Write, tabs: Tabs) -> None:
    folder = project(FILES)
    async with running_server(
        create_app(folder, settings=load_settings(folder, env_default="dev").settings)
    ) as server:
        page = await tabs.open(f"{server.url}/__realtime")
        await expect(page.locator(".dot.good")).to_be_visible()
    await expect(page.get_by_text("the server cannot be reached")).to_be_visible()


async def test_in_production_the_browser_asks_for_the_token(project: Write, tabs: Tabs) -> None:
    folder = project(FILES)
    server_settings = ServerSettings(env="production", shutdown_timeout=0.2, allowed_hosts=("127.0.0.1",))
    settings = Settings(
        server=server_settings, devtools=DevtoolsSettings(enabled=True, token="horse-battery")
    )
    async with running_server(create_app(folder, settings=settings)) as server:
        refused = await tabs.open()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            await refused.goto(f"{server.url}/__realtime")
        browser = tabs.context.browser
        assert browser is not None
        context = await browser.new_context(http_credentials={"username": "x", "password": "horse-battery"})
        context.set_default_timeout(TIMEOUT_MS)
        page = await context.new_page()
        await page.goto(f"{server.url}/__realtime")
        await expect(page.get_by_text("production", exact=True)).to_be_visible()
        await page.goto(f"{server.url}/")
        await expect(page.locator("ul")).to_have_text("[]")
        await page.keyboard.press("Control+Shift+L")
        assert await page.locator("realtime-devtools").count() == 0
        await context.close()
