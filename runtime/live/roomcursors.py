"""The cursors of rooms: `move_cursor`, throttled per user, and `remove` when a user has left.

Spec: live-api 12, wire 5.3. A cursor is there while its user is subscribed to the room's data or cursors; one that was
moved by a connection without either stays until that connection ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.clock import TimerHandle
from runtime.core.connection import Connection
from runtime.core.errors import Issue, LiveError
from runtime.live.ratelimit import identity_of
from runtime.live.room import CURSORS, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock
    from runtime.core.platform import Platform
    from runtime.live.context import Ctx
    from runtime.live.streamsubs import StreamSub

__all__ = ["RoomCursors"]

_PER_CONNECTION = "MAX_STREAM_SUBSCRIPTIONS"

#: The topic of a room and the identity of a user.
Place = tuple[str, str]


@dataclass(slots=True, eq=False)
class _Pointer:
    """The cursor of one user in one room. `waiting`: where it went while the time of the throttle ran."""

    place: Place
    movers: set[Connection] = field(default_factory=set)
    is_shown: bool = False
    waiting: Mapping[str, Any] | None = None
    timer: TimerHandle | None = None


class RoomCursors:
    """The cursors of one worker, by room topic and identity; those beyond `MAX_PRESENCE_REF` do not move."""

    __slots__ = ("_by_mover", "_by_sub", "_clock", "_closed", "_platform", "_pointers", "_report", "_subs")

    def __init__(
        self, platform: Platform, clock: Clock, report: Callable[[str, BaseException], object]
    ) -> None:
        """Publish with `platform`; tell `report("timer", error)` of a move that could not be published later."""
        self._platform = platform
        self._clock = clock
        self._report = report
        self._pointers: dict[Place, _Pointer] = {}
        self._subs: dict[Place, int] = {}
        self._by_sub: dict[StreamSub, Place] = {}
        self._by_mover: dict[Connection, set[_Pointer]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._pointers)

    def sizes(self) -> dict[str, int]:
        """Return how many cursors there are, and how many the busiest connection moves from outside."""
        moved = max(map(len, self._by_mover.values()), default=0)
        return {"MAX_PRESENCE_REF": len(self._pointers), _PER_CONNECTION: moved}

    def entered(self, sub: StreamSub, ctx: Ctx) -> None:
        """Note that somebody was subscribed to a room's data or cursors."""
        topic = _room_topic(sub)
        if topic is None or sub in self._by_sub or self._closed:
            return
        place = self._by_sub[sub] = topic, identity_of(ctx.user, sub.connection.id)
        self._subs[place] = self._subs.get(place, 0) + 1
        pointer = self._pointers.get(place)
        if pointer is not None:
            self._forget_mover(pointer, sub.connection)

    def left(self, sub: StreamSub) -> None:
        """Note that a subscription ended; with the user's last one its cursor goes."""
        place = self._by_sub.pop(sub, None)
        if place is None:
            return
        self._subs[place] -= 1
        if self._subs[place]:
            return
        del self._subs[place]
        pointer = self._pointers.get(place)
        if pointer is not None:
            self._end_if_unused(pointer)

    def connection_closed(self, connection: Connection) -> None:
        """Take away the cursors that a connection moved in rooms it had not subscribed to."""
        for pointer in list(self._by_mover.get(connection, ())):
            self._forget_mover(pointer, connection)
            self._end_if_unused(pointer)

    def move(self, ctx: Ctx, room_topic: str, data: Any, throttle: float) -> None:
        """Publish where the caller's cursor is, or remember it until `throttle` seconds are over.

        Raises:
            LiveError: `VALIDATION`: `data` is no object. `RATE_LIMITED`: the connection moves cursors in as many rooms
                that it has not subscribed to as it may have subscriptions.
        """
        if not isinstance(data, Mapping):
            raise LiveError.validation([Issue(path=["data"], message="Expected an object")])
        ws = ctx.ws
        if ws is None or ws.closed or self._closed:
            return
        place = room_topic, identity_of(ctx.user, ws.id)
        if place not in self._subs:
            self._check_mover(ws, place)
        pointer = self._pointer(place)
        if pointer is None:
            return
        if place not in self._subs:
            pointer.movers.add(ws)
            self._by_mover.setdefault(ws, set()).add(pointer)
        if pointer.timer is not None:
            pointer.waiting = data
            return
        pointer.timer = self._clock.call_later(throttle, self._over, pointer, throttle)
        self._publish(pointer, data)

    def close(self) -> None:
        """Stop every timer; what waits is not published any more."""
        self._closed = True
        for pointer in self._pointers.values():
            _stop(pointer)
        self._pointers.clear()
        self._subs.clear()
        self._by_sub.clear()
        self._by_mover.clear()

    def _check_mover(self, ws: Connection, place: Place) -> None:
        """Look whether a connection may move one cursor more in a room it is not subscribed to."""
        moved = self._by_mover.get(ws, ())
        if len(moved) >= capacity.get(_PER_CONNECTION) and self._pointers.get(place) not in moved:
            capacity.record(_PER_CONNECTION, "reject")
            raise LiveError(
                "RATE_LIMITED", "Too many rooms with a moved cursor and no subscription on this connection"
            )

    def _pointer(self, place: Place) -> _Pointer | None:
        pointer = self._pointers.get(place)
        if pointer is None:
            if len(self._pointers) >= capacity.get("MAX_PRESENCE_REF"):
                capacity.record("MAX_PRESENCE_REF", "skip", hint="the cursors of further users are not shown")
                return None
            pointer = self._pointers[place] = _Pointer(place)
        return pointer

    def _over(self, pointer: _Pointer, throttle: float) -> None:
        pointer.timer = None
        waiting, pointer.waiting = pointer.waiting, None
        if waiting is None:
            return
        pointer.timer = self._clock.call_later(throttle, self._over, pointer, throttle)
        try:
            self._publish(pointer, waiting)
        except Exception as error:
            self._report("timer", error)

    def _publish(self, pointer: _Pointer, data: Mapping[str, Any]) -> None:
        # The key says whose cursor it is, so the client's own does not count.
        rest = {name: value for name, value in data.items() if name != "key"}
        topic, user = pointer.place
        self._platform.publish(topic + SUFFIXES[CURSORS], "update", {"key": user, **rest})
        pointer.is_shown = True

    def _forget_mover(self, pointer: _Pointer, connection: Connection) -> None:
        pointer.movers.discard(connection)
        moved = self._by_mover.get(connection)
        if moved is not None:
            moved.discard(pointer)
            if not moved:
                del self._by_mover[connection]

    def _end_if_unused(self, pointer: _Pointer) -> None:
        if pointer.place in self._subs or pointer.movers:
            return
        _stop(pointer)
        del self._pointers[pointer.place]
        if pointer.is_shown:
            topic, user = pointer.place
            self._platform.publish(topic + SUFFIXES[CURSORS], "remove", {"key": user})


def _stop(pointer: _Pointer) -> None:
    pointer.waiting = None
    if pointer.timer is not None:
        pointer.timer.cancel()
        pointer.timer = None


def _room_topic(sub: StreamSub) -> str | None:
    """Return the topic of the room if `sub` is to the data or the cursors of one that has cursors."""
    part = sub.endpoint.room
    if part is None or not part.room.cursors or not (part.is_data or part.is_cursors):
        return None
    return sub.topic.removesuffix(SUFFIXES[CURSORS]) if part.is_cursors else sub.topic
