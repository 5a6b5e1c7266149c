"""How often one client address may come: a sliding window per address, bounded in memory. Spec: platform 1.6, 5.14."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.core import capacity

if TYPE_CHECKING:
    from runtime.core.clock import Clock

__all__ = ["SlidingWindow", "network_of"]

SAMPLED = 16  # entries that are looked at for the least active one
ENTRIES = "MAX_UPGRADE_RATE_ENTRIES"


@dataclass(slots=True)
class _Entry:
    """What came from one address: in the window before, in this one, and when this one began."""

    key: str
    started: float
    previous: int = 0
    current: int = 0

    def turn(self, now: float, window: float) -> None:
        """Begin a new window if this one is over."""
        elapsed = now - self.started
        if elapsed < window:
            return
        self.previous = self.current if elapsed < 2 * window else 0
        self.current = 0
        self.started = now

    def estimate(self, now: float, window: float) -> float:
        """Return about how many came in the last `window` seconds."""
        return self.previous * (1 - (now - self.started) / window) + self.current


class SlidingWindow:
    """At most `limit` per key in any `window` seconds, by an estimate that a client cannot double at an edge.

    Refused ones do not count. At most `MAX_UPGRADE_RATE_ENTRIES` keys are remembered; for one more, the least active
    of 16 is forgotten. The 16 are those behind the last ones that were looked at, so all come round.
    """

    def __init__(self, limit: int, window: float, clock: Clock) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._ring: list[_Entry] = []
        self._hand = 0

    def __len__(self) -> int:
        return len(self._entries)

    def admits(self, key: str) -> bool:
        """Return whether `key` may come now, and count it if so."""
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        if entry is None:
            entry = self._enter(key, now)
        else:
            entry.turn(now, self._window)
            if entry.estimate(now, self._window) >= self._limit:
                return False
        entry.current += 1
        return True

    def _enter(self, key: str, now: float) -> _Entry:
        entry = _Entry(key, now)
        if len(self._ring) < capacity.get(ENTRIES):
            self._ring.append(entry)
        else:
            self._replace(entry, now)
        self._entries[key] = entry
        return entry

    def _replace(self, entry: _Entry, now: float) -> None:
        ring, size = self._ring, len(self._ring)
        places = [(self._hand + step) % size for step in range(min(SAMPLED, size))]
        self._hand = (self._hand + SAMPLED) % size
        place = min(places, key=lambda at: self._activity(ring[at], now))
        gone = ring[place]
        del self._entries[gone.key]
        ring[place] = entry
        if self._activity(gone, now):
            capacity.record(ENTRIES, "evict", hint="more addresses than that come in one rate window")

    def _activity(self, entry: _Entry, now: float) -> float:
        """Return how much forgetting this entry would forgive: nothing when its windows are over."""
        return entry.estimate(now, self._window) if now - entry.started < 2 * self._window else 0.0


def network_of(address: str) -> str:
    """Return under what an address is counted: IPv4 by itself, IPv6 by its /64, which is one customer's."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
