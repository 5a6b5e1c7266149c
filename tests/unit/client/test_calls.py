from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from runtime.client import RpcError
from tests.unit.client.scripted import Scripted, scripted

pytestmark = pytest.mark.spec("LIVE-191")


async def code_of(awaitable: Any) -> str:
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value.code


async def test_a_call_is_one_frame_and_its_reply_the_result() -> None:
    async with scripted() as s:
        call = s.client.call("todos/add", {"text": "milk"}, 2)
        request = await s.request("todos/add")
        assert list(request) == ["rpc", "id", "args"]
        assert request["args"] == [{"text": "milk"}, 2]
        s.socket.reply(request, {"id": 1})
        assert await call == {"id": 1}
        other = s.client.call("todos/add")
        assert (await s.request("todos/add"))["id"] != request["id"]
        other.cancel()


async def test_a_reply_without_data_is_none() -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        request = await s.request("a/b")
        s.socket.push({"topic": "__rpc", "event": request["id"], "data": {"id": request["id"], "ok": True}})
        assert await call is None


async def test_an_error_keeps_all_that_the_server_said() -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        issues = [{"path": ["text"], "message": "Required"}]
        s.socket.refuse(
            await s.request("a/b"), "RATE_LIMITED", "Slow down", issues=issues, retryAfter=1500, data={"x": 1}
        )
        with pytest.raises(RpcError, match="RATE_LIMITED: Slow down") as caught:
            await call
        error = caught.value
        assert (error.code, error.message) == ("RATE_LIMITED", "Slow down")
        assert (error.issues, error.data, error.retry_after) == (issues, {"x": 1}, 1.5)


async def test_an_error_without_code_is_unknown() -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        request = await s.request("a/b")
        s.socket.push(
            {"topic": "__rpc", "event": request["id"], "data": {"ok": False, "issues": 5, "code": 7}}
        )
        with pytest.raises(RpcError) as caught:
            await call
        assert (caught.value.code, caught.value.message) == ("UNKNOWN", "Unknown error")
        assert caught.value.issues is None


async def test_a_timeout_fails_the_call_and_the_late_reply_is_ignored() -> None:
    async with scripted() as s:
        call, own = s.client.call("a/b"), s.client.call("a/c", timeout=5)
        late = await s.request("a/b")
        await s.clock.advance(5)
        assert await code_of(own) == "TIMEOUT"
        assert not call.done()
        await s.clock.advance(25)
        with pytest.raises(RpcError, match="'a/b' timed out after 30s"):
            await call
        s.socket.reply(late, 1)
        await s.settle()
        assert s.client._calls.waiting == 0


async def test_a_timer_that_fires_far_too_late_says_that_the_machine_slept() -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        s.clock._start += 1000
        await s.clock.advance(30)
        assert await code_of(call) == "DISCONNECTED"


@pytest.mark.parametrize(
    ("timeout", "late", "single", "others"),
    [
        (30, 90, "TIMEOUT", "TIMEOUT"),
        (60, 90.001, "TIMEOUT", "DISCONNECTED"),
        (60, 180.001, "DISCONNECTED", "DISCONNECTED"),
        (120, 120, "TIMEOUT", "TIMEOUT"),
        (120, 360.001, "DISCONNECTED", "DISCONNECTED"),
    ],
)
async def test_when_a_timer_is_too_late(timeout: float, late: float, single: str, others: str) -> None:
    async with scripted(timeout=timeout) as s, s.client.stream("a/s") as stream:
        call = s.client.call("a/b")
        batch = s.client.batch(lambda: [s.client.call("a/c"), s.client.call("a/d")])
        s.clock._start += late - timeout
        await s.clock.advance(timeout)
        assert await code_of(call) == single
        assert await code_of(batch) == others
        assert stream.error is not None
        assert stream.error.code == others


