"""The index of topics and connections, and frames held back. Spec: wire 5.1."""

from __future__ import annotations

import pytest

from runtime.core import capacity
from runtime.core.sink import Frame
from runtime.core.subscriptions import Hold
from tests.unit.core.parts import Core

ONE, TWO = Frame(b"1"), Frame(b"2")


async def test_both_directions_and_the_numbers_agree() -> None:
    core = Core()
    subscriptions = core.subscriptions
    first, second = core.connect("a", "b"), core.connect("a")
    assert subscriptions.add(first, "a") is False
    assert list(subscriptions.of("a")) == [first, second]
    assert (subscriptions.topics, subscriptions.total, subscriptions.count("a")) == (2, 3, 2)
    assert subscriptions.remove(second, "a") is True
    assert subscriptions.remove(second, "a") is False
    subscriptions.remove_all(first)
    assert (subscriptions.topics, subscriptions.total, subscriptions.count("a")) == (0, 0, 0)
    assert first.all_topics == set()
    assert list(subscriptions.of("a")) == []


async def test_a_held_connection_is_counted_and_gets_its_frames_behind_the_release() -> None:
    core = Core()
    subscriptions = core.subscriptions
    peer = core.connect("a")
    hold = subscriptions.hold(peer, "a")
    assert list(subscriptions.of("a")) == []
    assert (subscriptions.topics, subscriptions.count("a"), subscriptions.total) == (1, 1, 1)
    assert subscriptions.held_by(peer, "a") is hold
    assert subscriptions.held_by(peer, "b") is None
    hold.keep(ONE)
    hold.keep(TWO)
    peer.send("reply")
    subscriptions.release(peer, "a", hold)
    assert core.texts(peer) == ["reply", "1", "2"]
    assert subscriptions.holds.get("a") is None
    assert list(subscriptions.of("a")) == [peer]
    subscriptions.release(peer, "a", hold)
    assert core.texts(peer) == ["reply", "1", "2"]


async def test_a_topic_with_held_and_other_peers_is_one_topic() -> None:
    core = Core()
    peer, other = core.connect("a"), core.connect("a")
    core.subscriptions.hold(peer, "a")
    assert (core.subscriptions.topics, core.subscriptions.count("a")) == (1, 2)
    assert core.subscriptions.held_by(other, "a") is None
    assert core.subscriptions.holds.get("b") is None


async def test_leaving_while_frames_are_held_drops_them() -> None:
    core = Core()
    peer = core.connect("a")
    hold = core.subscriptions.hold(peer, "a")
    hold.keep(ONE)
    assert core.subscriptions.remove(peer, "a") is True
    assert (core.subscriptions.topics, core.subscriptions.total) == (0, 0)
    core.subscriptions.release(peer, "a", hold)
    assert core.texts(peer) == []
    assert not peer.is_subscribed("a")


@pytest.mark.spec("WIRE-23")
@pytest.mark.parametrize("joins", [False, True])
async def test_held_frames_are_dropped_for_a_peer_that_is_too_far_behind(joins: bool) -> None:
    core = Core(max_backpressure=100)
    peer = core.connect("t", joins=joins)
    held = core.subscriptions.hold(peer, "t")
    for _ in range(3):
        core.platform.publish("t", "e")
    core.sink(peer).buffered = 100
    core.subscriptions.release(peer, "t", held)
    peer.flush()
    assert core.events(peer) == []
    assert peer.dropped == core.metrics.get("ws_frames_dropped_total", "publish") == 3
    core.sink(peer).buffered = 0
    peer.drained()
    peer.flush()
    assert core.events(peer) == [("__realtime", "lagged", {"dropped": 3, "topics": {"t": 0}}, None)]


@pytest.mark.spec("WIRE-92")
async def test_a_hold_that_ended_does_not_release_the_next_one() -> None:
    core = Core()
    subscriptions = core.subscriptions
    peer = core.connect("a")
    old = subscriptions.hold(peer, "a")
    subscriptions.remove(peer, "a")
    subscriptions.add(peer, "a")
    new = subscriptions.hold(peer, "a")
    new.keep(ONE)
    subscriptions.release(peer, "a", old)
    assert core.texts(peer) == []
    assert subscriptions.held_by(peer, "a") is new
    subscriptions.release(peer, "a", new)
    assert core.texts(peer) == ["1"]


def test_too_many_held_frames_ask_for_another_load() -> None:
    with capacity.capacity_override(MAX_HELD_FRAMES=2):
        hold = Hold()
    for _ in range(2):
        hold.keep(ONE)
    assert (len(hold.frames), hold.overflowed) == (2, False)
    for _ in range(2):
        hold.keep(TWO)
    assert (hold.frames, hold.overflowed) == ([], True)
    hold.restart()
    hold.keep(TWO)
    assert (hold.frames, hold.overflowed) == ([TWO], False)


async def test_topics_are_bounded_whether_their_frames_are_held_or_not() -> None:
    core = Core()
    subscriptions = core.subscriptions
    peer, other = core.connect("a", "b"), core.connect("a")
    subscriptions.hold(peer, "a")
    subscriptions.hold(peer, "b")
    with capacity.capacity_override(MAX_TOPICS=3):
        assert subscriptions.has_room("c")
    with capacity.capacity_override(MAX_TOPICS=2):
        assert subscriptions.has_room("a")
        assert subscriptions.has_room("b")
        assert not subscriptions.has_room("c")
    assert subscriptions.count("a") == 2
    subscriptions.remove(other, "a")
    with capacity.capacity_override(MAX_TOPICS=2):
        assert not subscriptions.has_room("c")
