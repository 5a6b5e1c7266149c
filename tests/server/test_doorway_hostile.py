"""Upgrade requests that no browser sends, and apps that do unusual things around the handshake."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import UserDict
from pathlib import Path
from typing import Any

import pytest
import websockets
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.utils import ClientDisconnected

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.server import serving
from runtime.server.fastpath.group import PeerGroup
from runtime.server.fastpath.peer import CLOSE_TIMEOUT, LINGER, FastPeer
from runtime.server.httpvariants import bounded_protocol
from runtime.server.websocket import WebSocketEndpoint
from runtime.testing import FakeClock, eventually
from tests.certificates import make_certificate
from tests.server.rawpeer import RawPeer, asking_peer, client_frame, raw_peer, request
from tests.server.sockets import TIMEOUT, call, receive, served
from tests.server.test_doorway import hook, kinds
from tests.server.test_fastpath import options, project

ECHO = client_frame(1, b'{"rpc":"a/echo","id":"1","args":[7]}')
#: Makes a request unusual without making it wrong.
MANY = "".join(f"X-{number}: y\r\n" for number in range(110))


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have every server of a test read requests with this parser."""
    monkeypatch.setattr(
        serving, "bounded_protocol", functools.partial(bounded_protocol, parser=request.param)
    )
    return str(request.param)


def with_headers(head: bytes, more: str) -> bytes:
    return head.replace(b"\r\n\r\n", b"\r\n" + more.encode("latin-1") + b"\r\n")


@pytest.mark.parametrize(
    ("more", "body", "status"),
    [
        pytest.param("Content-Length: 5\r\n", b"hello", "400", id="body"),
        pytest.param("Content-Length: 5\r\n", b"", "400", id="announced-body"),
        pytest.param("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", "400", id="chunks"),
        pytest.param(f"Cookie: {'c' * 9000}\r\n", b"", "431", id="long-line"),
        pytest.param("".join(f"X-{n}: y\r\n" for n in range(140)), b"", "431", id="many-headers"),
        pytest.param("Sec-WebSocket-Protocol: \r\n", b"", "400", id="no-subprotocol"),
        pytest.param("Sec-WebSocket-Protocol: a b\r\n", b"", "400", id="blank-in-subprotocol"),
        pytest.param("Sec-WebSocket-Protocol: a\xe9\r\n", b"", "400", id="foreign-subprotocol"),
    ],
)
@pytest.mark.usefixtures("parser")
async def test_a_request_that_cannot_be_read_is_answered_and_ended(
    tmp_path: Path, more: str, body: bytes, status: str
) -> None:
    asked = []
    async with served(project(tmp_path), options()) as server:
        hook(server, lambda: asked.append(1))
        head = with_headers(request(server.address), more)
        async with asking_peer(server.address, head + body) as raw:
            peer = await raw.answer()
            assert peer.status.startswith(status)
            async with asyncio.timeout(TIMEOUT):
                await peer.reader.read()  # to the end
        await eventually(lambda: not server.server.server_state.connections)
        assert not server.server.server_state.tasks
        assert asked == []


@pytest.mark.usefixtures("parser")
async def test_an_upgrade_in_http_1_0_is_refused(tmp_path: Path) -> None:
    async with served(project(tmp_path), options()) as server:
        head = request(server.address).replace(b"HTTP/1.1", b"HTTP/1.0")
        async with raw_peer(server.address, head) as raw:
            assert raw.status.startswith("400")
        await eventually(lambda: not server.server.server_state.connections)


@pytest.mark.parametrize("cut", [0, 1, 3, len(ECHO) - 1, len(ECHO)])
@pytest.mark.parametrize("more", ["", MANY], ids=["plain", "unusual"])
@pytest.mark.usefixtures("parser")
async def test_what_comes_in_one_piece_with_the_request_is_read_after_the_answer(
    tmp_path: Path, cut: int, more: str
) -> None:
    async with served(project(tmp_path), options()) as server:
        head = with_headers(request(server.address), more)
        ping = client_frame(9, b"early")
        async with raw_peer(server.address, head + ping + ECHO[:cut]) as raw:
            assert raw.status.startswith("101")
            raw.write(ECHO[cut:])
            frames = [await raw.frame()]
            while b'"data":7' not in frames[-1][1]:
                frames.append(await raw.frame())
            assert (10, b"early") in frames


@pytest.mark.usefixtures("parser")
async def test_it_reaches_an_app_of_plain_asgi_too(tmp_path: Path) -> None:
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text(await ws.receive_text())

    async with served(project(tmp_path), options(), routes=[WebSocketRoute("/echo", echo)]) as server:
        head = request(server.address).replace(b"/ws", b"/echo", 1)
        async with raw_peer(server.address, head + client_frame(1, b"early")) as raw:
            assert await raw.frame() == (1, b"early")


async def test_a_hasty_goodbye_is_answered_behind_the_answer(tmp_path: Path) -> None:
    async with served(project(tmp_path), options()) as server:
        goodbye = client_frame(8, (1000).to_bytes(2, "big"))
        async with raw_peer(server.address, request(server.address) + goodbye) as raw:
            assert raw.status.startswith("101")
            assert await raw.closed_with() == 1000
        await eventually(lambda: not server.server.server_state.connections)
        await eventually(lambda: not server.runtime.connections)


class Spy:
    """A transport that remembers what is written to it."""

    def __init__(self, transport: asyncio.Transport, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)


