"""What is to be done when a connection is gone: plugins that keep something of it take it back then.

Spec: platform 1.7 (`close`) and 7.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from runtime.core.connection import Connection

__all__ = ["Departures"]

logger = logging.getLogger("realtime.plugins")


class Departures:
    """One callback for each connection and owner, so at most as many as connections times plugins.

    They run behind the app's `close` hook, which may have done the same already, in the order in which they came.
    """

    __slots__ = ("_callbacks",)

    def __init__(self) -> None:
        self._callbacks: dict[Connection, dict[Hashable, Callable[[Connection], object]]] = {}

    def __len__(self) -> int:
        return len(self._callbacks)

    def watch(
        self, connection: Connection, owner: Hashable, callback: Callable[[Connection], object]
    ) -> None:
        """Call `callback(connection)` once when the connection is gone; a later call of `owner` replaces it.

        Does nothing for one that is closed: nothing may be kept of it any more.
        """
        if not connection.closed:
            self._callbacks.setdefault(connection, {})[owner] = callback

    def forget(self, connection: Connection, owner: Hashable) -> None:
        """Take back what `owner` wanted to be called for."""
        callbacks = self._callbacks.get(connection)
        if callbacks is not None and callbacks.pop(owner, None) is not None and not callbacks:
            del self._callbacks[connection]

    def gone(self, connection: Connection) -> None:
        """Tell everybody who wanted to know; one that fails does not keep the others from it."""
        for callback in self._callbacks.pop(connection, {}).values():
            try:
                callback(connection)
            except Exception:
                logger.exception("connection %s could not be taken back everywhere", connection.id)
