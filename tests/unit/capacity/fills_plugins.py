"""What plugins do at the bounds that hold for them without an option."""

from __future__ import annotations

import asyncio

import pytest

from runtime.client.errors import StreamLagged
from runtime.client.feeds import Backlog
from runtime.core.connection import Connection
from runtime.core.errors import CapacityExceeded, LockQueueFull, QueueFull
from runtime.plugins import (
    CircuitBreaker,
    Cursor,
    Dedup,
    Group,
    Lock,
    MemoryIdempotencyStore,
    Presence,
    Queue,
    RateLimit,
    Replay,
    Session,
    throttle,
)
from tests.server.peers import turns
from tests.unit.capacity.world import Fill, World

__all__ = ["FILLS"]


async def connections(world: World, names: str = "abc") -> list[Connection]:
    return [(await world.peer({"id": name})).connection for name in names]


async def lock_keys(world: World) -> None:
    lock, go = Lock(), asyncio.Event()
    world.kept.append(lock)
    held = [asyncio.ensure_future(lock.with_lock(key, go.wait)) for key in "ab"]
    await turns()
    with pytest.raises(CapacityExceeded):
        await lock.with_lock("c", go.wait)
    go.set()
    assert await asyncio.gather(*held) == [True, True]
    assert await lock.with_lock("c", go.wait)


async def lock_waiters(world: World) -> None:
    lock, go = Lock(), asyncio.Event()
    world.kept.append(lock)
    held = [asyncio.ensure_future(lock.with_lock("a", go.wait)) for _ in range(3)]
    await turns()
    with pytest.raises(LockQueueFull):
        await lock.with_lock("a", go.wait)
    other = asyncio.ensure_future(lock.with_lock("b", go.wait))  # another key has its own line
    go.set()
    assert await asyncio.gather(*held, other) == [True] * 4


async def sessions(world: World) -> None:
    store = Session(ttl=100)
    world.kept.append(store)
    for n in range(12):
        await store.set(f"t{n}", n)
    # Up to a tenth more is kept for a while; then the oldest go, down to the bound.
    assert [await store.get(f"t{n}") for n in (0, 1, 2, 11)] == [None, None, 2, 11]


async def ids(world: World) -> None:
    dedup = Dedup(ttl=100)
    world.kept.append(dedup)
    assert [await dedup.claim(f"i{n}") for n in range(12)] == [True] * 12
    assert [await dedup.claim(f"i{n}") for n in (11, 0)] == [False, True]  # the oldest is fresh again


async def presence_connections(world: World) -> None:
    presence = Presence()
    world.kept.append(presence)
    for connection in await connections(world):
        await presence.join(connection, "room")
    assert [user["id"] for user in await presence.list("room")] == ["b", "c"]


async def presence_topics(world: World) -> None:
    presence, (ann,) = Presence(), await connections(world, "a")
    world.kept.append(presence)
    for topic in ("r1", "r2", "r3"):
        await presence.join(ann, topic)
    assert [len(await presence.list(topic)) for topic in ("r1", "r2", "r3")] == [0, 1, 1]


async def presence_users(world: World) -> None:
    presence = Presence()
    world.kept.append(presence)
    for connection in await connections(world):
        await presence.join(connection, "room")
    assert [user["id"] for user in await presence.list("room")] == ["a", "b"]  # "c" is not shown


async def cursor_connections(world: World) -> None:
    cursors = Cursor()
    world.kept.append(cursors)
    for connection in await connections(world):
        assert cursors.update_nowait(connection, "canvas", 1)
    assert [one["user"]["id"] for one in cursors.list_nowait("canvas")] == ["b", "c"]


async def cursor_topics(world: World) -> None:
    cursors, (ann,) = Cursor(), await connections(world, "a")
    world.kept.append(cursors)
    for topic in ("c1", "c2", "c3"):
        assert cursors.update_nowait(ann, topic, 1)
    assert [len(cursors.list_nowait(topic)) for topic in ("c1", "c2", "c3")] == [0, 1, 1]


async def throttled(world: World) -> None:
    limiter, peer = throttle(10), await world.peer()
    world.kept.append(limiter)
    for topic in ("a", "b", "c"):
        peer.connection.subscribe(topic)
        for n in range(2):
            limiter.publish(world.platform, topic, "e", n)
    await turns()
    assert peer.events("a") == [("e", 0), ("e", 1)]  # the oldest is flushed to make room
    assert peer.events("b") == peer.events("c") == [("e", 0)]
    await world.clock.advance(10)


async def limited(world: World) -> None:
    limit = RateLimit(points=1, interval=60, key_by="connection")
    world.kept.append(limit)
    three = await connections(world)
    assert [(await limit.consume(one)).allowed for one in three] == [True] * 3
    # The first was forgotten: it may again, the last may not.
    assert [(await limit.consume(one)).allowed for one in (three[2], three[0])] == [False, True]


async def queued(world: World) -> None:
    queue, go = Queue(), asyncio.Event()
    world.kept.append(queue)
    running = [asyncio.ensure_future(queue.push("a", go.wait)) for _ in range(3)]
    await turns()
    with pytest.raises(QueueFull):
        await queue.push("a", go.wait)
    assert await queue.push("b", lambda: 1) == 1  # another key has its own line
    go.set()
    assert await asyncio.gather(*running) == [True] * 3


