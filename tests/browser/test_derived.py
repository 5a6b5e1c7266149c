"""Derived streams in a page: live values, a store per argument, and the value after a line that broke.

Spec: live-api 10.1 and 24.2, wire 5.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page

from runtime.testing import RunningServer, eventually, running_server
from tests.browser.conftest import Tabs
from tests.browser.proxy import CuttableProxy, cuttable_proxy

pytestmark = pytest.mark.browser

LIVE = """
# realtime-allow-public
from runtime import live

orders = {"n": 1}

@live.derived(["orders"])
async def total():
    return {"n": orders["n"]}

@live.derived(lambda org: [f"members:{org}"])
async def of_org(ctx, org: str):
    return f"{org} {orders['n']}"

@live.derived("orders", merge="crud")
async def rows(ctx):
    return [{"id": 1, "n": orders["n"]}]

@live.effect("orders")
async def log(event, data): ...

@live
async def sell(ctx, topic: str, n: int):
    orders["n"] = n
    ctx.publish(topic, "created", n)
"""
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>derived</title><link rel="icon" href="data:,"></head>
  <body>
    <script type="module">
      import * as client from "$live/client.js";
      import * as live from "$live/m.js";

      client.configure({ reconnectInterval: 40, maxReconnectInterval: 80 });
      const app = { client, live, seen: { total: [], org: [], rows: [] } };
      live.total.subscribe((value) => app.seen.total.push(value));
      live.of_org("o1").subscribe((value) => app.seen.org.push(value));
      live.rows.subscribe((value) => app.seen.rows.push(value));
      window.app = app;
    </script>
  </body>
</html>
"""


@pytest.fixture
async def server(project: Callable[[dict[str, str]], Path]) -> AsyncIterator[RunningServer]:
    async with running_server(project({"live/m.py": LIVE, "web/index.html": PAGE})) as running:
        yield running


@pytest.fixture
async def proxy(server: RunningServer) -> AsyncIterator[CuttableProxy]:
    async with cuttable_proxy(server.port) as running:
        yield running


async def shown(page: Page, name: str, value: str) -> None:
    await page.wait_for_function(f"JSON.stringify(app.seen.{name}.at(-1)) === '{value}'")


async def cut(page: Page, proxy: CuttableProxy) -> None:
    proxy.cut()
    await page.wait_for_function("app.client.status.get() === 'disconnected'")


async def come_back(page: Page, proxy: CuttableProxy) -> None:
    proxy.restore()
    await page.wait_for_function("app.client.status.get() === 'open' && app.client.quiescent.get()")


@pytest.mark.spec("LIVE-108", "LIVE-109", "WIRE-96")
async def test_a_page_shows_derived_values_live(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(server.url)
    await shown(page, "total", '{"n":1}')
    await shown(page, "org", '"o1 1"')
    await shown(page, "rows", '[{"id":1,"n":1}]')
    await page.evaluate("app.live.sell('orders', 2)")
    await shown(page, "total", '{"n":2}')
    await shown(page, "rows", '[{"id":1,"n":2}]')
    await page.evaluate("app.live.sell('members:o1', 3)")
    await shown(page, "org", '"o1 3"')
    assert await page.evaluate("app.seen.org.length") == 3, "nothing, the loaded value, the new one"
    assert await page.evaluate("'log' in app.live") is False, "an effect is nobody's to call"


@pytest.mark.spec("LIVE-108")
async def test_a_page_that_missed_nothing_keeps_what_it_shows(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs
) -> None:
    page = await tabs.open(proxy.url)
    await shown(page, "total", '{"n":1}')
    await page.evaluate("app.live.sell('orders', 2)")
    await shown(page, "total", '{"n":2}')
    count = await page.evaluate("app.seen.total.length")
    await cut(page, proxy)
    server.runtime.live.registry.modules["m"].module.orders["n"] = 77  # nobody has published that
    await come_back(page, proxy)
    assert await page.evaluate("app.seen.total.length") == count


@pytest.mark.spec("LIVE-108")
async def test_a_page_that_was_away_shows_what_came_meanwhile(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs
) -> None:
    page = await tabs.open(proxy.url)
    await shown(page, "rows", '[{"id":1,"n":1}]')
    await page.evaluate("app.live.sell('orders', 2)")
    await shown(page, "total", '{"n":2}')
    await cut(page, proxy)
    server.runtime.live.registry.modules["m"].module.orders["n"] = 9
    platform = server.runtime.platform
    platform.publish("orders", "created")
    await eventually(lambda: platform.parts.publisher.sequence.current("m/total") == 2)
    await come_back(page, proxy)
    await shown(page, "total", '{"n":9}')
    await shown(page, "rows", '[{"id":1,"n":9}]')
    await shown(page, "org", '"o1 9"')
