"""`open`, `message`, `drain` and `close` of one connection: when each runs, and what has happened by then.

Spec: platform 1.7.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runtime import SendResult
from runtime.core.errors import ConnectionClosed
from tests.server.peers import Peer, turns
from tests.unit.server.runtimes import BareFactory, Gates, answers, subscribe


async def opening(one: Any, peer: Peer) -> asyncio.Task[None]:
    """Begin the `open` hook of a peer that was connected with `opened=False`."""
    task = asyncio.ensure_future(one.runtime.opened(peer.inbound))
    await turns()
    return task


@pytest.mark.spec("PLAT-1")
async def test_without_hooks_everybody_is_let_in_with_empty_data(bare: BareFactory) -> None:
    one = await bare()
    peer = one.connect(remote_address="10.0.0.7")
    assert peer.connection.user is None
    assert peer.connection.user_data == {"remote_address": "10.0.0.7"}
    peer.send(subscribe("anything"))
    await turns()
    assert answers(peer) == [("+", "anything", 1)]


@pytest.mark.spec("PLAT-19", "WIRE-1")
async def test_open_comes_behind_the_welcome_on_a_connection_that_counts(bare: BareFactory) -> None:
    seen: list[Any] = []

    def on_open(ws: Any, platform: Any) -> None:
        seen.append(
            (ws.id, platform.connections, ws.is_subscribed("__realtime"), ws.closed, platform.request_id)
        )
        ws.send("hello")

    one = await bare({"open": on_open})
    peer = one.connect(opened=False, request_id="req-1")
    await (await opening(one, peer))
    await turns()
    assert seen == [(peer.connection.id, 1, True, False, "req-1")]
    assert json.loads(peer.frames[0]) == {"type": "welcome", "sessionId": peer.connection.id}
    assert peer.frames[1:] == ["hello"]


@pytest.mark.spec("PLAT-19")
async def test_an_open_hook_that_takes_too_long_closes_like_one_that_raises(bare: BareFactory) -> None:
    async def on_open() -> None:
        await asyncio.Event().wait()

    one = await bare({"open": on_open}, websocket={"hook_timeout": 0.01})
    peer = one.connect(opened=False)
    peer.send(subscribe("a"))
    await (await opening(one, peer))
    assert peer.sink.closed == (1011, "open failed")
    assert answers(peer) == []
    assert one.runtime.metrics.get("hook_timeouts_total", "open") == 1


async def test_the_close_hook_waits_for_the_open_hook(bare: BareFactory) -> None:
    gates, log = Gates(), []

    async def on_open(ws: Any) -> None:
        await gates.pass_("open")

    one = await bare({"open": on_open, "close": lambda: log.append(list(gates.log))})
    peer = one.connect(opened=False)
    task = await opening(one, peer)
    closing = asyncio.ensure_future(peer.inbound.closed(1006, ""))
    await turns()
    assert peer.connection.closed
    assert log == []
    await gates.open("open")
    await task
    await closing
    assert log == [["open begins", "open ends"]]


async def test_a_connection_whose_open_hook_never_began_ends_all_the_same(bare: BareFactory) -> None:
    closed: list[int] = []
    one = await bare({"close": lambda code: closed.append(code)}, websocket={"hook_timeout": 0.01})
    peer = one.connect(opened=False)
    await peer.inbound.closed(1006, "")
    assert (closed, one.runtime.connections) == ([1006], {})


@pytest.mark.spec("PLAT-22", "PLAT-23")
async def test_control_frames_come_first_then_calls_then_the_message_hook_then_nobody(
    bare: BareFactory,
) -> None:
    seen: list[Any] = []
    hooks = {"message": lambda data, is_binary, msg: seen.append((data, is_binary, msg))}
    frames = [
        '{"type":"hello","caps":[]}',
        '{"type":"subscribe","topic":"a","ref":1}',
        '{"type":"reply","ref":99,"data":1}',
        '{"rpc":"no/thing","id":"c","args":[]}',
        '{"batch":[{"rpc":"no/thing","id":"d","args":[]}]}',
        '{"type":"mine"}',
        "raw ü",
        b"\x07\x08",
    ]
    expected = [
        ('{"type":"mine"}', False, {"type": "mine"}),
        ("raw ü", False, None),
        (b"\x07\x08", True, None),
    ]
    for hooked in (hooks, {}):
        one = await bare(hooked)
        peer = one.connect()
        for frame in frames:
            peer.send(frame)
        await turns(10)
        assert answers(peer) == [("+", "a", 1), ("__rpc", "c"), ("__rpc", "__batch")]
        assert seen == expected
        assert one.runtime.metrics.get("ws_frames_unhandled_total") == (0 if hooked else len(expected))


@pytest.mark.spec("PLAT-20")
async def test_long_control_frames_and_other_first_keys_go_to_the_next_consumer(bare: BareFactory) -> None:
    seen: list[str] = []
    one = await bare({"message": lambda data: seen.append(data)})
    peer = one.connect()
    long = json.dumps({"type": "subscribe", "topic": "long", "ref": 1, "pad": "x" * 8192})
    barely = json.dumps({"type": "subscribe", "topic": "short", "ref": 2, "pad": ""})
    fits = barely.replace('"pad": ""', f'"pad": "{"x" * (8191 - len(barely))}"')
    assert len(fits) == 8191
    last = '{"ref":3,"type":"subscribe","topic":"last"}'
    for frame in (long, fits, fits.replace("xx", "xxx", 1), last):
        peer.send(frame)
    peer.send(json.dumps({"type": "resume", "sessionId": "s", "lastSeenSeqs": {}, "pad": "x" * 9000}))
    await turns(10)
    assert answers(peer) == [("+", "short", 2), "resumed"]
    assert [len(frame) for frame in seen] == [len(long), 8192, len(last)]


@pytest.mark.spec("PLAT-21")
@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"subscribe","topic":"a","ref":1',
        '{"type":"hello" "caps":[]}',
        '{"type":unsubscribe}',
        '{"type":',
    ],
)
async def test_what_is_malformed_reaches_the_message_hook_unparsed(bare: BareFactory, frame: str) -> None:
    seen: list[Any] = []
    one = await bare({"message": lambda data, msg: seen.append((data, msg))})
    peer = one.connect()
    peer.send(frame)
    peer.send(subscribe("after"))
    await turns()
    assert seen == [(frame, None)]
    assert answers(peer) == [("+", "after", 1)]


async def test_a_hook_may_ask_its_client_and_the_answer_waits_for_nothing(bare: BareFactory) -> None:
    asked: list[Any] = []

    async def on_subscribe(ws: Any, topic: str, platform: Any) -> bool:
        answer = await platform.request(ws, "allow?", topic)
        asked.append(answer)
        return bool(answer)

    peer = (await bare({"subscribe": on_subscribe})).connect()
    peer.send(subscribe("a", 1))
    peer.send(subscribe("b", 2))
    for answer in (True, False):
        await turns(10)
        question = [frame for frame in peer.parsed() if frame.get("type") == "request"][-1]
        peer.send({"type": "reply", "ref": question["ref"], "data": answer})
    await turns(10)
    assert asked == [True, False]
    assert [one for one in answers(peer) if one != "request"] == [("+", "a", 1), ("-", "b", 2, "FORBIDDEN")]


@pytest.mark.spec("PLAT-34")
async def test_drain_runs_when_the_peer_has_caught_up_behind_what_was_pending(bare: BareFactory) -> None:
    drained: list[Any] = []

    def on_drain(ws: Any, platform: Any) -> None:
        ws.flush()
        drained.append((ws.id, platform.request_id, list(peer.frames[1:])))

    one = await bare({"drain": on_drain}, websocket={"max_backpressure": 1024})
    peer = one.connect(request_id="req-1")
    await turns()
    platform = peer.connection.platform
    peer.sink.buffered = 1024
    assert peer.connection.send("x") is SendResult.DROPPED
    for value in (1, 2):
        platform.send_coalesced(peer.connection, key="k", topic="t", event="e", data=value)
    await turns()
    assert (peer.frames[1:], drained) == ([], [])
    peer.sink.buffered = 0
    peer.connection.drained()
    peer.connection.drained()
    await turns()
    ((id, request_id, before),) = drained
    assert (id, request_id) == (peer.connection.id, "req-1")
    assert before[0] == '{"topic":"t","event":"e","data":2}'
    peer.connection.send("y")
    peer.connection.drained()
    await turns()
    assert len(drained) == 1


async def test_a_drain_hook_that_fails_is_counted(bare: BareFactory) -> None:
    def on_drain() -> None:
        raise RuntimeError("broken hook")

    one = await bare({"drain": on_drain}, websocket={"max_backpressure": 1024})
    peer = one.connect()
    peer.connection.stalled()
    peer.connection.drained()
    await turns()
    assert one.runtime.metrics.get("hook_errors_total", "drain") == 1
    assert not peer.connection.closed


@pytest.mark.spec("PLAT-35", "WIRE-36")
async def test_close_runs_once_after_what_waited_has_failed_and_before_the_connection_is_forgotten(
    bare: BareFactory,
) -> None:
    log: list[Any] = []

    def on_close(ws: Any, platform: Any, subscriptions: frozenset[str]) -> None:
        log.append(
            {
                "requests": ws.requests,
                "closed": ws.closed,
                "held": sorted(ws.subscriptions),
                "given": sorted(subscriptions),
                "connections": platform.connections,
                "sends": (ws.send("x"), ws.send_event("t", "e"), platform.send(ws, "t", "e")),
            }
        )

    one = await bare({"close": on_close})
    peer = one.connect()
    peer.connection.subscribe("raw")
    peer.send(subscribe("wire"))
    assert await one.runtime.platform.subscribe(peer.connection, "server") is None
    waiting = asyncio.ensure_future(one.runtime.platform.request(peer.connection, "ask"))
    await turns()
    sent = len(peer.frames)
    await peer.inbound.closed(4001, "bye")
    await peer.inbound.closed(1006, "")
    assert log == [
        {
            "requests": None,
            "closed": True,
            "held": ["server", "wire"],
            "given": ["server", "wire"],
            "connections": 1,
            "sends": (SendResult.DROPPED,) * 3,
        }
    ]
    with pytest.raises(ConnectionClosed, match="connection closed"):
        await waiting
    assert len(peer.frames) == sent
    assert one.runtime.platform.connections == 0
    assert one.runtime.metrics.get("ws_connection_close_total", "4001") == 1


@pytest.mark.spec("PLAT-35")
@pytest.mark.parametrize("ends", ["raises", "hangs", "cancelled"])
async def test_whatever_comes_of_the_close_hook_nothing_stays_counted(bare: BareFactory, ends: str) -> None:
    async def on_close() -> None:
        if ends == "raises":
            raise RuntimeError("broken hook")
        await asyncio.Event().wait()

    limit = 0.01 if ends == "hangs" else 30
    one = await bare({"close": on_close}, websocket={"hook_timeout": limit})
    peer = one.connect()
    peer.send(subscribe("a"))
    await turns()
    closing = asyncio.ensure_future(peer.inbound.closed(1006, ""))
    await turns()
    if ends == "cancelled":
        closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled() is (ends == "cancelled")
    runtime = one.runtime
    assert (runtime.connections, runtime.subscriptions.total, runtime.subscriptions.topics) == ({}, 0, 0)
    assert runtime.metrics.get("ws_connections") == 0
    assert runtime.metrics.get("hook_errors_total", "close") == int(ends == "raises")
    assert runtime.metrics.get("hook_timeouts_total", "close") == int(ends == "hangs")


@pytest.mark.spec("PLAT-35", "PLAT-36")
async def test_the_counters_leave_out_what_went_to_everybody(bare: BareFactory) -> None:
    seen: list[dict[str, Any]] = []
    one = await bare({"close": lambda **all: seen.append(all)})
    peer = one.connect()
    inbound = ['{"type":"subscribe","topic":"t","ref":1}', "grüße", b"\x07\x08\x09"]
    for frame in inbound:
        peer.send(frame)
    await turns()
    direct = sum(len(frame.encode()) for frame in peer.frames)
    for n in range(50):
        one.runtime.platform.publish("t", "e", n)
    await turns()
    assert len(peer.frames) == 52
    one.runtime.platform.send(peer.connection, "t", "e", "only you")
    assert one.runtime.platform.send_to(lambda user: True, "t", "e") == 1
    await turns()
    direct += sum(len(frame.encode()) for frame in peer.frames[52:])
    await peer.inbound.closed(1000, "")
    (values,) = seen
    assert (values["messages_in"], values["bytes_in"]) == (3, 40 + 7 + 3)
    assert (values["messages_out"], values["bytes_out"]) == (4, direct)
    metrics = one.runtime.metrics
    assert metrics.snapshot()["ws_bytes_in_total"] == {(): 50}
    assert metrics.spread("ws_connection_messages_in").total == 3
    assert metrics.spread("ws_connection_bytes_out").total == direct
