"""The number of each publish on its topic. Spec: wire 8.1 and 8.3."""

from __future__ import annotations

from runtime.core import capacity

__all__ = ["Sequence", "clock_base"]


def clock_base(now: float) -> int:
    """Return the start of the counters of a process that started at `now` (Unix seconds).

    Numbers after a restart lie above all numbers before it as long as a topic averages below 1000 publishes a second.
    """
    return int(now) * 1000


class Sequence:
    """One counter per topic, from `base` + 1, never reset and never evicted while the process lives.

    At `TOPIC_SEQS_WARN_THRESHOLD` topics it warns once; at `MAX_TOPIC_SEQS` new topics get no number.
    """

    __slots__ = ("_base", "_last")

    def __init__(self, base: int = 0) -> None:
        self._base = base
        self._last: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many topics have a counter."""
        return len(self._last)

    def sizes(self) -> dict[str, int]:
        """Return how many topics have a counter, for both bounds of them."""
        return dict.fromkeys(("MAX_TOPIC_SEQS", "TOPIC_SEQS_WARN_THRESHOLD"), len(self._last))

    def next(self, topic: str) -> int | None:
        """Return the number of the next publish on `topic`, or `None` when no further topic can be numbered."""
        last = self._last.get(topic)
        if last is None:
            last = self._base
            if not self._has_room():
                return None
        self._last[topic] = last + 1
        return last + 1

    def current(self, topic: str) -> int:
        """Return the number of the last stamped publish on `topic`; the base if there was none."""
        return self._last.get(topic, self._base)

    def knows(self, topic: str) -> bool:
        """Return whether `topic` has a counter: something was published on it with a number."""
        return topic in self._last

    @property
    def is_full(self) -> bool:
        """Whether topics without a counter get none any more."""
        return len(self._last) >= capacity.get("MAX_TOPIC_SEQS")

    def raise_to(self, topic: str, number: int) -> None:
        """Continue `topic` behind `number`, which a shared store assigned; a lower one changes nothing."""
        if number > self.current(topic) and (topic in self._last or self._has_room()):
            self._last[topic] = number

    def _has_room(self) -> bool:
        known = len(self._last)
        if self.is_full:
            capacity.record("MAX_TOPIC_SEQS", "skip", hint="new topics are published without seq")
            return False
        if known == capacity.get("TOPIC_SEQS_WARN_THRESHOLD"):
            capacity.record(
                "TOPIC_SEQS_WARN_THRESHOLD", "warn", hint="topic names that never repeat cost memory"
            )
        return True
