"""Presence and cursors in three real pages: what each of them ends up showing, and what it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, WebSocket

from runtime.testing import RunningServer, running_server
from tests.browser.people import People, people_of
from tests.browser.proxy import cuttable_proxy

pytestmark = pytest.mark.browser

HOOKS = """
import json
from urllib.parse import unquote

from runtime.plugins import Cursor, Presence

presence, lounge = Presence(), Presence(grace=60)
cursors = Cursor(topics={"room"})


def upgrade(cookies):
    visitor = json.loads(unquote(cookies["visitor"]))
    return {**visitor, "access_token": "s3cr3t", "profile": {"sessionKey": "s3cr3t"}}


async def subscribe(ws, topic, ctx):
    await (lounge if topic == "lounge" else presence).hooks.subscribe(ws, topic, ctx)


async def unsubscribe(ws, topic, ctx):
    await (lounge if topic == "lounge" else presence).hooks.unsubscribe(ws, topic, ctx)


message = cursors.hooks.message
"""
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>room</title><link rel="icon" href="data:,"></head>
  <body>
    <script type="module">
      import { connect, cursor, on, presence } from "$live/client.js";
      const topic = location.hash.slice(1) || "room";
      window.rosters = [];
      window.places = [];
      presence(topic).subscribe((list) => rosters.push(list.map((one) => one.name).sort().join()));
      cursor(topic).subscribe((map) => {
        places.push([...map.values()].map(({ user, data }) => `${user.name} ${data}`).sort().join());
      });
      window.leave = on(topic).subscribe(() => {});
      window.move = (data) => connect().send({ type: "cursor", topic, data });
      window.ready = true;
    </script>
  </body>
</html>
"""


@pytest.fixture
async def server(project: Callable[[dict[str, str]], Path]) -> AsyncIterator[RunningServer]:
    async with running_server(project({"hooks.py": HOOKS, "web/index.html": PAGE})) as running:
        yield running


@pytest.fixture
async def people(browser: Browser, no_leaked_tasks: None) -> AsyncIterator[People]:
    async with people_of(browser) as made:
        yield made


async def rosters(names: str, *pages: Page) -> None:
    """Wait until these pages show these people, in the order of their names."""
    for page in pages:
        await page.wait_for_function("(names) => window.ready && rosters.at(-1) === names", arg=names)


async def places(text: str, *pages: Page) -> None:
    """Wait until these pages show these cursors."""
    for page in pages:
        await page.wait_for_function("(text) => places.at(-1) === text", arg=text)


@pytest.mark.spec("WIRE-108", "PLAT-136")
async def test_three_people_come_and_go_and_tabs_are_one(server: RunningServer, people: People) -> None:
    ann, bob, cyd = [await people.open(server.url, name) for name in ("Ann", "Bob", "Cyd")]
    await rosters("Ann,Bob,Cyd", ann, bob, cyd)
    shown = await ann.evaluate("rosters.length")

    tab = await people.open(server.url, "Bob")
    await rosters("Ann,Bob,Cyd", tab)
    await bob.close()
    await cyd.evaluate("leave()")
    await rosters("Ann,Bob", ann, tab)
    assert await ann.evaluate("rosters.length") == shown + 1, "a second tab and its end are told to nobody"

    await tab.close()
    await rosters("Ann", ann)
    assert await cyd.evaluate("rosters.at(-1)") == "Ann,Bob,Cyd", "who left the topic is told nothing more"


async def test_a_page_that_is_loaded_again_within_its_grace_never_left(
    server: RunningServer, people: People
) -> None:
    ann, bob, cyd = [await people.open(f"{server.url}/#lounge", name) for name in ("Ann", "Bob", "Cyd")]
    await rosters("Ann,Bob,Cyd", ann, bob, cyd)
    shown = await ann.evaluate("rosters.length")
    await bob.reload()
    await rosters("Ann,Bob,Cyd", bob)
    dan = await people.open(f"{server.url}/#lounge", "Dan")
    await rosters("Ann,Bob,Cyd,Dan", ann, bob, cyd, dan)
    assert await ann.evaluate("rosters.length") == shown + 1, "Dan, and nothing of Bob"


@pytest.mark.spec("WIRE-109")
async def test_no_page_is_ever_sent_what_looks_like_a_credential(
    server: RunningServer, people: People
) -> None:
    heard: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda text: heard.append(str(text)))

    ann = await people.open(server.url, "Ann")
    ann.on("websocket", listen)
    await ann.reload()
    bob = await people.open(server.url, "Bob")
    await rosters("Ann,Bob", ann, bob)
    await bob.evaluate("move(1)")
    await places("Bob 1", ann)
    told = "\n".join(heard)
    assert "presence_state" in told
    assert '"update"' in told
    assert "s3cr3t" not in told
    assert "remote_address" not in told


@pytest.mark.spec("WIRE-110", "PLAT-139")
async def test_cursors_move_at_the_throttle_rest_at_the_last_place_and_leave(
    server: RunningServer, people: People
) -> None:
    ann, bob, cyd = [await people.open(server.url, name) for name in ("Ann", "Bob", "Cyd")]
    await rosters("Ann,Bob,Cyd", ann, bob, cyd)
    shown = await cyd.evaluate("places.length")
    await ann.evaluate("for (let n = 1; n <= 200; n++) move(n)")
    await places("Ann 200", ann, bob, cyd)
    seen = await cyd.evaluate("(from) => places.slice(from).filter((text) => text)", shown)
    assert seen[0] == "Ann 1", "the first is told at once"
    assert len(seen) <= 20, "and of the others few"

    await bob.evaluate("move('here')")
    await places("Ann 200,Bob here", ann, bob, cyd)
    dan = await people.open(server.url, "Dan")
    await places("Ann 200,Bob here", dan)  # all there is, though nobody moves

    await ann.evaluate("leave()")
    await places("Bob here", bob, cyd, dan)
    await ann.evaluate("move('from outside')")
    await bob.evaluate("move('there')")
    await places("Bob there", cyd, dan)
    await bob.close()
    await places("", cyd, dan)


@pytest.mark.spec("WIRE-108", "WIRE-110")
async def test_a_line_that_breaks_takes_its_cursor_along_and_comes_back_to_what_is_true(
    server: RunningServer, people: People
) -> None:
    async with cuttable_proxy(server.port) as proxy:
        ann = await people.open(proxy.url, "Ann")
        bob, cyd = [await people.open(server.url, name) for name in ("Bob", "Cyd")]
        await rosters("Ann,Bob,Cyd", ann, bob, cyd)
        await ann.evaluate("move('a')")
        await bob.evaluate("move('b')")
        await places("Ann a,Bob b", ann, bob, cyd)

        proxy.cut()
        await rosters("Bob,Cyd", bob, cyd)
        await places("Bob b", bob, cyd)
        await bob.close()
        await rosters("Cyd", cyd)
        proxy.restore()
        await rosters("Ann,Cyd", ann, cyd)
        await places("", ann, cyd)  # not what it knew before: the list is replaced
        await ann.evaluate("move('back')")
        await places("Ann back", ann, cyd)
