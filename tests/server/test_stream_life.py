"""The hooks around the life of a subscription, and what a failure or an end takes with it. Spec: live-api 8.3, 8.5."""

from __future__ import annotations

import logging

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import App, turns

LIFE = """
    import asyncio
    from runtime import live, LiveError

    log = []
    gate = asyncio.Event()
    gate.set()

    def left(ctx, topic, remaining): log.append(("left", topic, ctx.user["id"], remaining))

    @live.stream("fixed", on_unsubscribe=left)
    async def fixed(ctx): return []

    @live.stream(lambda room: f"room:{room}", on_unsubscribe=left)
    async def room(ctx, room: str): return []

    async def greet(ctx, topic):
        log.append(("greet", topic, ctx.request_id == ctx.ws.request_id, ctx.platform is ctx.ws.platform))
        ctx.publish("greetings", "created", {"id": ctx.user["id"]})

    @live.stream("full", on_subscribe=greet)
    async def full(ctx): return []

    @live.stream("few", on_subscribe=lambda: log.append("on"), on_unsubscribe=lambda ctx: log.append("off"))
    async def few(ctx): return []

    @live.stream("raising", on_subscribe=lambda: 1 / 0, on_unsubscribe=lambda: 1 / 0, on_error=lambda: 1 / 0)
    async def raising(ctx, fails: bool):
        if fails:
            raise LiveError("NO_DATA", "No data today")
        return ["loaded"]

    @live.stream("slow", on_unsubscribe=left, access=lambda ctx: wait())
    async def slow(ctx):
        log.append("loaded")
        return []

    async def wait():
        log.append("asked")
        await gate.wait()
        return True

    @live
    async def join(ctx, topic: str): return ctx.ws.subscribe(topic)
"""


async def life(make_app: AppFactory) -> tuple[App, list[object]]:
    app = await make_app({"live/l.py": LIFE})
    log: list[object] = app.runtime.live.registry.modules["l"].module.log
    return app, log


@pytest.mark.spec("LIVE-86")
async def test_a_close_is_told_for_topics_that_were_held_without_the_stream(make_app: AppFactory) -> None:
    app, log = await life(make_app)
    ann, bob, eve, kim = [await app.connect({"id": name}) for name in ("ann", "bob", "eve", "kim")]
    await ann.stream("l/fixed")
    bob.send({"type": "subscribe", "topic": "fixed", "ref": 1})
    bob.send({"type": "subscribe", "topic": "room:a", "ref": 2})
    for one in (eve, kim):
        assert (await one.request("l/join", "fixed"))["data"] is True
    eve.send({"type": "unsubscribe", "topic": "fixed"})
    await turns()
    assert log == []
    await bob.leave()
    await turns()
    assert log == [("left", "fixed", "bob", 1)]
    await eve.leave()
    await kim.leave()
    await ann.leave()
    await turns()
    assert log[1:] == [("left", "fixed", "kim", 1), ("left", "fixed", "ann", 0)]


@pytest.mark.spec("LIVE-86")
async def test_whoever_holds_a_topic_by_both_ways_leaves_it_once(make_app: AppFactory) -> None:
    app, log = await life(make_app)
    ann = await app.connect({"id": "ann"})
    ann.send({"type": "subscribe", "topic": "fixed", "ref": 1})
    await ann.stream("l/fixed")
    await ann.leave()
    await turns()
    assert log == [("left", "fixed", "ann", 0)]


async def test_hooks_get_the_full_ctx_and_only_as_much_as_they_take(make_app: AppFactory) -> None:
    app, log = await life(make_app)
    peer = await app.connect({"id": "ann"})
    peer.send({"type": "subscribe", "topic": "greetings", "ref": 1})
    await peer.stream("l/full")
    assert log == [("greet", "full", True, True)]
    assert peer.events("greetings") == [("created", {"id": "ann"})]
    log.clear()
    await peer.stream("l/few")
    peer.send({"type": "unsubscribe", "topic": "few"})
    await turns()
    assert log == ["on", "off"]


