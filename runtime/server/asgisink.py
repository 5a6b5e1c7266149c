"""A connection's way out over ASGI: one message per frame, in order, without a task while the server takes them.

Under uvicorn a `send` finishes without waiting unless the peer is behind. So it is driven here, in the loop's
callback, and only what really has to wait becomes a task; an idle or quick connection has none.

ASGI cannot drop a peer, and a close message waits behind what the peer does not read. Where the server gives a
`PeerLink` (ours does, see `runtime.server.uvicornlink`) a close has a deadline and `terminate` is at once; under any
other ASGI server such a peer stays until that server's own limits drop it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from runtime.core.sink import Frame
from runtime.wire import closing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence

    from starlette.types import Message, Receive, Send

    from runtime.core.connection import Connection
    from runtime.core.tasks import TaskOwner
    from runtime.server.fastpath.group import PeerGroup
    from runtime.server.fastpath.peer import FastPeer

__all__ = ["PEER_LINK", "AsgiSink", "PausableReceive", "PeerLink"]

logger = logging.getLogger("realtime.asgi")

#: Private scope extension, `{"link": PeerLink}`, of a server that can do more with the peer than ASGI says.
PEER_LINK = "realtime.peer"


class PeerLink(Protocol):
    """What a server can do with a peer beyond ASGI. Its `send` may be driven outside of a task."""

    def terminate(self) -> None:
        """Drop the peer at once, with whatever it has not read."""

    def close_within_bound(self) -> None:
        """Drop the peer in a few seconds unless it has gone by then."""

    def take_over(self, group: PeerGroup) -> FastPeer | None:
        """Give the transport of an accepted peer to the fast path; `None` when the peer has gone meanwhile."""

    def refused(self) -> None:
        """Note that the peer got an HTTP answer instead of its upgrade."""


class PausableReceive:
    """An ASGI `receive` that another task may interrupt: a close message of ours has to go out between two of them.

    Granian drops a `websocket.close` that is sent while the app waits in `receive`, and the peer hears nothing.
    """

    __slots__ = ("_go", "_interrupted", "_left", "_receive", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._go = asyncio.Event()
        self._go.set()
        self._left = asyncio.Event()

    async def __call__(self) -> Message:
        """Return the next message; a pause is waited out."""
        task = asyncio.current_task()
        while True:
            await self._go.wait()
            self._task = task
            self._left.clear()
            try:
                return await self._receive()
            except asyncio.CancelledError:
                if task is None or not self._take_interruption(task) or task.cancelling():
                    raise
            finally:
                self._task = None
                if task is not None:
                    self._take_interruption(task)
                self._left.set()

    async def pause(self) -> None:
        """Interrupt a `receive` that waits and let no other begin until `resume`."""
        self._go.clear()
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()
            await self._left.wait()

    def resume(self) -> None:
        """Let the next `receive` begin."""
        self._go.set()

    def _take_interruption(self, task: asyncio.Task[Any]) -> bool:
        if not self._interrupted:
            return False
        self._interrupted = False
        task.uncancel()
        return True


class AsgiSink:
    """Implements `runtime.core.sink.Sink` on an accepted ASGI WebSocket."""

    __slots__ = (
        "_buffered",
        "_connection",
        "_current",
        "_dead",
        "_direct",
        "_go",
        "_link",
        "_queue",
        "_reading",
        "_send",
        "_sending",
        "_tasks",
        "_watched",
        "closing",
    )

    #: ASGI takes messages and makes its own frames of them.
    transmit = None
    deflates = False

    def __init__(
        self,
        send: Send,
        tasks: TaskOwner,
        *,
        direct: bool,
        link: PeerLink | None = None,
        reading: PausableReceive | None = None,
    ) -> None:
        """Write through `send`; `direct` when its coroutine may be driven outside of a task (ours).

        `reading` pauses while the close message is sent.
        """
        self._send = send
        self._tasks = tasks
        self._direct = direct
        self._link = link
        self._reading = reading
        #: Code and reason that the server closed with, whether or not the peer could be told; `None` before.
        self.closing: tuple[int, str] | None = None
        self._queue: deque[Frame | tuple[int, str]] = deque()
        self._current: Frame | tuple[int, str] | None = None
        self._buffered = 0
        self._sending = False
        self._dead = False
        self._connection: Connection | None = None
        self._watched = False
        #: Set unless reading is paused; most peers never have one.
        self._go: asyncio.Event | None = None

    def attach(self, connection: Connection) -> None:
        """Note who is to be told when everything has gone out."""
        self._connection = connection

    def watch(self) -> None:
        """Tell the connection once every frame has been taken."""
        self._watched = True
        if not self._buffered:
            asyncio.get_running_loop().call_soon(self._emptied)

    def pause_reading(self) -> None:
        """Let `readable` wait; what the server has read already stays with it."""
        if self._go is None and not self._dead:
            self._go = asyncio.Event()

    def resume_reading(self) -> None:
        """End the pause."""
        go, self._go = self._go, None
        if go is not None:
            go.set()

    async def readable(self) -> None:
        """Return when the next message may be received."""
        while self._go is not None:
            await self._go.wait()

    def ping(self, payload: bytes) -> None:
        """Do nothing: ASGI has no pings, the server sends its own."""

    def _emptied(self) -> None:
        if self._watched and not self._buffered and self._connection is not None:
            self._watched = False
            self._connection.drained()

    @property
    def buffered(self) -> int:
        """Bytes of frames whose `send` has not returned."""
        return self._buffered

    def write(self, frames: Sequence[Frame]) -> None:
        """Send `frames` behind everything before."""
        if self._dead:
            return
        self._queue.extend(frames)
        for frame in frames:
            self._buffered += frame.size
        self._pump()

    def close(self, code: int, reason: str) -> None:
        """Send the close message behind everything before; a peer that does not take it in time is dropped."""
        if self._dead:
            return
        self.closing = code, reason
        self.resume_reading()  # the peer's answer has to be read
        self._queue.append(self.closing)
        if self._link is not None:
            self._link.close_within_bound()
        self._pump()

    def terminate(self) -> None:
        """Forget what waits and drop the peer; without a link close with 1011, which is all that ASGI offers."""
        if self._link is not None:
            self.lost()
            self.closing = closing.ABNORMAL, ""
            self._link.terminate()
            return
        self._queue.clear()
        self._buffered = self._current.size if isinstance(self._current, Frame) else 0
        self.close(closing.INTERNAL_ERROR, "")

    def lost(self) -> None:
        """Note that the peer is gone: nothing is sent any more."""
        self._dead = True
        self._queue.clear()
        self._buffered = 0
        self.resume_reading()

    def _pump(self) -> None:
        if self._sending:
            return
        if not self._direct:
            self._continue_in_task(None)
            return
        self._sending = True
        while self._queue and not self._dead:
            try:
                sending = self._start_next()
                waits_for = sending.send(None)
            except StopIteration:
                self._sent()
            except Exception as error:
                self._failed(error)
            else:
                self._continue_in_task(_Started(sending, waits_for))
                return
        self._sending = False

    def _continue_in_task(self, started: _Started | None) -> None:
        if self._tasks.closed:
            self.lost()
            return
        self._sending = True
        self._tasks.start(self._drain(started), name="send")

    async def _drain(self, started: _Started | None) -> None:
        try:
            if started is not None:
                await started
                self._sent()
            while self._queue and not self._dead:
                if self._reading is not None and isinstance(self._queue[0], tuple):
                    await self._reading.pause()
                await self._start_next()
                self._sent()
        except asyncio.CancelledError:
            self.lost()
            raise
        except Exception as error:
            self._failed(error)
        finally:
            self._sending = False
            if self._reading is not None:
                self._reading.resume()

    def _start_next(self) -> Coroutine[Any, Any, None]:
        head = self._current = self._queue.popleft()
        if isinstance(head, tuple):
            code, reason = head
            message: dict[str, Any] = {"type": "websocket.close", "code": code, "reason": reason}
        else:
            message = {"type": "websocket.send", "text": head.text}
        coroutine: Any = self._send(message)
        return coroutine  # type: ignore[no-any-return]  # ASGI says awaitable, servers give coroutines

    def _sent(self) -> None:
        sent, self._current = self._current, None
        if isinstance(sent, tuple):
            self.lost()
        elif sent is not None and not self._dead:
            self._buffered -= sent.size
            if self._watched and not self._buffered:
                asyncio.get_running_loop().call_soon(self._emptied)

    def _failed(self, error: Exception) -> None:
        # The server says so when the peer left first; the receive side reports the close.
        logger.debug("a frame could not be sent: %s", error)
        self.lost()


class _Started:
    """A coroutine that ran up to its first wait, to be awaited for the rest."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            advance: Callable[[Any], Any]
            value: Any
            try:
                value = yield waits_for
            except BaseException as error:
                advance, value = self._coroutine.throw, error
            else:
                advance = self._coroutine.send
            try:
                waits_for = advance(value)
            except StopIteration:
                return
