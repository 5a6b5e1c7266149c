"""The last frames of a worker, encoded for the page as they come in."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from runtime.core import capacity
from runtime.wire import jsoncodec

__all__ = ["FrameLog"]


class FrameLog:
    """A ring of encoded entries, numbered from 1. Bounded by `MAX_DEVTOOLS_FRAMES` and `MAX_DEVTOOLS_BYTES`: the
    oldest go.
    """

    __slots__ = ("_bytes", "_entries", "_last")

    def __init__(self) -> None:
        self._entries: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._last = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last(self) -> int:
        """The number of the newest entry, 0 when there was none."""
        return self._last

    @property
    def size_bytes(self) -> int:
        """Bytes of what is kept."""
        return self._bytes

    def add(self, entry: dict[str, Any]) -> int:
        """Keep `entry`, which has a JSON form, with its number as `n`; return that."""
        self._last += 1
        encoded = jsoncodec.encode({"n": self._last, **entry})
        self._entries.append((self._last, encoded))
        self._bytes += len(encoded)
        while self._entries and (
            len(self._entries) > capacity.get("MAX_DEVTOOLS_FRAMES")
            or self._bytes > capacity.get("MAX_DEVTOOLS_BYTES")
        ):
            is_long = len(self._entries) > capacity.get("MAX_DEVTOOLS_FRAMES")
            capacity.count("MAX_DEVTOOLS_FRAMES" if is_long else "MAX_DEVTOOLS_BYTES", "evict")
            self._bytes -= len(self._entries.popleft()[1])
        return self._last

    def after(self, number: int, limit: int) -> list[msgspec.Raw]:
        """Return the newest entries behind `number`, at most `limit` of them, oldest first."""
        found: list[msgspec.Raw] = []
        for at, encoded in reversed(self._entries):
            if at <= number or len(found) >= limit:
                break
            found.append(msgspec.Raw(encoded))
        return found[::-1]

    def clear(self) -> None:
        """Forget the entries; numbers go on."""
        self._entries.clear()
        self._bytes = 0