async def test_the_answer_and_the_welcome_leave_in_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    take = PeerGroup.take

    def spied(self: PeerGroup, transport: Any, *args: Any, **values: Any) -> FastPeer:
        return take(self, Spy(transport, written), *args, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(PeerGroup, "take", spied)
    async with served(project(tmp_path), options()) as server, server.connect() as ws:
        await receive(ws)
        (connection,) = server.runtime.connections.values()
        assert (
            getattr(connection.transmit, "__func__", None) is Spy.write
        )  # nothing stands before it any more
        assert len(written) == 1
        assert written[0].startswith(b"HTTP/1.1 101 ")
        assert b"welcome" in written[0]
        assert (await call(ws, "a/echo", 1))["data"] == 1
        assert len(written) == 2
        assert b"HTTP" not in written[1]


async def test_the_app_begins_behind_the_handing_over_whatever_tasks_the_loop_makes(tmp_path: Path) -> None:
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coro.__qualname__)
        return asyncio.Task(coro, loop=loop, **options)

    async with served(project(tmp_path), options()) as server:
        asyncio.get_running_loop().set_task_factory(factory)
        try:
            async with server.connect() as ws:
                assert (await call(ws, "a/echo", 1))["data"] == 1
                assert kinds(server) == ["FastPeer"]
        finally:
            asyncio.get_running_loop().set_task_factory(None)
    assert made
    assert "Doorway._run" not in made  # an eager task would take the transport over before uvicorn gives it


async def test_what_middleware_says_after_the_fast_path_has_the_peer_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    endpoint = WebSocketEndpoint.__call__

    async def talkative(self: WebSocketEndpoint, scope: Any, receive: Any, send: Any) -> None:
        await endpoint(self, scope, receive, send)
        heard.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.close", "code": 1000})
        heard.append("refused")

    monkeypatch.setattr(WebSocketEndpoint, "__call__", talkative)
    async with served(project(tmp_path), options()) as server, server.connect() as ws:
        await eventually(lambda: heard[-1:] == ["refused"])
        assert heard[0]["type"] == "websocket.disconnect"
        assert (await call(ws, "a/echo", 1))["data"] == 1
        assert kinds(server) == ["FastPeer"]
        await eventually(lambda: not server.server.server_state.tasks)


@pytest.mark.parametrize("more", ["", MANY], ids=["plain", "unusual"])
async def test_an_accept_that_middleware_holds_back_is_not_taken_for_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    endpoint = WebSocketEndpoint.__call__

    async def holding(self: WebSocketEndpoint, scope: Any, receive: Any, send: Any) -> None:
        held: list[Any] = []

        async def later(message: Any) -> None:
            if message["type"] == "websocket.accept":
                held.append(message)
                return
            while held:
                await send(held.pop())
            await send(message)

        await endpoint(self, scope, receive, later)

    monkeypatch.setattr(WebSocketEndpoint, "__call__", holding)
    async with served(project(tmp_path), options()) as server:
        head = with_headers(request(server.address), more)
        async with raw_peer(server.address, head) as raw:
            assert raw.status.startswith("101")
            raw.write(ECHO)
            while b'"data":7' not in await raw.until(1):
                pass


async def test_under_tls_a_refused_peer_that_reads_nothing_is_dropped(tmp_path: Path) -> None:
    pair, clock = make_certificate(tmp_path, "site"), FakeClock()
    server = ServerSettings(env="test", shutdown_timeout=1, tls_cert=str(pair.cert), tls_key=str(pair.key))
    async with served(project(tmp_path), Settings(server=server), clock=clock) as site:
        host, port = site.address.split(":")
        context = ssl.create_default_context(cafile=pair.cert)
        _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=host)
        try:
            # It will not see that the server says goodbye, and so not answer that.
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(request(site.address, content_length="5"))
            await eventually(lambda: kinds(site) == ["LinkedProtocol"])
            await clock.advance(CLOSE_TIMEOUT)
            await eventually(lambda: not site.server.server_state.connections)
        finally:
            writer.transport.abort()


async def test_under_tls_a_failed_peer_does_not_wait_long_for_the_end(tmp_path: Path) -> None:
    pair, clock = make_certificate(tmp_path, "site"), FakeClock()
    websocket = WebSocketSettings(upgrade_rate_limit=None, max_payload_length=1024)
    server = ServerSettings(env="test", shutdown_timeout=1, tls_cert=str(pair.cert), tls_key=str(pair.key))
    settings = Settings(server=server, websocket=websocket)
    async with served(project(tmp_path), settings, clock=clock) as site:
        host, port = site.address.split(":")
        context = ssl.create_default_context(cafile=pair.cert)
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=host)
        try:
            writer.write(request(site.address, origin=f"https://{site.address}"))
            async with asyncio.timeout(TIMEOUT):
                assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            raw = RawPeer(reader, writer)
            await raw.until(1)
            raw.write(client_frame(1, b"x" * 2000))
            close = await raw.until(8)
            assert int.from_bytes(close[:2], "big") == 1009
            raw.write(client_frame(8, close))
            assert kinds(site) == ["FastPeer"]
            await clock.advance(LINGER)
            async with asyncio.timeout(TIMEOUT):
                assert await reader.read() == b""
        finally:
            writer.transport.abort()
        await eventually(lambda: not site.server.server_state.connections)


class Untouchable(UserDict[str, Any]):
    """User data that cannot be looked at."""

    def __contains__(self, key: object) -> bool:
        raise RuntimeError("hands off")


async def test_a_connection_that_cannot_be_made_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(project(tmp_path), options()) as server:
        hook(server, lambda: Untouchable({"id": "u"}))
        with pytest.raises((websockets.InvalidMessage, ConnectionError)):
            await server.connect()
        await eventually(lambda: not server.server.server_state.connections)
        assert not server.server.server_state.tasks
        assert not server.runtime.connections
    assert "hands off" in caplog.text
