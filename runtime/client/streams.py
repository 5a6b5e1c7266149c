"""Streams as an app holds them: handles over shared subscriptions, and the table of those. Spec: live-api 24, 26."""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import TYPE_CHECKING, Any

from runtime.client.errors import DISCONNECTED, TIMEOUT, RpcError
from runtime.client.feeds import Backlog, Feed, Latest
from runtime.client.history import DEFAULT_MAX, History
from runtime.client.stores import DerivedStore, Offs, WritableStore, notify
from runtime.client.streamstate import CONNECTED, ERROR, StreamEvent, StreamPorts, StreamState
from runtime.client.streamvalue import Change, Mutation
from runtime.wire.jsoncodec import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

__all__ = ["MAX_STREAM_STATES", "Stream", "Streams"]

logger = logging.getLogger("realtime.client")

#: Streams whose value is remembered, used or in their grace time; unused ones are forgotten first.
MAX_STREAM_STATES = 1000


class Streams:
    """The streams of one client by path and arguments: equal ones share their subscription."""

    def __init__(self) -> None:
        self.quiescent: WritableStore[bool] = WritableStore(True)
        self._states: dict[bytes, StreamState] = {}
        #: Those that somebody uses, also when the table had no room for them.
        self._active: set[StreamState] = set()
        self._busy: set[StreamState] = set()

    def handle(self, path: str, args: tuple[Any, ...], merge: dict[str, Any], ports: StreamPorts) -> Stream:
        """Return a new handle on the stream of `path` with `args`."""
        key = encode([path, args])
        state = self._states.get(key)
        if state is None:
            state = StreamState(path, args, merge, ports)
            if len(self._states) >= MAX_STREAM_STATES:
                self._evict()
            if len(self._states) < MAX_STREAM_STATES:
                self._states[key] = state
        return Stream(state)

    def status_changed(self, state: StreamState) -> None:
        """Take note that a stream became busy, quiet, used or unused."""
        (self._active.discard if state.is_unused else self._active.add)(state)
        (self._busy.add if state.is_busy else self._busy.discard)(state)
        self.quiescent.set(not self._busy)

    def opened(self) -> None:
        """Tell the streams in use that there is a connection."""
        for state in list(self._active):
            state.opened()

    def lost(self, error: RpcError | None) -> None:
        """Tell the streams in use that there is none any more, with `error` when there never will be."""
        for state in list(self._active):
            state.lost(error)

    def denied(self, topic: str, reason: str) -> None:
        """Tell the streams of `topic` that the server refused its subscription."""
        for state in list(self._active):
            if state.topic == topic:
                state.denied(reason)

    def reload(self, paths: Iterable[str], modules: Iterable[str]) -> None:
        """Load the streams of these paths anew, as their code has changed, and those of these modules that had failed.

        Unused ones in their grace time take what they get from then on in full, when somebody comes back to them.
        """
        wanted, prefixes = frozenset(paths), tuple(f"{module}/" for module in modules)
        for state in dict.fromkeys([*self._states.values(), *self._active]):
            if state.path in wanted or (state.status == ERROR and state.path.startswith(prefixes)):
                state.reload()

    def _evict(self) -> None:
        for key, state in self._states.items():
            if state.is_unused:
                state.reset()
                del self._states[key]
                return


