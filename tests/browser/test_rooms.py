"""One room in two real pages: data, who is there, cursors and actions, all under one name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from runtime.testing import RunningServer, running_server
from tests.browser.people import People, people_of

pytestmark = pytest.mark.browser

HOOKS = """
import json
from urllib.parse import unquote


def upgrade(cookies):
    return json.loads(unquote(cookies["visitor"]))
"""
LIVE = """
# realtime-allow-public
from runtime import live

NOTES = {}


async def load(ctx, board_id: str):
    return NOTES.setdefault(board_id, [])


async def add_note(ctx, board_id: str, text: str):
    note = {"id": len(NOTES[board_id]) + 1, "text": text}
    NOTES[board_id].append(note)
    ctx.publish("created", note)
    return note


board = live.room(
    topic=lambda board_id: f"board:{board_id}",
    init=load,
    presence=lambda ctx: {"name": ctx.user["name"]},
    cursors={"throttle": 0.02},
    actions={"add_note": add_note},
)
"""
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>board</title><link rel="icon" href="data:,"></head>
  <body>
    <script type="module">
      import { board } from "$live/boards.js";
      const names = (list) => (list ?? []).map((one) => one.data.name).sort().join();
      board.data("k").subscribe((all) => { window.notes = (all ?? []).map((one) => one.text).join(); });
      board.presence("k").subscribe((all) => { window.who = names(all); });
      board.cursors("k").subscribe((all) => { window.places = (all ?? []).map((one) => one.x).join(); });
      window.add = (text) => board.add_note("k", text);
      window.move = (x) => { board.move_cursor("k", { x, key: "somebody else" }); };
      window.ready = true;
    </script>
  </body>
</html>
"""


@pytest.fixture
async def server(project: Callable[[dict[str, str]], Path]) -> AsyncIterator[RunningServer]:
    files = {"hooks.py": HOOKS, "live/boards.py": LIVE, "web/index.html": PAGE}
    async with running_server(project(files)) as running:
        yield running


@pytest.fixture
async def people(browser: Browser, no_leaked_tasks: None) -> AsyncIterator[People]:
    async with people_of(browser) as made:
        yield made


async def shows(page: Page, name: str, value: str) -> None:
    await page.wait_for_function(f"(value) => window.ready && {name} === value", arg=value)


@pytest.mark.spec("LIVE-126", "LIVE-127")
async def test_a_room_is_one_object_in_every_page(server: RunningServer, people: People) -> None:
    ann, bob = [await people.open(server.url, name) for name in ("Ann", "Bob")]
    for page in (ann, bob):
        await shows(page, "who", "Ann,Bob")
    assert await ann.evaluate("add('milk')") == {"id": 1, "text": "milk"}
    for page in (ann, bob):
        await shows(page, "notes", "milk")

    await ann.evaluate("for (let x = 1; x <= 50; x++) move(x)")
    await bob.evaluate("move(7)")
    for page in (ann, bob):
        await page.wait_for_function("places.split(',').sort().join() === '50,7'")

    tab = await people.open(server.url, "Ann")
    await shows(tab, "notes", "milk")
    await shows(tab, "who", "Ann,Bob")
    await ann.close()
    await bob.evaluate("move(8)")
    await bob.wait_for_function("places.split(',').sort().join() === '50,8'")
    await tab.close()
    await shows(bob, "places", "8")
    await shows(bob, "who", "Bob")
