"""One connected peer: who it is, what it is subscribed to, and its ordered way out.

Spec: platform 2.1, wire 3.4.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any

from runtime.core.sink import Frame, Sink
from runtime.wire import envelope, jsoncodec

if TYPE_CHECKING:
    from runtime.core.metrics import Metrics
    from runtime.core.outbox import TurnOutbox
    from runtime.core.platform import Platform
    from runtime.core.subscriptions import Subscriptions

__all__ = ["Connection", "SendResult", "Signal"]

# A close reason travels in a control frame of at most 125 bytes, two of which are the code (RFC 6455, 5.5).
MAX_CLOSE_REASON_BYTES = 123
ALLOWED_CLOSE_CODES = frozenset({1000, 1001, 1008, 1011, 1012, 1013})


class SendResult(enum.IntEnum):
    """What became of a frame. Compare by name: `SENT` is 0 and so false."""

    SENT = 0
    QUEUED = 1
    DROPPED = 2


class Signal:
    """Tells a running call that nobody waits for it any more. Spec: design page, translation rule 4."""

    __slots__ = ("_event", "reason")

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        self.reason: Any = None

    @property
    def aborted(self) -> bool:
        """Whether the signal has fired."""
        return self.reason is not None

    def abort(self, reason: Any) -> None:
        """Fire once with `reason`; later calls change nothing."""
        if self.reason is None:
            self.reason = reason
            if self._event is not None:
                self._event.set()

    async def wait(self) -> Any:
        """Wait until the signal fires and return its reason. Without a bound: the caller's own task is the bound."""
        if self.reason is None:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
        return self.reason


