"""A text ping on connections that have been quiet, so that a browser knows they live. Spec: wire 1.8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core.sink import Frame
from runtime.wire import control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.core.clock import Clock, TimerHandle
    from runtime.core.connection import Connection

__all__ = ["Keepalive"]

SWEEPS_PER_INTERVAL = 4
_PING = Frame(control.PING)


class Keepalive:
    """One timer for all connections: looks four times per interval which of them sent nothing since."""

    def __init__(self, connections: Mapping[str, Connection], interval: float, clock: Clock) -> None:
        """Watch `connections`; `interval` in seconds of outbound silence, 0 switches it off."""
        self._connections = connections
        self._interval = interval
        self._clock = clock
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Begin to sweep."""
        if self._interval:
            self._timer = self._clock.call_later(self._interval / SWEEPS_PER_INTERVAL, self._sweep)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        for connection in self._connections.values():
            if connection.spoke:
                connection.spoke = False
                connection.quiet_sweeps = 0
                continue
            connection.quiet_sweeps += 1
            if connection.quiet_sweeps >= SWEEPS_PER_INTERVAL:
                connection.quiet_sweeps = 0
                connection.write(_PING, control=True)
        self.start()
