"""Uploads of the Python client against the real server over real sockets. Spec: live-api 7, 23.6 and 26."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runtime.client import Realtime, RpcError, connect
from runtime.client.sync import connect as connect_sync
from runtime.core.settings import ServerSettings, Settings, WebSocketSettings
from runtime.testing import RunningServer, eventually, running_server

LIVE = """
import asyncio
import hashlib
from runtime import LiveError, live

SEEN = {"started": 0, "ended": [], "most": 0}
GO = asyncio.Event()

@live.upload(max_size=40_000_000)
async def put(ctx, name: str):
    digest, size = hashlib.sha256(), 0
    async for chunk in ctx.stream:
        digest.update(chunk)
        size += len(chunk)
    return {"name": name, "size": size, "sha": digest.hexdigest(), "id": ctx.upload.id}

@live.upload(max_size=40_000_000)
async def wait(ctx):
    SEEN["started"] += 1
    size = 0
    try:
        await GO.wait()
        async for chunk in ctx.stream:
            size += len(chunk)
    except LiveError as error:
        SEEN["ended"].append(error.code)
        raise
    return size

@live.upload()
async def refuse(ctx):
    raise LiveError("NO_SPACE", "The disk is full", {"left": 0})

@live.binary()
async def size(ctx, data: bytes, factor: int = 1):
    return len(data) * factor
"""


@contextlib.asynccontextmanager
async def served(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[RunningServer, Realtime, Any]]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "files.py").write_text(LIVE)
    settings = Settings(server=ServerSettings(env="test"), websocket=WebSocketSettings(**options))
    async with running_server(tmp_path, settings=settings) as server:
        module = server.runtime.live.registry.modules["files"].module
        async with connect(server.ws_url) as rt:
            yield server, rt, module


async def endless() -> AsyncIterator[bytes]:
    yield b"x" * 1_200_000  # more than a frame: what is behind the last full one waits for the end
    await asyncio.Event().wait()


@pytest.mark.spec("LIVE-65", "LIVE-66", "LIVE-191")
async def test_files_arrive_whole_and_the_second_one_in_large_frames(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9_001
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    async with served(tmp_path) as (_, rt, _module):
        for frame in (12_288, 1_048_576):
            upload = rt.upload("files/put", path, "a.bin")
            assert await upload == {
                "name": "a.bin",
                "size": len(data),
                "sha": hashlib.sha256(data).hexdigest(),
                "id": upload.stream_id_hex,
            }
            assert upload.progress == 1.0
            assert upload.chunks == math.ceil(
                len(data) / (frame - 12 - len('{"rpc":"files/put","args":["a.bin"]}'))
            )


@pytest.mark.spec("LIVE-76")
async def test_an_empty_source_is_a_result_too(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, rt, _module):
        assert (await rt.upload("files/put", b"", "e"))["size"] == 0


async def test_a_slow_handler_slows_its_sender_and_nothing_is_lost(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, rt, module):
        await rt.upload("files/put", b"", "for the size of frames")
        rt.configure(upload={"frame_size": 100_000, "high_water_mark": 500_000, "low_water_mark": 100_000})
        upload = rt.upload("files/wait", bytes(30_000_000))
        await eventually(lambda: module.SEEN["started"] == 1)
        (connection,) = server.runtime.live.uploads._peers
        await eventually(lambda: getattr(connection._sink, "is_held", False))
        assert upload.sent < 29_000_000  # the buffers of the system hold some of it
        assert server.runtime.metrics.snapshot()["uploads_active"] == {(): 1}
        module.GO.set()
        assert await upload == 30_000_000


@pytest.mark.spec("LIVE-72")
async def test_cancel_and_loss_end_the_handler_and_leave_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, rt, module):
        uploads = [rt.upload("files/wait", iter([b"x" * 20_000, *[b"y" * 300_000] * 100])) for _ in range(2)]
        await eventually(lambda: module.SEEN["started"] == 2 and all(each.chunks for each in uploads))
        uploads[0].cancel()
        with pytest.raises(RpcError, match="CANCELLED"):
            await uploads[0]
        module.GO.set()
        await eventually(lambda: module.SEEN["ended"] == ["CANCELLED"])
        assert await uploads[1] == 30_020_000
        module.GO.clear()
        third = rt.upload("files/wait", endless())
        await eventually(lambda: module.SEEN["started"] == 3)
        await rt.close()
        with pytest.raises(RpcError, match="CONNECTION_CLOSED"):
            await third
        module.GO.set()
        await eventually(lambda: module.SEEN["ended"] == ["CANCELLED", "DISCONNECTED"])
        await eventually(lambda: not server.runtime.live.calls.running)
        assert server.runtime.live.uploads.active == 0


@pytest.mark.spec("LIVE-67")
async def test_what_the_server_refuses_is_the_error(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, rt, _module):
        with pytest.raises(RpcError, match="PAYLOAD_TOO_LARGE: upload exceeds maxSize"):
            await rt.upload("files/put", bytes(40_000_001), "large")
        with pytest.raises(RpcError, match="NO_SPACE: The disk is full") as caught:
            await rt.upload("files/refuse", b"x")
        assert caught.value.data == {"left": 0}
        with pytest.raises(RpcError, match="NOT_FOUND"):
            await rt.upload("files/none", b"x")
        with pytest.raises(RpcError, match="VALIDATION") as caught:
            await rt.upload("files/put", b"x", 5)
        assert caught.value.issues
        assert await rt.call_binary("files/size", b"abc", 2) == 6  # the connection goes on


async def test_many_uploads_of_many_clients_at_once(tmp_path: Path) -> None:
    async with served(tmp_path, upgrade_rate_limit=None) as (server, _, _module):
        clients = [await connect(server.ws_url) for _ in range(10)]
        try:
            uploads = [rt.upload("files/put", bytes(300_000), str(n)) for rt in clients for n in range(4)]
            results = [await upload for upload in uploads]
            assert {result["size"] for result in results} == {300_000}
        finally:
            for rt in clients:
                await rt.close()


def test_the_blocking_client_uploads_too(tmp_path: Path) -> None:
    ready, done = threading.Event(), threading.Event()
    found: dict[str, str] = {}

    async def serve() -> None:
        async with served(tmp_path) as (server, _, _module):
            found["url"] = server.ws_url
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        with connect_sync(found["url"]) as rt:
            seen: list[int] = []
            result = rt.upload("files/put", b"x" * 30_000, "a", on_progress=lambda p: seen.append(p.sent))
            assert (result["size"], seen[-1]) == (30_000, 30_000)
            assert rt.call_binary("files/size", b"abc", timeout=5) == 3
            with pytest.raises(RpcError, match="NO_SPACE"):
                rt.upload("files/refuse", b"x")
    finally:
        done.set()
        thread.join(20)
