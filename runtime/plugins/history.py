"""The last events of each topic, bounded by number, by bytes and by age. Spec: platform 7.5.

Each topic has a ring, and topics are kept in the order of their last use: the one unused for longest goes first. What a
ring no longer has is known by one number, `safe_from`: whoever has seen that number or a later one can be given
everything behind it; whoever has seen less cannot. It only ever rises.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple

from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["History", "Kept", "Limits"]

# What an event costs besides its name and data: the tuple, the number, two object headers.
ENTRY_BYTES = 200


class Kept(NamedTuple):
    """One event; `at` is when it came, on the monotonic clock."""

    seq: int
    event: str
    data: bytes
    at: float

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return len(self.data) + len(self.event) + ENTRY_BYTES


class Limits(NamedTuple):
    """Bounds of a history; `None` is no bound.

    `size`: events of one topic; the oldest is overwritten. `max_topics`: topics with events; the one unused for longest
    is forgotten. `max_bytes`: of all topics together; the topic unused for longest loses its oldest events first.
    `max_age`: seconds after which an event is not given out any more.
    """

    size: int | None = None
    max_topics: int | None = None
    max_bytes: int | None = None
    max_age: float | None = None


class _Ring:
    """The events of one topic, oldest first, and the last number that was recorded."""

    __slots__ = ("events", "last", "safe_from")

    def __init__(self, last: int) -> None:
        self.events: deque[Kept] = deque()
        self.last = self.safe_from = last


class History:
    """Rings by topic, without bounds until `limit` is called. `clock` is the monotonic time in seconds."""

    __slots__ = ("_bytes", "_clock", "_limits", "_rings")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limits = Limits()
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._bytes = 0

    def limit(self, limits: Limits) -> None:
        """Keep no more than `limits` from now on. An event that came before ages were looked at is as old as can be."""
        self._limits = limits
        if limits.size is not None:
            for ring in self._rings.values():
                while len(ring.events) > limits.size:
                    self._drop_oldest(ring)
        self._trim_topics()
        self._trim_bytes()

    def __len__(self) -> int:
        return len(self._rings)

    @property
    def size(self) -> int:
        """The bytes that all events take."""
        return self._bytes

    @property
    def longest(self) -> int:
        """The number of events of the topic with the most of them."""
        return max((len(ring.events) for ring in self._rings.values()), default=0)

    def add(self, topic: str, event: str, data: bytes, seq: int, before: int, size: int | None = None) -> int:
        """Keep one event under its number and return the number up to which the topic counts now.

        That is `seq`, the topic's next number. A number that leaves some out makes what came before unusable: nobody
        can say what a client lacks then. One that is not above the last cannot be given to anybody by its number, so
        it counts as a further one that is lost.

        Args:
            topic, event, data, seq: as published; `data` is encoded JSON.
            before: the number up to which the topic counted until now.
            size: bound of this topic instead of the common one.
        """
        ring = self._rings.get(topic)
        if ring is None:
            ring = self._rings[topic] = _Ring(before)
            self._trim_topics()
        else:
            self._rings.move_to_end(topic)
        if seq <= ring.last:
            ring.last += 1
            self._empty(ring, ring.last)
            return ring.last
        if seq != ring.last + 1:
            self._empty(ring, seq - 1)
        ring.last = seq
        kept = Kept(seq, event, data, self._clock() if self._limits.max_age is not None else -math.inf)
        ring.events.append(kept)
        self._bytes += kept.size
        limit = size or self._limits.size
        while limit is not None and len(ring.events) > limit:
            self._drop_oldest(ring)
            capacity.count("MAX_REPLAY_SIZE", "evict")
        self._trim_bytes()
        return seq

    def after(self, topic: str, seq: int) -> list[Kept]:
        """Return what is kept of `topic` behind `seq`, ascending; this counts as a use."""
        ring = self._used(topic)
        if ring is None:
            return []
        found: list[Kept] = []
        for kept in reversed(ring.events):
            if kept.seq <= seq:
                break
            found.append(kept)
        found.reverse()
        return found

    def touch(self, topic: str) -> None:
        """Count a use of `topic`."""
        self._used(topic)

    def safe_from(self, topic: str, current: int) -> int:
        """Return the lowest number behind which nothing is missing; `current` is the topic's last number."""
        ring = self._used(topic)
        # A ring that did not see the last publishes cannot vouch for anything before them.
        return current if ring is None or ring.last < current else ring.safe_from

    def forget(self, topic: str) -> None:
        """Drop the events of one topic."""
        ring = self._rings.pop(topic, None)
        if ring is not None:
            self._empty(ring, ring.last)

    def clear(self) -> None:
        """Drop the events of all topics."""
        self._rings.clear()
        self._bytes = 0

    def _used(self, topic: str) -> _Ring | None:
        ring = self._rings.get(topic)
        if ring is None:
            return None
        self._rings.move_to_end(topic)
        if self._limits.max_age is not None:
            oldest_allowed = self._clock() - self._limits.max_age
            while ring.events and ring.events[0].at < oldest_allowed:
                self._drop_oldest(ring)
        return ring

    def _drop_oldest(self, ring: _Ring) -> None:
        dropped = ring.events.popleft()
        self._bytes -= dropped.size
        ring.safe_from = dropped.seq

    def _empty(self, ring: _Ring, safe_from: int) -> None:
        self._bytes -= sum(kept.size for kept in ring.events)
        ring.events.clear()
        ring.safe_from = safe_from

    def _trim_topics(self) -> None:
        most = self._limits.max_topics
        while most is not None and len(self._rings) > most:
            _, ring = self._rings.popitem(last=False)
            self._empty(ring, ring.last)
            capacity.record(
                "MAX_REPLAY_TOPICS", "evict", hint="clients of the topic that was forgotten load it in full"
            )

    def _trim_bytes(self) -> None:
        most = self._limits.max_bytes
        while most is not None and self._bytes > most:
            topic, ring = next(iter(self._rings.items()))
            if ring.events:
                self._drop_oldest(ring)
            if not ring.events:
                del self._rings[topic]
            capacity.record(
                "MAX_REPLAY_BYTES", "evict", hint="clients of the topic that was trimmed load it in full"
            )
