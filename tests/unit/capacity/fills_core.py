"""What connections, topics, publishes and the edge of a worker do at their bounds."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from runtime.core.errors import CapacityExceeded
from runtime.core.metrics import Metrics
from runtime.core.publisher import OTHER_TOPICS
from runtime.core.resumes import accepted
from runtime.plugins import Session
from runtime.server.admission import TurnBudget
from runtime.server.ratewindow import SlidingWindow
from tests.server.peers import Peer, turns
from tests.unit.capacity.world import Fill, World

__all__ = ["FILLS"]


async def subscribe(peer: Peer, *topics: str) -> list[Any]:
    """Subscribe over the wire, one by one; return the reasons of denials, `None` where there is none."""
    for topic in topics:
        peer.send({"type": "subscribe", "topic": topic, "ref": topic})
    found = []
    for topic in topics:
        frame = await peer.wait(lambda one, topic=topic: one.get("ref") == topic)
        found.append(frame.get("reason"))
    return found


async def subscriptions(world: World) -> None:
    assert await subscribe(await world.peer(), "a", "b", "c") == [None, None, "RATE_LIMITED"]
    assert await subscribe(await world.peer(), "c") == [None]  # of another connection


async def topics(world: World) -> None:
    peer = await world.peer()
    assert await subscribe(peer, "a", "b", "c", "a", "quiet") == [None, None, "RATE_LIMITED", None, None]
    assert await subscribe(await world.peer(), "b") == [None]  # it is there already
    peer.send({"type": "unsubscribe", "topic": "a"})
    await turns()
    assert await subscribe(await world.peer(), "c") == [None]


async def requests(world: World) -> None:
    peer, other = await world.peer(), await world.peer()
    asked = [asyncio.ensure_future(world.platform.request(peer.connection, "ask", n)) for n in range(2)]
    await turns()
    with pytest.raises(CapacityExceeded):
        await world.platform.request(peer.connection, "ask", 3)
    asked.append(asyncio.ensure_future(world.platform.request(other.connection, "ask", 4)))
    await turns()
    assert len(other.connection.requests or ()) == 1
    await peer.leave()
    await other.leave()
    await asyncio.gather(*asked, return_exceptions=True)


async def coalesced(world: World) -> None:
    peer = await world.peer()
    peer.sink.buffered = 2 * peer.connection.max_backpressure
    for n in range(3):
        world.platform.send_coalesced(peer.connection, key=f"k{n}", topic="c", event="e", data=n)
    peer.sink.buffered = 0
    peer.connection.drained()
    await turns()
    assert peer.events("c") == [("e", 1), ("e", 2)]  # the oldest went


async def controls(world: World) -> None:
    peer = await world.peer()
    names = ["slow0", "slow1", "slow2", "slow3"]  # one runs, two wait
    for topic in names:
        peer.send({"type": "subscribe", "topic": topic, "ref": topic})
    denied = await peer.wait(lambda one: one.get("type") == "subscribe-denied")
    assert (denied["ref"], denied["reason"]) == ("slow3", "RATE_LIMITED")
    world.hooks.go.set()
    for topic in names[:3]:
        await peer.wait(lambda one, topic=topic: one.get("ref") == topic)


async def calls(world: World) -> None:
    peer = await world.peer()
    for id in "ab":
        peer.send({"rpc": "m/waits", "id": id})
    assert (await peer.request("m/echo", 1))["code"] == "OVERLOADED"
    assert (await (await world.peer()).request("m/echo", 1))["ok"]
    world.live.go.set()
    assert (await peer.reply("a"))["ok"]
    assert (await peer.request("m/echo", 1))["ok"]


async def call_bytes(world: World) -> None:
    peer = await world.peer()
    peer.send({"rpc": "m/waits", "id": "a", "args": ["x" * 30_000]})
    assert (await peer.request("m/echo", "x" * 30_000))["code"] == "OVERLOADED"
    assert (await peer.request("m/echo", 1))["ok"]  # a small one takes no place
    world.live.go.set()
    assert (await peer.reply("a"))["ok"]


async def held(world: World) -> None:
    peer = await world.peer()
    peer.send({"rpc": "m/rows", "id": "s", "args": ["slow"], "stream": True})
    await turns()
    await world.publishes("rows:slow", "rows:slow", "rows:slow")
    world.live.go.set()
    assert (await peer.reply("s"))["ok"]
    assert world.live.loads == ["slow", "slow"]  # what was dropped is in the second load


async def resumed(world: World) -> None:
    assert accepted({"a": 1, "b": 1, "c": 1}) == {"a": 1, "b": 1}
    peer = await world.peer()
    peer.send({"type": "resume", "sessionId": "old", "lastSeenSeqs": {"a": 0, "b": 0, "c": 0}})
    await peer.wait(lambda one: one.get("type") == "resumed")


async def numbered(world: World) -> None:
    peer = await world.peer()
    await subscribe(peer, "a", "b", "c")
    await world.publishes("a", "b", "c", "a", "quiet")
    found = [(one["topic"], "seq" in one) for one in peer.parsed() if one.get("event") == "e"]
    assert found == [("a", True), ("b", True), ("c", False), ("a", True)]


async def numbered_many(world: World) -> None:
    peer = await world.peer()
    await subscribe(peer, "a", "b", "c")
    await world.publishes("a", "b", "c", "a")
    assert [one["seq"] > 0 for one in peer.parsed() if one.get("event") == "e"] == [True] * 4


async def counted(world: World) -> None:
    world.platform.parts.sampler.sample()
    await world.publishes("a", "b", "c", "d")
    await world.clock.advance(0.5)
    top = {rate.topic for rate in world.platform.parts.sampler.sample().top_publishers}
    assert top == {"a", "b", OTHER_TOPICS}


async def runaways(world: World) -> None:
    for topic in "abc":
        await world.publishes(*topic * 9)
    await world.clock.advance(1.5)


async def batches(world: World) -> None:
    peer = await world.peer()
    await subscribe(peer, "a")
    world.platform.publish_batched([{"topic": "a", "event": "e", "data": n} for n in range(5)])
    await turns()
    assert peer.events("a") == [("e", n) for n in range(5)]
    assert [len(one["events"]) for one in peer.parsed() if one.get("type") == "batch"] == [2, 2]


async def listeners(world: World) -> None:
    ends = [world.platform.on_pressure(print) for _ in range(2)]
    with pytest.raises(CapacityExceeded):
        world.platform.on_pressure(print)
    ends[0]()
    world.platform.on_pressure(print)


async def causes(world: World) -> None:
    health = world.platform.parts.health
    health.degrade("redis")
    health.degrade("postgres")
    with pytest.raises(CapacityExceeded):
        health.degrade("disk")
    for cause in ("redis", "postgres"):
        health.recover(cause)
    assert health.causes == ()


async def other_threads(world: World) -> None:
    found: list[str] = []

    def publish() -> None:
        for n in range(3):
            try:
                world.platform.threadsafe.publish("quiet", "e", n)
            except CapacityExceeded:
                found.append(f"refused {n}")

    thread = threading.Thread(target=publish)
    thread.start()
    thread.join()  # meanwhile the loop takes nothing
    await turns()
    assert found == ["refused 2"]
    assert [data for _, data in world.bystander.events("quiet")][-2:] == [0, 1]


async def series(world: World) -> None:
    metrics = Metrics()
    for path in ("a", "b", "c", "a"):
        metrics.add("rpc_total", path, "ok")
    assert metrics.snapshot()["rpc_total"] == {("a", "ok"): 2, ("b", "ok"): 1}
    assert metrics.get("metrics_series_dropped_total", "rpc_total") == 1


async def buckets(world: World) -> None:
    with pytest.raises(ValueError, match="at most 2, not 3"):
        Metrics(buckets=(1, 2, 3))


async def payloads(world: World) -> None:
    for topic in ("a", "b", "c"):
        world.platform.publish(topic, "e", 2**60)
    assert world.size("PAYLOAD_WARN_CAP") == 2


async def addresses(world: World) -> None:
    window = SlidingWindow(1, 10.0, world.clock)
    assert [window.admits(one) for one in ("1.1.1.1", "1.1.1.2", "1.1.1.3")] == [True] * 3
    assert len(window) == 2


async def deferred(world: World) -> None:
    budget = TurnBudget(1)
    assert await budget.turn()
    waiting = [asyncio.ensure_future(budget.turn()) for _ in range(3)]  # one of them has its turn
    await asyncio.sleep(0)
    assert not await budget.turn()
    assert await asyncio.gather(*waiting) == [True] * 3


async def plugins(world: World) -> None:
    for _ in range(3):
        session = Session(ttl=10)
        session._platform(world.platform)
        await session.set("t", 1)
        assert await session.get("t") == 1  # it works all the same
        world.kept.append(session)


async def deep_calls(world: World) -> None:
    peer = await world.peer()
    peer.send('{"rpc":"m/echo","id":"a","args":' + "[" * 9 + "]" * 9 + "}")
    assert (await peer.reply("a"))["code"] == "INVALID_REQUEST"


async def deep_messages(world: World) -> None:
    peer = await world.peer()
    for depth in (7, 8):
        peer.send('{"a":' + "[" * depth + "]" * depth + "}")
    await turns()
    assert [msg is None for _, msg in world.hooks.messages] == [False, True]


FILLS = {
    "MAX_BATCH_EVENTS": Fill("split", batches),
    "MAX_COALESCED_KEYS_PER_CONNECTION": Fill("evict", coalesced),
    "MAX_CONTROL_BYTES": Fill("reject", controls, limit=130),
    "MAX_CONTROL_QUEUE": Fill("reject", controls),
    "MAX_DEFERRED_UPGRADES": Fill("reject", deferred),
    "MAX_DEGRADED_CAUSES": Fill("reject", causes),
    "MAX_ENVELOPE_DEPTH": Fill("reject", deep_calls, limit=8),
    "MAX_HELD_FRAMES": Fill("reload", held),
    "MAX_HISTOGRAM_BUCKETS": Fill("reject", buckets),
    "MAX_INFLIGHT_BYTES": Fill("reject", call_bytes, limit=40_000),
    "MAX_INFLIGHT_CALLS": Fill("reject", calls),
    "MAX_JSON_DEPTH": Fill("skip", deep_messages, limit=8),
    "MAX_METRIC_SERIES": Fill("skip", series, slack=1000),
    "MAX_PENDING_REQUESTS_PER_CONNECTION": Fill("reject", requests),
    "MAX_PLUGINS": Fill("skip", plugins, more=True),
    "MAX_PRESSURE_LISTENERS": Fill("reject", listeners, more=True),
    "MAX_RESUME_TOPICS": Fill("skip", resumed),
    "MAX_SUBSCRIPTIONS_PER_CONNECTION": Fill("reject", subscriptions, slack=1),
    "MAX_THREADSAFE_QUEUE": Fill("reject", other_threads),
    "MAX_TOPICS": Fill("reject", topics, more=True),
    "MAX_TOPIC_SEQS": Fill("skip", numbered, more=True),
    "MAX_TOPIC_STATS": Fill("bypass", counted, slack=1),
    "MAX_UPGRADE_RATE_ENTRIES": Fill("evict", addresses),
    "PAYLOAD_WARN_CAP": Fill("warn", payloads),
    "PUBLISH_WARN_DEDUP_MAX": Fill("evict", runaways),
    "TOPIC_SEQS_WARN_THRESHOLD": Fill("warn", numbered_many, more=True, slack=2),
}
