"""The gauges of what has a bound: everything is in them, with the fullest of its kind. Spec: platform 6.1, 9.3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.core import capacity
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
    Session,
    throttle,
)
from runtime.server import capacitysizes
from tests.unit.server.runtimes import Bare

#: What a Python client bounds: it has no worker whose gauges could show it.
OF_CLIENTS = {"MAX_CLIENT_QUEUE", "MAX_OPTIMISTIC_QUEUE_DEPTH", "STREAM_EVENTS_QUEUE"}
#: What the HTTP side adds to the gauges when it is made; `tests/server` has one.
OF_HTTP = {"MAX_SSR_DEDUP", "MAX_SSR_DEDUP_WAITERS"}


@pytest.fixture
async def worker() -> AsyncIterator[Bare]:
    made = Bare({}, {}, {}, {}, env="dev")
    await made.runtime.start()
    yield made
    await made.runtime.stop(timeout=0)


def sizes(worker: Bare) -> dict[str, float]:
    return {name: size for (name,), size in worker.runtime.metrics.snapshot()["capacity_size"].items()}


def plugins(worker: Bare) -> list[Any]:
    """Return one plugin of each kind, in use."""
    made: list[Any] = [
        CircuitBreaker(),
        Cursor(),
        Dedup(ttl=1),
        Group("g"),
        Lock(),
        MemoryIdempotencyStore(),
        Presence(),
        Queue(),
        RateLimit(points=1, interval=1),
        Session(ttl=1),
        throttle(1),
    ]
    for plugin in made:
        plugin._platform(worker.runtime.platform)
    worker.runtime.platform.replay.record_topic("kept", 5, platform=worker.runtime.platform)
    return made


@pytest.mark.spec("PLAT-124")
async def test_everything_with_a_bound_has_its_gauges(worker: Bare) -> None:
    used = plugins(worker)
    found = sizes(worker)
    missing = capacity.DEFAULTS.keys() - found.keys() - capacity.OF_ONE - OF_CLIENTS - OF_HTTP
    assert (missing, len(used)) == (set(), 11)
    assert found.keys() <= capacity.DEFAULTS.keys()
    assert not found.keys() & capacity.OF_ONE
    limits = worker.runtime.metrics.snapshot()["capacity_limit"]
    assert limits == {(name,): value for name, value in capacity.DEFAULTS.items()}


@pytest.mark.spec("PLAT-124")
async def test_of_connections_the_fullest_is_shown(worker: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = worker.connect(), worker.connect()
    few.connection.subscribe("a")
    for topic in "abc":
        many.connection.subscribe(topic)
    many.sink.buffered = 2 * many.connection.max_backpressure
    for key in "kl":
        worker.runtime.platform.send_coalesced(many.connection, key=key, topic="c", event="e", data=1)
    found = sizes(worker)
    assert found["MAX_SUBSCRIPTIONS_PER_CONNECTION"] == 4  # `__realtime` is everybody's
    assert found["MAX_COALESCED_KEYS_PER_CONNECTION"] == 2
    assert (found["MAX_TOPICS"], found["MAX_TOPIC_SEQS"]) == (4, 0)
    worker.runtime.platform.publish("a", "e", 1)
    assert sizes(worker)["MAX_TOPIC_SEQS"] == sizes(worker)["MAX_TOPIC_STATS"] == 1
    monkeypatch.setattr(capacitysizes, "MAX_LOOKED_AT", 1)  # so that a scrape of many stays short
    assert sizes(worker)["MAX_SUBSCRIPTIONS_PER_CONNECTION"] == 2
    for peer in (few, many):
        await peer.inbound.closed(1000, "")
    after = sizes(worker)
    assert {after[name] for name in capacity.DEFAULTS if name.endswith("_PER_CONNECTION")} == {0}


@pytest.mark.spec("PLAT-124")
async def test_where_two_share_a_bound_the_fuller_is_shown(worker: Bare) -> None:
    presence, peer = Presence(), worker.connect({"id": 7})
    await presence.join(peer.connection, "room")
    assert sizes(worker)["MAX_PRESENCE_REF"] == 1
    worker.runtime.sizes["MAX_PRESENCE_REF"] = lambda: 5
    assert sizes(worker)["MAX_PRESENCE_REF"] == 5
    worker.runtime.sizes["MAX_PRESENCE_REF"] = lambda: 0
    assert sizes(worker)["MAX_PRESENCE_REF"] == 1
