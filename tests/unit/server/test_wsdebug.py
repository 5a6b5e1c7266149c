"""`[websocket] ws_debug`: one line per thing that a connection does, with topics and without data."""

from __future__ import annotations

import json
import logging

import pytest

from tests.server.peers import turns
from tests.unit.server.runtimes import BareFactory, batch, subscribe


async def everything(bare: BareFactory, *, debug: bool) -> tuple[str, str]:
    """Do each thing once; return the id of the connection and that of another."""
    one = await bare({"subscribe": lambda topic: topic != "no"}, websocket={"ws_debug": debug})
    peer, other = one.connect(remote_address="10.0.0.7"), one.connect()
    peer.send({"type": "hello", "caps": ["batch", "other"]})
    peer.send(json.dumps({"type": "resume", "sessionId": "s", "lastSeenSeqs": {"a": 1, "b": 2}}))
    peer.send(subscribe("t"))
    peer.send(batch("no", "__x", "bad\nline", 7))
    await turns(10)
    other.connection.subscribe("t")
    platform = one.runtime.platform
    platform.publish("t", "created", {"secret": "hunter2"})
    platform.publish_batched(
        [{"topic": "t", "event": "one", "data": "hunter2"}, {"topic": "u", "event": "two"}]
    )
    peer.send({"type": "unsubscribe", "topic": "t"})
    await turns()
    await one.clock.advance(12)
    await peer.inbound.closed(1001, "secret reason")
    return peer.connection.id, other.connection.id


async def test_each_thing_is_one_line_without_data(
    bare: BareFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "realtime.ws"):
        id, other = await everything(bare, debug=True)
    lines = [record.getMessage() for record in caplog.records if record.name == "realtime.ws"]
    assert [line for line in lines if other not in line and "__realtime" not in line] == [
        f"open {id} from 10.0.0.7",
        f"hello {id} caps=batch",
        f"resume {id} 'a','b'",
        f"subscribe {id} 't'",
        f"subscribe {id} '__x' denied: INVALID_TOPIC",
        f"subscribe {id} 'bad\\nline' denied: INVALID_TOPIC",
        f"subscribe {id} <int> denied: INVALID_TOPIC",
        f"subscribe {id} 'no' denied: FORBIDDEN",
        "publish 't' 'created' to 2",
        "publish 't' 'one' to 2",
        "publish 'u' 'two' to 0",
        f"unsubscribe {id} 't'",
        f"close {id} code=1001 after 12.0 s",
    ]
    assert "hunter2" not in caplog.text


async def test_without_the_setting_nothing_is_logged(
    bare: BareFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "realtime.ws"):
        await everything(bare, debug=False)
    assert [record for record in caplog.records if record.name == "realtime.ws"] == []


async def test_a_line_has_a_bounded_number_of_topics(
    bare: BareFactory, caplog: pytest.LogCaptureFixture
) -> None:
    one = await bare(websocket={"ws_debug": True})
    with caplog.at_level(logging.INFO, "realtime.ws"):
        seqs = {f"t{n}": 1 for n in range(300)}
        one.connect().send(json.dumps({"type": "resume", "sessionId": "s", "lastSeenSeqs": seqs}))
        await turns()
    (line,) = [record.getMessage() for record in caplog.records if "resume" in record.getMessage()]
    assert line.endswith("'t19' and 280 more")
