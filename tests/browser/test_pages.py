"""Pages in a real browser, with our client, against our server."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from runtime import create_app
from runtime.core.tasks import TaskOwner
from runtime.testing import RunningServer, eventually, running_server
from tests.browser.conftest import Tabs
from tests.browser.proxy import cuttable_proxy
from tests.browser.todo_app import FILES
from tests.browser.wire import sent_frames

pytestmark = pytest.mark.browser

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
async def server(project: Write) -> AsyncIterator[RunningServer]:
    async with running_server(project(FILES)) as running:
        yield running


async def rows(page: Page, *texts: str) -> None:
    """Wait until the page's list shows these texts."""
    await expect(page.locator("#list li")).to_have_text(list(texts))


@pytest.mark.spec("LIVE-174", "LIVE-175")
async def test_a_plain_page_imports_what_the_live_module_exports(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await expect(page.locator("#count")).to_have_text("0")
    names = await page.evaluate("Object.keys(app.live).sort()")
    assert names == ["add", "count", "remove", "starting", "todos"]
    added = await page.evaluate("app.live.add('milk')")
    assert added == {"id": "n1", "text": "milk"}
    await rows(page, "milk")
    first = await page.evaluate("let now = 'nothing'; app.live.todos.subscribe(list => now = list)(); now")
    assert first == [added], "a new subscriber has the value before subscribe returns"
    error = await page.evaluate(
        "app.live.add('').catch(e => [e.name, e.code, e.message, e instanceof app.client.RpcError])"
    )
    assert error == ["RpcError", "EMPTY", "Write something first", True]


async def test_two_tabs_follow_each_other(server: RunningServer, tabs: Tabs) -> None:
    one, two = await tabs.open(server.url), await tabs.open(server.url)
    await one.evaluate("app.live.add('milk')")
    await rows(two, "milk")
    await two.evaluate("app.live.add('eggs')")
    await rows(one, "milk", "eggs")
    await one.evaluate("app.live.remove('n1')")
    for page in (one, two):
        await rows(page, "eggs")
        await expect(page.locator("#count")).to_have_text("1")


async def test_a_dynamic_stream_follows_its_own_topic(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await page.evaluate(
        """async () => {
            window.seen = [];
            app.live.starting("m").map(item => item.text).subscribe(texts => seen.push(texts));
            for (const text of ["milk", "eggs", "mint"]) await app.live.add(text);
        }"""
    )
    await page.wait_for_function("seen.at(-1).join() === 'milk,mint'")


async def test_a_change_shown_at_once_is_there_once(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await expect(page.locator("#count")).to_have_text("0")
    result = await page.evaluate(
        """async () => {
            const { todos, count, add } = app.live;
            const change = { event: "created", data: { id: "x1", text: "soon" } };
            const done = todos.createOptimistic(add, ["milk", "x1"], change);
            const counted = count.mutate(() => add("eggs", "x2"), n => n + 1);
            const shown = [todos.get().map(item => item.text), count.get()];
            await Promise.all([done, counted]);
            return shown;
        }"""
    )
    assert result == [["soon"], 1]
    await rows(page, "milk", "eggs")
    await expect(page.locator("#count")).to_have_text("2")


async def test_a_failed_change_is_taken_back(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await expect(page.locator("#count")).to_have_text("0")
    code = await page.evaluate(
        """app.live.todos.mutate(() => app.live.add(""), { event: "created", data: { id: "x", text: "never" } })
            .catch(error => error.code)"""
    )
    assert code == "EMPTY"
    await rows(page)
    assert await page.evaluate("app.lists.map(list => list?.length)") == [None, 0, 1, 0]


async def test_a_burst_of_events_is_announced_by_the_frame(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await expect(page.locator("#count")).to_have_text("0")
    await page.evaluate("app.lists.length = 0")
    platform = server.runtime.platform
    for number in range(200):
        platform.publish("todos", "created", {"id": number, "text": str(number)})
    await expect(page.locator("#list li")).to_have_count(200)
    assert await page.evaluate("app.lists.length") < 50


@pytest.mark.spec("WIRE-116", "LIVE-206")
async def test_a_cut_line_comes_back_with_what_was_missed(server: RunningServer, tabs: Tabs) -> None:
    async with cuttable_proxy(server.port) as proxy:
        page = await tabs.open()
        connections = sent_frames(page)
        await page.goto(f"{proxy.url}/?quick")
        other = await tabs.open(server.url)
        await page.evaluate("app.live.add('milk')")
        await rows(page, "milk")
        first = await page.evaluate("sessionStorage.getItem('svelte-adapter-uws.session./ws')")
        await page.evaluate("app.lists.length = app.statuses.length = 0")

        proxy.cut()
        await page.wait_for_function("app.statuses.includes('disconnected')")
        assert await page.evaluate("app.live.add('lost').catch(e => e.code)") == "DISCONNECTED"
        await other.evaluate("app.live.add('eggs')")
        await rows(page, "milk")
        proxy.restore()

        await page.wait_for_function("app.statuses.at(-1) === 'open'")
        await page.wait_for_function("app.lists.at(-1)?.some(item => item.text === 'eggs')")
        statuses = await page.evaluate("[...new Set(app.statuses)]")
        assert statuses == ["disconnected", "connecting", "open"]
        assert await page.evaluate("app.lists.every(list => list?.length > 0)"), "no empty value in between"
        assert await page.evaluate("sessionStorage.getItem('svelte-adapter-uws.session./ws')") != first

        hello, resume, subscribe, *rest = connections[-1]
        assert hello == {"type": "hello", "caps": ["batch"]}
        assert (resume["type"], resume["sessionId"]) == ("resume", first)
        assert set(resume["lastSeenSeqs"]) == {"todos", "count"}
        assert (subscribe["type"], set(subscribe["topics"])) == ("subscribe-batch", {"todos", "count"})
        assert rest[0]["rpc"] == "todos/add", "what was queued offline follows"


async def test_a_restarting_server_is_found_again_within_a_second(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await expect(page.locator("#count")).to_have_text("0")
    await page.evaluate(
        "void app.client.status.subscribe(s => (app.times ??= []).push([s, performance.now()]))"
    )
    server.runtime.close_connections(1012, "Handler reloaded")
    await page.wait_for_function("app.times.at(-1)[0] === 'open' && app.times.length > 2")
    times = dict(await page.evaluate("app.times.slice(1)"))
    assert 50 <= times["connecting"] - times["disconnected"] < 1000
    assert await page.evaluate("app.client.failure.get()") is None


@pytest.mark.spec("LIVE-181")
async def test_a_terminal_close_ends_everything(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await expect(page.locator("#count")).to_have_text("0")
    server.runtime.close_connections(4401, "who are you")
    await page.wait_for_function("app.statuses.at(-1) === 'failed'")
    assert await page.evaluate("app.client.failure.get()") == {
        "kind": "ws-close",
        "class": "TERMINAL",
        "code": 4401,
        "reason": "who are you",
    }
    assert await page.evaluate("app.live.add('x').catch(e => e.code)") == "CONNECTION_CLOSED"
    assert await page.evaluate("app.live.todos.error.get().code") == "CONNECTION_CLOSED"
    await page.evaluate("app.client.connect().ready()")
    await page.evaluate("app.live.add('again')")
    await rows(page, "again")


async def test_a_stream_that_nobody_watches_is_left_on_the_server(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await expect(page.locator("#count")).to_have_text("0")
    await page.evaluate("void (window.off = app.live.starting('m').subscribe(() => {}))")
    platform = server.runtime.platform
    await page.wait_for_function("app.live.starting('m').status.get() === 'connected'")
    assert platform.subscribers("starting:m") == 1
    await page.evaluate("window.off()")
    await eventually(lambda: platform.subscribers("starting:m") == 0)
    assert platform.subscribers("todos") == 1


async def test_a_page_below_a_prefix_and_another_socket_path(project: Write, tabs: Tabs) -> None:
    folder = project({**FILES, "realtime.toml": '[websocket]\npath = "/rt"\n'})
    realtime = create_app(folder, lifespan="manual")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await realtime.start()
        yield
        await realtime.stop()

    host = Starlette(routes=[Mount("/deep/down", app=realtime)], lifespan=lifespan)
    async with plain_uvicorn(host) as address:
        page = await tabs.open(f"{address}/deep/down/")
        await page.evaluate("app.live.add('milk')")
        await rows(page, "milk")
        keys = await page.evaluate("Object.keys(sessionStorage)")
        assert keys == ["svelte-adapter-uws.session./deep/down/rt"]


@contextlib.asynccontextmanager
async def plain_uvicorn(app: Any) -> AsyncIterator[str]:
    """Serve a foreign app as its author would."""
    tasks = TaskOwner("plain uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="websockets-sansio"))
        serving = tasks.start(server.serve(sockets=[listening]), name="serve")
        await eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving
    await tasks.close()
