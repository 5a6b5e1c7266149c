"""How stores of entries that expire stay within their bound without a timer. Spec: platform 7.2 and 7.3.

Entries are looked through when there are 10 % more than the bound, so that a look costs every tenth of the inserts
between two of them a fixed number of steps. A store without a bound is looked through whenever it has doubled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.plugins.options import Bound

__all__ = ["Pruning"]

V = TypeVar("V")

SLACK = 1.1
SMALLEST_LOOK = 1024


class Pruning:
    """When to look through one store, and what to drop then; part of the store's state."""

    __slots__ = ("_look_at",)

    def __init__(self) -> None:
        self._look_at = SMALLEST_LOOK

    def after_insert(
        self, entries: dict[str, V], bound: Bound, now: float, expires: Callable[[V], float]
    ) -> None:
        """Drop what has expired and then the oldest inserts, if there are too many entries; counts what was evicted.

        Args:
            entries: in the order in which they were inserted.
            bound: how many there may be.
            now: the time; what expires at it has expired.
            expires: tells when an entry expires.
        """
        limit, count = bound.limit, len(entries)
        if limit == math.inf:
            if count <= self._look_at:
                return
        elif count <= limit * SLACK:
            return
        for key in [key for key, entry in entries.items() if expires(entry) <= now]:
            del entries[key]
        self._look_at = max(SMALLEST_LOOK, 2 * len(entries))
        excess = len(entries) - limit
        if excess > 0:
            oldest = iter(entries)
            for key in [next(oldest) for _ in range(int(excess))]:
                del entries[key]
                bound.record("evict")
