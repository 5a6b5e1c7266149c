"""Uploads through the real pipeline. Spec: live-api 7, wire 4.7 and rows 66 to 77 of 10."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.wire.binary import encode_cancel, encode_chunk, encode_upload_header
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

UPLOADS = """
    import asyncio
    from runtime import live, guard, LiveError

    log = []
    go = asyncio.Event()

    @live.upload()
    async def put(ctx, name: str = "none"):
        parts = [chunk async for chunk in ctx.stream]
        ctx.publish("files", "created", {"id": name})
        return {"name": name, "bytes": len(b"".join(parts)), "parts": [p.decode() for p in parts], "id": ctx.upload.id}

    @live.upload(max_size=10)
    async def small(ctx):
        try:
            async for chunk in ctx.stream:
                log.append(chunk)
        except LiveError as error:
            log.append((error.code, ctx.signal.aborted, ctx.signal.reason is error))
            raise

    @live.upload()
    async def waits(ctx):
        try:
            await go.wait()
            async for _ in ctx.stream: pass
        except LiveError as error:
            log.append((error.code, error.message, ctx.signal.reason is error))
            raise

    @live.upload(max_concurrent_total=1)
    async def single(ctx):
        async for _ in ctx.stream: pass

    @live.upload(max_buffered_chunks=2)
    async def slow(ctx):
        await go.wait()
        return [len(chunk) async for chunk in ctx.stream]

    @live.upload()
    async def first(ctx):
        async for chunk in ctx.stream:
            return chunk.decode()

    @live.upload()
    async def fails(ctx):
        raise RuntimeError("secret")

    @live.upload()
    async def breaks(ctx):
        async for chunk in ctx.stream:
            break
        await go.wait()
        return [len(ctx.stream), [c async for c in ctx.stream]]

    @live
    async def text(ctx): return 1
"""


class Sender:
    """A client that sends one upload, chunk by chunk."""

    def __init__(self, peer: Peer, path: str = "u/put", *args: Any, id: int = 1) -> None:
        self.peer, self.id, self.seq = peer, id, 0
        self.header = encode_upload_header(path, list(args))

    def send(self, payload: bytes = b"x", *, last: bool = False, seq: int | None = None) -> Sender:
        number = self.seq if seq is None else seq
        header = self.header if number == 0 else None
        self.peer.send(encode_chunk(self.id, number, payload, is_last=last, header=header))
        self.seq += 1
        return self

    def cancel(self) -> None:
        self.peer.send(encode_cancel(self.id))

    async def response(self) -> Any:
        event = f"{self.id:08x}"
        frame = await self.peer.wait(lambda f: f.get("topic") == "__upload" and f.get("event") == event)
        return frame["data"]

    async def code(self) -> tuple[str, str]:
        data = await self.response()
        assert data["ok"] is False
        return data["code"], data["error"]


async def started(make_app: AppFactory, source: str = UPLOADS, **options: Any) -> tuple[App, Peer]:
    app = await make_app({"live/u.py": source}, **options)
    return app, await app.connect({"id": "u1"})


def log_of(app: App) -> list[Any]:
    log: list[Any] = app.runtime.live.registry.modules["u"].module.log
    return log


def go(app: App) -> None:
    app.runtime.live.registry.modules["u"].module.go.set()


def responses(peer: Peer) -> list[Any]:
    return [frame for frame in peer.parsed() if frame.get("topic") == "__upload"]


def assert_nothing_left(app: App) -> None:
    uploads = app.runtime.live.uploads
    assert (uploads.active, uploads.running, uploads.pending_bytes) == (0, 0, 0)
    assert app.runtime.metrics.get("uploads_active") == 0


@pytest.mark.spec("LIVE-65", "LIVE-66", "WIRE-79")
async def test_chunks_arrive_in_order_and_the_result_comes_back(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer, "u/put", "a.txt", id=0xAB)
    upload.send(b"AAAA").send(b"").send(b"BBBB").send(b"CC", last=True)
    assert await upload.response() == {
        "ok": True,
        "data": {"name": "a.txt", "bytes": 10, "parts": ["AAAA", "BBBB", "CC"], "id": "000000ab"},
        "__cap": 1048576,
    }
    assert [frame["event"] for frame in responses(peer)] == ["000000ab"]
    assert app.runtime.metrics.get("rpc_total", "u/put", "ok") == 1
    assert app.runtime.metrics.get("upload_bytes_total") == 10
    assert_nothing_left(app)


@pytest.mark.spec("WIRE-78", "LIVE-76")
async def test_the_bytes_of_the_specification(make_app: AppFactory) -> None:
    source = (
        UPLOADS.replace("def put(", "def put_(")
        + """
    @live.upload()
    async def put(ctx, name=None): return [name, [c.decode() async for c in ctx.stream]]
