"""Pushes and signals in real pages: two devices of one user, and somebody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from runtime import LiveError, RequestFailed, live
from runtime.testing import RunningServer, eventually, running_server
from tests.browser.people import People, people_of

pytestmark = pytest.mark.browser

HOOKS = """
import json
from urllib.parse import unquote


def upgrade(cookies):
    visitor = json.loads(unquote(cookies["visitor"]))
    return {"id": visitor["name"].lower(), "name": visitor["name"]}
"""
LIVE = """
# realtime-allow-public
from runtime import live


@live
async def ask(ctx, user: str, question: str):
    return await live.push(user, "ask", {"from": ctx.user["name"], "question": question}, timeout=3)


@live
async def poke(ctx, user: str):
    return ctx.send_signal(user, "poke", {"from": ctx.user["name"]})
"""
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>people</title><link rel="icon" href="data:,"></head>
  <body>
    <script type="module">
      import { onPush, onSignal } from "$live/client.js";
      import { ask, poke } from "$live/people.js";
      const device = location.hash.slice(1);
      window.heard = [];
      onPush("ask", async (data) => {
        heard.push(data);
        await new Promise((done) => setTimeout(done, 10));
        if (data.question === "fail") throw new Error("not today");
        return { device, answer: data.question.toUpperCase() };
      });
      onPush("news", (data) => { heard.push(data); });
      onSignal("ann", (event, data) => { heard.push(`${event} from ${data.from}`); });
      window.ask = ask;
      window.poke = poke;
      await poke("nobody");
      window.ready = true;
    </script>
  </body>
</html>
"""


@pytest.fixture
async def server(project: Callable[[dict[str, str]], Path]) -> AsyncIterator[RunningServer]:
    files = {
        "hooks.py": HOOKS,
        "live/people.py": LIVE,
        "web/index.html": PAGE,
        "realtime.toml": "[websocket]\nsignals = true\n",
    }
    async with running_server(project(files)) as running:
        yield running


@pytest.fixture
async def people(browser: Browser, no_leaked_tasks: None) -> AsyncIterator[People]:
    async with people_of(browser) as made:
        yield made


async def open_page(people: People, server: RunningServer, name: str, device: str = "") -> Page:
    page = await people.open(f"{server.url}/#{device}", name)
    await page.wait_for_function("window.ready")
    return page


@pytest.mark.spec("LIVE-140", "LIVE-141", "LIVE-137")
async def test_two_devices_of_one_user(server: RunningServer, people: People) -> None:
    desk = await open_page(people, server, "Ann", "desk")
    phone = await open_page(people, server, "Ann", "phone")
    bob = await open_page(people, server, "Bob")

    # A push asks the device that came last, and its answer is the result of Bob's call.
    assert await bob.evaluate("ask('ann', 'dinner?')") == {"device": "phone", "answer": "DINNER?"}
    assert await phone.evaluate("heard") == [{"from": "Bob", "question": "dinner?"}]
    assert await desk.evaluate("heard") == []

    # A signal reaches both, and nobody else.
    assert await bob.evaluate("poke('ann')") is True
    for page in (desk, phone):
        await page.wait_for_function("heard.at(-1) === 'poke from Bob'")
    assert await bob.evaluate("heard") == []

    # What a handler throws is told to the server; a notification is one way.
    with pytest.raises(RequestFailed, match="not today"):
        await live.push("ann", "ask", {"question": "fail"})
    await live.notify("ann", "news", "rain")
    await phone.wait_for_function("heard.at(-1) === 'rain'")

    # The phone goes: the desk is not asked until it has come back.
    await phone.close()
    await eventually(lambda: server.runtime.live.pushes.connection_of("ann") is None)
    with pytest.raises(LiveError, match="no active connection"):
        await live.push("ann", "ask", {"question": "still?"})
    assert await bob.evaluate("ask('ann', 'there?').catch((error) => error.code)") == "NOT_FOUND"
    await desk.reload()
    await desk.wait_for_function("window.ready")
    assert await bob.evaluate("ask('ann', 'there?')") == {"device": "desk", "answer": "THERE?"}
