"""A connection: backpressure, closing, who it is. Spec: platform 2.1."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.connection import MAX_CLOSE_REASON_BYTES, SendResult, clip_reason
from runtime.core.errors import PayloadTooLarge
from runtime.core.signal import Signal
from runtime.core.sink import Frame
from tests.unit.core.parts import Core

FRAME = Frame(b"x" * 10)


@pytest.mark.spec("WIRE-23")
async def test_a_peer_that_is_too_far_behind_misses_frames_alone_and_they_are_counted() -> None:
    core = Core(max_backpressure=25)
    slow, quick = core.connect("a"), core.connect("a")
    core.sink(slow).buffered = 25
    assert core.platform.publish("a", "e") is True
    assert core.events(slow) == []
    assert len(core.events(quick)) == 1
    assert (slow.dropped, quick.dropped) == (1, 0)
    assert core.metrics.get("ws_frames_dropped_total", "publish") == 1
    core.sink(slow).buffered = 24
    core.platform.publish("a", "e")
    assert [number for *_, number in core.events(slow)] == [2]


@pytest.mark.spec("WIRE-23", "PLAT-45")
@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("options", [{}, {"seq": False}, {"volatile": True}, {"seq": 41}])
async def test_every_kind_of_publish_is_dropped_for_a_peer_that_is_too_far_behind(
    joins: bool, options: dict[str, Any]
) -> None:
    core = Core(max_backpressure=100)
    slow, quick = core.connect("a", joins=joins), core.connect("a", joins=joins)
    core.sink(slow).buffered = 100
    slow.stalled()
    core.platform.publish("a", "e", **options)
    core.platform.publish_batched([{"topic": "a", "event": "e", **options}] * 2)  # type: ignore[typeddict-item]
    assert core.events(slow) == []
    assert len(core.events(quick)) == 3
    assert slow.dropped == core.metrics.get("ws_frames_dropped_total", "publish") == 3


@pytest.mark.spec("PLAT-44")
async def test_what_waits_for_this_turn_counts_as_buffered() -> None:
    core = Core(max_backpressure=25)
    peer = core.connect()
    core.sink(peer).is_stuck = True
    results = [peer.write(FRAME) for _ in range(4)]
    assert results == [SendResult.SENT, SendResult.SENT, SendResult.SENT, SendResult.DROPPED]
    assert peer.buffered_amount == 30
    peer.flush()
    assert peer.buffered_amount == 30
    core.sink(peer).buffered = 5
    assert peer.write(FRAME) is SendResult.QUEUED
    peer.flush()
    core.sink(peer).buffered = 5
    assert peer.buffered_amount == 5


async def test_control_frames_are_let_through_up_to_twice_the_limit() -> None:
    core = Core(max_backpressure=25)
    peer = core.connect()
    core.sink(peer).buffered = 49
    assert peer.write(FRAME) is SendResult.DROPPED
    assert peer.write_control(b"{}") is SendResult.QUEUED
    core.sink(peer).buffered = 50
    assert peer.write_control(b"{}") is SendResult.DROPPED
    assert core.metrics.get("ws_frames_dropped_total", "control") == 1
    assert peer.dropped == 2


@pytest.mark.spec("WIRE-25")
async def test_direct_sends_take_text_bytes_and_envelopes_without_a_number() -> None:
    core = Core()
    peer = core.connect()
    peer.send("täglich")
    peer.send("täglich".encode())
    peer.send(bytearray(b"raw"))
    peer.send_event("t", "e", {"a": 1})
    assert core.texts(peer) == ["täglich", "täglich", "raw", '{"topic":"t","event":"e","data":{"a":1}}']


@pytest.mark.spec("PLAT-44")
async def test_closing_comes_behind_everything_that_was_sent() -> None:
    core = Core()
    peer = core.connect()
    peer.send("last")
    await peer.close(4000, "bye")
    assert core.sink(peer).writes == [["last"]]
    assert core.sink(peer).ended == [(4000, "bye")]
    assert (peer.closed, repr(peer)) == (True, "<Connection c0 closed>")
    assert peer.send("more") is SendResult.DROPPED
    assert peer.buffered_amount == 0
    await peer.close()
    peer.terminate()
    assert core.sink(peer).ended == [(4000, "bye")]


@pytest.mark.spec("PLAT-48")
@pytest.mark.parametrize("code", [0, 999, 1002, 1005, 1006, 1007, 1014, 2999, 5000])
async def test_codes_that_may_not_be_sent_are_refused(code: int) -> None:
    peer = Core().connect()
    with pytest.raises(ValueError, match=f"code: {code} may not be sent"):
        await peer.close(code)
    assert peer.closed is False


@pytest.mark.spec("PLAT-48")
@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4999])
async def test_codes_that_may_be_sent(code: int) -> None:
    core = Core()
    peer = core.connect()
    await peer.close(code)
    assert core.sink(peer).ended == [(code, "")]


async def test_terminating_forgets_what_waits() -> None:
    core = Core()
    peer = core.connect()
    peer.send("lost")
    peer.terminate()
    core.outbox.flush()
    assert core.sink(peer).writes == []
    assert core.sink(peer).ended == ["terminated"]
    assert peer.closed


async def test_a_transport_that_is_gone_ends_writing_and_tells_running_calls() -> None:
    core = Core()
    peer = core.connect()
    waiting = asyncio.ensure_future(peer.signal.wait())
    await asyncio.sleep(0)
    peer.send("lost")
    peer.mark_closed("went away")
    core.outbox.flush()
    assert core.sink(peer).writes == []
    assert core.sink(peer).ended == []
    assert await waiting == "went away"
    assert (peer.signal.aborted, await peer.signal.wait()) == (True, "went away")


async def test_a_signal_fires_once() -> None:
    signal = Signal()
    assert signal.aborted is False
    signal.abort("first")
    signal.abort("second")
    assert (signal.reason, signal.aborted) == ("first", True)


@pytest.mark.spec("PLAT-48")
@pytest.mark.parametrize(
    ("reason", "clipped"),
    [
        ("", ""),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("ä" * 62, "ä" * 61),
        ("x" + "\N{GRINNING FACE}" * 31, "x" + "\N{GRINNING FACE}" * 30),
    ],
)
def test_a_reason_is_clipped_at_a_character(reason: str, clipped: str) -> None:
    assert clip_reason(reason) == clipped
    assert len(clipped.encode()) <= MAX_CLOSE_REASON_BYTES


@pytest.mark.spec("PLAT-47")
async def test_raw_subscriptions_ask_nobody_and_are_no_granted_ones() -> None:
    core = Core()
    core.gate(subscribe=lambda connection, topic: False)
    peer = core.connect()
    with capacity.capacity_override(MAX_SUBSCRIPTIONS_PER_CONNECTION=1):
        assert peer.subscribe("first") is True
        assert peer.subscribe("__raw") is True
    assert peer.subscribe("__raw") is False
    assert peer.is_subscribed("__raw")
    assert peer.subscriptions == frozenset()
    assert peer.unsubscribe("__raw") is True
    assert peer.unsubscribe("__raw") is False
    peer.mark_closed("gone")
    assert peer.subscribe("__raw") is False


async def test_somebody_without_a_name_is_no_user() -> None:
    core = Core()
    named, nameless = core.connect(user={"id": 1}), core.connect(user={"remote_address": "x"}, has_user=False)
    assert named.user == {"id": 1}
    assert nameless.user is None
    assert nameless.user_data == {"remote_address": "x"}


async def test_the_platform_of_a_connection_carries_its_request_id() -> None:
    core = Core()
    peer = core.connect("a", request_id="r1")
    assert (peer.platform.request_id, core.platform.request_id) == ("r1", "worker-0")
    assert peer.platform.publish("a", "e") is True


@pytest.mark.parametrize("data", [b"\xff", "\ud800"])
async def test_a_frame_that_is_no_text_is_refused_where_it_is_sent(data: str | bytes) -> None:
    core = Core()
    peer, other = core.connect(), core.connect()
    with pytest.raises(ValueError, match="codec"):
        peer.send(data)
    other.send("unharmed")
    peer.send("fine")
    assert core.texts(peer) == ["fine"]
    assert core.texts(other) == ["unharmed"]


@pytest.mark.spec("PLAT-48")
@pytest.mark.parametrize("reason", ["bye \ud800", "\udfff" * 200])
async def test_a_reason_that_is_no_text_still_closes(reason: str) -> None:
    core = Core()
    peer = core.connect()
    peer.send("last")
    await peer.close(4000, reason)
    assert core.sink(peer).frames == ["last"]
    ((code, told),) = core.sink(peer).ended
    assert code == 4000
    assert len(told.encode()) <= MAX_CLOSE_REASON_BYTES
    assert told.startswith(("bye ?", "???"))


@pytest.mark.spec("PLAT-48")
@pytest.mark.parametrize("reason", [None, 5, b"bye"])
async def test_a_reason_of_another_type_is_refused_before_anything_ends(reason: Any) -> None:
    core = Core()
    peer = core.connect()
    with pytest.raises(TypeError, match="reason: must be a string"):
        await peer.close(4000, reason)
    assert (peer.closed, core.sink(peer).ended) == (False, [])


@pytest.mark.spec("WIRE-21")
@pytest.mark.parametrize("data", [5, None, [104, 105], True])
async def test_only_text_is_sent(data: Any) -> None:
    core = Core()
    peer = core.connect()
    with pytest.raises(TypeError, match="data: must be str or bytes of UTF-8 text"):
        peer.send(data)
    with pytest.raises(ValueError, match=r"data: .* no UTF-8 text.*base64"):
        peer.send(b"\x89PNG")
    assert core.texts(peer) == []


@pytest.mark.spec("WIRE-22")
async def test_a_raw_frame_that_the_client_would_drop_is_refused() -> None:
    core = Core(max_frame=100)
    peer = core.connect()
    assert peer.send("é" * 100) is SendResult.SENT  # counted as the client counts
    for data in ("x" * 101, b"x" * 101):
        with pytest.raises(PayloadTooLarge, match="101"):
            peer.send(data)
    with pytest.raises(PayloadTooLarge):
        peer.send_event("t", "e", "x" * 101)
    assert core.texts(peer) == ["é" * 100]
    unbounded = Core(max_frame=0)
    other = unbounded.connect()
    other.send("x" * 2_000_000)
    assert len(unbounded.texts(other)[0]) == 2_000_000


@pytest.mark.spec("WIRE-27")
@pytest.mark.parametrize(("topic", "event"), [('a"', "e"), ("a", "\n"), ("", "e"), ("a", "")])
async def test_an_event_for_one_peer_obeys_the_rule_of_names(topic: str, event: str) -> None:
    core = Core()
    peer = core.connect()
    with pytest.raises(ValueError, match="use another name"):
        peer.send_event(topic, event)
    assert core.texts(peer) == []
