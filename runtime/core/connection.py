"""One connected peer: who it is, what it is subscribed to, and its ordered way out.

Spec: platform 2.1, wire 3.4.
"""

from __future__ import annotations

import contextlib
import enum
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from runtime.core.errors import PayloadTooLarge
from runtime.core.outbox import BATCHES, DEFLATES, SLOW
from runtime.core.signal import Signal
from runtime.core.sink import Frame, Sink
from runtime.wire import closing, envelope, jsoncodec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Set

    from runtime.core.clock import TimerHandle
    from runtime.core.metrics import Metrics
    from runtime.core.outbox import Entry, TurnOutbox
    from runtime.core.platform import Platform
    from runtime.core.subscriptions import Subscriptions

__all__ = ["Connection", "SendResult"]

# A close reason travels in a control frame of at most 125 bytes, two of which are the code (RFC 6455, 5.5).
MAX_CLOSE_REASON_BYTES = 123
MAX_CONTROL_PAYLOAD = 125
MAX_LAGGED_TOPICS = 64  # topics that one `lagged` event names
ALLOWED_CLOSE_CODES = frozenset({1000, 1001, 1008, 1011, 1012, 1013})

NO_CAPS: frozenset[str] = frozenset()
NO_TOPICS: frozenset[str] = frozenset()


class SendResult(enum.IntEnum):
    """What became of a frame. Compare by name: `SENT` is 0 and so false."""

    SENT = 0
    QUEUED = 1
    DROPPED = 2


