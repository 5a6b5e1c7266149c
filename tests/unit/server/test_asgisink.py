"""A connection's way out over ASGI, stepped by hand: order, what waits, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.core.sink import Frame
from runtime.core.tasks import TaskOwner
from runtime.server.asgisink import AsgiSink
from tests.server.peers import turns


class Server:
    """An ASGI server whose `send` waits as often as the test says before it takes a message."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.waits = 0
        self.fails: Exception | None = None
        self.running = 0
        self.cancelled = 0
        self._gates: list[asyncio.Event] = []

    async def send(self, message: Any) -> None:
        assert self.running == 0, "one send at a time"
        self.running += 1
        try:
            for _ in range(self.waits):
                gate = asyncio.Event()
                self._gates.append(gate)
                await gate.wait()
            if self.fails is not None:
                raise self.fails
            self.taken.append(message.get("text", (message.get("code"), message.get("reason"))))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def go_on(self) -> None:
        for gate in self._gates:
            gate.set()
        self._gates.clear()
        await turns()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def tasks() -> AsyncIterator[TaskOwner]:
    owner = TaskOwner("sends")
    yield owner
    await owner.close()


@pytest.fixture(params=[True, False], ids=["direct", "in a task"])
def sink(request: pytest.FixtureRequest, server: Server, tasks: TaskOwner) -> AsgiSink:
    return AsgiSink(server.send, tasks, direct=request.param)


def frames(*texts: str) -> list[Frame]:
    return [Frame(text.encode()) for text in texts]


async def test_a_server_that_takes_everything_gets_it_without_a_task(
    server: Server, tasks: TaskOwner
) -> None:
    sink = AsgiSink(server.send, tasks, direct=True)
    sink.write(frames("1", "2"))
    sink.close(1000, "bye")
    assert server.taken == ["1", "2", (1000, "bye")]
    assert (tasks.running, sink.buffered) == (0, 0)


async def test_frames_leave_in_order_and_are_counted_until_they_are_taken(
    server: Server, sink: AsgiSink
) -> None:
    server.waits = 2
    sink.write(frames("one", "two"))
    await turns()
    sink.write(frames("three!"))
    assert (server.taken, sink.buffered) == ([], 12)
    await server.go_on()
    assert (server.taken, sink.buffered) == ([], 12)
    await server.go_on()
    assert (server.taken, sink.buffered) == (["one"], 9)
    server.waits = 0
    await server.go_on()
    await server.go_on()
    assert (server.taken, sink.buffered) == (["one", "two", "three!"], 0)
    sink.write(frames("four"))
    await turns()
    assert server.taken[-1] == "four"


async def test_a_send_that_waits_at_once_goes_on_in_one_task(server: Server, tasks: TaskOwner) -> None:
    sink = AsgiSink(server.send, tasks, direct=True)
    sink.write(frames("1"))
    assert tasks.running == 0
    server.waits = 1
    sink.write(frames("2", "3"))
    sink.write(frames("4"))
    assert tasks.running == 1
    server.waits = 0
    await server.go_on()
    assert server.taken == ["1", "2", "3", "4"]
    assert tasks.running == 0


async def test_the_close_comes_behind_what_waits_and_nothing_behind_it(
    server: Server, sink: AsgiSink
) -> None:
    server.waits = 1
    sink.write(frames("1", "2"))
    sink.close(1001, "Server shutting down")
    sink.write(frames("too late"))
    await turns()
    for _ in range(6):
        await server.go_on()
    assert server.taken == ["1", "2", (1001, "Server shutting down")]
    assert sink.buffered == 0
    sink.close(1000, "again")
    sink.write(frames("more"))
    await turns()
    assert len(server.taken) == 3


async def test_terminating_forgets_what_waits_and_still_closes(server: Server, sink: AsgiSink) -> None:
    server.waits = 1
    sink.write(frames("on its way", "forgotten"))
    await turns()
    sink.terminate()
    assert sink.buffered == len("on its way")
    for _ in range(4):
        await server.go_on()
    assert server.taken == ["on its way", (1011, "")]
    assert sink.buffered == 0


