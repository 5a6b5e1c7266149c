"""The latest value per key for one peer: newer ones replace what still waits, and only what leaves is encoded.

Spec: platform 2.4, wire 2.4.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.core import assertions, capacity
from runtime.core.assertions import assert_invariant
from runtime.core.connection import SendResult
from runtime.core.directframe import direct_frame
from runtime.core.sink import Frame
from runtime.wire import names

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics

__all__ = ["Coalesced", "check", "forget", "forget_topic", "send", "send_shared"]

logger = logging.getLogger("realtime.coalesce")


class _Entry(NamedTuple):
    topic: str
    event: str
    data: Any


class Coalesced:
    """What waits for one connection, by key, in the order in which the keys first came."""

    __slots__ = ("_entries", "_max_frame", "_metrics")

    def __init__(self, metrics: Metrics, max_frame: int) -> None:
        self._entries: dict[str, _Entry] = {}
        self._metrics = metrics
        self._max_frame = max_frame

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: str, topic: str, event: str, data: Any) -> None:
        """Let this value wait: in the place of an older one of `key`, else behind all others.

        At `MAX_COALESCED_KEYS_PER_CONNECTION` a new key evicts the one that has waited longest.
        """
        entries = self._entries
        assert_invariant(isinstance(entries, dict), assertions.COALESCE_PENDING_TYPE)
        if key not in entries:
            limit = capacity.get("MAX_COALESCED_KEYS_PER_CONNECTION")
            while len(entries) >= limit:
                del entries[next(iter(entries))]
                self._metrics.add("ws_coalesced_pending", amount=-1)
                self._metrics.add("ws_coalesced_evicted_total")
                capacity.record(
                    "MAX_COALESCED_KEYS_PER_CONNECTION",
                    "evict",
                    hint="a peer is slow and the keys never repeat",
                )
            assert_invariant(
                len(entries) < limit, assertions.CAPACITY_OVER_LIMIT, size=len(entries), limit=limit
            )
            self._metrics.add("ws_coalesced_pending")
        entries[key] = _Entry(topic, event, data)

    def pump(self, connection: Connection) -> None:
        """Send what waits, oldest key first, until the peer is behind; at once, and whenever its buffer has emptied.

        A frame that the transport keeps is the last one of this round; one that it refuses goes on waiting.
        """
        entries = self._entries
        while entries and not connection.closed and not _is_full(connection):
            key, entry = next(iter(entries.items()))
            frame = self._encode(key, entry)
            if entries.get(key) is not entry:
                continue  # replaced while its data, an object of the app, was encoded
            result = SendResult.SENT if frame is None else connection.write(frame)
            if result is SendResult.DROPPED:
                return
            self._take(connection, key)
            if result is SendResult.QUEUED:
                return

    def drop(self, connection: Connection, topic: str) -> None:
        """Forget the events of `topic` that were made for all its subscribers."""
        for key, entry in list(self._entries.items()):
            if entry.topic == topic and isinstance(entry.data, Frame):
                self._take(connection, key)

    def clear(self) -> None:
        """Forget everything: the peer is gone."""
        self._metrics.add("ws_coalesced_pending", amount=-len(self._entries))
        self._entries.clear()

    def _take(self, connection: Connection, key: str) -> None:
        del self._entries[key]
        self._metrics.add("ws_coalesced_pending", amount=-1)
        if not self._entries and connection.coalesced is self:
            connection.coalesced = None

    def _encode(self, key: str, entry: _Entry) -> Frame | None:
        """Return the frame of a value; `None` when it has none, which its sender can no longer be told."""
        assert_invariant(isinstance(entry.topic, str), assertions.COALESCE_ENTRY_TOPIC_TYPE)
        assert_invariant(isinstance(entry.event, str), assertions.COALESCE_ENTRY_EVENT_TYPE)
        if isinstance(entry.data, Frame):
            return entry.data
        try:
            return direct_frame(entry.topic, entry.event, entry.data, self._max_frame)
        except Exception:
            # The data is an object of the app, whose conversion may raise anything; the others must go on.
            logger.exception("send_coalesced: the value of key %r on %r is left out", key, entry.topic)
            self._metrics.add("ws_frames_dropped_total", "coalesced")
            return None


def send(
    connection: Connection, key: str, topic: str, event: str, data: Any, *, metrics: Metrics, max_frame: int
) -> None:
    """Send the value now if the peer takes it, else let it wait for the peer.

    Raises:
        ValueError: an empty key, or a bad name.
        TypeError, PayloadTooLarge: as `send`, where the value could be encoded at once; one that waits is logged.
    """
    check(key, topic, event)
    if connection.closed:
        return
    if connection.coalesced is None and not _is_full(connection):
        connection.write(direct_frame(topic, event, data, max_frame))
    else:
        _put(connection, key, topic, event, data, metrics, max_frame)


def send_shared(
    connection: Connection, key: str, topic: str, event: str, frame: Frame, metrics: Metrics
) -> None:
    """Do what `send` does with a frame that was made for several peers, whose names and key were checked."""
    if connection.closed:
        return
    if connection.coalesced is None and not _is_full(connection):
        connection.write(frame)
    else:
        _put(connection, key, topic, event, frame, metrics, 0)


def _put(
    connection: Connection, key: str, topic: str, event: str, data: Any, metrics: Metrics, max_frame: int
) -> None:
    waiting: Coalesced | None = connection.coalesced
    if waiting is None:  # the peer has just been found to be behind: it pumps when its buffer has emptied
        connection.coalesced = Coalesced(metrics, max_frame)
        connection.coalesced.put(key, topic, event, data)
        return
    waiting.put(key, topic, event, data)
    waiting.pump(connection)


def check(key: str, topic: str, event: str) -> None:
    """Raise unless these can be a key, a topic and an event.

    Raises:
        ValueError: saying which cannot, and why.
    """
    if not isinstance(key, str) or not key:
        raise ValueError(f"key: must be a text that is not empty, not {key!r}")
    names.check_name(topic, "topic")
    names.check_name(event, "event")


def forget(connection: Connection) -> None:
    """Drop what waits for a connection that is gone."""
    waiting: Coalesced | None = connection.coalesced
    if waiting is not None:
        connection.coalesced = None
        waiting.clear()


def forget_topic(connection: Connection, topic: str) -> None:
    """Drop what waits for a connection that has left `topic`: it would be old news to one that comes back.

    Values of `send` stay, which does not ask for a subscription.
    """
    waiting: Coalesced | None = connection.coalesced
    if waiting is not None and not connection.closed:
        waiting.drop(connection, topic)


def _is_full(connection: Connection) -> bool:
    """Return whether the peer would miss a frame now; then its connection pumps when the buffer has emptied.

    Asked before encoding: a value that is replaced a thousand times while the peer is behind is encoded once.
    """
    if connection.buffered_amount < connection.max_backpressure:
        return False
    # What is queued in this turn says nothing of the peer: hand it over and look at what stays behind.
    connection.flush()
    if connection.buffered_amount < connection.max_backpressure:
        return False
    connection.watch()
    return True
