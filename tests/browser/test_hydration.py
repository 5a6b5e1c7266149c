"""A page that the server rendered comes alive in a browser: no second load, no flicker, typed errors.

Spec: live-api 19.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from runtime.testing import RunningServer, running_server
from tests.browser.conftest import Tabs
from tests.browser.wire import sent_frames

pytestmark = pytest.mark.browser

Write = Callable[[dict[str, str]], Path]

LIVE = """
# realtime-allow-public
from runtime import LiveError, Page, live

ROWS = [{"id": 1, "text": "a </script> & <b>"}, {"id": 2, "text": "two"}]
loads = {"rows": 0, "room": 0, "plain": 0, "old": 0}
VERSION = [1]

async def version():
    return VERSION[0]

async def diff(since):
    return [{"id": 9, "text": "changed"}]

@live.stream("rows", replay=True)
async def rows(ctx):
    loads["rows"] += 1
    return list(ROWS)

@live.stream(lambda name: f"room:{name}", delta={"version": version, "diff": diff})
async def room(ctx, name: str):
    if name == "none":
        raise LiveError("NO_ROOM", "There is no <room> 'none'")
    loads["room"] += 1
    if ctx.cursor is None:
        return Page([{"id": 1, "text": name}], True, "next")
    return Page([{"id": 2, "text": "more"}], False)

@live.stream("plain", merge="set")
async def plain(ctx):
    loads["plain"] += 1
    return {"count": loads["plain"]}

@live
async def add(ctx, id: int, text: str):
    ROWS.append({"id": id, "text": text})
    ctx.publish("rows", "created", ROWS[-1])
"""
SCRIPT = """
import { rows, room, plain } from "$live/m.js";
import * as client from "$live/client.js";
const list = document.querySelector("#list");
window.seen = [];
window.shown = [list.innerText];
const look = { childList: true, subtree: true, characterData: true };
new MutationObserver(() => shown.push(list.innerText)).observe(list, look);
window.data = client.hydrateFromPage();
window.app = { rows, room, plain, client, error: client.pageError() };
window.before = [rows.get(), room("a").get()];
"""
FOLLOW = """
rows.subscribe(value => {
  seen.push(value && value.map(row => row.text));
  if (!value) return;
  const item = row => Object.assign(document.createElement("li"), { textContent: row.text });
  list.replaceChildren(...value.map(item));
});
"""
PAGE = """<!doctype html><html lang="en"><head><title>rows</title></head><body>
<ul id="list">{%% for row in rows.data %%}<li>{{ row.text }}</li>{%% endfor %%}</ul>
{{ live_data("rows", rows) }}{{ live_data("room", room) }}{{ live_data("plain", plain) }}
<script type="module">%s%s</script></body></html>"""
HOOKS = """
from starlette.routing import Route
from runtime import LiveError, live, render

async def page(request):
    platform = request.state.platform
    return await render(request, "_page.html.j2", {
        "rows": await live.preload("m/rows", platform),
        "room": await live.preload("m/room", platform, args=[request.path_params["room"]]),
        "plain": await live.load("m/plain", platform),
    })

