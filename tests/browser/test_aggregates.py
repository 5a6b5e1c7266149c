"""Aggregates in a page: each window is a store, also after a line that broke. Spec: live-api 11.3 and 21.1."""

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
from runtime import Lifetime, Reducer, Sliding, combine_sum, live

n = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + data, combine=combine_sum)

class Sales(live.Aggregate):
    source, topic = "sales", "sales-stats"
    windows = {"ever": Lifetime(), "last": Sliding(duration=600, slide=60, debounce=0.02)}
    n = n

plain = live.aggregate("sales", {"n": n}, topic="plain")

@live
async def sell(ctx, count: int):
    ctx.publish("sales", "sold", count)
"""
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>aggregates</title><link rel="icon" href="data:,"></head>
  <body>
    <script type="module">
      import * as client from "$live/client.js";
      import * as live from "$live/m.js";

      client.configure({ reconnectInterval: 40, maxReconnectInterval: 80 });
      const app = { client, live, now: {} };
      live.Sales.ever.subscribe((value) => (app.now.ever = value));
      live.Sales.last.subscribe((value) => (app.now.last = value));
      live.plain.subscribe((value) => (app.now.plain = value));
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


async def shown(page: Page, count: int) -> None:
    for name in ("ever", "last", "plain"):
        await page.wait_for_function(f"app.now.{name}?.n === {count}")


@pytest.mark.spec("LIVE-115", "LIVE-117")
async def test_a_page_shows_every_window_and_catches_up(
    server: RunningServer, proxy: CuttableProxy, tabs: Tabs
) -> None:
    page = await tabs.open(proxy.url)
    await shown(page, 0)
    assert await page.evaluate("Object.keys(app.live.Sales)") == ["ever", "last"]
    await page.evaluate("app.live.sell(3)")
    await shown(page, 3)
    proxy.cut()
    await page.wait_for_function("app.client.status.get() === 'disconnected'")
    server.runtime.platform.publish("sales", "sold", 4)
    proxy.restore()
    await shown(page, 7)
    await eventually(lambda: server.runtime.live.aggregates.dump("m/plain") == {"lifetime": {"n": 7}})
