"""One stream subscription: its request, its topic, its value and what it does on loss, return and silence.

Spec: wire 5, 7.5; live-api 24.2 and 24.4.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.client.backoff import is_quick, stream_delay
from runtime.client.calls import Calls
from runtime.client.errors import CANCELLED, DISCONNECTED, LOAD_MORE_ERROR, STREAM_ERROR, RpcError
from runtime.client.options import ClientOptions
from runtime.client.stores import Listeners
from runtime.client.streamreply import ReplyKind, StreamReply, is_number
from runtime.client.streamvalue import StreamValue
from runtime.client.topics import Mark, TopicEvent, Topics
from runtime.core import capacity
from runtime.core.clock import Clock
from runtime.live.merge import Merger

if TYPE_CHECKING:
    from runtime.client.calls import Request
    from runtime.client.history import History
    from runtime.core.clock import TimerHandle

__all__ = ["StreamEvent", "StreamPorts", "StreamState"]

logger = logging.getLogger("realtime.client")

LOADING = "loading"
CONNECTED = "connected"
RECONNECTING = "reconnecting"
ERROR = "error"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One live event of a stream's topic."""

    event: str
    data: Any


@dataclass(frozen=True, slots=True)
class StreamPorts:
    """What a stream needs of its client. `idle_soon(fn)` calls `fn` at the end of this turn of the loop."""

    calls: Calls
    topics: Topics
    options: ClientOptions
    clock: Clock
    rng: random.Random
    idle_soon: Callable[[Callable[[], None]], None]
    status_changed: Callable[[StreamState], None]


