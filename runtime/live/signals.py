"""Who gets the signals to a user: each connection that `enable_signals` was called for. Spec: live-api 14.

A signal is a publish on the user's own topic (`ctx.send_signal`), so it reaches every device that is on it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runtime.core.signaltopic import signal_topic
from runtime.live.pushes import user_id_of

if TYPE_CHECKING:
    from runtime.core.connection import Connection

__all__ = ["AutomaticSignals", "enable_signals"]

logger = logging.getLogger("realtime.signal")


def enable_signals(ws: Connection, id_field: str = "id") -> bool:
    """Let a connection get the signals to its user; call it in the `open` hook, or set `[websocket] signals`.

    No `subscribe` hook is asked: who the user is was decided at the upgrade. Clients cannot do this themselves.

    Args:
        ws: the connection.
        id_field: where its user data has the id; without one nothing happens.

    Returns:
        Whether the connection was put on the topic by this call.

    Raises:
        ValueError: the id cannot name a user.
    """
    data = ws.user_data
    user_id = data.get(id_field) if hasattr(data, "get") else getattr(data, id_field, None)
    if user_id is None:
        return False
    return ws.subscribe(signal_topic(user_id))


class AutomaticSignals:
    """What `[websocket] signals = true` does at each open: whoever has an id gets the signals to it."""

    __slots__ = ("_was_told",)

    def __init__(self) -> None:
        self._was_told = False

    def opened(self, ws: Connection) -> None:
        """Put a connection on its signal topic; an id that cannot name a user is warned of once."""
        user_id = user_id_of(ws.user_data, "id")
        if user_id is None:
            return
        try:
            ws.subscribe(signal_topic(user_id))
        except ValueError as error:
            if not self._was_told:
                self._was_told = True
                logger.warning("[websocket] signals: a user gets none: %s", error)