routes = [Route("/rooms/{room}", page)]
"""
FILES = {
    "realtime.toml": "",
    "live/m.py": LIVE,
    "hooks.py": HOOKS,
    "web/_page.html.j2": PAGE % (SCRIPT, FOLLOW),
    "web/later.html.j2": (PAGE % (SCRIPT, f"window.follow = () => {{{FOLLOW}}};")).replace(
        "<ul",
        "{% set rows = preload('m/rows') %}{% set room = preload('m/room', args=['a']) %}"
        "{% set plain = load('m/plain') %}<ul",
    ),
}


@pytest.fixture
async def server(project: Write) -> AsyncIterator[RunningServer]:
    async with running_server(project(FILES)) as running:
        yield running


def loads(server: RunningServer) -> dict[str, int]:
    module = server.runtime.live.registry.modules["m"].module
    found: dict[str, int] = module.loads
    return found


async def connected(page: Page, store: str = "rows") -> None:
    await page.wait_for_function(
        f"new Promise(done => app.{store}.status.subscribe(status => status === 'connected' && done(true)))"
    )


ALL = ["a </script> & <b>", "two"]


@pytest.mark.spec("LIVE-165")
async def test_a_page_goes_on_from_its_data_without_a_second_load_and_without_flicker(
    server: RunningServer, tabs: Tabs
) -> None:
    page = await tabs.open(f"{server.url}/rooms/a")
    await connected(page)
    assert await page.evaluate("seen") == [ALL, ALL], (
        "the value that it came with, and then the answer: the same"
    )
    assert loads(server)["rows"] == 1, "for the page only"
    before = await page.evaluate("before")
    assert [row["text"] for row in before[0]] == ALL
    assert before[1] == [{"id": 1, "text": "a"}]
    assert await page.evaluate("data") == {"rows": before[0], "room": before[1], "plain": {"count": 1}}
    async with server.connect() as client:
        await client.call("m/add", 3, "three")
    await expect(page.locator("#list li")).to_have_text([*ALL, "three"])
    assert [text for text in await page.evaluate("shown") if "two" not in text] == [], (
        "the list was never empty"
    )
    assert await page.evaluate("app.error") is None
    assert loads(server)["rows"] == 1


async def test_what_happened_between_the_page_and_its_connection_is_not_missed(
    server: RunningServer, tabs: Tabs
) -> None:
    page = await tabs.open(f"{server.url}/later")
    frames = sent_frames(page)
    async with server.connect() as client:
        await client.call("m/add", 3, "three")
        await page.evaluate("follow()")
        await connected(page)
        await expect(page.locator("#list li")).to_have_text([*ALL, "three"])
        await client.call("m/add", 4, "four")
        await expect(page.locator("#list li")).to_have_text([*ALL, "three", "four"])
    assert loads(server)["rows"] == 1
    assert next(frame for one in frames for frame in one if frame.get("rpc") == "m/rows")["seq"] >= 0


async def test_a_stream_with_versions_asks_for_what_changed_and_goes_on_with_its_pages(
    server: RunningServer, tabs: Tabs
) -> None:
    page = await tabs.open(f"{server.url}/later")
    await page.evaluate("void app.room('a').subscribe(() => {})")
    await connected(page, "room('a')")
    assert loads(server)["room"] == 1, "unchanged"
    assert await page.evaluate("[app.room('a').get(), app.room('a').hasMore]") == [
        [{"id": 1, "text": "a"}],
        True,
    ]
    assert await page.evaluate("app.room('a').loadMore()") is False
    assert await page.evaluate("app.room('a').get().map(row => row.text)") == ["a", "more"]
    changed = await tabs.open(f"{server.url}/later")
    server.runtime.live.registry.modules["m"].module.VERSION[0] = 2
    await changed.evaluate("void app.room('a').subscribe(() => {})")
    await connected(changed, "room('a')")
    assert await changed.evaluate("app.room('a').get().map(row => row.text)") == ["a", "changed"]
    assert loads(server)["room"] == 3, "two pages and the further one"


async def test_a_stream_that_keeps_nothing_shows_its_value_until_it_has_loaded(
    server: RunningServer, tabs: Tabs
) -> None:
    page = await tabs.open(f"{server.url}/later")
    values = await page.evaluate(
        """new Promise(done => {
            const values = [];
            app.plain.hydrate(data.plain).subscribe(value => values.push(value) === 2 && done(values));
        })"""
    )
    assert values == [{"count": 1}, {"count": 2}]


async def test_a_value_that_came_meanwhile_is_not_put_back(server: RunningServer, tabs: Tabs) -> None:
    page = await tabs.open(f"{server.url}/rooms/a")
    await connected(page)
    async with server.connect() as client:
        await client.call("m/add", 3, "three")
    await expect(page.locator("#list li")).to_have_text([*ALL, "three"])
    await page.evaluate("app.client.hydrateFromPage()")
    assert await page.evaluate("app.rows.get().length") == 3


async def test_the_page_is_whole_without_scripts(server: RunningServer, tabs: Tabs) -> None:
    browser = tabs.context.browser
    assert browser is not None
    plain = await browser.new_context(java_script_enabled=False)
    try:
        page = await plain.new_page()
        await page.goto(f"{server.url}/later")
        await expect(page.locator("#list li")).to_have_text(ALL)
    finally:
        await plain.close()


@pytest.mark.spec("LIVE-168")
async def test_an_error_of_a_page_becomes_an_rpc_error_in_the_browser(
    server: RunningServer, tabs: Tabs
) -> None:
    page = await tabs.open()
    answer = await page.goto(f"{server.url}/rooms/none")
    assert answer is not None
    assert answer.status == 400
    await expect(page.get_by_role("heading")).to_have_text("There is no <room> 'none'")
    await expect(page.locator(".code")).to_have_text("400 · LiveError NO_ROOM")
    assert await page.evaluate(
        """async () => {
            const client = await import("$live/client.js");
            const error = client.pageError();
            return [error instanceof client.RpcError, error instanceof Error, error.code, error.message];
        }"""
    ) == [True, True, "NO_ROOM", "There is no <room> 'none'"]
    assert await page.evaluate(
        """async () => {
            const client = await import("$live/client.js");
            const error = client.decodeError(await (await fetch("/rooms/none")).json());
            const odd = client.decodeError({ nothing: true });
            return [error instanceof client.RpcError, error.code, odd instanceof client.RpcError, odd.code];
        }"""
    ) == [True, "NO_ROOM", True, "UNKNOWN"]