class StreamState:
    """What all handles of one stream (path and arguments) share. Active while somebody uses it.

    After the last user left, the value and the position stay for the grace time; a user who comes back in that
    time sees the old value at once and resumes from where it stood.
    """

    def __init__(
        self,
        path: str,
        args: tuple[Any, ...],
        merge: dict[str, Any],
        ports: StreamPorts,
        schema_version: int | None = None,
    ) -> None:
        self.path = path
        self.args = args
        self.ports = ports
        self.status = LOADING
        self.error: RpcError | None = None
        self.topic: str | None = None
        self.has_more = False
        #: Whether a value came from the server, or from `hydrate`, since the beginning or the last reset.
        self.is_loaded = False
        self.users = 0
        self.history: History | None = None
        self.values: Listeners[Any] = Listeners()
        self.events: Listeners[StreamEvent] = Listeners()
        #: Called after any change of status, value or topic.
        self.changes: Listeners[StreamState] = Listeners()
        self._merge = merge
        self._value = StreamValue(Merger(**merge))
        self._seq: int | float | None = None
        #: Every event up to this number was applied.
        self._applied: int | float | None = None
        #: What came between a reconnect and the answer; the answer has what was missed before it.
        self._waiting: list[TopicEvent] | None = None
        self._version: Any = None
        self._has_version = False
        #: Whether the next answer replaces the value even where a value is otherwise kept.
        self._is_value_forced = False
        #: What a client of another version than this one says of itself, for good.
        self._fixed_schema_version = schema_version
        self._schema_version: Any = schema_version
        self._cursor: Any = None
        self._generation = 0
        self._is_active = False
        self._is_asking_again = False
        self._times = 0
        self._request: Request | None = None
        self._mark: Mark | None = None
        self._forget_topic: Callable[[], None] | None = None
        self._page: Request | None = None
        self._leave_topic: Callable[[], None] | None = None
        self._timer: TimerHandle | None = None

    @property
    def value(self) -> Any:
        """What a reader sees; `None` before anything came."""
        return self._value.shown

    def at_schema_version(self, version: int) -> StreamState:
        """Return a state of its own for the same stream, which asks as a client of that schema version does."""
        return StreamState(self.path, self.args, self._merge, self.ports, version)

    @property
    def is_busy(self) -> bool:
        """Whether somebody uses it and its value is on its way."""
        return self._is_active and self.status in (LOADING, RECONNECTING)

    @property
    def is_unused(self) -> bool:
        """Whether nobody uses it; it may still be in its grace time."""
        return not self._is_active

    def acquire(self) -> None:
        """Count one more user; the first one makes it active."""
        self.users += 1
        if not self._is_active:
            self._is_active = True
            self._stop_timer()
            self._set_status(LOADING)
            self._ask()

    def release(self) -> None:
        """Count one user less. With the last one it stops, unless another comes in the same turn of the loop."""
        self.users -= 1
        if not self.users:
            self.ports.idle_soon(self._stop_if_idle)

    def opened(self) -> None:
        """Take note that there is a connection: ask anew in a moment, unless the question just went out."""
        if self._is_active and self._request is None and self._timer is None:
            self._set_status(RECONNECTING)
            if not is_quick(self._times):
                self._stop_waiting()
            elif self._waiting is None and self._leave_topic is not None:
                self._waiting = []
            delay = stream_delay(self._times, self.ports.rng)
            self._times += 1
            self._timer = self.ports.clock.call_later(delay, self.renew)

    def lost(self, error: RpcError | None) -> None:
        """Take note that the connection was lost, or with `error` that it is over."""
        if self._is_active:
            self._stop_timer()
            if error is not None:
                self._fail(error)

    def renew(self) -> None:
        """Leave the topic and ask again from the present position; the value stays meanwhile."""
        self._stop_timer()
        if self._is_active:
            self._drop_request()
            self._set_status(RECONNECTING)
            self._detach()
            self._ask()

    def reload(self) -> None:
        """Ask for the whole value: the loader changed, and what it gave before is no ground to build on."""
        self._forget_position()
        self._is_value_forced = True
        if self._is_active:
            self.renew()

    def denied(self, reason: str) -> None:
        """Take note that the server refused the subscription of the topic; value and live events stay."""
        self._fail(RpcError(reason or "FORBIDDEN", "Access denied"))

    def reset(self) -> None:
        """Forget everything that came from the server."""
        self._stop_timer()
        self._value = StreamValue(Merger(**self._merge))
        self.error = self.topic = self._version = self._cursor = None
        self._schema_version = self._fixed_schema_version
        self._seq = self._applied = None
        self._has_version = self._is_value_forced = self.has_more = self.is_loaded = False
        self.history = None
        self._generation += 1

    def show(self, value: Any) -> None:
        """Replace the value from this side."""
        self._value.server.load(value)
        self._value.touched()
        self._applied = None  # events that came may be undone by it
        self.is_loaded = True
        self.emit()

    def emit(self, *, record: bool = True) -> None:
        """Tell everybody about the present value."""
        value = self.value
        if record and self.history is not None:
            self.history.record(value)
        self.values.show(value)
        self.changes.call(self)

    @property
    def content(self) -> StreamValue:
        """The value with its unconfirmed mutations; call `emit` after changing it."""
        return self._value

    def next_page(
        self, extra: tuple[Any, ...], done: Callable[[bool], None], failed: Callable[[RpcError], None]
    ) -> bool:
        """Ask for the next page; `done` is told whether there are more. `False`: there is none to ask for."""
        if self._page is not None or self.status != CONNECTED or not self.has_more or not self._cursor:
            return False
        generation = self._generation

        def arrived(reply: dict[str, Any]) -> None:
            self._page = None
            try:
                if generation == self._generation:
                    self._set_paging(StreamReply.of(reply))
                    if self._value.server.extend(reply.get("data")):
                        self._value.touched()
                        self.emit()
            except Exception:
                logger.exception("the next page of stream %r could not be used", self.path)
                failed(RpcError(LOAD_MORE_ERROR, f"the next page of stream {self.path!r} could not be used"))
            else:
                done(self.has_more)

        def broke(error: RpcError) -> None:
            self._page = None
            failed(error)

        self._page = self.ports.calls.stream_request(
            self.path, (*self.args, *extra), {"cursor": self._cursor}, arrived, broke
        )
        return True

    # ------------------------------------------------------------ the request and its answer

    def _ask(self) -> None:
        over = self.ports.calls.end_error()
        if over is not None:
            self._fail(over)
            return
        extra: dict[str, Any] = {}
        if self._seq is not None:
            extra["seq"] = self._seq
        if self._has_version:
            extra["version"] = self._version
        if self._schema_version is not None:
            extra["schemaVersion"] = self._schema_version
        self._mark = self.ports.topics.hold()
        if self.topic is not None:
            self._forget_topic = self.ports.topics.expect(self.topic)
        self._request = self.ports.calls.stream_request(
            self.path, self.args, extra, self._answered, self._refused
        )

    def _answered(self, raw: dict[str, Any]) -> None:
        self._request = None
        self._times = 0
        reply = StreamReply.of(raw)
        missed = self._release_mark(reply.topic)
        waited, self._waiting = self._waiting, None
        self.topic = reply.topic
        try:
            self._install(reply, waited or [], missed or [])
        except Exception:
            logger.exception("the answer to stream %r could not be used", self.path)
            self._fail(RpcError(STREAM_ERROR, f"the answer to stream {self.path!r} could not be used"))
            return
        if self.topic is not None:
            self._leave_topic = self.ports.topics.listen(self.topic, self._on_event)
        self.error = None
        self.is_loaded = True
        self.status = CONNECTED
        self.ports.status_changed(self)
        self.emit()
        if missed is None and not self._is_asking_again:
            # More events came meanwhile than are kept: what the answer holds may miss some of them.
            self._is_asking_again = True
            self.renew()
        else:
            self._is_asking_again = False

    def _install(self, reply: StreamReply, waited: list[TopicEvent], missed: list[TopicEvent]) -> None:
        """Take over the answer's rules and data, in the order of wire 5.2.

        Args:
            reply: the answer.
            waited: what came between the reconnect and the request. A whole value has it, a replay has what is
                numbered up to its end; the rest is applied first, as it came first.
            missed: what came between the request and the answer: applied behind it, unless the answer has it.
        """
        server = self._value.server
        if reply.end is not None:
            self._seq = reply.end
        if reply.has_version:
            self._version, self._has_version = reply.version, True
        server.configure(
            reply.merge or server.merge,
            key=reply.key or self._merge.get("key", "id"),
            prepend=server.prepend if reply.prepend is None else reply.prepend,
            max=server.max if reply.max is None else reply.max,
        )
        kind = reply.kind(has_value=server.value is not None and not self._is_value_forced)
        self._is_value_forced = False
        for event in waited:
            if kind is ReplyKind.WHOLE or (kind is ReplyKind.REPLAY and _is_up_to(reply.end, event)):
                self._value.confirm(event.event, event.data)
            else:
                self._value.apply(event.event, event.data)
        if kind is ReplyKind.DELTA:
            server.patch(reply.data)
        elif kind is ReplyKind.REPLAY:
            self._replay(reply)
        elif kind is ReplyKind.WHOLE:
            self._generation += 1
            self._value.load(reply.data)
        self._value.touched()
        self._applied = reply.end
        if reply.schema_version is not None and self._fixed_schema_version is None:
            self._schema_version = reply.schema_version
        if reply.has_paging:
            self._set_paging(reply)
        for event in missed:
            if not _is_up_to(reply.end, event):
                self._fold(event)

    def _replay(self, reply: StreamReply) -> None:
        """Apply missed events; `latest` would show those twice that had come before the line broke."""
        applied = -1 if self._applied is None or self._value.server.merge != "latest" else self._applied
        for entry in reply.data:
            if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
                continue
            seq = entry.get("seq")
            if not is_number(seq) or seq > applied:
                self._value.apply(entry["event"], entry.get("data"))

    def _set_paging(self, reply: StreamReply) -> None:
        self.has_more = reply.has_more
        self._cursor = reply.cursor

    def _answered_late(self, raw: dict[str, Any]) -> None:
        """Take the answer to a request that nobody waits for: what the server began for it would last for ever."""
        topic = StreamReply.of(raw).topic
        if topic is not None and not self._is_active:
            self.ports.topics.give_back(topic)

    def _refused(self, error: RpcError) -> None:
        self._request = None
        self._release_mark(None)
        self._fail(error)

    def _fail(self, error: RpcError) -> None:
        if error.code != DISCONNECTED:  # else there will be another answer
            self._stop_waiting()
        self.error = error
        self._set_status(ERROR)

    # ------------------------------------------------------------ live events

    def _on_event(self, event: TopicEvent) -> None:
        data = event.data
        if isinstance(data, dict) and "reqId" in data:
            if data.get("truncated") is True:
                self._forget_position()
                self.renew()
            return
        if self._waiting is not None:
            self.events.call(StreamEvent(event.event, data))
            self._waiting.append(event)
            if len(self._waiting) >= capacity.get("MAX_HELD_FRAMES"):
                self._stop_waiting()
        elif self._fold(event):
            self.emit()

    def _fold(self, event: TopicEvent) -> bool:
        """Apply one event and tell of it; return whether the value changed."""
        if isinstance(event.data, dict) and "reqId" in event.data:
            return False
        if self._applied is not None and event.seq == self._applied + 1:
            self._applied += 1
        changed = self._value.apply(event.event, event.data)
        self.events.call(StreamEvent(event.event, event.data))
        return changed

    def _stop_waiting(self) -> None:
        """Apply what waited: there is no answer to wait for any more."""
        waited, self._waiting = self._waiting, None
        if waited:
            for event in waited:
                self._value.apply(event.event, event.data)
            self.emit()

    # ------------------------------------------------------------ coming and going

    def _forget_position(self) -> None:
        self._seq = self._applied = None
        self._has_version = False

    def _stop_if_idle(self) -> None:
        if self.users or not self._is_active:
            return
        self._is_active = False
        self._stop_timer()
        if self._request is not None:
            self.ports.calls.abandon(self._request, self._answered_late)
            self._request = None
            self._release_mark(None)
        self._drop_page()
        self._detach()
        self._stop_waiting()
        self.ports.status_changed(self)
        grace = self.ports.options.resume_grace
        if grace:
            self._timer = self.ports.clock.call_later(grace, self.reset)
        else:
            self.reset()

    def _detach(self) -> None:
        leave, self._leave_topic = self._leave_topic, None
        if leave is not None:
            leave()

    def _drop_request(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            self.ports.calls.drop(request)
            self._release_mark(None)

    def _drop_page(self) -> None:
        page = self._page
        if page is not None:
            self.ports.calls.drop(page)
            page.failed(RpcError(CANCELLED, "the stream was closed while the page was on its way"))

    def _release_mark(self, topic: str | None) -> list[TopicEvent] | None:
        mark, self._mark = self._mark, None
        forget, self._forget_topic = self._forget_topic, None
        if forget is not None:
            forget()
        return [] if mark is None else self.ports.topics.release(mark, topic)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _set_status(self, status: str) -> None:
        self.status = status
        self.ports.status_changed(self)
        self.changes.call(self)


def _is_up_to(end: int | float | None, event: TopicEvent) -> bool:
    """Return whether an answer that contains everything up to `end` has the event."""
    return end is not None and event.seq is not None and event.seq <= end
