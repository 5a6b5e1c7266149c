"""One publish: check, stamp, encode once, hand the same frame to every subscriber.

Spec: wire 2.1 to 2.3, platform 2.2 and 2.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.errors import PayloadTooLarge
from runtime.core.sink import Frame
from runtime.wire import envelope, jsoncodec, names

if TYPE_CHECKING:
    from collections.abc import Sequence as SequenceOf

    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics
    from runtime.core.sequence import Sequence
    from runtime.core.subscriptions import Subscriptions

__all__ = ["Event", "Publisher", "make_event"]

# More distinct slices than this are not worth a frame each. Spec: platform 2.5 step 4.
MAX_BATCH_GROUPS = 32
# A number is at most 16 digits; with `,"seq":` and the closing brace that is what stamping adds to an envelope.
SEQ_MARGIN = 24
# What a batch frame adds around its envelopes; commas come on top.
BATCH_MARGIN = len(envelope.encode_batch(()))


@dataclass(slots=True, frozen=True)
class Event:
    """A checked and encoded publish that waits for its number. `seq`: stamp, leave out, or use this one."""

    topic: str
    event: str
    data: bytes
    seq: bool | int = True


def make_event(topic: str, event: str, data: Any, seq: bool | int, max_frame: int) -> Event:
    """Check the names, encode the data and return the event.

    Raises:
        ValueError: a topic or event that cannot travel, or `seq` neither a bool nor an int >= 1.
        TypeError: data that has no JSON form.
        PayloadTooLarge: the envelope would exceed `max_frame` (0: no limit).
    """
    names.check_name(topic, "topic")
    names.check_name(event, "event")
    if not isinstance(seq, bool) and (not isinstance(seq, int) or seq < 1):
        raise ValueError(f"seq: must be True, False or an integer >= 1, not {seq!r}")
    encoded = jsoncodec.encode(data)
    size = len(encoded) + len(topic) + len(event) + 32 + SEQ_MARGIN
    if max_frame and size > max_frame:
        raise PayloadTooLarge(
            f"the envelope of {event!r} on {topic!r} has about {size} bytes and clients drop frames above {max_frame}: "
            "send less, or page the data"
        )
    return Event(topic, event, encoded, seq)


class Publisher:
    """Deliver events to the local subscribers of their topics."""

    __slots__ = ("_metrics", "_sequence", "_subscriptions", "max_frame")

    def __init__(
        self, subscriptions: Subscriptions, sequence: Sequence, metrics: Metrics, max_frame: int
    ) -> None:
        self._subscriptions = subscriptions
        self._sequence = sequence
        self._metrics = metrics
        self.max_frame = max_frame

    def publish(self, event: Event) -> bool:
        """Stamp and deliver one event; return whether anybody was subscribed."""
        return self._deliver(event.topic, Frame(self._stamp(event)))

    def publish_many(self, events: SequenceOf[Event]) -> None:
        """Stamp several events and deliver them in order: a peer that gets two or more of them and understands batch
        frames gets one frame, every other peer the single envelopes. Spec: wire 2.3.
        """
        limit = capacity.get("MAX_BATCH_EVENTS")
        for start in range(0, len(events), limit):
            part = events[start : start + limit]
            if len(part) == 1:
                self.publish(part[0])
            else:
                self._publish_group(part)

    def _publish_group(self, events: SequenceOf[Event]) -> None:
        frames = [Frame(self._stamp(event)) for event in events]
        subscriptions = self._subscriptions
        wanted: dict[Connection, list[int]] = {}
        for index, event in enumerate(events):
            for connection in subscriptions.of(event.topic):
                wanted.setdefault(connection, []).append(index)
            held = subscriptions.held(event.topic)
            if held:
                for hold in held.values():
                    hold.keep(frames[index])
        joined: dict[tuple[int, ...], list[Frame]] = {}
        for connection, indices in wanted.items():
            if len(indices) == 1 or "batch" not in connection.caps:
                slices = [frames[index] for index in indices]
            else:
                key = tuple(indices)
                known = joined.get(key)
                if known is None:
                    slices = [frames[index] for index in indices]
                    if len(joined) < MAX_BATCH_GROUPS:
                        slices = joined[key] = self._join(slices)
                else:
                    slices = known
            for frame in slices:
                connection.write(frame)

    def _join(self, frames: list[Frame]) -> list[Frame]:
        """Return batch frames over `frames`, none above the size a client accepts."""
        result: list[Frame] = []
        part: list[Frame] = []
        size = BATCH_MARGIN
        for frame in frames:
            if part and self.max_frame and size + frame.size > self.max_frame:
                result.append(_batch(part))
                part, size = [], BATCH_MARGIN
            part.append(frame)
            size += frame.size + 1
        result.append(_batch(part))
        return result

    def _stamp(self, event: Event) -> bytes:
        seq = event.seq
        number: int | None = None
        if seq is True:
            number = self._sequence.next(event.topic)
        elif seq is not False:
            number = seq
            self._sequence.raise_to(event.topic, seq)
        return envelope.encode_envelope(event.topic, event.event, event.data, number)

    def _deliver(self, topic: str, frame: Frame) -> bool:
        subscriptions = self._subscriptions
        members = subscriptions.of(topic)
        for connection in members:
            connection.write(frame)
        held = subscriptions.held(topic)
        if held:
            for hold in held.values():
                hold.keep(frame)
            return True
        return bool(members)


def _batch(frames: list[Frame]) -> Frame:
    if len(frames) == 1:
        return frames[0]
    return Frame(envelope.encode_batch([frame.payload for frame in frames]))