class Connection:
    """A peer with a session id. Made by the server for every accepted WebSocket; usable in the loop's thread only."""

    __slots__ = (
        "_dropped",
        "_max_backpressure",
        "_metrics",
        "_outbox",
        "_pending",
        "_pending_bytes",
        "_platform",
        "_sink",
        "_subscriptions",
        "all_topics",
        "caps",
        "closed",
        "frames_out",
        "granted",
        "has_user",
        "id",
        "is_secure",
        "last_out",
        "opened_at",
        "origin",
        "path",
        "quiet_sweeps",
        "remote_address",
        "request_id",
        "signal",
        "stream_topics",
        "user_data",
        "wire_topics",
    )

    def __init__(
        self,
        *,
        id: str,
        sink: Sink,
        outbox: TurnOutbox,
        subscriptions: Subscriptions,
        platform: Platform,
        metrics: Metrics,
        max_backpressure: int,
        opened_at: float,
        user_data: Any = None,
        has_user: bool = True,
        request_id: str = "",
        remote_address: str = "",
        origin: str | None = None,
        path: str = "/ws",
        is_secure: bool = False,
    ) -> None:
        self.id = id
        self.user_data = user_data
        #: Whether the `upgrade` hook named somebody; `ctx.user` is `None` otherwise (live-api 2).
        self.has_user = has_user
        self.request_id = request_id
        self.remote_address = remote_address
        self.origin = origin
        self.path = path
        self.is_secure = is_secure
        self.opened_at = opened_at
        self.caps: frozenset[str] = frozenset()
        self.closed = False
        self.signal = Signal()
        #: Every topic held, by whatever door; `granted` are those that went through the gate.
        self.all_topics: set[str] = set()
        self.granted: set[str] = set()
        #: Topics that a subscribe frame of the client took, and those that a stream request put it on.
        self.wire_topics: set[str] = set()
        self.stream_topics: set[str] = set()
        self.frames_out = 0
        #: `frames_out` when the keepalive last looked; see `runtime.server.keepalive`.
        self.last_out = 0
        self.quiet_sweeps = 0
        self._sink = sink
        self._outbox = outbox
        self._subscriptions = subscriptions
        self._platform = platform
        self._metrics = metrics
        self._max_backpressure = max_backpressure
        self._pending: list[Frame] = []
        self._pending_bytes = 0
        self._dropped = 0

    def __repr__(self) -> str:
        return f"<Connection {self.id} {'closed' if self.closed else 'open'}>"

    @property
    def platform(self) -> Platform:
        """The platform as this connection sees it: its `request_id` is the connection's."""
        return self._platform.view(self.request_id)

    @property
    def user(self) -> Any:
        """What the `upgrade` hook returned, or `None` when there is no hook or it returned nothing."""
        return self.user_data if self.has_user else None

    @property
    def subscriptions(self) -> frozenset[str]:
        """Topics that were taken through the gate; raw ones are not in it."""
        return frozenset(self.granted)

    @property
    def buffered_amount(self) -> int:
        """Bytes accepted for sending and not yet taken by the operating system; 0 when closed."""
        return 0 if self.closed else self._pending_bytes + self._sink.buffered

    @property
    def dropped(self) -> int:
        """Frames this connection lost because its buffer was full."""
        return self._dropped

    def is_subscribed(self, topic: str) -> bool:
        """Return whether the connection gets publishes of `topic`, however it came to that."""
        return topic in self.all_topics

    def subscribe(self, topic: str) -> bool:
        """Put the connection on `topic` without asking the gate: for topics that the server decides about.

        Returns whether that changed anything; `False` when closed. Spec: platform 2.1.
        """
        return not self.closed and self._subscriptions.add(self, topic)

    def unsubscribe(self, topic: str) -> bool:
        """Take the connection off `topic`; return whether it was on it."""
        self.granted.discard(topic)
        self.wire_topics.discard(topic)
        self.stream_topics.discard(topic)
        return self._subscriptions.remove(self, topic)

    def write(self, frame: Frame, *, control: bool = False) -> SendResult:
        """Queue `frame` behind everything queued before; it leaves at the end of this loop turn.

        A connection whose buffer is at `max_backpressure` loses the frame and nobody else does; control frames and
        replies are let through up to twice that. Spec: platform 2.1.
        """
        if self.closed:
            return SendResult.DROPPED
        limit = self._max_backpressure
        buffered = self._pending_bytes + self._sink.buffered
        if buffered >= limit:
            # What is queued in this turn says nothing of the peer: hand it over and look at what stays behind.
            self.flush()
            buffered = self._sink.buffered
        if buffered >= limit and (not control or buffered >= 2 * limit):
            self._dropped += 1
            self._metrics.add("ws_frames_dropped_total", "control" if control else "publish")
            return SendResult.DROPPED
        pending = self._pending
        if not pending:
            self._outbox.mark(self)
        pending.append(frame)
        self._pending_bytes += frame.size
        return SendResult.SENT if buffered == 0 else SendResult.QUEUED

    def write_control(self, payload: bytes) -> SendResult:
        """Queue a control frame or a reply made of `payload`."""
        return self.write(Frame(payload), control=True)

    def send(self, data: str | bytes) -> SendResult:
        """Queue one raw text frame; `bytes` are taken as UTF-8 text, since a client reads nothing else (wire 1).

        Raises:
            ValueError: data that is no text.
        """
        frame = Frame(data.encode() if isinstance(data, str) else bytes(data).decode().encode())
        self._platform.flush()
        return self.write(frame)

    def send_event(self, topic: str, event: str, data: Any = None) -> SendResult:
        """Queue an envelope without a number for this peer alone."""
        self._platform.flush()
        return self.write(Frame(envelope.encode_envelope(topic, event, jsoncodec.encode(data), None)))

    def flush(self) -> None:
        """Hand what is queued to the transport now."""
        pending = self._pending
        if pending:
            self._pending = []
            self._pending_bytes = 0
            self.frames_out += len(pending)
            self._sink.write(pending)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection behind everything that was sent.

        Args:
            code: 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999; 1008, 4401 and 4403 stop the client for good.
            reason: clipped to 123 bytes of UTF-8.

        Raises:
            ValueError: a code that may not be sent.
        """
        if code not in ALLOWED_CLOSE_CODES and not 3000 <= code <= 4999:
            raise ValueError(f"code: {code} may not be sent; use 1000, 1001, 1008, 1011-1013 or 3000-4999")
        self.close_soon(code, reason)

    def close_soon(self, code: int, reason: str) -> None:
        """Do what `close` does, from code that cannot await; the code is not checked."""
        if self.closed:
            return
        self._platform.flush()
        self.flush()
        self.closed = True
        self._sink.close(code, clip_reason(reason))

    def terminate(self) -> None:
        """Drop the peer without a close frame; what is queued is lost."""
        if not self.closed:
            self.closed = True
            self._pending = []
            self._pending_bytes = 0
            self._sink.terminate()

    def mark_closed(self, reason: str) -> None:
        """Note that the transport is gone: nothing is written any more and running calls are told."""
        self.closed = True
        self._pending = []
        self._pending_bytes = 0
        self.signal.abort(reason)


def clip_reason(reason: str) -> str:
    """Return `reason` cut to what a close frame can hold, at a character boundary."""
    raw = reason.encode()
    return (
        reason if len(raw) <= MAX_CLOSE_REASON_BYTES else raw[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
    )
