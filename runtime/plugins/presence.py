"""`Presence`: who is on a topic, for everybody who is there. Spec: platform 7.4, wire 6.1.

What happens in one turn of the loop is told at its end: each topic gets one diff, and all who came in the turn get
the same frame with the state. `join` returns when that is done, so that a client has it before the confirmation of its
subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime.core.errors import PayloadTooLarge
from runtime.core.tasks import next_turn
from runtime.plugins.hookargs import platform_of
from runtime.plugins.lifetime import AnyClock, Plugin, PluginState
from runtime.plugins.options import UNSET, Bound, Unset, bound, seconds
from runtime.plugins.presenceroom import PREFIX, Entry, Room, room_for
from runtime.plugins.publicdata import PublicData
from runtime.wire import jsoncodec, names

if TYPE_CHECKING:
    from runtime.core.clock import TimerHandle
    from runtime.core.connection import Connection
    from runtime.core.platform import Platform, PlatformCore

__all__ = ["Presence", "PresenceHooks"]

#: What `list` returns; within the class `list` is the method.
Rows = list[dict[str, Any]]

JOINS, LEAVES, ONLINE = "presence_joins_total", "presence_leaves_total", "presence_total_online"


class _Peer:
    """One connection: its entries by topic, and its number where it has no key of its own."""

    __slots__ = ("entries", "number")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.number = 0


class _State(PluginState):
    """Everything of a presence that changes."""

    __slots__ = (
        "beat_timer",
        "dirty",
        "entries",
        "is_scheduled",
        "leave_timer",
        "leaving",
        "numbers",
        "peers",
        "rooms",
        "watched",
    )
    plugin: Presence

    def __init__(self) -> None:
        super().__init__()
        self.peers: dict[Connection, _Peer] = {}
        self.rooms: dict[str, Room] = {}
        #: Number of entries in all rooms, and those without a connection with the time when they end, next first.
        self.entries = 0
        self.leaving: dict[Entry, float] = {}
        #: Rooms with something to tell at the end of the turn.
        self.dirty: dict[Room, None] = {}
        self.is_scheduled = False
        self.leave_timer: TimerHandle | None = None
        self.beat_timer: TimerHandle | None = None
        self.numbers = 0
        #: Whose subscriptions are watched.
        self.watched: PlatformCore | None = None

    def turn_ended(self) -> None:
        """Tell what happened in the turn."""
        self.is_scheduled = False
        self.plugin.flush_diffs()

    def end_graces(self) -> None:
        """End the entries whose grace is over."""
        self.leave_timer = None
        self.plugin._end_graces()

    def beat(self) -> None:
        """Send a heartbeat."""
        self.beat_timer = None
        self.plugin._beat()

    def unsubscribed(self, ws: Connection, topic: str) -> None:
        """Note that a connection is no longer on a topic, by whatever door; it closed, usually."""
        if topic.startswith(PREFIX):
            self.plugin._leave(ws, topic[len(PREFIX) :])


class Presence(Plugin[_State]):
    """Keeps who is present on topics, shows it to all who are there, and tells them of each change.

    Several connections of one key, such as the tabs of a user, are one entry. A connection that closes leaves.

    Args:
        key: the field of the selected data that says who it is; without it each connection is somebody.
        select: picks from the user data what others see, as a mapping. Keys that look like credentials never leave the
            server, whatever it picks; by default everything else does, but for the address of the peer.
        heartbeat: seconds between two lists of the present keys, for clients with `max_age`; 0 sends none.
        grace: seconds that somebody stays after the last connection left, so that a reload of a page is no leave. With
            0 it is one in the same turn of the loop.
        max_connections: of those who are present; the one that came first leaves for a new one.
        max_topics: with somebody present; the oldest topic is left by all for a new one.
        clock: a `Clock`, or a monotonic time in seconds; that of the app by default.

    At `MAX_PRESENCE_REF` entries those in their grace leave early; without one, newcomers see who is there but are not
    shown themselves.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "Presence"

    def __init__(
        self,
        *,
        key: str = "id",
        select: Callable[[Any], Mapping[str, Any]] | None = None,
        heartbeat: float = 0.0,
        grace: float = 0.0,
        max_connections: float | Unset | None = UNSET,
        max_topics: float | Unset | None = UNSET,
        clock: AnyClock | None = None,
    ) -> None:
        super().__init__(_State(), clock)
        if not isinstance(key, str) or not key:
            raise ValueError(f"{self.label}: key must be the name of a field, not {key!r}")
        self._key = key
        self._public = PublicData(self.label, select)
        self._heartbeat = seconds(self.label, "heartbeat", heartbeat, zero=True)
        self._grace = seconds(self.label, "grace", grace, zero=True)
        self._max_connections = bound(
            self.label, "max_connections", max_connections, "MAX_PRESENCE_CONNECTIONS"
        )
        self._max_topics = bound(self.label, "max_topics", max_topics, "MAX_PRESENCE_TOPICS")
        self._max_entries = Bound("MAX_PRESENCE_REF")
        #: Hooks to assign in `hooks.py`, or to call from one's own.
        self.hooks = PresenceHooks(self)

    def __repr__(self) -> str:
        return f"<Presence of {self._state.entries} in {len(self._state.rooms)} topics>"

    # ------------------------------------------------------------ coming and going

    async def join(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Make `ws` present on `topic`, and return when it was sent who is there and the others were told.

        Nothing happens for a system topic, a connection that is closed, and one that is present there already. A join
        that is cancelled leaves nothing behind.

        Raises:
            ValueError: a topic that cannot travel.
            TypeError: what `select` returns is no mapping, or has no JSON form.
            PayloadTooLarge: it is more than a frame can carry.
        """
        if self.join_nowait(ws, topic, platform):
            try:
                await next_turn()
            except asyncio.CancelledError:
                self._leave(ws, topic, at_once=True)
                raise

    def join_nowait(self, ws: Connection, topic: str, platform: Platform | None = None) -> bool:
        """Do what `join` does, without waiting for the end of the turn; return whether there was anything to do."""
        state = self._state
        if not self._begin(ws, topic, platform):
            return False
        peer = state.peers.get(ws)
        if peer is not None and topic in peer.entries:
            return False
        numbered = peer or _Peer()
        key, piece, cut = self._read(ws, numbered, topic)
        if peer is None:
            if len(state.peers) >= self._max_connections.limit:
                self._evict_connection()
            peer = numbered
        entry = self._entry(topic, key, cut, piece)
        if entry is not None:
            state.peers[ws] = peer
            peer.entries[topic] = entry
            if state.leaving:
                state.leaving.pop(entry, None)
            piece = entry.tabs[ws] = entry.shared(piece)
            if piece is not entry.piece:
                entry.room.show(entry, piece)
        self._welcome(ws, topic)
        return True

    async def leave(self, ws: Connection, platform: Platform | None = None, topic: str | None = None) -> None:
        """Let `ws` leave `topic`, or all topics where it is present or which it observes."""
        self.leave_nowait(ws, platform, topic)

    def leave_nowait(
        self, ws: Connection, platform: Platform | None = None, topic: str | None = None
    ) -> None:
        """Do what `leave` does, from code that cannot await."""
        self._platform(platform, ws)
        if topic is not None:
            self._leave(ws, topic)
            return
        peer = self._state.peers.get(ws)
        for name in list(peer.entries) if peer is not None else ():
            self._leave(ws, name)
        if not ws.closed:
            for name in [name for name in ws.all_topics if name.startswith(PREFIX)]:
                self._leave(ws, name[len(PREFIX) :])

    async def sync(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Let `ws` see who is present on `topic` without being present itself; returns when it was sent that.

        Raises:
            ValueError: a topic that cannot travel.
        """
        if self._begin(ws, topic, platform):
            self._welcome(ws, topic)
            await next_turn()

    # ------------------------------------------------------------ looking

    async def list(self, topic: str) -> Rows:
        """Return the data of those present on `topic`, as copies, in the order in which they came."""
        return self.list_nowait(topic)

    @property
    def topics(self) -> Sequence[str]:
        """The topics on which anybody is present."""
        return tuple(topic for topic, room in self._state.rooms.items() if room.entries)

    def list_nowait(self, topic: str) -> Rows:
        """Do what `list` does, from code that cannot await."""
        room = self._state.rooms.get(topic)
        return [] if room is None else room.data()

    async def count(self, topic: str) -> int:
        """Return how many are present on `topic`; several connections of one key are one."""
        return self.count_nowait(topic)

    def count_nowait(self, topic: str) -> int:
        """Do what `count` does, from code that cannot await."""
        room = self._state.rooms.get(topic)
        return 0 if room is None else len(room.entries)

    # ------------------------------------------------------------ telling

    def flush_diffs(self) -> None:
        """Send now what would be sent at the end of this turn of the loop."""
        state = self._state
        dirty, state.dirty = state.dirty, {}
        core = state.watched
        for room in dirty:
            if core is not None:
                room.tell(core)
            if room.is_idle and state.rooms.get(room.topic) is room:
                del state.rooms[room.topic]

    async def clear(self) -> None:
        """Let everybody leave every topic at once, in their grace or not, and tell that."""
        state = self._state
        for room in list(state.rooms.values()):
            self._empty(room)
        if state.leave_timer is not None:
            state.leave_timer.cancel()
            state.leave_timer = None

    def at_shutdown(self) -> None:
        """Tell what has changed: the app stops, and its connections are still there."""
        self.flush_diffs()

    async def _close(self) -> None:
        state = self._state
        for timer in (state.leave_timer, state.beat_timer):
            if timer is not None:
                timer.cancel()
        state.leave_timer = state.beat_timer = None
        if state.watched is not None:
            state.watched.subscriptions.unwatch(state.unsubscribed)
            for room in state.rooms.values():
                self._metric(ONLINE, room, -len(room.entries))
            state.watched = None
        for container in (state.peers, state.rooms, state.leaving, state.dirty):
            container.clear()
        state.entries = 0
        state.is_scheduled = False

    def sizes(self) -> Mapping[str, int]:
        """Return how full it is, by constant."""
        state = self._state
        return {
            "MAX_PRESENCE_CONNECTIONS": len(state.peers),
            "MAX_PRESENCE_REF": state.entries,
            "MAX_PRESENCE_TOPICS": len(state.rooms),
        }

    def _adopted(self) -> None:
        state = self._state
        if state.beat_timer is not None:
            state.beat_timer.cancel()
            state.beat_timer = None
        if state.rooms:
            self._start_beating()

    # ------------------------------------------------------------ inside

    def _belong(self, platform: Platform) -> PlatformCore:
        core = super()._belong(platform)
        state = self._state
        if state.watched is None and state.core is core:  # a close hook may come when its app has closed this
            state.watched = core
            core.subscriptions.watch(state.unsubscribed)
        return core

    def _begin(self, ws: Connection, topic: str, platform: Platform | None) -> bool:
        """Return whether `ws` can come to `topic` at all."""
        self._platform(platform, ws)
        names.check_name(topic, f"{self.label}: topic")
        return self._state.watched is not None and not ws.closed and not names.is_system_topic(topic)

    def _read(self, ws: Connection, peer: _Peer, topic: str) -> tuple[str, bytes, int]:
        """Return the key of a connection, its piece, and where the data begins in that."""
        data = self._public.of(ws)
        if not isinstance(data, Mapping):
            raise TypeError(f"{self.label}: select must return a mapping, not {type(data).__name__}")
        value = data.get(self._key)
        if value is None:
            if not peer.number:
                self._state.numbers += 1
                peer.number = self._state.numbers
            key = f"__conn:{peer.number}"
        else:
            key = str(value)
        head = jsoncodec.encode(key)
        piece = b"%b:%b" % (head, jsoncodec.encode(data))
        limit = room_for(ws.platform.parts.publisher.max_frame, PREFIX + topic)
        if limit and len(piece) > limit:
            raise PayloadTooLarge(
                f"{self.label}: the data of {key[:40]!r} has {len(piece)} bytes and a frame takes {limit}: select less"
            )
        return key, piece, len(head) + 1

    def _entry(self, topic: str, key: str, cut: int, piece: bytes) -> Entry | None:
        """Return the entry of a key, made if there is none; `None` when there is no room for it."""
        state = self._state
        room = state.rooms.get(topic)
        entry = None if room is None else room.entries.get(key)
        if entry is not None:
            return entry
        if state.entries >= self._max_entries.limit:
            oldest = next(iter(state.leaving), None)
            if oldest is None:
                self._max_entries.record("skip", hint="newcomers are not shown in presence")
                return None
            self._max_entries.record("evict", hint="users leave presence without their grace")
            self._remove(oldest)
            room = state.rooms.get(topic)
        if room is None:
            room = self._new_room(topic)
        entry = Entry(room, key, cut, piece)
        room.add(entry)
        self._touch(room)
        state.entries += 1
        self._metric(JOINS, room)
        self._metric(ONLINE, room)
        return entry

    def _new_room(self, topic: str) -> Room:
        rooms = self._state.rooms
        if len(rooms) >= self._max_topics.limit:
            self.flush_diffs()  # those that nobody is in go
            if len(rooms) >= self._max_topics.limit:
                self._evict_topic()
        room = rooms[topic] = Room(topic)
        return room

    def _welcome(self, ws: Connection, topic: str) -> None:
        """Put a connection on the channel of a topic, and have it sent who is there."""
        room = self._state.rooms.get(topic)
        if room is None:  # nobody is there; it is gone with the end of the turn
            room = self._state.rooms[topic] = Room(topic)
        ws.subscribe(room.channel)
        room.newcomers[ws] = None
        self._touch(room)
        if self._state.beat_timer is None:
            self._start_beating()

    def _leave(self, ws: Connection, topic: str, *, at_once: bool = False) -> None:
        state = self._state
        room = state.rooms.get(topic)
        if room is not None:
            room.newcomers.pop(ws, None)
        peer = state.peers.get(ws)
        entry = peer.entries.pop(topic, None) if peer is not None else None
        if peer is not None and not peer.entries:
            del state.peers[ws]
        ws.unsubscribe(PREFIX + topic)
        if entry is None:
            return
        del entry.tabs[ws]
        if entry.tabs:
            newest = next(reversed(entry.tabs.values()))
            if newest != entry.piece:
                entry.room.show(entry, newest)
                self._touch(entry.room)
        elif self._grace and not at_once:
            state.leaving[entry] = self._clock.monotonic() + self._grace
            if state.leave_timer is None:
                state.leave_timer = self._later(self._grace, state.end_graces)
        else:
            self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        """Let an entry without connections go."""
        state = self._state
        state.leaving.pop(entry, None)
        room = entry.room
        room.remove(entry)
        state.entries -= 1
        self._touch(room)
        self._metric(LEAVES, room)
        self._metric(ONLINE, room, -1)

    def _end_graces(self) -> None:
        state = self._state
        now = self._clock.monotonic()
        for entry, due in list(state.leaving.items()):
            if due > now:
                state.leave_timer = self._later(due - now, state.end_graces)
                return
            self._remove(entry)

    def _evict_connection(self) -> None:
        """Let the connection that came first leave everything."""
        ws, peer = next(iter(self._state.peers.items()))
        self._max_connections.record("evict", hint="the connection that came first is present no longer")
        for topic in list(peer.entries):
            self._leave(ws, topic, at_once=True)

    def _evict_topic(self) -> None:
        """Let everybody leave the oldest topic."""
        self._max_topics.record("evict", hint="the oldest topic has no presence any longer")
        self._empty(next(iter(self._state.rooms.values())))

    def _empty(self, room: Room) -> None:
        """Let everybody leave a topic, and tell them before they are off its channel."""
        state = self._state
        left = dict(room.newcomers)
        room.newcomers.clear()
        for entry in list(room.entries.values()):
            for ws in list(entry.tabs):
                left[ws] = None
                peer = state.peers[ws]
                del peer.entries[room.topic]
                if not peer.entries:
                    del state.peers[ws]
            entry.tabs.clear()
            self._remove(entry)
        state.dirty.pop(room, None)
        state.rooms.pop(room.topic, None)
        if state.watched is not None:
            room.tell(state.watched)
        for ws in left:
            ws.unsubscribe(room.channel)

    def _touch(self, room: Room) -> None:
        """Have a room tell its changes at the end of the turn."""
        state = self._state
        state.dirty[room] = None
        if not state.is_scheduled:
            state.is_scheduled = True
            asyncio.get_running_loop().call_soon(state.turn_ended)

    def _start_beating(self) -> None:
        if self._heartbeat:
            self._state.beat_timer = self._later(self._heartbeat, self._state.beat)

    def _beat(self) -> None:
        state = self._state
        core = state.watched
        for room in list(state.rooms.values()):
            if room.entries and core is not None:
                room.beat(core)
        if state.rooms:
            self._start_beating()

    def _metric(self, name: str, room: Room, amount: int = 1) -> None:
        core = self._state.watched
        if core is not None:
            core.metrics.add(name, core.metrics.topic_label(room.topic), amount=amount)


class PresenceHooks:
    """Hooks of a presence: `subscribe = presence.hooks.subscribe` in `hooks.py`, or call them from your own.

    `ctx` is the context of the hook or a platform; it may be left out.
    """

    __slots__ = ("_presence",)

    def __init__(self, presence: Presence) -> None:
        self._presence = presence

    @property
    def _current(self) -> Presence:
        """The presence whose options are in force: a reload may have made another one."""
        return self._presence._state.plugin

    async def subscribe(self, ws: Connection, topic: str, ctx: Any = None) -> None:
        """Let who subscribes to a topic be present there; who subscribes to its presence topic sees it only."""
        platform = platform_of(ctx)
        if topic.startswith(PREFIX):
            await self._current.sync(ws, topic[len(PREFIX) :], platform)
        else:
            await self._current.join(ws, topic, platform)

    async def unsubscribe(self, ws: Connection, topic: str, ctx: Any = None) -> None:
        """Let who unsubscribes from a topic leave it."""
        await self._current.leave(ws, platform_of(ctx), topic.removeprefix(PREFIX))

    async def close(self, ws: Connection, ctx: Any = None) -> None:
        """Let a connection that closes leave everything."""
        await self._current.leave(ws, platform_of(ctx))