async def test_a_loss_over_a_message_that_is_too_large_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted() as s:
        sent = s.client.call("a/b", "x" * 70_000)
        await s.settle()
        s.socket.drop(1009, "Message too big")
        await s.status("disconnected")
        with pytest.raises(RpcError) as caught:
            await sent
        why = "a message was larger than the server takes ([websocket] max_payload_length)"
        assert str(caught.value) == f"DISCONNECTED: connection lost: {why}"
        assert why in caplog.text
        queued = s.client.call("a/b")
        s.transport.is_down = True
        await s.clock.advance(4)
        with pytest.raises(RpcError, match="connection lost before the answer came"):
            await queued


async def test_a_loss_fails_every_call_and_a_queued_one_is_sent_all_the_same() -> None:
    async with scripted() as s:
        sent = s.client.call("a/sent")
        await s.settle()
        s.transport.is_down = True
        s.socket.drop()
        await s.status("disconnected")
        assert await code_of(sent) == "DISCONNECTED"
        queued = s.client.call("a/queued")
        await s.clock.advance(4)
        assert await code_of(queued) == "DISCONNECTED"
        s.transport.is_down = False
        await s.clock.advance(9)
        await s.status("open")
        assert len(s.socket.requests("a/queued")) == 1


async def test_cancelling_a_call_drops_its_reply() -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        request = await s.request("a/b")
        call.cancel()
        await s.settle()
        assert s.client._calls.waiting == 0
        s.socket.reply(request, 1)
        await s.settle()
        assert call.cancelled()
        assert s.timers == 0


async def test_an_argument_without_json_form_raises_at_once() -> None:
    async with scripted() as s:
        for send in (s.client.call, s.client.fire):
            with pytest.raises(TypeError, match="object"):
                send("a/b", object())
        await s.settle()
        assert s.socket.requests() == []
        assert s.client._calls.waiting == 0


async def test_an_idempotency_key_travels() -> None:
    async with scripted() as s:
        call = s.client.call("pay/charge", 100, idempotency_key="order-7")
        request = await s.request("pay/charge")
        assert request["idempotencyKey"] == "order-7"
        call.cancel()


async def test_equal_calls_of_one_turn_are_shared_only_on_demand() -> None:
    async with scripted() as s:
        one, two = s.client.call("a/b", 1, fresh=False), s.client.call("a/b", 1, fresh=False)
        other = s.client.call("a/b", 2, fresh=False)
        own = s.client.call("a/b", 1)
        await s.settle()
        assert [call["args"] for call in s.socket.requests("a/b")] == [[1], [2], [1]]
        later = s.client.call("a/b", 1, fresh=False)
        await s.settle()
        assert len(s.socket.requests("a/b")) == 4
        two.cancel()
        s.socket.reply(s.socket.requests("a/b")[0], "shared")
        assert await one == "shared"
        s.socket.refuse(s.socket.requests("a/b")[3], "LOCKED")
        assert await code_of(later) == "LOCKED"
        other.cancel()
        own.cancel()


async def test_calls_with_one_idempotency_key_are_shared() -> None:
    async with scripted() as s:
        one = s.client.call("a/b", 1, fresh=False, idempotency_key="k")
        two = s.client.call("a/b", 2, fresh=False, idempotency_key="k")
        s.socket.reply(await s.request("a/b"), 5)
        assert (await one, await two) == (5, 5)
        assert len(s.socket.requests("a/b")) == 1


async def test_live_attributes_build_the_path() -> None:
    async with scripted() as s:
        calls = [
            s.client.live.admin.users.ban("u1", timeout=3, idempotency_key="k"),
            s.client.live["admin-tools"]["x-y"](),
        ]
        await s.settle()
        assert [call["rpc"] for call in s.socket.requests()] == ["admin/users/ban", "admin-tools/x-y"]
        assert s.socket.requests()[0]["idempotencyKey"] == "k"
        with pytest.raises(AttributeError, match="_private"):
            _ = s.client.live.admin._private
        await s.clock.advance(3)
        assert await code_of(calls[0]) == "TIMEOUT"
        calls[1].cancel()


