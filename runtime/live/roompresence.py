"""Who is in which room of this worker: the roster, `join` and `leave`, and the grace between them.

Spec: live-api 12, wire 5.3.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.clock import TimerHandle
from runtime.live.callables import call, call_with_as_many
from runtime.live.ratelimit import identity_of
from runtime.live.room import PRESENCE, SUFFIXES, RoomDeclaration
from runtime.live.roomcursors import RoomCursors
from runtime.live.streamsubs import StreamSub
from runtime.live.wiring import wiring_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.core.clock import Clock
    from runtime.core.platform import Platform
    from runtime.live.context import Ctx
    from runtime.live.runner import FunctionRunner

__all__ = ["LEAVE_GRACE", "RoomPresence"]

logger = logging.getLogger("realtime.room")

#: Seconds that a user stays in a room after the last subscription ended. Spec: wire 5.3.
LEAVE_GRACE = 5.0


@dataclass(slots=True, eq=False)
class _Visit:
    """One user in one room. `subs` counts the subscriptions; at 0 the grace runs, or the visit is over."""

    topic: str
    key: str
    subs: int = 0
    data: Any = None
    is_shown: bool = False
    was_loaded: bool = False
    timer: TimerHandle | None = None
    left: tuple[RoomDeclaration, StreamSub] | None = None


class RoomPresence:
    """The visits of one worker, by room topic and identity. At most `MAX_PRESENCE_REF`: beyond it the visit that has
    waited longest in its grace ends early, and without one the newcomer is not shown.

    A reload does not touch it: rooms are looked up at the subscriptions, which follow the code in force.
    """

    __slots__ = (
        "_by_sub",
        "_by_topic",
        "_clock",
        "_closed",
        "_functions",
        "_leaving",
        "_platform",
        "_size",
        "cursors",
    )

    def __init__(self, platform: Platform, functions: FunctionRunner, clock: Clock) -> None:
        self._platform = platform
        self._functions = functions
        self._clock = clock
        self._by_topic: dict[str, dict[str, _Visit]] = {}
        self._by_sub: dict[StreamSub, _Visit] = {}
        #: In their grace, the longest first.
        self._leaving: dict[_Visit, None] = {}
        self._size = 0
        self._closed = False
        #: Where the users of rooms point.
        self.cursors = RoomCursors(platform, clock, self._report)

    def sizes(self) -> dict[str, int]:
        """Return how many users are in rooms, or point there, whichever are more."""
        pointing = self.cursors.sizes()
        return {**pointing, "MAX_PRESENCE_REF": max(self._size, pointing["MAX_PRESENCE_REF"])}

    def _report(self, path: str, error: BaseException) -> None:
        wiring_of(self._platform).report(path, error)

    def roster(self, topic: str) -> list[dict[str, Any]]:
        """Return who is shown in the room, in the order in which they came."""
        visits = self._by_topic.get(topic, {}).values()
        return [{"key": visit.key, "data": visit.data} for visit in visits if visit.is_shown]

    @property
    def topics(self) -> list[str]:
        """The topics of the rooms in which anybody is, or is in the grace."""
        return list(self._by_topic)

    async def entered(self, sub: StreamSub, ctx: Ctx) -> None:
        """Note that a data stream was subscribed, and publish `join` if that makes its user appear.

        Raises nothing for what `presence` does: a user whose payload fails, or is falsy, is not shown.
        """
        self.cursors.entered(sub, ctx)
        room = _room_of(sub)
        if room is None or not room.is_watched or self._closed:
            return
        visit = self._by_sub.get(sub)
        if visit is None:
            visit = self._visit(sub.topic, identity_of(ctx.user, sub.connection.id))
            if visit is None:
                return
            visit.subs += 1
            self._by_sub[sub] = visit
        self._stop_leaving(visit)
        if room.presence is None or visit.is_shown:
            return
        try:
            data = await call(room.presence, ctx)
            # Another subscription of this user may have come first, or the last one may be gone by now.
            if data and not visit.is_shown and visit.subs:
                self._platform.publish(_presence_topic(visit), "join", {"key": visit.key, "data": data})
                visit.data, visit.is_shown = data, True
        except Exception:
            logger.exception("presence of the room %s failed; the user is not shown", sub.topic)

    async def loaded(self, sub: StreamSub, ctx: Ctx, args: Sequence[Any]) -> None:
        """Note that the data stream has its first value, and run `on_join`; what that raises is logged only."""
        room = _room_of(sub)
        if room is None:
            return
        visit = self._by_sub.get(sub)
        if visit is not None:
            visit.was_loaded = True
        if room.on_join is None:
            return
        try:
            await call_with_as_many(room.on_join, (ctx, *args))
        except Exception:
            logger.exception("on_join of the room %s failed", sub.topic)

    def left(self, sub: StreamSub, *, at_once: bool = False) -> None:
        """Note that a subscription ended; with the user's last one the grace begins, unless `at_once`."""
        self.cursors.left(sub)
        visit = self._by_sub.pop(sub, None)
        if visit is None:
            return
        visit.subs -= 1
        if visit.subs:
            return
        room = _room_of(sub)
        if room is not None:
            visit.left = (room, sub)
        if at_once or room is None or room.presence is None:
            self._end(visit)
        else:
            self._leaving[visit] = None
            visit.timer = self._clock.call_later(LEAVE_GRACE, self._end, visit)

    def close(self) -> None:
        """Stop every timer; whoever is in a grace is not announced any more."""
        self._closed = True
        self.cursors.close()
        for visit in list(self._leaving):
            self._stop_leaving(visit)
        self._by_topic.clear()
        self._by_sub.clear()
        self._size = 0

    def _visit(self, topic: str, key: str) -> _Visit | None:
        """Return the visit of this user, made if there is none and there is room."""
        visit = self._by_topic.get(topic, {}).get(key)
        if visit is not None:
            return visit
        if self._size >= capacity.get("MAX_PRESENCE_REF"):
            oldest = next(iter(self._leaving), None)
            if oldest is None:
                capacity.record("MAX_PRESENCE_REF", "skip", hint="further users are not shown in rosters")
                return None
            capacity.record("MAX_PRESENCE_REF", "evict", hint="users leave rooms without their grace")
            self._end(oldest)
        visit = _Visit(topic, key)
        self._by_topic.setdefault(topic, {})[key] = visit
        self._size += 1
        return visit

    def _stop_leaving(self, visit: _Visit) -> None:
        self._leaving.pop(visit, None)
        if visit.timer is not None:
            visit.timer.cancel()
            visit.timer = None

    def _end(self, visit: _Visit) -> None:
        self._stop_leaving(visit)
        visits = self._by_topic[visit.topic]
        del visits[visit.key]
        self._size -= 1
        if not visits:
            del self._by_topic[visit.topic]
        if visit.is_shown:
            self._platform.publish(_presence_topic(visit), "leave", {"key": visit.key})
        if visit.left is not None and visit.was_loaded:
            room, sub = visit.left
            if room.on_leave is not None:
                self._functions.tasks.start(self._on_leave(room.on_leave, sub), name="on_leave")

    async def _on_leave(self, hook: Any, sub: StreamSub) -> None:
        try:
            await call_with_as_many(hook, (self._functions.ctx_for(sub.connection), sub.topic))
        except Exception:
            logger.exception("on_leave of the room %s failed", sub.topic)


def _room_of(sub: StreamSub) -> RoomDeclaration | None:
    part = sub.endpoint.room
    return part.room if part is not None and part.is_data else None


def _presence_topic(visit: _Visit) -> str:
    return visit.topic + SUFFIXES[PRESENCE]
