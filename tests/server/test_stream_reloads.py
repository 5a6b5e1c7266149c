"""Streams that load anew: after silence, publishes elsewhere, a drop. Spec: live-api 8.9, 8.10, 8.12; wire 5.8."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.settings import WebSocketSettings
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

RELOADS = """
    import asyncio
    from runtime import live, LiveError

    loads = []
    errors = []
    rows = [{"id": 1, "secret": 1}]
    broken = []
    gate = asyncio.Event()
    gate.set()

    @live.stream("stale", stale_after=10, transform=lambda row: {"id": row["id"]},
                 on_error=lambda error, ctx, topic: errors.append((str(error), topic)))
    async def stale(ctx):
        loads.append(("stale", ctx.user))
        if broken: raise LiveError("BROKEN")
        return rows

    @live.stream("quiet", merge="set", stale_after=10, volatile=True)
    async def quiet(ctx): return {"data": rows, "hasMore": False}

    @live.stream(lambda name: f"sum:{name}", merge="set", invalidate_on=["todos:*", "orders"])
    async def sums(ctx, name: str):
        loads.append((name, ctx.user))
        count = len(rows)
        await gate.wait()
        return count

    @live.stream("self", merge="set", invalidate_on="self")
    async def own(ctx):
        loads.append("self")
        return len(loads)

    @live.stream("loop", merge="set", invalidate_on="echo")
    async def loop(ctx):
        loads.append("loop")
        ctx.publish("echo", "e")
        return len(loads)

    @live.stream("resync", resync_on_drop=True)
    async def resync(ctx):
        loads.append(("resync", ctx.user))
        return rows

    @live.stream("plain")
    async def plain(ctx):
        loads.append("plain")
        return rows

    @live.stream("never", resync_on_drop=False)
    async def never(ctx):
        loads.append("never")
        return rows
