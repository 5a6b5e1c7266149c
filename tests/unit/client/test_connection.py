from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

import pytest

from runtime.client import RpcError
from runtime.client.auth import Preflight, PreflightFailed
from runtime.client.transport import ConnectFailed
from runtime.core.capacity import MAX_CLIENT_QUEUE
from runtime.testing import eventually
from tests.unit.client.scripted import scripted

pytestmark = pytest.mark.spec("WIRE-115", "LIVE-191")

HELLO = {"type": "hello", "caps": ["batch"]}


async def test_the_first_frame_is_hello() -> None:
    async with scripted() as s:
        assert s.socket.raw == [b'{"type":"hello","caps":["batch"]}']


@pytest.mark.spec("WIRE-116")
async def test_what_was_asked_before_the_socket_opened_comes_in_order() -> None:
    async with scripted(opened=False) as s:
        call = s.client.call("a/b", 1)
        s.client.on("todos").subscribe(lambda event: None)
        s.client.on("__signal:u1").subscribe(lambda event: None)
        await s.status("open")
        sent = s.socket.sent
        assert sent[0] == HELLO
        assert sent[1] == {"type": "subscribe-batch", "topics": ["todos"], "ref": 1}
        assert sent[2]["rpc"] == "a/b"
        assert len(sent) == 3
        s.socket.reply(sent[2], "done")
        assert await call == "done"


@pytest.mark.spec("WIRE-116", "LIVE-202")
async def test_a_reconnect_sends_hello_resume_topics_and_the_queue() -> None:
    async with scripted() as s:
        s.client.on("todos").subscribe(lambda event: None)
        await s.settle()
        assert s.socket.control() == [{"type": "subscribe", "topic": "todos", "ref": 1}]
        s.socket.publish("todos", "created", {"id": 1}, seq=41)
        s.socket.push(
            {"type": "batch", "events": [{"topic": "todos", "event": "x", "data": None, "seq": 42}]}
        )
        s.socket.publish("__signal:u", "x", None, seq=7)
        await s.settle()
        assert s.client.resumed.value is None
        s.socket.drop()
        await s.status("disconnected")
        queued = s.client.call("a/b")
        await s.clock.advance(4)
        await s.status("open")
        assert s.socket.sent[:3] == [
            HELLO,
            {"type": "resume", "sessionId": "session-1", "lastSeenSeqs": {"todos": 42, "__signal:u": 7}},
            {"type": "subscribe-batch", "topics": ["todos"], "ref": 2},
        ]
        assert s.socket.sent[3]["rpc"] == "a/b"
        s.socket.push({"type": "resumed", "topics": {"todos": {"state": "complete"}}})
        s.socket.reply(s.socket.sent[3], 1)
        assert await queued == 1
        assert s.client.resumed.value == {"todos": {"state": "complete"}}
        await s.reopen()
        assert s.socket.sent[1]["sessionId"] == "session-2"
        s.socket.push({"type": "resumed"})
        await eventually(lambda: s.client.resumed.value == {})


async def test_without_a_number_seen_there_is_no_resume() -> None:
    async with scripted() as s:
        await s.reopen()
        assert s.socket.sent == [HELLO]


async def test_the_states_of_a_loss_and_a_return() -> None:
    connects: list[str] = []
    async with scripted(
        opened=False,
        on_connect=lambda: connects.append("on"),
        on_disconnect=lambda: connects.append("off"),
        before_reconnect=lambda: connects.append("before"),
    ) as s:
        states: list[str] = []
        s.client.status.subscribe(states.append)
        await s.status("open")
        assert connects == []
        s.socket.drop(1001, "Server shutting down")
        await s.status("disconnected")
        assert s.client.failure.value == {
            "kind": "ws-close",
            "class": "RETRY",
            "code": 1001,
            "reason": "Server shutting down",
        }
        await s.clock.advance(2.2)
        assert s.client.status.value == "disconnected"
        await s.clock.advance(1.6)
        await s.status("open")
        assert s.client.failure.value is None
        assert states == ["connecting", "open", "disconnected", "connecting", "open"]
        assert connects == ["off", "before", "on"]


