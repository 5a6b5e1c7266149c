"""What one connection may have running and waiting, in frames and in bytes, and that nothing of it stays.

Spec: wire 3.4 and 10; platform 1.7 and 1.8.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from typing import Any

import pytest

from runtime.core import capacity
from runtime.server.inbound import Inbound
from runtime.server.inflight import LIGHT
from tests.server.peers import Peer, turns
from tests.unit.server.runtimes import BareFactory, Gates, answers, batch, subscribe

SIZE = 100_000


def large(name: str) -> str:
    return f"{name} " + "x" * (SIZE - len(name) - 1)


async def gated(bare: BareFactory, gates: Gates, **capacity: int) -> Any:
    """Return a runtime whose `message` hook waits at the gate that its frame names."""

    async def message(data: str) -> None:
        await gates.pass_(data.split(" ")[0])

    return await bare({"message": message}, **capacity)


@pytest.mark.spec("PLAT-24")
async def test_large_frames_in_flight_are_bounded_in_bytes(bare: BareFactory) -> None:
    gates = Gates()
    one = await gated(bare, gates, MAX_INFLIGHT_BYTES=2 * SIZE)
    before = capacity.events["MAX_INFLIGHT_BYTES", "reject"]
    peer, other = one.connect(), one.connect()
    for name in ("a", "b", "c"):
        peer.send(large(name))
    peer.send("small")
    other.send(large("other"))
    peer.send(json.dumps({"rpc": "no/thing", "id": "q", "args": ["x" * SIZE]}))
    await turns(10)
    assert gates.log == ["a begins", "b begins", "small begins", "other begins"]
    assert peer.parsed()[-1]["data"]["code"] == "OVERLOADED"
    assert one.runtime.metrics.get("rpc_calls_dropped_total", "overloaded") == 1
    assert capacity.events["MAX_INFLIGHT_BYTES", "reject"] == before + 2
    await gates.open("b")
    peer.send(large("d"))
    await turns(10)
    assert gates.log[-1] == "d begins"
    for name in ("a", "d", "small", "other"):
        await gates.open(name)


async def test_a_frame_that_is_larger_than_all_may_be_runs_alone(bare: BareFactory) -> None:
    gates = Gates()
    one = await gated(bare, gates, MAX_INFLIGHT_BYTES=SIZE // 2)
    peer = one.connect()
    for name in ("a", "b"):
        peer.send(large(name))
    await turns()
    assert gates.log == ["a begins"]
    await gates.open("a")
    peer.send(large("c"))
    await turns()
    assert gates.log[-1] == "c begins"
    await gates.open("c")


async def test_a_large_batch_counts_its_bytes_once_and_gives_them_back(bare: BareFactory) -> None:
    one = await bare(MAX_INFLIGHT_BYTES=SIZE + LIGHT)
    peer = one.connect()
    for sequential in (False, True, False):
        calls = [{"rpc": "no/thing", "id": f"{n}", "args": ["x" * (SIZE // 3)]} for n in range(3)]
        peer.send(json.dumps({"batch": calls, "sequential": sequential}))
        await turns(20)
        codes = [inner["code"] for inner in peer.parsed()[-1]["data"]["batch"]]
        assert codes == ["NOT_FOUND"] * 3
    assert one.runtime.live.calls.running == 0
    assert peer.inbound._slots.used == peer.inbound._slots.weight == 0


@pytest.mark.spec("PLAT-24", "WIRE-76")
async def test_calls_beyond_the_bound_are_refused_and_silent_ones_counted(bare: BareFactory) -> None:
    gates = Gates()
    one = await gated(bare, gates, MAX_INFLIGHT_CALLS=2)
    peer = one.connect()
    for name in ("a", "b"):
        peer.send(name)
    peer.send({"rpc": "no/thing", "id": "q", "args": []})
    peer.send({"rpc": "no/thing", "args": []})
    await turns()
    assert peer.parsed()[-1]["data"] == {
        "id": "q",
        "ok": False,
        "code": "OVERLOADED",
        "error": "Too many calls in flight",
    }
    assert one.runtime.metrics.get("rpc_calls_dropped_total", "overloaded") == 1
    peer.send(subscribe("t"))
    await turns()
    assert answers(peer)[-1] == ("+", "t", 1)
    await gates.open("a")
    peer.send({"rpc": "no/thing", "id": "r", "args": []})
    await turns()
    assert peer.parsed()[-1]["data"]["code"] == "NOT_FOUND"
    await gates.open("b")


@pytest.mark.spec("PLAT-28")
@pytest.mark.parametrize("order", ["server first", "client first"])
async def test_a_race_for_one_topic_is_counted_once_and_acknowledged_once(
    bare: BareFactory, order: str
) -> None:
    gates, asked = Gates(), []

    async def on_subscribe(topic: str) -> None:
        asked.append(topic)
        await gates.pass_(f"{topic}{len(asked)}")

    one = await bare({"subscribe": on_subscribe})
    peer = one.connect()
    peer.send(subscribe("t"))
    await turns()
    joining = asyncio.ensure_future(one.runtime.platform.subscribe(peer.connection, "t"))
    await turns()
    assert asked == ["t", "t"]
    for gate in ("t2", "t1") if order == "server first" else ("t1", "t2"):
        await gates.open(gate)
    assert await joining is None
    assert answers(peer) == [("+", "t", 1)]
    assert (one.runtime.subscriptions.count("t"), peer.connection.subscriptions) == (1, {"t"})


@pytest.mark.spec("PLAT-28")
@pytest.mark.parametrize("frame", [subscribe("t"), batch("t", "u")])
async def test_a_close_during_the_hook_leaves_nothing_subscribed(bare: BareFactory, frame: Any) -> None:
    gates, left = Gates(), []

    async def on_subscribe(topic: str) -> None:
        await gates.pass_(topic)

    one = await bare({"subscribe": on_subscribe, "unsubscribe": lambda topic: left.append(topic)})
    peer = one.connect()
    peer.send(frame)
    peer.send(subscribe("behind"))
    peer.send({"type": "unsubscribe", "topic": "t"})
    await turns()
    await peer.inbound.closed(1006, "")
    for topic in ("t", "u", "behind"):
        await gates.open(topic)
    assert one.runtime.subscriptions.total == one.runtime.subscriptions.topics == 0
    assert answers(peer) == []
    assert ("behind begins" in gates.log, left) == (False, [])
    assert one.runtime.live.calls.running == 0


@pytest.mark.spec("PLAT-32")
@pytest.mark.parametrize("outcome", ["returns", "raises", "hangs"])
async def test_resumed_is_sent_when_the_hook_has_ended_and_comes_last(
    bare: BareFactory, outcome: str
) -> None:
    async def on_resume(ws: Any) -> None:
        await asyncio.sleep(0)
        ws.send_event("__replay:a", "msg", {"n": 1})
        if outcome == "raises":
            raise RuntimeError("broken hook")
        if outcome == "hangs":
            await asyncio.Event().wait()

    one = await bare({"resume": on_resume}, websocket={"hook_timeout": 0.02})
    peer = one.connect()
    peer.send({"type": "resume", "sessionId": "old", "lastSeenSeqs": {"a": 3}})
    peer.send(subscribe("a"))
    await peer.wait(lambda frame: frame.get("type") == "subscribed")
    assert answers(peer) == [("__replay:a", "msg"), "resumed", ("+", "a", 1)]


async def test_a_control_frame_that_cannot_be_handled_ends_nothing(
    bare: BareFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = await bare()
    peer = one.connect()

    class Broken:
        gate = one.runtime.membership.gate

        @staticmethod
        def grant(*args: Any) -> Any:
            raise RuntimeError("unexpected")

    monkeypatch.setattr(one.runtime, "membership", Broken)
    peer.send(subscribe("a"))
    monkeypatch.undo()
    peer.send(subscribe("b"))
    await turns()
    assert answers(peer) == [("+", "b", 1)]
    assert "could not be handled" in caplog.text


@pytest.mark.spec("WIRE-21")
async def test_bytes_that_the_app_sends_leave_as_text(bare: BareFactory) -> None:
    peer = (await bare()).connect()
    peer.connection.send("täglich".encode())
    await turns()
    assert peer.frames[1:] == ["täglich"]
    with pytest.raises(ValueError, match="utf-8"):
        peer.connection.send(b"\xff\xfe")


CYCLES = 10_000
SPARE = 64 * 1024  # bytes that caches and dict sizes may differ by, far below one byte per cycle and object


def cycle(one: Any, n: int) -> Peer:
    """Connect, take topics, send a bit of everything."""
    peer = one.connect({"id": n})
    peer.send('{"type":"hello","caps":["batch"]}')
    peer.send(f'{{"type":"subscribe","topic":"t{n}","ref":1}}')
    peer.send('{"type":"subscribe","topic":"all","ref":2}')
    peer.send("of nobody")
    peer.connection.stalled()
    return peer


@pytest.mark.spec("PLAT-160")
async def test_ten_thousand_connections_leave_nothing_behind(bare: BareFactory) -> None:
    closed: list[int] = [0]

    def on_close() -> None:
        closed[0] += 1

    one = await bare({"close": on_close})
    runtime = one.runtime

    async def run(count: int) -> None:
        for n in range(count):
            peer = cycle(one, n)
            await peer.inbound.closed(1000, "")
        await turns()

    def state() -> Any:
        counts = runtime.subscriptions.total, runtime.subscriptions.topics, len(runtime.connections)
        live = (runtime.live.calls.running, runtime.tasks.running, one.clock.pending)
        inbounds = sum(isinstance(thing, Inbound) for thing in gc.get_objects())
        return counts, live, inbounds, runtime.metrics.get("ws_connections"), len(runtime.inbounds)

    await run(200)
    gc.collect()
    before = state()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        await run(CYCLES)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert state() == before
    assert closed == [CYCLES + 200]
    assert grown < SPARE
