"""The seam on which derived streams, effects and aggregates stand. Spec: live-api 10.3 and 17.2."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime import publish, publish_threadsafe, set_bus
from runtime.core import nesting
from runtime.core.messages import collapsed
from runtime.core.publisher import Event
from runtime.live.watchers import Published
from runtime.testing import capacity_override
from tests.server.conftest import AppFactory
from tests.server.peers import App, turns

LIVE = """
    # realtime-allow-public
    from runtime import live

    @live
    async def send(ctx, *topics: str):
        for topic in topics:
            ctx.publish(topic, "created", {"id": topic})

    @live
    async def doors(ctx):
        platform = ctx.platform
        ctx.publish("t", "ctx", 1)
        ctx.batch([{"topic": "t", "event": "ctx.batch", "data": 2}])
        platform.publish("t", "platform", 3)
        platform.batch([{"topic": "t", "event": "batch", "data": 4}])
        platform.publish_batched([{"topic": "t", "event": "batched", "data": 5}, {"topic": "u", "event": "other"}])
        platform.topic("t").created(6)
        ctx.publish_throttled("t", "throttled", 7, 60)

    @live(thread=True)
    def in_a_thread(ctx):
        ctx.publish("t", "thread", 8)
        ctx.platform.threadsafe.publish("t", "threadsafe", 9)

    @live.stream("shaped", transform=lambda row: {"id": row["id"]})
    async def shaped(ctx):
        return []

    @live.stream("newest", coalesce_by=lambda row: row["id"], transform=lambda row: row["id"])
    async def newest(ctx):
        return []
