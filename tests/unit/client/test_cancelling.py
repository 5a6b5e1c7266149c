"""Whatever waits may be cancelled at any of its turns, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runtime.client import ClientOptions, Realtime
from runtime.client.client import Connecting
from runtime.testing import FakeClock
from tests.unit.client.scripted import LIST, Scripted, ScriptedTransport, answer, rows, scripted

pytestmark = pytest.mark.spec("LIVE-191")

TURNS = 12


async def cancel_after(turns: int, work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` for some turns of the loop, then cancel it; return its result if it came before."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()


@pytest.mark.parametrize("turns", range(TURNS))
async def test_connecting(turns: int) -> None:
    transport, clock = ScriptedTransport(), FakeClock()
    client = Realtime(
        "ws://test.example/ws", ClientOptions(), transport=transport, clock=clock, rng=random.Random(1)
    )
    opened = await cancel_after(turns, Connecting(client)._open())
    if opened is None:
        assert client.status.value in ("failed", "disconnected")
    await client.close()
    assert client._tasks.running == 0
    assert clock.pending == 0


@pytest.mark.parametrize("turns", range(TURNS))
async def test_closing(turns: int) -> None:
    async with scripted() as s:
        call = s.client.call("a/b")
        await cancel_after(turns, s.client.close())
        await s.client.close()
        assert s.client.status.value == "failed"
        assert s.client._tasks.running == 0
        assert isinstance(call.exception(), Exception)
        assert s.timers == 0


WAITS: dict[str, Callable[[Scripted, Any], Coroutine[Any, Any, Any]]] = {
    "ready": lambda s, stream: s.client.ready(),
    "stream ready": lambda s, stream: s.client.stream("a/other").ready(),
    "values": lambda s, stream: anext_of(s.client.stream("a/other").values()),
    "events": lambda s, stream: anext_of(stream.events()),
    "load more": lambda s, stream: stream.load_more(),
    "mutate": lambda s, stream: stream.mutate(asyncio.Event().wait, ("created", {"id": 2})),
    "call": lambda s, stream: awaited(s.client.call("a/b")),
    "batch": lambda s, stream: awaited(s.client.batch(lambda: [s.client.call("a/b"), s.client.call("a/c")])),
}


async def anext_of(feed: Any) -> Any:
    return await anext(feed)


async def awaited(value: Any) -> Any:
    return await value


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("wait", WAITS)
async def test_waiting(wait: str, turns: int) -> None:
    async with scripted(resume_grace=0) as s, s.client.stream(LIST) as stream:
        await answer(s, rows(1), hasMore=True, cursor="c")
        await cancel_after(turns, WAITS[wait](s, stream))
        assert stream.value == rows(1)
        gc.collect()
        await s.settle()
        assert not stream._state.events
        s.socket.publish("todos", "created", {"id": 9})
        await s.settle()
        assert stream.value == rows(1, 9)
        for request in s.socket.requests()[1:]:
            s.socket.reply(request, [], topic="todos", merge="crud", key="id")
        await s.settle()
        assert s.client._calls.waiting == 0