"""
    )
    app = await make_app({"live/files.py": source})
    peer = await app.connect()
    for text in (
        "01 01 00 00 00 01 00 00 00 00 00 24 7b 22 72 70 63 22 3a 22 66 69 6c 65 73 2f 70 75 74 22 2c 22 61 72"
        "67 73 22 3a 5b 22 61 2e 74 78 74 22 5d 7d 41 41 41 41",
        "01 00 00 00 00 01 00 00 00 01 42 42 42 42",
        "01 02 00 00 00 01 00 00 00 02 43 43",
        "01 03 00 00 00 02 00 00 00 00 00 13" + b'{"rpc":"files/put"}'.hex(),
    ):
        peer.send(bytes.fromhex(text))
    await peer.wait(lambda f: f.get("event") == "00000002")
    peer.send(bytes.fromhex("021000000001"))
    assert [frame for frame in peer.frames if "__upload" in frame] == [
        '{"topic":"__upload","event":"00000001","data":{"ok":true,"data":["a.txt",["AAAA","BBBB","CC"]],"__cap":1048576}}',
        '{"topic":"__upload","event":"00000002","data":{"ok":true,"data":[null,[]]}}',
    ]


@pytest.mark.spec("LIVE-67", "WIRE-85")
async def test_above_its_size_the_handler_is_aborted(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer, "u/small").send(b"12345")
    await turns()
    upload.send(b"678901")
    assert await upload.code() == ("PAYLOAD_TOO_LARGE", "upload exceeds maxSize")
    await turns()
    assert log_of(app) == [b"12345", ("PAYLOAD_TOO_LARGE", True, True)]
    upload.send(b"late").send(b"later", last=True)
    await turns()
    assert len(responses(peer)) == 1
    assert app.runtime.metrics.get("upload_aborts_total", "PAYLOAD_TOO_LARGE") == 1
    assert app.runtime.metrics.get("rpc_total", "u/small", "error") == 1
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-68", "WIRE-81", "WIRE-83")
async def test_order_is_enforced_and_an_active_id_refused(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    first, gap, again = Sender(peer), Sender(peer, id=2), Sender(peer, id=3)
    first.send(b"1").send(seq=0)
    assert await first.code() == ("INVALID_REQUEST", "streamId already active")
    gap.send().send().send(seq=3)
    assert await gap.code() == ("INVALID_REQUEST", "out-of-order chunk: expected 2, got 3")
    again.send().send().send(seq=1)
    assert await again.code() == ("INVALID_REQUEST", "out-of-order chunk: expected 2, got 1")
    peer.sink.frames.clear()
    first.send(b"2", last=True, seq=1)
    assert (await first.response())["data"]["parts"] == ["1", "2"]
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-69", "WIRE-85")
async def test_only_so_many_at_once(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    five = [Sender(peer, "u/put", id=number).send() for number in range(5)]
    assert await five[4].code() == ("TOO_MANY_UPLOADS", "too many concurrent uploads on this session")
    other = await app.connect()
    one = Sender(other, "u/single").send()
    assert await one.code() == ("TOO_MANY_UPLOADS", "too many concurrent uploads")
    for upload in five[:4]:
        upload.send(last=True)
        assert (await upload.response())["ok"] is True
    other.frames.clear()
    one = Sender(other, "u/single", id=2).send(last=True)
    assert (await one.response())["ok"] is True
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-72", "WIRE-86")
async def test_a_cancel_aborts_and_is_answered(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer, "u/waits").send()
    await turns()
    upload.cancel()
    upload.cancel()
    assert await upload.code() == ("CANCELLED", "upload cancelled by client")
    Sender(peer, id=77).cancel()
    go(app)
    await turns()
    assert log_of(app) == [("CANCELLED", "upload cancelled by client", True)]
    assert len(responses(peer)) == 1
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-72", "WIRE-88")
async def test_a_disconnect_aborts_without_an_answer(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    Sender(peer, "u/waits").send()
    Sender(peer, id=2).send()
    await turns()
    Sender(peer, id=3).send()  # pending
    await peer.leave()
    go(app)
    await turns()
    assert log_of(app) == [("DISCONNECTED", "connection closed", True)]
    assert responses(peer) == []
    assert app.runtime.metrics.get("upload_aborts_total", "DISCONNECTED") == 3
    assert not app.runtime.live.uploads._peers
    assert app.runtime.live.calls.running == 0
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-74", "WIRE-87")
async def test_an_early_result_is_sent_at_once(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer, "u/first").send(b"a")
    assert (await upload.response())["data"] == "a"
    upload.send(b"b").send(b"c", last=True)
    await turns()
    assert len(responses(peer)) == 1
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-75", "WIRE-80")
async def test_the_first_response_of_a_connection_tells_the_size_of_frames(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    assert (await Sender(peer, "u/none", id=1).send().response())["__cap"] == 1048576
    assert "__cap" not in await Sender(peer, "u/none", id=2).send().response()
    other = await app.connect()
    assert "__cap" in await Sender(other, id=1).send(last=True).response()
    assert "__cap" not in await Sender(other, id=2).send(last=True).response()


WRAPPED = """
    from runtime import live, guard, LiveError

    seen = []
    before = []

    @live.middleware
    async def watch(ctx, next):
        if not hasattr(ctx, "upload"):
            return await next()
        seen.append(("in", ctx.upload.id))
        ctx.tenant = "t"
        try:
            return {"wrapped": await next()}
        finally:
            seen.append(("out", ctx.signal.aborted))

    def allow(ws, path, args):
        before.append((path, args))
        if args == ["refused"]:
            raise LiveError("NO", "not that one")

    live.message_options(before_execute=allow)
    live.rate_limits(default=Rule(1, 60))

    @live.lock("one")
    @live.rate_limit(3, 60)
    @live.upload()
    async def put(ctx, name: str):
        ctx.publish("files", "created", {"id": name})
        return [ctx.tenant, name, [chunk.decode() async for chunk in ctx.stream]]

    @live.stream("files")
    async def files(ctx): return []
