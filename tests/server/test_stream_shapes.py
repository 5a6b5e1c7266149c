"""Publishes on the topics of subscribed streams: transformed, coalesced. Spec: live-api 2.1 and 8.12."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

SHAPES = """
    import asyncio
    from runtime import live, Page

    log = []
    seen = []
    gate = asyncio.Event()
    gate.set()

    def shown(row):
        log.append(row["id"])
        return {"id": row["id"]}

    @live.stream("rows", transform=shown)
    async def rows(ctx): return [{"id": 1, "secret": 1}]

    @live.stream("pages", transform=shown)
    async def pages(ctx): return Page([{"id": 1, "secret": 1}], True, 1)

    @live.stream("dicts", transform=shown)
    async def dicts(ctx): return {"data": [{"id": 1, "secret": 1}], "hasMore": False}

    @live.stream("one", merge="set", transform=shown)
    async def one(ctx): return {"id": 1, "secret": 1}

    @live.stream("empty", merge="set", transform=shown)
    async def empty(ctx): return None

    async def told(error, ctx, topic):
        seen.append((type(error).__name__, ctx, topic))
        raise RuntimeError("ignored")

    @live.stream("told", transform=shown, on_error=told)
    async def tells(ctx): return []

    @live.stream("places", coalesce_by=lambda data: data["who"], transform=lambda data: data["at"])
    async def places(ctx):
        await gate.wait()
        return []

    @live.stream("only", merge="set", coalesce_by=lambda data: None)
    async def only(ctx): return 0

    @live.stream("keys", coalesce_by=lambda data: data)
    async def keys(ctx): return []

    @live
    async def send(ctx, topic: str, data):
        return ctx.publish(topic, "updated", data)

    @live(thread=True)
    def send_from_a_thread(ctx, topic: str, data):
        return ctx.publish(topic, "updated", data)
