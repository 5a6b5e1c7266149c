"""Many uploads at once whose handlers do not read: memory stays bounded, and all of them end well."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection

from runtime.core.capacity import capacity_override
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from runtime.wire.binary import encode_chunk, encode_upload_header
from tests.server.peers import write_file
from tests.server.sockets import call, receive_until, served

LIVE = """
    import asyncio
    from runtime import live

    gate = asyncio.Event()

    @live
    async def open(ctx): gate.set()

    @live.upload()
    async def put(ctx):
        await gate.wait()
        return sum([len(chunk) async for chunk in ctx.stream])
"""
PEERS, EACH, CHUNKS, SIZE = 50, 4, 12, 32 * 1024
AGGREGATE = 4 * 1024 * 1024
HEADER = encode_upload_header("a/put", [])


async def send(ws: ClientConnection) -> None:
    for seq in range(CHUNKS + 1):
        for id in range(EACH):
            payload = b"x" * (SIZE if seq else 1)
            header = None if seq else HEADER
            await ws.send(encode_chunk(id, seq, payload, is_last=seq == CHUNKS, header=header))


@pytest.mark.usefixtures("write_path")
async def test_200_uploads_at_once_stay_within_the_memory_for_all(tmp_path: Path) -> None:
    write_file(tmp_path, "live/a.py", LIVE)
    settings = Settings(
        server=ServerSettings(env="test", shutdown_timeout=1), websocket=WebSocketSettings(upload_pause=60.0)
    )
    async with served(tmp_path, settings) as server, AsyncExitStack() as stack:
        stack.enter_context(capacity_override(UPLOAD_PENDING_MAX_AGGREGATE=AGGREGATE))
        peers = [await stack.enter_async_context(server.connect()) for _ in range(PEERS)]
        other = await stack.enter_async_context(server.connect())
        sending = [asyncio.create_task(send(ws)) for ws in peers]
        uploads = server.runtime.live.uploads
        await eventually(lambda: uploads.active == PEERS * EACH)
        await eventually(lambda: all(peer.holds for peer in uploads._peers.values()))
        waiting = [
            upload.stream.waiting_bytes
            for peer in uploads._peers.values()
            for upload in peer.uploads.values()
        ]
        # Each may have the piece with which it went beyond its part.
        assert sum(waiting) <= AGGREGATE + PEERS * EACH * SIZE
        assert (await call(other, "a/open"))["ok"] is True
        for ws in peers:
            for _ in range(EACH):
                frame = await receive_until(ws, topic="__upload")
                assert frame["data"]["data"] == 1 + CHUNKS * SIZE
        await asyncio.gather(*sending)
        assert (uploads.active, uploads.running, uploads.pending_bytes) == (0, 0, 0)


@pytest.mark.usefixtures("write_path")
async def test_what_is_deflated_a_thousand_times_waits_as_well(tmp_path: Path) -> None:
    write_file(tmp_path, "live/a.py", LIVE)
    settings = Settings(
        server=ServerSettings(env="test", shutdown_timeout=1),
        websocket=WebSocketSettings(upload_pause=60.0, compression=True),
    )
    size, chunks = 900_000, 60  # a few hundred of these, deflated, are one read from the socket
    async with served(tmp_path, settings) as server, server.connect() as ws, server.connect() as other:
        await ws.send(encode_chunk(1, 0, b"x", is_last=False, header=HEADER))
        for seq in range(1, chunks + 1):
            await ws.send(encode_chunk(1, seq, bytes(size), is_last=seq == chunks))
        uploads = server.runtime.live.uploads
        await eventually(lambda: any(peer.holds for peer in uploads._peers.values()))
        upload = next(upload for peer in uploads._peers.values() for upload in peer.uploads.values())
        for _ in range(10):
            assert (await call(other, "a/nobody"))["ok"] is False
        assert upload.stream.waiting_bytes < 4 * 1024 * 1024 + size
        await call(other, "a/open")
        frame = await receive_until(ws, topic="__upload")
        assert frame["data"]["data"] == 1 + chunks * size
