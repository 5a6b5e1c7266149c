"""Rows 66 to 77 of wire 10 over real sockets, and peers that leave or are slow in the middle of an upload.

After each the connection that is left answers a call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from runtime.wire.binary import encode_cancel, encode_chunk, encode_upload_header
from tests.server.peers import write_file
from tests.server.rawpeer import client_frame, raw_peer
from tests.server.sockets import TIMEOUT, Served, call, receive_until, served

pytestmark = [pytest.mark.usefixtures("write_path"), pytest.mark.spec("WIRE-118", "PLAT-158")]

LIVE = """
    import asyncio
    from runtime import live, LiveError

    gate, log = asyncio.Event(), []

    @live
    async def echo(ctx, value): return value

    @live
    async def open(ctx): gate.set()

    @live.upload(max_size=100_000_000)
    async def put(ctx):
        size = 0
        try:
            async for chunk in ctx.stream: size += len(chunk)
        except LiveError as error:
            log.append(error.code)
            raise
        return size

    @live.upload(max_size=10)
    async def small(ctx):
        try:
            async for chunk in ctx.stream: pass
        except LiveError as error:
            log.append(error.code)
            raise

    @live.upload(max_size=1_000_000_000, max_buffered_chunks=4)
    async def slow(ctx):
        await gate.wait()
        return sum([len(chunk) async for chunk in ctx.stream])