""".replace("LiveError\n", "LiveError, Rule\n", 1)


@pytest.mark.spec("LIVE-159")
async def test_middleware_hooks_and_wrappers_stand_around_it(make_app: AppFactory) -> None:
    app, peer = await started(make_app, WRAPPED)
    module = app.runtime.live.registry.modules["u"].module
    await peer.stream("u/files")
    module.seen.clear()
    module.before.clear()
    upload = Sender(peer, "u/put", "a").send(b"1", last=True)
    assert (await upload.response())["data"] == {"wrapped": ["t", "a", ["1"]]}
    topics = [frame["topic"] for frame in peer.parsed() if frame.get("topic") in ("files", "__upload")]
    assert topics == ["files", "__upload"]
    refused = Sender(peer, "u/put", "refused", id=2).send(last=True)
    assert await refused.code() == ("NO", "not that one")
    for id in (3, 4):
        assert (await Sender(peer, "u/put", "b", id=id).send(last=True).response())["ok"] is True
    limited = await Sender(peer, "u/put", "b", id=5).send(last=True).response()
    assert (limited["code"], limited["retryAfter"] > 0) == ("RATE_LIMITED", True)
    assert module.before[:2] == [("u/put", ["a"]), ("u/put", ["refused"])]
    assert module.seen[:2] == [("in", "00000001"), ("out", False)]
    assert_nothing_left(app)


async def test_an_answer_that_is_too_large_or_no_json(make_app: AppFactory) -> None:
    source = """
    from runtime import live

    @live.upload()
    async def large(ctx): return "x" * 2_000_000

    @live.upload()
    async def odd(ctx): return object()
"""
    app, peer = await started(make_app, source)
    assert await Sender(peer, "u/large").send().code() == ("PAYLOAD_TOO_LARGE", "Response too large")
    assert (await Sender(peer, "u/odd", id=2).send().code())[0] == "INTERNAL_ERROR"
    assert_nothing_left(app)


@pytest.mark.parametrize(
    ("header", "code", "text"),
    [
        (b"5", "INVALID_REQUEST", "missing rpc path"),
        (b"{}", "INVALID_REQUEST", "missing rpc path"),
        (b'{"rpc":5}', "INVALID_REQUEST", "missing rpc path"),
        (b'{"rpc":"u//x"}', "INVALID_REQUEST", "Invalid path"),
        (b'{"rpc":"u/none"}', "NOT_FOUND", "Not found"),
        (b'{"rpc":"u/text"}', "INVALID_REQUEST", "Not an upload endpoint"),
        (b'{"rpc":"u/put","args":[5]}', "VALIDATION", "Validation failed"),
        (b'{"rpc":"u/fails"}', "INTERNAL_ERROR", "Internal server error"),
    ],
)
async def test_what_cannot_run_is_refused(make_app: AppFactory, header: bytes, code: str, text: str) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer)
    upload.header = header
    upload.send()
    assert await upload.code() == (code, text)
    assert_nothing_left(app)


@pytest.mark.spec("WIRE-82")
async def test_malformed_frames_are_dropped_and_counted(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    before = len(peer.frames)
    frames = [
        b"\x01" + b"\x00" * 8,
        b"\x01\x05" + b"\x00" * 8 + b"\x00\x02{}",
        b"\x01\x81" + b"\x00" * 8 + b"\x00\x02{}",
        b"\x01\x00" + b"\x00" * 8,
        b"\x01\x01" + b"\x00" * 7 + b"\x03\x00\x02{}",
        b"\x01\x01" + b"\x00" * 8 + b"\x00\x00{}",
        b"\x01\x01" + b"\x00" * 8 + b"\x00\x09{}",
        b"\x01\x01" + b"\x00" * 8 + b"\x00\x02{]",
        b"\x02\x11\x00\x00\x00\x01",
        b"\x02\x10\x00\x00\x00",
    ]
    for frame in frames:
        peer.send(frame)
    peer.send(encode_chunk(9, 5, b"x", is_last=False))  # nothing wrong with it, but nobody began that
    await turns()
    assert len(peer.frames) == before
    assert app.runtime.metrics.get("upload_frames_dropped_total") == len(frames)
    assert (await Sender(peer).send(last=True).response())["ok"] is True
