"""Peers that do not keep up: what they miss, what they are told, when they are dropped."""

from __future__ import annotations

import pytest

from runtime.core.connection import MAX_LAGGED_TOPICS, Connection, SendResult
from runtime.core.sink import Frame
from tests.server.peers import turns
from tests.unit.core.parts import Core


def fill(core: Core, peer: Connection) -> None:
    """Let the transport of `peer` say that its buffer is over the limit, as ours does."""
    core.sink(peer).buffered = core.max_backpressure
    peer.stalled()


def drain(core: Core, peer: Connection) -> None:
    core.sink(peer).buffered = 0
    peer.drained()


@pytest.mark.spec("PLAT-52")
async def test_all_peers_get_the_same_bytes_made_once() -> None:
    core = Core()
    peers = [core.connect("a", joins=True) for _ in range(50)]
    core.platform.publish("a", "e", {"n": 1})
    core.platform.publish("a", "e", {"n": 2})
    core.outbox.flush()
    written = [core.sink(peer).transmitted for peer in peers]
    assert {len(writes) for writes in written} == {1}
    assert len({id(writes[0]) for writes in written}) == 1
    assert [data["n"] for _, _, data, _ in core.events(peers[0])] == [1, 2]


async def test_peers_on_the_same_topics_share_their_bytes_and_others_get_theirs() -> None:
    core = Core()
    both = [core.connect("a", "b", joins=True) for _ in range(3)]
    one = core.connect("b", joins=True)
    for topic in "abab":
        core.platform.publish(topic, "e", topic)
    core.outbox.flush()
    assert len({id(core.sink(peer).transmitted[0]) for peer in both}) == 1
    assert [topic for topic, *_ in core.events(both[0])] == ["a", "b", "a", "b"]
    assert [topic for topic, *_ in core.events(one)] == ["b", "b"]


@pytest.mark.spec("PLAT-45", "WIRE-23", "PLAT-161")
async def test_a_peer_is_told_once_what_it_missed_when_it_reads_again() -> None:
    core = Core(max_backpressure=1000)
    slow, quick = core.connect("a", "b", joins=True), core.connect("a", "b", joins=True)
    core.platform.publish("a", "e", 1)
    core.outbox.flush()
    fill(core, slow)
    for topic in ("a", "b", "a"):
        core.platform.publish(topic, "e", "lost")
        core.outbox.flush()
    drain(core, slow)
    core.platform.publish("a", "e", "next")
    assert core.events(slow) == [
        ("a", "e", 1, 1),
        ("__realtime", "lagged", {"dropped": 3, "topics": {"a": 1, "b": 0}}, None),
        ("a", "e", "next", 4),
    ]
    assert [number for topic, _, _, number in core.events(quick) if topic == "a"] == [1, 2, 3, 4]
    assert slow.dropped == 3
    assert core.metrics.get("ws_frames_dropped_total", "publish") == 3
    drain(core, slow)
    assert [event for _, event, _, _ in core.events(slow)].count("lagged") == 1


async def test_what_a_peer_missed_names_so_many_topics_and_says_that_there_are_more() -> None:
    core = Core(max_backpressure=1000)
    topics = [f"t{n}" for n in range(MAX_LAGGED_TOPICS + 1)]
    slow = core.connect(*topics, joins=True)
    fill(core, slow)
    for topic in topics:
        core.platform.publish(topic, "e")
    core.outbox.flush()
    drain(core, slow)
    (_, _, data, _) = core.events(slow)[-1]
    assert (data["dropped"], len(data["topics"]), data["more"]) == (len(topics), MAX_LAGGED_TOPICS, True)


async def test_events_missed_in_a_batch_frame_are_named_singly() -> None:
    core = Core(max_backpressure=1000)
    slow = core.connect("a", "b", joins=True, caps=["batch"])
    fill(core, slow)
    core.platform.publish_batched([{"topic": "a", "event": "e"}, {"topic": "b", "event": "e"}])
    core.outbox.flush()
    drain(core, slow)
    assert core.events(slow)[-1][2]["topics"] == {"a": 0, "b": 0}


@pytest.mark.spec("PLAT-34")
async def test_draining_pumps_what_was_coalesced_before_anybody_is_told() -> None:
    core = Core(max_backpressure=1000)
    peer = core.connect(joins=True)
    seen: list[str] = []

    class Pending:
        def __bool__(self) -> bool:
            return True

        def pump(self, connection: Connection) -> None:
            seen.append("pumped")

    peer.coalesced = Pending()
    peer.on_drain = lambda connection: seen.append("drained")
    drain(core, peer)
    assert seen == ["pumped"]
    fill(core, peer)
    drain(core, peer)
    assert seen == ["pumped", "pumped", "drained"]
    drain(core, peer)
    assert seen[3:] == ["pumped"]


async def test_a_peer_with_values_that_wait_is_watched_until_it_has_taken_everything() -> None:
    core = Core()
    peer = core.connect(joins=True)
    core.sink(peer).buffered = 1
    assert peer.write(Frame(b"1")) is SendResult.QUEUED
    assert core.sink(peer).watches == 0
    peer.coalesced = True
    assert peer.write(Frame(b"2")) is SendResult.QUEUED
    assert core.sink(peer).watches == 1


