"""The real transport against a server of the `websockets` library, and the request before it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from runtime.client import RpcError, connect
from runtime.client.transport import MAX_INBOUND_BYTES, ConnectFailed, SocketClosed, WebSocketTransport
from runtime.testing import eventually

pytestmark = pytest.mark.spec("LIVE-191")


@contextlib.asynccontextmanager
async def server(handler: Callable[[ServerConnection], Any], **options: Any) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as running:
        port = running.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def test_frames_are_text_and_headers_arrive() -> None:
    seen: list[Any] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        seen.append(await connection.recv())
        await connection.send("back é")
        await connection.close(4401, "go away")

    async with server(handler) as url:
        transport = WebSocketTransport(url, headers={"Cookie": "a=1", "X-Test": "yes"})
        socket = await transport.open("b=2")
        await socket.send("hin é".encode())
        assert (await socket.recv()).decode() == "back é"
        with pytest.raises(SocketClosed) as closed:
            await socket.recv()
        assert (closed.value.code, closed.value.reason) == (4401, "go away")
        with pytest.raises(SocketClosed):
            await socket.send(b"late")
        assert socket.buffered == 0
    headers, text = seen
    assert text == "hin é"
    assert headers["origin"] == url.removesuffix("/ws").replace("ws:", "http:")
    assert headers["cookie"] == "a=1; b=2"
    assert headers["x-test"] == "yes"


async def test_an_origin_of_ones_own_is_kept() -> None:
    seen: list[str | None] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.headers.get("Origin"))

    async with server(handler) as url:
        socket = await WebSocketTransport(url, headers={"origin": "https://app.example"}).open(None)
        await socket.close(1000, "")
    assert seen == ["https://app.example"]


async def test_refusals_say_why() -> None:
    statuses = [401, 403, 404]

    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(statuses.pop(0), "No")

    async with server(echo, process_request=refuse) as url:
        with pytest.raises(ConnectFailed, match=r"HTTP 401$"):
            await WebSocketTransport(url).open(None)
        with pytest.raises(ConnectFailed, match=r"HTTP 403 \(a wrong path, or an Origin it does not allow\)"):
            await WebSocketTransport(url).open(None)
        with pytest.raises(ConnectFailed, match=r"HTTP 404 \(nothing is at this path\)"):
            await WebSocketTransport(url).open(None)
    with pytest.raises(ConnectFailed, match=r"refused|Connect"):
        await WebSocketTransport(url).open(None)


async def test_a_server_that_never_answers_is_given_up() -> None:
    stop = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match="timed out"):
            await WebSocketTransport(f"ws://127.0.0.1:{port}/ws", open_timeout=0.05).open(None)
        stop.set()


async def test_a_cut_connection_is_1006() -> None:
    async def cut(connection: ServerConnection) -> None:
        connection.transport.abort()
        await connection.wait_closed()

    async with server(cut) as url:
        socket = await WebSocketTransport(url).open(None)
        with pytest.raises(SocketClosed) as closed:
            await socket.recv()
        assert closed.value.code == 1006


async def test_a_frame_of_the_largest_size_is_taken() -> None:
    text = json.dumps({"topic": "t", "event": "x", "data": "€" * 1_048_500}, ensure_ascii=False)

    async def big(connection: ServerConnection) -> None:
        await connection.send(text)
        await connection.recv()

    async with server(big, compression=None) as url:
        socket = await WebSocketTransport(url).open(None)
        assert len(await socket.recv()) == len(text.encode())
        await socket.close(1000, "")


async def test_a_frame_above_that_is_not_blamed_on_what_was_sent() -> None:
    async def too_big(connection: ServerConnection) -> None:
        await connection.send("x" * (MAX_INBOUND_BYTES + 1))
        await connection.wait_closed()

    async with server(too_big, compression=None) as url:
        socket = await WebSocketTransport(url).open(None)
        with pytest.raises(SocketClosed, match="a frame of the server was above 3145728 bytes") as closed:
            await socket.recv()
        assert closed.value.code == 1006


# ---------------------------------------------------------------- the whole client


async def test_a_message_that_the_server_finds_too_large_is_named() -> None:
    async with server(echo, max_size=1000) as url, connect(url) as rt:
        with pytest.raises(
            RpcError, match=r"larger than the server takes \(\[websocket\] max_payload_length\)"
        ):
            await rt.call("a/b", "x" * 2000)


@pytest.mark.spec("LIVE-204")
async def test_connect_can_be_entered_and_awaited() -> None:
    async with server(echo) as url:
        async with connect(url) as rt:
            assert rt.status.value == "open"
        assert rt.status.value == "failed"
        rt = await connect(url)
        assert rt.status.value == "open"
        await rt.close()


async def test_connecting_to_nobody_fails_in_time() -> None:
    async with server(echo) as url:
        pass
    with pytest.raises(RpcError, match=r"no connection within 0.1s: 1006 .*") as caught:
        await connect(url, open_timeout=0.1)
    assert caught.value.code == "TIMEOUT"


async def test_without_waiting_the_client_goes_on_trying() -> None:
    async with server(echo) as url:
        pass
    async with connect(url, open_timeout=0, max_attempts=0) as rt:
        assert rt.status.value == "connecting"
        await eventually(lambda: rt.status.value == "failed")
        assert rt.failure.value is not None
        assert rt.failure.value["class"] == "EXHAUSTED"


@contextlib.asynccontextmanager
async def preflight_server(
    status: int = 204, cookies: list[str] | None = None
) -> AsyncIterator[tuple[str, Any]]:
    """A raw server: `POST` is answered, an upgrade is handed to the `websockets` server behind it."""
    seen: list[tuple[str, dict[str, str]]] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        seen.append((lines[0], headers))
        if lines[0].startswith("POST"):
            extra = "".join(f"Set-Cookie: {cookie}\r\n" for cookie in cookies or [])
            writer.write(f"HTTP/1.1 {status} Word\r\n{extra}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()
            return
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", back_port)
        back_writer.write(head)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, back_writer), copy(back_reader, writer))

    async with serve(echo, "127.0.0.1", 0, compression=None) as back:
        back_port = back.sockets[0].getsockname()[1]
        front = await asyncio.start_server(relay, "127.0.0.1", 0)
        async with front:
            yield f"ws://127.0.0.1:{front.sockets[0].getsockname()[1]}/ws", seen


async def test_the_request_before_the_connection_brings_cookies() -> None:
    cookies = ["session=s1; Path=/; HttpOnly", "gone=x; Max-Age=0", 'quoted="a b"; Secure']
    async with preflight_server(cookies=cookies) as (url, seen):
        async with connect(url, auth=True, headers={"X-Key": "k"}) as rt:
            assert rt.status.value == "open"
        request, upgrade = seen
        assert request[0] == "POST /__ws/auth HTTP/1.1"
        assert request[1]["x-requested-with"] == "realtime"
        assert request[1]["origin"] == url.removesuffix("/ws").replace("ws:", "http:")
        assert request[1]["x-key"] == "k"
        assert "cookie" not in request[1]
        assert upgrade[1]["cookie"] == 'session=s1; quoted="a b"'


async def test_cookies_are_kept_for_the_next_time_and_bad_ones_ignored() -> None:
    cookies = [
        "a=1; Max-Age=60",
        "b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "c=3; Max-Age=soon",
        "=;;=\x01",
    ]
    async with preflight_server(cookies=cookies) as (url, seen):
        async with connect(url, auth=True, headers={"Cookie": "own=yes"}) as rt:
            preflight = rt._connection._preflight
            assert preflight is not None
            await preflight.run()
        first, upgrade, second = (headers["cookie"] for _, headers in seen)
        assert first == "own=yes"
        assert upgrade == second == "own=yes; a=1; c=3"


async def test_a_renewed_cookie_replaces_the_one_of_the_options() -> None:
    async with preflight_server(cookies=["sid=new; Path=/"]) as (url, seen):
        async with connect(url, auth=True, headers={"cookie": "sid=old; own=yes; sid=older"}) as rt:
            preflight = rt._connection._preflight
            assert preflight is not None
            await preflight.run()
        first, upgrade, second = (headers["cookie"] for _, headers in seen)
        assert first == "sid=old; own=yes; sid=older"
        assert upgrade == second == "own=yes; sid=new"


async def test_a_refused_request_ends_the_client() -> None:
    async with preflight_server(403) as (url, seen):
        with pytest.raises(RpcError, match="403 Word") as caught:
            await connect(url, auth="/login")
        assert caught.value.code == "CONNECTION_CLOSED"
        assert [line for line, _ in seen] == ["POST /login HTTP/1.1"]


@pytest.mark.spec("WIRE-115")
async def test_a_failing_request_is_tried_again() -> None:
    async with preflight_server(503) as (url, _), connect(url, auth=True, open_timeout=0) as rt:
        await eventually(lambda: rt.status.value == "disconnected")
        assert rt.failure.value == {
            "kind": "auth-preflight",
            "class": "AUTH",
            "status": 503,
            "reason": "Word",
        }
    async with connect(url, auth=True, open_timeout=0) as rt:
        await eventually(lambda: rt.status.value == "disconnected")
        assert rt.failure.value == {
            "kind": "auth-preflight",
            "class": "AUTH",
            "status": 0,
            "reason": "network error",
        }