async def test_terminating_an_idle_sink_closes(server: Server, sink: AsgiSink) -> None:
    sink.terminate()
    await turns()
    assert server.taken == [(1011, "")]


@pytest.mark.parametrize("waits", [0, 1])
async def test_a_failing_send_ends_it_quietly(server: Server, sink: AsgiSink, waits: int) -> None:
    server.waits = waits
    server.fails = RuntimeError("Cannot call send once a close message has been sent")
    sink.write(frames("1", "2"))
    await turns()
    await server.go_on()
    assert (server.taken, sink.buffered) == ([], 0)
    server.fails, server.waits = None, 0
    sink.write(frames("3"))
    sink.close(1000, "")
    await turns()
    assert server.taken == []


async def test_a_server_whose_send_is_no_coroutine_function_may_fail_too(tasks: TaskOwner) -> None:
    def send(message: Any) -> Any:
        raise RuntimeError("not now")

    for direct in (True, False):
        sink = AsgiSink(send, tasks, direct=direct)
        sink.write(frames("1"))
        await turns()
        assert sink.buffered == 0


async def test_a_lost_peer_is_sent_nothing_more(server: Server, sink: AsgiSink) -> None:
    server.waits = 1
    sink.write(frames("on its way", "waiting"))
    await turns()
    sink.lost()
    assert sink.buffered == 0
    server.waits = 0
    await server.go_on()
    assert server.taken == ["on its way"]
    assert sink.buffered == 0
    sink.terminate()
    sink.write(frames("more"))
    await turns()
    assert server.taken == ["on its way"]


async def test_cancelling_reaches_the_send_that_waits(
    server: Server, sink: AsgiSink, tasks: TaskOwner
) -> None:
    server.waits = 2
    sink.write(frames("1", "2"))
    await turns()
    await server.go_on()
    await tasks.close()
    assert (server.cancelled, server.running) == (1, 0)
    sink.write(frames("3"))
    await turns()
    assert (server.taken, sink.buffered) == ([], 0)


async def test_an_owner_that_is_closed_means_the_peer_is_lost(
    server: Server, sink: AsgiSink, tasks: TaskOwner
) -> None:
    await tasks.close()
    server.waits = 1
    sink.write(frames("1"))
    assert sink.buffered == 0
    assert server.taken == []


async def test_a_send_that_writes_more_keeps_the_order(tasks: TaskOwner) -> None:
    taken: list[str] = []

    async def send(message: Any) -> None:
        taken.append(message["text"])
        if message["text"] == "1":
            sink.write(frames("3"))

    sink = AsgiSink(send, tasks, direct=True)
    sink.write(frames("1", "2"))
    assert taken == ["1", "2", "3"]


class Link:
    """What a server that can drop peers was asked to do."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def terminate(self) -> None:
        self.asked.append("terminate")

    def close_within_bound(self) -> None:
        self.asked.append("close")


async def test_with_a_link_a_close_has_a_deadline_though_the_message_waits(
    server: Server, tasks: TaskOwner
) -> None:
    link = Link()
    sink = AsgiSink(server.send, tasks, direct=True, link=link)
    server.waits = 1
    sink.write(frames("not read"))
    sink.close(4403, "kicked")
    assert (server.taken, link.asked, sink.closing) == ([], ["close"], (4403, "kicked"))


async def test_with_a_link_terminating_is_at_once_and_sends_nothing(server: Server, tasks: TaskOwner) -> None:
    link = Link()
    sink = AsgiSink(server.send, tasks, direct=True, link=link)
    server.waits = 1
    sink.write(frames("on its way", "forgotten"))
    sink.terminate()
    assert (link.asked, sink.buffered, sink.closing) == (["terminate"], 0, (1006, ""))
    server.waits = 0
    await server.go_on()
    assert server.taken == ["on its way"]
