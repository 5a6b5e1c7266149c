"""`Cursor`: where others point at on a topic, a few times a second. Spec: platform 7.7, wire 6.2."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from runtime.plugins.cursorframes import PREFIX, Canvas, Mark
from runtime.plugins.hookargs import platform_of
from runtime.plugins.lifetime import AnyClock, Plugin, PluginState
from runtime.plugins.options import UNSET, Unset, bound, seconds, whole
from runtime.plugins.publicdata import PublicData
from runtime.wire import jsoncodec, names

if TYPE_CHECKING:
    from runtime.core.clock import TimerHandle
    from runtime.core.connection import Connection
    from runtime.core.platform import Platform, PlatformCore

__all__ = ["Cursor", "CursorHooks"]

logger = logging.getLogger("realtime.plugins")

#: What `list` returns; within the class `list` is the method.
Rows = list[dict[str, Any]]

UPDATES, BROADCASTS, THROTTLED = (
    "cursor_updates_total",
    "cursor_broadcasts_total",
    "cursor_throttled_total",
)
MAX_TOPIC_LENGTH = 256
MAX_DATA_BYTES = 8192
#: Windows that end within this share of a window of each other are looked at together.
TICKS_PER_WINDOW = 8
#: What an `update` adds around user and data.
ENTRY_MARGIN = 128

# By process: two plugins on one topic do not give one key to two connections.
_keys = itertools.count(1)


class _Peer:
    """One connection with cursors: its key, and its cursors by topic."""

    __slots__ = ("key", "marks")

    def __init__(self) -> None:
        self.key = str(next(_keys))
        self.marks: dict[str, Mark] = {}


class _State(PluginState):
    """Everything of a cursor plugin that changes."""

    __slots__ = ("canvases", "peers", "timer", "watched", "windows")
    plugin: Cursor

    def __init__(self) -> None:
        super().__init__()
        self.canvases: dict[str, Canvas] = {}
        self.peers: dict[Connection, _Peer] = {}
        #: Cursors that were told of lately, with the time from which on they may be again; the next one first.
        self.windows: dict[Mark, float] = {}
        self.timer: TimerHandle | None = None
        #: Whose subscriptions are watched.
        self.watched: PlatformCore | None = None

    def end_windows(self) -> None:
        """Tell of those that moved inside their window."""
        self.timer = None
        self.plugin._end_windows()

    def granted(self, ws: Connection, topic: str) -> None:
        """Note that a connection was given a topic."""
        self.plugin._granted(ws, topic)

    def unsubscribed(self, ws: Connection, topic: str) -> None:
        """Note that a connection is no longer on a topic, by whatever door; it closed, usually."""
        plugin = self.plugin
        if topic.startswith(PREFIX):
            plugin._remove(ws, topic[len(PREFIX) :])
        elif PREFIX + topic in ws.all_topics:
            ws.unsubscribe(PREFIX + topic)


class Cursor(Plugin[_State]):
    """Shows everybody on a topic where the others are: pointers, selections, carets.

    A connection that a client or the app subscribes to a topic is attached to its cursors by itself, and detached when
    it leaves the topic or closes; its cursor goes with it. At the first use of the plugin that is done for all who are
    subscribed already.

    Args:
        throttle: seconds; a cursor is told of at once, and then at most once in so long, at the end of it.
        select: picks from the user data what others see of who it is. Keys that look like credentials never leave the
            server, whatever it picks; by default everything else does, but for the address of the peer.
        topics: topics with cursors, or a function that tells; `None`: every topic that is subscribed to.
        max_connections: with a cursor; the one that came first loses its cursors for a new one.
        max_topics: with a cursor; the oldest loses its cursors for a new one.
        max_topic_length: characters of a topic; updates of a longer one are dropped.
        max_data_bytes: of JSON; longer data is dropped.
        clock: a `Clock`, or a monotonic time in seconds; that of the app by default.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "Cursor"

    def __init__(
        self,
        *,
        throttle: float = 0.05,
        select: Callable[[Any], Any] | None = None,
        topics: Callable[[str], bool] | Collection[str] | None = None,
        max_connections: float | Unset | None = UNSET,
        max_topics: float | Unset | None = UNSET,
        max_topic_length: int = MAX_TOPIC_LENGTH,
        max_data_bytes: int = MAX_DATA_BYTES,
        clock: AnyClock | None = None,
    ) -> None:
        super().__init__(_State(), clock)
        self._throttle = seconds(self.label, "throttle", throttle, zero=True)
        self._public = PublicData(self.label, select)
        self._has_cursors = _has_cursors(self.label, topics)
        self._max_connections = bound(
            self.label, "max_connections", max_connections, "MAX_CURSOR_CONNECTIONS"
        )
        self._max_topics = bound(self.label, "max_topics", max_topics, "MAX_CURSOR_TOPICS")
        self._max_topic_length = whole(self.label, "max_topic_length", max_topic_length)
        self._max_data_bytes = whole(self.label, "max_data_bytes", max_data_bytes)
        #: Hooks to assign in `hooks.py`, or to call from one's own.
        self.hooks = CursorHooks(self)

    def __repr__(self) -> str:
        return f"<Cursor of {len(self._state.peers)} connections on {len(self._state.canvases)} topics>"

    # ------------------------------------------------------------ watching

    async def attach(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Let `ws` see the cursors on `topic`, and send it those that are there.

        Raises:
            ValueError: a topic that cannot travel.
        """
        self._platform(platform, ws)
        names.check_name(topic, f"{self.label}: topic")
        if ws.subscribe(PREFIX + topic) or not ws.closed:
            self._show(ws, topic)

    async def detach(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Let `ws` see the cursors on `topic` no longer, and remove its own."""
        self._platform(platform, ws)
        ws.unsubscribe(PREFIX + topic)
        self._remove(ws, topic)

    async def snapshot(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Send `ws` all cursors on `topic`."""
        self._platform(platform, ws)
        self._show(ws, topic)

    async def list(self, topic: str) -> Rows:
        """Return the cursors on `topic` as copies: `{"key": ..., "user": ..., "data": ...}` each."""
        return self.list_nowait(topic)

    def list_nowait(self, topic: str) -> Rows:
        """Do what `list` does, from code that cannot await."""
        canvas = self._state.canvases.get(topic)
        return [] if canvas is None else canvas.entries()

    # ------------------------------------------------------------ moving

    async def update(self, ws: Connection, topic: str, data: Any, platform: Platform | None = None) -> None:
        """Move the cursor of `ws` on `topic` to `data`, which is whatever the clients understand.

        A bad topic, and data without a JSON form or of too many bytes, is dropped and counted.
        """
        self.update_nowait(ws, topic, data, platform)

    def update_nowait(self, ws: Connection, topic: str, data: Any, platform: Platform | None = None) -> bool:
        """Do what `update` does, from code that cannot await; return whether the data was taken."""
        core = self._platform(platform, ws).parts
        if ws.closed or self._state.watched is None:
            return False
        encoded = self._encoded(topic, data)
        if encoded is None:
            core.metrics.add("ws_frames_dropped_total", "cursor")
            return False
        mark = self._mark(ws, topic, encoded)
        if mark is None:
            core.metrics.add("ws_frames_dropped_total", "cursor")
            return False
        core.metrics.add(UPDATES, core.metrics.topic_label(topic))
        if mark in self._state.windows:
            if mark.is_late:
                core.metrics.add(THROTTLED, core.metrics.topic_label(topic))
            mark.is_late = True
        else:
            self._tell(mark)
        return True

    async def remove(
        self, ws: Connection, platform: Platform | None = None, topic: str | None = None
    ) -> None:
        """Remove the cursor of `ws` on `topic`, or on all topics."""
        self.remove_nowait(ws, platform, topic)

    def remove_nowait(
        self, ws: Connection, platform: Platform | None = None, topic: str | None = None
    ) -> None:
        """Do what `remove` does, from code that cannot await."""
        self._platform(platform, ws)
        peer = self._state.peers.get(ws)
        if peer is not None:
            for name in [topic] if topic is not None else list(peer.marks):
                self._remove(ws, name)

    async def clear(self) -> None:
        """Remove every cursor, and tell that."""
        state = self._state
        for canvas in list(state.canvases.values()):
            self._empty(canvas)
        self._stop()

    def at_shutdown(self) -> None:
        """Tell where those are that moved inside their window."""
        for mark in list(self._state.windows):
            if mark.is_late:
                self._publish(mark)

    async def _close(self) -> None:
        state = self._state
        self._stop()
        if state.watched is not None:
            state.watched.subscriptions.unwatch(state.unsubscribed)
            state.watched.membership.unwatch(state.granted)
            state.watched = None
        for container in (state.canvases, state.peers, state.windows):
            container.clear()

    def sizes(self) -> Mapping[str, int]:
        """Return how full it is, by constant."""
        state = self._state
        return {"MAX_CURSOR_CONNECTIONS": len(state.peers), "MAX_CURSOR_TOPICS": len(state.canvases)}

    # ------------------------------------------------------------ inside

    def _belong(self, platform: Platform) -> PlatformCore:
        core = super()._belong(platform)
        state = self._state
        if state.watched is None and state.core is core:  # a close hook may come when its app has closed this
            state.watched = core
            core.subscriptions.watch(state.unsubscribed)
            core.membership.watch(state.granted)
            for ws in list(core.connections.values()):
                for topic in ws.subscriptions:
                    self._granted(ws, topic)
        return core

    def _granted(self, ws: Connection, topic: str) -> None:
        try:
            if names.is_system_topic(topic) or not self._has_cursors(topic):
                return
        except Exception:
            logger.exception("Cursor: topics failed for %s, which has no cursors now", topic)
            return
        if ws.subscribe(PREFIX + topic):
            self._show(ws, topic)

    def _show(self, ws: Connection, topic: str) -> None:
        core = ws.platform.parts
        canvas = self._state.canvases.get(topic) or Canvas(topic)
        core.turn.flush()
        for frame in canvas.snapshot(core.publisher.max_frame):
            ws.write(frame)

    def _encoded(self, topic: Any, data: Any) -> bytes | None:
        """Return data that can be shown, or `None`."""
        if names.name_problem(topic) is not None or len(topic) > self._max_topic_length:
            return None
        try:
            encoded = jsoncodec.encode(data)
        except TypeError:
            return None
        return encoded if len(encoded) <= self._max_data_bytes else None

    def _mark(self, ws: Connection, topic: str, data: bytes) -> Mark | None:
        """Return the cursor of a connection, moved, made if there is none; `None` if it is too large to be sent."""
        state = self._state
        peer = state.peers.get(ws)
        mark = None if peer is None else peer.marks.get(topic)
        if mark is not None and mark in state.windows:
            mark.data = data
            return mark
        user = jsoncodec.encode(self._public.of(ws))
        max_frame = ws.platform.parts.publisher.max_frame
        if max_frame and len(user) + len(data) + len(topic) + ENTRY_MARGIN > max_frame:
            return None
        if mark is not None:
            mark.user, mark.data = user, data
            return mark
        if peer is None:
            if len(state.peers) >= self._max_connections.limit:
                self._evict_connection()
            peer = state.peers[ws] = _Peer()
        canvas = state.canvases.get(topic)
        if canvas is None:
            if len(state.canvases) >= self._max_topics.limit:
                self._evict_topic()
                state.peers[ws] = peer
            canvas = state.canvases[topic] = Canvas(topic)
        mark = peer.marks[topic] = canvas.marks[ws] = Mark(canvas, ws, peer.key, user, data)
        return mark

    def _tell(self, mark: Mark) -> None:
        """Publish where a cursor is, and begin its window."""
        self._publish(mark)
        if not self._throttle:
            return
        state = self._state
        state.windows[mark] = self._clock.monotonic() + self._throttle
        if state.timer is None:
            state.timer = self._later(self._throttle, state.end_windows)

    def _publish(self, mark: Mark) -> None:
        core = self._state.watched
        mark.is_late = False
        if core is not None:
            core.publish(mark.update())
            core.metrics.add(BROADCASTS, core.metrics.topic_label(mark.canvas.topic))

    def _end_windows(self) -> None:
        state = self._state
        now = self._clock.monotonic()
        while state.windows:
            mark, due = next(iter(state.windows.items()))
            if due > now:
                least = self._throttle / TICKS_PER_WINDOW
                state.timer = self._later(max(due - now, least), state.end_windows)
                return
            del state.windows[mark]
            if mark.is_late:
                self._publish(mark)
                state.windows[mark] = now + self._throttle

    def _remove(self, ws: Connection, topic: str) -> None:
        state = self._state
        peer = state.peers.get(ws)
        mark = peer.marks.pop(topic, None) if peer is not None else None
        if peer is None or mark is None:
            return
        if not peer.marks:
            del state.peers[ws]
        state.windows.pop(mark, None)
        canvas = mark.canvas
        del canvas.marks[ws]
        if not canvas.marks:
            del state.canvases[topic]
        if state.watched is not None:
            state.watched.publish(mark.removal())

    def _evict_connection(self) -> None:
        """Remove the cursors of the connection that came first."""
        ws, peer = next(iter(self._state.peers.items()))
        self._max_connections.record("evict", hint="the connection that came first has no cursor any longer")
        for topic in list(peer.marks):
            self._remove(ws, topic)

    def _evict_topic(self) -> None:
        """Remove the cursors of the oldest topic."""
        self._max_topics.record("evict", hint="the oldest topic has no cursors any longer")
        self._empty(next(iter(self._state.canvases.values())))

    def _empty(self, canvas: Canvas) -> None:
        for ws in list(canvas.marks):
            self._remove(ws, canvas.topic)

    def _stop(self) -> None:
        state = self._state
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None


class CursorHooks:
    """Hooks of a cursor plugin: `message = cursors.hooks.message` in `hooks.py`, or call them from your own.

    `ctx` is the context of the hook or a platform; it may be left out.
    """

    __slots__ = ("_cursor",)

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    @property
    def _current(self) -> Cursor:
        """The cursors whose options are in force: a reload may have made other ones."""
        return self._cursor._state.plugin

    async def subscribe(self, ws: Connection, topic: str, ctx: Any = None) -> None:
        """Send who subscribes to a topic of cursors those that are there; other topics need no hook."""
        if topic.startswith(PREFIX):
            await self._current.snapshot(ws, topic[len(PREFIX) :], platform_of(ctx))

    async def message(self, ws: Connection, msg: Any, ctx: Any = None) -> bool:
        """Take a frame that moves a cursor or asks for all of them; return whether it was one.

        It is followed if the connection is attached to the topic, and otherwise ignored.
        """
        kind = msg.get("type") if isinstance(msg, Mapping) else None
        if kind not in ("cursor", "cursor-snapshot"):
            return False
        cursor, topic = self._current, msg.get("topic")
        platform = cursor._platform(platform_of(ctx), ws)
        if isinstance(topic, str) and ws.is_subscribed(PREFIX + topic):
            if kind == "cursor":
                data = msg["data"] if "data" in msg else msg.get("position")
                await cursor.update(ws, topic, data, platform)
            else:
                await cursor.snapshot(ws, topic, platform)
        return True

    async def close(self, ws: Connection, ctx: Any = None) -> None:
        """Remove the cursors of a connection that closes."""
        await self._current.remove(ws, platform_of(ctx))


def _has_cursors(label: str, topics: Callable[[str], bool] | Collection[str] | None) -> Callable[[str], bool]:
    if topics is None:
        return lambda topic: True
    if callable(topics):
        return topics
    if isinstance(topics, str) or not isinstance(topics, Collection):
        raise ValueError(f"{label}: topics must be a collection of topics or a function, not {topics!r}")
    return frozenset(topics).__contains__
