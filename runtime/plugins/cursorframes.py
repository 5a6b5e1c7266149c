"""The cursors of one topic, as the JSON that shows them. Spec: wire 6.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.publisher import Event
from runtime.core.sink import Frame
from runtime.wire import envelope, jsoncodec

if TYPE_CHECKING:
    from runtime.core.connection import Connection

__all__ = ["PREFIX", "Canvas", "Mark"]

PREFIX = "__cursor:"
UPDATE = "update"
REMOVE = "remove"
SNAPSHOT = "snapshot"
BULK = "bulk"

#: What stands in a frame around entries: the names of topic and event, the number.
AROUND = 64


class Mark:
    """One connection's cursor on one topic: where it was last, and whether that still has to be told."""

    __slots__ = ("canvas", "data", "is_late", "key", "user", "ws")

    def __init__(self, canvas: Canvas, ws: Connection, key: str, user: bytes, data: bytes) -> None:
        self.canvas = canvas
        self.ws = ws
        self.key = key
        self.user = user
        self.data = data
        #: Whether it moved since it was last told of.
        self.is_late = False

    @property
    def encoded(self) -> bytes:
        """The entry as it travels."""
        return b'{"key":"%b","user":%b,"data":%b}' % (self.key.encode(), self.user, self.data)

    def update(self) -> Event:
        """Return the event that tells where it is."""
        return Event(self.canvas.channel, UPDATE, self.encoded)

    def removal(self) -> Event:
        """Return the event that tells that it is gone."""
        return Event(self.canvas.channel, REMOVE, b'{"key":"%b"}' % self.key.encode())


class Canvas:
    """One topic with its cursors."""

    __slots__ = ("channel", "marks", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.channel = PREFIX + topic
        self.marks: dict[Connection, Mark] = {}

    def entries(self) -> list[dict[str, Any]]:
        """Return fresh copies of all cursors."""
        found: list[dict[str, Any]] = jsoncodec.decode(
            b"[" + b",".join([mark.encoded for mark in self.marks.values()]) + b"]"
        )
        return found

    def snapshot(self, max_frame: int) -> list[Frame]:
        """Return all cursors for one connection; what does not fit into the first frame follows as `bulk`."""
        limit = max_frame - AROUND - len(self.channel.encode()) if max_frame else 0
        parts: list[list[bytes]] = [[]]
        size = 0
        for mark in self.marks.values():
            entry = mark.encoded
            if limit and parts[-1] and size + len(entry) + 1 > limit:
                parts.append([])
                size = 0
            parts[-1].append(entry)
            size += len(entry) + 1
        events = [SNAPSHOT, *[BULK] * (len(parts) - 1)]
        return [
            Frame(envelope.encode_envelope(self.channel, event, b"[" + b",".join(part) + b"]", None))
            for event, part in zip(events, parts, strict=True)
        ]
