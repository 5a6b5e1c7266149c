"""Whatever goes out in one turn of the loop leaves each connection in one ordered write."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import pytest

from runtime.core.publisher import make_event
from runtime.core.sink import Frame
from tests.server.peers import turns
from tests.unit.core.parts import Core


async def test_everything_of_one_turn_is_one_write_in_the_order_it_was_made() -> None:
    core = Core()
    peer = core.connect("a")
    peer.write_control(b'"ack"')
    core.platform.publish("a", "e", 1)
    peer.send('"raw"')
    core.platform.send(peer, "x", "direct")
    core.platform.publish("a", "e", 2)
    assert core.sink(peer).writes == []
    await turns(1)
    assert core.sink(peer).writes == [
        [
            '"ack"',
            '{"topic":"a","event":"e","data":1,"seq":1}',
            '"raw"',
            '{"topic":"x","event":"direct","data":null}',
            '{"topic":"a","event":"e","data":2,"seq":2}',
        ]
    ]


async def test_the_next_turn_is_the_next_write() -> None:
    core = Core()
    peer = core.connect()
    for text in ("1", "2"):
        peer.send(text)
        await turns(1)
    assert core.sink(peer).writes == [["1"], ["2"]]
    assert peer.messages_out == 2


async def test_flushing_in_the_middle_of_a_turn_keeps_the_order() -> None:
    core = Core()
    one, two = core.connect(), core.connect()
    one.send("1")
    two.send("2")
    core.outbox.flush()
    core.outbox.flush()
    one.send("3")
    await turns(2)
    assert core.sink(one).writes == [["1"], ["3"]]
    assert core.sink(two).writes == [["2"]]


async def test_a_frame_is_decoded_once_for_all_peers() -> None:
    frame = Frame('"Käse"'.encode())
    assert frame.text is frame.text
    assert (frame.text, frame.size) == ('"Käse"', 7)
    assert repr(Frame(b"x" * 200)) == f"Frame({b'x' * 80!r})"


async def test_what_is_published_while_the_turn_is_written_keeps_its_place() -> None:
    """A log handler may publish: what goes wrong while a turn is written is logged in the middle of that."""
    core = Core()
    peer, broken = core.connect("a", "b", "c", joins=True), core.connect("a", joins=True)

    def fail(data: bytes) -> None:
        core.platform.publish("c", "told", "first")
        raise OSError("the transport is gone")

    broken.transmit = fail
    core.platform.publish("a", "e", 1)
    core.platform.publish("a", "e", 2)
    core.outbox.flush()
    core.platform.publish("b", "e", "second")
    peer.send("third")
    assert [json.loads(text)["data"] for text in core.texts(peer)[:-1]] == [1, 2, "first", "second"]
    assert core.texts(peer)[-1] == "third"


@pytest.mark.parametrize("misuse", ["publish", "send", "turn"])
async def test_a_thread_that_uses_the_platform_of_the_loop_is_told_and_silences_nobody(misuse: str) -> None:
    core = Core()
    peer = core.connect("t")
    event = make_event("t", "wrong", None, False, 0)
    calls: dict[str, Callable[[], object]] = {
        "publish": lambda: core.platform.publish("t", "wrong", seq=False),
        "send": lambda: peer.send("wrong"),
        "turn": lambda: core.turn.add(event),
    }
    with pytest.raises(RuntimeError, match=r"platform\.threadsafe"):
        await asyncio.to_thread(calls[misuse])
    assert core.events(peer) == []
    core.turn.add(make_event("t", "by turn", None, True, 0))
    await turns()
    core.platform.publish("t", "published")
    await turns()
    peer.send('{"topic":"x","event":"sent","data":null}')
    await turns()
    told = [json.loads(text)["event"] for text in core.sink(peer).frames]
    assert told == ["by turn", "published", "sent"]


async def test_a_log_handler_that_moves_subscribers_stops_no_write() -> None:
    """A transport that fails is logged in the middle of a fan-out."""
    core = Core()
    peers = [core.connect("a", joins=True) for _ in range(4)]

    class Moves(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            peers[0].unsubscribe("a")
            core.subscriptions.add(core.connect(joins=True), "a")
            core.subscriptions.add(core.connect(joins=True), "a")

    def fail(data: bytes) -> None:
        raise OSError("the transport is gone")

    peers[1].transmit = fail
    handler = Moves()
    logging.getLogger("realtime.outbox").addHandler(handler)
    try:
        core.platform.publish("a", "e", 1)
        core.outbox.flush()
    finally:
        logging.getLogger("realtime.outbox").removeHandler(handler)
    assert [len(core.sink(peer).frames) for peer in peers] == [1, 0, 1, 1]
    assert [core.sink(peer).ended for peer in peers] == [[], ["terminated"], [], []]