class Stream:
    """One use of a stream. Enter it, subscribe to it or iterate over it; until then nothing is asked of the server.

    `value` is the newest value, never changed in place, `None` before the first one came. `status` is `loading`,
    `connected`, `reconnecting` or `error`; an error never replaces the value. Belongs to the loop's thread.
    """

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self._is_open = False
        self._feeds: weakref.WeakSet[Feed[Any]] = weakref.WeakSet()
        self._offs = Offs()

    def __repr__(self) -> str:
        return f"<Stream {self._state.path} {self._state.status}>"

    # ------------------------------------------------------------ what it is

    @property
    def value(self) -> Any:
        """The present value, unconfirmed mutations included."""
        return self._state.value

    @property
    def status(self) -> str:
        """`loading`, `connected`, `reconnecting` or `error`."""
        return self._state.status

    @property
    def error(self) -> RpcError | None:
        """Why the last request or subscription failed, until one succeeds."""
        return self._state.error

    @property
    def is_loaded(self) -> bool:
        """Whether there is a value, from the server or from `hydrate`."""
        return self._state.is_loaded

    @property
    def topic(self) -> str | None:
        """The topic of the live events, once the server named it."""
        return self._state.topic

    @property
    def has_more(self) -> bool:
        """Whether `load_more` would find a further page."""
        return self._state.has_more

    # ------------------------------------------------------------ using it

    async def __aenter__(self) -> Stream:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def open(self) -> None:
        """Subscribe, without waiting for the answer. A second call does nothing."""
        if not self._is_open:
            self._is_open = True
            self._state.acquire()

    async def close(self) -> None:
        """End this use of the stream with its callbacks and iterators; the last use ends the subscription.

        May be called again; what is subscribed after it lasts until the next time.
        """
        for feed in list(self._feeds):
            feed.finish()
        self._offs.end()
        if self._is_open:
            self._is_open = False
            self._state.release()

    async def ready(self, timeout: float | None = None) -> Any:
        """Wait until the stream is connected and return its value.

        Args:
            timeout: seconds; the client's `timeout` when missing.

        Raises:
            RpcError: the server refused it, or `TIMEOUT`. A lost connection is waited for.
        """
        self.open()
        state = self._state
        seconds = state.ports.options.timeout if timeout is None else timeout
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def look(_: StreamState) -> None:
            if not waiter.done() and (state.status == CONNECTED or self._fatal_error() is not None):
                waiter.set_result(None)

        def expire() -> None:
            if not waiter.done():
                waiter.set_exception(
                    RpcError(TIMEOUT, f"stream {state.path!r} not ready within {seconds:g}s")
                )

        off = state.changes.add(look)
        timer = state.ports.clock.call_later(seconds, expire)
        try:
            look(state)
            await waiter
        finally:
            timer.cancel()
            off()
        error = self._fatal_error()
        if error is not None:
            raise error
        return state.value

    def subscribe(self, fn: Callable[[Any], object]) -> Callable[[], None]:
        """Call `fn(value)` at once and on every change; return the function that ends it. So does `close`."""
        off = self._offs.add(self._use(self._state.values.add(fn)))
        notify(fn, self._state.value)
        return off

    def on_event(self, fn: Callable[[StreamEvent], object]) -> Callable[[], None]:
        """Call `fn(event)` for each live event; return the function that ends it. So does `close`.

        Does not subscribe by itself.
        """
        return self._offs.add(self._state.events.add(fn))

    def values(self) -> Feed[Any]:
        """Iterate over the value: the present one if there is one, then the newest whenever it changed.

        Raises:
            RpcError: from the iteration, when the stream is refused before it has a value, or the connection is over.
        """
        feed: Latest[Any] = Latest()
        reference = weakref.ref(feed)

        def look(state: StreamState) -> None:
            target = reference()
            error = self._fatal_error()
            if target is not None and error is not None and (not state.is_loaded or _is_over(state)):
                target.finish(error)

        off_values = self._state.values.add(_pusher(reference))
        off_changes = self._state.changes.add(look)
        feed.on_close(self._use(lambda: (off_values(), off_changes())))
        if self._state.is_loaded:
            feed.push(self._state.value)
        look(self._state)
        self._feeds.add(feed)
        return feed

    def events(self) -> Feed[StreamEvent]:
        """Iterate over the live events as they come: (event, data), at most 10,000 waiting for their reader.

        Raises:
            StreamLagged: from the iteration, when the reader was too slow; the events up to there come first.
        """
        feed: Backlog[StreamEvent] = Backlog()
        feed.on_close(self._use(self._state.events.add(_pusher(weakref.ref(feed)))))
        self._feeds.add(feed)
        return feed

    def __aiter__(self) -> Feed[Any]:
        return self.values()

    def map(self, fn: Callable[[Any], Any]) -> DerivedStore:
        """Return a store of the rows, each through `fn`; an empty list while the value is no list."""

        def compute(value: Any) -> list[Any]:
            if value is not None and not isinstance(value, list):
                logger.warning("map() on stream %r, whose value is no list", self._state.path)
            return [fn(row) for row in value] if isinstance(value, list) else []

        return DerivedStore(lambda: self._state.value, self.subscribe, compute, feeds=self._feeds)

    def at_schema_version(self, version: int) -> Stream:
        """Return a handle on the same stream that shares nothing with this one and asks, now and after reconnects, as a
        client of that schema version does: for tests of `migrate`. Spec: live-api 8.8 and 20.
        """
        return Stream(self._state.at_schema_version(version))

    # ------------------------------------------------------------ changing it

    def hydrate(self, data: Any) -> Stream:
        """Set the value now, from a cache for instance; loading still happens. Returns the stream."""
        self._state.show(data)
        return self

    async def load_more(self, *extra: Any) -> bool:
        """Load the next page behind the present value; `extra` follows the stream's arguments.

        Returns:
            Whether there are more; `False` at once when there is nothing to load or a page is on its way.

        Raises:
            RpcError: the page could not be loaded.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(more: bool) -> None:
            if not answer.done():
                answer.set_result(more)

        def failed(error: RpcError) -> None:
            if not answer.done():
                answer.set_exception(error)

        return await answer if self._state.next_page(extra, done, failed) else False

    def optimistic(self, event: str, data: Any) -> Callable[[], None]:
        """Apply an event on this side only; return the function that restores the value from before.

        Restoring also undoes what came since: for changes that the server confirms take `mutate`.
        """
        before = self._state.content.server.value
        if self._state.content.apply(event, data):
            self._state.emit()

        def rollback() -> None:
            self._state.show(before)

        return rollback

    async def mutate(self, operation: Callable[[], Awaitable[Any]], change: Change) -> Any:
        """Show `change` at once, run `operation()`, and return its result.

        The change is `(event, data)`, merged as an event of the server would be, or a function that changes a
        shallow copy of the value or returns a new one. It stays on top of whatever the server says until the
        operation succeeded, an event for the same row came, or the operation failed, which takes it back.

        Raises:
            TypeError: the arguments are something else; nothing is run.
            CapacityExceeded: too many changes wait already; nothing is run.
            Exception: whatever the operation raised.
        """
        if not callable(operation):
            raise TypeError(f"operation: must be a function that returns an awaitable, not {operation!r}")
        mutation = Mutation.of(change)
        state = self._state
        state.content.add(mutation)
        state.emit()
        succeeded = False
        try:
            result = await operation()
            succeeded = True
        finally:
            state.content.settle(mutation, succeeded=succeeded)
            state.emit()
        return result

    # ------------------------------------------------------------ history

    def enable_history(self, max: int = DEFAULT_MAX) -> None:
        """Record the value after every change from now on, at most `max` of them."""
        self._state.history = History(max)
        if self._state.is_loaded:
            self._state.history.record(self._state.value)

    @property
    def can_undo(self) -> bool:
        """Whether `undo` would change the value."""
        return self._state.history is not None and self._state.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether `redo` would change the value."""
        return self._state.history is not None and self._state.history.can_redo

    def undo(self) -> None:
        """Show the value before the last change, on this side only. Before `enable_history` it only enables that."""
        self._travel(forward=False)

    def redo(self) -> None:
        """Show the value that `undo` left."""
        self._travel(forward=True)

    def pause_history(self) -> None:
        """Record nothing until `resume_history`; events apply all the same."""
        if self._state.history is not None:
            self._state.history.is_paused = True

    def resume_history(self) -> None:
        """Record again, beginning with the present value."""
        history = self._state.history
        if history is not None:
            history.is_paused = False
            history.record(self._state.value)

    def _travel(self, *, forward: bool) -> None:
        history = self._state.history
        if history is None:
            self.enable_history()
        elif history.can_redo if forward else history.can_undo:
            self._state.content.server.load(history.redo() if forward else history.undo())
            self._state.content.touched()
            self._state.emit(record=False)

    # ------------------------------------------------------------ inside

    def _use(self, off: Callable[[], object]) -> Callable[[], None]:
        """Count one more user of the stream until the returned function is called."""
        state = self._state
        state.acquire()
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                off()
                state.release()

        return end

    def _fatal_error(self) -> RpcError | None:
        """Return the error that waiting does not cure."""
        state = self._state
        if state.status != ERROR or state.error is None:
            return None
        return state.error if state.error.code != DISCONNECTED else None


def _is_over(state: StreamState) -> bool:
    return state.ports.calls.end_error() is not None


def _pusher(reference: weakref.ref[Any]) -> Callable[[Any], None]:
    def push(item: Any) -> None:
        feed = reference()
        if feed is not None:
            feed.push(item)

    return push
