"""Uploads of the Python client, against a server that the test plays. Spec: live-api 23.6 and 26, wire 4.7."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.client import RpcError, Upload, UploadPacing, UploadProgress
from runtime.testing import eventually
from runtime.wire.binary import UploadCancel, UploadChunk, parse_binary
from tests.unit.client.scripted import Scripted, scripted

pytestmark = pytest.mark.spec("LIVE-191")


def chunks(s: Scripted) -> list[UploadChunk]:
    return [frame for frame in map(parse_binary, s.socket.binaries) if isinstance(frame, UploadChunk)]


def cancels(s: Scripted) -> list[int]:
    return [
        frame.stream_id for frame in map(parse_binary, s.socket.binaries) if isinstance(frame, UploadCancel)
    ]


def answer(s: Scripted, upload: Upload, data: Any = None, **keys: Any) -> None:
    s.socket.publish("__upload", upload.stream_id_hex, {"ok": True, "data": data, **keys})


def refuse(s: Scripted, upload: Upload, code: str, error: str = "no", **keys: Any) -> None:
    s.socket.publish("__upload", upload.stream_id_hex, {"ok": False, "code": code, "error": error, **keys})


async def all_sent(s: Scripted, count: int = 1) -> list[UploadChunk]:
    """Return the chunks once `count` uploads have been sent to their ends."""
    await eventually(lambda: sum(chunk.is_last for chunk in chunks(s)) >= count)
    return chunks(s)


async def error_of(awaitable: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value


@pytest.mark.spec("WIRE-78")
async def test_the_frames_are_those_of_the_specification() -> None:
    async with scripted(upload={"frame_size": 12 + 36 + 4}) as s:
        upload = s.client.upload("files/put", b"AAAABBBBCC", "a.txt")
        await all_sent(s)
        head = bytes.fromhex("01010000000100000000 0024")
        assert s.socket.binaries == [
            head + b'{"rpc":"files/put","args":["a.txt"]}AAAA',
            bytes.fromhex("01000000000100000001") + b"BBBB",
            bytes.fromhex("01020000000100000002") + b"CC",
        ]
        answer(s, upload, {"bytes": 10}, __cap=1_048_576)
        assert await upload == {"bytes": 10}
        empty = s.client.upload("files/put", b"")
        await all_sent(s, 2)
        assert s.socket.binaries[3] == bytes.fromhex("01030000000200000000 0013") + b'{"rpc":"files/put"}'
        assert empty.progress == 1.0
        empty.cancel()


@pytest.mark.spec("LIVE-205")
async def test_progress_tells_what_was_handed_to_the_socket() -> None:
    async with scripted(upload={"frame_size": 12 + 19 + 4}) as s:
        upload = s.client.upload("files/put", b"AAAABBBBCC")
        seen: list[UploadProgress] = []
        finished: list[Any] = []
        off = upload.on_progress(seen.append)
        upload.on("complete", finished.append)
        assert (upload.sent, upload.chunks, upload.bytes_per_sec) == (0, 0, 0)
        await all_sent(s)
        assert [(p.sent, p.total, p.chunks) for p in seen] == [(4, 10, 1), (8, 10, 2), (10, 10, 3)]
        assert [p.percent for p in seen] == [0.4, 0.8, 1.0]
        assert (
            seen[-1].bytes_per_sec == upload.bytes_per_sec == 200
        )  # 10 bytes at once, over no less than 50 ms
        assert repr(upload) == "<Upload files/put 00000001 10 of 10 bytes>"
        await s.clock.advance(1.5)
        assert upload.bytes_per_sec == 0
        off()
        off()
        answer(s, upload, "kept")
        assert await upload == "kept"
        assert await upload == "kept"  # as often as one likes
        assert (finished, upload.done()) == (["kept"], True)


def plain() -> Iterator[bytes]:
    yield from (b"AB", b"", b"CDEFG", b"H", b"I")


async def asynchronous() -> AsyncIterator[bytes]:
    for block in plain():
        yield block


class AsyncFile:
    def __init__(self) -> None:
        self.file = io.BytesIO(b"ABCDEFGHI")

    async def read(self, size: int) -> bytes:
        return self.file.read(size)


@pytest.mark.parametrize("kind", ["bytes", "view", "path", "file", "asyncfile", "plain", "async"])
async def test_every_source_arrives_in_pieces(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"ABCDEFGHI")
    with path.open("rb") as file:
        file.seek(0)
        source: Any = {
            "bytes": b"ABCDEFGHI",
            "view": memoryview(b"ABCDEFGHI"),
            "path": path,
            "file": file,
            "asyncfile": AsyncFile(),
            "plain": plain(),
            "async": asynchronous(),
        }[kind]
        async with scripted(upload=UploadPacing(frame_size=12 + 13 + 3)) as s:
            upload = s.client.upload("f/p", source)
            found = await all_sent(s)
            assert [bytes(chunk.payload) for chunk in found] == [b"ABC", b"DEF", b"GHI"]
            assert [chunk.is_last for chunk in found] == [False, False, True]
            known = kind in ("bytes", "view", "path", "file")
            assert (upload.total, upload.progress) == ((9, 1.0) if known else (None, None))
            answer(s, upload)
            assert await upload is None


@pytest.mark.parametrize("source", [io.BytesIO(b""), iter(()), b""])
async def test_an_empty_source_is_one_frame(source: Any) -> None:
    async with scripted() as s:
        upload = s.client.upload("f/p", source)
        (chunk,) = await all_sent(s)
        assert (chunk.payload, chunk.is_last, chunk.seq) == (b"", True, 0)
        answer(s, upload)
        await upload


async def test_frames_are_small_until_the_server_tells_how_large_they_may_be() -> None:
    async with scripted() as s:
        upload = s.client.upload("f/p", bytes(30_000))
        await all_sent(s)
        assert [len(frame) for frame in s.socket.binaries] == [12_288, 12_273, 30_000 - 2 * 12_263 + 10]
        refuse(s, upload, "TOO_MANY_UPLOADS", "too many", __cap=20_000)
        error = await error_of(upload)
        assert (error.code, error.message) == ("TOO_MANY_UPLOADS", "too many")
        second = s.client.upload("f/p", bytes(30_000))
        await all_sent(s, 2)
        assert len(s.socket.binaries[3]) == 20_000
        second.cancel()


async def test_a_configured_size_above_the_servers_is_cut_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scripted(upload={"frame_size": 5000}) as s:
        first = s.client.upload("f/p", b"x")
        await all_sent(s)
        answer(s, first, __cap=2000)
        await first
        for count in (2, 3):
            upload = s.client.upload("f/p", bytes(4000))
            await all_sent(s, count)
            answer(s, upload)
            await upload
        assert max(map(len, s.socket.binaries)) == 2000
        assert [r.message for r in caplog.records] == [
            "upload: frame_size 5000 is above the server's limit; 2000 is used"
        ]


async def test_it_waits_for_the_socket_to_catch_up() -> None:
    pacing = {"frame_size": 1000, "high_water_mark": 3000, "low_water_mark": 1000}
    async with scripted(upload=pacing) as s:
        s.socket.stalled = asyncio.Event()
        upload = s.client.upload("f/p", bytes(50_000))
        await eventually(lambda: upload.chunks == 4)
        await s.settle()
        assert upload.chunks == 4  # the fourth frame is the one that goes above the mark
        s.socket.stalled.set()
        await all_sent(s)
        answer(s, upload)
        await upload


async def test_cancel_tells_the_server_and_ignores_its_answer() -> None:
    async with scripted(upload={"frame_size": 100, "high_water_mark": 100, "low_water_mark": 1}) as s:
        s.socket.stalled = asyncio.Event()
        upload = s.client.upload("f/p", bytes(5000))
        order: list[Any] = []
        upload.on("cancel", lambda reason: order.append(("cancel", reason)))
        upload.on("error", lambda error: order.append(("error", error.code)))
        await eventually(lambda: upload.chunks == 2)
        assert upload.cancel("not wanted") is True
        assert upload.cancel() is False
        s.socket.stalled.set()
        await eventually(lambda: cancels(s) == [1])
        error = await error_of(upload)
        assert (error.code, error.message) == ("CANCELLED", "not wanted")
        assert order == [("cancel", "not wanted"), ("error", "CANCELLED")]
        refuse(s, upload, "CANCELLED", __cap=1000)
        await s.settle()
        assert s.client._uploads.running == 0
        assert len(chunks(s)) == 2


async def test_one_that_was_not_begun_is_cancelled_without_a_frame() -> None:
    async with scripted() as s:
        upload = s.client.upload("f/p", b"x")
        upload.cancel()
        await s.settle()
        assert s.socket.binaries == []
        assert (await error_of(upload)).code == "CANCELLED"


async def test_cancelling_the_task_that_waits_cancels_the_upload() -> None:
    async with scripted(upload={"frame_size": 100, "high_water_mark": 100, "low_water_mark": 1}) as s:
        s.socket.stalled = asyncio.Event()
        upload = s.client.upload("f/p", bytes(5000))
        heard: list[str] = []
        upload.on("cancel", lambda _: heard.append("cancel"))
        upload.on("error", lambda error: heard.append(error.code))
        await eventually(lambda: upload.chunks == 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await upload
        s.socket.stalled.set()
        await eventually(lambda: cancels(s) == [1])
        assert heard == ["cancel", "CANCELLED"]
        assert s.client._uploads.running == 0


@pytest.mark.parametrize("fault", ["type", "raises", "missing"])
async def test_a_source_that_fails_is_said_to_both_sides(fault: str, tmp_path: Path) -> None:
    def source() -> Iterator[Any]:
        yield b"AAAABBBB"
        if fault == "raises":
            raise OSError("unplugged")
        yield "text"

    async with scripted(upload={"frame_size": 12 + 13 + 4}) as s:
        upload = s.client.upload("f/p", tmp_path / "none" if fault == "missing" else source())
        error = await error_of(upload)
        assert error.code == "SOURCE_ERROR"
        text = {"type": "gave str", "raises": "OSError: unplugged", "missing": "FileNotFoundError"}[fault]
        assert text in error.message
        await s.settle()
        assert cancels(s) == ([] if fault == "missing" else [1])


async def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(500_000))
    pacing = {"frame_size": 100_000, "high_water_mark": 1, "low_water_mark": 1}
    async with scripted(upload=pacing) as s:
        s.socket.stalled = asyncio.Event()
        upload = s.client.upload("f/p", path)
        await eventually(lambda: upload.chunks == 1)
        path.write_bytes(bytes(150_000))
        s.socket.stalled.set()
        error = await error_of(upload)
        assert error.code == "SOURCE_ERROR"
        assert "shorter than the 500000 bytes" in error.message


async def test_a_loss_ends_what_had_begun_and_the_others_wait() -> None:
    async with scripted() as s:
        begun = s.client.upload("f/p", b"x")
        await all_sent(s)
        s.socket.drop(1006)
        await s.status("disconnected")
        assert (await error_of(begun)).code == "DISCONNECTED"
        waiting = s.client.upload("f/p", b"later")
        await s.settle()
        assert waiting.chunks == 0
        for _ in range(400):
            await s.clock.advance(0.01)
        await s.status("open")
        (chunk,) = await all_sent(s)
        assert chunk.payload == b"later"
        answer(s, waiting, 1)
        assert await waiting == 1


async def test_the_end_of_the_connection_ends_all() -> None:
    async with scripted() as s:
        begun = s.client.upload("f/p", b"x")
        await all_sent(s)
        s.socket.drop(1008)
        await s.status("failed")
        assert (await error_of(begun)).code == "CONNECTION_CLOSED"
        late = s.client.upload("f/p", b"x")
        assert (await error_of(late)).code == "CONNECTION_CLOSED"
        assert s.client._uploads.running == 0


async def test_what_cannot_be_sent_is_refused() -> None:
    async with scripted() as s:
        for source in ("text", None, 5):
            with pytest.raises(TypeError, match="upload"):
                s.client.upload("f/p", source)
        with pytest.raises(TypeError):
            s.client.upload("f/p", b"", object())
        error = await error_of(s.client.upload("f/p", b"", "x" * 70_000))
        assert error.code == "PAYLOAD_TOO_LARGE"
        assert s.client._uploads.running == 0
        upload = s.client.upload("f/p", b"")
        with pytest.raises(ValueError, match="event: must be one of progress, complete, cancel, error"):
            upload.on("done", print)
        with pytest.raises(TypeError, match="listener"):
            upload.on("error", None)  # type: ignore[arg-type]  # what is tested
        upload.cancel()


async def test_a_listener_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted() as s:
        upload = s.client.upload("f/p", b"x")
        upload.on_progress(lambda progress: 1 / 0)
        await all_sent(s)
        answer(s, upload, 1)
        assert await upload == 1
        assert [r.message for r in caplog.records] == ["a listener of the upload to f/p raised"]


async def test_answers_that_are_none_are_ignored() -> None:
    async with scripted() as s:
        upload = s.client.upload("f/p", b"x")
        await all_sent(s)
        s.socket.publish("__upload", upload.stream_id_hex, [1])
        s.socket.publish("__upload", "0000ffff", {"ok": True})
        await s.settle()
        assert not upload.done()
        s.socket.publish("__upload", upload.stream_id_hex, {"__cap": True})
        error = await error_of(upload)
        assert (error.code, error.message) == ("UNKNOWN", "Unknown error")
        assert s.client._uploads.frame_size() == 12_288


async def test_ids_count_up_and_skip_zero_and_running_ones() -> None:
    async with scripted() as s:
        table = s.client._uploads
        first = s.client.upload("f/p", b"")
        table._last_id = 2**32 - 2
        ids = [s.client.upload("f/p", b"").stream_id for _ in range(2)]
        assert (first.stream_id, ids) == (1, [2**32 - 1, 2])


@pytest.mark.parametrize(
    ("upload", "error"),
    [
        ({"frame_size": 0}, "upload: frame_size must be a whole number above 0, not 0"),
        ({"high_water_mark": True}, "upload: high_water_mark must be a whole number above 0, not True"),
        ({"low_water_mark": 9, "high_water_mark": 8}, "upload: low_water_mark 9 is above high_water_mark 8"),
        ({"size": 5}, "upload: unknown option 'size'; known: frame_size"),
        (5, "upload: must be a mapping"),
    ],
)
async def test_options_that_cannot_be_are_refused(upload: Any, error: str) -> None:
    async with scripted() as s:
        with pytest.raises((ValueError, TypeError), match=error):
            s.client.configure(upload=upload)
        assert s.client._options.upload == UploadPacing()


class TestBinaryCalls:
    async def test_bytes_go_in_one_frame_and_the_reply_is_the_result(self) -> None:
        async with scripted() as s:
            call = s.client.call_binary("img/thumb", bytearray(b"\xff\xd8"), 128)
            await s.settle()
            (frame,) = s.socket.binaries
            size = int.from_bytes(frame[1:3], "big")
            id = frame[3 : 3 + size].decode().split('"id":"')[1].split('"')[0]
            assert frame[3:] == b'{"rpc":"img/thumb","id":"%b","args":[128]}\xff\xd8' % id.encode()
            s.socket.publish("__rpc", id, {"ok": True, "data": "made"})
            assert await call == "made"

    async def test_it_times_out_as_any_call(self) -> None:
        async with scripted() as s:
            call = s.client.call_binary("img/thumb", b"", timeout=5)
            await s.settle()
            await s.clock.advance(5)
            error = await error_of(call)
            assert (error.code, error.message) == ("TIMEOUT", "RPC 'img/thumb' timed out after 5s")

    async def test_what_cannot_be_sent_is_refused(self) -> None:
        async with scripted() as s:
            with pytest.raises(TypeError, match="data: must be bytes, not str"):
                s.client.call_binary("a/b", "text")  # type: ignore[arg-type]  # what is tested
            with pytest.raises(ValueError, match="timeout"):
                s.client.call_binary("a/b", b"", timeout=0)
            with pytest.raises(RuntimeError, match="a batch cannot hold bytes"):
                s.client.batch(lambda: [s.client.call_binary("a/b", b"")])
            assert (
                await error_of(s.client.call_binary("a/b", b"", "x" * 70_000))
            ).code == "PAYLOAD_TOO_LARGE"
            assert s.client._calls.waiting == 0
            s.socket.drop(1008)
            await s.status("failed")
            assert (await error_of(s.client.call_binary("a/b", b""))).code == "CONNECTION_CLOSED"
