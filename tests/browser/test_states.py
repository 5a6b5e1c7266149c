"""The five states of the browser client in a real page: refusals, throttling, preflight, hidden pages, queues."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from runtime.testing import RunningServer, eventually, running_server
from tests.browser.conftest import Tabs
from tests.browser.network_app import FILES, steering
from tests.browser.proxy import CuttableProxy, cuttable_proxy
from tests.browser.wire import sent_frames

__all__ = ["steering"]

pytestmark = [pytest.mark.browser, pytest.mark.spec("WIRE-115")]

Write = Callable[[dict[str, str]], Path]
Steering = dict[str, Callable[..., Any]]

#: Lets a test say whether the page is seen, which no headless browser changes by itself.
VISIBILITY = """
let state = "%s";
Object.defineProperty(Document.prototype, "visibilityState", { get: () => state });
window.setVisible = (isVisible) => {
  state = isVisible ? "visible" : "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
RECORD_WAITS = """
() => {
    const { setTimeout } = app.client.__environment;
    app.waits = [];
    app.client.__environment.setTimeout = (fn, ms) => (app.waits.push(ms), setTimeout(fn, ms));
}
"""


@pytest.fixture
async def server(project: Write, steering: Steering) -> AsyncIterator[RunningServer]:
    async with running_server(project(FILES)) as running:
        yield running


@pytest.fixture
async def proxy(server: RunningServer) -> AsyncIterator[CuttableProxy]:
    async with cuttable_proxy(server.port) as running:
        yield running


async def opened(tabs: Tabs, url: str) -> Page:
    page = await tabs.open(url)
    await page.evaluate("app.status('open')")
    return page


async def failed(page: Page) -> Any:
    """Wait for the end and return why."""
    await page.evaluate("app.status('failed')")
    return await page.evaluate("app.client.failure.get()")


async def lost(page: Page, proxy: CuttableProxy) -> None:
    proxy.cut()
    await page.evaluate("app.status('disconnected')")


async def back(page: Page, proxy: CuttableProxy) -> None:
    proxy.restore()
    await page.evaluate("app.status('open')")


# ---------------------------------------------------------------- closes


@pytest.mark.spec("LIVE-181")
@pytest.mark.parametrize("code", [1008, 4401, 4403])
async def test_a_terminal_close_fails_everything_at_once_and_for_good(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs, code: int
) -> None:
    page = await opened(tabs, f"{proxy.url}/?quick")
    await page.evaluate("app.pending = app.call(app.live.never()); app.ready = app.client.connect(); 0")
    await page.evaluate("void app.record('log')")
    server.runtime.close_connections(code, "no entry")
    failure = {"kind": "ws-close", "class": "TERMINAL", "code": code, "reason": "no entry"}
    assert await failed(page) == failure
    assert (await page.evaluate("app.pending"))[0] == "CONNECTION_CLOSED"
    accepted = proxy.accepted
    assert (await page.evaluate("app.call(app.live.echo(1))"))[0] == "CONNECTION_CLOSED"
    assert (await page.evaluate("app.call(app.client.batch(() => [app.live.echo(1)]))"))[
        0
    ] == "CONNECTION_CLOSED"
    assert (await page.evaluate("app.call(app.ready.ready())"))[0] == "CONNECTION_CLOSED"
    assert await page.evaluate("app.live.log.error.get().code") == "CONNECTION_CLOSED"
    assert await page.evaluate("app.live.count.subscribe(() => {}) && app.live.count.status.get()") == "error"
    assert proxy.accepted == accepted, "never again"
    assert await page.evaluate("app.client.connect() !== app.ready && app.status('open')") == "open"
    assert await page.evaluate("app.call(app.live.echo(2))") == ["ok", 2]


async def test_a_throttling_server_is_left_alone_for_minutes(server: RunningServer, tabs: Tabs) -> None:
    page = await opened(tabs, server.url)
    await page.evaluate(RECORD_WAITS)
    server.runtime.close_connections(4429, "slow down")
    await page.evaluate("app.status('disconnected')")
    failure = await page.evaluate("app.client.failure.get()")
    assert (failure["class"], failure["code"]) == ("THROTTLE", 4429)
    (wait,) = await page.evaluate("app.waits")
    assert 115_956 <= wait <= 193_262
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await page.evaluate("app.status('open')")
    assert await page.evaluate("app.client.failure.get()") is None


async def test_attempts_are_used_up(proxy: CuttableProxy, tabs: Tabs) -> None:
    page = await opened(tabs, f"{proxy.url}/?quick")
    await page.evaluate("app.client.connect().close(); app.configure({ maxReconnectAttempts: 2 })")
    await page.evaluate("app.client.connect().ready()")
    await page.evaluate("app.statuses.length = 0")
    proxy.cut()
    failure = await failed(page)
    assert (failure["class"], failure["code"]) == ("EXHAUSTED", 1006)
    statuses = await page.evaluate("app.statuses")
    assert statuses == ["disconnected", "connecting", "disconnected", "connecting", "disconnected", "failed"]


async def test_an_end_that_was_wanted_has_no_failure(server: RunningServer, tabs: Tabs) -> None:
    page = await opened(tabs, server.url)
    await page.evaluate("app.client.connect().close()")
    assert await failed(page) is None
    await eventually(lambda: server.runtime.platform.connections == 0)
    await page.evaluate("app.client.connect().ready()")
    assert await page.evaluate("app.call(app.live.echo(1))") == ["ok", 1]


# ---------------------------------------------------------------- preflight


async def test_a_refused_preflight_is_the_end_and_no_socket_is_opened(
    server: RunningServer, tabs: Tabs, steering: Steering
) -> None:
    steering["authenticate"] = lambda cookies: False
    page = await tabs.open(f"{server.url}/?idle")
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    await page.evaluate("app.configure({ auth: true }); void app.client.connect()")
    failure = await failed(page)
    assert failure == {"kind": "auth-preflight", "class": "AUTH", "status": 401, "reason": failure["reason"]}
    assert sockets == []
    assert (await page.evaluate("app.call(app.live.echo(1))"))[0] == "CONNECTION_CLOSED"


async def test_a_failing_preflight_is_tried_again_and_its_cookie_comes_along(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs, steering: Steering
) -> None:
    def broken(cookies: Any) -> None:
        raise RuntimeError("the session store is down")

    steering["authenticate"] = broken
    page = await tabs.open(f"{proxy.url}/?idle&quick")
    await page.evaluate(
        "app.failures = []; void app.client.failure.subscribe(f => f && app.failures.push(f))"
    )
    await page.evaluate("app.configure({ auth: true }); void app.client.connect()")
    await page.wait_for_function("app.failures.length >= 2")
    first = (await page.evaluate("app.failures"))[0]
    assert (first["kind"], first["class"], first["status"]) == ("auth-preflight", "AUTH", 500)
    assert await page.evaluate("app.client.status.get()") in ("disconnected", "connecting")

    calls: list[int] = []

    def good(cookies: Any) -> None:
        calls.append(1)
        cookies.set("session", "s1", path="/")

    steering["authenticate"] = good
    await page.evaluate("app.status('open')")
    assert await page.evaluate("app.client.failure.get()") is None
    assert [cookie["name"] for cookie in await tabs.context.cookies()] == ["session"]

    await page.evaluate("app.failures.length = 0")
    await lost(page, proxy)
    await page.wait_for_function("app.failures.some(f => f.kind === 'auth-preflight')")
    unreachable = await page.evaluate("app.failures.find(f => f.kind === 'auth-preflight')")
    assert (unreachable["status"], unreachable["reason"]) == (0, "network error")
    await back(page, proxy)
    assert len(calls) == 2, "before each connection"


# ---------------------------------------------------------------- denied subscriptions


@pytest.mark.spec("LIVE-183")
async def test_denied_subscriptions_are_told_and_keep_the_value(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs, steering: Steering
) -> None:
    denied: dict[str, Any] = {"secret": False}
    steering["subscribe"] = denied.get
    page = await opened(tabs, f"{proxy.url}/?quick")
    await page.evaluate("void app.client.on('secret').subscribe(() => {})")
    await page.wait_for_function("app.client.denials.get() !== null")
    denial = await page.evaluate("app.client.denials.get()")
    assert denial == {"topic": "secret", "reason": "FORBIDDEN", "ref": denial["ref"]}

    await page.evaluate("void app.record('plain'); void app.live.add()")
    await page.wait_for_function("app.live.plain.get()?.length === 1")
    denied["plain"] = "QUOTA"
    await lost(page, proxy)
    await back(page, proxy)
    await page.wait_for_function("app.live.plain.error.get() !== null")
    assert await page.evaluate("app.live.plain.get().length") == 1, "an error never replaces the value"
    denied["plain"] = None
    await lost(page, proxy)
    await back(page, proxy)
    await page.wait_for_function("app.live.plain.status.get() === 'connected'")
    assert await page.evaluate("app.live.plain.error.get()") is None
    assert [len(value or []) for value in await page.evaluate("app.seen.plain")][1:] == sorted(
        len(value or []) for value in (await page.evaluate("app.seen.plain"))[1:]
    )


# ---------------------------------------------------------------- hidden pages


async def hideable(tabs: Tabs, url: str, state: str = "visible") -> Page:
    await tabs.context.add_init_script(VISIBILITY % state)
    return await tabs.open(url)


async def test_a_hidden_page_is_suspended_and_shown_again_asks_anew(
    server: RunningServer, tabs: Tabs
) -> None:
    page = await hideable(tabs, server.url)
    await page.evaluate("app.status('open')")
    await page.evaluate("void app.record('plain')")
    await page.wait_for_function("app.live.plain.status.get() === 'connected'")
    await page.evaluate("setVisible(false)")
    assert await page.evaluate("app.client.status.get()") == "suspended"
    await page.evaluate("app.live.add()")
    await page.wait_for_function("app.seen.plain.at(-1).length === 1", polling=20)
    await page.evaluate("app.live.plain.status.subscribe(s => app.outcomes.push(s)); setVisible(true)")
    assert await page.evaluate("app.client.status.get()") == "open"
    await page.wait_for_function(
        "app.outcomes.includes('reconnecting') && app.outcomes.at(-1) === 'connected'"
    )
    assert (await page.evaluate("app.live.load_counts()"))["plain"] == 2
    assert await page.evaluate("app.statuses") == ["disconnected", "connecting", "open", "suspended", "open"]
    assert await page.evaluate("app.seen.plain.map(list => list?.length)") == [None, 0, 1, 1]


async def test_a_page_that_was_opened_in_the_background_works(server: RunningServer, tabs: Tabs) -> None:
    page = await hideable(tabs, server.url, "hidden")
    await page.evaluate("app.client.connect().ready()")
    assert await page.evaluate("app.statuses") == ["disconnected", "connecting", "suspended"]
    assert await page.evaluate("app.call(app.live.echo(1))") == ["ok", 1]


async def test_a_page_that_is_shown_does_not_wait_for_the_next_attempt(
    proxy: CuttableProxy, tabs: Tabs
) -> None:
    page = await hideable(tabs, f"{proxy.url}/?speed=0.001")
    await page.evaluate("app.status('open')")
    await page.evaluate("setVisible(false)")
    await lost(page, proxy)
    proxy.restore()
    await page.evaluate("setVisible(true)")
    await page.evaluate("app.status('open')")
    assert await page.evaluate("app.statuses.slice(3)") == ["suspended", "disconnected", "connecting", "open"]


# ---------------------------------------------------------------- queues


@pytest.mark.spec("WIRE-117")
async def test_a_thousand_frames_wait_for_the_line_and_the_oldest_go(
    proxy: CuttableProxy, tabs: Tabs
) -> None:
    page = await opened(tabs, f"{proxy.url}/?quick")
    connections = sent_frames(page)
    await page.evaluate(
        """() => {
            const call = (_, number) => app.call(app.live.echo(number));
            app.status("disconnected").then(() => (app.calls = Array.from({ length: 1003 }, call)));
        }"""
    )
    await lost(page, proxy)
    outcomes = await page.evaluate("Promise.all(app.calls.slice(0, 3))")
    assert [code for code, _ in outcomes] == ["QUEUE_FULL"] * 3
    assert await page.evaluate("app.client.getCounters().queuedFramesDropped") == 3
    await back(page, proxy)
    await page.evaluate("app.live.echo('behind them')")
    hello, *calls, last = connections[-1]
    assert (hello["type"], last["args"]) == ("hello", ["behind them"])
    assert [call["args"][0] for call in calls] == list(range(3, 1003)), (
        "in order, though their calls have failed"
    )


@pytest.mark.spec("WIRE-117", "LIVE-180")
@pytest.mark.parametrize("replay", ["sequential", "concurrent", "batch"])
async def test_calls_made_offline_run_when_the_line_is_back(
    proxy: CuttableProxy, tabs: Tabs, replay: str
) -> None:
    page = await opened(tabs, f"{proxy.url}/?quick")
    running: list[str] = []
    most: list[int] = []

    def note(socket: Any) -> None:
        def sent(text: str) -> None:
            if '"things/echo"' in text:
                running.append(text)
                most.append(len(running))

        socket.on("framesent", sent)
        socket.on("framereceived", lambda text: running.pop() if '"__rpc"' in text and running else None)

    page.on("websocket", note)
    await page.evaluate("replay => app.configure({ offline: { queue: true, replay } })", replay)
    await lost(page, proxy)
    await page.evaluate("app.calls = Array.from({ length: 25 }, (_, i) => app.call(app.live.echo(i))); 0")
    await back(page, proxy)
    assert await page.evaluate("Promise.all(app.calls)") == [["ok", number] for number in range(25)]
    assert max(most) == (1 if replay == "sequential" else 10)


@pytest.mark.spec("WIRE-117", "LIVE-180")
async def test_calls_made_offline_that_are_too_many_or_too_old_fail(proxy: CuttableProxy, tabs: Tabs) -> None:
    page = await opened(tabs, f"{proxy.url}/?quick")
    options = "queue: true, maxQueue: 2, onReplayError: (call) => app.outcomes.push(call.args)"
    await page.evaluate(f"app.configure({{ offline: {{ {options} }} }})")
    await lost(page, proxy)
    await page.evaluate("app.calls = [1, 2, 3].map(n => app.call(app.live.echo(n))); 0")
    assert (await page.evaluate("app.calls[0]"))[0] == "QUEUE_FULL"
    await back(page, proxy)
    assert await page.evaluate("Promise.all(app.calls.slice(1))") == [["ok", 2], ["ok", 3]]

    await page.evaluate("app.configure({ offline: { queue: true, maxAge: 1 } })")
    await lost(page, proxy)
    await page.evaluate("app.old = app.call(app.live.echo('old')); 0")
    await page.evaluate("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    await back(page, proxy)
    assert (await page.evaluate("app.old"))[0] == "STALE"
    assert await page.evaluate("app.outcomes") == []
