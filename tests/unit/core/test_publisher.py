"""One publish: names, numbers, sizes, and what each peer gets of several. Spec: wire 2.1 to 2.3, platform 2.2, 2.5."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import PayloadTooLarge
from runtime.core.publisher import Event, make_event
from runtime.wire import jsoncodec
from tests.unit.core.parts import Core


def event(topic: str, data: Any = 1, seq: bool | int = True) -> Event:
    return make_event(topic, "e", data, seq, 0)


@pytest.mark.spec("WIRE-24", "WIRE-26", "WIRE-28")
async def test_an_envelope_is_compact_raw_and_numbered_per_topic() -> None:
    core = Core(base=7000)
    peer = core.connect("täglich", "b")
    for topic in ("täglich", "b", "täglich"):
        assert core.publisher.publish(make_event(topic, "new", {"t": "Käse", "n": None}, True, 0))
    core.publisher.publish(make_event("b", "none", None, True, 0))
    assert core.texts(peer) == [
        '{"topic":"täglich","event":"new","data":{"t":"Käse","n":null},"seq":7001}',
        '{"topic":"b","event":"new","data":{"t":"Käse","n":null},"seq":7001}',
        '{"topic":"täglich","event":"new","data":{"t":"Käse","n":null},"seq":7002}',
        '{"topic":"b","event":"none","data":null,"seq":7002}',
    ]


@pytest.mark.spec("WIRE-25", "WIRE-28")
async def test_an_unstamped_publish_has_no_number_and_takes_none() -> None:
    core = Core()
    peer = core.connect("a")
    for seq in (True, False, True):
        core.publisher.publish(event("a", seq=seq))
    assert [number for *_, number in core.events(peer)] == [1, None, 2]
    assert "seq" not in core.frames(peer)[1]


async def test_a_given_number_is_sent_as_it_is_and_later_ones_follow_it() -> None:
    core = Core()
    peer = core.connect("a")
    for seq in (41, True, 12, True):
        core.publisher.publish(event("a", seq=seq))
    assert [number for *_, number in core.events(peer)] == [41, 42, 12, 43]


@pytest.mark.parametrize("seq", [0, -1, 1.5, "1", None])
def test_a_number_that_cannot_be_is_refused(seq: Any) -> None:
    with pytest.raises(ValueError, match="seq: must be True, False or an integer >= 1"):
        make_event("a", "e", 1, seq, 0)


@pytest.mark.spec("WIRE-27", "PLAT-50")
@pytest.mark.parametrize("bad", ['a"b', "a\\b", "a\nb", "\x00", "", "x" * 257, "\ud800", None, 7])
def test_names_that_cannot_travel_are_refused_at_the_publish(bad: Any) -> None:
    with pytest.raises(ValueError, match="topic"):
        make_event(bad, "e", 1, True, 0)
    with pytest.raises(ValueError, match="event"):
        make_event("a", bad, 1, True, 0)


def test_data_without_a_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        make_event("a", "e", object(), True, 0)


@pytest.mark.spec("WIRE-22")
def test_an_envelope_that_clients_would_drop_is_refused() -> None:
    with pytest.raises(PayloadTooLarge, match=r"'e' on 'a' .* clients drop frames above 1000"):
        make_event("a", "e", "x" * 1000, True, 1000)
    assert make_event("a", "e", "x" * 1000, True, 0).data


@pytest.mark.spec("WIRE-22")
@pytest.mark.parametrize("digits", [1, 16])
async def test_what_is_not_refused_fits_with_any_number(digits: int) -> None:
    limit, base = 300, 10 ** (digits - 1)
    core = Core(base=base, max_frame=limit)
    peer = core.connect("a")
    size = next(n for n in range(limit, 0, -1) if _accepted("x" * n, limit))
    core.publisher.publish(make_event("a", "e", "x" * size, True, limit))
    assert limit - 40 < len(core.texts(peer)[0]) <= limit


def _accepted(data: str, limit: int) -> bool:
    try:
        make_event("a", "e", data, True, limit)
    except PayloadTooLarge:
        return False
    return True


async def test_nobody_subscribed_is_told_and_still_numbered() -> None:
    core = Core()
    assert core.publisher.publish(event("a")) is False
    peer = core.connect("a")
    assert core.publisher.publish(event("a")) is True
    assert core.events(peer) == [("a", "e", 1, 2)]


@pytest.mark.spec("WIRE-30", "PLAT-58")
async def test_only_peers_that_announced_batch_get_batch_frames() -> None:
    core = Core()
    able, plain = core.connect("a", caps=["batch"]), core.connect("a")
    core.publisher.publish_many([event("a", n) for n in range(3)])
    assert [frame.get("type") for frame in core.frames(able)] == ["batch"]
    assert list(core.frames(able)[0]) == ["type", "events"]
    assert [frame.get("type") for frame in core.frames(plain)] == [None] * 3
    assert core.events(able) == core.events(plain) == [("a", "e", n, n + 1) for n in range(3)]


@pytest.mark.spec("WIRE-31", "PLAT-58", "PLAT-61")
async def test_each_peer_gets_the_events_of_its_topics_in_order() -> None:
    core = Core()
    both, one, lonely, none = (
        core.connect("a", "b", caps=["batch"]),
        core.connect("a", caps=["batch"]),
        core.connect("b", caps=["batch"]),
        core.connect("c", caps=["batch"]),
    )
    core.publisher.publish_many([event("a", 1), event("b", 2), event("a", 3)])
    assert [data for _, _, data, _ in core.events(both)] == [1, 2, 3]
    assert [data for _, _, data, _ in core.events(one)] == [1, 3]
    assert core.frames(lonely) == [{"topic": "b", "event": "e", "data": 2, "seq": 1}]
    assert core.frames(none) == []


@pytest.mark.spec("PLAT-52")
async def test_data_is_encoded_once_however_many_peers_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Any] = []
    encode = jsoncodec.encode
    monkeypatch.setattr(jsoncodec, "encode", lambda value: encoded.append(value) or encode(value))
    core = Core()
    peers = [core.connect("a") for _ in range(20)]
    core.platform.publish("a", "e", {"n": 1})
    assert all(len(core.texts(peer)) == 1 for peer in peers)
    assert encoded == [{"n": 1}]


async def test_peers_with_the_same_events_share_one_frame() -> None:
    core = Core()
    peers = [core.connect("a", caps=["batch"]) for _ in range(3)]
    written = []
    for peer in peers:
        core.sink(peer).write = lambda frames: written.extend(frames)
    core.publisher.publish_many([event("a", 1), event("a", 2)])
    core.outbox.flush()
    assert len(written) == 3
    assert len({id(frame) for frame in written}) == 1


async def test_a_single_event_is_a_bare_envelope() -> None:
    core = Core()
    peer = core.connect("a", caps=["batch"])
    core.publisher.publish_many([event("a")])
    core.publisher.publish_many([])
    assert core.frames(peer) == [{"topic": "a", "event": "e", "data": 1, "seq": 1}]


@pytest.mark.spec("PLAT-58")
@pytest.mark.parametrize("slices", [32, 33])
async def test_beyond_32_different_slices_peers_get_single_envelopes(slices: int) -> None:
    core = Core()
    events = [event("all", 0)]
    peers = []
    for n in range(slices):
        peers.append(core.connect("all", f"t{n}", caps=["batch"]))
        events.append(event(f"t{n}", n))
    core.publisher.publish_many(events)
    kinds = ["batch" if frame.get("type") == "batch" else "single" for p in peers for frame in core.frames(p)]
    assert kinds == (["batch"] * slices if slices == 32 else ["single"] * 2 * slices)
    for n, peer in enumerate(peers):
        assert [data for _, _, data, _ in core.events(peer)] == [0, n]


async def test_more_events_than_a_batch_may_hold_are_split() -> None:
    core = Core()
    peer = core.connect("a", caps=["batch"])
    with capacity.capacity_override(MAX_BATCH_EVENTS=3):
        core.publisher.publish_many([event("a", n) for n in range(7)])
    assert [len(frame.get("events", "x")) for frame in core.frames(peer)] == [3, 3, 1]
    assert core.events(peer) == [("a", "e", n, n + 1) for n in range(7)]


@pytest.mark.spec("WIRE-22")
@pytest.mark.parametrize("limit", range(200, 330, 3))
async def test_no_batch_frame_is_larger_than_a_client_accepts(limit: int) -> None:
    core = Core(max_frame=limit)
    peer = core.connect("a", caps=["batch"])
    core.publisher.publish_many([event("a", "x" * 40) for _ in range(9)])
    texts = core.texts(peer)
    assert 1 < len(texts) < 9
    assert max(len(text) for text in texts) <= limit
    assert [number for *_, number in core.events(peer)] == list(range(1, 10))


async def test_a_batch_of_one_after_a_split_is_a_bare_envelope() -> None:
    core = Core(max_frame=300)
    peer = core.connect("a", caps=["batch"])
    core.publisher.publish_many([event("a", "x" * 220), event("a", "y" * 220)])
    assert [frame.get("type") for frame in core.frames(peer)] == [None, None]


async def test_held_peers_get_the_events_later_and_count_as_subscribers() -> None:
    core = Core()
    held, free = core.connect("a", caps=["batch"]), core.connect("a", caps=["batch"])
    hold = core.subscriptions.hold(held, "a")
    core.publisher.publish_many([event("a", 1), event("a", 2)])
    assert core.publisher.publish(event("a", 3)) is True
    core.subscriptions.remove(free, "a")
    assert core.publisher.publish(event("a", 4)) is True
    assert core.events(held) == []
    core.subscriptions.release(held, "a", hold)
    assert [data for _, _, data, _ in core.events(held)] == [1, 2, 3, 4]
    assert [data for _, _, data, _ in core.events(free)] == [1, 2, 3]


async def test_topics_beyond_the_bound_are_published_without_a_number() -> None:
    core = Core()
    peer = core.connect("a", "b")
    with capacity.capacity_override(MAX_TOPIC_SEQS=1):
        for topic in ("a", "b", "a"):
            core.publisher.publish(event(topic))
    assert [number for *_, number in core.events(peer)] == [1, None, 2]
    assert "seq" not in json.loads(core.texts(peer)[1])