# ---------------------------------------------------------------- batch


async def batch_of(s: Scripted, count: int, **options: Any) -> asyncio.Future[list[Any]]:
    return s.client.batch(lambda: [s.client.call("a/b", number) for number in range(count)], **options)


async def test_a_batch_of_none_sends_nothing() -> None:
    async with scripted() as s:
        assert await s.client.batch(list) == []
        assert s.socket.requests() == []


async def test_a_batch_of_one_is_still_answered() -> None:
    async with scripted() as s:
        outer = await batch_of(s, 1)
        request = await s.request("a/b")
        assert "batch" not in s.socket.sent[-1]
        s.socket.reply(request, "one")
        assert await outer == ["one"]


async def test_a_batch_is_one_frame_and_its_results_keep_the_order() -> None:
    async with scripted() as s:
        outer = await batch_of(s, 3, sequential=True)
        await s.settle()
        frame = s.socket.sent[-1]
        assert list(frame) == ["batch", "sequential"]
        assert frame["sequential"] is True
        ids = [entry["id"] for entry in frame["batch"]]
        results = [{"id": id, "ok": True, "data": number} for number, id in enumerate(ids)]
        for part in (results[2:], results[:2]):
            s.socket.push({"topic": "__rpc", "event": "__batch", "data": {"batch": part}})
        assert await outer == [0, 1, 2]


async def test_one_failure_fails_the_batch_and_no_other_call() -> None:
    async with scripted() as s:
        calls: list[Any] = []

        def collect() -> list[Any]:
            calls.extend([s.client.call("a/x"), s.client.call("a/y")])
            return calls

        outer = s.client.batch(collect)
        await s.settle()
        assert "sequential" not in s.socket.sent[-1]
        x, y = s.socket.sent[-1]["batch"]
        issues = [{"path": ["0"], "message": "bad"}]
        failed = {"id": x["id"], "ok": False, "code": "VALIDATION", "error": "no", "issues": issues}
        answer = [failed, {"id": y["id"], "ok": True, "data": 2}]
        s.socket.push({"topic": "__rpc", "event": "__batch", "data": {"batch": answer}})
        with pytest.raises(RpcError) as caught:
            await outer
        assert caught.value.issues == issues
        assert await calls[1] == 2


async def test_fifty_calls_are_sent_and_fifty_one_are_not() -> None:
    async with scripted() as s:
        outer = await batch_of(s, 50)
        await s.settle()
        assert len(s.socket.sent[-1]["batch"]) == 50
        refused = await batch_of(s, 51)
        assert await code_of(refused) == "INVALID_REQUEST"
        await s.settle()
        assert len(s.socket.requests()) == 50
        await s.clock.advance(30)
        with pytest.raises(RpcError, match="Batch timed out"):
            await outer


async def test_a_batch_whose_function_raises_sends_nothing() -> None:
    async with scripted() as s:

        def broken() -> list[Any]:
            s.client.call("a/b")
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            s.client.batch(broken)
        with pytest.raises(TypeError, match="must return the calls"):
            s.client.batch(lambda: [5])
        for alone in (lambda: s.client.call("a/b"), lambda: None, lambda: "a/b"):
            with pytest.raises(TypeError, match="must return the calls"):
                s.client.batch(alone)  # type: ignore[arg-type]  # what it refuses
        with pytest.raises(RuntimeError, match="inside a batch"):
            s.client.batch(lambda: [s.client.batch(list)])
        call = s.client.call("a/after")
        await s.settle()
        assert [request["rpc"] for request in s.socket.requests()] == ["a/after"]
        assert s.client._calls.waiting == 1
        call.cancel()


# ---------------------------------------------------------------- fire