async def test_before_reconnect_is_awaited_while_connecting_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runtime.client.connection.PREPARATION_TIMEOUT", 0.05)
    async with scripted(before_reconnect=asyncio.Event().wait) as s:
        s.socket.drop()
        await s.status("disconnected")
        await s.clock.advance(4)
        assert (s.client.status.value, s.transport.attempts) == ("connecting", 1)
        await eventually(lambda: s.client.status.value == "open")
    assert "before_reconnect" in caplog.text


async def test_a_loss_for_good_is_told_as_a_loss_and_an_end_that_was_wanted_is_not() -> None:
    for code, expected in ((4401, ["off"]), (None, [])):
        calls: list[str] = []
        async with scripted(on_disconnect=lambda calls=calls: calls.append("off")) as s:
            if code is None:
                await s.client.close()
            else:
                s.socket.drop(code)
            await s.status("failed")
        assert calls == expected


async def test_after_a_close_for_size_the_next_connection_does_without_a_resume_once() -> None:
    async with scripted() as s:
        s.socket.publish("t", "x", None, 1)
        await s.settle()
        await s.reopen(1009)
        assert s.socket.sent == [HELLO]
        await s.reopen()
        assert [frame["type"] for frame in s.socket.sent] == ["hello", "resume"]


async def test_a_failing_callback_of_the_app_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise RuntimeError("mine")

    def also_broken() -> None:
        raise RuntimeError("mine")

    async with scripted(before_reconnect=broken, on_connect=also_broken, on_disconnect=also_broken) as s:
        await s.reopen()
    assert "before_reconnect" in caplog.text
    assert "also_broken" in caplog.text


@pytest.mark.parametrize("code", [1008, 4401, 4403])
async def test_a_terminal_close_fails_everything_and_is_never_left(code: int) -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        stream = s.client.stream("a/list")
        stream.open()
        await s.settle()
        s.socket.drop(code, "no entry")
        await s.status("failed")
        with pytest.raises(RpcError, match="no entry") as caught:
            await call
        assert caught.value.code == "CONNECTION_CLOSED"
        assert stream.status == "error"
        assert stream.error is not None
        assert stream.error.code == "CONNECTION_CLOSED"
        assert s.client.failure.value == {
            "kind": "ws-close",
            "class": "TERMINAL",
            "code": code,
            "reason": "no entry",
        }
        later = s.client.call("a/b")
        with pytest.raises(RpcError) as caught:
            await later
        assert caught.value.code == "CONNECTION_CLOSED"
        assert s.client.stream("a/other").status == "loading"
        with pytest.raises(RpcError):
            await s.client.stream("a/other").ready()
        await s.clock.advance(100_000)
        assert s.transport.attempts == 1
        with pytest.raises(RpcError):
            await s.client.ready()


@pytest.mark.parametrize("code", [1000, 1005, 1006, 1007, 1009, 1011, 1013, 3000, 4000])
async def test_other_closes_are_tried_again(code: int) -> None:
    async with scripted() as s:
        await s.reopen(code)
        assert s.transport.attempts == 2


async def test_every_attempt_begins_with_its_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = deque([204, 503, 204, 403])

    async def run(_: Preflight) -> None:
        status = answers.popleft()
        if status != 204:
            raise PreflightFailed(status, "no")

    monkeypatch.setattr(Preflight, "run", run)
    async with scripted(auth=True) as s:
        s.socket.drop()
        await s.status("disconnected")
        await s.clock.advance(3.8)
        assert (s.client.status.value, len(answers), s.transport.attempts) == ("disconnected", 2, 1)
        await s.clock.advance(8.3)
        assert (s.client.status.value, s.transport.attempts) == ("open", 2)
        s.socket.drop()
        await s.status("disconnected")
        await s.clock.advance(3.8)
        assert (s.client.status.value, s.transport.attempts) == ("failed", 2)
        failure = {"kind": "auth-preflight", "class": "AUTH", "status": 403, "reason": "no"}
        assert s.client.failure.value == failure


