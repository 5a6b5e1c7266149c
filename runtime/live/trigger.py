"""What happens after publishes: for each, or once when none came for a while. Spec: live-api 10.1 and 10.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.live.watchers import Published

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock, TimerHandle

__all__ = ["Cause", "Trigger"]

# Clocks add and subtract fractions: what is left of a wait may be a rest of that.
TOLERANCE = 1e-9


@dataclass(slots=True, frozen=True)
class Cause:
    """One publish or several for which something happens once.

    `depth`: how many watchers deep the least deep of them was made, so that a publish from outside always has its
    consequences, and a cycle has as many as there were publishes from outside. `relay`: whether one was meant for
    other workers.
    """

    last: Published
    depth: int
    relay: bool

    def with_earlier(self, other: Cause | None) -> Cause:
        """Return this together with what has waited already."""
        if other is None:
            return self
        return Cause(self.last, min(self.depth, other.depth), self.relay or other.relay)


class Trigger:
    """Calls `fire(cause)` at once for each publish, or `wait` seconds after the last of several."""

    __slots__ = ("_cause", "_clock", "_due", "_fire", "_timer", "wait")

    def __init__(self, clock: Clock, wait: float, fire: Callable[[Cause], object]) -> None:
        self._clock = clock
        self._fire = fire
        self._cause: Cause | None = None
        self._due = 0.0
        self._timer: TimerHandle | None = None
        #: Seconds; a wait that has begun goes on as it is.
        self.wait = wait

    def hit(self, published: Published) -> None:
        """Take a publish; what a watcher calls."""
        self._cause = Cause(published, published.depth, published.relay).with_earlier(self._cause)
        if not self.wait:
            self.flush()
            return
        self._due = self._clock.monotonic() + self.wait
        if self._timer is None:
            self._timer = self._clock.call_later(self.wait, self._look)
        # Else the timer is left alone: it looks at its end how long the silence has lasted.

    def flush(self) -> None:
        """Fire for what waits, if anything does."""
        cause = self._cause
        self.cancel()
        if cause is not None:
            self._fire(cause)

    def cancel(self) -> None:
        """Forget what waits."""
        self._cause = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        left = self._due - self._clock.monotonic()
        if left > TOLERANCE:
            self._timer = self._clock.call_later(left, self._look)
            return
        self._timer = None
        self.flush()