async def test_fire_has_no_id_and_is_dropped_when_it_cannot_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted(volatile_backpressure=100) as s:
        s.client.fire("cursors/move", {"x": 1})
        await s.settle()
        assert s.socket.raw[-1] == b'{"rpc":"cursors/move","args":[{"x":1}]}'
        s.socket.stalled = asyncio.Event()
        s.client.fire("cursors/move", "x" * 200)
        s.client.fire("cursors/move", 2)
        assert s.client.volatile_dropped == 1
        s.socket.stalled.set()
        await s.settle()
        s.socket.drop()
        await s.status("disconnected")
        s.client.fire("cursors/move", 3)
        assert s.client.volatile_dropped == 2
        assert caplog.text.count("was dropped") == 1
        await s.clock.advance(4)
        await s.status("open")
        assert s.socket.requests() == []
        with pytest.raises(RuntimeError, match="inside a batch"):
            s.client.batch(lambda: [s.client.fire("a/b")])


# ---------------------------------------------------------------- push, signals, topics


async def test_push_is_answered_with_the_result_or_the_error(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted() as s:

        async def confirm(data: Any) -> Any:
            if data == "bad":
                raise ValueError("handler said no")
            return {"got": data}

        s.client.on_push("plain", lambda data: data)
        s.client.on_push("unencodable", lambda data: object())
        off_old = s.client.on_push("confirm", lambda data: "old")
        off = s.client.on_push("confirm", confirm)
        off_old()
        for ref, event, data in [
            (1, "confirm", "q"),
            ("two", "confirm", "bad"),
            (3, "nobody", None),
            (4, "plain", None),
            (5, "unencodable", None),
        ]:
            s.socket.push({"type": "request", "ref": ref, "event": event, "data": data})
        await s.settle()
        replies = {frame["ref"]: frame for frame in s.socket.control()}
        assert replies[1] == {"type": "reply", "ref": 1, "data": {"got": "q"}}
        assert replies["two"] == {"type": "reply", "ref": "two", "error": "handler said no"}
        assert replies[3]["error"] == "[svelte-realtime] no push handler registered for event 'nobody'"
        assert replies[4] == {"type": "reply", "ref": 4, "data": None}
        assert "no JSON form" in replies[5]["error"]
        off()
        s.socket.push({"type": "request", "ref": 6, "event": "confirm", "data": 1})
        await s.settle()
        assert "no push handler" in s.socket.control()[-1]["error"]
        with pytest.raises(ValueError, match="event"):
            s.client.on_push("", confirm)
        with pytest.raises(TypeError, match="handler"):
            s.client.on_push("x", None)  # type: ignore[arg-type]  # what is tested


async def test_more_requests_than_are_answered_at_a_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.client.push.MAX_RUNNING_HANDLERS", 1)
    async with scripted() as s:
        held = asyncio.Event()
        s.client.on_push("slow", lambda data: held.wait())
        for ref in (1, 2):
            s.socket.push({"type": "request", "ref": ref, "event": "slow", "data": None})
        await s.settle()
        assert [(frame["ref"], frame.get("error")) for frame in s.socket.control()] == [
            (2, "too many requests are being answered")
        ]
        held.set()
        await s.settle()
        assert s.socket.control()[-1] == {"type": "reply", "ref": 1, "data": True}
        s.socket.push({"type": "request", "ref": 3, "event": "slow", "data": None})
        await s.settle()
        assert s.socket.control()[-1]["ref"] == 3


async def test_signals_bring_event_and_data() -> None:
    async with scripted() as s:
        seen: list[Any] = []
        off = s.client.on_signal("u1", lambda event, data: seen.append((event, data)))
        s.socket.publish("__signal:u1", "notice", {"n": 1})
        s.socket.publish("__signal:u2", "notice", {"n": 2})
        await s.settle()
        off()
        s.socket.publish("__signal:u1", "notice", {"n": 3})
        await s.settle()
        assert seen == [("notice", {"n": 1})]
        assert s.socket.control() == []
        with pytest.raises(ValueError, match="user_id"):
            s.client.on_signal("", print)


async def test_a_topic_can_be_iterated_subscribed_and_entered() -> None:
    async with scripted() as s:
        async with s.client.on("chat") as chat:
            await s.settle()
            assert s.socket.control() == [{"type": "subscribe", "topic": "chat", "ref": 1}]
            events = chat.events()
            s.socket.publish("chat", "said", "hi", seq=4)
            event = await anext(events)
            assert (event.topic, event.event, event.data, event.seq) == ("chat", "said", "hi", 4)
            await events.aclose()
        await s.settle()
        assert s.socket.control()[-1] == {"type": "unsubscribe", "topic": "chat"}
        heard: list[Any] = []
        async with s.client.on("chat") as chat:
            chat.subscribe(heard.append)
            events = chat.events()
        assert await anext(events, "ended") == "ended"
        await s.settle()
        assert s.socket.control()[-1] == {"type": "unsubscribe", "topic": "chat"}
        s.socket.publish("chat", "said", "late")
        await s.settle()
        assert heard == []
        iterator = s.client.on("other").__aiter__()
        s.socket.publish("other", "x", 1)
        async for event in iterator:
            assert event.data == 1
            break


@pytest.mark.spec("LIVE-204")
async def test_configure_changes_the_given_options_only() -> None:
    async with scripted(timeout=30) as s:
        s.client.configure(timeout=2)
        call = s.client.call("a/b")
        await s.clock.advance(2)
        assert await code_of(call) == "TIMEOUT"
        with pytest.raises(TypeError, match="unknown option 'timeouts'; did you mean 'timeout'"):
            s.client.configure(timeouts=3)
        with pytest.raises(ValueError, match="timeout: must be above 0"):
            s.client.configure(resume_grace=1, timeout=0)
        assert s.client._options.resume_grace == 60
        with pytest.raises(ValueError, match="auth: can only be given to connect"):
            s.client.configure(auth=True)


async def test_a_batch_on_an_ended_connection_fails_with_its_error() -> None:
    async with scripted() as s:
        await s.client.close()
        assert await code_of(s.client.batch(lambda: [s.client.call("a/b")])) == "CONNECTION_CLOSED"


@pytest.mark.parametrize("retry", ["1" + "0" * 400, "true", '"soon"', "[]", "-1"])
async def test_a_refusal_settles_its_call_whatever_is_in_it(retry: str) -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        inner = f'{{"ok":false,"code":"RATE_LIMITED","error":"later","retryAfter":{retry}}}'
        request = await s.request("a/b")
        s.socket.push(b'{"topic":"__rpc","event":"%s","data":%s}' % (request["id"].encode(), inner.encode()))
        assert await code_of(call) == "RATE_LIMITED"


@pytest.mark.parametrize("timeout", [0, -1, math.nan])
async def test_a_time_limit_that_is_none_is_refused(timeout: float) -> None:
    async with scripted() as s:
        with pytest.raises(ValueError, match="timeout: must be above 0"):
            s.client.call("a/b", timeout=timeout)


async def test_an_answer_to_a_request_of_an_earlier_connection_is_not_sent_on_a_later_one() -> None:
    async with scripted() as s:
        gate = asyncio.Event()

        async def handler(data: Any) -> Any:
            await gate.wait()
            return data

        s.client.on_push("ask", handler)
        s.socket.push({"type": "request", "ref": 1, "event": "ask", "data": "old"})
        await s.settle()
        await s.reopen()
        gate.set()
        s.socket.push({"type": "request", "ref": 1, "event": "ask", "data": "new"})
        await s.settle()
        replies = [frame for frame in s.socket.sent if frame.get("type") == "reply"]
        assert replies == [{"type": "reply", "ref": 1, "data": "new"}]
