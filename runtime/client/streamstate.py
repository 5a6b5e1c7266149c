"""One stream subscription: its request, its topic, its value and what it does on loss, return and silence.

Spec: wire 5, 7.5; live-api 24.2 and 24.4.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.client.backoff import stream_delay
from runtime.client.calls import Calls
from runtime.client.errors import CANCELLED, RpcError
from runtime.client.options import ClientOptions
from runtime.client.stores import Listeners
from runtime.client.streamvalue import StreamValue
from runtime.client.topics import Topics
from runtime.core.clock import Clock
from runtime.live.merge import Merger
from runtime.live.options import MERGES

if TYPE_CHECKING:
    from runtime.client.calls import Request
    from runtime.client.history import History
    from runtime.client.topics import TopicEvent
    from runtime.core.clock import TimerHandle

__all__ = ["StreamEvent", "StreamPorts", "StreamState"]

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

    def __init__(self, path: str, args: tuple[Any, ...], merge: dict[str, Any], ports: StreamPorts) -> None:
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
        self._version: Any = None
        self._has_version = False
        self._schema_version: Any = None
        self._cursor: Any = None
        self._generation = 0
        self._is_active = False
        self._is_asking_again = False
        self._times = 0
        self._request: Request | None = None
        self._mark: int | None = None
        self._page: Request | None = None
        self._leave_topic: Callable[[], None] | None = None
        self._timer: TimerHandle | None = None

    @property
    def value(self) -> Any:
        """What a reader sees; `None` before anything came."""
        return self._value.shown

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

    def denied(self, reason: str) -> None:
        """Take note that the server refused the subscription of the topic; value and live events stay."""
        self._fail(RpcError(reason or "FORBIDDEN", "Access denied"))

    def reset(self) -> None:
        """Forget everything that came from the server."""
        self._stop_timer()
        self._value = StreamValue(Merger(**self._merge))
        self.error = self.topic = self._seq = self._version = self._schema_version = self._cursor = None
        self._has_version = self.has_more = self.is_loaded = False
        self.history = None
        self._generation += 1

    def show(self, value: Any) -> None:
        """Replace the value from this side."""
        self._value.server.load(value)
        self._value.touched()
        self.is_loaded = True
        self.emit()

    def emit(self, *, record: bool = True) -> None:
        """Tell everybody about the present value."""
        value = self.value
        if record and self.history is not None:
            self.history.record(value)
        self.values.call(value)
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
            if generation == self._generation:
                self._set_paging(reply)
                if self._value.server.extend(reply.get("data")):
                    self._value.touched()
                    self.emit()
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
        self._request = self.ports.calls.stream_request(
            self.path, self.args, extra, self._answered, self._refused
        )

    def _answered(self, reply: dict[str, Any]) -> None:
        self._request = None
        self._times = 0
        self._generation += 1
        topic = reply.get("topic")
        self.topic = topic if isinstance(topic, str) else None
        missed = self._release_mark(self.topic)
        self._take(reply)
        self._set_paging(reply)
        if self.topic is not None:
            self._leave_topic = self.ports.topics.listen(self.topic, self._on_event)
        self.error = None
        self.is_loaded = True
        for event in missed or ():
            self._fold(event.event, event.data)
        self.status = CONNECTED
        self.ports.status_changed(self)
        self.emit()
        if missed is None and not self._is_asking_again:
            # More events came meanwhile than are kept: what the answer holds may miss some of them.
            self._is_asking_again = True
            self.renew()
        else:
            self._is_asking_again = False

    def _take(self, reply: dict[str, Any]) -> None:
        """Install the reply's rules and data, in the order of wire 5.2."""
        server, data, seq = self._value.server, reply.get("data"), reply.get("seq")
        if _is_number(seq):
            self._seq = seq
        if "version" in reply:
            self._version, self._has_version = reply["version"], True
        merge = reply.get("merge", server.merge)
        if merge in MERGES:
            server.configure(
                merge,
                key=reply.get("key", self._merge.get("key", "id")),
                prepend=bool(reply.get("prepend", server.prepend)),
                max=reply.get("max", server.max or None),
            )
        keeps = reply.get("channel") is True or reply.get("derived") is True
        if reply.get("unchanged") is True:
            pass
        elif reply.get("delta") is True and isinstance(data, list):
            server.patch(data)
        elif reply.get("replay") is True and isinstance(data, list):
            self._replay(data, seq)
        elif not (keeps and self._value.server.value is not None):
            server.load(data)
        self._value.touched()
        if _is_number(reply.get("schemaVersion")):
            self._schema_version = reply["schemaVersion"]

    def _replay(self, events: list[Any], seq: Any) -> None:
        for entry in events:
            if isinstance(entry, dict) and isinstance(entry.get("event"), str):
                self._value.apply(entry["event"], entry.get("data"))
                if not _is_number(seq) and _is_number(entry.get("seq")):
                    self._seq = entry["seq"]

    def _set_paging(self, reply: dict[str, Any]) -> None:
        self.has_more = bool(reply.get("hasMore", False))
        self._cursor = reply.get("cursor")

    def _refused(self, error: RpcError) -> None:
        self._request = None
        self._release_mark(None)
        self._fail(error)

    def _fail(self, error: RpcError) -> None:
        self.error = error
        self._set_status(ERROR)

    # ------------------------------------------------------------ live events

    def _on_event(self, event: TopicEvent) -> None:
        data = event.data
        if isinstance(data, dict) and "reqId" in data:
            if data.get("truncated") is True:
                self._seq = None
                self.renew()
            return
        if self._fold(event.event, data):
            self.emit()

    def _fold(self, event: str, data: Any) -> bool:
        if isinstance(data, dict) and "reqId" in data:
            return False
        changed = self._value.apply(event, data)
        self.events.call(StreamEvent(event, data))
        return changed

    # ------------------------------------------------------------ coming and going

    def _stop_if_idle(self) -> None:
        if self.users or not self._is_active:
            return
        self._is_active = False
        self._stop_timer()
        self._drop_request()
        self._drop_page()
        self._detach()
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
        return [] if mark is None else self.ports.topics.release(mark, topic)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _set_status(self, status: str) -> None:
        self.status = status
        self.ports.status_changed(self)
        self.changes.call(self)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
