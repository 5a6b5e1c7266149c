from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from realtime_cli.devserver import overlay
from realtime_cli.devserver.channel import problem_of
from realtime_cli.devserver.overlay import DevChannel
from runtime.core.settings import DevSettings, ServerSettings, Settings
from runtime.live.problems import LoadProblem

ORIGIN = [(b"host", b"localhost:3000"), (b"origin", b"http://localhost:3000")]


class Page:
    """A page's end of an ASGI WebSocket."""

    def __init__(self, channel: DevChannel, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.reads = asyncio.Event()
        self.reads.set()
        self._arrived = asyncio.Event()
        scope = {
            "type": "websocket",
            "path": "/__realtime/dev",
            "headers": ORIGIN if headers is None else headers,
            "scheme": "ws",
            "query_string": b"",
            "server": ("localhost", 3000),
        }
        [route, _] = channel.routes()
        self.task = asyncio.create_task(route.app(scope, self.incoming.get, self._send))  # type: ignore[attr-defined]  # a WebSocketRoute

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        self.sent.append(message)
        self._arrived.set()

    async def messages(self, count: int) -> list[dict[str, Any]]:
        """Return the first `count` texts that were sent."""
        async with asyncio.timeout(10):
            while True:
                texts = [json.loads(sent["text"]) for sent in self.sent if sent["type"] == "websocket.send"]
                if len(texts) >= count:
                    return texts
                self._arrived.clear()
                await self._arrived.wait()

    async def closed(self) -> tuple[int, str]:
        async with asyncio.timeout(10):
            await self.task
        last = self.sent[-1]
        assert last["type"] == "websocket.close"
        return last["code"], last.get("reason") or ""

    async def leave(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(10):
            await self.task


@pytest.fixture
def channel() -> DevChannel:
    return DevChannel("w1", Settings())


PROBLEM = problem_of(
    LoadProblem("live/a.py", 3, "SyntaxError", "no", "hint", column=4, excerpt=[(3, "x")], traceback="t")
)


def test_problems_have_the_keys_of_the_page_script() -> None:
    assert PROBLEM == {
        "file": "live/a.py",
        "line": 3,
        "column": 4,
        "errorType": "SyntaxError",
        "message": "no",
        "hint": "hint",
        "excerpt": [[3, "x"]],
        "traceback": "t",
    }


async def test_a_page_is_greeted_and_told_what_happens(channel: DevChannel) -> None:
    channel.web = "f1"
    page = Page(channel)
    assert await page.messages(2) == [{"kind": "hello", "worker": "w1", "web": "f1"}, {"kind": "ok"}]
    channel.set_problems("live", [PROBLEM])
    channel.set_problems("live", [PROBLEM])
    channel.css_changed(["/a.css"])
    channel.page_changed()
    channel.stubs_changed(["a"])
    channel.set_problems("live", [])
    assert (await page.messages(7))[2:] == [
        {"kind": "error", "problems": [PROBLEM]},
        {"kind": "css", "paths": ["/a.css"], "web": "f1"},
        {"kind": "page"},
        {"kind": "stubs", "modules": ["a"]},
        {"kind": "ok"},
    ]
    await page.leave()
    assert channel.pages == 0


async def test_problems_of_several_sources_are_joined_and_greet_late_pages(channel: DevChannel) -> None:
    other = {**PROBLEM, "file": "hooks.py"}
    channel.set_problems("live", [PROBLEM])
    channel.set_problems("restart", [other, PROBLEM])
    page = Page(channel)
    assert (await page.messages(2))[1] == {"kind": "error", "problems": [PROBLEM, other]}
    channel.set_problems("restart", [other])
    channel.set_problems("live", [])
    assert (await page.messages(4))[3] == {"kind": "error", "problems": [other]}
    await page.leave()


async def test_a_page_hears_of_a_bounded_number_of_problems(channel: DevChannel) -> None:
    channel.set_problems("live", [{**PROBLEM, "line": number} for number in range(1000)])
    page = Page(channel)
    assert len((await page.messages(2))[1]["problems"]) == overlay.MAX_PROBLEMS
    await page.leave()


async def test_close_says_why(channel: DevChannel) -> None:
    page = Page(channel)
    await page.messages(2)
    channel.page_changed()
    channel.close(1012, "Handler reloaded")
    assert await page.closed() == (1012, "Handler reloaded")
    assert (await page.messages(3))[2] == {"kind": "page"}
    assert channel.pages == 0


async def test_a_page_that_does_not_read_is_let_go(
    channel: DevChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay, "MAX_WAITING", 5)
    slow, quick = Page(channel), Page(channel)
    await slow.messages(2)
    await quick.messages(2)
    slow.reads.clear()
    for number in range(10):
        channel.page_changed()
        await quick.messages(3 + number)
    assert channel.pages == 1
    slow.reads.set()
    assert (await slow.closed())[0] == 1013
    await quick.leave()


async def test_the_number_of_pages_is_bounded(channel: DevChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "MAX_PAGES", 1)
    first = Page(channel)
    await first.messages(2)
    second = Page(channel)
    assert (await second.closed())[0] == 1013
    await first.leave()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"localhost:3000"), (b"origin", b"http://evil.example")],
        [(b"host", b"localhost:3000"), (b"origin", b"http://localhost:3001")],
        [(b"host", b"localhost:3000"), (b"origin", b"null")],
    ],
)
async def test_pages_of_other_sites_are_turned_away(
    channel: DevChannel, headers: list[tuple[bytes, bytes]]
) -> None:
    page = Page(channel, headers)
    await page.closed()
    assert [message["type"] for message in page.sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        (Settings(), [(b"host", b"localhost:3000")]),
        (
            Settings(server=ServerSettings(env="dev"), dev=DevSettings(skip_origin_check=True)),
            [(b"host", b"localhost:3000"), (b"origin", b"http://evil.example")],
        ),
    ],
)
async def test_programs_and_skipped_checks_are_let_in(
    settings: Settings, headers: list[tuple[bytes, bytes]]
) -> None:
    page = Page(DevChannel("w", settings), headers)
    await page.messages(2)
    await page.leave()
