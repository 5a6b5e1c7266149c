"""Calls with bytes and uploads in a `TestEnv`. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime import LiveError, live
from runtime.testing import TestEnv, eventually


class Files:
    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.go = asyncio.Event()

    def exports(self) -> dict[str, Any]:
        @live.upload(max_size=50_000_000)
        async def put(ctx: Any, name: str) -> Any:
            try:
                size = 0
                async for chunk in ctx.stream:
                    size += len(chunk)
                return [name, size, ctx.upload.id]
            except LiveError as error:
                self.seen.append(error.code)
                raise

        @live.upload()
        async def wait(ctx: Any) -> int:
            await self.go.wait()
            return sum([len(chunk) async for chunk in ctx.stream])

        @live.binary(max_size=5)
        async def size(ctx: Any, data: bytes, factor: int = 1) -> int:
            return len(data) * factor

        return {"put": put, "wait": wait, "size": size}


@pytest.fixture
def files(realtime: TestEnv) -> Files:
    made = Files()
    realtime.register("files", made.exports())
    return made


async def test_an_upload_gives_the_result_and_its_progress(realtime: TestEnv, files: Files) -> None:
    ann = realtime.connect(None)
    upload = ann.upload("files/put", b"x" * 1000, "a.txt", frame_size=148)
    sent: list[int] = []
    upload.on_progress(lambda progress: sent.append(progress.sent))
    assert await upload == ["a.txt", 1000, upload.id]
    assert (sent[:2], sent[-1], upload.sent) == ([100, 200], 1000, 1000)


@pytest.mark.spec("LIVE-169")
async def test_errors_are_those_of_the_handler(realtime: TestEnv, files: Files) -> None:
    ann = realtime.connect(None)
    with pytest.raises(LiveError) as caught:
        await ann.upload("files/put", b"x", 5)
    assert (caught.value.code, bool(caught.value.issues)) == ("VALIDATION", True)
    with pytest.raises(LiveError) as caught:
        await ann.binary("files/size", b"x" * 6)
    assert caught.value.code == "PAYLOAD_TOO_LARGE"
    with pytest.raises(LiveError) as caught:
        await ann.binary("files/size", b"", "x" * 70_000)
    assert caught.value.code == "PAYLOAD_TOO_LARGE"
    assert await ann.binary("files/size", b"abc", 2) == 6


async def test_cancel_and_disconnect_reach_the_handler(realtime: TestEnv, files: Files) -> None:
    async def endless() -> Any:
        yield b"x" * 20_000
        await asyncio.Event().wait()

    for code in ("CANCELLED", "DISCONNECTED"):
        ann = realtime.connect(None)
        upload = ann.upload("files/put", endless(), "a")
        await eventually(lambda upload=upload: upload.sent)  # type: ignore[misc]  # of this round
        if code == "CANCELLED":
            upload.cancel()
        else:
            await ann.disconnect()
        with pytest.raises(LiveError) as caught:
            await upload
        assert caught.value.code == code
        await eventually(lambda code=code: files.seen[-1:] == [code])  # type: ignore[misc]  # of this round
    assert realtime.runtime.live.uploads.active == 0


async def test_a_handler_that_is_behind_lets_the_sender_wait(realtime: TestEnv, files: Files) -> None:
    ann = realtime.connect(None)
    upload = ann.upload("files/wait", bytes(40_000_000), frame_size=1_000_000)
    peers = realtime.runtime.live.uploads._peers
    await eventually(lambda: any(peer.holds for peer in peers.values()))
    assert upload.sent < 20_000_000
    files.go.set()
    assert await upload == 40_000_000
