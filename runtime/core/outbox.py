"""The turn outbox: whatever goes out in one turn of the loop leaves each connection in one ordered write.

Publishes, direct sends, replies and control frames share the queue of their connection, so their order on the wire
is the order in which they were produced, and a burst costs a peer one write. Spec: design page, decision 1.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.core.connection import Connection

__all__ = ["TurnOutbox"]

logger = logging.getLogger("realtime.outbox")


class TurnOutbox:
    """Remember which connections have something to send and flush them once, at the end of the loop turn."""

    __slots__ = ("_dirty",)

    def __init__(self) -> None:
        self._dirty: list[Connection] = []

    def mark(self, connection: Connection) -> None:
        """Note that `connection` got its first frame of this turn."""
        dirty = self._dirty
        if not dirty:
            asyncio.get_running_loop().call_soon(self.flush)
        dirty.append(connection)

    def flush(self) -> None:
        """Hand every waiting frame to its transport. Also callable in the middle of a turn; order is kept."""
        dirty = self._dirty
        if not dirty:
            return
        self._dirty = []
        for connection in dirty:
            try:
                connection.flush()
            except Exception:
                # One transport that fails must not keep the frames of the others.
                logger.exception(
                    "the frames of connection %s could not be written; it is dropped", connection.id
                )
                connection.terminate()
