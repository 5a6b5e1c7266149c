"""The sliding window per client address. Spec: platform 1.6 and 5.14, wire 1.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.server.ratewindow import SAMPLED, SlidingWindow, network_of
from runtime.testing import FakeClock

WINDOW = 10.0


def admitted(window: SlidingWindow, times: int, key: str = "a") -> int:
    return sum(window.admits(key) for _ in range(times))


@pytest.mark.spec("PLAT-16", "WIRE-4")
async def test_the_eleventh_in_ten_seconds_is_refused_and_not_counted() -> None:
    clock = FakeClock()
    window = SlidingWindow(10, WINDOW, clock)
    assert admitted(window, 10) == 10
    assert admitted(window, 1000) == 0
    assert admitted(window, 3, "b") == 3  # everybody has a window of their own
    await clock.advance(15)  # had the refused ones counted, none would fit now
    assert window.admits("a") is False  # a window that just ended still counts in full
    await clock.advance(5)
    assert admitted(window, 10) == 5  # half of the window before lies in the last ten seconds
    await clock.advance(20)
    assert admitted(window, 11) == 10


@pytest.mark.spec("PLAT-16", "PLAT-116")
async def test_the_rate_cannot_be_doubled_at_an_edge() -> None:
    clock = FakeClock()
    window = SlidingWindow(10, WINDOW, clock)
    await clock.advance(9.9)
    assert window.admits("a")
    await clock.advance(9.9)
    assert admitted(window, 20) == 9
    await clock.advance(0.2)  # the next window has begun
    assert admitted(window, 20) == 0


class Model:
    """The rule as the specification words it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.windows: dict[str, tuple[float, float, float]] = {}

    def admits(self, key: str, now: float) -> bool:
        previous, current, start = self.windows.get(key, (0, 0, now))
        elapsed = now - start
        if elapsed >= 2 * WINDOW:
            previous, current, start = 0, 0, now
        elif elapsed >= WINDOW:
            previous, current, start = current, 0, now
        estimate = previous * (1 - (now - start) / WINDOW) + current
        fits = estimate < self.limit
        self.windows[key] = (previous, current + fits, start)
        return fits


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.25, 1.0, 4.5, 9.75, 10.0, 15.0, 20.0, 31.0])),
    max_size=200,
)


@pytest.mark.spec("PLAT-16", "WIRE-4")
@given(STEPS, st.integers(1, 5))
async def test_it_decides_as_the_rule_says(steps: list[tuple[str, float]], limit: int) -> None:
    clock = FakeClock()
    window, model = SlidingWindow(limit, WINDOW, clock), Model(limit)
    granted: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for key, pause in steps:
        await clock.advance(pause)
        now = clock.monotonic()
        fits = window.admits(key)
        assert fits is model.admits(key, now)
        if fits:
            granted[key].append(now)
    for times in granted.values():
        for first in times:
            assert len([time for time in times if first <= time < first + WINDOW]) <= 2 * limit - 1


@pytest.mark.spec("WIRE-4")
async def test_at_its_bound_the_least_active_of_sixteen_is_forgotten() -> None:
    clock = FakeClock()
    before = capacity.events["MAX_UPGRADE_RATE_ENTRIES", "evict"]
    with capacity_override(MAX_UPGRADE_RATE_ENTRIES=32):
        window = SlidingWindow(10, WINDOW, clock)
        for number in range(32):
            admitted(window, 1 if number in (3, 20) else 5, f"k{number}")
        for newcomer in ("new1", "new2"):
            assert window.admits(newcomer)
            assert len(window) == 32
        assert admitted(window, 20, "k4") == 5  # remembered: five more and no further
        assert admitted(window, 20, "k19") == 5
        assert admitted(window, 20, "k3") == 10  # forgotten, and so fresh
        assert admitted(window, 20, "k20") == 10
    assert capacity.events["MAX_UPGRADE_RATE_ENTRIES", "evict"] >= before + 2


async def test_what_is_over_goes_before_what_counts_and_is_no_event() -> None:
    clock = FakeClock()
    with capacity_override(MAX_UPGRADE_RATE_ENTRIES=SAMPLED):
        window = SlidingWindow(10, WINDOW, clock)
        assert admitted(window, 9, "old") == 9
        await clock.advance(2 * WINDOW)
        for number in range(SAMPLED - 1):
            window.admits(f"k{number}")
        before = capacity.events["MAX_UPGRADE_RATE_ENTRIES", "evict"]
        assert window.admits("newcomer")
        assert capacity.events["MAX_UPGRADE_RATE_ENTRIES", "evict"] == before
        assert all(admitted(window, 20, f"k{number}") == 9 for number in range(SAMPLED - 1))


@pytest.mark.spec("WIRE-4")
@given(st.lists(st.integers(0, 400), max_size=300))
async def test_it_never_remembers_more_than_its_bound(keys: list[int]) -> None:
    with capacity_override(MAX_UPGRADE_RATE_ENTRIES=20):
        window = SlidingWindow(3, WINDOW, FakeClock())
        for key in keys:
            window.admits(str(key))
            assert len(window) == len(window._ring) <= 20
        assert {entry.key for entry in window._ring} == set(window._entries)


@pytest.mark.spec("PLAT-116")
@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:DB8:1:2::1", "2001:db8:1:2::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("testclient", "testclient", True),
        ("a:b", "c:d", False),
    ],
)
def test_an_ipv6_customer_is_one_however_many_addresses_it_takes(
    one: str, other: str, together: bool
) -> None:
    assert (network_of(one) == network_of(other)) is together
