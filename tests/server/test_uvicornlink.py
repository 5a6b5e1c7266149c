"""Peers that do not go by themselves, and what `runtime.server.uvicornlink` assumes of uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from runtime.core.connection import Connection
from runtime.core.settings import ServerSettings, Settings
from runtime.server.hooks import Hook, HookSet
from runtime.server.uvicornlink import CLOSE_TIMEOUT, LinkedProtocol
from runtime.testing import FakeClock, eventually
from tests.server.sockets import Served, call, receive, served
from tests.server.test_websocket import project, settings

PATIENT = Settings(server=ServerSettings(env="test", shutdown_timeout=60))
SOON = 20.0  # far below what would be waited without a bound, far above what is waited with it

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@contextlib.asynccontextmanager
async def silent_peer(server: Served, path: str = "/ws") -> AsyncIterator[socket.socket]:
    """Connect, and read nothing but the start of the answer."""
    host, port = server.address.split(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(peer, (host, int(port)))
        await loop.sock_sendall(peer, HANDSHAKE.format(path=path, address=server.address).encode())
        assert (await loop.sock_recv(peer, 12)).startswith(b"HTTP/1.1 101")
        yield peer


async def stalled(server: Served) -> Connection:
    """Return the only connection, behind as much as its peer does not read."""
    await eventually(lambda: len(server.runtime.connections) == 1)
    (connection,) = server.runtime.connections.values()
    while connection.buffered_amount < 400_000:
        connection.send_event("t", "data", "x" * 100_000)
        await asyncio.sleep(0)
    return connection


def closes(server: Served) -> list[Any]:
    """Return what the close hook gets from now on."""
    seen: list[Any] = []

    def close(code: int, reason: str) -> None:
        seen.append((code, reason))

    server.runtime.set_hooks(HookSet({"close": Hook("close", close)}))
    return seen


def protocol_of(server: Served) -> Any:
    (protocol,) = server.server.server_state.connections
    return protocol


async def kick(connection: Connection, server: Served) -> None:
    await connection.close(4403, "kicked")


async def leave_politely(connection: Connection, server: Served) -> None:
    protocol_of(server).data_received(b"\x88\x82\0\0\0\0\x03\xe8")


async def break_the_protocol(connection: Connection, server: Served) -> None:
    protocol_of(server).data_received(b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (kick, (4403, "kicked")),
        (leave_politely, (1000, "")),
        (break_the_protocol, (1002, "")),
    ],
)
@pytest.mark.usefixtures("write_path")
async def test_a_peer_that_does_not_read_is_dropped_after_the_deadline(
    tmp_path: Path, end: Any, code: Any
) -> None:
    clock = FakeClock()
    async with served(project(tmp_path), settings(), clock=clock) as server, silent_peer(server):
        seen = closes(server)
        connection = await stalled(server)
        await end(connection, server)
        await clock.advance(CLOSE_TIMEOUT - 0.1)
        assert len(server.server.server_state.connections) == 1
        await clock.advance(0.2)
        await eventually(lambda: not server.server.server_state.connections)
        await eventually(lambda: not server.runtime.connections)
        assert [(got, reason if got != 1002 else "") for got, reason in seen] == [code]
        assert server.runtime.platform.connections == 0
        assert server.runtime.sends.running == 0


async def test_a_peer_that_misses_a_pong_is_dropped_over_asgi_after_the_deadline(tmp_path: Path) -> None:
    clock = FakeClock()
    options = settings(fast_path="off")
    async with served(project(tmp_path), options, clock=clock) as server, silent_peer(server):
        seen = closes(server)
        await stalled(server)
        protocol_of(server).keepalive_timeout()
        await clock.advance(CLOSE_TIMEOUT + 0.1)
        await eventually(lambda: not server.server.server_state.connections)
        await eventually(lambda: seen == [(1006, "")])


@pytest.mark.spec("WIRE-16")
async def test_a_silent_peer_is_pinged_and_then_dropped_on_the_fast_path(tmp_path: Path) -> None:
    clock = FakeClock()
    async with served(project(tmp_path), settings(idle_timeout=80.0), clock=clock) as server:
        async with server.connect(ping_interval=None) as answering:
            await receive(answering)
            async with silent_peer(server):
                await eventually(lambda: len(server.runtime.connections) == 2)
                for _ in range(9):
                    await clock.advance(10)
                    await answering.ping()
                await eventually(lambda: len(server.runtime.connections) == 1)
            await call(answering, "a/echo", 1)


@pytest.mark.usefixtures("write_path")
async def test_terminating_drops_a_peer_at_once(tmp_path: Path) -> None:
    async with served(project(tmp_path), settings(), clock=FakeClock()) as server, silent_peer(server):
        seen = closes(server)
        (await stalled(server)).terminate()
        await eventually(lambda: not server.server.server_state.connections)
        await eventually(lambda: seen == [(1006, "")])
        assert server.runtime.connections == {}


@pytest.mark.usefixtures("write_path")
async def test_a_peer_that_reads_gets_its_close_and_no_timer_stays(tmp_path: Path) -> None:
    clock = FakeClock()
    async with served(project(tmp_path), settings(), clock=clock) as server:
        pending = clock.pending
        async with server.connect() as ws:
            await receive(ws)
            (connection,) = server.runtime.connections.values()
            await connection.close(4403, "kicked")
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (4403, "kicked")
        await eventually(lambda: not server.server.server_state.connections)
        assert clock.pending == pending


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.usefixtures("write_path")
async def test_peers_that_do_not_answer_do_not_hold_up_the_shutdown(tmp_path: Path, reads: bool) -> None:
    async with asyncio.timeout(SOON):
        async with served(project(tmp_path), PATIENT) as server, silent_peer(server):
            seen = closes(server)
            if not reads:
                await stalled(server)
            server.server.should_exit = True
            await eventually(lambda: seen)
            assert seen == [(1001, "Server shutting down")]
            await eventually(lambda: not server.server.server_state.connections)


async def test_a_websocket_of_the_app_does_not_either(tmp_path: Path) -> None:
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_text("x" * 100_000)

    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse("there")

    routes = [WebSocketRoute("/own", endpoint), Route("/page", page)]
    options = Settings(server=ServerSettings(env="test", shutdown_timeout=1))
    async with asyncio.timeout(SOON):
        async with served(project(tmp_path), options, routes=routes) as server, silent_peer(server, "/own"):
            await eventually(lambda: not protocol_of(server).writable.is_set())
            server.server.should_exit = True
            await eventually(lambda: not server.server.server_state.connections, timeout=SOON)


def test_what_is_assumed_of_uvicorn() -> None:
    ours = {name for name in vars(LinkedProtocol) if callable(vars(LinkedProtocol)[name])}
    theirs = vars(WebSocketsSansIOProtocol)
    assert {
        "run_asgi",
        "keepalive_timeout",
        "handle_parser_exception",
        "handle_close",
        "handle_cont",
        "handle_events",
        "shutdown",
        "connection_lost",
        "data_received",
        "on_task_complete",
        "send",
        "send_receive_event_to_app",
    } == (ours & set(theirs)) - {"__init__"}
    own = {
        "close_within_bound",
        "is_closing",
        "refused",
        "terminate",
        "clock",
        "_deadline",
        "_early",
        "_is_detached",
        "_look_at_request",
        "take_over",
    }
    assert not own & set(theirs)
    assert "handshake_complete" in theirs["run_asgi"].__code__.co_names
    assert "keepalive_timeout" in theirs["send_keepalive_ping"].__code__.co_names
    assert "run_asgi" in theirs["handle_connect"].__code__.co_names
    assert "handle_close" in theirs["handle_events"].__code__.co_names
    assert "handle_parser_exception" in theirs["data_received"].__code__.co_names


async def test_the_link_knows_when_the_peer_has_gone(tmp_path: Path) -> None:
    options = settings(fast_path="off")
    async with served(project(tmp_path), options, clock=FakeClock()) as server:
        async with server.connect() as ws:
            await receive(ws)
            protocol = protocol_of(server)
            assert protocol.clock is server.runtime.clock
            assert not protocol.disconnected
            assert not protocol.is_closing
        await eventually(lambda: protocol.disconnected)
        protocol.close_within_bound()
        assert not protocol.is_closing
