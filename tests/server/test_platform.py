"""The platform over real sockets, on each way of writing: requests, coalesced sends, notices, threads."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.core.connection import Connection, SendResult
from runtime.core.errors import ConnectionClosed, RequestFailed, RequestTimeout
from runtime.core.platform import Platform
from runtime.core.settings import PressureSettings, ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from tests.server.peers import write_file
from tests.server.sockets import Served, receive, receive_until, served

pytestmark = [pytest.mark.usefixtures("write_path"), pytest.mark.spec("PLAT-158")]


def project(tmp_path: Path, live: str = "", hooks: str = "") -> Path:
    write_file(tmp_path, "live/a.py", live or "from runtime import live\n")
    if hooks:
        write_file(tmp_path, "hooks.py", hooks)
    return tmp_path


def settings(**websocket: Any) -> Settings:
    return Settings(
        server=ServerSettings(env="test", shutdown_timeout=1), websocket=WebSocketSettings(**websocket)
    )


def only(server: Served) -> Any:
    (connection,) = server.runtime.connections.values()
    return connection


async def fill(platform: Platform, peer: Connection) -> None:
    """Send until neither the operating system nor the peer's buffer takes more; the last frame is refused."""
    await eventually(lambda: platform.send(peer, "t", "fill", "x" * 500_000) is SendResult.DROPPED)


async def answer(ws: Any, **reply: Any) -> Any:
    """Answer the next request of the server; return the request."""
    request = await receive_until(ws, type="request")
    await ws.send(json.dumps({"type": "reply", "ref": request["ref"], **reply}))
    return request


@pytest.mark.spec("PLAT-67", "WIRE-36")
async def test_a_client_is_asked_and_answers_or_not(tmp_path: Path) -> None:
    async with served(project(tmp_path), settings()) as server, server.connect() as ws:
        await receive(ws)
        platform, peer = server.runtime.platform, only(server)
        asked: Any = asyncio.ensure_future(platform.request(peer, "confirm", {"op": "delete"}))
        request = await answer(ws, data={"confirmed": True})
        assert request == {"type": "request", "ref": 1, "event": "confirm", "data": {"op": "delete"}}
        assert await asked == {"confirmed": True}
        asked = asyncio.ensure_future(platform.request(peer, "confirm"))
        await answer(ws, error="handler said no")
        with pytest.raises(RequestFailed, match="handler said no"):
            await asked
        with pytest.raises(RequestTimeout, match="request timed out"):
            await platform.request(peer, "confirm", timeout=0.02)
        asked = asyncio.ensure_future(platform.request(peer, "confirm"))
        await receive_until(ws, type="request", ref=4)
        await ws.close()
        with pytest.raises(ConnectionClosed, match="connection closed"):
            await asked
        with pytest.raises(ConnectionClosed):
            await platform.request(peer, "confirm")


@pytest.mark.spec("WIRE-37")
async def test_a_long_answer_arrives_whole(tmp_path: Path) -> None:
    async with served(project(tmp_path), settings()) as server, server.connect() as ws:
        await receive(ws)
        asked: Any = asyncio.ensure_future(server.runtime.platform.request(only(server), "e"))
        await answer(ws, data="x" * 20_000)
        assert await asked == "x" * 20_000


@pytest.mark.spec("PLAT-68", "WIRE-37")
async def test_nobody_answers_for_another(tmp_path: Path) -> None:
    async with (
        served(project(tmp_path), settings()) as server,
        server.connect() as mine,
        server.connect() as other,
    ):
        first = (await receive(mine))["sessionId"]
        await receive(other)
        peer = server.runtime.connections[first]
        asked: Any = asyncio.ensure_future(server.runtime.platform.request(peer, "e"))
        ref = (await receive_until(mine, type="request"))["ref"]
        for wrong in (ref, ref + 1, str(ref)):
            await other.send(json.dumps({"type": "reply", "ref": wrong, "data": "forged"}))
        await mine.send(json.dumps({"type": "reply", "ref": ref + 1, "data": "unknown"}))
        await mine.send(json.dumps({"type": "reply", "ref": str(ref), "data": "a text"}))
        await mine.send(json.dumps({"type": "reply", "data": "none"}))
        await mine.send(json.dumps({"type": "subscribe", "topic": "t", "ref": 1}))
        await receive_until(mine, type="subscribed")
        assert not asked.done()
        for _ in range(2):
            await mine.send(json.dumps({"type": "reply", "ref": ref, "data": "mine"}))
        assert await asked == "mine"


ASKING_HOOK = """
    async def subscribe(ws, topic, platform):
        if not await platform.request(ws, "really?", topic, timeout=5):
            return "NOT_REALLY"
"""


async def test_a_subscribe_hook_may_ask_the_client_it_decides_about(tmp_path: Path) -> None:
    """The answer must not wait behind the very frame whose hook waits for it."""
    async with served(project(tmp_path, hooks=ASKING_HOOK), settings()) as server, server.connect() as ws:
        await receive(ws)
        await ws.send(json.dumps({"type": "subscribe", "topic": "t", "ref": 1}))
        await answer(ws, data=True)
        assert (await receive_until(ws, ref=1))["type"] == "subscribed"
        await ws.send(json.dumps({"type": "subscribe", "topic": "u", "ref": 2}))
        await answer(ws, data=False)
        assert (await receive_until(ws, ref=2))["reason"] == "NOT_REALLY"


