"""The ctx inside a room's action: `publish` needs no topic there. Spec: live-api 12."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.live.context import Ctx

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.publisher import Event

__all__ = ["RoomCtx"]


class RoomCtx(Ctx):
    """The caller's ctx with `publish` bound to the room.

    It shares all attributes with the ctx that middleware and guards saw, both ways; that one keeps its own
    `publish`. Other topics are reached by `ctx.platform.publish` and `ctx.batch`.
    """

    __slots__ = ("_outer", "room_topic")

    def __init__(self, outer: Ctx, topic: str) -> None:
        self.__dict__ = outer.__dict__
        self._outer = outer
        #: The topic of the room that the call is about.
        self.room_topic = topic

    def publish(  # type: ignore[override]  # one argument less: the topic is the room's
        self,
        event: str,
        data: Any = None,
        *,
        volatile: bool = False,
        relay: bool = True,
        seq: bool = True,
    ) -> bool:
        """Publish to everybody in the room, as `Ctx.publish` does to a topic.

        Raises:
            ValueError, TypeError: as `Ctx.publish`.
        """
        return self._outer.publish(self.room_topic, event, data, volatile=volatile, relay=relay, seq=seq)

    def move_cursor(self, data: Any, throttle: float) -> None:
        """Show the others in the room where the caller's cursor is; what `move_cursor` of the clients calls.

        Moves within `throttle` seconds of the last one that was shown replace each other.

        Raises:
            LiveError: `VALIDATION`: `data` is no object.
        """
        self._scope.cursors.move(self._outer, self.room_topic, data, throttle)

    def _enqueue(self, event: Event) -> None:
        self._outer._enqueue(event)

    def _in_loop(self, function: Callable[..., object], *args: Any) -> None:
        self._outer._in_loop(function, *args)

    def _is_heard(self, topic: str) -> bool:
        return self._outer._is_heard(topic)
