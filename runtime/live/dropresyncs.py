"""A connection that was too far behind for events of a stream gets the stream's present value when it has caught up.

Spec: live-api 8.12 (`resync_on_drop`), wire 8.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock
    from runtime.core.connection import Connection
    from runtime.core.platform import Platform
    from runtime.live.options import StreamOptions
    from runtime.live.streamsubs import StreamSub, StreamSubs

__all__ = ["RESYNC_INTERVAL", "DropResyncs"]

#: Seconds between two reloads of one stream for one connection.
RESYNC_INTERVAL = 1.0


class DropResyncs:
    """Which subscriptions are loaded anew after a drop, and when."""

    __slots__ = ("_clock", "_is_default", "_subs", "refresh")

    def __init__(self, platform: Platform, subs: StreamSubs) -> None:
        self._clock: Clock = platform.parts.clock
        self._is_default = platform.settings.websocket.resync_on_drop
        self._subs = subs
        #: Loads one subscription anew and sends its connection the value; the app sets it.
        self.refresh: Callable[[StreamSub], object] | None = None

    def enter(self, connection: Connection, options: StreamOptions) -> None:
        """Have `connection` say what it missed, if a stream it has got wants to know."""
        if self._wants(options):
            connection.on_missed = self._missed

    def _wants(self, options: StreamOptions) -> bool:
        return self._is_default if options.resync_on_drop is None else options.resync_on_drop

    def _missed(self, connection: Connection, topics: list[str]) -> None:
        now = self._clock.monotonic()
        for topic in topics:
            for sub in self._subs.of(connection, topic):
                options = sub.endpoint.options
                if options is None or not self._wants(options) or sub.is_resync_due:
                    continue
                sub.is_resync_due = True
                wait = sub.resynced_at + RESYNC_INTERVAL - now
                if wait > 0:
                    self._clock.call_later(wait, self._refresh, sub)
                else:
                    self._refresh(sub)

    def _refresh(self, sub: StreamSub) -> None:
        sub.is_resync_due = False
        if self._subs.is_held(sub) and self.refresh is not None:
            sub.resynced_at = self._clock.monotonic()
            self.refresh(sub)
