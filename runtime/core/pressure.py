"""How loaded this worker is: one sample a second, and the reason that admission looks at.

Spec: platform 2.7, live-api 18.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from runtime.core.clock import Clock
    from runtime.core.metrics import Metrics

__all__ = ["REASONS", "PressureSnapshot", "Sampler"]

Reason = Literal["NONE", "PUBLISH_RATE", "SUBSCRIBERS", "MEMORY"]
REASONS: tuple[str, ...] = ("NONE", "PUBLISH_RATE", "SUBSCRIBERS", "MEMORY")

PUBLISH_RATE_THRESHOLD = 10_000.0  # publishes per second
SUBSCRIBER_RATIO_THRESHOLD = 50.0  # subscriptions per connection


@dataclass(slots=True, frozen=True)
class PressureSnapshot:
    """One sample. `publish_rate` per second, `subscriber_ratio` subscriptions per connection."""

    active: bool = False
    reason: Reason = "NONE"
    subscriber_ratio: float = 0.0
    publish_rate: float = 0.0


class Sampler:
    """Compute a snapshot from counters that exist anyway; `sample()` is called by whoever owns the timer."""

    __slots__ = ("_clock", "_metrics", "_published", "_sampled_at", "snapshot")

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._published = 0
        self._sampled_at = clock.monotonic()
        self.snapshot = PressureSnapshot()

    def sample(self, *, connections: int, subscriptions: int) -> PressureSnapshot:
        """Take a sample now and make it the current snapshot."""
        now = self._clock.monotonic()
        published = self._metrics.total("publish_total")
        elapsed = now - self._sampled_at
        rate = (published - self._published) / elapsed if elapsed > 0 else 0.0
        ratio = subscriptions / connections if connections else 0.0
        self._published, self._sampled_at = published, now
        reason: Reason = "NONE"
        if rate >= PUBLISH_RATE_THRESHOLD:
            reason = "PUBLISH_RATE"
        elif ratio >= SUBSCRIBER_RATIO_THRESHOLD:
            reason = "SUBSCRIBERS"
        self.snapshot = PressureSnapshot(reason != "NONE", reason, ratio, rate)
        return self.snapshot
