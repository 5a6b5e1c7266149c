"""Keep a failure that comes with every event from filling the log: what is left out is counted and said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runtime.core.clock import Clock

__all__ = ["LINES_PER_SECOND", "LogPace"]

LINES_PER_SECOND: Final = 10
"""Failures that are logged with their traceback within one second; the others are counted."""


class LogPace:
    """Says whether one more failure may be logged. The loop's thread only."""

    __slots__ = ("_begun", "_clock", "_left", "_skipped")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = float("-inf")
        self._left = 0
        self._skipped = 0

    def take(self) -> str | None:
        """Return what to write behind the line: nothing, or how many were left out before it. None: leave it out."""
        now = self._clock.monotonic()
        if now - self._begun >= 1.0:
            self._begun, self._left = now, LINES_PER_SECOND
        if not self._left:
            self._skipped += 1
            return None
        self._left -= 1
        skipped, self._skipped = self._skipped, 0
        return f" ({skipped} more failures before this one were left out of the log)" if skipped else ""