"""
CHUNK = 256 * 1024


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    write_file(tmp_path, "live/a.py", LIVE)
    settings = Settings(
        server=ServerSettings(env="test", shutdown_timeout=1),
        websocket=WebSocketSettings(upload_pause=30.0),
    )
    async with served(tmp_path, settings) as one:
        yield one


def first(path: str = "a/put", payload: bytes = b"x", *, id: int = 1, last: bool = False) -> bytes:
    return encode_chunk(id, 0, payload, is_last=last, header=encode_upload_header(path, []))


def more(seq: int, payload: bytes = b"x", *, id: int = 1, last: bool = False) -> bytes:
    return encode_chunk(id, seq, payload, is_last=last)


async def answered(ws: ClientConnection, id: int = 1) -> Any:
    frame = await receive_until(ws, topic="__upload", event=f"{id:08x}")
    return frame["data"]


async def refused(ws: ClientConnection, id: int = 1) -> tuple[str, str]:
    data = await answered(ws, id)
    return data["code"], data["error"]


async def sends_nothing(ws: ClientConnection, *frames: bytes | str) -> None:
    """Send frames that nothing answers; the next upload is answered, and first."""
    for frame in frames:
        await ws.send(frame)
    await ws.send(first(id=99, last=True))
    frame = await receive_until(ws, topic="__upload")
    assert (frame["event"], frame["data"]["data"]) == ("00000063", 1)
    assert (await call(ws, "a/echo", 1))["data"] == 1


def left(server: Served) -> tuple[int, int, int, int]:
    live = server.runtime.live
    return live.uploads.active, live.uploads.running, live.uploads.pending_bytes, live.calls.running


async def nothing_left(server: Served) -> None:
    await eventually(lambda: left(server) == (0, 0, 0, 0) and not server.runtime.live.uploads._peers)


@pytest.mark.spec("WIRE-82")
async def test_rows_66_67_68_and_69_malformed_chunks(server: Served) -> None:
    async with server.connect() as ws:
        await sends_nothing(
            ws,
            b"\x01" + b"\x00" * 8,
            b"\x01\x05" + b"\x00" * 8 + b"\x00\x02{}",
            b"\x01\x81" + b"\x00" * 8 + b"\x00\x02{}",
            b"\x01\x00" + b"\x00" * 8,
            b"\x01\x01\x00\x00\x00\x01\x00\x00\x00\x03\x00\x02{}",
            b"\x01\x01" + b"\x00" * 8 + b"\x00\x00{}",
            b"\x01\x01" + b"\x00" * 8 + b"\x00\x09{}",
            b"\x01\x01" + b"\x00" * 8 + b"\x00\x02{]",
        )


async def test_rows_70_and_71_what_is_no_upload(server: Served) -> None:
    async with server.connect() as ws:
        for id, header in enumerate((b"5", b"{}", b'{"args":[1]}')):
            await ws.send(encode_chunk(id, 0, b"", is_last=True, header=header))
            assert await refused(ws, id) == ("INVALID_REQUEST", "missing rpc path")
        await ws.send(first("a/echo", id=7))
        assert await refused(ws, 7) == ("INVALID_REQUEST", "Not an upload endpoint")
        await sends_nothing(ws)


async def test_rows_72_and_76_what_belongs_to_no_upload(server: Served) -> None:
    async with server.connect() as ws:
        control = encode_cancel(5)
        await sends_nothing(ws, more(5, id=5), control, control[:5], b"\x02\x11" + control[2:])


@pytest.mark.spec("WIRE-81")
async def test_row_73_chunks_in_another_order(server: Served) -> None:
    async with server.connect() as ws:
        for seq in (2, 0xFFFFFFFF):
            await ws.send(first(id=seq))
            await ws.send(more(seq, id=seq))
            expected = f"out-of-order chunk: expected 1, got {seq}"
            assert await refused(ws, seq) == ("INVALID_REQUEST", expected)
        await sends_nothing(ws, more(1, id=2), more(3, id=2))


async def test_rows_74_and_75_too_many_and_too_much(server: Served) -> None:
    async with server.connect() as ws:
        for id in range(1, 6):
            await ws.send(first(id=id))
        assert await refused(ws, 5) == ("TOO_MANY_UPLOADS", "too many concurrent uploads on this session")
        await ws.send(more(1, id=1, last=True))
        assert (await answered(ws, 1))["data"] == 2
        await ws.send(first("a/small", b"x" * 5, id=6))
        await call(ws, "a/echo", 1)  # the handler has begun
        await ws.send(more(1, b"x" * 6, id=6))
        assert await refused(ws, 6) == ("PAYLOAD_TOO_LARGE", "upload exceeds maxSize")
    await nothing_left(server)
    log = server.runtime.live.registry.modules["a"].module.log
    assert log == ["PAYLOAD_TOO_LARGE", *["DISCONNECTED"] * 3]


async def test_row_77_chunks_behind_the_last_one(server: Served) -> None:
    async with server.connect() as ws:
        await ws.send(first("a/slow", b"1"))
        await ws.send(more(1, b"2", last=True))
        await ws.send(more(2, b"not delivered"))
        await call(ws, "a/open")
        assert (await answered(ws))["data"] == 2


async def test_a_slow_handler_slows_its_sender_and_nobody_else(server: Served) -> None:
    async with server.connect() as ws, server.connect() as other:
        total = 48

        async def send_all() -> None:
            await ws.send(first("a/slow", b"x" * CHUNK))
            for seq in range(1, total):
                await ws.send(more(seq, b"x" * CHUNK, last=seq == total - 1))

        sending = asyncio.create_task(send_all())
        await eventually(lambda: bool(server.runtime.live.uploads._peers))
        connection = next(iter(server.runtime.live.uploads._peers))
        peer = server.runtime.live.uploads._peers[connection]
        await eventually(lambda: peer.holds == 1)
        upload = peer.uploads[1]
        for _ in range(20):  # others are served meanwhile, and nothing more is read of this one
            assert (await call(other, "a/echo", 1))["data"] == 1
        assert len(upload.stream) <= 5
        assert upload.total <= 5 * CHUNK
        assert not sending.done()
        await call(other, "a/open")
        assert (await answered(ws))["data"] == total * CHUNK
        async with asyncio.timeout(TIMEOUT):
            await sending
        assert (await call(ws, "a/echo", 2))["data"] == 2


async def test_what_came_in_one_piece_waits_in_its_order(server: Served) -> None:
    frames = [first("a/slow", b"x")]
    frames += [more(seq, b"x" * 3, last=seq == 999) for seq in range(1, 1000)]
    async with server.connect() as other, raw_peer(server.address) as raw:
        calls = json.dumps({"rpc": "a/echo", "id": "q", "args": [5]}).encode()
        raw.write(*(client_frame(2, frame) for frame in frames), client_frame(1, calls))
        uploads = server.runtime.live.uploads
        await eventually(lambda: any(peer.holds for peer in uploads._peers.values()))
        await call(other, "a/open")
        texts = [json.loads(await raw.until(1)) for _ in range(3)]
    assert {frame.get("event") for frame in texts if "event" in frame} == {"q", "00000001"}
    data = next(frame["data"]["data"] for frame in texts if frame.get("event") == "00000001")
    assert data == 1 + 999 * 3


@pytest.mark.parametrize("step", [1, 7, 40])
@pytest.mark.spec("LIVE-72", "WIRE-88")
async def test_a_disconnect_at_any_byte_leaves_nothing(server: Served, step: int) -> None:
    head = b"".join(
        client_frame(2, frame) for frame in (first(payload=b"abc"), more(1, b"de"), more(2, last=True))
    )
    for cut in range(1, len(head), step if step > 1 else 11):
        async with raw_peer(server.address) as raw:
            raw.write(head[:cut])
            await raw.writer.drain()
            raw.writer.transport.abort()
    await nothing_left(server)
    await eventually(lambda: not server.runtime.connections)
    assert server.runtime.metrics.get("uploads_active") == 0


async def test_a_disconnect_while_reading_is_paused(server: Served) -> None:
    async with server.connect() as other:
        async with server.connect() as ws:
            await ws.send(first("a/slow"))
            for seq in range(1, 10):
                await ws.send(more(seq))
            uploads = server.runtime.live.uploads
            await eventually(lambda: any(peer.holds for peer in uploads._peers.values()))
            ws.transport.abort()
        await call(other, "a/open")
        await nothing_left(server)


async def test_a_stop_of_the_server_while_reading_is_paused(server: Served) -> None:
    async with server.connect() as ws:
        await ws.send(first("a/slow"))
        for seq in range(1, 10):
            await ws.send(more(seq))
        uploads = server.runtime.live.uploads
        await eventually(lambda: any(peer.holds for peer in uploads._peers.values()))
        next(iter(uploads._peers)).close_soon(1012, "going")
        async with asyncio.timeout(TIMEOUT):
            await ws.wait_closed()
        assert ws.close_code == 1012
        await eventually(lambda: uploads.active == 0)
        server.runtime.live.registry.modules["a"].module.gate.set()
        await nothing_left(server)
