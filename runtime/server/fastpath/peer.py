"""One connection on a bare transport: no task, no queue, no message objects. Spec: platform 2.1; RFC 6455.

uvicorn does the handshake and the ASGI part; when our endpoint has accepted, the transport gets this protocol instead.
A published frame is then one `transport.write` of bytes that all peers share.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING

from runtime.server.fastpath.messages import Close, Failure, MessageReader, Ping
from runtime.wire import closing, framing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.core.clock import TimerHandle
    from runtime.core.connection import Connection
    from runtime.core.sink import Frame
    from runtime.server.fastpath.group import PeerGroup
    from runtime.server.fastpath.messages import Received
    from runtime.server.inbound import Inbound

__all__ = ["CLOSE_TIMEOUT", "MAX_PINGS_PER_SECOND", "RULES", "FastPeer"]

CLOSE_TIMEOUT = 5.0  # seconds that a peer has to read what is left and to answer the closing handshake
LINGER = 1.0  # seconds in which what a failed peer was still sending may arrive, where we cannot end our side alone
# Pieces up to this size are copied: reading a few bytes of `bytes` is quicker than of a view.
COPIED = 16 * 1024
MAX_PINGS_PER_SECOND = 100  # of one peer, beyond which it is closed. Spec: platform 5.14
# What `security_refusals_total` calls that for which a peer is closed; anything else is a frame against the protocol.
RULES = MappingProxyType({closing.POLICY_VIOLATION: "pings", closing.TOO_BIG: "message_size"})


class FastPeer(asyncio.BufferedProtocol):
    """The protocol of an accepted connection's transport, and its `runtime.core.sink.Sink`."""

    __slots__ = (
        "_answer",
        "_closing",
        "_connection",
        "_deadline",
        "_group",
        "_inbound",
        "_is_gone",
        "_is_held",
        "_is_opening",
        "_is_watched",
        "_left",
        "_ping_count",
        "_ping_since",
        "_reader",
        "_transport",
        "deflates",
        "heard",
        "quiet_sweeps",
        "transmit",
    )

    def __init__(
        self, transport: asyncio.Transport, group: PeerGroup, *, deflates: bool, answer: bytes = b""
    ) -> None:
        """Write to `transport`; the first write begins with `answer`, the 101 if that has not been sent."""
        self._transport = transport
        self._group = group
        self._reader = MessageReader(group.max_size, inflates=deflates)
        self._inbound: Inbound | None = None
        self._connection: Connection | None = None
        self._closing: tuple[int, str] | None = None
        self._deadline: TimerHandle | None = None
        self._is_gone = False
        self._is_opening = True
        self._is_held = False
        #: What had been read when reading was paused.
        self._left: Sequence[Received] = ()
        self._is_watched = False
        self._ping_since = 0.0
        self._ping_count = 0
        self.deflates = deflates
        self._answer = answer
        self.transmit: Callable[[bytes], object] = self._transmit_first if answer else transport.write
        #: Whether anything came since the group last looked, and how often it found that nothing had.
        self.heard = True
        self.quiet_sweeps = 0
        # The buffer is over its limit from `max_backpressure` on and counts as drained when it is empty.
        transport.set_write_buffer_limits(high=group.max_backpressure - 1, low=0)

    @property
    def is_closing(self) -> bool:
        """Whether the peer has been given its last seconds."""
        return self._deadline is not None

    @property
    def buffered(self) -> int:
        """Bytes that the operating system has not taken yet."""
        return 0 if self._is_gone else self._transport.get_write_buffer_size()

    def attach(self, connection: Connection) -> None:
        """Note whose frames these are."""
        self._connection = connection

    def _transmit_first(self, data: bytes) -> None:
        """Send `data` behind the 101: one write for both, since the welcome follows in the same turn of the loop."""
        answer, self._answer = self._answer, b""
        self.transmit = self._transport.write
        if self._connection is not None:
            self._connection.transmit = self.transmit
        self.transmit(answer + data)

    def serve(self, inbound: Inbound) -> None:
        """Hand what the peer sends to `inbound` from now on."""
        self._inbound = inbound

    def opened(self) -> None:
        """Read on: the `open` hook has returned."""
        self._is_opening = False
        if not self._is_gone and not self._is_held:
            self._transport.resume_reading()

    @property
    def is_held(self) -> bool:
        """Whether reading is paused because what the peer sends is not wanted yet."""
        return self._is_held

    def pause_reading(self) -> None:
        """Take nothing more of the peer, not even what has been read already, until `resume_reading`."""
        if not self._is_gone and self._closing is None and not self._is_held:
            self._is_held = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what is left of what had been read, in the next turn of the loop, and read on."""
        if self._is_held:
            self._is_held = False
            self.heard = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._is_held or self._is_gone:
            return
        left, self._left = self._left, ()
        self._take(left)
        if not self._is_held and not self._is_gone and not self._is_opening:
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the transport reads to: one buffer for all peers, since what is read is taken at once.

        A view, since TLS fills what it gets in slices.
        """
        return self._group.view

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the transport has read."""
        if nbytes <= COPIED:
            self.data_received(bytes(self._group.view[:nbytes]))
        else:
            self.data_received(self._group.view[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Take bytes of the peer."""
        self.heard = True
        if self._inbound is None:
            return
        found = self._reader.feed(data)
        if self._left or self._is_held:  # the transport had read this before it was told to pause
            self._left = [*self._left, *found]
            return
        self._take(found)
        if self._is_opening and not self._is_gone:
            # Nothing more is read while the `open` hook runs, so the peer's own sending has to wait (platform 1.7).
            self._transport.pause_reading()

    def _take(self, found: Sequence[Received]) -> None:
        for index, item in enumerate(found):
            inbound = self._inbound
            if inbound is None:
                return
            if item.__class__ is str or item.__class__ is bytes:
                inbound.feed(item)
                if self._is_held:
                    self._left = found[index + 1 :]
                    return
            else:
                self._control(item)

    def _control(self, item: object) -> None:
        if isinstance(item, Ping):
            self._answer_ping(item)
        elif isinstance(item, Close):
            self._answer_close(item)
        elif isinstance(item, Failure):
            self._fail(item.code, item.reason)

    def _answer_ping(self, ping: Ping) -> None:
        now = self._group.clock.monotonic()
        if now - self._ping_since >= 1.0:
            self._ping_since, self._ping_count = now, 0
        self._ping_count += 1
        if self._ping_count > MAX_PINGS_PER_SECOND:
            self._fail(closing.POLICY_VIOLATION, "too many pings")
        elif self._closing is None and self.buffered < self._group.max_backpressure:
            self.transmit(framing.encode_frame(framing.PONG, ping.payload))

    def _answer_close(self, close: Close) -> None:
        """End the connection: the peer closes, or answers our close."""
        if self._closing is None:
            self._closing = close.code, close.reason
            self.transmit(framing.encode_frame(framing.CLOSE, framing.close_payload(close.code, "")))
        self._transport.close()
        self._start_deadline()
        self._gone()

    def _fail(self, code: int, reason: str) -> None:
        """Tell the peer what it did wrong and wait for it to go; what it still sends is not looked at."""
        if self._closing is not None:
            self._transport.abort()
            return
        if self._connection is not None:
            self._connection.metrics.add("security_refusals_total", RULES.get(code, "frame"))
        self._write_close(code, reason)
        if self._transport.can_write_eof():
            # Closing with unread bytes would reset the connection and take the close frame with it.
            self._transport.write_eof()
        else:  # TLS has no half of a connection to close, and the peer may wait for our end before it goes
            self._group.clock.call_later(LINGER, self._transport.close)
        self._gone()

    def write(self, frames: Sequence[Frame]) -> None:
        """Send `frames` in one write."""
        if self._is_gone or self._closing is not None:
            return
        if self.deflates:
            self.transmit(b"".join([frame.deflated for frame in frames]))
        else:
            self.transmit(b"".join([frame.wire for frame in frames]))

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind everything before; a peer that does not answer it in time is dropped."""
        if self._closing is None and not self._is_gone:
            self.resume_reading()  # the peer's answer has to be read
            self._write_close(code, reason)

    def _write_close(self, code: int, reason: str) -> None:
        self._closing = code, reason
        self.transmit(framing.encode_frame(framing.CLOSE, framing.close_payload(code, reason)))
        self._start_deadline()

    def terminate(self) -> None:
        """Drop the peer at once, with whatever it has not read."""
        if self._closing is None:
            self._closing = closing.ABNORMAL, ""
        self._transport.abort()

    def shutdown(self) -> None:
        """Close because uvicorn stops; called by it."""
        if self._connection is not None:
            self._connection.close_soon(closing.GOING_AWAY, closing.SHUTDOWN_REASON)

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        if self._closing is None and not self._is_gone:
            self.transmit(framing.encode_frame(framing.PING, payload))

    def watch(self) -> None:
        """Have `drained` called once the operating system has taken everything."""
        if self._is_gone or self._is_watched:
            return
        self._is_watched = True
        if self.buffered:
            self._transport.set_write_buffer_limits(high=0, low=0)
        else:
            asyncio.get_running_loop().call_soon(self.resume_writing)

    def pause_writing(self) -> None:
        """Note that the buffer is over its limit; called by the transport, also while it is only being watched."""
        connection = self._connection
        if connection is not None and self.buffered >= self._group.max_backpressure:
            connection.stalled()

    def resume_writing(self) -> None:
        """Note that everything has gone out; called by the transport."""
        if self._is_watched:
            self._is_watched = False
            if not self._is_gone:
                self._transport.set_write_buffer_limits(high=self._group.max_backpressure - 1, low=0)
        if self._connection is not None:
            self._connection.drained()

    def eof_received(self) -> None:
        """Let the transport close itself: the peer sends nothing more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the transport is gone."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._gone()
        self._group.lost(self)

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self._group.clock.call_later(CLOSE_TIMEOUT, self._transport.abort)

    def _gone(self) -> None:
        """End everything that goes on for the peer, once."""
        if self._is_gone:
            return
        self._is_gone = True
        self._is_held = False
        self._left = ()
        code, reason = self._closing or (closing.ABNORMAL, "")
        inbound, self._inbound = self._inbound, None
        if inbound is not None:
            self._group.ended(inbound, code, reason)
