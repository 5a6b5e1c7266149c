"""How loaded a worker is. Spec: platform 2.7."""

from __future__ import annotations

import pytest

from runtime.core.metrics import Metrics
from runtime.core.pressure import PressureSnapshot, Sampler
from runtime.testing import FakeClock


async def test_rates_are_over_the_time_that_really_passed() -> None:
    clock, metrics = FakeClock(), Metrics()
    sampler = Sampler(metrics, clock)
    assert sampler.snapshot == PressureSnapshot()
    metrics.add("publish_total", "ctx", amount=30)
    metrics.add("publish_total", "batch", amount=10)
    await clock.advance(2)
    first = sampler.sample(connections=4, subscriptions=10)
    assert first == PressureSnapshot(False, "NONE", 2.5, 20.0)
    await clock.advance(1)
    assert sampler.sample(connections=0, subscriptions=0) == PressureSnapshot(False, "NONE", 0.0, 0.0)
    assert first.publish_rate == 20.0


async def test_two_samples_at_one_moment_divide_by_nothing() -> None:
    sampler = Sampler(metrics := Metrics(), FakeClock())
    metrics.add("publish_total", "ctx")
    assert sampler.sample(connections=1, subscriptions=0).publish_rate == 0.0


@pytest.mark.parametrize(
    ("published", "subscriptions", "reason"),
    [
        (9_999, 49, "NONE"),
        (10_000, 0, "PUBLISH_RATE"),
        (0, 50, "SUBSCRIBERS"),
        (10_000, 50, "PUBLISH_RATE"),
    ],
)
async def test_the_first_reason_that_holds(published: int, subscriptions: int, reason: str) -> None:
    clock, metrics = FakeClock(), Metrics()
    sampler = Sampler(metrics, clock)
    metrics.add("publish_total", "ctx", amount=published)
    await clock.advance(1)
    snapshot = sampler.sample(connections=1, subscriptions=subscriptions)
    assert (snapshot.reason, snapshot.active) == (reason, reason != "NONE")
    assert sampler.snapshot is snapshot
