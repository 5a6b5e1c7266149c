"""What happens in the runtime, for those who watch: the dev terminal, tests, tools. Watching is optional and costs
one truth test on the hot path when nobody does.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CallFinished",
    "ConnectionClosedEvent",
    "ConnectionOpened",
    "EventBus",
    "LiveFailed",
    "LiveReloaded",
]

logger = logging.getLogger("realtime.events")


@dataclass(slots=True, frozen=True)
class CallFinished:
    """One call ended: `duration` in seconds, `code` is `None` on success."""

    path: str
    kind: str
    user: Any
    duration: float
    code: str | None
    connection_id: str
    error: BaseException | None = None


@dataclass(slots=True, frozen=True)
class ConnectionOpened:
    """A connection has its session id and may send."""

    connection_id: str
    user: Any
    remote_address: str


@dataclass(slots=True, frozen=True)
class ConnectionClosedEvent:
    """A connection is gone; `duration` in seconds."""

    connection_id: str
    user: Any
    code: int
    reason: str
    duration: float


@dataclass(slots=True, frozen=True)
class LiveReloaded:
    """Live modules were swapped; `modules` are the module paths that ran again, `duration` in seconds."""

    modules: list[str]
    added: list[str]
    removed: list[str]
    duration: float


@dataclass(slots=True, frozen=True)
class LiveFailed:
    """A reload was refused; the code from before keeps serving."""

    problems: list[Any] = field(default_factory=list)


class EventBus:
    """Call every listener with every event, in order of subscription; a listener's failure is logged, not spread."""

    __slots__ = ("listeners",)

    def __init__(self) -> None:
        self.listeners: tuple[Callable[[Any], object], ...] = ()

    def subscribe(self, listener: Callable[[Any], object]) -> Callable[[], None]:
        """Call `listener(event)` from now on, in the loop's thread; return the function that ends it."""
        self.listeners = (*self.listeners, listener)
        is_on = True

        def off() -> None:
            nonlocal is_on
            if is_on:
                is_on = False
                listeners = list(self.listeners)
                listeners.remove(listener)
                self.listeners = tuple(listeners)

        return off

    def emit(self, event: object) -> None:
        """Hand `event` to every listener."""
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("an event listener failed on %s", type(event).__name__)
