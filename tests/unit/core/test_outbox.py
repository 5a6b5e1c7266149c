"""Whatever goes out in one turn of the loop leaves each connection in one ordered write."""

from __future__ import annotations

import json

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
