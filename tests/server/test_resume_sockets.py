"""Clients that come back over real sockets: raw frames and the Python client, with and without the fast path.

Spec: wire 5.4, 7.4 and 8.4.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime.client import ClientOptions, Realtime, Stream
from runtime.core.connection import Connection
from runtime.core.resumes import Resume, Resumes
from runtime.testing import FakeClock, RunningServer, eventually, running_server
from tests.server.rawpeer import RawPeer, client_frame, raw_peer

KEPT = 3
FEED = """
from runtime import live

rows = live.keep("rows", list)
loads = live.keep("loads", list)
PAGE = 2


@live.public
@live.stream("feed", replay=True)
async def items(ctx):
    start = int(ctx.cursor or 0)
    loads.append(start)
    end = start + PAGE
    return {"data": rows[start:end], "hasMore": end < len(rows), "cursor": str(end)}


@live.public
@live
async def echo(ctx, value: str):
    return value
"""
HOOKS = """
def subscribe(topic):
    return topic != "secret"
"""
SETTINGS = """
[server]
env = "test"

[websocket]
fast_path = "{fast_path}"

[capacity]
MAX_REPLAY_SIZE = {kept}
"""
TEXT = 0x1


@pytest.fixture(params=["auto", "off"])
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RunningServer]:
    for name, text in {
        "live/feed.py": FEED,
        "hooks.py": HOOKS,
        "realtime.toml": SETTINGS.format(fast_path=request.param, kept=KEPT),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    async with running_server(tmp_path) as running:
        yield running


def stored(server: RunningServer, name: str) -> list[Any]:
    values: list[Any] = getattr(server.runtime.live.registry.modules["feed"].module, name)
    return values


def add(server: RunningServer, *ids: int) -> None:
    for id in ids:
        stored(server, "rows").append({"id": id})
        server.runtime.platform.publish("feed", "created", {"id": id})


# ---------------------------------------------------------------- raw frames


async def read(peer: RawPeer) -> dict[str, Any]:
    opcode, payload = await peer.frame()
    assert opcode == TEXT
    message: dict[str, Any] = json.loads(payload)
    return message


async def read_until(peer: RawPeer, done: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Read frames up to the one that is wanted, which is the last of them."""
    frames = [await read(peer)]
    while not done(frames[-1]):
        frames.append(await read(peer))
    return frames


def write(peer: RawPeer, *messages: dict[str, Any]) -> None:
    peer.write(*(client_frame(TEXT, json.dumps(message).encode()) for message in messages))


async def subscribed(server: RunningServer, rows: int) -> tuple[str, list[dict[str, Any]]]:
    """Watch the feed for `rows` events and break off without a word; returns the session and the events."""
    async with raw_peer(f"127.0.0.1:{server.port}") as peer:
        welcome = await read(peer)
        write(
            peer, {"type": "hello", "caps": []}, {"rpc": "feed/items", "id": "s", "args": [], "stream": True}
        )
        await read_until(peer, lambda frame: frame.get("topic") == "__rpc")
        add(server, *range(1, rows + 1))
        seen = [await read(peer) for _ in range(rows)]
        peer.writer.transport.abort()
    await eventually(lambda: not server.runtime.connections)
    return welcome["sessionId"], seen


def comes_back(session: str, seen: dict[str, Any], seq: int) -> list[dict[str, Any]]:
    """What a client sends on a new connection, all at once."""
    return [
        {"type": "hello", "caps": []},
        {"type": "resume", "sessionId": session, "lastSeenSeqs": seen},
        {"type": "subscribe-batch", "topics": ["feed"], "ref": 1},
        {"type": "unsubscribe", "topic": "feed"},
        {"rpc": "feed/items", "id": "again", "args": [], "stream": True, "seq": seq},
        {"rpc": "feed/echo", "id": "e", "args": ["still works"]},
    ]


