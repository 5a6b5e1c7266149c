"""Connections, readers and publishers that tell a recorder what passes through them.

Where there are devtools they stand in for the plain ones, so that elsewhere nothing of this costs anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.connection import Connection
from runtime.core.publisher import Publisher
from runtime.server.inbound import Inbound
from runtime.server.wsdebug import DebugPublisher

if TYPE_CHECKING:
    from runtime.core.publisher import Event
    from runtime.core.sink import Frame
    from runtime.server.assembly import Runtime
    from runtime.server.devtools.recorder import Recorder

__all__ = ["SeenConnection", "SeenDebugPublisher", "SeenInbound", "SeenPublisher"]


class SeenConnection(Connection):
    """Tells of what is written to it alone, and of what it loses."""

    __slots__ = ("_recorder",)

    def __init__(self, recorder: Recorder, **parts: Any) -> None:
        self._recorder = recorder
        super().__init__(**parts)

    def queue(self, frame: Frame) -> None:
        """Queue `frame`, whatever waits already."""
        if self._recorder.is_on:
            self._recorder.sent(self, frame)
        super().queue(frame)

    def _drop(self, frame: Frame, kind: str) -> None:
        if self._recorder.is_on:
            self._recorder.dropped(self, frame)
        super()._drop(frame, kind)


class SeenInbound(Inbound):
    """Tells of what a peer sends."""

    __slots__ = ("_recorder",)

    def __init__(self, recorder: Recorder, runtime: Runtime, connection: Connection) -> None:
        self._recorder = recorder
        super().__init__(runtime, connection)

    def feed(self, data: str | bytes) -> None:
        """Take one message."""
        if self._recorder.is_on and not self.connection.closed:
            self._recorder.received(self.connection, data)
        super().feed(data)


class SeenPublisher(Publisher):
    """Tells of every publish, also of those that reach nobody."""

    __slots__ = ("recorder",)

    #: Who is told; set before anything is published.
    recorder: Recorder

    def _deliver(self, event: Event, group: int) -> bool:
        reached = super()._deliver(event, group)
        if self.recorder.is_on:
            number = None
            if event.seq is True:
                number = self._sequence.current(event.topic)
            elif event.seq is not False:
                number = event.seq
            self.recorder.published(event, number, self._subscriptions.count(event.topic))
        return reached


class SeenDebugPublisher(SeenPublisher, DebugPublisher):
    """The same, with `[websocket] ws_debug`."""

    __slots__ = ()
