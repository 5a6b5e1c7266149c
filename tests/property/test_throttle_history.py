"""`throttle` and `debounce` publish what a replay of the whole history would say, at the same moments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.plugins import debounce, throttle
from tests.unit.core.parts import Core

TICKS = 16  # of a second: times are exact in binary
Call = tuple[int, str, str]  # the moment, what is done, the topic
Published = list[tuple[int, str, int]]  # the moment, the topic, which call's value


def throttled(calls: list[Call], interval: int, end: int) -> Published:
    """Go through every moment of each topic and ask what throttling does in it."""
    found: Published = []
    for topic in "ab":
        free_at, waits = 0, None
        for moment in range(end + 1):
            if moment == free_at and waits is not None:
                found.append((moment, topic, waits))
                waits, free_at = None, moment + interval
            for number, (at, done, where) in enumerate(calls):
                if at != moment or where not in (topic, "*"):
                    continue
                if done == "publish" and moment >= free_at:
                    found.append((moment, topic, number))
                    free_at = moment + interval
                elif done == "publish":
                    waits = number
                else:
                    if done == "flush" and waits is not None:
                        found.append((moment, topic, waits))
                    waits, free_at = None, moment
    return sorted(found)


def debounced(calls: list[Call], interval: int, end: int) -> Published:
    """Look from each publish at what follows it: it counts if there is silence behind it."""
    found: Published = []
    for topic in "ab":
        mine = [(at, done, number) for number, (at, done, where) in enumerate(calls) if where in (topic, "*")]
        for position, (at, done, number) in enumerate(mine):
            if done != "publish":
                continue
            follower = mine[position + 1] if position + 1 < len(mine) else (end + 1, "publish", -1)
            if follower[0] >= at + interval:
                if at + interval <= end:
                    found.append((at + interval, topic, number))
            elif follower[1] == "flush":
                found.append((follower[0], topic, number))
    return sorted(found)


async def published(make: Callable[..., Any], calls: list[Call], interval: int, end: int) -> Published:
    core = Core()
    limiter = make(interval / TICKS, clock=core.clock)
    peer = core.connect("a", "b")
    found: Published = []
    count = 0

    def look() -> None:
        nonlocal count
        events = core.events(peer)
        for topic, _, data, _ in events[count:]:
            found.append((round(core.clock.monotonic() * TICKS), topic, data))
        count = len(events)

    upcoming = list(enumerate(calls))
    for moment in range(end + 1):
        if moment:
            await core.clock.advance(1 / TICKS)
        look()
        while upcoming and upcoming[0][1][0] == moment:
            number, (_, done, topic) = upcoming.pop(0)
            if done == "publish":
                limiter.publish(core.platform, topic, "e", number)
            else:
                getattr(limiter, done)(None if topic == "*" else topic)
            look()
    await limiter.close()
    assert core.clock.pending == 0
    return sorted(found)


steps = st.tuples(
    st.integers(0, 12),
    st.sampled_from(["publish", "publish", "publish", "publish", "flush", "cancel"]),
    st.sampled_from("ab*"),
)


@settings(max_examples=120, deadline=None)
@given(interval=st.integers(1, 10), steps=st.lists(steps, max_size=20))
def test_both_are_equal_to_looking_at_the_whole_history(
    interval: int, steps: list[tuple[int, str, str]]
) -> None:
    calls: list[Call] = []
    now = 0
    for pause, done, topic in steps:
        now += pause
        calls.append((now, done, "a" if done == "publish" and topic == "*" else topic))
    end = now + 2 * interval

    async def run() -> None:
        assert await published(throttle, calls, interval, end) == throttled(calls, interval, end)
        assert await published(debounce, calls, interval, end) == debounced(calls, interval, end)

    asyncio.run(run())
