"""The circuit breaker: its three states, the one probe, and who is told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded
from runtime.plugins import CircuitBreaker, CircuitBrokenError
from runtime.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def broken(clock: FakeClock, **options: Any) -> CircuitBreaker:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout=10, clock=clock, **options)
    breaker.failure()
    return breaker


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("failure_threshold", 0),
        ("failure_threshold", 1.5),
        ("reset_timeout", -1),
        ("reset_timeout", float("inf")),
        ("on_state_change", 3),
    ],
)
def test_a_bad_option_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"CircuitBreaker: {option} must be"):
        CircuitBreaker(**{option: value})


async def test_it_breaks_at_the_last_failure_in_a_row(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_threshold=3, clock=clock)
    for _ in range(2):
        breaker.failure(OSError())
    assert (breaker.state, breaker.failures) == ("healthy", 2)
    breaker.success()
    for _ in range(2):
        breaker.failure()
    breaker.guard()
    assert breaker.is_healthy
    breaker.failure()
    assert (breaker.state, breaker.failures, breaker.is_healthy) == ("broken", 3, False)
    breaker.failure()
    assert breaker.failures == 3
    with pytest.raises(CircuitBrokenError, match="broken after 3 failures"):
        breaker.guard()
    breaker.success()  # of a call that began before
    assert breaker.state == "broken"


async def test_after_a_while_one_call_may_probe(clock: FakeClock) -> None:
    breaker = broken(clock)
    await clock.advance(9.9)
    assert breaker.is_open()
    await clock.advance(0.1)
    assert breaker.state == "probing"
    breaker.guard()
    for _ in range(3):
        assert breaker.is_open()
        with pytest.raises(CircuitBrokenError, match="probing"):
            breaker.guard()
    breaker.success()
    assert (breaker.state, breaker.failures) == ("healthy", 0)
    await clock.advance(100)
    assert (breaker.state, clock.pending) == ("healthy", 0)


async def test_a_probe_that_fails_begins_the_wait_anew(clock: FakeClock) -> None:
    breaker = broken(clock)
    await clock.advance(10)
    assert not breaker.is_open()
    await clock.advance(5)
    breaker.failure()
    assert breaker.state == "broken"
    await clock.advance(9.9)
    assert breaker.state == "broken"
    await clock.advance(0.1)
    assert not breaker.is_open()


async def test_a_probe_that_never_reports_is_given_up(clock: FakeClock) -> None:
    breaker = broken(clock)
    await clock.advance(10)
    assert not breaker.is_open()
    breaker.failure(asyncio.CancelledError())
    await clock.advance(9.9)
    assert breaker.is_open()
    await clock.advance(0.1)
    assert breaker.state == "probing"
    assert not breaker.is_open()
    breaker.success()
    assert clock.pending == 0


async def test_without_a_timeout_the_probe_may_come_at_once(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout=0, clock=clock)
    breaker.failure()
    assert breaker.is_open()
    await clock.advance(0)
    assert not breaker.is_open()
    breaker.reset()


async def test_run_reports_what_came_of_it(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_threshold=2, reset_timeout=10, clock=clock)
    calls = 0

    async def call(error: BaseException | None) -> int:
        nonlocal calls
        calls += 1
        if error is not None:
            raise error
        return 7

    assert await breaker.run(lambda: call(None)) == 7
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            await breaker.run(lambda: call(OSError("no")))
    with pytest.raises(CircuitBrokenError):
        await breaker.run(lambda: call(None))
    assert calls == 3
    await clock.advance(10)
    assert await breaker.run(lambda: call(None)) == 7
    assert breaker.is_healthy
    with pytest.raises(asyncio.CancelledError):
        await breaker.run(lambda: call(asyncio.CancelledError()))
    assert breaker.failures == 0


async def test_a_reset_heals_whatever_was(clock: FakeClock) -> None:
    breaker = broken(clock)
    breaker.reset()
    assert (breaker.state, breaker.failures, clock.pending) == ("healthy", 0, 0)


async def test_everybody_is_told_of_each_change(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []

    def fail(before: str, after: str) -> None:
        raise OSError("no")

    breaker = CircuitBreaker(
        failure_threshold=1, reset_timeout=10, on_state_change=lambda *both: told.append(both), clock=clock
    )
    breaker.subscribe(fail)
    end = breaker.subscribe(lambda *both: told.append(("second", *both)))
    with caplog.at_level(logging.ERROR):
        breaker.failure()
    assert told == [("healthy", "broken"), ("second", "healthy", "broken")]
    assert "a listener failed" in caplog.text
    end()
    end()
    await clock.advance(10)
    breaker.guard()
    breaker.failure()
    await clock.advance(10)
    breaker.guard()
    breaker.success()
    breaker.reset()
    assert told[2:] == [
        ("broken", "probing"),
        ("probing", "broken"),
        ("broken", "probing"),
        ("probing", "healthy"),
    ]


async def test_listeners_are_bounded(clock: FakeClock) -> None:
    breaker = CircuitBreaker(clock=clock)
    with pytest.raises(ValueError, match="fn must be callable"):
        breaker.subscribe(3)  # type: ignore[arg-type]  # that is the point
    with capacity.capacity_override(MAX_BREAKER_LISTENERS=1):
        breaker.subscribe(lambda before, after: None)
        with pytest.raises(CapacityExceeded, match="MAX_BREAKER_LISTENERS"):
            breaker.subscribe(lambda before, after: None)


async def test_a_reload_keeps_the_state_and_tells_the_new_listeners(clock: FakeClock) -> None:
    told: list[str] = []

    def listener_of(name: str) -> Any:
        def listener(before: str, after: str) -> None:
            told.append(name)

        return listener

    old = CircuitBreaker(failure_threshold=1, reset_timeout=10, clock=clock)
    old.subscribe(listener_of("old"))
    old.subscribe(lambda before, after: told.append("other"))
    old.failure()
    new = CircuitBreaker(failure_threshold=1, reset_timeout=20, clock=clock)
    new.subscribe(listener_of("new"))
    assert new.adopt(old)
    assert new.is_open()
    told.clear()
    await clock.advance(10)
    assert new.state == "probing"
    assert told == ["other", "new"]
    new.guard()
    with pytest.raises(CircuitBrokenError):
        old.guard()
    new.failure()
    await clock.advance(19)
    assert new.is_open()
    await new.close()


async def test_closing_cancels_its_timer_and_tells_nobody(clock: FakeClock) -> None:
    told: list[Any] = []
    breaker = broken(clock)
    breaker.subscribe(lambda *both: told.append(both))
    await breaker.close()
    assert (breaker.state, told, clock.pending) == ("healthy", [], 0)
    assert repr(breaker) == "<CircuitBreaker healthy, 0 of 1 failures>"
