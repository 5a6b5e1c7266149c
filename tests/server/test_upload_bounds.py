"""What bounds an upload: while it begins, while its handler is behind, and who may go on. Spec: live-api 7.2."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.core.capacity import capacity_override
from runtime.core.settings import WebSocketSettings
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import turns
from tests.server.test_uploads import (
    Sender,
    assert_nothing_left,
    go,
    log_of,
    responses,
    started,
)

GUARDED = """
    import asyncio
    from runtime import live, guard, LiveError

    log = []
    asked = asyncio.Event()
    running = [0, 0]

    async def check(ctx):
        log.append(ctx.user["role"])
        running[0] += 1
        running[1] = max(running)
        await asked.wait()
        running[0] -= 1
        if ctx.user["role"] == "none":
            raise LiveError("REVOKED", "no longer")
        return ctx.user["role"] != "guest"

    _guard = guard(check)

    @live.upload(reauth_every=10)
    async def put(ctx, name: str = ""):
        log.append("begins")
        return [len(chunk) async for chunk in ctx.stream]
"""
OPEN = """
    from runtime import live

    @live.upload(reauth_every=1)
    async def put(ctx): return [len(chunk) async for chunk in ctx.stream]
"""


async def test_too_many_chunks_before_the_handler_is_known(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer)
    for _ in range(65):
        upload.send()
    assert await upload.code() == ("FLOW_BACKPRESSURE", "too many chunks queued during upload start")
    assert not peer.sink.is_paused
    await turns()
    assert_nothing_left(app)
    upload = Sender(peer, id=2)
    for _ in range(64):
        upload.send()
    assert peer.sink.is_paused  # until the next turn
    await turns()
    assert not peer.sink.is_paused
    upload.send(last=True)
    assert (await upload.response())["data"]["bytes"] == 65


@pytest.mark.spec("LIVE-71", "WIRE-84")
async def test_pending_uploads_have_bounds_in_bytes(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    uploads = app.runtime.live.uploads
    with capacity_override(UPLOAD_PENDING_MAX_SIZE=10, UPLOAD_PENDING_MAX_AGGREGATE=20):
        large = Sender(peer).send(b"x" * 6).send(b"x" * 5)
        assert await large.code() == ("PAYLOAD_TOO_LARGE", "upload exceeds limit during start")
        assert uploads.pending_bytes == 0
        senders = [Sender(peer, id=number).send(b"x" * 9) for number in (2, 3)]
        assert uploads.pending_bytes == 18
        late = Sender(peer, id=4).send(b"xxx")
        assert (await late.response())[
            "error"
        ] == "pending-upload aggregate buffer cap exceeded; retry shortly"
        other = await app.connect()
        senders = [Sender(peer, id=number).send(b"x" * 9) for number in (5, 6)]
        small = Sender(other, id=7).send(b"x").send(b"x").send(b"x")
        assert await small.code() == ("OVERLOADED", "pending-upload aggregate buffer cap exceeded")
    await turns()
    assert uploads.pending_bytes == 0
    for sender in senders:
        sender.cancel()
    Sender(peer, id=2).cancel()
    Sender(peer, id=3).cancel()
    await turns()
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-70", "WIRE-85")
async def test_a_handler_that_does_not_read(make_app: AppFactory) -> None:
    app, peer = await started(make_app, websocket=WebSocketSettings(upload_pause=None))
    upload = Sender(peer, "u/waits").send()
    await turns()
    for _ in range(63):
        upload.send()
    upload.send(b"")  # takes no room
    assert responses(peer) == []
    upload.send()
    text = "upload buffer overflow - handler not draining fast enough"
    assert await upload.code() == ("FLOW_BACKPRESSURE", text)
    assert not peer.sink.is_paused
    go(app)
    await turns()
    assert log_of(app) == [("FLOW_BACKPRESSURE", text, True)]
    assert_nothing_left(app)


async def test_a_handler_that_is_behind_holds_up_its_sender(make_app: AppFactory) -> None:
    clock = FakeClock()
    app, peer = await started(make_app, clock=clock)
    upload = Sender(peer, "u/slow").send(b"1")
    await turns()
    upload.send(b"22")
    assert peer.sink.is_paused
    upload.send(b"333").send(b"4444")  # on their way when reading stopped
    assert responses(peer) == []
    await clock.advance(9.9)
    assert peer.sink.is_paused
    go(app)
    await turns()
    assert not peer.sink.is_paused
    await clock.advance(10.1)
    upload.send(b"5", last=True)
    assert (await upload.response())["data"] == [1, 2, 3, 4, 1]
    assert not peer.sink.is_paused
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-70")
async def test_it_holds_it_up_for_so_long_only(make_app: AppFactory) -> None:
    clock = FakeClock()
    app, peer = await started(make_app, clock=clock)
    one, two = Sender(peer, "u/slow"), Sender(peer, "u/slow", id=2)
    one.send().send()
    two.send().send()
    await turns()
    one.send()
    two.send()
    assert peer.sink.is_paused
    await clock.advance(10.1)
    await turns()
    assert not peer.sink.is_paused
    one.send()
    text = "upload buffer overflow - handler not draining fast enough"
    assert await one.code() == ("FLOW_BACKPRESSURE", text)
    two.cancel()
    await turns()
    assert_nothing_left(app)


async def test_bytes_hold_up_a_sender_too_but_never_fail(make_app: AppFactory) -> None:
    clock = FakeClock()
    app, peer = await started(make_app, clock=clock)
    upload = Sender(peer, "u/waits").send()
    await turns()
    with capacity_override(UPLOAD_PENDING_MAX_AGGREGATE=100):
        upload.send(b"x" * 98)
        assert not peer.sink.is_paused
        upload.send()
        assert peer.sink.is_paused
        await clock.advance(10.1)
        assert not peer.sink.is_paused
        for _ in range(61):
            upload.send(b"x" * 50)
        assert responses(peer) == []
        assert not peer.sink.is_paused
        upload.send()
        assert (await upload.code())[0] == "FLOW_BACKPRESSURE"
    go(app)
    await turns()
    assert_nothing_left(app)


async def test_a_last_chunk_holds_up_nothing(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer, "u/slow").send()
    await turns()
    upload.send(last=True)
    assert not peer.sink.is_paused
    upload.send(b"behind the last")
    go(app)
    assert (await upload.response())["data"] == [1, 1]


@pytest.mark.parametrize("end", ["cancel", "leave"])
async def test_an_abort_ends_the_pause(make_app: AppFactory, end: str) -> None:
    clock = FakeClock()
    app, peer = await started(make_app, clock=clock)
    upload = Sender(peer, "u/slow").send()
    await turns()
    upload.send()
    assert peer.sink.is_paused
    if end == "cancel":
        upload.cancel()
    else:
        await peer.leave()
    assert not peer.sink.is_paused
    go(app)
    await turns()
    assert_nothing_left(app)


async def test_a_loop_that_is_left_drops_the_rest(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer, "u/breaks").send()
    await turns()
    for _ in range(100):
        upload.send()
    upload.send(last=True)
    assert not peer.sink.is_paused
    go(app)
    assert (await upload.response())["data"] == [0, []]


async def test_a_chunk_behind_the_last_one_has_to_be_the_next(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    upload = Sender(peer, "u/waits").send(last=True)
    await turns()
    upload.send(b"not delivered")
    assert responses(peer) == []
    upload.send(seq=9)
    assert await upload.code() == ("INVALID_REQUEST", "out-of-order chunk: expected 2, got 9")
    go(app)
    await turns()
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-77", "LIVE-40")
async def test_the_guard_runs_first(make_app: AppFactory) -> None:
    app, _ = await started(make_app, GUARDED)
    guest = await app.connect({"id": "g", "role": "guest"})
    upload = Sender(guest).send(b"1").send(b"2")
    await turns()
    assert app.runtime.live.uploads.active == 1
    module = app.runtime.live.registry.modules["u"].module
    module.asked.set()
    assert await upload.code() == ("FORBIDDEN", "Access denied")
    assert log_of(app) == ["guest"]
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-73", "WIRE-89")
async def test_the_guard_is_asked_again(make_app: AppFactory) -> None:
    app, _ = await started(make_app, GUARDED)
    module = app.runtime.live.registry.modules["u"].module
    module.asked.set()
    peer = await app.connect({"id": "u", "role": "admin"})
    upload = Sender(peer).send(b"12345")
    await turns()
    assert log_of(app) == ["admin", "begins"]
    upload.send(b"6789")
    await turns()
    assert log_of(app) == ["admin", "begins"]
    module.asked.clear()
    upload.send(b"0")
    await turns()
    assert log_of(app) == ["admin", "begins", "admin"]
    for _ in range(5):
        upload.send(b"x" * 10)  # one check runs at a time
        await turns()
    assert log_of(app) == ["admin", "begins", "admin"]
    peer.connection.user_data = {"id": "u", "role": "none"}
    module.asked.set()
    assert await upload.code() == ("REVOKED", "no longer")
    assert log_of(app) == ["admin", "begins", "admin", "none"]
    assert module.running == [0, 1]
    assert_nothing_left(app)


@pytest.mark.spec("WIRE-89")
async def test_a_guard_that_breaks_ends_the_upload(make_app: AppFactory) -> None:
    app, _ = await started(make_app, GUARDED)
    app.runtime.live.registry.modules["u"].module.asked.set()
    peer = await app.connect({"id": "u", "role": "admin"})
    upload = Sender(peer).send(b"12345")
    await turns()
    peer.connection.user_data = {"id": "u"}
    upload.send(b"1234567890")
    assert await upload.code() == ("UNAUTHENTICATED", "reauth failed")
    assert_nothing_left(app)


@pytest.mark.spec("LIVE-205")
async def test_without_a_guard_there_is_nothing_to_ask(make_app: AppFactory) -> None:
    _, peer = await started(make_app, OPEN)
    upload = Sender(peer).send(b"123")
    await turns()
    upload.send(b"456", last=True)
    assert (await upload.response())["data"] == [3, 3]


async def test_one_upload_has_one_reader(make_app: AppFactory) -> None:
    source = """
    import asyncio
    from runtime import live

    @live.upload()
    async def put(ctx):
        first = asyncio.ensure_future(anext(ctx.stream))
        await asyncio.sleep(0)
        try:
            await anext(ctx.stream)
        except RuntimeError as error:
            return [str(error), (await first).decode()]
