from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.client import Offline, OfflineCall, RpcError
from tests.unit.client.scripted import Scripted, scripted

pytestmark = pytest.mark.spec("LIVE-191")


async def go_offline(s: Scripted) -> None:
    s.transport.is_down = True
    s.socket.drop()
    await s.status("disconnected")


async def come_back(s: Scripted) -> None:
    s.transport.is_down = False
    for _ in range(200):
        await s.clock.advance(1)
        if s.client.status.value == "open":
            return
    raise AssertionError("not back")


async def code_of(awaitable: Any) -> str:
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value.code


def sent(s: Scripted) -> list[Any]:
    return [call["args"][0] for call in s.socket.requests()]


async def test_calls_wait_for_the_connection_and_run_one_after_the_other() -> None:
    async with scripted(offline=Offline(queue=True)) as s:
        await go_offline(s)
        calls = [s.client.call("a/b", number, idempotency_key=f"k{number}") for number in range(3)]
        await s.clock.advance(60)
        assert not any(call.done() for call in calls)
        await come_back(s)
        assert sent(s) == [0]
        assert s.socket.requests()[0]["idempotencyKey"] == "k0"
        s.socket.reply(s.socket.requests()[0], "zero")
        await s.settle()
        assert sent(s) == [0, 1]
        s.socket.refuse(s.socket.requests()[1], "LOCKED")
        await s.settle()
        assert sent(s) == [0, 1, 2]
        s.socket.reply(s.socket.requests()[2], "two")
        assert await calls[0] == "zero"
        assert await code_of(calls[1]) == "LOCKED"
        assert await calls[2] == "two"
        online = s.client.call("a/b", 9)
        await s.settle()
        assert sent(s)[-1] == 9
        online.cancel()


async def test_before_the_first_loss_calls_go_into_the_send_queue() -> None:
    async with scripted(opened=False, offline=Offline(queue=True)) as s:
        call = s.client.call("a/b", 1)
        assert len(s.client._offline) == 0
        await s.status("open")
        assert sent(s) == [1]
        call.cancel()


async def test_a_vain_first_attempt_is_a_loss() -> None:
    async with scripted(opened=False, offline=Offline(queue=True)) as s:
        s.transport.is_down = True
        await s.status("disconnected")
        call = s.client.call("a/b", 1)
        await s.clock.advance(60)
        assert not call.done()
        call.cancel()


async def test_without_the_queue_a_call_fails_with_the_connection() -> None:
    async with scripted() as s:
        await go_offline(s)
        call = s.client.call("a/b", 1)
        await s.clock.advance(4)
        assert await code_of(call) == "DISCONNECTED"


@pytest.mark.spec("WIRE-117")
async def test_at_most_a_hundred_calls_wait_and_the_oldest_fail() -> None:
    async with scripted(offline=Offline(queue=True)) as s:
        await go_offline(s)
        calls = [s.client.call("a/b", number) for number in range(102)]
        assert await code_of(calls[0]) == "QUEUE_FULL"
        assert await code_of(calls[1]) == "QUEUE_FULL"
        assert not calls[2].done()
        await s.client.close()
        for call in calls[2:]:
            assert await code_of(call) == "CONNECTION_CLOSED"


async def test_calls_that_waited_too_long_are_stale() -> None:
    async with scripted(offline=Offline(queue=True, max_age=30)) as s:
        await go_offline(s)
        old = s.client.call("a/b", "old")
        await s.clock.advance(40)
        new = s.client.call("a/b", "new")
        s.transport.is_down = False
        for _ in range(60):
            await s.clock.advance(0.5)
            if s.client.status.value == "open":
                break
        assert await code_of(old) == "STALE"
        assert sent(s) == ["new"]
        s.socket.reply(s.socket.requests()[0], 1)
        assert await new == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_before_replay_filters(asynchronous: bool) -> None:
    seen: list[OfflineCall] = []

    def wanted(call: OfflineCall) -> Any:
        seen.append(call)
        answer = call.args[0] != "no"
        return asyncio.sleep(0, answer) if asynchronous else answer

    async with scripted(offline=Offline(queue=True, before_replay=wanted)) as s:
        await go_offline(s)
        refused, kept = s.client.call("a/b", "no"), s.client.call("a/b", "yes")
        await come_back(s)
        assert await code_of(refused) == "STALE"
        assert sent(s) == ["yes"]
        assert [(call.path, call.args) for call in seen] == [("a/b", ("no",)), ("a/b", ("yes",))]
        assert seen[0].queued_at >= 1_700_000_000
        s.socket.reply(s.socket.requests()[0], 1)
        assert await kept == 1