@pytest.mark.spec("WIRE-58", "PLAT-161")
async def test_everybody_hears_of_an_outage_and_of_its_end(tmp_path: Path) -> None:
    hooks = "def open(ws, platform):\n    platform.health.degrade('from open')\n"
    async with (
        served(project(tmp_path, hooks=hooks), settings()) as server,
        server.connect() as first,
        server.connect() as second,
    ):
        assert (await receive(first))["type"] == "welcome"
        degraded = await receive(first)
        assert (degraded["topic"], degraded["event"]) == ("__realtime", "degraded")
        assert list(degraded) == ["topic", "event", "data"]
        assert abs(degraded["data"]["at"] / 1000 - server.runtime.clock.now()) < 60
        await receive(second)
        platform = server.runtime.platform
        platform.health.degrade("bus")
        platform.health.recover("bus")
        platform.health.recover("from open")
        for ws in (first, second):
            assert (await receive_until(ws, topic="__realtime"))["event"] == "recovered"
        assert all(peer.is_subscribed("__realtime") for peer in server.runtime.connections.values())
        assert all(not peer.subscriptions for peer in server.runtime.connections.values())


@pytest.mark.spec("PLAT-56", "WIRE-35", "PLAT-44", "PLAT-161")
async def test_a_peer_that_reads_again_gets_the_newest_value_of_each_key(tmp_path: Path) -> None:
    limits = settings(max_backpressure=64 * 1024)
    async with served(project(tmp_path), limits) as server, server.connect(max_queue=1) as ws:
        await receive(ws)
        platform, peer = server.runtime.platform, only(server)
        await fill(platform, peer)
        for n in range(500):
            platform.send_coalesced(peer, key=f"k{n % 3}", topic="t", event="move", data=n)
        assert len(peer.coalesced) == 3
        assert server.runtime.metrics.get("ws_coalesced_pending") == 3
        moves = []
        while len(moves) < 3:
            frame = await receive(ws)
            if frame.get("event") == "move":
                assert list(frame) == ["topic", "event", "data"]
                moves.append(frame["data"])
        assert moves == [498, 499, 497]
        await eventually(lambda: peer.coalesced is None)
        lagged = await receive_until(ws, event="lagged")
        assert lagged["data"]["dropped"] == 1  # the refused fill, not the values that only waited


async def test_what_waits_for_a_peer_that_leaves_is_forgotten(tmp_path: Path) -> None:
    limits = settings(max_backpressure=64 * 1024)
    async with served(project(tmp_path), limits) as server:
        async with server.connect(max_queue=1) as ws:
            await receive(ws)
            platform, peer = server.runtime.platform, only(server)
            await fill(platform, peer)
            platform.send_coalesced(peer, key="k", topic="t", event="move", data=1)
            assert server.runtime.metrics.get("ws_coalesced_pending") == 1
            ws.transport.abort()
        await eventually(lambda: not server.runtime.connections)
        assert peer.coalesced is None
        assert server.runtime.metrics.get("ws_coalesced_pending") == 0


THREADS = """
    from runtime import live

    @live(thread=True)
    def work(ctx, count: int):
        for n in range(count):
            ctx.platform.threadsafe.publish("t", "e", n)
        return "done"
"""


@pytest.mark.spec("PLAT-77")
async def test_a_thread_of_a_handler_publishes(tmp_path: Path) -> None:
    async with served(project(tmp_path, THREADS), settings()) as server, server.connect() as ws:
        await receive(ws)
        await ws.send(json.dumps({"type": "subscribe", "topic": "t", "ref": 1}))
        await receive_until(ws, type="subscribed")
        await ws.send(json.dumps({"rpc": "a/work", "id": "c1", "args": [20]}))
        frames = [await receive(ws) for _ in range(21)]
        events = [frame["data"] for frame in frames if frame["topic"] == "t"]
        assert events == list(range(20))


PRESSURE = """
    async def init(platform):
        platform.on_pressure(lambda snapshot: platform.publish("ops", "pressure", snapshot.reason))
        platform.on_publish_rate(lambda rates: platform.publish("ops", "hot", [rate.topic for rate in rates]))
"""


@pytest.mark.spec("PLAT-71", "PLAT-74")
async def test_callbacks_of_the_init_hook_hear_of_pressure_while_the_app_runs(tmp_path: Path) -> None:
    pressure = PressureSettings(sample_interval=0.1, publish_rate=50, topic_publish_rate=50)
    limits = settings(pressure=pressure)
    async with served(project(tmp_path, hooks=PRESSURE), limits) as server, server.connect() as ws:
        await receive(ws)
        await ws.send(json.dumps({"type": "subscribe", "topic": "ops", "ref": 1}))
        await receive_until(ws, type="subscribed")
        platform = server.runtime.platform
        for _ in range(5000):
            platform.publish("hot", "e")
        assert (await receive_until(ws, topic="ops", event="pressure"))["data"] == "PUBLISH_RATE"
        assert (await receive_until(ws, topic="ops", event="hot"))["data"] == ["hot"]
        assert (await receive_until(ws, topic="ops", event="pressure"))["data"] == "NONE"
        assert platform.pressure.memory_mb > 5
        assert 0 < platform.pressure.memory_ratio < 1
