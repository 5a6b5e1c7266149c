"""A connection that is cut at any byte of an upload leaves no task, no buffer and no counter. Spec: live-api 7.2."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from runtime.wire.binary import encode_cancel, encode_chunk, encode_upload_header
from tests.server.peers import write_file
from tests.server.rawpeer import client_frame, request
from tests.server.sockets import Served, served

LIVE = """
    from runtime import LiveError, live

    ended = []

    @live.upload(max_size=1000)
    async def put(ctx, name: str):
        try:
            size = sum([len(chunk) async for chunk in ctx.stream])
            ended.append(size)
        except LiveError as error:
            ended.append(error.code)
            raise
        return size
"""
HEADER = encode_upload_header("a/put", ["a"])


def frames(*chunks: bytes) -> bytes:
    return b"".join(client_frame(0x2, chunk) for chunk in chunks)


FINISHED = frames(
    encode_chunk(1, 0, b"AAAA", is_last=False, header=HEADER),
    encode_chunk(1, 1, b"BBBB", is_last=False),
    encode_chunk(1, 2, b"C", is_last=True),
)
CANCELLED = frames(
    encode_chunk(1, 0, b"AAAA", is_last=False, header=HEADER),
    encode_chunk(2, 0, b"AAAA", is_last=False, header=HEADER),
    encode_cancel(1),
)


async def cut(server: Served, data: bytes, *, hard: bool) -> None:
    """Connect, send `data`, and go, with a FIN or with a reset."""
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request(server.address) + data)
    await reader.readuntil(b"\r\n\r\n")
    await writer.drain()
    if hard:
        writer.transport.abort()
    writer.close()


@pytest.mark.parametrize("stream", [FINISHED, CANCELLED], ids=["finished", "cancelled"])
@pytest.mark.parametrize("hard", [False, True], ids=["fin", "reset"])
@pytest.mark.usefixtures("write_path")
@pytest.mark.spec("LIVE-72", "WIRE-88")
async def test_nothing_is_left_wherever_it_is_cut(tmp_path: Path, stream: bytes, hard: bool) -> None:
    write_file(tmp_path, "live/a.py", LIVE)
    settings = Settings(
        server=ServerSettings(env="test"), websocket=WebSocketSettings(upgrade_rate_limit=None)
    )
    async with served(tmp_path, settings) as server:
        runtime = server.runtime
        uploads, module = runtime.live.uploads, runtime.live.registry.modules["a"].module
        for end in range(len(stream) + 1):
            await cut(server, stream[:end], hard=hard)
        await eventually(lambda: runtime.platform.connections == 0)
        await eventually(lambda: runtime.live.calls.running == 0)
        assert (uploads.active, uploads.running, uploads.pending_bytes) == (0, 0, 0)
        assert uploads._peers == {}
        assert runtime.metrics.get("uploads_active") == 0
        ends = {9} if stream is FINISHED else {"CANCELLED"}
        assert set(module.ended) <= {"DISCONNECTED", *ends}
        assert "DISCONNECTED" in module.ended
