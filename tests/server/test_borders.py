"""What must not cost anybody else: odd exceptions, cancelled tasks, floods, failing transports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.core.capacity import capacity_override
from runtime.live import dispatch
from tests.server.conftest import AppFactory
from tests.server.peers import turns

ODD = """
    import asyncio, sys
    from runtime import live

    async def cancelled():
        task = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    @live
    async def foreign_cancel(ctx): await cancelled()

    @live
    async def leave(ctx): sys.exit(3)

    @live(thread=True)
    def thread_leave(ctx): sys.exit(3)

    @live(thread=True)
    def thread_stop(ctx): next(iter([]))

    @live
    def stop(ctx): next(iter([]))

    @live.stream("feed")
    async def feed(ctx): return []

    @live
    async def echo(ctx, value): return value
"""


@pytest.mark.parametrize("name", ["foreign_cancel", "leave", "thread_leave", "thread_stop", "stop"])
async def test_odd_exceptions_of_a_handler_are_internal_errors(make_app: AppFactory, name: str) -> None:
    app = await make_app({"live/o.py": ODD})
    peer = await app.connect()
    assert (await peer.request(f"o/{name}"))["code"] == "INTERNAL_ERROR"
    assert (await peer.request("o/echo", 1))["data"] == 1


async def test_a_cancelled_entry_costs_its_batch_nothing(make_app: AppFactory) -> None:
    app = await make_app({"live/o.py": ODD})
    peer = await app.connect()
    entries = [
        {"rpc": "o/echo", "id": "a", "args": [1]},
        {"rpc": "o/feed", "id": "b", "args": [], "stream": True},
        {"rpc": "o/foreign_cancel", "id": "c", "args": []},
    ]
    peer.send({"batch": entries})
    frame = await peer.wait(lambda f: f.get("event") == "__batch")
    assert [entry["ok"] for entry in frame["data"]["batch"]] == [True, True, False]
    app.runtime.platform.publish("feed", "created", {"id": 1})
    await turns()
    assert peer.events("feed") == [("created", {"id": 1})]


async def test_a_subscribe_hook_that_sees_a_foreign_cancellation_denies(make_app: AppFactory) -> None:
    hooks = """
        import asyncio
        async def subscribe(ws, topic):
            if topic == "bad":
                task = asyncio.ensure_future(asyncio.sleep(60))
                await asyncio.sleep(0)
                task.cancel()
                await task
    """
    app = await make_app({"hooks.py": hooks})
    peer = await app.connect()
    for ref, topic in enumerate(["bad", "x", "y"], 1):
        peer.send({"type": "subscribe", "topic": topic, "ref": ref})
    peer.send({"type": "unsubscribe", "topic": "x"})
    peer.send({"type": "subscribe", "topic": "z", "ref": 4})
    await peer.wait(lambda f: f.get("ref") == 4)
    answers = [(f["ref"], f["type"], f.get("reason")) for f in peer.parsed() if "ref" in f]
    assert answers == [
        (1, "subscribe-denied", "INTERNAL_ERROR"),
        (2, "subscribed", None),
        (3, "subscribed", None),
        (4, "subscribed", None),
    ]
    assert not peer.connection.is_subscribed("x")


async def test_a_hook_that_sees_a_foreign_cancellation_holds_nothing_up(make_app: AppFactory) -> None:
    hooks = """
        import asyncio

        async def unsubscribe(ws, topic):
            task = asyncio.ensure_future(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            await task
    """
    app = await make_app({"hooks.py": hooks})
    peer = await app.connect()
    peer.send({"type": "unsubscribe", "topic": "t"})
    peer.send({"type": "subscribe", "topic": "t", "ref": 1})
    await peer.wait(lambda f: f.get("ref") == 1)
    assert app.runtime.metrics.get("hook_errors_total", "unsubscribe") == 1


async def test_a_hanging_error_handler_does_not_hold_the_reply_for_ever(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "ON_ERROR_TIMEOUT", 0.01)
    source = """
        import asyncio
        from runtime import live

        async def report(path, error, ctx): await asyncio.Event().wait()

        live.message_options(on_error=report)

        @live
        async def crash(ctx): 1 / 0
    """
    app = await make_app({"live/c.py": source})
    peer = await app.connect()
    assert (await peer.request("c/crash"))["code"] == "INTERNAL_ERROR"


async def test_a_transport_that_fails_costs_the_others_nothing(make_app: AppFactory) -> None:
    app = await make_app({})
    broken, fine = await app.connect(), await app.connect()
    for peer in (broken, fine):
        peer.send({"type": "subscribe", "topic": "t", "ref": 1})
    await turns()

    def fail(frames: Any) -> None:
        raise ValueError("bad transport")

    broken.sink.write = fail  # type: ignore[method-assign]  # plays a defect of the transport
    app.runtime.platform.publish("t", "e", 1)
    app.runtime.platform.publish("t", "e", 2)
    await turns()
    assert fine.events("t") == [("e", 1), ("e", 2)]
    assert broken.connection.closed


async def test_direct_sends_and_the_close_keep_their_place_behind_publishes(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        @live
        async def mixed(ctx):
            ctx.publish("t", "one")
            ctx.ws.send('{"topic":"t","event":"two","data":null}')
            ctx.publish("t", "three")
            ctx.ws.send_event("t", "four")
            ctx.publish("t", "five")
            await ctx.ws.close(4401, "bye")
    """
    app = await make_app({"live/m.py": source})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "t", "ref": 1})
    peer.send({"rpc": "m/mixed", "id": "k", "args": []})
    async with asyncio.timeout(5):
        while peer.sink.closed is None:
            peer.sink.changed.clear()
            await peer.sink.changed.wait()
    assert [event for event, _ in peer.events("t")] == ["one", "two", "three", "four", "five"]


