"""The publishes that live functions make in one turn of the loop leave together. Spec: live-api 2.2, wire 2.3."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from runtime.core import nesting

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.bus import Outlet
    from runtime.core.metrics import Metrics
    from runtime.core.publisher import Event, Publisher

__all__ = ["TurnBatch", "at_end_of_turn"]


def at_end_of_turn(call: Callable[[], object]) -> None:
    """Have `call()` called when the loop has done what is ready now.

    Raises:
        RuntimeError: the caller is in another thread than the loop's.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "the platform and its connections belong to the thread of the event loop, which this is not; "
            "use platform.threadsafe here"
        ) from None
    loop.call_soon(call)


class TurnBatch:
    """Collect events until the end of the turn, or until somebody needs the order now.

    A handler's reply, a direct send and `platform.publish` flush first, so that a peer sees everything in the order
    in which the server made it. `flush_stored` is the one asynchronous seam of the pipeline: numbering is local
    today and it returns at once; a shared replay store will number its topics there, in call order.
    """

    __slots__ = ("_events", "_metrics", "_publisher", "_scheduled", "through")

    def __init__(self, publisher: Publisher, metrics: Metrics) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._events: list[Event] = []
        self._scheduled = False
        #: Returns what publishes go through while something wraps the platform, or `None`.
        self.through: Callable[[], Outlet | None] = _nothing

    @property
    def has_events(self) -> bool:
        """Whether `flush_stored` has anything to do."""
        return bool(self._events)

    def add(self, event: Event) -> None:
        """Queue one event behind the others of this turn."""
        if not self._scheduled:
            at_end_of_turn(self._turn_ended)
            self._scheduled = True
        self._events.append(event)

    def flush(self) -> None:
        """Publish what waits."""
        events = self._events
        if events:
            self._events = []
            if self._publisher.watchers:
                entered = nesting.enter(0)  # each event says by itself how deep it was made
                try:
                    self._publish(events)
                finally:
                    nesting.leave(entered)
            else:
                self._publish(events)

    def _publish(self, events: list[Event]) -> None:
        outlet = self.through()
        if outlet is not None:
            with self._publisher.carrying(events):
                outlet.together(events)
            return
        self._metrics.add("publish_total", "ctx", amount=len(events))
        self._publisher.publish_many(events)

    async def flush_stored(self) -> None:
        """Publish what waits and return when all of it has its number; the pipeline awaits this before a reply."""
        self.flush()

    def _turn_ended(self) -> None:
        self._scheduled = False
        self.flush()


def _nothing() -> None:
    return None