@pytest.mark.spec("LIVE-101")
async def test_hooks_that_raise_are_logged_and_change_nothing(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = await life(make_app)
    peer = await app.connect({"id": "ann"})
    assert (await peer.stream("l/raising", False))["data"] == ["loaded"]
    reply = await peer.stream("l/raising", True)
    assert (reply["code"], reply["error"]) == ("NO_DATA", "No data today")
    peer.send({"type": "unsubscribe", "topic": "raising"})
    await turns()
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert messages == [
        f"{hook} of a stream failed"
        for hook in ("on_subscribe", "on_subscribe", "on_error", "on_unsubscribe", "on_unsubscribe")
    ]


@pytest.mark.spec("LIVE-82")
async def test_a_connection_that_ends_while_it_is_asked_about_is_not_subscribed(make_app: AppFactory) -> None:
    app, log = await life(make_app)
    module = app.runtime.live.registry.modules["l"].module
    module.gate.clear()
    peer = await app.connect({"id": "ann"})
    peer.send({"rpc": "l/slow", "id": "k", "args": [], "stream": True})
    await turns()
    await peer.leave()
    module.gate.set()
    await turns(10)
    assert log == ["asked"]
    assert app.runtime.platform.subscribers("slow") == 0
    assert app.runtime.metrics.get("stream_subscriptions") == 0
    assert app.runtime.metrics.get("rpc_errors_total", "l/slow", "CONNECTION_CLOSED") == 1


@pytest.mark.spec("LIVE-81")
async def test_a_denied_subscription_shows_nobody_and_loads_nothing(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        log = []

        async def cards(ctx, name: str):
            log.append("loaded")
            return []

        board = live.room(topic=lambda name: f"board:{name}", init=cards, presence=lambda ctx: ctx.user,
                          on_join=lambda ctx, name: log.append("joined"))
    """
    hooks = """
        def subscribe(ws, topic):
            if ws.user["id"] == "eve": return "NOT_INVITED"
    """
    app = await make_app({"live/b.py": source, "hooks.py": hooks})
    ann, eve = await app.connect({"id": "ann"}), await app.connect({"id": "eve"})
    log = app.runtime.live.registry.modules["b"].module.log
    await ann.stream("b/board/__presence", "x")
    for part in ("__data", "__presence"):
        reply = await eve.stream(f"b/board/{part}", "x")
        assert (reply["code"], reply["error"]) == ("NOT_INVITED", "Access denied")
    await turns()
    assert log == []
    assert "eve" not in {data["key"] for _, data in ann.events("board:x:presence")}
    assert eve.connection.all_topics == {"__realtime"}


@pytest.mark.spec("LIVE-82")
async def test_a_load_that_fails_takes_the_watches_of_its_topic_with_it(make_app: AppFactory) -> None:
    source = """
        from runtime import live

        log = []
        fails = [True]

        def topic_of(room):
            if room == "broken": raise KeyError(room)
            return f"t:{room}"

        @live.stream(topic_of, transform=lambda data: data, stale_after=60, replay=True,
                     on_unsubscribe=lambda ctx, topic, remaining: log.append((topic, remaining)))
        async def room(ctx, room: str):
            if fails[0]: raise RuntimeError("no database")
            return []
    """
    app = await make_app({"live/f.py": source})
    peer = await app.connect()
    module, streams = app.runtime.live.registry.modules["f"].module, app.runtime.live.streams
    assert (await peer.stream("f/room", "broken"))["code"] == "INTERNAL_ERROR"
    assert peer.connection.all_topics == {"__realtime"}
    assert (await peer.stream("f/room", "a"))["code"] == "INTERNAL_ERROR"
    await turns()
    assert module.log == [("t:a", 0)]
    assert "t:a" not in app.runtime.live._scope.shapes.by_topic
    assert not streams.subs.on_topic("t:a")
    assert app.runtime.metrics.get("stream_subscriptions") == 0
    module.fails[0] = False
    assert (await peer.stream("f/room", "a"))["ok"] is True
    assert "t:a" in app.runtime.live._scope.shapes.by_topic
