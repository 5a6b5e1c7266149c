"""Noticing that a line is dead although its socket does not say so. Spec: wire 1.8."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock, TimerHandle

__all__ = ["CHECK_INTERVAL", "SILENCE_LIMIT", "LineWatch"]

#: Seconds between two looks, and of silence after which a line is dead.
CHECK_INTERVAL = 30.0
SILENCE_LIMIT = 150.0


class LineWatch:
    """Looks from time to time whether anything was heard; calls `dead()` once when that is too long ago.

    Goes by the wall clock, so that the time counts during which the machine slept.
    """

    def __init__(self, clock: Clock, dead: Callable[[], object]) -> None:
        self._clock = clock
        self._dead = dead
        self._heard_at = clock.now()
        self._timer: TimerHandle | None = clock.call_later(CHECK_INTERVAL, self._look)

    def heard(self) -> None:
        """Note that a message came, whatever it says."""
        self._heard_at = self._clock.now()

    def stop(self) -> None:
        """Look no more. May be called again."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        if self._clock.now() - self._heard_at > SILENCE_LIMIT:
            self._timer = None
            self._dead()
        else:
            self._timer = self._clock.call_later(CHECK_INTERVAL, self._look)