"""


async def started(make_app: AppFactory, **options: Any) -> tuple[App, Peer, Any, FakeClock]:
    clock = FakeClock()
    app = await make_app({"live/feed.py": RELOADS}, clock=clock, **options)
    return app, await app.connect("ann"), app.runtime.live.registry.modules["feed"].module, clock


def refreshed(peer: Peer, topic: str) -> list[Any]:
    return [data for event, data in peer.events(topic) if event == "refreshed"]


@pytest.mark.spec("LIVE-93", "WIRE-104")
async def test_silence_loads_anew_once_and_a_publish_moves_it_on(make_app: AppFactory) -> None:
    app, peer, feed, clock = await started(make_app)
    other = await app.connect("bob")
    await peer.stream("feed/stale")
    await other.stream("feed/stale")
    feed.loads.clear()
    await clock.advance(9.9)
    assert feed.loads == []
    app.runtime.platform.publish("stale", "created", {"id": 2})
    await clock.advance(9.9)
    assert feed.loads == []
    await clock.advance(0.2)
    assert feed.loads == [("stale", "ann")]
    assert refreshed(peer, "stale") == refreshed(other, "stale") == [[{"id": 1}]]
    await clock.advance(9.5)
    assert len(feed.loads) == 1
    await clock.advance(0.5)
    assert len(feed.loads) == 2


@pytest.mark.spec("LIVE-93", "LIVE-101", "WIRE-104")
async def test_a_loader_that_fails_is_told_and_tried_again(make_app: AppFactory) -> None:
    _, peer, feed, clock = await started(make_app)
    await peer.stream("feed/stale")
    feed.broken.append(True)
    await clock.advance(10)
    assert (feed.errors, refreshed(peer, "stale")) == ([("BROKEN", "stale")], [])
    feed.broken.clear()
    await clock.advance(10)
    assert refreshed(peer, "stale") == [[{"id": 1}]]


@pytest.mark.spec("LIVE-93", "WIRE-104")
@pytest.mark.parametrize("way", ["unsubscribe", "close"])
async def test_the_last_subscriber_ends_it(make_app: AppFactory, way: str) -> None:
    app, peer, feed, clock = await started(make_app)
    pending = clock.pending
    await peer.stream("feed/stale")
    await peer.stream("feed/sums", "a")
    assert clock.pending == pending + 1
    if way == "close":
        await peer.leave()
    else:
        for topic in ("stale", "sum:a"):
            peer.send({"type": "unsubscribe", "topic": topic})
    await turns()
    feed.loads.clear()
    assert clock.pending <= pending
    app.runtime.platform.publish("orders", "created")
    await clock.advance(30)
    assert feed.loads == []
    assert app.runtime.platform.parts.publisher.observers == ()


async def test_when_the_first_subscriber_leaves_the_next_ones_rights_count(make_app: AppFactory) -> None:
    app, peer, feed, clock = await started(make_app)
    other = await app.connect("bob")
    await peer.stream("feed/stale")
    await other.stream("feed/stale")
    await peer.leave()
    feed.loads.clear()
    await clock.advance(10)
    assert feed.loads == [("stale", "bob")]


async def test_a_volatile_stream_and_a_page_are_refreshed_as_they_are(make_app: AppFactory) -> None:
    _, peer, feed, clock = await started(make_app)
    await peer.stream("feed/quiet")
    await clock.advance(10)
    (frame,) = [frame for frame in peer.parsed() if frame.get("topic") == "quiet"]
    assert frame["data"] == feed.rows
    assert "seq" not in frame


@pytest.mark.spec("LIVE-94", "WIRE-104")
async def test_a_publish_elsewhere_loads_anew(make_app: AppFactory) -> None:
    app, peer, feed, _ = await started(make_app)
    await peer.stream("feed/sums", "a")
    feed.loads.clear()
    feed.rows.append({"id": 2})
    for topic, event in (
        ("todos:", "created"),
        ("todos", "created"),
        ("todos:x", "refreshed"),
        ("order", "e"),
    ):
        app.runtime.platform.publish(topic, event)
        await turns()
    assert feed.loads == []
    app.runtime.platform.publish("todos:x", "created")
    await turns()
    assert (feed.loads, refreshed(peer, "sum:a")) == ([("a", "ann")], [2])
    app.runtime.live.functions.ctx_for(peer.connection).publish("orders", "created")
    await turns()
    assert refreshed(peer, "sum:a") == [2, 2]


@pytest.mark.spec("LIVE-94", "WIRE-104")
async def test_a_stream_that_watches_its_own_topic_does_not_go_round(make_app: AppFactory) -> None:
    app, peer, feed, clock = await started(make_app)
    await peer.stream("feed/own")
    app.runtime.platform.publish("self", "created")
    await turns(20)
    await clock.advance(10)
    assert feed.loads == ["self", "self"]


@pytest.mark.spec("LIVE-95", "WIRE-104")
async def test_what_comes_while_it_loads_is_loaded_once_more(make_app: AppFactory) -> None:
    app, peer, feed, _ = await started(make_app)
    await peer.stream("feed/sums", "a")
    feed.loads.clear()
    feed.gate.clear()
    app.runtime.platform.publish("orders", "created")
    await turns()
    for _ in range(5):
        feed.rows.append({"id": 3})
        app.runtime.platform.publish("orders", "created")
    await turns()
    assert feed.loads == [("a", "ann")]
    feed.gate.set()
    await turns(20)
    assert len(feed.loads) == 2
    assert refreshed(peer, "sum:a") == [1, 6]


async def test_a_loader_that_publishes_what_it_watches_is_slowed_down(make_app: AppFactory) -> None:
    _app, peer, feed, clock = await started(make_app)
    await peer.stream("feed/loop")
    await turns(50)
    assert len(feed.loads) <= 3
    await clock.advance(5)
    assert 3 < len(feed.loads) <= 8
    await peer.leave()
    feed.loads.clear()
    await clock.advance(5)
    assert feed.loads == []


async def test_reloaded_code_watches_what_it_says(make_app: AppFactory) -> None:
    app, peer, _, clock = await started(make_app)
    await peer.stream("feed/stale")
    await app.runtime.live.reload(
        [app.write("live/feed.py", RELOADS.replace("stale_after=10", "stale_after=50"))]
    )
    await turns(10)
    feed = app.runtime.live.registry.modules["feed"].module
    feed.loads.clear()
    await clock.advance(45)
    assert feed.loads == []
    await clock.advance(6)
    assert feed.loads == [("stale", "ann")]


async def miss(app: App, peer: Peer, *topics: str, **options: Any) -> None:
    """Let `peer` miss an event on each topic."""
    peer.sink.buffered = peer.connection.max_backpressure
    peer.connection.stalled()
    for topic in topics:
        app.runtime.platform.publish(topic, "created", {"id": 9}, **options)
    await turns()


async def drain(peer: Peer) -> None:
    peer.sink.buffered = 0
    peer.connection.drained()
    await turns(10)


@pytest.mark.spec("LIVE-198", "WIRE-124")
@pytest.mark.parametrize("options", [{}, {"seq": False}])
async def test_who_missed_an_event_gets_the_present_value_when_it_has_caught_up(
    make_app: AppFactory, options: dict[str, Any]
) -> None:
    app, quick, feed, _ = await started(make_app)
    slow = await app.connect("bob")
    for peer in (quick, slow):
        await peer.stream("feed/resync")
        await peer.stream("feed/plain")
        await peer.stream("feed/never")
    feed.loads.clear()
    await miss(app, slow, "resync", "plain", "never", **options)
    assert feed.loads == []
    assert refreshed(slow, "resync") == []
    await drain(slow)
    assert feed.loads == [("resync", "bob")]
    assert refreshed(slow, "resync") == [feed.rows]
    assert refreshed(quick, "resync") == refreshed(slow, "plain") == []
    assert [event for event, _ in slow.events("__realtime")] == ["lagged"]


@pytest.mark.spec("LIVE-198", "WIRE-124")
async def test_a_stream_is_loaded_at_most_once_a_second_after_drops(make_app: AppFactory) -> None:
    app, peer, feed, clock = await started(make_app)
    await peer.stream("feed/resync")
    feed.loads.clear()
    for _ in range(4):
        await miss(app, peer, "resync")
        await drain(peer)
    assert len(feed.loads) == 1
    await clock.advance(1)
    await turns(10)
    assert len(feed.loads) == 2
    await clock.advance(10)
    await turns(10)
    assert len(feed.loads) == 2


@pytest.mark.spec("LIVE-198")
async def test_the_setting_decides_where_the_stream_says_nothing(make_app: AppFactory) -> None:
    app, peer, feed, _ = await started(make_app, websocket=WebSocketSettings(resync_on_drop=True))
    for name in ("plain", "never"):
        await peer.stream(f"feed/{name}")
    feed.loads.clear()
    await miss(app, peer, "plain", "never")
    await drain(peer)
    assert feed.loads == ["plain"]


async def test_who_left_meanwhile_is_not_loaded_for(make_app: AppFactory) -> None:
    app, peer, feed, clock = await started(make_app)
    await peer.stream("feed/resync")
    for _ in range(2):
        await miss(app, peer, "resync")
        await drain(peer)
    feed.loads.clear()
    peer.send({"type": "unsubscribe", "topic": "resync"})
    await turns()
    await clock.advance(5)
    await turns(10)
    assert feed.loads == []