"""


async def started(make_app: AppFactory, **options: Any) -> tuple[App, Peer, Any]:
    app = await make_app({"live/feed.py": SHAPES}, **options)
    return app, await app.connect(), app.runtime.live.registry.modules["feed"].module


async def send(peer: Peer, topic: str, data: Any, path: str = "feed/send") -> Any:
    reply = await peer.request(path, topic, data)
    await turns()
    return reply.get("data", reply)


@pytest.mark.spec("LIVE-97")
@pytest.mark.parametrize(
    ("stream", "loaded"),
    [
        ("rows", [{"id": 1}]),
        ("pages", [{"id": 1}]),
        ("dicts", [{"id": 1}]),
        ("one", {"id": 1}),
        ("empty", None),
    ],
)
async def test_what_is_loaded_and_what_is_published_is_transformed(
    make_app: AppFactory, stream: str, loaded: Any
) -> None:
    _, peer, _ = await started(make_app)
    assert (await peer.stream(f"feed/{stream}"))["data"] == loaded
    assert await send(peer, stream, {"id": 2, "secret": 2}) is True
    assert peer.events(stream) == [("updated", {"id": 2})]


@pytest.mark.spec("LIVE-97")
async def test_one_transform_serves_all_who_listen(make_app: AppFactory) -> None:
    app, peer, feed = await started(make_app)
    peers = [peer, await app.connect(), await app.connect()]
    for one in peers:
        await one.stream("feed/rows")
    feed.log.clear()
    await send(peer, "rows", {"id": 9})
    assert feed.log == [9]
    assert [one.events("rows") for one in peers] == [[("updated", {"id": 9})]] * 3


async def test_without_a_subscriber_nothing_is_transformed(make_app: AppFactory) -> None:
    _, peer, feed = await started(make_app)
    peer.send({"type": "subscribe", "topic": "rows", "ref": 1})
    await turns()
    await send(peer, "rows", {"id": 1, "raw": True})
    assert peer.events("rows") == [("updated", {"id": 1, "raw": True})]
    await peer.stream("feed/rows")
    peer.send({"type": "unsubscribe", "topic": "rows"})
    peer.send({"type": "subscribe", "topic": "rows", "ref": 2})
    await turns()
    feed.log.clear()
    await send(peer, "rows", {"id": 2, "raw": True})
    assert feed.log == []


@pytest.mark.spec("LIVE-97", "LIVE-101")
@pytest.mark.parametrize("path", ["feed/send", "feed/send_from_a_thread"])
async def test_a_transform_that_fails_drops_the_publish_and_tells_the_stream(
    make_app: AppFactory, path: str
) -> None:
    _, peer, feed = await started(make_app)
    await peer.stream("feed/tells")
    assert await send(peer, "told", {"no": "id"}, path) is False
    await turns()
    assert feed.seen == [("KeyError", None, "told")]
    assert await send(peer, "told", {"id": 2}, path) is True
    assert peer.events("told") == [("updated", {"id": 2})]


@pytest.mark.spec("LIVE-97")
async def test_without_on_error_the_caller_gets_the_failure(make_app: AppFactory) -> None:
    _, peer, _ = await started(make_app)
    await peer.stream("feed/rows")
    assert (await send(peer, "rows", {"no": "id"}))["code"] == "INTERNAL_ERROR"
    assert peer.events("rows") == []


@pytest.mark.spec("LIVE-98")
async def test_a_peer_that_is_behind_gets_the_newest_value_of_each_key(make_app: AppFactory) -> None:
    app, quick, _ = await started(make_app)
    slow = await app.connect()
    for peer in (quick, slow):
        await peer.stream("feed/places")
    slow.sink.buffered = slow.connection.max_backpressure
    for at in range(3):
        for who in ("ann", "bob"):
            await send(quick, "places", {"who": who, "at": [who, at]})
    assert quick.events("places") == [("updated", [who, at]) for at in range(3) for who in ("ann", "bob")]
    assert slow.events("places") == []
    slow.sink.buffered = 0
    slow.connection.drained()
    await turns()
    assert slow.events("places") == [("updated", ["ann", 2]), ("updated", ["bob", 2])]
    frames = [frame for frame in slow.parsed() if frame.get("topic") == "places"]
    assert all("seq" not in frame for frame in frames)


@pytest.mark.spec("LIVE-98")
async def test_what_waited_for_a_peer_that_left_does_not_come_behind_its_new_load(
    make_app: AppFactory,
) -> None:
    app, quick, _ = await started(make_app)
    slow = await app.connect()
    for peer in (quick, slow):
        await peer.stream("feed/places")
        await peer.stream("feed/only")
    slow.sink.buffered = slow.connection.max_backpressure
    await send(quick, "places", {"who": "ann", "at": "old"})
    await send(quick, "only", "stays")
    app.runtime.platform.send_coalesced(slow.connection, key="mine", topic="places", event="direct", data=1)
    slow.send({"type": "unsubscribe", "topic": "places"})
    await turns()
    await slow.stream("feed/places")
    slow.sink.buffered = 0
    slow.connection.drained()
    await turns()
    assert (slow.events("places"), slow.events("only")) == ([("direct", 1)], [("updated", "stays")])
    assert app.runtime.metrics.snapshot()["ws_coalesced_pending"] == {(): 0}


@pytest.mark.spec("LIVE-98")
async def test_only_who_holds_the_stream_gets_coalesced_events(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app)
    raw = await app.connect()
    raw.send({"type": "subscribe", "topic": "places", "ref": 1})
    await peer.stream("feed/places")
    await send(peer, "places", {"who": "ann", "at": 1})
    assert (peer.events("places"), raw.events("places")) == ([("updated", 1)], [])


async def test_keys_that_are_none_are_one_key_per_topic(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app)
    await peer.stream("feed/only")
    peer.sink.buffered = peer.connection.max_backpressure
    for value in range(3):
        app.runtime.live.functions.ctx_for(peer.connection).publish("only", "set", value)
    peer.sink.buffered = 0
    peer.connection.drained()
    await turns()
    assert peer.events("only") == [("set", 2)]


async def test_a_key_that_is_none_of_these_is_refused(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app)
    await peer.stream("feed/keys")
    ctx = app.runtime.live.functions.ctx_for(peer.connection)
    with pytest.raises(TypeError, match="coalesce_by: the key must be text, a number or None"):
        ctx.publish("keys", "updated", ["a list"])
    for key in ("text", 1, 1.5, None):
        assert ctx.publish("keys", "updated", key) is True


async def test_a_coalesced_event_waits_for_a_stream_that_is_loading(make_app: AppFactory) -> None:
    app, peer, feed = await started(make_app)
    feed.gate.clear()
    peer.send({"rpc": "feed/places", "id": "load", "args": [], "stream": True})
    await turns()
    app.runtime.live.functions.ctx_for(peer.connection).publish("places", "updated", {"who": "ann", "at": 1})
    await turns()
    assert peer.events("places") == []
    feed.gate.set()
    await peer.reply("load")
    await turns()
    assert peer.events("places") == [("updated", 1)]


async def test_coalesced_events_keep_their_place_among_the_others(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app)
    for stream in ("places", "rows"):
        await peer.stream(f"feed/{stream}")
    before = len(peer.frames)
    ctx = app.runtime.live.functions.ctx_for(peer.connection)
    ctx.publish("rows", "updated", {"id": 1})
    ctx.publish("places", "updated", {"who": "ann", "at": 2})
    ctx.publish("rows", "updated", {"id": 3})
    await turns()
    assert [frame["data"] for frame in peer.parsed()[before:]] == [{"id": 1}, 2, {"id": 3}]


async def test_reloaded_code_shapes_from_then_on(make_app: AppFactory) -> None:
    app, peer, _ = await started(make_app)
    await peer.stream("feed/rows")
    source = SHAPES.replace('return {"id": row["id"]}', 'return {"id": row["id"], "new": True}')
    await app.runtime.live.reload([app.write("live/feed.py", source)])
    await turns()
    await send(peer, "rows", {"id": 2, "secret": 2})
    assert peer.events("rows")[-1] == ("updated", {"id": 2, "new": True})
