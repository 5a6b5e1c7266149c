"""The turn outbox: whatever goes out in one turn of the loop leaves each connection in one ordered write.

A publish is noted once under its topic, not once per subscriber. At the end of the turn the subscribers of a topic are
written to: those for whom nothing else waits get the same joined bytes, made once per set of topics; only a connection
with frames of its own, with a slow transport or with much to get is served frame by frame. Positions in the turn keep
the order of everything that one connection gets. Spec: design page, decision 1; wire 2.3 and 3.4; platform 2.5.
"""

from __future__ import annotations

import logging
from operator import itemgetter
from typing import TYPE_CHECKING

from runtime.core.assertions import CONN_WRITE_AFTER_CLOSE, ENVELOPE_BATCH_EMPTY, assert_invariant
from runtime.core.sink import Frame
from runtime.core.turnbatch import at_end_of_turn
from runtime.wire import envelope
from runtime.wire.limits import BATCH_FRAME_WARNING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from runtime.core.clock import Clock
    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics
    from runtime.core.subscriptions import Subscriptions

__all__ = ["BATCHES", "DEFLATES", "SLOW", "Entry", "TurnOutbox"]

logger = logging.getLogger("realtime.outbox")

# The lane of a connection: which joined bytes fit it, or SLOW for one that is served frame by frame.
SLOW = -1
BATCHES, DEFLATES = 1, 2
LANES = 4

# Bytes noted in one turn at which they are written without waiting for its end.
MAX_TURN_BYTES = 256 * 1024
# A joined write of more than this share of a peer's buffer limit is split up, so that the limit holds.
JOINED_SHARE = 4
# More distinct sets of topics than this are not worth a batch frame each. Spec: platform 2.5 step 4.
MAX_BATCH_GROUPS = 32
# What a batch frame adds around its envelopes; commas come on top.
BATCH_MARGIN = len(envelope.encode_batch(()))
WARNING_INTERVAL = 60.0  # seconds between two warnings of large batch frames

#: Position in the turn, frame, and the `publish_batched` call it came in (0: none).
Entry = tuple[int, Frame, int]
_position = itemgetter(0)


class _Slice:
    """What the holders of one set of topics get in this turn, in each form that some of them need."""

    __slots__ = ("_batched", "_joined", "entries", "size")

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.size = entries[0][1].size if len(entries) == 1 else sum([entry[1].size for entry in entries])
        self._batched: list[Entry] | None = None
        self._joined: list[bytes | None] = [None] * LANES

    def frames(self, lane: int, outbox: TurnOutbox) -> list[Entry]:
        """Return the frames for peers of `lane`, in order: batch frames only for those that understand them."""
        if not lane & BATCHES or len(self.entries) == 1:
            return self.entries
        if self._batched is None:
            self._batched = outbox.batched(self.entries)
        return self._batched

    def joined(self, lane: int, outbox: TurnOutbox) -> bytes:
        """Return the finished bytes for peers of `lane`."""
        made = self._joined[lane]
        if made is None:
            frames = self.frames(lane, outbox)
            deflates = lane & DEFLATES
            parts = [entry[1].deflated if deflates else entry[1].wire for entry in frames]
            made = self._joined[lane] = parts[0] if len(parts) == 1 else b"".join(parts)
        return made