async def test_a_throttled_client_with_a_limit_of_attempts_still_has_its_attempts() -> None:
    async with scripted(max_attempts=1) as s:
        s.transport.is_down = True
        s.socket.drop(4429)
        await s.status("disconnected")
        await s.clock.advance(200)
        assert s.transport.attempts == 2
        assert s.client.status.value == "failed"
        assert s.client.failure.value is not None
        assert s.client.failure.value["class"] == "EXHAUSTED"


async def test_a_throttled_client_comes_back_after_minutes() -> None:
    async with scripted() as s:
        s.socket.drop(4429, "slow down")
        await s.status("disconnected")
        failure = s.client.failure.value
        assert failure is not None
        assert failure["class"] == "THROTTLE"
        await s.clock.advance(115)
        assert s.client.status.value == "disconnected"
        await s.clock.advance(80)
        await s.status("open")


async def test_a_restart_is_followed_by_a_quick_return() -> None:
    async with scripted() as s:
        s.socket.drop(1012, "Handler reloaded")
        await s.status("disconnected")
        await s.clock.advance(0.04)
        assert s.client.status.value == "disconnected"
        await s.clock.advance(0.22)
        await s.status("open")


async def test_a_restart_that_takes_longer_is_followed_by_the_usual_waits() -> None:
    async with scripted() as s:
        s.transport.is_down = True
        s.socket.drop(1012, "Handler reloaded")
        await s.status("disconnected")
        await s.clock.advance(0.25)
        assert s.transport.attempts == 2
        await s.clock.advance(2.2)
        assert s.transport.attempts == 2
        await s.clock.advance(1.6)
        assert s.transport.attempts == 3


async def test_failed_attempts_wait_longer_and_longer_until_they_are_used_up() -> None:
    async with scripted(opened=False, max_attempts=2) as s:
        states: list[str] = []
        s.client.status.subscribe(states.append)
        s.transport.is_down = True
        await s.status("disconnected")
        assert s.client.failure.value == {
            "kind": "ws-close",
            "class": "RETRY",
            "code": 1006,
            "reason": "refused",
        }
        await s.clock.advance(3.75)
        assert s.transport.attempts == 2
        await s.clock.advance(4.9)
        assert s.transport.attempts == 2
        await s.clock.advance(3.4)
        assert s.transport.attempts == 3
        assert s.client.status.value == "failed"
        failure = s.client.failure.value
        assert failure is not None
        assert failure["class"] == "EXHAUSTED"
        assert states == ["connecting", "disconnected"] * 3 + ["failed"]


async def test_the_first_failed_attempt_of_an_outage_is_logged_with_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def warnings() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if (record.name, record.levelname) == ("realtime.client", "WARNING")
        ]

    async with scripted(opened=False, url="ws://me:pass@test.example:3000/ws?token=secret#x") as s:
        s.transport.is_down = True
        await s.status("disconnected")
        first = "cannot connect to ws://test.example:3000/ws: 1006 refused"
        assert warnings() == [first]
        await s.clock.advance(12)
        assert s.transport.attempts > 2
        assert warnings() == [first]
        assert repr(s.client) == "<Realtime ws://test.example:3000/ws disconnected>"
        s.transport.is_down = False
        await s.clock.advance(60)
        await s.status("open")
        s.transport.is_down = True
        s.socket.drop()
        await s.status("disconnected")
        assert warnings() == [first]
        await s.clock.advance(4)
        assert warnings() == [first, first]