@pytest.mark.spec("PLAT-46")
async def test_a_peer_that_stays_behind_too_long_is_closed_with_1013() -> None:
    core = Core(max_backpressure=1000, stall_limit=5)
    slow, recovering = core.connect("a", joins=True), core.connect("a", joins=True)
    for peer in (slow, recovering):
        fill(core, peer)
    await core.clock.advance(4.9)
    drain(core, recovering)
    assert not slow.closed
    await core.clock.advance(0.2)
    assert core.sink(slow).ended == [(1013, "Too slow")]
    assert not recovering.closed
    fill(core, recovering)
    await core.clock.advance(4.9)
    assert not recovering.closed
    recovering.mark_closed("gone")
    await core.clock.advance(1)
    assert core.sink(recovering).ended == []


async def test_by_default_a_slow_peer_stays() -> None:
    core = Core(max_backpressure=1000)
    peer = core.connect("a", joins=True)
    fill(core, peer)
    await core.clock.advance(100_000)
    assert not peer.closed


async def test_a_write_that_fails_drops_its_peer_and_no_other() -> None:
    core = Core()
    peers = [core.connect("a", joins=True) for _ in range(3)]

    def broken(data: bytes) -> None:
        raise OSError("gone")

    peers[1].transmit = broken
    core.platform.publish("a", "e")
    core.outbox.flush()
    assert [peer.closed for peer in peers] == [False, True, False]
    assert [len(core.events(peer)) for peer in (peers[0], peers[2])] == [1, 1]


async def test_a_turn_with_much_in_it_does_not_wait_for_its_end() -> None:
    core = Core()
    peer = core.connect("a", joins=True)
    for number in range(40):
        core.platform.publish("a", "e", [number, "x" * 10_000])
    assert 0 < len(core.sink(peer).writes) < 40
    assert [data[0] for _, _, data, _ in core.events(peer)] == list(range(40))
    assert core.metrics.total("ws_frames_dropped_total") == 0


async def test_the_limit_of_a_peer_holds_for_joined_writes() -> None:
    core = Core(max_backpressure=2000)
    peer = core.connect("a", joins=True)
    core.sink(peer).is_stuck = True
    for number in range(100):
        core.platform.publish("a", "e", number)
    core.outbox.flush()
    assert 2000 <= core.sink(peer).buffered < 2000 + 100
    assert peer.dropped > 0


async def test_corked_frames_leave_together_when_the_block_ends() -> None:
    core = Core()
    peer = core.connect(joins=True)
    with peer.cork():
        peer.send("1")
        peer.send("2")
        assert core.sink(peer).writes == []
    assert core.sink(peer).writes == [["1", "2"]]
    await turns(1)
    assert core.sink(peer).writes == [["1", "2"]]


async def test_a_ping_carries_at_most_125_bytes() -> None:
    core = Core()
    peer = core.connect()
    peer.ping(b"x" * 125)
    with pytest.raises(ValueError, match="at most 125"):
        peer.ping(b"x" * 126)
    peer.terminate()
    peer.ping(b"late")
    assert core.sink(peer).pings == [b"x" * 125]


@pytest.mark.spec("PLAT-36")
async def test_fan_out_is_not_counted_as_sent_to_one_peer() -> None:
    core = Core()
    peer = core.connect("a", joins=True)
    core.platform.publish("a", "e")
    peer.send("direct")
    core.outbox.flush()
    core.platform.publish("a", "e")  # with nothing of its own the peer gets the shared bytes
    core.outbox.flush()
    assert len(core.texts(peer)) == 3
    assert (peer.messages_out, peer.bytes_out) == (1, 6)
    assert core.metrics.get("ws_deliveries_total") == 2


@pytest.mark.spec("PLAT-36")
async def test_held_fan_out_is_counted_as_fan_out_once_it_is_written() -> None:
    core = Core()
    peer = core.connect("a", joins=True)
    hold = core.subscriptions.hold(peer, "a")
    for number in range(3):
        core.platform.publish("a", "e", number)
    assert core.metrics.get("ws_deliveries_total") == 0
    core.subscriptions.release(peer, "a", hold)
    core.outbox.flush()
    frames = core.texts(peer)
    assert (peer.messages_out, peer.bytes_out) == (0, 0)
    assert core.metrics.get("ws_deliveries_total") == len(frames) == 3
    assert core.metrics.get("ws_bytes_out_total") == sum(map(len, frames))


async def test_buffered_amount_knows_of_publishes_that_have_not_left() -> None:
    core = Core()
    peer = core.connect("a", joins=True)
    core.platform.publish("a", "e")
    core.platform.publish("b", "e")
    assert peer.buffered_amount == len('{"topic":"a","event":"e","data":null,"seq":1}')
    core.outbox.flush()
    assert peer.buffered_amount == 0


async def test_a_new_subscriber_gets_nothing_that_was_published_before() -> None:
    core = Core()
    peer = core.connect("a", joins=True)
    core.platform.publish("a", "e", "before")
    late = core.connect("a", joins=True)
    core.platform.publish("a", "e", "after")
    assert [data for _, _, data, _ in core.events(late)] == ["after"]
    assert [data for _, _, data, _ in core.events(peer)] == ["before", "after"]
