"""One publish: check, stamp, encode once, hand the same frame to every subscriber.

Spec: wire 2.1 to 2.3, platform 2.2 and 2.5.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from runtime.core import capacity, nesting
from runtime.core.assertions import ENVELOPE_EMPTY, assert_invariant
from runtime.core.errors import PayloadTooLarge
from runtime.core.sink import Frame
from runtime.wire import envelope, jsoncodec, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Sequence as SequenceOf

    from runtime.core.metrics import Metrics
    from runtime.core.outbox import TurnOutbox
    from runtime.core.sequence import Sequence
    from runtime.core.subscriptions import Subscriptions

__all__ = ["OTHER_TOPICS", "Event", "Publisher", "Recorder", "Watcher", "make_event"]

# A number is at most 16 digits; with `,"seq":` and the closing brace that is what stamping adds to an envelope.
SEQ_MARGIN = 24
#: What is counted of topics beyond `MAX_TOPIC_STATS` in one pressure window.
OTHER_TOPICS = "__other__"

Recorder = Callable[[str, bytes, int], None]


class Event(msgspec.Struct, frozen=True):
    """A checked and encoded publish that waits for its number. `seq`: stamp, leave out, or use this one.

    `relay`: whether a bus carries it to other workers. `key`: under it only the newest event waits for a peer that is
    behind; `None` for an event that all get. `original`: what watchers see instead of the data, where a stream has
    changed that. `depth`: how many watchers deep it was made, 0 where the context says so.
    """

    topic: str
    event: str
    data: bytes
    seq: bool | int = True
    relay: bool = True
    key: str | None = None
    original: Any = UNSET
    depth: int = 0


#: Told of each event on one topic after it was delivered; must not raise.
Watcher = Callable[[Event], object]


def make_event(
    topic: str,
    event: str,
    data: Any,
    seq: bool | int,
    max_frame: int,
    *,
    relay: bool = True,
    key: str | None = None,
    original: Any = UNSET,
) -> Event:
    """Check the names, encode the data and return the event.

    Raises:
        ValueError: a topic or event that cannot travel, or `seq` neither a bool nor an int >= 1.
        TypeError: data that has no JSON form.
        PayloadTooLarge: the envelope would exceed `max_frame` (0: no limit).
    """
    if not names.are_plain(topic, event):
        names.check_name(topic, "topic")
        names.check_name(event, "event")
    if seq is not True and seq is not False and (not isinstance(seq, int) or seq < 1):
        raise ValueError(f"seq: must be True, False or an integer >= 1, not {seq!r}")
    encoded = jsoncodec.encode(data)
    size = len(encoded) + len(topic) + len(event) + 32 + SEQ_MARGIN
    if max_frame and size > max_frame:
        raise PayloadTooLarge(
            f"the envelope of {event!r} on {topic!r} has about {size} bytes and clients drop frames above {max_frame}: "
            "send less, or page the data"
        )
    return Event(topic, event, encoded, seq, relay, key, original)


class Publisher:
    """Deliver events to the local subscribers of their topics."""

    __slots__ = (
        "_metrics",
        "_outbox",
        "_sequence",
        "_subscriptions",
        "_window",
        "carried",
        "has_bus",
        "max_frame",
        "observers",
        "recorders",
        "unrelayed",
        "watchers",
    )

    def __init__(
        self,
        subscriptions: Subscriptions,
        outbox: TurnOutbox,
        sequence: Sequence,
        metrics: Metrics,
        max_frame: int,
    ) -> None:
        self._subscriptions = subscriptions
        self._outbox = outbox
        self._sequence = sequence
        self._metrics = metrics
        self._window: dict[str, list[int]] = {}
        self.max_frame = max_frame
        #: Who keeps the numbered events of a topic: topic -> record(event, encoded data, number). Spec: wire 8.2.
        self.recorders: dict[str, Recorder] = {}
        #: Told topic and event of everything that was published; they must not raise.
        self.observers: tuple[Callable[[str, str], object], ...] = ()
        #: Told of the events of one topic, by topic; see `runtime.live.watchers`.
        self.watchers: dict[str, Watcher] = {}
        #: What a bus is being given now, by what comes back of it: topic, event, data.
        self.carried: dict[tuple[str, str, bytes], Event] = {}
        #: Whether a bus wraps the platform.
        self.has_bus = False
        #: While something is given to a bus: topics and events in it that it should not relay; else `None`.
        self.unrelayed: frozenset[tuple[str, str]] | None = None

    @property
    def sequence(self) -> Sequence:
        """The counters that number what is published."""
        return self._sequence

    def publish(self, event: Event) -> bool:
        """Stamp and deliver one event; return whether anybody was subscribed.

        Raises:
            ValueError: an event without a number on a topic whose events are kept.
        """
        self.check(event)
        reached = self._deliver(event, 0)
        if event.topic in self.watchers:
            self.tell(event)
        return reached

    def publish_many(self, events: SequenceOf[Event]) -> None:
        """Stamp several events and deliver them in order: a peer that gets two or more of them and understands batch
        frames gets one frame, every other peer the single envelopes. Spec: wire 2.3.

        Raises:
            ValueError: as `publish`, before anything is sent.
        """
        if self.recorders:
            for event in events:
                self.check(event)
        if len(events) == 1:
            self._deliver(events[0], 0)
        else:
            limit = capacity.get("MAX_BATCH_EVENTS")
            if len(events) > limit:
                capacity.record("MAX_BATCH_EVENTS", "split", size=len(events))
            for start in range(0, len(events), limit):
                group = self._outbox.new_group()
                for event in events[start : start + limit]:
                    self._deliver(event, group)
        watchers = self.watchers
        if watchers:
            for event in events:
                if event.topic in watchers:
                    self.tell(event)

    def tell(self, event: Event) -> None:
        """Tell the watchers of a topic of an event that was delivered."""
        watcher = self.watchers.get(event.topic)
        if watcher is not None:
            if self.carried:
                event = self.carried.get((event.topic, event.event, event.data), event)
            if event.relay and not self._is_relayed(event):
                event = msgspec.structs.replace(event, relay=False)
            watcher(event)

    def tell_apart(self, event: Event) -> None:
        """Tell the watchers of an event that every peer was sent by itself, as with `coalesce_by`."""
        if self.watchers:
            with nesting.at_depth(0):
                self.tell(event)

    def _is_relayed(self, event: Event) -> bool:
        """Return whether a bus relays `event`. What it publishes here by itself it has received."""
        if self.unrelayed is None:
            return not self.has_bus
        return (event.topic, event.event) not in self.unrelayed

    @contextlib.contextmanager
    def carrying(self, events: SequenceOf[Event]) -> Iterator[None]:
        """Remember, while a bus is given `events`, what of them it cannot hand back: the original data, and how deep
        they were made.
        """
        before = self.carried
        if self.watchers:
            self.carried = {
                (event.topic, event.event, event.data): event
                for event in events
                if event.depth or event.original is not UNSET
            }
        try:
            yield
        finally:
            self.carried = before

    def check(self, event: Event) -> None:
        """Refuse what cannot be kept although its topic is. Spec: wire 8.2.

        Raises:
            ValueError: an event without a number on a topic whose events are kept.
        """
        if event.seq is False and event.topic in self.recorders:
            raise ValueError(
                f"seq: the events of {event.topic!r} are kept for replay, so each needs a number; "
                "publish it without seq=False and volatile, or on a topic without replay"
            )

    def take_window(self) -> dict[str, tuple[int, int]]:
        """Return messages and bytes per topic since the last call, and begin anew. Spec: platform 2.7."""
        window, self._window = self._window, {}
        return {topic: (counts[0], counts[1]) for topic, counts in window.items()}

    def _deliver(self, event: Event, group: int) -> bool:
        topic, seq = event.topic, event.seq
        number: int | None = None
        if seq is True:
            number = self._sequence.next(topic)
        elif seq is not False:
            number = seq
            self._sequence.raise_to(topic, seq)
        if self.recorders and number is not None:
            record = self.recorders.get(topic)
            if record is not None:
                record(event.event, event.data, number)
        if not event.data:
            assert_invariant(False, ENVELOPE_EMPTY, topic=topic)
        frame = Frame(envelope.encode_envelope(topic, event.event, event.data, number), topic, number)
        counts = self._window.get(topic) or self._new_counts(topic)
        counts[0] += 1
        counts[1] += frame.size
        subscriptions = self._subscriptions
        reached = topic in subscriptions.members
        if reached:
            self._outbox.publish(topic, frame, group)
        if subscriptions.holds:
            held = subscriptions.holds.get(topic)
            if held:
                reached = True
                for hold in held.values():
                    hold.keep(frame)
        for observe in self.observers:
            observe(topic, event.event)
        return reached

    def sizes(self) -> dict[str, int]:
        """Return how many topics are counted in the present pressure window."""
        return {"MAX_TOPIC_STATS": len(self._window)}

    def _new_counts(self, topic: str) -> list[int]:
        """Return messages and bytes of `topic`, which has none in this window."""
        if len(self._window) >= capacity.get("MAX_TOPIC_STATS"):
            if OTHER_TOPICS not in self._window:
                capacity.record("MAX_TOPIC_STATS", "bypass", hint="further topics are counted together")
            topic = OTHER_TOPICS
        return self._window.setdefault(topic, [0, 0])
