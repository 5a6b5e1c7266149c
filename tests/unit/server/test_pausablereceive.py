"""An ASGI `receive` that is interrupted for a close message of ours, as granian needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.core.sink import Frame
from runtime.core.tasks import TaskOwner
from runtime.server.asgisink import AsgiSink, PausableReceive
from tests.server.peers import turns

TIMEOUT = 5.0


class Server:
    """An ASGI server that, like granian, loses a close message while the app waits in `receive`."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.receiving = 0
        self.begun = 0
        self.sent: list[Any] = []
        self.fails: Exception | None = None

    async def receive(self) -> Any:
        self.begun += 1
        self.receiving += 1
        try:
            message = await self.messages.get()
        finally:
            self.receiving -= 1
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: Any) -> None:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        if message["type"] == "websocket.close" and self.receiving:
            return
        self.sent.append(message.get("text", message.get("code")))


class App:
    """An app that reads until it hears of the end, and the task that it does so in."""

    def __init__(self, reading: PausableReceive) -> None:
        self.heard: list[Any] = []
        self.task = asyncio.ensure_future(self._read(reading))

    async def _read(self, reading: PausableReceive) -> None:
        while not self.heard or self.heard[-1] != "end":
            self.heard.append(await reading())

    async def ended(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            await self.task


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reading(server: Server) -> PausableReceive:
    return PausableReceive(server.receive)


@pytest.fixture
async def app(reading: PausableReceive) -> AsyncIterator[App]:
    """An app that waits for its first message."""
    made = App(reading)
    await turns()
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


@pytest.fixture
async def sink(server: Server, reading: PausableReceive) -> AsyncIterator[AsgiSink]:
    owner = TaskOwner("sends")
    yield AsgiSink(server.send, owner, direct=False, reading=reading)
    await owner.close()


async def test_messages_and_failures_of_the_server_come_through(server: Server, app: App) -> None:
    server.messages.put_nowait("one")
    server.messages.put_nowait("two")
    server.messages.put_nowait(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await app.ended()
    assert (app.heard, server.begun) == (["one", "two"], 3)


async def test_a_pause_ends_the_receive_that_waits_and_lets_none_begin(
    server: Server, reading: PausableReceive, app: App
) -> None:
    assert server.receiving == 1
    await reading.pause()
    server.messages.put_nowait("meanwhile")
    await turns()
    assert (server.receiving, server.begun, app.heard) == (0, 1, [])
    reading.resume()
    await turns()
    assert (server.receiving, app.heard) == (1, ["meanwhile"])  # nothing is lost, and the app noticed nothing
    assert app.task.cancelling() == 0
    server.messages.put_nowait("end")
    await app.ended()


async def test_a_message_that_came_just_before_the_pause_is_read_behind_it(
    server: Server, reading: PausableReceive, app: App
) -> None:
    server.messages.put_nowait("just before")  # the app is woken, and has not run yet
    await reading.pause()
    reading.resume()
    server.messages.put_nowait("end")
    await app.ended()
    assert app.heard == ["just before", "end"]


async def test_a_pause_while_nobody_receives_holds_the_next_one_back(
    server: Server, reading: PausableReceive
) -> None:
    await reading.pause()
    app = App(reading)
    await turns()
    assert server.begun == 0
    reading.resume()
    server.messages.put_nowait("end")
    await app.ended()
    assert app.heard == ["end"]


@pytest.mark.parametrize("when", ["waiting", "paused", "with the pause"])
async def test_who_cancels_the_app_is_obeyed(
    server: Server, reading: PausableReceive, app: App, when: str
) -> None:
    if when == "with the pause":
        pausing = asyncio.ensure_future(reading.pause())
        await asyncio.sleep(0)  # it has interrupted, the app has not run yet
        app.task.cancel()
        await pausing
    else:
        if when == "paused":
            await reading.pause()
        app.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await app.ended()
    assert server.receiving == 0
    reading.resume()


async def test_our_close_goes_out_between_two_receives(server: Server, sink: AsgiSink, app: App) -> None:
    sink.write([Frame(b"last words")])
    await turns()
    assert (server.sent, server.begun) == (["last words"], 1)  # a frame interrupts nothing
    sink.close(4000, "enough")
    await turns()
    assert server.sent == ["last words", 4000]
    assert (server.receiving, server.begun) == (1, 2)
    server.messages.put_nowait("end")  # the peer's answer to the close
    await app.ended()


async def test_a_close_that_cannot_be_sent_does_not_stop_the_reading(
    server: Server, sink: AsgiSink, app: App
) -> None:
    server.fails = RuntimeError("the peer has gone")
    sink.close(4000, "enough")
    server.messages.put_nowait("end")
    await app.ended()
    assert (app.heard, server.sent) == (["end"], [])
