"""The browser client on lines that break, stall and crawl, and beside servers that go away and come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from runtime.client import Realtime
from runtime.testing import RunningServer, running_server
from tests.browser.conftest import Tabs
from tests.browser.network_app import FILES
from tests.browser.proxy import CuttableProxy, cuttable_proxy
from tests.browser.wire import sent_frames

pytestmark = pytest.mark.browser

Write = Callable[[dict[str, str]], Path]
STREAMS = ("log", "plain", "tail", "count")
ROWS = 240


@pytest.fixture
async def server(project: Write) -> AsyncIterator[RunningServer]:
    async with running_server(project(FILES)) as running:
        yield running


@pytest.fixture
async def proxy(server: RunningServer) -> AsyncIterator[CuttableProxy]:
    async with cuttable_proxy(server.port) as running:
        yield running


async def open_streams(tabs: Tabs, url: str) -> Page:
    """A page that records every value of every stream, with all of them loaded."""
    page = await tabs.open(url)
    await page.evaluate(f"{json.dumps(STREAMS)}.forEach(name => void app.record(name))")
    await page.wait_for_function("app.client.quiescent.get() && app.client.status.get() === 'open'")
    return page


async def seen(page: Page) -> dict[str, list[Any]]:
    """Every value that each stream showed, as lists of row numbers or counts."""
    return await page.evaluate(
        "Object.fromEntries(Object.entries(app.seen).map(([name, values]) =>"
        " [name, values.map(value => Array.isArray(value) ? value.map(row => row.id ?? row) : value ?? null)]))"
    )


def assert_no_flicker(values: dict[str, list[Any]], rows: int) -> None:
    """Each value after the first is a whole beginning of the rows, in order, and never shorter than before."""
    for name in ("log", "plain", "tail"):
        first, *lists = values[name]
        assert first is None
        wrong = [numbers for numbers in lists if numbers != list(range(1, len(numbers) + 1))]
        assert not wrong, f"{name}: {wrong}"
        lengths = [len(numbers) for numbers in lists]
        assert lengths == sorted(lengths), name
        assert lengths[-1] == rows, name
    first, *counts = values["count"]
    assert (first, counts) == (None, sorted(counts))
    assert counts[-1] == rows


async def all_arrived(page: Page, rows: int) -> None:
    lists = "['log', 'plain', 'tail'].every(name => app.seen[name].at(-1)?.length === rows)"
    counted = "app.seen.count.at(-1) === rows && app.client.quiescent.get()"
    await page.wait_for_function(f"rows => {lists} && {counted}", arg=rows)


async def add(rt: Realtime, rows: int) -> None:
    for _ in range(rows):
        await rt.call("things/add")


@pytest.mark.spec("WIRE-115", "WIRE-116", "LIVE-202", "LIVE-206")
async def test_cuts_on_busy_topics_show_no_flicker_and_refetch_nothing_that_is_kept(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs
) -> None:
    async with server.connect() as rt:
        await add(rt, 1)
        page = await open_streams(tabs, f"{proxy.url}/?quick")
        assert await page.evaluate("app.client.resumed.get()") is None
        connections = sent_frames(page)
        session = await page.evaluate("sessionStorage.getItem('svelte-adapter-uws.session./ws')")
        for rows in range(1, ROWS, ROWS // 3):
            busy = asyncio.ensure_future(add(rt, ROWS // 3 - 20))
            await page.wait_for_function("n => app.seen.log.at(-1).length > n", arg=rows + 5)
            proxy.cut()
            await page.wait_for_function("app.client.status.get() === 'disconnected'")
            await busy
            await add(rt, 20)
            proxy.restore()
            # Two reconnects in a row may go without an answer; at the third one a stream shows what comes at once.
            answered = " && app.client.quiescent.get()" if rows > 1 else ""
            await page.wait_for_function(f"app.client.status.get() === 'open'{answered}")
        await all_arrived(page, ROWS + 1)
        assert_no_flicker(await seen(page), ROWS + 1)

        counts = await rt.call("things/load_counts")
        assert counts["log"] == 1, "what is kept is not fetched again"
        assert all(counts[name] > 1 for name in ("plain", "tail", "count"))

        report = await page.evaluate("app.client.resumed.get()")
        assert set(report) == {"log", "plain", "tail", "count"}
        assert report["log"]["state"] == "filled"
        assert report["plain"] == {"state": "truncated"}

        hello, resume, subscribe, *rest = next(frames for frames in connections if frames)
        assert hello == {"type": "hello", "caps": ["batch"]}
        assert (resume["type"], resume["sessionId"]) == ("resume", session)
        assert set(resume["lastSeenSeqs"]) == {"log", "plain", "tail", "count"}
        assert (subscribe["type"], set(subscribe["topics"])) == (
            "subscribe-batch",
            {"log", "plain", "tail", "count"},
        )
        asked = [frame for frame in rest if frame.get("rpc") == "things/log"]
        assert isinstance(asked[0]["seq"], int)


@pytest.mark.spec("LIVE-206")
async def test_a_cut_at_any_point_of_the_exchange_loses_and_repeats_nothing(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs
) -> None:
    async with server.connect() as rt:
        page = await open_streams(tabs, f"{proxy.url}/?quick")
        rows = 0
        for point in range(100, 2000, 130):
            await add(rt, 3)
            rows += 3
            proxy.cut_after(point)
            proxy.break_connections()
            await add(rt, 2)
            rows += 2
            await page.wait_for_function("app.client.status.get() === 'open' && app.client.quiescent.get()")
        await all_arrived(page, rows)
        assert_no_flicker(await seen(page), rows)


@pytest.mark.spec("WIRE-115")
async def test_a_stalled_line_is_noticed_and_one_that_never_opens_given_up(
    proxy: CuttableProxy, tabs: Tabs
) -> None:
    page = await tabs.open(f"{proxy.url}/?speed=100")
    await page.evaluate("app.status('open')")
    await page.evaluate(
        """() => {
            app.failures = [];
            app.client.failure.subscribe((failure) => failure && app.failures.push(failure.reason));
            app.replies = 0;
            setInterval(() => app.live.echo(1).then(() => app.replies++, () => {}), 100);
        }"""
    )
    await page.wait_for_function("app.replies >= 20")  # more than 150 s of the client's time
    assert await page.evaluate("app.statuses") == ["disconnected", "connecting", "open"]
    proxy.stall()
    await page.wait_for_function("app.failures.length >= 2")
    assert await page.evaluate("app.failures.slice(0, 2)") == [
        "no message for too long",
        "the server does not answer",
    ]
    assert await page.evaluate("app.client.failure.get().class") == "RETRY"
    proxy.flow()
    await page.evaluate("app.status('open')")
    assert await page.evaluate("app.call(app.live.echo('back'))") == ["ok", "back"]


async def test_a_slow_line_delivers_everything_in_order(proxy: CuttableProxy, tabs: Tabs) -> None:
    page = await open_streams(tabs, f"{proxy.url}/")
    proxy.slow(150_000)
    outcomes = await page.evaluate(
        """async () => {
            const order = [];
            const call = (name, value) => app.live.echo(value).then((back) => order.push([name, back.length]));
            await Promise.all([call("big", "x".repeat(100_000)), call("small", "y"), call("next", "zz")]);
            await app.live.add();
            return order;
        }"""
    )
    assert sorted(outcomes) == [["big", 100_000], ["next", 2], ["small", 1]]
    await all_arrived(page, 1)
    assert await page.evaluate("app.statuses") == ["disconnected", "connecting", "open"]


@pytest.mark.spec("LIVE-179")
async def test_what_is_volatile_is_dropped_while_too_much_waits_in_the_socket(
    proxy: CuttableProxy, tabs: Tabs
) -> None:
    page = await tabs.open(f"{proxy.url}/")
    await page.evaluate("app.status('open')")
    proxy.stall()
    dropped = await page.evaluate(
        """() => {
            app.configure({ volatileBackpressureBytes: 1_000_000 });
            app.live.echo.fireAndForget("before");
            const before = app.client.getCounters().volatileDropped;
            app.calls = Array.from({ length: 12 }, (_, i) => app.live.echo(String(i).repeat(450_000)));
            app.live.echo.fireAndForget("too much waits");
            return [before, app.client.getCounters().volatileDropped];
        }"""
    )
    assert dropped == [0, 1]
    proxy.flow()
    lengths = await page.evaluate("Promise.all(app.calls).then(all => all.map(text => text.length))")
    assert lengths == [450_000] * 10 + [900_000] * 2


@pytest.mark.spec("WIRE-114", "WIRE-115")
async def test_another_server_at_the_same_address_is_another_generation(project: Write, tabs: Tabs) -> None:
    folder = project(FILES)
    async with running_server(folder) as first, cuttable_proxy(first.port) as proxy:
        async with first.connect() as rt:
            page = await open_streams(tabs, f"{proxy.url}/?quick")
            await page.evaluate(
                "app.failures = []; app.client.failure.subscribe(f => f && app.failures.push(f)); 0"
            )
            await add(rt, 5)
            await all_arrived(page, 5)
        proxy.is_connected = False
        first.runtime.close_connections(1001, "Server shutting down")
        await page.wait_for_function("app.failures.length > 0")
        assert await page.evaluate("app.failures[0]") == {
            "kind": "ws-close",
            "class": "RETRY",
            "code": 1001,
            "reason": "Server shutting down",
        }
        async with running_server(folder) as second, second.connect() as rt:
            await add(rt, 2)
            proxy.target_port = second.port
            proxy.restore()
            await all_arrived(page, 2)
            values = await seen(page)
            assert all(value for name in STREAMS for value in values[name][2:]), "nothing empty in between"
            assert await page.evaluate("app.client.resumed.get().log.state") == "truncated"


async def test_a_replayed_topic_gives_every_event_once_across_cuts(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs
) -> None:
    async with server.connect() as rt:
        page = await open_streams(tabs, f"{proxy.url}/?quick")
        await add(rt, 5)
        await page.evaluate(
            """() => {
                app.replayed = [];
                app.client.onReplay("log", { since: 2 }).subscribe((last) => last && app.replayed.push(last.seq));
            }"""
        )
        await page.wait_for_function("app.replayed.at(-1) === 5")
        rows = 5
        for _ in range(3):
            proxy.cut()
            await page.wait_for_function("app.client.status.get() === 'disconnected'")
            await add(rt, 4)
            proxy.restore()
            rows += 4
            await page.wait_for_function("rows => app.replayed.at(-1) === rows", arg=rows)
        assert await page.evaluate("app.replayed") == list(range(3, rows + 1))


async def test_a_request_of_the_server_is_answered_by_the_page(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await page.evaluate("app.status('open')")
    await page.evaluate("app.client.onPush('ask', async ({ n }) => n * 2); 0")
    assert await page.evaluate("app.live.ask(21)") == 42
    assert await page.evaluate("app.call(app.live.ask('x'))") == ["ok", None], "NaN has no JSON form"
