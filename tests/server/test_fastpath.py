"""The fast path over real sockets: who is on it, what stalls whom, and what is left afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastapi
import pytest
import uvicorn
import websockets
from websockets.extensions.permessage_deflate import PerMessageDeflate

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server import uvicornlink
from runtime.server.app import create_app
from runtime.server.assembly import StartupError
from runtime.server.fastpath.peer import MAX_PINGS_PER_SECOND, FastPeer
from runtime.testing import FakeClock, eventually
from tests.server.peers import write_file
from tests.server.rawpeer import RawPeer, client_frame, raw_peer
from tests.server.sockets import Served, call, receive, receive_until, served

LIVE = """
    from runtime import live

    @live
    async def echo(ctx, value): return value

    @live
    async def burst(ctx, topic: str, size: int, count: int):
        for number in range(count):
            ctx.platform.publish(topic, "data", [number, "x" * size])
"""


def project(path: Path) -> Path:
    write_file(path, "live/a.py", LIVE)
    return path


def options(**websocket: Any) -> Settings:
    return Settings(
        server=ServerSettings(env="test", shutdown_timeout=1),
        websocket=WebSocketSettings(upgrade_rate_limit=None, **websocket),
    )


def on_fast_path(server: Served) -> list[FastPeer]:
    return [one for one in server.server.server_state.connections if isinstance(one, FastPeer)]


@contextlib.asynccontextmanager
async def reader_of(server: Served, topic: str) -> AsyncIterator[RawPeer]:
    """Connect and subscribe; the test decides when to read."""
    async with raw_peer(server.address) as raw:
        raw.write(client_frame(1, json.dumps({"type": "subscribe", "topic": topic, "ref": 1}).encode()))
        while b'"subscribed"' not in await raw.until(1):
            pass
        yield raw


async def test_connections_are_taken_off_asgi_and_leave_nothing_behind(tmp_path: Path) -> None:
    async with served(project(tmp_path), options()) as server:
        async with server.connect() as one, server.connect() as two:
            await call(one, "a/echo", 1)
            await call(two, "a/echo", 2)
            assert len(on_fast_path(server)) == 2
            gc.collect()
            assert not server.server.server_state.tasks
            mine = server.server.server_state.connections
            links = [item for item in gc.get_objects() if isinstance(item, uvicornlink.LinkedProtocol)]
            assert [link for link in links if vars(link).get("connections") is mine] == []
            doors = [item for item in gc.get_objects() if isinstance(item, uvicornlink.Doorway)]
            assert [door for door in doors if door._connections is mine] == []
        await eventually(lambda: not server.runtime.connections)
        await eventually(lambda: not server.server.server_state.connections)


async def test_off_means_plain_asgi(tmp_path: Path) -> None:
    async with served(project(tmp_path), options(fast_path="off")) as server, server.connect() as ws:
        assert (await call(ws, "a/echo", 1))["data"] == 1
        assert on_fast_path(server) == []


async def test_the_parametrised_suites_are_on_the_path_they_name(tmp_path: Path, write_path: str) -> None:
    async with served(project(tmp_path), options()) as server, server.connect() as ws:
        assert (await call(ws, "a/echo", 1))["data"] == 1
        assert len(on_fast_path(server)) == (write_path == "auto")


@pytest.mark.spec("PLAT-45", "WIRE-23")
@pytest.mark.usefixtures("write_path")
async def test_a_peer_that_does_not_read_slows_nobody_and_is_told_what_it_missed(tmp_path: Path) -> None:
    async with served(project(tmp_path), options(max_backpressure=64 * 1024)) as server:
        async with reader_of(server, "t") as slow, server.connect() as quick:
            await quick.send('{"type":"subscribe","topic":"t","ref":1}')
            await receive_until(quick, type="subscribed")
            for _ in range(200):
                assert (await call(quick, "a/burst", "t", 20_000, 5))["ok"]
            (behind,) = (c for c in server.runtime.connections.values() if c.dropped)
            assert behind.buffered_amount < 64 * 1024 + 25_000
            while b'"event":"lagged"' not in (payload := await slow.until(1)):
                pass
            told = json.loads(payload)["data"]
            assert told["dropped"] == behind.dropped
            assert 0 <= told["topics"]["t"] < 1000
            assert (await call(quick, "a/echo", "still there"))["data"] == "still there"
            slow.write(client_frame(1, b'{"rpc":"a/echo","id":"back","args":[1]}'))
            while b'"event":"back"' not in await slow.until(1):
                pass


@pytest.mark.spec("PLAT-45")
async def test_small_events_do_not_pile_up_for_a_peer_that_does_not_read(tmp_path: Path) -> None:
    limit = 64 * 1024
    async with served(project(tmp_path), options(max_backpressure=limit)) as server, reader_of(server, "t"):
        (behind,) = server.runtime.connections.values()
        for _ in range(20_000):
            # Each alone in its turn, and so small that nobody looks at the buffer before it is written.
            server.runtime.platform.publish("t", "data", "x" * 1000)
            await asyncio.sleep(0)
            if behind.dropped:
                break
        assert behind.dropped
        for _ in range(100):
            server.runtime.platform.publish("t", "data", "x" * 1000)
            await asyncio.sleep(0)
        assert behind.buffered_amount < limit + 2000


@pytest.mark.parametrize("ping", [True, False])
async def test_a_silent_peer_is_dropped_on_time_and_not_before(tmp_path: Path, ping: bool) -> None:
    clock, idle = FakeClock(), 80.0
    settings = options(idle_timeout=idle, ping=ping, text_keepalive=None)
    async with served(project(tmp_path), settings, clock=clock) as server, raw_peer(server.address) as raw:
        await eventually(lambda: len(on_fast_path(server)) == 1)
        await clock.advance(idle / 2 - 1)
        # A sign of life, which begins the time anew, right before somebody looks for one.
        raw.write(client_frame(10))
        await eventually(lambda: on_fast_path(server)[0].heard)
        await clock.advance(idle - 1)
        assert len(server.runtime.connections) == 1
        await clock.advance(3)
        await eventually(lambda: not server.runtime.connections)
        assert not on_fast_path(server)


@pytest.mark.usefixtures("write_path")
async def test_a_peer_that_agreed_to_compression_gets_deflated_frames(tmp_path: Path) -> None:
    async with (
        served(project(tmp_path), options(compression=True)) as server,
        server.connect(compression="deflate") as packed,
        server.connect(compression=None) as plain,
    ):
        assert [type(extension) for extension in packed.protocol.extensions] == [PerMessageDeflate]
        assert plain.protocol.extensions == []
        for ws in (packed, plain):
            await receive(ws)
            await ws.send('{"type":"subscribe","topic":"t","ref":1}')
            await receive_until(ws, type="subscribed")
        assert (await call(packed, "a/echo", "täglich" * 500))["data"] == "täglich" * 500
        await call(packed, "a/burst", "t", 3000, 2)
        for _ in range(2):
            assert (await receive_until(plain, topic="t"))["data"][1] == "x" * 3000


async def test_the_connection_of_a_peer_that_asks_for_no_context_takeover_is_shared(tmp_path: Path) -> None:
    async with served(project(tmp_path), options(compression=True)) as server:
        async with server.connect(compression="deflate") as ws:
            (extension,) = ws.protocol.extensions
            assert isinstance(extension, PerMessageDeflate)
            assert extension.remote_no_context_takeover
            assert extension.local_no_context_takeover


async def test_a_flood_of_pings_ends_its_connection(tmp_path: Path) -> None:
    async with served(project(tmp_path), options(), clock=FakeClock()) as server:
        async with raw_peer(server.address) as raw, server.connect() as other:
            raw.write(*(client_frame(9) for _ in range(MAX_PINGS_PER_SECOND)))
            for _ in range(MAX_PINGS_PER_SECOND):
                assert await raw.until(10) == b""
            raw.write(client_frame(9))
            assert await raw.closed_with() == 1008
            assert (await call(other, "a/echo", 1))["data"] == 1


async def test_pings_of_a_peer_that_reads_none_of_the_answers_cost_no_memory(tmp_path: Path) -> None:
    clock = FakeClock()
    async with served(project(tmp_path), options(max_backpressure=2048), clock=clock) as server:
        async with reader_of(server, "t"):
            (connection,) = server.runtime.connections.values()
            (peer,) = on_fast_path(server)
            while connection.buffered_amount < 2048:
                connection.send_event("t", "fill", "x" * 1000)
                await asyncio.sleep(0)
            for _ in range(50):
                peer.data_received(client_frame(9, b"x" * 125))
            assert peer.buffered < 2048 + 1200


@pytest.mark.parametrize("protocol", [uvicornlink.Doorway, uvicornlink.LinkedProtocol])
async def test_a_fastapi_app_keeps_its_own_websockets_and_middleware(
    tmp_path: Path, protocol: type[asyncio.Protocol]
) -> None:
    inner = create_app(project(tmp_path), settings=options(allowed_origins="*"), lifespan="manual")

    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        await inner.start()
        yield
        await inner.stop()

    outer = fastapi.FastAPI(lifespan=lifespan)
    seen: list[str] = []

    class Watching:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                if message["type"] == "websocket.accept":
                    message["headers"] = [*message.get("headers", []), (b"x-seen", b"yes")]
                await send(message)

            seen.append(scope["type"])
            await self.app(scope, receive, sending)

    @outer.websocket("/own/{name}")
    async def own(ws: fastapi.WebSocket, name: str) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(f"{name}: {text}")

    outer.add_middleware(Watching)
    outer.mount("/rt", inner)
    config = uvicorn.Config(outer, ws=protocol, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        running = asyncio.ensure_future(server.serve(sockets=[listening]))
        await eventually(lambda: server.started)
        async with websockets.connect(f"{url}/own/ann") as theirs, websockets.connect(f"{url}/rt/ws") as ours:
            assert (await call(ours, "a/echo", 5))["data"] == 5
            await theirs.send("hi")
            assert await theirs.recv() == "ann: hi"
            assert {type(one).__name__ for one in server.server_state.connections} == {
                "FastPeer",
                "LinkedProtocol",
            }
            for ws in (theirs, ours):
                assert ws.response is not None
                assert ws.response.headers["x-seen"] == "yes"
        assert seen.count("websocket") == 2
        server.should_exit = True
        await running


class TestContract:
    def test_this_uvicorn_is_known(self) -> None:
        assert uvicornlink.contract_problem() is None

    @pytest.mark.parametrize("version", ["0.49.9", "0.60.0", "1.0.0"])
    def test_another_release_is_not(self, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
        monkeypatch.setattr(uvicorn, "__version__", version)
        assert (
            uvicornlink.contract_problem()
            == f"uvicorn {version} is not known, only 0.50 and later below 0.60"
        )

    def test_what_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uvicornlink.contract, "ASSUMED", ("run_asgi", "teleport"))
        assert "lacks teleport" in str(uvicornlink.contract_problem())
        monkeypatch.setattr(uvicornlink.contract, "ASSUMED", ())
        monkeypatch.setattr(uvicornlink.contract, "ASSUMED_STATE", ("soul",))
        assert "does not keep soul" in str(uvicornlink.contract_problem())

    async def test_without_it_the_app_is_served_over_plain_asgi(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uvicornlink.contract, "KNOWN_UVICORN", ((7, 0), (7, 1)))
        async with served(project(tmp_path), options()) as server, server.connect() as ws:
            assert (await call(ws, "a/echo", 1))["data"] == 1
            assert on_fast_path(server) == []
        with pytest.raises(StartupError, match='fast_path = "on" cannot be had'):
            uvicornlink.websocket_protocol(create_app(None, settings=options(fast_path="on")).runtime)
