"""What a call returns can be handed to a task, and starts and ends all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runtime.client import Offline, PendingResult, Realtime, RpcError
from tests.unit.client.scripted import Scripted, scripted

pytestmark = pytest.mark.spec("LIVE-191")


async def answered(s: Scripted, *results: Any) -> None:
    await s.settle()
    for request, result in zip(s.socket.requests(), results, strict=True):
        s.socket.reply(request, result)
    await s.settle()


async def test_calls_in_a_task_group_start_at_once_and_in_order() -> None:
    async with scripted() as s:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(s.client.call("a/first"))
            plain = s.client.call("a/second")
            third = group.create_task(s.client.live.a.third())
            await answered(s, 1, 2, (3,))
            assert [call["rpc"] for call in s.socket.requests()] == ["a/first", "a/second", "a/third"]
        assert (first.result(), await plain, third.result()) == (1, 2, [3])


async def test_any_number_of_tasks_may_wait_for_one_call() -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        tasks = [asyncio.create_task(call), asyncio.create_task(call)]
        await answered(s, "done")
        assert [await tasks[0], await tasks[1], await call] == ["done"] * 3
        assert await asyncio.create_task(call) == "done"


async def test_a_call_that_fails_fails_its_task() -> None:
    async with scripted() as s:
        task = asyncio.create_task(s.client.call("a/b"))
        s.socket.refuse(await s.request("a/b"), "FORBIDDEN")
        with pytest.raises(RpcError, match="FORBIDDEN"):
            await task


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_cancelling_the_task_drops_the_answer(is_waiting: bool) -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        task = asyncio.create_task(call)
        if is_waiting:
            await s.settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert call.cancelled()
        await s.settle()
        assert s.client._calls.waiting == 0


MAKERS: list[Callable[[Realtime], PendingResult[Any]]] = [
    lambda rt: rt.call("a/b"),
    lambda rt: rt.call("a/b", fresh=False),
    lambda rt: rt.batch(lambda: [rt.call("a/b")]),
    lambda rt: rt.live.a.b(),
]


@pytest.mark.parametrize("make", MAKERS)
async def test_every_way_to_call_gives_such_a_result(make: Callable[[Realtime], PendingResult[Any]]) -> None:
    async with scripted() as s:
        task = asyncio.create_task(make(s.client))
        await answered(s, 7)
        assert await task in (7, [7])


async def test_a_call_that_waits_for_the_connection_too() -> None:
    async with scripted(offline=Offline(queue=True), opened=False) as s:
        task = asyncio.create_task(s.client.call("a/b"))
        await s.status("open")
        s.socket.reply(await s.request("a/b"), 7)
        assert await task == 7


async def test_it_is_a_future_as_well() -> None:
    async with scripted() as s:
        calls = [s.client.call("a/b", number) for number in range(3)]
        gathered = asyncio.gather(calls[0], asyncio.shield(calls[1]), asyncio.wait_for(calls[2], 5))
        heard: list[Any] = []
        calls[0].add_done_callback(heard.append)
        await answered(s, 1, 2, 3)
        assert await gathered == [1, 2, 3]
        assert heard == [calls[0]]
        done, _ = await asyncio.wait([asyncio.create_task(call) for call in calls])
        assert len(done) == 3
        late = s.client.call("a/b")
        late.close()
        assert late.cancelled()
