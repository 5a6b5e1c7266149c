"""The board of the template on a line that breaks: what is shown stays, what was missed comes once.

The page is the template's own and everything has its default settings; only the line is ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from realtime_cli.makeproject import make_project
from realtime_cli.templates import list_templates
from runtime.client import Realtime
from runtime.live.stream import StreamRunner
from runtime.testing import RunningServer, eventually, running_server
from tests.browser.conftest import Tabs
from tests.browser.proxy import CuttableProxy, cuttable_proxy
from tests.browser.wire import sent_frames

pytestmark = pytest.mark.browser

STREAMS = ("tasks", "counts", "activity", "here")
RENEWED = ["connected", "reconnecting", "connected"]
#: In the page: what the stores say, which elements of lists come and go, and what each frame shows.
WATCH = """async (names) => {
    const { status, resumed } = await import("$live/client.js");
    const streams = await import("$live/board.js");
    const seen = window.seen = { connection: [], streams: {}, added: [], removed: [], frames: [], resumed };
    status.subscribe((state) => seen.connection.push(state));
    seen.renewed = Promise.all(names.map((name) => new Promise((renewed) => {
        const states = (seen.streams[name] = []);
        streams[name].status.subscribe((state) => {
            states.push(state);
            if (state === "connected" && states.length > 1) renewed();
        });
    })));
    window.cards = [...document.querySelectorAll(".card")];
    window.lines = [...document.querySelectorAll("#activity li")];
    const note = (nodes, into) => into.push(...[...nodes].filter((node) => node.matches?.(".card, #activity li"))
        .map((node) => node.textContent));
    new MutationObserver((changes) => {
        for (const change of changes) {
            note(change.addedNodes, seen.added);
            note(change.removedNodes, seen.removed);
        }
    }).observe(document.querySelector("main"), { childList: true, subtree: true });
    const look = () => {
        const board = document.querySelector("#board");
        const shown = `${board.ariaBusy} ${board.querySelectorAll(".card").length}`;
        if (seen.frames.at(-1) !== shown) seen.frames.push(shown);
        requestAnimationFrame(look);
    };
    look();
}"""


@dataclass
class Board:
    """A served board, a page of it behind a line of ours, and another person beside that line."""

    server: RunningServer
    proxy: CuttableProxy
    page: Page
    other: Realtime
    loads: Counter[str]

    async def cut(self) -> None:
        self.proxy.cut()
        await expect(self.page.locator("#link")).to_have_text("Reconnecting")
        await eventually(lambda: len(self.server.runtime.connections) == 1)

    async def back(self) -> None:
        """Let the line work again and wait until every stream stands."""
        self.proxy.restore()
        await expect(self.page.locator("#link")).to_have_text("Live")
        await self.page.evaluate("seen.renewed")

    async def seen(self) -> dict[str, Any]:
        await self.page.evaluate(
            "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
        )
        told: dict[str, Any] = await self.page.evaluate(
            "({ ...seen, renewed: null, resumed: seen.resumed.get() })"
        )
        return told


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOARD_DB", str(tmp_path / "board.sqlite3"))
    template = next(found for found in list_templates() if found.name == "board")
    make_project(template, "board", tmp_path / "board")
    return tmp_path / "board"


@pytest.fixture
async def board(
    folder: Path, tabs: Tabs, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Board]:
    """The board; a parameter is what its settings have besides."""
    with (folder / "realtime.toml").open("a", encoding="utf-8") as settings:
        settings.write(getattr(request, "param", ""))
    loads: Counter[str] = Counter()
    load = StreamRunner.load

    async def counted(self: StreamRunner, endpoint: Any, *rest: Any) -> Any:
        loads[endpoint.path] += 1
        return await load(self, endpoint, *rest)

    monkeypatch.setattr(StreamRunner, "load", counted)
    async with (
        running_server(folder) as server,
        cuttable_proxy(server.port) as proxy,
        server.connect() as other,
    ):
        page = await tabs.open(proxy.url)
        await expect(page.locator(".card")).to_have_count(4)
        await other.call("board/add", "line-0001", "Before the cut")
        await expect(page.locator(".card")).to_have_count(5)
        await expect(page.locator("#activity li")).to_have_count(1)
        await page.evaluate(WATCH, STREAMS)
        yield Board(server, proxy, page, other, loads)


async def miss_something(board: Board) -> None:
    """Change the board while the page cannot hear of it."""
    await board.other.call("board/add", "line-0002", "Missed")
    await board.other.call("board/rename", "line-0001", "Renamed in the dark")


async def assert_right(board: Board, *, lines: int) -> None:
    """The page shows what the server has, each thing once."""
    page = board.page
    for title in ("Missed", "Renamed in the dark"):
        await expect(page.locator(".card", has_text=title)).to_have_count(1)
    await expect(page.locator(".card")).to_have_count(6)
    await expect(page.locator("#activity li", has_text="added “Missed”")).to_have_count(1)
    await expect(page.locator("#activity li")).to_have_count(lines)
    await expect(page.locator("#summary")).to_have_text("1 of 6 done")
    await expect(page.locator('[data-status="todo"] .count')).to_have_text("4")


@pytest.mark.spec("LIVE-206", "WIRE-99", "WIRE-115", "WIRE-121")
async def test_a_cut_line_fetches_nothing_anew_and_keeps_every_element(board: Board) -> None:
    connections = sent_frames(board.page)
    assert board.loads == {f"board/{name}": 1 for name in STREAMS}
    await board.cut()
    await miss_something(board)
    await board.back()
    await assert_right(board, lines=3)

    assert board.loads == {f"board/{name}": 1 for name in STREAMS}, "what is kept is not fetched again"
    seen = await board.seen()
    assert seen["connection"] == ["open", "disconnected", "connecting", "open"]
    assert seen["streams"] == dict.fromkeys(STREAMS, RENEWED)
    assert seen["removed"] == [], "no element gives way to a new one"
    assert [text for text in seen["added"] if "Missed" in text and "added" not in text] != []
    assert len(seen["added"]) == 3, "one card, two lines"
    assert seen["frames"] == ["false 5", "false 6"], "no frame shows less than the one before it"
    assert await board.page.evaluate("cards.length === 5 && lines.length === 1")
    assert await board.page.evaluate("[...cards, ...lines].every((node) => node.isConnected)")

    assert {topic: entry["state"] for topic, entry in seen["resumed"].items()} == dict.fromkeys(
        STREAMS, "filled"
    )
    assert [frame["type"] for frame in connections[-1][:3]] == ["hello", "resume", "subscribe-batch"]
    await board.other.call("board/add", "line-0003", "After it")
    await expect(board.page.locator(".card", has_text="After it")).to_have_count(1)


async def test_a_cut_in_which_nothing_happens_draws_nothing(board: Board) -> None:
    await board.cut()
    await board.back()
    seen = await board.seen()
    assert board.loads == {f"board/{name}": 1 for name in STREAMS}
    assert (seen["added"], seen["removed"], seen["frames"]) == ([], [], ["false 5"])
    states = {topic: entry["state"] for topic, entry in seen["resumed"].items()}
    assert states == {**dict.fromkeys(("tasks", "counts", "activity"), "complete"), "here": "filled"}


@pytest.mark.spec("WIRE-100", "WIRE-121")
@pytest.mark.parametrize("board", ["\n[capacity]\nMAX_REPLAY_SIZE = 3\n"], indirect=True)
async def test_what_is_not_all_kept_is_said_and_fetched(board: Board) -> None:
    await board.cut()
    for title in ("One name", "Not the last name"):
        await board.other.call("board/rename", "line-0001", title)
    await miss_something(board)
    await board.back()
    await expect(board.page.locator("#activity li", has_text="to “Not the last name”")).to_have_count(1)
    await assert_right(board, lines=5)

    assert board.loads == {"board/tasks": 2, "board/counts": 2, "board/activity": 2, "board/here": 1}
    seen = await board.seen()
    truncated = {topic: {"state": "truncated"} for topic in ("tasks", "counts", "activity")}
    assert seen["resumed"] == {**truncated, "here": {"state": "filled", "count": 1}}
    assert seen["streams"] == dict.fromkeys(STREAMS, RENEWED)
    assert seen["frames"] == ["false 5", "false 6"], "what is there stays until the new list is"
    await board.other.call("board/add", "line-0003", "After it")
    await expect(board.page.locator(".card", has_text="After it")).to_have_count(1)
