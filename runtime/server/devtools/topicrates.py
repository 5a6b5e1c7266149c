"""How much is published on which topic, while somebody looks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from runtime.core import capacity

__all__ = ["WINDOW", "TopicCount", "TopicRates"]

#: Seconds over which rates are taken.
WINDOW = 5


@dataclass(slots=True)
class TopicCount:
    """What was published on one topic since somebody looks. `last_at` in seconds since the epoch."""

    events: int = 0
    size_bytes: int = 0
    last_event: str = ""
    last_at: float = 0.0
    seq: int | None = None
    #: Second, events and bytes in it; the latest last.
    _seconds: deque[list[int]] = field(default_factory=deque)

    def add(self, second: int, size: int) -> None:
        """Count one event in this second of the monotonic clock."""
        self.events += 1
        self.size_bytes += size
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
            self._seconds[-1][2] += size
        else:
            self._seconds.append([second, 1, size])
            self._forget(second)

    def rates(self, second: int) -> tuple[float, float]:
        """Return events and bytes per second over the window that ends with `second`."""
        self._forget(second)
        events = sum(entry[1] for entry in self._seconds)
        size = sum(entry[2] for entry in self._seconds)
        return events / WINDOW, size / WINDOW

    def _forget(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - WINDOW:
            self._seconds.popleft()


class TopicRates:
    """The counts by topic. Beyond `MAX_DEVTOOLS_TOPICS` the topic that has been silent longest is forgotten."""

    __slots__ = ("_topics",)

    def __init__(self) -> None:
        #: The one that was published on last stands last.
        self._topics: dict[str, TopicCount] = {}

    def __len__(self) -> int:
        return len(self._topics)

    def add(self, topic: str, event: str, size: int, *, at: float, second: int, seq: int | None) -> None:
        """Count one event of `size` bytes."""
        count = self._topics.pop(topic, None)
        if count is None:
            count = TopicCount()
            if len(self._topics) >= capacity.get("MAX_DEVTOOLS_TOPICS"):
                del self._topics[next(iter(self._topics))]
                capacity.record("MAX_DEVTOOLS_TOPICS", "evict", hint="the devtools count such a topic anew")
        self._topics[topic] = count
        count.add(second, size)
        count.last_event, count.last_at = event, at
        if seq is not None:
            count.seq = seq

    def get(self, topic: str) -> TopicCount | None:
        """Return the counts of a topic."""
        return self._topics.get(topic)

    def topics(self) -> list[str]:
        """Return the topics that are counted, the busiest of late first."""
        return list(reversed(self._topics))

    def clear(self) -> None:
        """Forget everything."""
        self._topics.clear()
