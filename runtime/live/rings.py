"""The buckets of a sliding window, and what they are together. Spec: live-api 11.3.

An event costs the same however many buckets there are: it changes one bucket, and of the others their combination is
kept until the window moves on.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from runtime.core.assertions import AGGREGATE_BUCKET_INDEX, assert_invariant
from runtime.live.combiners import first_step_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.live.combiners import Combiner

__all__ = ["Ring"]

State = dict[str, Any]


class Ring:
    """A fixed number of states, of which the newest one, `current`, takes the events.

    Raises whatever the functions of the app raise that it is given.
    """

    __slots__ = ("_buckets", "_closed", "_fresh", "_head", "current")

    def __init__(self, count: int, fresh: Callable[[], State]) -> None:
        """`fresh` makes the state of an empty bucket."""
        self._fresh = fresh
        self._buckets = [fresh() for _ in range(count)]
        self._head = 0
        #: What the closed buckets are together, by field; what is not in it has not been asked for since the last move.
        self._closed: State = {}
        self.current = self._buckets[0]

    def __len__(self) -> int:
        return len(self._buckets)

    def move(self, steps: int) -> None:
        """Begin `steps` new buckets; as many of the oldest end."""
        count = len(self._buckets)
        assert_invariant(0 <= self._head < count, AGGREGATE_BUCKET_INDEX, head=self._head, count=count)
        for _ in range(min(steps, count)):  # after one round all of them are new
            self._head = (self._head + 1) % count
            self._buckets[self._head] = self._fresh()
        self.current = self._buckets[self._head]
        self._closed = {}

    def combined(self, field: str, combine: Combiner) -> Any:
        """Return `combine` of what the buckets have of a field, the oldest first."""
        first_step = first_step_of(combine)
        if first_step is None:
            return combine(*(bucket.get(field) for bucket in self._oldest_first()))
        newest = self.current.get(field)
        if len(self._buckets) == 1:
            return combine(newest)
        if field not in self._closed:
            closed = islice(self._oldest_first(), len(self._buckets) - 1)
            self._closed[field] = first_step(*(bucket.get(field) for bucket in closed))
        return combine(self._closed[field], newest)

    def _oldest_first(self) -> Iterator[State]:
        """Yield the buckets by age; `current` is the last."""
        oldest = self._head + 1
        yield from islice(self._buckets, oldest, None)
        yield from islice(self._buckets, 0, oldest)