async def test_ready_waits_for_the_connection_within_its_time() -> None:
    async with scripted(opened=False) as s:
        s.transport.outcomes.append(ConnectFailed("the server answered HTTP 503"))
        waiting = asyncio.ensure_future(s.client.ready(2))
        await s.status("disconnected")
        await s.clock.advance(2)
        with pytest.raises(
            RpcError, match="no connection within 2s: 1006 the server answered HTTP 503"
        ) as caught:
            await waiting
        assert caught.value.code == "TIMEOUT"
        waiting = asyncio.ensure_future(s.client.ready())
        await s.clock.advance(2)
        await waiting


async def test_close_sends_what_waits_and_leaves_no_failure() -> None:
    async with scripted() as s:
        s.client.fire("a/b", 1)
        pending = s.client.call("a/c")
        socket = s.socket
        await s.client.close()
        assert [call["rpc"] for call in socket.requests()] == ["a/b", "a/c"]
        assert socket.closed_with == (1000, "")
        assert s.client.status.value == "failed"
        assert s.client.failure.value is None
        with pytest.raises(RpcError) as caught:
            await pending
        assert caught.value.code == "CONNECTION_CLOSED"
        await s.client.close()


async def test_close_does_not_wait_for_a_server_that_does_not_read(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.client.connection.CLOSE_TIMEOUT", 0.05)
    async with scripted() as s:
        s.socket.stalled = asyncio.Event()
        s.client.fire("a/b", "x" * 100)
        await s.settle()
        await s.client.close()
    assert "unsent" in caplog.text


async def test_close_while_disconnected_ends_the_attempts() -> None:
    async with scripted() as s:
        s.transport.is_down = True
        s.socket.drop()
        await s.status("disconnected")
        assert s.client.failure.value is not None
        await s.client.close()
        assert s.timers == 0
        assert (s.client.status.value, s.client.failure.value) == ("failed", None)


@pytest.mark.spec("WIRE-117")
async def test_at_most_a_thousand_frames_wait_and_the_oldest_go(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted(opened=False) as s:
        calls = [s.client.call("a/b", number) for number in range(MAX_CLIENT_QUEUE + 3)]
        await s.status("open")
        sent = [call["args"][0] for call in s.socket.requests("a/b")]
        assert sent == list(range(3, MAX_CLIENT_QUEUE + 3))
        assert "more than 1000 frames" in caplog.text
        for call in calls[:3]:
            with pytest.raises(RpcError) as caught:
                await call
            assert caught.value.code == "QUEUE_FULL"
        for call in calls:
            call.cancel()
    assert s.client._connection.dropped == 3


@pytest.mark.spec("WIRE-117")
async def test_a_batch_whose_frame_is_dropped_fails_whole() -> None:
    async with scripted(opened=False) as s:
        batch = s.client.batch(lambda: [s.client.call("a/b"), s.client.call("a/c")])
        calls = [s.client.call("a/b") for _ in range(MAX_CLIENT_QUEUE)]
        with pytest.raises(RpcError) as caught:
            await batch
        assert caught.value.code == "QUEUE_FULL"
        for call in calls:
            call.cancel()


@pytest.mark.spec("WIRE-116")
async def test_more_topics_than_fit_one_frame_come_in_several() -> None:
    async with scripted(opened=False) as s:
        for number in range(450):
            s.client.on(f"topic-{number}").subscribe(lambda event: None)
        await s.status("open")
        batches = [frame["topics"] for frame in s.socket.control()]
        assert [len(batch) for batch in batches] == [200, 200, 50]
        assert [frame["ref"] for frame in s.socket.control()] == [1, 2, 3]


async def test_denials_and_health_are_told() -> None:
    async with scripted() as s:
        s.socket.push({"type": "subscribe-denied", "topic": "t", "ref": 3, "reason": "FORBIDDEN"})
        s.socket.publish("__realtime", "degraded", {"at": 1})
        await s.settle()
        assert s.client.denials.value == {"topic": "t", "reason": "FORBIDDEN", "ref": 3}
        assert s.client.health.value == "degraded"
        s.socket.publish("__realtime", "recovered", {"at": 2})
        await s.settle()
        assert s.client.health.value == "healthy"
        s.socket.publish("__realtime", "degraded", {"at": 3})
        await s.reopen()
        assert s.client.health.value == "healthy", "another connection, perhaps to another server"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"type":"ping"}',
        b'{"type":1}',
        b'{"type":"welcome","sessionId":5}',
        b'{"type":"batch","events":7}',
        b'{"type":"batch","events":[1,null,{"topic":5,"event":"x"}]}',
        b'{"type":"subscribe-denied","topic":5,"reason":"x"}',
        b'{"topic":"t","event":5}',
        b'{"topic":["t"],"event":"x"}',
        b'{"topic":"t","event":"x","seq":"5"}',
        b'{"topic":"__rpc","event":"nobody","data":{"id":"nobody","ok":true}}',
        b'{"topic":"__rpc","event":"nobody","data":5}',
        b'{"topic":"__rpc","event":"__batch","data":{"batch":[1,{"id":5},{"ok":true}]}}',
    ],
)
async def test_frames_that_mean_nothing_are_ignored(frame: bytes) -> None:
    async with scripted() as s:
        s.socket.push(frame)
        s.socket.push({"type": "welcome", "sessionId": "later"})
        call = s.client.call("a/b")
        s.socket.reply(await s.request("a/b"), 1)
        assert await call == 1
        assert s.client._topics.seen == {}