async def test_a_filter_that_raises_drops_the_call(caplog: pytest.LogCaptureFixture) -> None:
    def broken(call: OfflineCall) -> bool:
        raise RuntimeError("mine")

    async with scripted(offline=Offline(queue=True, before_replay=broken)) as s:
        await go_offline(s)
        call = s.client.call("a/b", 1)
        await come_back(s)
        assert await code_of(call) == "STALE"
        assert "before_replay" in caplog.text


@pytest.mark.parametrize("replay", ["concurrent", "batch"])
async def test_ten_at_a_time(replay: Any) -> None:
    async with scripted(offline=Offline(queue=True, replay=replay)) as s:
        await go_offline(s)
        calls = [s.client.call("a/b", number) for number in range(12)]
        await come_back(s)
        assert sent(s) == list(range(10))
        for request in s.socket.requests():
            s.socket.reply(request, request["args"][0])
        await s.settle()
        assert sent(s) == list(range(12))
        for request in s.socket.requests()[10:]:
            s.socket.reply(request, request["args"][0])
        assert await asyncio.gather(*calls) == list(range(12))


async def test_a_function_orders_and_leaves_out() -> None:
    async with scripted(offline=Offline(queue=True, replay=lambda calls: [calls[2], calls[0]])) as s:
        await go_offline(s)
        calls = [s.client.call("a/b", number) for number in range(3)]
        await come_back(s)
        assert sent(s) == [2]
        s.socket.reply(s.socket.requests()[0], 1)
        await s.settle()
        assert sent(s) == [2, 0]
        s.socket.reply(s.socket.requests()[1], 1)
        assert await code_of(calls[1]) == "STALE"
        assert (await calls[0], await calls[2]) == (1, 1)


async def test_a_replay_function_that_raises_leaves_the_order_alone(caplog: pytest.LogCaptureFixture) -> None:
    def broken(calls: list[OfflineCall]) -> list[OfflineCall]:
        raise RuntimeError("mine")

    async with scripted(offline=Offline(queue=True, replay=broken)) as s:
        await go_offline(s)
        calls = [s.client.call("a/b", number) for number in range(2)]
        calls[0].cancel()
        await come_back(s)
        assert "replay function failed" in caplog.text
        assert sent(s) == [1]
        s.socket.reply(s.socket.requests()[0], 1)
        assert await calls[1] == 1


async def test_failed_replays_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Any] = []

    def report(call: OfflineCall, error: Exception) -> None:
        errors.append((call.args, error))
        raise RuntimeError("mine")

    async with scripted(offline=Offline(queue=True, on_replay_error=report)) as s:
        await go_offline(s)
        call = s.client.call("a/b", 1)
        await come_back(s)
        s.socket.refuse(s.socket.requests()[0], "LOCKED")
        assert await code_of(call) == "LOCKED"
        assert errors[0][0] == (1,)
        assert errors[0][1].code == "LOCKED"
        assert "on_replay_error" in caplog.text


async def test_a_loss_in_the_middle_leaves_the_rest_waiting() -> None:
    async with scripted(offline=Offline(queue=True)) as s:
        await go_offline(s)
        calls = [s.client.call("a/b", number) for number in range(3)]
        await come_back(s)
        await go_offline(s)
        assert await code_of(calls[0]) == "DISCONNECTED"
        await come_back(s)
        assert sent(s) == [1]
        for number in (1, 2):
            s.socket.reply(s.socket.requests()[-1], number)
            await s.settle()
        assert [await call for call in calls[1:]] == [1, 2]


def test_options_are_checked() -> None:
    for options, problem in [
        ({"max_queue": 0}, "max_queue"),
        ({"max_age": -1}, "max_age"),
        ({"replay": "backwards"}, "replay"),
    ]:
        with pytest.raises(ValueError, match=problem):
            Offline(**options)


async def test_an_argument_without_a_json_form_is_refused_at_once_and_holds_up_nobody() -> None:
    async with scripted(offline=Offline(queue=True)) as s:
        await go_offline(s)
        with pytest.raises(TypeError, match="no JSON form"):
            s.client.call("a/b", object())
        call = s.client.call("a/b", 1)
        await come_back(s)
        assert sent(s) == [1]
        s.socket.reply(s.socket.requests()[0], "ok")
        assert await call == "ok"


async def test_the_arguments_are_those_of_the_moment_of_the_call() -> None:
    async with scripted(offline=Offline(queue=True)) as s:
        await go_offline(s)
        items = ["milk"]
        call = s.client.call("a/b", items)
        items.append("tea")
        await come_back(s)
        assert sent(s) == [["milk"]]
        s.socket.reply(s.socket.requests()[0])
        assert await call is None
