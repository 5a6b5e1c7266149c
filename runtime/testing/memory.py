"""A connection without sockets: every frame is really encoded and decoded, and goes through the real pipeline."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from runtime.client.transport import Socket, SocketClosed, is_binary
from runtime.wire.closing import ABNORMAL, TOO_BIG

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from runtime.core.connection import Connection
    from runtime.core.sink import Frame, Sink
    from runtime.server.inbound import Inbound
    from runtime.testing.outbound import OutboundChaos

__all__ = ["MemorySink", "MemoryTransport"]

#: Frames that one connection's `log` keeps; then the oldest go.
MAX_LOGGED_FRAMES = 10_000


class MemorySink:
    """A `Sink` that keeps frames until the peer reads them; `log` has what was written, at most 10,000 frames."""

    def __init__(self) -> None:
        self.log: deque[str] = deque(maxlen=MAX_LOGGED_FRAMES)
        #: Whether the line was broken.
        self.is_cut = False
        #: Decides what becomes of frames; `None`: they arrive.
        self.chaos: OutboundChaos | None = None
        self._connection: Connection | None = None
        self._frames: asyncio.Queue[bytes | SocketClosed] = asyncio.Queue()
        self._closed = False
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def buffered(self) -> int:
        """Bytes that a scenario of `platform.chaos` lets wait; nothing else ever waits here."""
        return 0 if self.chaos is None else self.chaos.buffered(self)

    @property
    def transmit(self) -> None:
        """Frames stay what they are."""

    @property
    def deflates(self) -> bool:
        """Nothing is compressed."""
        return False

    def attach(self, connection: Connection) -> None:
        """Note whom to tell that what waited has gone out."""
        self._connection = connection

    def watch(self) -> None:
        """Whenever something has waited, its end is told."""

    def emptied(self) -> None:
        """Tell the connection that nothing waits any more."""
        if self._connection is not None and not self._closed:
            self._connection.drained()

    def pause_reading(self) -> None:
        """Let the peer's sending wait."""
        if not self._closed:
            self._wanted.clear()

    def resume_reading(self) -> None:
        """Let the peer send on."""
        self._wanted.set()

    async def wanted(self) -> None:
        """Return when the server takes another frame of the peer, or none any more."""
        await self._wanted.wait()

    def ping(self, payload: bytes) -> None:
        """No peer of the same process needs a ping."""

    def write(self, frames: Sequence[Frame]) -> None:
        """Hand frames to the peer."""
        if self._closed:
            return
        for frame in frames:
            if self.chaos is None:
                self.deliver(frame)
            else:
                self.chaos.send(self, frame)

    def deliver(self, frame: Frame) -> None:
        """Let one frame arrive."""
        if not self._closed:
            self.log.append(frame.text)
            self._frames.put_nowait(frame.payload)

    def close(self, code: int, reason: str) -> None:
        """Tell the peer that the server closes, behind what was written."""
        if not self._closed:
            if self.chaos is not None:
                self.chaos.release(self)
            self._closed = True
            self._wanted.set()
            self._frames.put_nowait(SocketClosed(code, reason))

    def terminate(self) -> None:
        """Cut the peer off."""
        self.close(ABNORMAL, "")

    def cut(self) -> None:
        """Break the line, as a network does: what is on its way is lost, and nobody says goodbye."""
        if not self._closed:
            self.is_cut = True
            if self.chaos is not None:
                self.chaos.lose(self)
            while not self._frames.empty():
                self._frames.get_nowait()
            self.terminate()

    async def read(self) -> bytes:
        """Return the next frame. Raises `SocketClosed` behind the last one."""
        item = await self._frames.get()
        if isinstance(item, SocketClosed):
            self._frames.put_nowait(item)
            raise item
        return item


class MemoryTransport:
    """A client's way to a runtime of the same process; `inbound` is the server's side of the newest connection.

    Args:
        open_inbound: makes the server's side of a connection.
        max_frame: bytes of a frame of the client; for a larger one the server closes, as `[websocket]
            max_payload_length` says.
        sent: told of each frame of the client.
        received: told of each frame of the server, when the client takes it.
    """

    def __init__(
        self,
        open_inbound: Callable[[Sink], Awaitable[Inbound]],
        max_frame: int,
        sent: Callable[[bytes], object] = lambda frame: None,
        received: Callable[[bytes], object] = lambda frame: None,
    ) -> None:
        self._open_inbound = open_inbound
        self._max_frame = max_frame
        self._sent = sent
        self._received = received
        self.sink: MemorySink | None = None
        self.inbound: Inbound | None = None

    async def open(self, cookies: str | None) -> Socket:
        """Return a new connection."""
        self.sink = MemorySink()
        self.inbound = await self._open_inbound(self.sink)
        return _MemorySocket(self.sink, self.inbound, self._max_frame, self._sent, self._received)


class _MemorySocket:
    def __init__(
        self,
        sink: MemorySink,
        inbound: Inbound,
        max_frame: int,
        sent: Callable[[bytes], object],
        received: Callable[[bytes], object],
    ) -> None:
        self._sink = sink
        self._inbound = inbound
        self._max_frame = max_frame
        self._sent = sent
        self._received = received

    @property
    def buffered(self) -> int:
        return 0

    async def send(self, frame: bytes) -> None:
        await self._sink.wanted()
        if self._sink.is_cut:
            raise SocketClosed(ABNORMAL, "")
        self._sent(frame)
        if len(frame) > self._max_frame:
            self._inbound.connection.close_soon(TOO_BIG, "Message too big")
            return
        self._inbound.feed(frame if is_binary(frame) else frame.decode())

    async def recv(self) -> bytes:
        try:
            frame = await self._sink.read()
        except SocketClosed as closed:
            await self._inbound.closed(closed.code, closed.reason)
            raise
        self._received(frame)
        return frame

    async def close(self, code: int, reason: str) -> None:
        self._sink.close(code, reason)
        await self._inbound.closed(code, reason)
