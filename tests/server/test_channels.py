"""Channels over real sockets: they begin empty, and a client that comes back keeps what it has. Spec: live-api 9.1."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from runtime.testing import RunningServer, eventually, running_server

LIVE = """
# realtime-allow-public
from runtime import define_topics, guard, live

TOPICS = define_topics(typing=lambda room: f"typing:{room}", mode="mode")
log = []

mode = live.channel(TOPICS.mode)
typing = live.channel(TOPICS.typing, merge="presence")
feed = live.channel(lambda ctx, room: f"feed:{room}", merge="latest", max=2)
items = live.channel("items", merge="crud", key="n")
shut = live.channel("shut", access=lambda ctx: False)
quiet = live.channel(
    "quiet", volatile=True, on_subscribe=lambda ctx, topic: log.append(topic),
    on_unsubscribe=lambda ctx, topic, left: log.append(left),
)

@live
async def emit(ctx, topic: str, event: str, data: dict | list | str | int | None = None):
    ctx.publish(topic, event, data)
"""


@pytest.fixture(params=["auto", "off"], ids=["fast", "asgi"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningServer]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "m.py").write_text(LIVE)
    (tmp_path / "realtime.toml").write_text(f'[websocket]\nfast_path = "{request.param}"\n')
    async with running_server(tmp_path) as running:
        yield running


async def ask(raw: ClientConnection, path: str, *args: Any, **keys: Any) -> Any:
    await raw.send(json.dumps({"rpc": path, "id": "q", "args": args, "stream": True, **keys}))
    return json.loads(await raw.recv())["data"]


@pytest.mark.spec("LIVE-104")
async def test_the_reply_comes_at_once_and_empty(server: RunningServer) -> None:
    async with connect(server.ws_url, origin=Origin(server.url), compression=None) as raw:
        await raw.recv()
        ok = {"id": "q", "ok": True}
        assert await ask(raw, "m/mode") == {
            **ok, "data": None, "topic": "mode", "merge": "set", "channel": True
        }  # fmt: skip
        assert await ask(raw, "m/typing", "a") == {
            **ok, "data": [], "topic": "typing:a", "merge": "presence", "channel": True
        }  # fmt: skip
        assert await ask(raw, "m/feed", "a") == {
            **ok, "data": [], "topic": "feed:a", "merge": "latest", "max": 2, "channel": True
        }  # fmt: skip
        assert await ask(raw, "m/items") == {
            **ok, "data": [], "topic": "items", "merge": "crud", "key": "n", "channel": True
        }  # fmt: skip
        assert (await ask(raw, "m/shut"))["code"] == "UNAUTHENTICATED"
        assert (await ask(raw, "m/typing"))["code"] == "VALIDATION"


@pytest.mark.spec("LIVE-104")
async def test_a_client_that_comes_back_keeps_what_it_has(server: RunningServer) -> None:
    async with server.connect() as rt:
        mode, typing, feed = (
            rt.stream("m/mode"),
            rt.stream("m/typing", "a"),
            rt.stream("m/feed", "a"),
        )
        stores = (mode, typing, feed)
        for store in stores:
            store.subscribe(lambda value: None)
        await eventually(lambda: [store.value for store in stores] == [None, [], []])
        await rt.call("m/emit", "mode", "set", "dark")
        await rt.call("m/emit", "typing:a", "join", {"key": "ann"})
        await rt.call("m/emit", "feed:a", "created", 1)
        kept = ["dark", [{"key": "ann"}], [1]]
        await eventually(lambda: [store.value for store in stores] == kept)

        old = dict(server.runtime.connections)
        for connection in old.values():
            connection.terminate()
        await eventually(lambda: rt.status.value != "open")
        await eventually(lambda: not old.keys() & server.runtime.connections.keys())
        await eventually(lambda: rt.status.value == "open")
        # Until its answer a channel is left and taken anew: what comes in between is nobody's.
        await eventually(lambda: [store.status for store in stores] == ["connected"] * 3)
        assert [store.value for store in stores] == kept
        await rt.call("m/emit", "feed:a", "created", 2)
        await eventually(lambda: feed.value == [1, 2])
        assert mode.value == "dark"


async def test_hooks_and_numbers_of_a_channel(server: RunningServer) -> None:
    log = server.runtime.live.registry.modules["m"].module.log
    async with connect(server.ws_url, origin=Origin(server.url), compression=None) as raw:
        await raw.recv()
        await ask(raw, "m/quiet")
        assert log == ["quiet"]
        await raw.send('{"rpc":"m/emit","args":["quiet","set",1]}')
        assert json.loads(await raw.recv()) == {"topic": "quiet", "event": "set", "data": 1}
        await raw.send('{"type":"unsubscribe","topic":"quiet"}')
        await eventually(lambda: log == ["quiet", 0])