async def test_an_envelope_wins_over_its_type() -> None:
    async with scripted() as s:
        seen: list[Any] = []
        s.client.on("t").subscribe(seen.append)
        s.socket.push(json.loads('{"type":"welcome","sessionId":"evil","topic":"t","event":"x"}'))
        await s.settle()
        assert [(event.event, event.data) for event in seen] == [("x", None)]
        assert s.client._inbound.session_id == "session-1"


async def test_an_attempt_that_fails_in_an_unexpected_way_is_tried_again() -> None:
    async with scripted(opened=False) as s:
        s.transport.outcomes.append(UnicodeError("label too long"))
        await s.status("disconnected")
        assert s.client.failure.value is not None
        assert s.client.failure.value["reason"] == "UnicodeError: label too long"
        await s.clock.advance(4)
        await s.status("open")


async def test_a_socket_that_breaks_in_an_unexpected_way_is_closed_and_replaced() -> None:
    async with scripted() as s:
        broken = s.socket

        def break_down(frame: bytes) -> None:
            del s.client._connection._received
            raise RuntimeError("bug")

        s.client._connection._received = break_down  # type: ignore[method-assign]
        broken.push({"type": "ping"})
        await s.status("disconnected")
        assert broken.closed_with == (1000, "")
        await s.clock.advance(4)
        await s.status("open")


async def test_a_client_is_started_once() -> None:
    async with scripted() as s:
        with pytest.raises(RuntimeError, match="started before"):
            s.client.start()
        await s.client.close()
        with pytest.raises(RuntimeError, match="started before"):
            s.client.start()


async def test_a_second_close_waits_for_the_first_which_sends_what_waits() -> None:
    async with scripted() as s:
        s.socket.stalled = asyncio.Event()
        s.client.fire("a/b")
        await s.settle()
        first, second = (asyncio.ensure_future(s.client.close()) for _ in range(2))
        await s.settle()
        assert not first.done()
        assert not second.done()
        s.socket.stalled.set()
        await asyncio.gather(first, second)
        assert [frame["rpc"] for frame in s.socket.requests()] == ["a/b"]


async def test_a_close_that_nobody_waits_for_closes_the_socket_all_the_same() -> None:
    async with scripted() as s:
        s.socket.stalled = asyncio.Event()
        s.client.fire("a/b")
        await s.settle()
        closing = asyncio.ensure_future(s.client.close())
        await s.settle()
        closing.cancel()
        await asyncio.wait([closing])
        assert s.socket.closed_with == (1000, "")
        assert s.client.status.value == "failed"
