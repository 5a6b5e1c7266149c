"""`[websocket] ws_debug`: one log line for each thing that a connection does, with topics and never with data.

The parts that log replace the plain ones when the setting is on, so that it costs nothing when it is off.
Spec: platform 3.9.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from runtime.core.publisher import Publisher
from runtime.core.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Sequence as SequenceOf

    from runtime.core.connection import Connection
    from runtime.core.publisher import Event

__all__ = ["DebugPublisher", "DebugSubscriptions", "WsDebug"]

logger = logging.getLogger("realtime.ws")

MAX_SHOWN = 20  # topics of one line


class WsDebug:
    """Logs what is seen of one connection at a time."""

    __slots__ = ()

    def opened(self, connection: Connection) -> None:
        """Log that a connection has its session id."""
        logger.info("open %s from %s", connection.id, connection.remote_address or "?")

    def closed(self, connection: Connection, code: int, duration: float) -> None:
        """Log that a connection is gone."""
        logger.info("close %s code=%d after %.1f s", connection.id, code, duration)

    def hello(self, connection: Connection) -> None:
        """Log what a client understands."""
        logger.info("hello %s caps=%s", connection.id, ",".join(sorted(connection.caps)) or "-")

    def resume(self, connection: Connection, topics: Iterable[Any]) -> None:
        """Log for which topics a client wants to catch up."""
        logger.info("resume %s %s", connection.id, _shown(topics))

    def denied(self, connection: Connection, topic: Any, reason: str) -> None:
        """Log that a client was not let onto a topic."""
        logger.info("subscribe %s %s denied: %s", connection.id, _shown([topic]), reason)


class DebugSubscriptions(Subscriptions):
    """Logs each topic that a connection takes or leaves, by whatever door; its end is one line of its own."""

    __slots__ = ()

    def add(self, connection: Connection, topic: str) -> bool:
        """Put `connection` on `topic`; return `False` if it was already."""
        changed = super().add(connection, topic)
        if changed:
            logger.info("subscribe %s %s", connection.id, _shown([topic]))
        return changed

    def remove(self, connection: Connection, topic: str) -> bool:
        """Take `connection` off `topic`; return `False` if it was not on it."""
        changed = super().remove(connection, topic)
        if changed and not connection.closed:
            logger.info("unsubscribe %s %s", connection.id, _shown([topic]))
        return changed


class DebugPublisher(Publisher):
    """Logs each publish with the number of those who are on its topic."""

    __slots__ = ()

    def publish(self, event: Event) -> bool:
        """Log and deliver one event."""
        self._log(event)
        return super().publish(event)

    def publish_many(self, events: SequenceOf[Event]) -> None:
        """Log and deliver several events."""
        for event in events:
            self._log(event)
        super().publish_many(events)

    def _log(self, event: Event) -> None:
        count = self._subscriptions.count(event.topic)
        logger.info("publish %s %r to %d", _shown([event.topic]), event.event, count)


def _shown(topics: Iterable[Any]) -> str:
    """Return topics as they can stand in one line: a client may have sent anything."""
    names = [repr(topic[:256]) if isinstance(topic, str) else f"<{type(topic).__name__}>" for topic in topics]
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ",".join(names[:MAX_SHOWN]) + more