class TurnOutbox:
    """Note what is to be sent in this turn of the loop and write it once, at the end of the turn."""

    __slots__ = (
        "_bytes",
        "_dirty",
        "_groups",
        "_log",
        "_max_frame",
        "_metrics",
        "_scheduled",
        "_subscriptions",
        "_warned_at",
        "clock",
        "position",
        "stall_limit",
    )

    def __init__(
        self,
        subscriptions: Subscriptions,
        metrics: Metrics,
        clock: Clock,
        *,
        max_frame: int = 0,
        stall_limit: float = 0,
    ) -> None:
        """Write to the holders of topics in `subscriptions`.

        Args:
            subscriptions: who is on which topic; it flushes this outbox before a busy topic changes hands.
            metrics: gets deliveries and bytes.
            clock: for what has to be timed.
            max_frame: largest batch frame that clients accept; 0 is no limit.
            stall_limit: seconds of full buffer after which a peer is closed with 1013; 0 is never.
        """
        self._subscriptions = subscriptions
        self._log = subscriptions.busy
        subscriptions.settle = self.flush
        self._metrics = metrics
        self.clock = clock
        self.stall_limit = stall_limit
        self._max_frame = max_frame
        self._dirty: list[Connection] = []
        self._bytes = 0
        self._groups = 0
        self._scheduled = False
        self._warned_at: float | None = None
        #: Place in the turn of what is published next.
        self.position = 0

    @property
    def has_published(self) -> bool:
        """Whether publishes of this turn have not been written yet."""
        return bool(self._log)

    def publish(self, topic: str, frame: Frame, group: int = 0) -> None:
        """Note `frame` for whoever is on `topic` now; frames of one `group` may share a batch frame."""
        entries = self._log.get(topic)
        if entries is None:
            if not self._scheduled:
                self._schedule()
            entries = self._log[topic] = []
        entries.append((self.position, frame, group))
        self.position += 1
        self._bytes += frame.size
        if self._bytes > MAX_TURN_BYTES:
            self.flush()

    def new_group(self) -> int:
        """Return the name of a group of publishes that may share a batch frame."""
        self._groups += 1
        return self._groups

    def mark(self, connection: Connection) -> None:
        """Note that `connection` got its first own frame of this turn."""
        if not self._scheduled:
            self._schedule()
        self._dirty.append(connection)

    def _schedule(self) -> None:
        at_end_of_turn(self._turn_ended)
        self._scheduled = True

    def _turn_ended(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        """Hand everything noted to the transports. Also callable in the middle of a turn; order is kept."""
        dirty = self._dirty
        if self._log:
            self._write_published()
        if dirty:
            self._dirty = []
            for connection in dirty:
                if connection.closed and connection.own:
                    assert_invariant(False, CONN_WRITE_AFTER_CLOSE, frames=len(connection.own))
                    continue
                try:
                    connection.send_own()
                except Exception:
                    self._drop(connection)
        if (
            not self._log and not self._dirty
        ):  # else somebody sent while this was written: that is in order already
            self.position = 0

    def _write_published(self) -> None:
        log = self._log
        self._bytes = 0
        if len(log) == 1:
            topic, entries = log.popitem()
            self._fan_out(self._subscriptions.of(topic), _Slice(entries))
            return
        topics = list(log.items())
        log.clear()
        groups = self._grouped(topics)
        may_batch: bool | None = None
        singles = single_bytes = 0
        for key, connections in groups.items():
            if isinstance(key, int):
                entries = topics[key][1]
                if len(connections) == 1 and len(entries) == 1:
                    self._write_one(connections[0], entries)
                    singles += 1
                    single_bytes += entries[0][1].size
                    continue
            else:
                entries = [entry for index in key for entry in topics[index][1]]
                entries.sort(key=_position)
            if may_batch is None:
                may_batch = self._is_worth_batches(topics, groups)
            self._fan_out(connections, _Slice(entries), may_batch=may_batch)
        if singles:
            self._count(singles, single_bytes)

    def _count(self, deliveries: int, octets: int) -> None:
        self._metrics.add("ws_deliveries_total", amount=deliveries)
        self._metrics.add("ws_bytes_out_total", amount=octets)

    @staticmethod
    def _is_worth_batches(
        topics: list[tuple[str, list[Entry]]], groups: Iterable[int | tuple[int, ...]]
    ) -> bool:
        several = 0
        for key in groups:
            if isinstance(key, tuple) or len(topics[key][1]) > 1:
                several += 1
                if several > MAX_BATCH_GROUPS:
                    return False
        return True

    def _write_one(self, connection: Connection, entries: list[Entry]) -> None:
        """Write a single frame to the only connection that is to get it."""
        frame = entries[0][1]
        try:
            lane = connection.lane
            if lane < 0 or connection.own or frame.size * JOINED_SHARE > connection.max_backpressure:
                connection.deliver(entries)
            else:
                connection.spoke = True
                connection.transmit(frame.deflated if lane & DEFLATES else frame.wire)
        except Exception:
            self._drop(connection)

    def _grouped(
        self, topics: list[tuple[str, list[Entry]]]
    ) -> dict[int | tuple[int, ...], list[Connection]]:
        """Return the connections by the busy topics they hold: the index of one, or a tuple of several."""
        wanted: dict[Connection, int | list[int]] = {}
        members = self._subscriptions.members
        for index, (topic, _) in enumerate(topics):
            for connection in members.get(topic, ()):
                held = wanted.setdefault(connection, index)
                if isinstance(held, list):
                    held.append(index)
                elif held != index:
                    wanted[connection] = [held, index]
        groups: dict[int | tuple[int, ...], list[Connection]] = {}
        for connection, held in wanted.items():
            key = held if isinstance(held, int) else tuple(held)
            known = groups.get(key)
            if known is None:
                groups[key] = [connection]
            else:
                known.append(connection)
        return groups

    def _fan_out(self, members: Collection[Connection], piece: _Slice, *, may_batch: bool = True) -> None:
        """Write `piece` to each of `members`; the loop does nothing that could be done once for all."""
        count = len(members)
        self._count(count * len(piece.entries), count * piece.size)
        joined: list[bytes | None] = [None] * LANES
        mask = LANES - 1 if may_batch else LANES - 1 - BATCHES
        size = piece.size * JOINED_SHARE
        left = iter(members)
        connection = None
        while True:
            try:
                for connection in left:
                    lane = connection.lane
                    if lane < 0 or connection.own or size > connection.max_backpressure:
                        connection.deliver(piece.frames(connection.mode & mask, self))
                        continue
                    lane &= mask
                    data = joined[lane]
                    if data is None:
                        data = joined[lane] = piece.joined(lane, self)
                    connection.spoke = True
                    connection.transmit(data)
                break
            except Exception:
                # One transport that fails must not keep the frames of the others.
                if connection is None:
                    raise
                left = iter(list(left))  # dropping logs, and a log handler may change who is on the topic
                self._drop(connection)

    def batched(self, entries: list[Entry]) -> list[Entry]:
        """Return `entries` with those of one group, where there are two or more, joined to batch frames."""
        result: list[Entry] = []
        start = 0
        while start < len(entries):
            group = entries[start][2]
            end = start + 1
            while group and end < len(entries) and entries[end][2] == group:
                end += 1
            if end - start == 1:
                result.append(entries[start])
            else:
                position = entries[start][0]
                frames = self._join([entry[1] for entry in entries[start:end]])
                result.extend((position, frame, group) for frame in frames)
            start = end
        return result

    def _join(self, frames: list[Frame]) -> list[Frame]:
        """Return batch frames over `frames`, none above the size a client accepts."""
        result: list[Frame] = []
        part: list[Frame] = []
        size = BATCH_MARGIN
        for frame in frames:
            if part and self._max_frame and size + frame.size > self._max_frame:
                result.append(self._batch(part))
                part, size = [], BATCH_MARGIN
            part.append(frame)
            size += frame.size + 1
        result.append(self._batch(part))
        return result

    def _batch(self, frames: list[Frame]) -> Frame:
        if len(frames) == 1:
            return frames[0]
        assert_invariant(frames, ENVELOPE_BATCH_EMPTY)
        frame = Frame(envelope.encode_batch([frame.payload for frame in frames]))
        frame.parts = tuple(frames)
        frame.topic = frames[0].topic if frames else None
        if frame.size > BATCH_FRAME_WARNING:
            self._warn_of_size(frame)
        return frame

    def _warn_of_size(self, frame: Frame) -> None:
        now = self.clock.monotonic()
        if self._warned_at is None or now - self._warned_at >= WARNING_INTERVAL:
            self._warned_at = now
            logger.warning(
                "a batch frame of %d events has %d bytes; above %d peers on slow links stall: "
                "publish fewer or smaller events in one turn",
                len(frame.parts),
                frame.size,
                BATCH_FRAME_WARNING,
            )

    @staticmethod
    def _drop(connection: Connection) -> None:
        logger.exception("the frames of connection %s could not be written; it is dropped", connection.id)
        connection.terminate()
