"""Which streams each connection is subscribed to, counted. Spec: wire 5.1 step 7, live-api 8.5."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.assertions import InvariantViolation
from runtime.core.errors import LiveError
from runtime.core.metrics import Metrics
from runtime.live.streamsubs import StreamSubs
from tests.unit.core.parts import Core


class Subs(StreamSubs):
    """A store with its gauge."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        super().__init__(self.metrics)

    @property
    def gauge(self) -> int:
        return self.metrics.get("stream_subscriptions")


def endpoint(path: str) -> Any:
    return SimpleNamespace(path=path, module=path.partition("/")[0])


A, B = endpoint("a/x"), endpoint("b/x")


async def test_two_stores_on_one_stream_are_a_count_of_two() -> None:
    subs, peer = Subs(), Core().connect()
    first = subs.add(peer, A, "t", [1])
    assert subs.add(peer, A, "t", [2]) is first
    assert (first.count, first.args, subs.gauge) == (2, [2], 2)
    assert subs.drop_one(first) is True
    assert subs.has(peer, "t")
    assert subs.drop_one(first) is True
    assert subs.drop_one(first) is False
    assert (subs.has(peer, "t"), subs.on_topic("t"), subs.gauge) == (False, False, 0)
    assert not subs.is_held(first)


async def test_a_subscription_that_ended_does_not_take_from_the_next() -> None:
    subs, peer = Subs(), Core().connect()
    old = subs.add(peer, A, "t", [])
    subs.leave(peer, "t")
    new = subs.add(peer, A, "t", [])
    assert subs.drop_one(old) is False
    assert (subs.is_held(old), subs.is_held(new), new.count) == (False, True, 1)


async def test_leaving_a_topic_ends_each_stream_on_it_once() -> None:
    subs, core = Subs(), Core()
    peer, other = core.connect(), core.connect()
    mine = [subs.add(peer, A, "t", []), subs.add(peer, B, "t", []), subs.add(peer, A, "other", [])]
    subs.add(peer, A, "t", [])
    subs.add(other, A, "t", [])
    assert subs.others("t", peer) == 1
    assert subs.others("nobody", peer) == 0
    ended = subs.leave(peer, "t")
    assert ended == mine[:2]
    assert [sub.count for sub in ended] == [2, 1]
    assert subs.leave(peer, "t") == []
    assert subs.others("t", peer) == 1
    assert subs.leave_all(peer) == mine[2:]
    assert subs.leave_all(peer) == []
    assert subs.gauge == 1
    assert subs.holds(other, A, "t")
    assert not subs.holds(other, B, "t")


async def test_subscriptions_are_found_by_their_modules() -> None:
    subs, core = Subs(), Core()
    peers = [core.connect() for _ in range(2)]
    for peer in peers:
        subs.add(peer, A, "t", [])
        subs.add(peer, B, "t", [])
    found = []
    for sub in subs.of_modules({"b"}):
        found.append(sub)
        subs.leave_all(sub.connection)
    assert [sub.endpoint for sub in found][:1] == [B]
    assert list(subs.of_modules({"c"})) == []


async def test_streams_of_a_connection_are_bounded_and_known_ones_count_on() -> None:
    subs, core = Subs(), Core()
    peer, other = core.connect(), core.connect()
    with capacity.capacity_override(MAX_STREAM_SUBSCRIPTIONS=1):
        subs.add(peer, A, "t", [])
        subs.add(peer, A, "t", [])
        with pytest.raises(LiveError) as caught:
            subs.add(peer, B, "t", [])
        assert caught.value.code == "RATE_LIMITED"
        subs.add(other, B, "t", [])
    assert subs.gauge == 3
    subs.leave_all(peer)
    assert not subs.has(peer, "t")


def test_topics_with_subscribers_are_bounded_and_said_to_be_many() -> None:
    subs, core = Subs(), Core()
    one, other = core.connect(), core.connect()
    before = capacity.events.copy()
    with capacity.capacity_override(MAX_TOPIC_WS_COUNTS=3, TOPIC_WS_COUNTS_WARN_THRESHOLD=2):
        subs.add(one, A, "t1", [])
        subs.add(one, A, "t2", [])
        assert capacity.events == before
        last = subs.add(one, A, "t3", [])
        assert capacity.events - before == {("TOPIC_WS_COUNTS_WARN_THRESHOLD", "warn"): 1}
        with pytest.raises(LiveError, match="Too many stream topics") as refused:
            subs.add(other, A, "t4", [])
        assert refused.value.code == "OVERLOADED"
        assert (capacity.events - before)["MAX_TOPIC_WS_COUNTS", "reject"] == 1
        subs.add(other, B, "t3", [])
        subs.drop_one(last)
        with pytest.raises(LiveError):
            subs.add(other, A, "t4", [])
        subs.leave(other, "t3")
        subs.add(other, A, "t4", [])


def test_a_subscription_that_no_topic_knows_is_a_broken_invariant_and_ends_all_the_same() -> None:
    subs, core = Subs(), Core()
    peer = core.connect()
    sub = subs.add(peer, A, "t", [])
    subs._by_topic.clear()  # as a mistake of ours would leave it
    with pytest.raises(InvariantViolation, match=r"realtime/subscription\.bookkeeping\.ws-was-tracked"):
        subs.drop_one(sub)
    assert not subs.is_held(sub)