"""
Seen = list[tuple[str, Any]]


def watch(app: App, *topics: str) -> Seen:
    """Keep event and data of everything that is published on `topics`."""
    seen: Seen = []
    for topic in topics:
        app.runtime.live.watchers.add(topic, lambda published: seen.append((published.event, published.data)))
    return seen


async def settled(app: App, count: int, seen: Seen) -> None:
    async with asyncio.timeout(5):
        while len(seen) < count:
            await turns()


async def test_every_door_to_publishing_is_watched_once_in_order(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    seen = watch(app, "t")
    ann = await app.connect("ann")
    await ann.request("m/doors")
    assert seen == [
        ("ctx", 1),
        ("ctx.batch", 2),
        ("platform", 3),
        ("batch", 4),
        ("batched", 5),
        ("created", 6),
        ("throttled", 7),
    ]
    await ann.request("m/in_a_thread")
    publish("t", "outside", 10)
    await asyncio.to_thread(publish_threadsafe, "t", "from a thread", 11)
    await settled(app, 11, seen)
    assert sorted(data for _, data in seen) == list(range(1, 12))


@pytest.mark.spec("LIVE-157")
@pytest.mark.parametrize("relay", [True, False])
async def test_what_a_bus_has_received_is_watched_and_known_as_that(
    make_app: AppFactory, relay: bool
) -> None:
    app = await make_app({"live/m.py": LIVE})
    relayed: list[bool] = []
    app.runtime.live.watchers.add("t", lambda published: relayed.append(published.relay))
    platform = app.runtime.platform

    def publish_all() -> None:
        platform.publish("t", "a", 1, relay=relay)
        platform.batch([{"topic": "t", "event": "b", "relay": relay}, {"topic": "u", "event": "b"}])
        platform.publish_batched([{"topic": "t", "event": "c", "relay": relay}])
        platform.threadsafe.publish("t", "d", relay=relay)

    class Forgetful:
        """A bus that tells the platform it wraps nothing of `relay`."""

        def wrap(self, platform: Any) -> Any:
            self.platform = platform
            return self

        def publish(
            self, topic: str, event: str, data: Any = None, *, relay: bool = True, **options: Any
        ) -> bool:
            return bool(self.platform.publish(topic, event, data, **options))

        def publish_batched(self, messages: Any) -> None:
            for _, message in collapsed(messages):
                self.platform.publish(message["topic"], message["event"])

    publish_all()
    await turns()
    assert relayed == [relay] * 4
    set_bus(Forgetful())
    publish_all()
    await turns()
    assert relayed == [relay] * 8
    with pytest.raises(TypeError, match="list or tuple"):
        platform.publish_batched(7)  # type: ignore[arg-type]  # the point
    with pytest.raises((TypeError, ValueError)):
        platform.publish_batched([{"topic": ["t"], "event": "c", "relay": False}])  # type: ignore[typeddict-item]  # the point


@pytest.mark.spec("LIVE-157")
async def test_what_a_bus_publishes_by_itself_it_has_received(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    relayed: list[bool] = []
    app.runtime.live.watchers.add("t", lambda published: relayed.append(published.relay))

    class Bus:
        def wrap(self, platform: Any) -> Any:
            self.local = platform
            return platform

    bus = Bus()
    set_bus(bus)
    bus.local.publish("t", "a", 1)
    bus.local.publish_batched([{"topic": "t", "event": "b"}])
    publish("t", "c")
    set_bus(None)
    publish("t", "d")
    assert relayed == [False, False, True, True]


@pytest.mark.parametrize("bus", [False, True])
async def test_watchers_see_what_was_published_and_peers_what_the_stream_makes_of_it(
    make_app: AppFactory, bus: bool
) -> None:
    app = await make_app({"live/m.py": LIVE})
    if bus:

        class Bus:
            def wrap(self, platform: Any) -> Any:
                return platform

        set_bus(Bus())
    seen = watch(app, "shaped", "newest", "t")
    ann = await app.connect("ann")
    await ann.stream("m/shaped")
    await ann.stream("m/newest")
    ctx = app.runtime.live.functions.ctx_for(ann.connection)
    row = {"id": 1, "secret": "x", "tags": ("a", "b")}
    for topic in ("shaped", "newest", "t"):
        ctx.publish(topic, "created", row)
    row["secret"] = "changed later"
    await turns()
    assert seen == [("created", {"id": 1, "secret": "x", "tags": ["a", "b"]})] * 3
    assert (ann.events("shaped"), ann.events("newest")) == ([("created", {"id": 1})], [("created", 1)])


async def test_a_copy_is_nobody_elses(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    found: list[Published] = []
    app.runtime.live.watchers.add("t", found.append)
    app.runtime.platform.publish("t", "created", {"list": []})
    published = found[0]
    assert published.data is published.data
    published.copy()["list"].append(1)
    assert published.data == {"list": []}
    assert (published.topic, published.event, published.depth) == ("t", "created", 0)


async def test_watching_ends_and_costs_nothing_then(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    watchers = app.runtime.live.watchers
    seen: list[str] = []
    end_first = watchers.add("t", lambda published: seen.append("first"))
    end_second = watchers.add("t", lambda published: seen.append("second"))
    publish("t", "a")
    end_first()
    end_first()
    publish("t", "b")
    assert (seen, watchers.watches("t")) == (["first", "second", "second"], True)
    end_second()
    publish("t", "c")
    assert (len(seen), watchers.watches("t"), app.runtime.platform.parts.publisher.watchers) == (3, False, {})


async def test_a_watcher_may_end_itself_and_begin_others_while_it_is_told(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    watchers = app.runtime.live.watchers
    seen: list[str] = []

    def once(published: Published) -> None:
        seen.append("once")
        end()
        watchers.add("t", lambda published: seen.append("new"))

    end = watchers.add("t", once)
    publish("t", "a")
    publish("t", "b")
    assert seen == ["once", "new"]


async def test_a_watcher_that_fails_harms_neither_publisher_nor_the_others(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/m.py": LIVE})

    def fail(published: Published) -> None:
        raise RuntimeError("broken")

    app.runtime.live.watchers.add("t", fail)
    seen = watch(app, "t")
    assert publish("t", "a", 1) is False
    assert seen == [("a", 1)]
    assert "a watcher of 't' failed" in caplog.text


@pytest.mark.spec("LIVE-112")
async def test_watchers_that_publish_for_each_other_stop_at_the_bound(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/m.py": LIVE})
    told: list[int] = []

    def again(published: Published) -> None:
        told.append(published.depth)
        publish("t" if published.topic == "u" else "u", "again")

    for topic in ("t", "u"):
        app.runtime.live.watchers.add(topic, again)
    for _ in range(2):
        publish("t", "first")
    assert told == [*range(8), *range(8)]
    metrics = app.runtime.platform.metrics
    assert metrics.get("watcher_depth_exceeded_total") == 2
    warnings = [r.message for r in caplog.records if "ended 8 deep" in r.message]
    assert len(warnings) == 1
    assert "ended 8 deep" in warnings[0]
    with capacity_override(MAX_WATCHER_DEPTH=2):
        told.clear()
        publish("t", "first")
        assert told == [0, 1]


@pytest.mark.spec("LIVE-112")
@pytest.mark.parametrize("bus", [False, True])
@pytest.mark.parametrize("door", ["publish", "publish_throttled", "threadsafe", "task"])
async def test_a_detour_does_not_hide_how_deep_a_publish_is(
    make_app: AppFactory, door: str, bus: bool
) -> None:
    app = await make_app({"live/m.py": LIVE})
    ann = await app.connect("ann")
    ctx = app.runtime.live.functions.ctx_for(ann.connection)
    tasks = app.runtime.live.functions.tasks
    told: list[int] = []
    if bus:

        class Bus:
            def wrap(self, platform: Any) -> Any:
                return platform

        set_bus(Bus())

    async def later() -> None:
        await turns(3)
        publish("t", "again")

    def again(published: Published) -> None:
        told.append(published.depth)
        if door == "publish":
            ctx.publish("t", "again", len(told))
        elif door == "publish_throttled":
            ctx.publish_throttled("t", f"again {len(told)}", 1, 60)
        elif door == "threadsafe":
            ctx.platform.threadsafe.publish("t", "again")
        else:
            tasks.start(later(), name="later")

    app.runtime.live.watchers.add("t", again)
    publish("t", "first")
    # Somebody else's publish, which leaves by the same door, is not taken for one of theirs.
    ctx.publish("t", "other")
    await turns(200)
    assert sorted(told) == sorted([*range(8), *range(8)])
    assert app.runtime.platform.metrics.get("watcher_depth_exceeded_total") == 2
    assert nesting.depth() == 0


async def test_events_that_leave_together_are_delivered_before_anybody_is_told(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    ann = await app.connect("ann")
    for topic in ("t", "u", "echo"):
        ann.send({"type": "subscribe", "topic": topic, "ref": 1})
    app.runtime.live.watchers.add("t", lambda published: publish("echo", "heard"))
    await ann.request("m/send", "t", "u", "t")
    envelopes = [one for one in ann.parsed() if one.get("type", "batch") == "batch" and "ref" not in one]
    assert [one.get("topic", "batch") for one in envelopes] == ["batch", "echo", "echo", "__rpc"]


async def test_what_has_no_json_form_before_its_stream_changed_it_is_seen_as_it_is(
    make_app: AppFactory,
) -> None:
    app = await make_app(
        {
            "live/m.py": """
            # realtime-allow-public
            from runtime import live

            @live.stream("t", merge="latest", transform=lambda item: item.real)
            async def feed(ctx):
                return []
            """
        }
    )
    seen = watch(app, "t")
    ann = await app.connect("ann")
    await ann.stream("m/feed")
    value = complex(1, 2)
    app.runtime.live.functions.ctx_for(ann.connection).publish("t", "created", value)
    await turns()
    assert seen == [("created", value)]
    assert ann.events("t") == [("created", 1)]


def test_an_event_without_a_watcher_is_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    """The publisher asks one dict, and nothing of the live layer runs."""
    from tests.unit.core.parts import Core  # needed here only

    class Counting(dict[str, Any]):
        asked = 0

        def __contains__(self, key: object) -> bool:
            self.asked += 1
            return super().__contains__(key)

        def get(self, key: str, default: Any = None) -> Any:
            self.asked += 1
            return super().get(key, default)

    core = Core()
    watchers = Counting(other=lambda event: pytest.fail("not its topic"))
    core.platform.parts.publisher.watchers = watchers
    with caplog.at_level(logging.WARNING):
        core.platform.parts.publisher.publish(Event("t", "e", b"1"))
    assert watchers.asked == 1
    assert caplog.records == []
