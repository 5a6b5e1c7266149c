"""Two counters per caller give what a list of all calls would give. Spec: live-api 5.2."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.core.errors import LiveError
from runtime.live.ratelimit import Buckets, Rule
from runtime.testing import FakeClock

TICKS = 64  # of a second: times are exact in binary


class Naive:
    """Remembers when every call was let through, and counts anew each time."""

    def __init__(self, points: int, window: int) -> None:
        self.points = points
        self.window = window
        self.passed: list[int] = []
        self.start: int | None = None

    def take(self, now: int) -> int | None:
        """Return `None`, or for how many ticks the caller has to wait."""
        window = self.window
        if self.start is None or now - self.start >= 2 * window:
            self.start = now
        elif now - self.start >= window:
            self.start += window
        previous = sum(self.start - window <= moment < self.start for moment in self.passed)
        current = sum(moment >= self.start for moment in self.passed)
        # previous * (1 - elapsed / window) + current, without fractions
        if previous * (window - (now - self.start)) + current * window >= self.points * window:
            return self.start + window - now
        self.passed.append(now)
        return None


@settings(max_examples=150, deadline=None)
@given(
    points=st.integers(1, 6),
    window=st.sampled_from([16, 64, 128]),
    calls=st.lists(st.tuples(st.integers(0, 150), st.sampled_from(["a", "b"])), max_size=80),
)
def test_buckets_are_equal_to_remembering_every_call(
    points: int, window: int, calls: list[tuple[int, str]]
) -> None:
    async def run() -> None:
        clock = FakeClock()
        buckets = Buckets(clock)
        naive = {name: Naive(points, window) for name in "ab"}
        rule = Rule(points, window / TICKS)
        now = 0
        for pause, name in calls:
            now += pause
            clock._elapsed = (
                now / TICKS
            )  # moved by hand: `advance` gives the loop turns that nothing needs here
            waits: float | None = None
            try:
                buckets.take("p", name, rule)
            except LiveError as error:
                waits = error.retry_after
            expected = naive[name].take(now)
            assert (waits is None) == (expected is None)
            if waits is not None and expected is not None:
                assert expected / TICKS <= waits <= expected / TICKS + 0.001
        for one in naive.values():
            for moment in one.passed:
                assert sum(moment <= other < moment + window for other in one.passed) <= 2 * points

    asyncio.run(run())
