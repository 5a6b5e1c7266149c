"""The publishes of one turn of the loop leave together. Spec: live-api 2.2, wire 2.3."""

from __future__ import annotations

import pytest

from runtime.core.publisher import make_event
from tests.server.peers import turns
from tests.unit.core.parts import Core


def add(core: Core, *data: int) -> None:
    for n in data:
        core.turn.add(make_event("a", "e", n, True, 0))


@pytest.mark.spec("LIVE-12")
async def test_a_turn_is_one_frame_in_order() -> None:
    core = Core()
    peer = core.connect("a", caps=["batch"])
    add(core, 1, 2, 3)
    assert core.texts(peer) == []
    await turns(2)
    assert [len(frame["events"]) for frame in core.frames(peer)] == [3]
    add(core, 4)
    await turns(2)
    assert [data for _, _, data, _ in core.events(peer)] == [1, 2, 3, 4]


async def test_a_flush_before_the_end_of_the_turn_publishes_at_once_and_once() -> None:
    core = Core()
    peer = core.connect("a", caps=["batch"])
    add(core, 1)
    await core.turn.flush_stored()
    peer.send('{"topic":"__rpc","event":"reply","data":null}')
    add(core, 2)
    core.turn.flush()
    core.turn.flush()
    await turns(3)
    assert [(topic, data) for topic, _, data, _ in core.events(peer)] == [("a", 1), ("__rpc", None), ("a", 2)]
