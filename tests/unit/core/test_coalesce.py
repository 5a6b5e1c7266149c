"""The latest value per key for a peer that may be behind. Spec: platform 2.4, wire 2.4."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.core import capacity, coalesce
from runtime.core.connection import Connection
from runtime.core.errors import PayloadTooLarge
from tests.unit.core.parts import Core

LIMIT = 1000


class Counted:
    """Data that counts how often it is encoded."""

    encodings = 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def model_dump(self, mode: str) -> Any:
        type(self).encodings += 1
        return self.value


@pytest.fixture(autouse=True)
def nothing_encoded() -> None:
    Counted.encodings = 0


def slow() -> tuple[Core, Connection]:
    """A core with one peer whose buffer is full."""
    core = Core(max_backpressure=LIMIT)
    peer = core.connect()
    core.sink(peer).buffered = LIMIT
    return core, peer


def send(core: Core, peer: Connection, key: str, data: Any, topic: str = "t") -> None:
    core.platform.send_coalesced(peer, key=key, topic=topic, event="e", data=data)


def drain(core: Core, peer: Connection) -> None:
    core.sink(peer).buffered = 0
    peer.drained()


def values(core: Core, peer: Connection) -> list[Any]:
    return [data for _, event, data, _ in core.events(peer) if event == "e"]


@pytest.mark.spec("WIRE-35", "PLAT-56", "WIRE-25")
async def test_a_peer_that_takes_it_gets_every_value_at_once_and_without_a_number() -> None:
    core = Core()
    peer = core.connect("t")
    send(core, peer, "k", {"x": 1})
    send(core, peer, "k", None)
    assert core.texts(peer) == [
        '{"topic":"t","event":"e","data":{"x":1}}',
        '{"topic":"t","event":"e","data":null}',
    ]
    assert peer.coalesced is None
    assert (peer.messages_out, core.sequence.current("t")) == (2, 0)


@pytest.mark.spec("WIRE-35", "PLAT-56")
async def test_while_a_peer_is_behind_the_newest_value_keeps_the_first_place() -> None:
    core, peer = slow()
    for key, data in (("a", 1), ("b", 2), ("c", 3), ("a", 4), ("b", 5)):
        send(core, peer, key, data)
    assert values(core, peer) == []
    assert core.metrics.get("ws_coalesced_pending") == 3
    drain(core, peer)
    assert values(core, peer) == [4, 5, 3]
    assert peer.coalesced is None
    assert core.metrics.get("ws_coalesced_pending") == 0


@pytest.mark.spec("WIRE-35", "PLAT-56")
async def test_a_frame_that_is_refused_after_all_goes_on_waiting() -> None:
    """The data is an object of the app; what its conversion sends may fill the buffer."""
    core, peer = slow()

    class Chatty:
        def model_dump(self, mode: str) -> Any:
            if not core.sink(peer).buffered:
                core.sink(peer).buffered = LIMIT
            return "at last"

    send(core, peer, "a", Chatty())
    send(core, peer, "b", 2)
    drain(core, peer)
    assert values(core, peer) == []
    assert core.metrics.get("ws_coalesced_pending") == 2
    core.sink(peer).buffered = 1
    peer.drained()
    assert values(core, peer) == ["at last"]
    drain(core, peer)
    assert values(core, peer) == ["at last", 2]


@pytest.mark.spec("PLAT-56", "WIRE-35")
async def test_a_thousand_values_for_one_key_cost_one_encoding() -> None:
    core, peer = slow()
    for n in range(1000):
        send(core, peer, "k", Counted(n))
    assert Counted.encodings == 0
    drain(core, peer)
    assert values(core, peer) == [999]
    assert Counted.encodings == 1


async def test_a_value_that_waits_is_no_lost_frame() -> None:
    core, peer = slow()
    send(core, peer, "k", 1)
    assert (peer.dropped, core.metrics.total("ws_frames_dropped_total")) == (0, 0)
    assert core.sink(peer).watches == 1, "the transport has to say when it has room again"
    drain(core, peer)
    assert [frame["event"] for frame in core.frames(peer)] == ["e"]


@pytest.mark.spec("WIRE-35", "PLAT-56")
async def test_a_frame_that_the_transport_keeps_is_the_last_of_its_round() -> None:
    core, peer = slow()
    sink = core.sink(peer)
    for n in range(4):
        send(core, peer, f"k{n}", n)
    sink.buffered = 10  # has room, and is not empty
    watches = sink.watches
    peer.drained()
    assert values(core, peer) == [0]
    assert len(peer.coalesced) == 3
    assert sink.watches == watches + 1
    peer.drained()
    assert values(core, peer) == [0, 1]
    drain(core, peer)
    assert values(core, peer) == [0, 1, 2, 3]


async def test_each_send_tries_what_waits_before_it() -> None:
    core, peer = slow()
    send(core, peer, "a", 1)
    send(core, peer, "b", 2)
    core.sink(peer).buffered = 0
    send(core, peer, "c", 3)
    assert values(core, peer) == [1, 2, 3]


async def test_a_pump_stops_when_the_peer_is_behind_again() -> None:
    core, peer = slow()
    sink = core.sink(peer)
    for n in range(10):
        send(core, peer, f"k{n}", "x" * 300)
    sink.is_stuck = True
    drain(core, peer)
    left = len(peer.coalesced)
    assert 0 < left < 10
    assert len(values(core, peer)) == 10 - left
    assert core.metrics.total("ws_frames_dropped_total") == 0
    sink.is_stuck = False
    drain(core, peer)
    assert len(values(core, peer)) == 10


@pytest.mark.spec("PLAT-56", "WIRE-35")
async def test_at_the_bound_a_new_key_evicts_the_oldest() -> None:
    core, peer = slow()
    before = capacity.events["MAX_COALESCED_KEYS_PER_CONNECTION", "evict"]
    with capacity.capacity_override(MAX_COALESCED_KEYS_PER_CONNECTION=2):
        for key, data in (("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)):
            send(core, peer, key, data)
    assert core.metrics.get("ws_coalesced_evicted_total") == 1
    assert capacity.events["MAX_COALESCED_KEYS_PER_CONNECTION", "evict"] == before + 1
    assert core.metrics.get("ws_coalesced_pending") == 2
    drain(core, peer)
    assert values(core, peer) == [5, 4]


async def test_a_slow_peer_does_not_hold_up_the_others() -> None:
    core, peer = slow()
    quick = core.connect()
    send(core, peer, "k", 1)
    send(core, quick, "k", 2)
    assert values(core, quick) == [2]


@pytest.mark.parametrize("key", ["", None, 7, b"k"])
async def test_a_key_is_a_text(key: Any) -> None:
    core = Core()
    with pytest.raises(ValueError, match="key: must be a text that is not empty"):
        send(core, core.connect(), key, 1)


@pytest.mark.spec("WIRE-27")
async def test_bad_names_raise_at_the_call_also_for_a_peer_that_is_behind() -> None:
    core, peer = slow()
    with pytest.raises(ValueError, match="topic"):
        core.platform.send_coalesced(peer, key="k", topic='a"', event="e")
    with pytest.raises(ValueError, match="event"):
        core.platform.send_coalesced(peer, key="k", topic="a", event="")
    assert peer.coalesced is None


async def test_data_that_cannot_be_sent_raises_where_it_would_leave_at_once() -> None:
    core = Core(max_frame=400)
    peer = core.connect()
    with pytest.raises(TypeError, match="no JSON form"):
        send(core, peer, "k", object())
    with pytest.raises(PayloadTooLarge):
        send(core, peer, "k", "x" * 500)
    send(core, peer, "k", 1)
    assert values(core, peer) == [1]


async def test_data_that_cannot_be_sent_later_is_logged_and_holds_up_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = Core(max_backpressure=LIMIT, max_frame=400)
    peer = core.connect()
    core.sink(peer).buffered = LIMIT
    for key, data in (("a", object()), ("b", 1), ("c", "x" * 500), ("d", 2)):
        send(core, peer, key, data)
    drain(core, peer)
    assert values(core, peer) == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "send_coalesced: the value of key 'a' on 't' is left out",
        "send_coalesced: the value of key 'c' on 't' is left out",
    ]
    assert core.metrics.get("ws_frames_dropped_total", "coalesced") == 2
    assert core.metrics.get("ws_coalesced_pending") == 0


async def test_a_value_that_is_replaced_while_it_is_encoded_gives_way() -> None:
    core, peer = slow()

    class Restless:
        def model_dump(self, mode: str) -> Any:
            coalesced.put("k", "t", "e", "newer")
            return "older"

    send(core, peer, "k", Restless())
    coalesced = peer.coalesced
    drain(core, peer)
    assert values(core, peer) == ["newer"]


async def test_a_closed_peer_gets_nothing_and_what_waited_is_forgotten() -> None:
    core, peer = slow()
    send(core, peer, "a", 1)
    send(core, peer, "b", 2)
    peer.mark_closed("gone")
    coalesce.forget(peer)
    coalesce.forget(peer)
    send(core, peer, "c", 3)
    assert peer.coalesced is None
    assert core.metrics.get("ws_coalesced_pending") == 0
    assert core.sink(peer).frames == []


async def test_it_comes_behind_what_live_functions_published_before() -> None:
    from runtime.core.publisher import make_event

    core = Core()
    peer = core.connect("t")
    core.turn.add(make_event("t", "first", None, True, 0))
    send(core, peer, "k", 1)
    assert [event for _, event, _, _ in core.events(peer)] == ["first", "e"]


async def test_data_is_read_when_it_leaves() -> None:
    class Position(msgspec.Struct):
        x: int

    core, peer = slow()
    position = Position(1)
    send(core, peer, "k", position)
    position.x = 2
    drain(core, peer)
    assert values(core, peer) == [{"x": 2}]