async def test_a_burst_in_one_turn_is_not_held_against_a_peer_that_reads(make_app: AppFactory) -> None:
    app = await make_app({})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "t", "ref": 1})
    await turns()
    for number in range(300):
        app.runtime.platform.publish("t", "e", [number, "x" * 10_000])
    await turns()
    assert [data[0] for _, data in peer.events("t")] == list(range(300))
    assert app.runtime.metrics.total("ws_frames_dropped_total") == 0
    peer.sink.buffered = app.runtime.settings.websocket.max_backpressure
    app.runtime.platform.publish("t", "e", "lost")
    app.runtime.outbox.flush()
    assert app.runtime.metrics.get("ws_frames_dropped_total", "publish") == 1


@pytest.mark.spec("WIRE-93")
async def test_parallel_requests_that_fail_leave_nothing_and_a_wire_subscription_stays(
    make_app: AppFactory,
) -> None:
    source = """
        import asyncio
        from runtime import live, LiveError

        gate = asyncio.Event()

        @live.stream("secret")
        async def secret(ctx):
            await gate.wait()
            raise LiveError("FORBIDDEN")

        @live
        async def open_gate(ctx): gate.set()
    """
    app = await make_app({"live/s.py": source})
    both, wire = await app.connect(), await app.connect()
    entries = [{"rpc": "s/secret", "id": str(i), "args": [], "stream": True} for i in range(2)]
    both.send({"batch": entries})
    wire.send({"rpc": "s/secret", "id": "k", "args": [], "stream": True})
    await turns()
    wire.send({"type": "subscribe", "topic": "secret", "ref": 1})
    await wire.wait(lambda f: f.get("type") == "subscribed")
    await both.request("s/open_gate")
    await wire.reply("k")
    await both.wait(lambda f: f.get("event") == "__batch")
    assert not both.connection.is_subscribed("secret")
    assert wire.connection.is_subscribed("secret")
    app.runtime.platform.publish("secret", "e", 1)
    await turns()
    assert both.events("secret") == []
    assert wire.events("secret") == [("e", 1)]


async def test_leaving_many_streams_costs_each_of_them_once(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        @live.stream(lambda n: f"t:{n}")
        async def item(ctx, n: int): return []
    """
    app = await make_app({"live/s.py": source})
    peer = await app.connect()
    count = 3000
    for start in range(0, count, 500):
        for n in range(start, start + 500):
            peer.send({"rpc": "s/item", "id": f"i{n}", "args": [n], "stream": True})
        await peer.reply(f"i{start + 499}")
    subs = app.runtime.live.streams.subs
    looked_at = 0

    class Counting(dict):  # type: ignore[type-arg]  # counts the topics that leaving walks over
        def items(self) -> Any:
            nonlocal looked_at
            looked_at += len(self)
            return super().items()

    subs._by_connection[peer.connection] = Counting(subs._by_connection[peer.connection])
    await peer.leave()
    assert looked_at <= count
    assert app.runtime.metrics.get("stream_subscriptions") == 0


async def test_guests_that_come_and_go_do_not_fill_the_rate_limits(make_app: AppFactory) -> None:
    source = """
        from runtime import live, Rule

        live.rate_limits(Rule(5, 60))

        @live
        async def hello(ctx): return 1
    """
    with capacity_override(MAX_RATE_LIMIT_IDENTITIES=3):
        app = await make_app({"live/h.py": source})
        for _ in range(10):
            guest = await app.connect()
            assert (await guest.request("h/hello"))["ok"] is True
            await guest.leave()
        known = await app.connect({"id": "ann"})
        assert (await known.request("h/hello"))["ok"] is True


async def test_an_id_longer_than_any_frame_gets_no_answer_above_the_limit(make_app: AppFactory) -> None:
    app = await make_app({"live/o.py": ODD})
    peer = await app.connect()
    peer.send({"rpc": "o/echo", "id": "x" * 900_000, "args": [1]})
    assert (await peer.request("o/echo", 1))["data"] == 1
    await turns()
    assert max(len(frame) for frame in peer.frames) <= 1_048_576
    assert app.runtime.metrics.get("rpc_calls_dropped_total", "reply_size") == 1