"""
    _, peer = await started(make_app, source)
    upload = Sender(peer).send(b"")
    await turns()
    upload.send(b"a", last=True)
    text = "ctx.stream has one reader: another task waits for its next piece"
    assert (await upload.response())["data"] == [text, "a"]


async def test_what_fails_after_the_answer_is_counted(make_app: AppFactory) -> None:
    source = """
    import asyncio
    from runtime import live

    go = asyncio.Event()

    @live.upload()
    async def put(ctx):
        await go.wait()
        raise ValueError("late")
"""
    app, peer = await started(make_app, source)
    upload = Sender(peer).send()
    await turns()
    upload.cancel()
    assert (await upload.code())[0] == "CANCELLED"
    go(app)
    await turns()
    assert app.runtime.metrics.get("rpc_errors_total", "u/put", "INTERNAL_ERROR") == 1
    assert app.runtime.metrics.get("rpc_total", "u/put", "error") == 1
    assert len(responses(peer)) == 1


async def test_handlers_that_ignore_aborts_have_a_bound(make_app: AppFactory) -> None:
    with capacity_override(MAX_INFLIGHT_CALLS=3):
        app, peer = await started(make_app)
        for number in range(3):
            upload = Sender(peer, "u/slow", id=number).send()
            await turns()
            upload.cancel()
        assert await Sender(peer, id=9).send().code() == ("OVERLOADED", "Too many calls in flight")
        go(app)
        await turns()
        assert (await Sender(peer, id=10).send(last=True).response())["ok"] is True


async def test_a_stop_in_the_middle_leaves_nothing(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    Sender(peer, "u/waits").send()
    await turns()
    async with asyncio.timeout(5):
        await app.runtime.stop()
    assert_nothing_left(app)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "10"])
@pytest.mark.parametrize(
    "name", ["max_size", "max_concurrent_per_session", "max_concurrent_total", "max_buffered_chunks"]
)
def test_a_bound_that_cannot_be_fails_at_the_declaration(name: str, value: Any) -> None:
    from runtime import live

    with pytest.raises(ValueError, match=rf"live\.upload: {name} must be a whole number above 0"):
        live.upload(**{name: value})


@pytest.mark.spec("LIVE-73")
def test_what_else_cannot_be_declared() -> None:
    from runtime import live

    for value in (0, -5, float("inf"), float("nan"), True, "1"):
        with pytest.raises(ValueError, match=r"live\.upload: reauth_every must be a finite number"):
            live.upload(reauth_every=value)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match=r"'maxsize' is no option of it; did you mean 'max_size'"):
        live.upload(maxsize=5)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(TypeError, match="must be async"):

        @live.upload()
        def put(ctx: Any) -> None:
            """Cannot read a stream."""
