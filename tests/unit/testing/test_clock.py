from __future__ import annotations

import asyncio

import pytest

from runtime.core.clock import Clock, SystemClock
from runtime.testing import FakeClock


def fake() -> FakeClock:
    clock = FakeClock(now=1000.0)
    _: Clock = clock
    return clock


async def test_timers_run_in_order_at_their_own_time() -> None:
    clock = fake()
    seen: list[tuple[str, float]] = []
    for name, delay in [("b", 2.0), ("a", 1.0), ("c", 2.0), ("late", 9.0)]:
        clock.call_later(delay, lambda name: seen.append((name, clock.monotonic())), name)
    await clock.advance(5)
    assert seen == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert (clock.monotonic(), clock.now(), clock.pending) == (5.0, 1005.0, 1)


async def test_a_timer_may_set_further_ones_inside_the_span() -> None:
    clock = fake()
    seen: list[float] = []

    def again() -> None:
        seen.append(clock.monotonic())
        clock.call_later(1.5, again)

    clock.call_later(1, again)
    await clock.advance(4)
    assert seen == [1.0, 2.5, 4.0]


async def test_a_cancelled_timer_does_not_run() -> None:
    clock = fake()
    seen: list[int] = []
    timer = clock.call_later(1, seen.append, 1)
    timer.cancel()
    timer.cancel()
    await clock.advance(2)
    assert seen == []
    assert clock.pending == 0


async def test_sleeping_tasks_wake_in_time_and_may_sleep_again() -> None:
    clock = fake()
    woken: list[float] = []

    async def sleeper() -> None:
        for _ in range(3):
            await clock.sleep(1)
            woken.append(clock.monotonic())

    task = asyncio.ensure_future(sleeper())
    await clock.advance(2)
    assert woken == [1.0, 2.0]
    await clock.advance(1)
    await task
    assert woken == [1.0, 2.0, 3.0]


async def test_a_cancelled_sleep_leaves_no_timer() -> None:
    clock = fake()
    task = asyncio.ensure_future(clock.sleep(5))
    await asyncio.sleep(0)
    assert clock.pending == 1
    task.cancel()
    await asyncio.wait([task])
    assert clock.pending == 0


async def test_sleeping_for_nothing_gives_the_loop_a_turn() -> None:
    clock = fake()
    turned: list[bool] = []
    asyncio.get_running_loop().call_soon(turned.append, True)
    await clock.sleep(0)
    assert turned == [True]


async def long_way(clock: FakeClock, turns: int, seen: list[float]) -> None:
    await clock.sleep(1)
    for _ in range(turns):
        await asyncio.sleep(0)
    seen.append(clock.monotonic())


async def test_what_a_timer_woke_may_go_on_until_nothing_can_run() -> None:
    for until_idle, expected in ((True, [1.0]), (False, [5.0])):
        clock = FakeClock(until_idle=until_idle)
        seen: list[float] = []
        task = asyncio.ensure_future(long_way(clock, 300, seen))
        clock.call_later(2, lambda: None)
        await clock.advance(5)
        await task
        assert seen == expected


async def test_a_day_of_seconds_does_not_take_long() -> None:
    clock = FakeClock(until_idle=True)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        clock.call_later(1, tick)

    tick()
    begun = SystemClock().monotonic()
    await clock.advance(86_400)
    assert ticks == 86_401
    assert SystemClock().monotonic() - begun < 10


async def test_a_loop_that_does_not_tell_gives_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(until_idle=True)
    seen: list[float] = []
    task = asyncio.ensure_future(long_way(clock, 10, seen))
    await asyncio.sleep(0)

    class Untold:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime.testing.clock.asyncio.get_running_loop", Untold)
        await clock.advance(1)
    assert seen == [1.0]
    await task


async def test_time_goes_forward_only() -> None:
    with pytest.raises(ValueError, match="forward only"):
        await fake().advance(-1)