async def queue_keys(world: World) -> None:
    queue, go = Queue(), asyncio.Event()
    world.kept.append(queue)
    running = [asyncio.ensure_future(queue.push(key, go.wait)) for key in "ab"]
    await turns()
    with pytest.raises(QueueFull):
        await queue.push("c", go.wait)
    go.set()
    assert await asyncio.gather(*running) == [True] * 2
    assert await queue.push("c", lambda: 1) == 1


def seqs(replay: Replay, *topics: str) -> list[list[int]]:
    return [[one.seq % 100 for one in replay.since_nowait(topic, 0)] for topic in topics]


async def replay_events(world: World) -> None:
    replay = await recording(world)
    for topic in ("a", "a", "a", "b"):
        await replay.publish(world.platform, topic, "e", 1)
    assert seqs(replay, "a", "b") == [[2, 3], [1]]
    assert replay.gap_nowait("a", 0).truncated


async def replay_topics(world: World) -> None:
    replay = await recording(world)
    for topic in ("a", "b", "a", "c"):
        await replay.publish(world.platform, topic, "e", 1)
    assert seqs(replay, "a", "b", "c") == [[1, 2], [], [1]]  # the one unused for longest went


async def replay_bytes(world: World) -> None:
    replay = await recording(world)
    for topic in ("a", "b", "b"):
        await replay.publish(world.platform, topic, "e", "x" * 600)
    assert seqs(replay, "a", "b") == [[], [2]]


async def replay_recorded(world: World) -> None:
    replay = await recording(world)
    for topic in ("a", "b", "a", "c"):
        replay.record_topic(topic, platform=world.platform)
    for topic in ("a", "b", "c"):
        world.platform.publish(topic, "e", 1)
    assert [len(found) for found in seqs(replay, "a", "b", "c")] == [1, 0, 1]


async def recording(world: World) -> Replay:
    made = Replay(clock=world.clock)
    world.kept.append(made)
    return made


async def members(world: World) -> None:
    group = Group("g")
    world.kept.append(group)
    three = await connections(world)
    assert [await group.join(one) for one in three] == [True, True, False]
    await group.leave(three[0])
    assert await group.join(three[2])


async def breaker_listeners(world: World) -> None:
    breaker = CircuitBreaker()
    breaker._platform(world.platform)
    world.kept.append(breaker)
    ends = [breaker.subscribe(print) for _ in range(2)]
    with pytest.raises(CapacityExceeded):
        breaker.subscribe(print)
    ends[0]()
    breaker.subscribe(print)


async def results(world: World) -> None:
    store = MemoryIdempotencyStore()
    world.kept.append(store)
    for n in range(11):
        await (await store.acquire(f"k{n}")).commit(n)
    found = [(await store.acquire(f"k{n}")).acquired for n in (1, 10, 0)]
    assert found == [False, False, True]  # the oldest tenth went, so that may run again


async def running_keys(world: World) -> None:
    store = MemoryIdempotencyStore()
    world.kept.append(store)
    slots = [await store.acquire(key) for key in "ab"]
    with pytest.raises(CapacityExceeded):
        await store.acquire("c")
    await slots[0].commit(1)
    assert (await store.acquire("c")).acquired
    assert (await store.acquire("a")).result == 1


async def long_keys(world: World) -> None:
    store = MemoryIdempotencyStore()
    world.kept.append(store)
    assert (await store.acquire("k" * 4)).acquired
    with pytest.raises(ValueError, match="5 characters"):
        await store.acquire("k" * 5)


async def unread(world: World) -> None:
    feed: Backlog[int] = Backlog()
    for n in range(3):
        feed.push(n)
    assert [await anext(feed), await anext(feed)] == [0, 1]
    with pytest.raises(StreamLagged):
        await anext(feed)


FILLS = {
    "MAX_BREAKER_LISTENERS": Fill("reject", breaker_listeners),
    "MAX_CURSOR_CONNECTIONS": Fill("evict", cursor_connections),
    "MAX_CURSOR_TOPICS": Fill("evict", cursor_topics),
    "MAX_DEDUP_IDS": Fill("evict", ids, limit=10, slack=1),
    "MAX_GROUPS_LOCAL_MEMBERS": Fill("reject", members),
    "MAX_IDEMPOTENCY_INFLIGHT": Fill("reject", running_keys),
    "MAX_IDEMPOTENCY_KEY_LENGTH": Fill("reject", long_keys, limit=4),
    "MAX_IDEMPOTENCY_RESULTS": Fill("evict", results, limit=10),
    "MAX_LOCK_KEYS": Fill("reject", lock_keys),
    "MAX_LOCK_WAITERS": Fill("reject", lock_waiters),
    "MAX_PRESENCE_CONNECTIONS": Fill("evict", presence_connections),
    "MAX_PRESENCE_REF": Fill("skip", presence_users),
    "MAX_PRESENCE_TOPICS": Fill("evict", presence_topics),
    "MAX_QUEUE_KEYS": Fill("reject", queue_keys),
    "MAX_QUEUE_SIZE": Fill("reject", queued),
    "MAX_RATELIMIT_BUCKETS": Fill("evict", limited),
    "MAX_REPLAY_BYTES": Fill("evict", replay_bytes, limit=1_300),
    "MAX_REPLAY_RECORDED": Fill("evict", replay_recorded),
    "MAX_REPLAY_SIZE": Fill("evict", replay_events, is_usual=True),
    "MAX_REPLAY_TOPICS": Fill("evict", replay_topics),
    "MAX_SESSIONS": Fill("evict", sessions, limit=10, slack=1),
    "MAX_THROTTLE_TOPICS": Fill("evict", throttled),
    "STREAM_EVENTS_QUEUE": Fill("reject", unread),
}
