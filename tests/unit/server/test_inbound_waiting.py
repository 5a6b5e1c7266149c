"""Frames that have to wait, for the `open` hook or for each other: in order, and bounded. Spec: wire 3.4."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.server.peers import turns
from tests.unit.server.runtimes import BareFactory, Gates, answers, batch, subscribe


@pytest.mark.spec("WIRE-55", "PLAT-24")
async def test_control_frames_wait_for_each_other_and_calls_for_nobody(bare: BareFactory) -> None:
    gates = Gates()

    async def resume(session_id: str) -> None:
        await gates.pass_("resume")

    async def on_subscribe(topic: str) -> None:
        await gates.pass_(f"subscribe {topic}")

    async def unsubscribe(topic: str) -> None:
        await gates.pass_(f"unsubscribe {topic}")

    peer = (await bare({"resume": resume, "subscribe": on_subscribe, "unsubscribe": unsubscribe})).connect()
    peer.send({"type": "resume", "sessionId": "s", "lastSeenSeqs": {}})
    peer.send(batch("a"))
    peer.send({"type": "unsubscribe", "topic": "a"})
    peer.send(subscribe("b", 2))
    peer.send({"rpc": "no/thing", "id": "call", "args": []})
    await turns(10)
    assert answers(peer) == [("__rpc", "call")]
    assert gates.log == ["resume begins"]
    for name in ("unsubscribe a", "subscribe b", "subscribe a", "resume"):
        await gates.open(name)
    assert answers(peer)[1:] == ["resumed", ("+", "a", 1), ("+", "b", 2)]
    assert gates.log == [
        f"{name} {what}"
        for name in ("resume", "subscribe a", "unsubscribe a", "subscribe b")
        for what in ("begins", "ends")
    ]
    assert peer.connection.subscriptions == {"b"}


@pytest.mark.spec("PLAT-24")
async def test_too_many_waiting_control_frames_are_denied_or_dropped_and_counted(bare: BareFactory) -> None:
    gates = Gates()

    async def on_subscribe(topic: str) -> None:
        await gates.pass_(topic)

    one = await bare({"subscribe": on_subscribe}, MAX_CONTROL_QUEUE=2)
    peer = one.connect()
    for n in range(3):
        peer.send(subscribe(f"t{n}", n))
        gates.of(f"t{n}")
    peer.send(subscribe("over", 3))
    peer.send(batch("x", 7, ref=4))
    peer.send(subscribe("silent", None))
    peer.send({"type": "unsubscribe", "topic": "t0"})
    await turns(10)
    denied = [("-", "over", 3, "RATE_LIMITED"), ("-", "x", 4, "RATE_LIMITED"), ("-", 7, 4, "RATE_LIMITED")]
    assert answers(peer) == denied
    assert one.runtime.metrics.get("ws_control_dropped_total", "queue") == 4
    for n in range(3):
        await gates.open(f"t{n}")
    assert answers(peer)[3:] == [("+", f"t{n}", n) for n in range(3)]
    peer.send(subscribe("t0", 9))
    await turns(10)
    assert answers(peer)[-1] == ("+", "t0", 9)


async def test_a_hook_that_breaks_in_an_unexpected_way_does_not_stop_the_queue(
    bare: BareFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = await bare({"subscribe": lambda topic: None})
    peer = one.connect()
    grant = one.runtime.membership.grant

    class Broken:
        gate = one.runtime.membership.gate
        precheck = staticmethod(one.runtime.membership.precheck)

        @staticmethod
        def grant(connection: Any, topic: str, reason: Any) -> Any:
            if topic == "boom":
                raise RuntimeError("unexpected")
            return grant(connection, topic, reason)

    monkeypatch.setattr(one.runtime, "membership", Broken)
    for n, topic in enumerate(["a", "boom", "b", "c"]):
        peer.send(subscribe(topic, n))
    await turns(20)
    assert answers(peer) == [("+", "a", 0), ("+", "b", 2), ("+", "c", 3)]
    assert "unexpected" in caplog.text


@pytest.mark.spec("WIRE-56", "PLAT-19")
async def test_frames_during_open_wait_and_keep_their_order(bare: BareFactory) -> None:
    gates = Gates()
    seen: list[Any] = []

    async def on_open(ws: Any) -> None:
        ws.send_event("hello", "first")
        await gates.pass_("open")

    one = await bare({"open": on_open, "message": lambda data: seen.append(data)})
    peer = one.connect(opened=False)
    opening = asyncio.ensure_future(one.runtime.opened(peer.inbound))
    peer.send(subscribe("a", 1))
    peer.send({"rpc": "no/thing", "id": "call", "args": []})
    peer.send("raw")
    peer.send(subscribe("b", 2))
    await turns(10)
    assert answers(peer) == [("hello", "first")]
    await gates.open("open")
    await opening
    await turns(10)
    assert answers(peer) == [("hello", "first"), ("+", "a", 1), ("+", "b", 2), ("__rpc", "call")]
    assert seen == ["raw"]


@pytest.mark.parametrize("bound", [{"MAX_CONTROL_QUEUE": 2}, {"MAX_CONTROL_BYTES": 100}])
async def test_frames_during_open_are_bounded_and_the_others_refused(
    bare: BareFactory, bound: dict[str, int]
) -> None:
    one = await bare(**bound)
    peer = one.connect(opened=False)
    for n in range(4):
        peer.send(subscribe(f"t{n}", n))  # 42 bytes
    peer.send({"type": "hello", "caps": ["batch", "of", "things"]})
    peer.send(f'"{"x" * 60}"')
    peer.send({"rpc": "no/thing", "id": "call", "args": []})
    peer.send({"rpc": "no/thing", "args": [" " * 60]})
    peer.send({"batch": [{"rpc": "no/thing", "id": id, "args": []} for id in ("one", "two")]})
    await turns()
    refused = [frame for frame in peer.parsed() if frame.get("topic") == "__rpc"]
    assert [(frame["event"], frame["data"].get("code")) for frame in refused] == [
        ("call", "OVERLOADED"),
        ("__batch", None),
    ]
    assert [(inner["id"], inner["code"]) for inner in refused[1]["data"]["batch"]] == [
        ("one", "OVERLOADED"),
        ("two", "OVERLOADED"),
    ]
    peer.inbound.opened()
    await turns()
    assert [answer for answer in answers(peer) if answer[0] in "+-"] == [
        ("-", "t2", 2, "RATE_LIMITED"),
        ("-", "t3", 3, "RATE_LIMITED"),
        ("+", "t0", 0),
        ("+", "t1", 1),
    ]
    assert one.runtime.metrics.get("ws_control_dropped_total", "opening") == 4
    assert one.runtime.metrics.get("rpc_calls_dropped_total", "overloaded") == 1
    assert peer.connection.caps == frozenset()


async def test_waiting_control_frames_are_bounded_in_bytes_and_the_bytes_come_back(bare: BareFactory) -> None:
    gates = Gates()

    async def on_subscribe(topic: str) -> None:
        await gates.pass_(topic)

    one = await bare({"subscribe": on_subscribe}, MAX_CONTROL_BYTES=100)
    peer = one.connect()
    for round in ("a", "b"):
        peer.send(subscribe(f"{round}-slow"))
        await turns()
        resume = {"type": "resume", "sessionId": "é" * 20, "lastSeenSeqs": {}}
        peer.send(json.dumps(resume, ensure_ascii=False))  # 96 bytes, 76 characters
        peer.send(subscribe(f"{round}-more"))
        await turns()
        assert answers(peer)[-1] == ("-", f"{round}-more", 1, "RATE_LIMITED")
        await gates.open(f"{round}-slow")
        assert answers(peer)[-1] == "resumed"
    assert one.runtime.metrics.get("ws_control_dropped_total", "queue") == 2


@pytest.mark.spec("PLAT-19")
async def test_an_open_hook_that_fails_closes_and_its_frames_go_nowhere(bare: BareFactory) -> None:
    def on_open() -> None:
        raise RuntimeError("broken hook")

    one = await bare({"open": on_open})
    peer = one.connect(opened=False)
    peer.send(subscribe("a"))
    await one.runtime.opened(peer.inbound)
    await turns()
    assert answers(peer) == []
    assert peer.sink.closed == (1011, "open failed")
    assert one.runtime.metrics.get("hook_errors_total", "open") == 1