class Connection:
    """A peer with a session id. Made by the server for every accepted WebSocket; usable in the loop's thread only."""

    __slots__ = (
        "_caps",
        "_dropped",
        "_missed",
        "_missed_topics",
        "_outbox",
        "_own_bytes",
        "_platform",
        "_signal",
        "_sink",
        "_stall_timer",
        "_stalled",
        "_subscriptions",
        "_view",
        "all_topics",
        "bytes_in",
        "bytes_out",
        "closed",
        "coalesced",
        "granted",
        "has_user",
        "id",
        "is_secure",
        "lane",
        "max_backpressure",
        "messages_in",
        "messages_out",
        "metrics",
        "mode",
        "on_drain",
        "on_missed",
        "opened_at",
        "origin",
        "own",
        "path",
        "quiet_sweeps",
        "remote_address",
        "request_id",
        "requests",
        "spoke",
        "stream_topics",
        "transmit",
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
        self.closed = False
        self._caps: frozenset[str] = NO_CAPS
        self._signal: Signal | None = None
        #: Every topic held, by whatever door; `granted` are those that went through the gate.
        self.all_topics: set[str] = set()
        self.granted: Set[str] = NO_TOPICS
        #: Topics that a subscribe frame of the client took, and those that a stream request put it on.
        self.wire_topics: Set[str] = NO_TOPICS
        self.stream_topics: Set[str] = NO_TOPICS
        #: What came in, and what went out to this peer alone: topic fan-out is not in it. Spec: platform 1.7.
        self.messages_in = self.bytes_in = 0
        self.messages_out = self.bytes_out = 0
        #: Whether anything was written since the keepalive last looked; see `runtime.server.keepalive`.
        self.spoke = False
        self.quiet_sweeps = 0
        #: Open requests by ref (`runtime.core.requests`) and values that wait by key (`runtime.core.coalesce`).
        self.requests: dict[int, Any] | None = None
        self.coalesced: Any = None
        #: Called when everything has gone out after the buffer was over its limit.
        self.on_drain: Callable[[Connection], object] | None = None
        #: Called with the topics of events that the peer has missed, when it has been told of that.
        self.on_missed: Callable[[Connection, list[str]], object] | None = None
        self.max_backpressure = max_backpressure
        self.metrics = metrics
        #: Frames for this peer alone that wait for the end of the turn, each with its place in the turn.
        self.own: list[Entry] = []
        self._own_bytes = 0
        self._sink = sink
        self._outbox = outbox
        self._subscriptions = subscriptions
        self._platform = platform
        self._view: Platform | None = None
        self._dropped = 0
        self._missed = 0
        self._missed_topics: dict[str, int | None] | None = None
        self._stalled = False
        self._stall_timer: TimerHandle | None = None
        transmit = sink.transmit
        #: How joined frames are written where the transport takes them, in which form, and whether now.
        self.transmit: Callable[[bytes], object] = transmit or _cannot_transmit
        self.mode = DEFLATES if sink.deflates else 0
        self.lane = SLOW if transmit is None else self.mode
        sink.attach(self)

    def __repr__(self) -> str:
        return f"<Connection {self.id} {'closed' if self.closed else 'open'}>"

    @property
    def platform(self) -> Platform:
        """The platform as this connection sees it, always the same object: its `request_id` is the connection's."""
        view = self._view
        if view is None:
            view = self._view = self._platform.view(self.request_id)
        return view

    @property
    def user(self) -> Any:
        """What the `upgrade` hook returned, or `None` when there is no hook or it returned nothing."""
        return self.user_data if self.has_user else None

    @property
    def caps(self) -> frozenset[str]:
        """What the client announced that it understands (wire 1.7)."""
        return self._caps

    @caps.setter
    def caps(self, announced: frozenset[str]) -> None:
        self._caps = announced
        mode = (self.mode & ~BATCHES) | (BATCHES if "batch" in announced else 0)
        if self.lane == self.mode:
            self.lane = mode
        self.mode = mode

    @property
    def signal(self) -> Signal:
        """Fires when the connection is gone, for calls that run for it."""
        signal = self._signal
        if signal is None:
            signal = self._signal = Signal()
        return signal

    @property
    def subscriptions(self) -> frozenset[str]:
        """Topics that were taken through the gate; raw ones are not in it."""
        return frozenset(self.granted)

    @property
    def buffered_amount(self) -> int:
        """Bytes accepted for sending and not yet taken by the operating system; 0 when closed."""
        if self.closed:
            return 0
        return self._own_bytes + self._published_bytes() + self._sink.buffered

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
        self.note(topic, granted=False, wire=False, stream=False)
        return self._subscriptions.remove(self, topic)

    def note(
        self, topic: str, *, granted: bool | None = None, wire: bool | None = None, stream: bool | None = None
    ) -> None:
        """Note by which doors the connection holds `topic`: `True` adds, `False` takes away, `None` leaves.

        Most connections use few of the doors, so their sets exist only once they hold something.
        """
        self.granted = _noted(self.granted, topic, granted)
        self.wire_topics = _noted(self.wire_topics, topic, wire)
        self.stream_topics = _noted(self.stream_topics, topic, stream)

    def write(self, frame: Frame, *, control: bool = False) -> SendResult:
        """Queue `frame` behind everything queued before; it leaves at the end of this loop turn.

        A connection whose buffer is at `max_backpressure` loses the frame and nobody else does; control frames and
        replies are let through up to twice that. Spec: platform 2.1.
        """
        if self.closed:
            return SendResult.DROPPED
        limit = self.max_backpressure
        waiting = self._sink.buffered
        if self._own_bytes + waiting >= limit:
            # What is queued in this turn says nothing of the peer: hand it over and look at what stays behind.
            self.flush()
            waiting = self._sink.buffered
            if waiting >= limit and (not control or waiting >= 2 * limit):
                self._drop(frame, "control" if control else "publish")
                return SendResult.DROPPED
        self.queue(frame)
        if not waiting:
            return SendResult.SENT
        if self.coalesced:
            self._sink.watch()
        return SendResult.QUEUED

    def write_control(self, payload: bytes) -> SendResult:
        """Queue a control frame or a reply made of `payload`."""
        return self.write(Frame(payload), control=True)

    def reply(self, frame: Frame) -> None:
        """Queue the reply to a call: as `write(control=True)`, without looking where nothing waits."""
        if self.lane < 0 or self._own_bytes >= self.max_backpressure:
            self.write(frame, control=True)
        else:
            self.queue(frame)

    def queue(self, frame: Frame) -> None:
        """Queue `frame`, whatever waits already."""
        own = self.own
        if not own:
            if self.closed:
                return
            self._outbox.mark(self)
        own.append((self._outbox.position, frame, 0))
        size = frame.size
        self._own_bytes += size
        if frame.topic is None:  # what a topic's subscribers get is not the connection's own (platform 1.7)
            self.messages_out += 1
            self.bytes_out += size

    def write_held(self, frames: Sequence[Frame]) -> None:
        """Queue published frames that were kept back; they count as deliveries now."""
        sent = [frame.size for frame in frames if self.write(frame) is not SendResult.DROPPED]
        if sent:
            self.metrics.add("ws_deliveries_total", amount=len(sent))
            self.metrics.add("ws_bytes_out_total", amount=sum(sent))

    def send(self, data: str | bytes) -> SendResult:
        """Queue one raw text frame; `bytes` are UTF-8 text that is encoded already.

        No client reads a binary frame, so none is ever sent (wire 1): raw bytes travel as base64, for example in the
        data of an event, which makes that of them by itself.

        Raises:
            TypeError: data of another type.
            ValueError: data that is no text.
            PayloadTooLarge: a frame that clients drop for its size.
        """
        frame = Frame(_text_of(data))
        limit = self._platform.parts.publisher.max_frame
        if envelope.exceeds_outbound(frame.payload, limit):
            raise PayloadTooLarge(f"the frame has {frame.size} bytes and clients drop frames above {limit}")
        self._platform.flush()
        return self.write(frame)

    def send_event(self, topic: str, event: str, data: Any = None) -> SendResult:
        """Queue an envelope without a number for this peer alone: `platform.send(self, ...)`."""
        return self._platform.send(self, topic, event, data)

    def ping(self, payload: bytes = b"") -> None:
        """Send a protocol ping of at most 125 bytes; nothing happens on a plain ASGI server (platform 2.9).

        Raises:
            ValueError: a payload that is too long.
        """
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(
                f"payload: a ping carries at most {MAX_CONTROL_PAYLOAD} bytes, not {len(payload)}"
            )
        if not self.closed:
            self._sink.ping(payload)

    def pause_reading(self) -> None:
        """Take nothing more of what the peer sends; whoever calls this calls `resume_reading` within a bounded time."""
        if not self.closed:
            self._sink.pause_reading()

    def resume_reading(self) -> None:
        """Take again what the peer sends."""
        self._sink.resume_reading()

    @contextlib.contextmanager
    def cork(self) -> Iterator[None]:
        """Let what is sent inside leave as one transport write, when the block ends; otherwise the turn's end does it.

        On a plain ASGI server every frame is a message of its own (platform 2.9).
        """
        try:
            yield
        finally:
            self._platform.flush()
            self.flush()

    def flush(self) -> None:
        """Hand what is queued to the transport now, with what was published before it."""
        if self._outbox.has_published:
            self._outbox.flush()
        else:
            self.send_own()

    def send_own(self) -> None:
        """Hand the frames for this peer alone to the transport; for the outbox, which sees to the order."""
        own = self.own
        if not own:
            return
        self.own = []
        self._own_bytes = 0
        self.spoke = True
        lane = self.lane
        if lane < 0:
            self._sink.write([entry[1] for entry in own])
        elif len(own) == 1:
            frame = own[0][1]
            self.transmit(frame.deflated if lane & DEFLATES else frame.wire)
        elif lane & DEFLATES:
            self.transmit(b"".join([entry[1].deflated for entry in own]))
        else:
            self.transmit(b"".join([entry[1].wire for entry in own]))

    def deliver(self, published: list[Entry]) -> None:
        """Hand over `published` frames and the connection's own ones in the order in which they were made.

        A published frame that finds the buffer full is dropped, after what is before it was handed over.
        """
        if self.closed:
            return
        entries = published
        if self.own:
            # At equal places the own frame came first: its place is that of the publish to come.
            entries = sorted([*self.own, *published], key=itemgetter(0))
            self.own = []
            self._own_bytes = 0
        self.spoke = True
        sink, limit = self._sink, self.max_backpressure
        ready: list[Frame] = []
        size, waiting = 0, sink.buffered
        for _, frame, _ in entries:
            if size + waiting >= limit and frame.topic is not None:
                if ready:
                    sink.write(ready)
                    ready, size = [], 0
                    waiting = sink.buffered
                if waiting >= limit:
                    self._drop(frame, "publish")
                    continue
            ready.append(frame)
            size += frame.size
        if ready:
            sink.write(ready)

    def watch(self) -> None:
        """Have `drained` called once everything handed over has gone out, also if the buffer is not over its limit."""
        self._sink.watch()

    def stalled(self) -> None:
        """Note that the buffer is over its limit; from the transport, or when a frame had to be dropped."""
        self.lane = SLOW
        if self._stalled or self.closed:
            return
        self._stalled = True
        limit = self._outbox.stall_limit
        if limit:
            self._stall_timer = self._outbox.clock.call_later(limit, self._stalled_too_long)

    def drained(self) -> None:
        """Note that everything handed over has gone out. Spec: platform 1.7 `drain` and 2.1."""
        if self.closed:
            return
        if self.transmit is not _cannot_transmit:
            self.lane = self.mode
        if self.coalesced:
            self.coalesced.pump(self)
        if not self._stalled:
            return
        self._stalled = False
        self._end_stall_timer()
        if self._missed:
            self._tell_missed()
        if self.on_drain is not None:
            self.on_drain(self)

    def _drop(self, frame: Frame, kind: str) -> None:
        self._dropped += 1
        self.metrics.add("ws_frames_dropped_total", kind)
        self._missed += 1
        if self._missed_topics is None:
            self._missed_topics = {}
        for part in frame.parts or (frame,):
            if part.topic is not None and len(self._missed_topics) <= MAX_LAGGED_TOPICS:
                # The number before the first one that was missed is the last one that the peer has.
                self._missed_topics.setdefault(part.topic, None if part.seq is None else part.seq - 1)
        self.stalled()
        self._sink.watch()

    def lose(self, topic: str, last: int, count: int) -> None:
        """Note that `count` events of `topic` behind number `last` can no longer be delivered; the peer is told as of
        frames that were dropped: now, or when it has caught up.
        """
        self._dropped += count
        self.metrics.add("ws_frames_dropped_total", "publish", amount=count)
        self._missed += count
        if self._missed_topics is None:
            self._missed_topics = {}
        if len(self._missed_topics) <= MAX_LAGGED_TOPICS:
            self._missed_topics.setdefault(topic, last)
        if not self._stalled and not self.closed:
            self._tell_missed()

    def _tell_missed(self) -> None:
        """Tell the peer once what it has missed. Spec: platform 2.1."""
        missed = self._missed_topics or {}
        topics = {topic: seq for topic, seq in missed.items() if seq is not None}
        data: dict[str, Any] = {
            "dropped": self._missed,
            "topics": dict(list(topics.items())[:MAX_LAGGED_TOPICS]),
        }
        if len(missed) > MAX_LAGGED_TOPICS:
            data["more"] = True
        self._missed = 0
        self._missed_topics = None
        payload = envelope.encode_envelope("__realtime", "lagged", jsoncodec.encode(data), None)
        self.write_control(payload)
        if self.on_missed is not None:
            self.on_missed(self, list(missed))

    def _stalled_too_long(self) -> None:
        self._stall_timer = None
        self.close_soon(closing.TRY_AGAIN_LATER, "Too slow")

    def _end_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _published_bytes(self) -> int:
        """Return the bytes of this turn's publishes that this connection is to get and has not been handed."""
        busy = self._subscriptions.busy
        if not busy:
            return 0
        mine = self.all_topics & busy.keys()
        return sum(entry[1].size for topic in mine for entry in busy[topic])

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection behind everything that was sent.

        Args:
            code: 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999; 1008, 4401 and 4403 stop the client for good.
            reason: clipped to 123 bytes of UTF-8; what has no UTF-8 form becomes `?`.

        Raises:
            ValueError: a code that may not be sent. TypeError: a reason that is no string.
        """
        if code not in ALLOWED_CLOSE_CODES and not 3000 <= code <= 4999:
            raise ValueError(f"code: {code} may not be sent; use 1000, 1001, 1008, 1011-1013 or 3000-4999")
        if not isinstance(reason, str):
            raise TypeError(f"reason: must be a string, not {reason!r}")
        self.close_soon(code, reason)

    def close_soon(self, code: int, reason: str) -> None:
        """Do what `close` does, from code that cannot await; the code is not checked."""
        if self.closed:
            return
        self._platform.flush()
        self.flush()
        self._ended()
        self._sink.close(code, clip_reason(reason))

    def terminate(self) -> None:
        """Drop the peer without a close frame; what is queued is lost."""
        if not self.closed:
            self._ended()
            self._sink.terminate()

    def mark_closed(self, reason: str) -> None:
        """Note that the transport is gone: nothing is written any more and running calls are told."""
        self._ended()
        self.signal.abort(reason)

    def _ended(self) -> None:
        self.closed = True
        self.lane = SLOW
        self.own = []
        self._own_bytes = 0
        self._end_stall_timer()


def clip_reason(reason: str) -> str:
    """Return `reason` cut to what a close frame can hold, at a character boundary."""
    raw = reason.encode(errors="replace")  # a lone surrogate is no text; the peer still has to be told
    return raw[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore")


def _text_of(data: object) -> bytes:
    """Return the payload of a text frame.

    Raises:
        TypeError, ValueError: saying what is wrong with `data`, and what to send instead.
    """
    if isinstance(data, str):
        return data.encode()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data: must be str or bytes of UTF-8 text, not {type(data).__name__}")
    payload = bytes(data)
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"data: {len(payload)} bytes that are no UTF-8 text ({error}); a client reads text frames only, "
            "so send base64 text or an event that holds the bytes"
        ) from None
    return payload


def _noted(topics: Set[str], topic: str, on: bool | None) -> Set[str]:
    if on is None:
        return topics
    if isinstance(topics, set):
        if on:
            topics.add(topic)
        else:
            topics.discard(topic)
        return topics
    return {topic} if on else topics


def _cannot_transmit(data: bytes) -> None:
    raise RuntimeError("this transport makes its own frames")