def shape(frames: list[dict[str, Any]]) -> list[Any]:
    """Frames by what they are, in order; replies apart, whose order among calls is free."""
    return [
        frame.get("type") or (frame["topic"], frame["event"], frame["data"] and frame["data"].get("seq"))
        for frame in frames
        if frame.get("topic") != "__rpc"
    ]


def reply(frames: list[dict[str, Any]], id: str) -> dict[str, Any]:
    return next(frame["data"] for frame in frames if frame.get("event") == id)


async def replies_of(peer: RawPeer) -> list[dict[str, Any]]:
    """Read until both calls of `comes_back` are answered."""
    frames: list[dict[str, Any]] = []
    for _ in range(2):
        frames += await read_until(peer, lambda frame: frame.get("topic") == "__rpc")
    return frames


@pytest.mark.spec("WIRE-113", "WIRE-121", "WIRE-99", "WIRE-106")
async def test_raw_frames_what_was_missed_comes_once_and_before_resumed(server: RunningServer) -> None:
    session, events = await subscribed(server, 3)
    last = events[-1]["seq"]
    add(server, 4, 5)
    async with raw_peer(f"127.0.0.1:{server.port}") as peer:
        assert (await read(peer))["sessionId"] != session
        write(peer, *comes_back(session, {"feed": last, "secret": 1, "__rpc": 2, "bad": -1}, last))
        frames = await replies_of(peer)
        add(server, 6)
        live = await read(peer)
    assert shape(frames) == [
        ("__replay:feed", "msg", last + 1),
        ("__replay:feed", "msg", last + 2),
        ("__replay:feed", "end", None),
        ("__replay:secret", "denied", None),
        "resumed",
        "subscribed",
    ]
    report = next(frame["topics"] for frame in frames if frame.get("type") == "resumed")
    assert report == {
        "feed": {"state": "filled", "count": 2},
        "secret": {"state": "denied", "code": "FORBIDDEN"},
    }
    answer = reply(frames, "again")
    assert [entry["data"]["id"] for entry in answer["data"]] == [4, 5]
    assert (answer["replay"], answer["seq"]) == (True, last + 2)
    assert "hasMore" not in answer
    assert "cursor" not in answer
    assert live == {"topic": "feed", "event": "created", "data": {"id": 6}, "seq": last + 3}
    assert reply(frames, "e")["data"] == "still works"
    assert stored(server, "loads") == [0]


@pytest.mark.spec("WIRE-100", "WIRE-113", "WIRE-114", "WIRE-121")
@pytest.mark.parametrize("ahead", [None, 1000], ids=["too much missed", "of another generation"])
async def test_raw_frames_what_is_not_all_kept_is_said(server: RunningServer, ahead: int | None) -> None:
    session, events = await subscribed(server, 3)
    last = events[-1]["seq"] + (ahead or 0)
    add(server, *range(4, 5 + KEPT))
    async with raw_peer(f"127.0.0.1:{server.port}") as peer:
        await read(peer)
        write(peer, *comes_back(session, {"feed": last}, last))
        frames = await replies_of(peer)
    end = next(frame for frame in frames if frame.get("event") == "end")
    assert end == {"topic": "__replay:feed", "event": "end", "data": {"truncated": True}}
    resumed = next(frame for frame in frames if frame.get("type") == "resumed")
    assert resumed == {"type": "resumed", "topics": {"feed": {"state": "truncated"}}}
    assert frames.index(end) < frames.index(resumed)
    answer = reply(frames, "again")
    assert answer["replay"] is False
    assert answer["data"] == [{"id": 1}, {"id": 2}]
    assert (answer["hasMore"], answer["cursor"]) == (True, "2")
    assert reply(frames, "e")["data"] == "still works"
    assert stored(server, "loads") == [0, 0]


# ---------------------------------------------------------------- the Python client


class Line:
    """A Python client whose waits pass when the test says so, with the feed open, and the way to break its line."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.clock = FakeClock()
        self.rt = Realtime(server.ws_url, ClientOptions(), clock=self.clock)
        self.stream: Stream = self.rt.stream("feed/items")
        self.shown: list[list[int]] = []
        self.statuses: list[str] = []

    async def __aenter__(self) -> Line:
        self.rt.start()
        self.stream.open()
        await self.stream.ready()
        self.stream.subscribe(lambda rows: self.shown.append([row["id"] for row in rows]))
        self.rt.status.subscribe(self.statuses.append)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.rt.close()

    def has_shown(self, ids: list[int]) -> bool:
        return self.shown[-1:] == [ids]

    async def cut(self) -> None:
        for connection in list(self.server.runtime.connections.values()):
            connection.terminate()
        await eventually(lambda: self.rt.status.value == "disconnected")
        await eventually(lambda: not self.server.runtime.connections)

    async def back(self) -> None:
        while self.rt.status.value == "disconnected":
            await self.clock.advance(0.25)
        await eventually(lambda: self.rt.status.value == "open")
        await self.clock.advance(0.1)
        await eventually(lambda: self.stream.status == "connected")


@pytest.mark.spec("LIVE-206", "LIVE-191", "WIRE-99", "WIRE-115", "WIRE-121")
async def test_the_python_client_gets_what_it_missed_and_keeps_its_pages(server: RunningServer) -> None:
    add(server, 1, 2, 3, 4, 5)
    async with Line(server) as line:
        assert await line.stream.load_more()
        add(server, 6)
        await eventually(lambda: line.shown[-1] == [1, 2, 3, 4, 6])
        assert line.rt.resumed.value is None
        await line.cut()
        add(server, 7)
        await line.back()
        assert line.shown == [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 6], [1, 2, 3, 4, 6, 7]], (
            "each once, none gone"
        )
        assert line.statuses == ["open", "disconnected", "connecting", "open"]
        assert line.rt.resumed.value == {"feed": {"state": "filled", "count": 1}}
        assert stored(server, "loads") == [0, 2], "the loader ran for the pages only"
        assert line.stream.has_more
        assert await line.stream.load_more()
        assert not await line.stream.load_more()
        assert sorted(row["id"] for row in line.stream.value) == [1, 2, 3, 4, 5, 6, 7]
        assert stored(server, "loads") == [0, 2, 4, 6]


@pytest.mark.spec("WIRE-100", "WIRE-121")
async def test_the_python_client_fetches_what_is_not_all_kept(server: RunningServer) -> None:
    add(server, 1, 2, 3)
    async with Line(server) as line:
        assert not await line.stream.load_more()
        add(server, 4)
        await eventually(lambda: line.shown[-1] == [1, 2, 3, 4])
        events = line.rt.on_replay("feed", since=4).events()
        await line.cut()
        add(server, *range(5, 6 + KEPT))
        await line.back()
        assert line.rt.resumed.value == {"feed": {"state": "truncated"}}
        assert line.shown[-1] == [1, 2]
        assert line.stream.has_more, "it stands at the first page again"
        assert stored(server, "loads") == [0, 2, 0]
        told = [await anext(events) for _ in range(KEPT + 1)]
        assert {event.event for event in told} == {"created", "truncated"}
        assert [event.data["id"] for event in told if event.event == "created"] == [6, 7, 8]
        await events.aclose()


@pytest.mark.spec("WIRE-116")
async def test_the_python_client_reports_the_last_number_of_each_cut(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[dict[str, int]] = []
    begin = Resumes.begin

    def noted(self: Resumes, connection: Connection, seen: Mapping[str, int]) -> Resume:
        reported.append(dict(seen))
        return begin(self, connection, seen)

    monkeypatch.setattr(Resumes, "begin", noted)
    async with Line(server) as line:
        for rows in (2, 4, 6):
            add(server, rows - 1, rows)
            await eventually(partial(line.has_shown, list(range(1, rows + 1))))
            await line.cut()
            await line.back()
    assert reported == [{"feed": 2}, {"feed": 4}, {"feed": 6}]
    assert stored(server, "loads") == [0]
