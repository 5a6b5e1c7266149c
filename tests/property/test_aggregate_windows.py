"""Every window against a recomputation over all events that there ever were. Spec: live-api 11."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import (
    Compute,
    Lifetime,
    Reducer,
    Sliding,
    Tumbling,
    combine_counts,
    combine_max,
    combine_merge,
    combine_min,
    combine_sum,
    live,
)
from tests.unit.live.counting import Counting

TICKS = 16  # of a second: times are exact in binary
HOUR = 3600
#: Half an hour before New York has 01:00 for the first time, and a quiet day.
STARTS = [1_793_509_200.0 - 1800, 1_700_000_000.0]
ZONE = ZoneInfo("America/New_York")


def tally(acc: dict[str, int], event: str, data: int) -> dict[str, int]:
    return {**acc, str(data % 3): acc.get(str(data % 3), 0) + 1}


def mean(*buckets: tuple[int, int]) -> float:
    """A combiner that needs all buckets at once: the mean of those that have something."""
    full = [total / count for total, count in buckets if count]
    return sum(full) / len(full) if full else 0.0


FIELDS = {
    "count": Reducer(lambda: 0, lambda acc, event, data: acc + 1, combine=combine_sum),
    "sum": Reducer(lambda: 0, lambda acc, event, data: acc + data, combine=combine_sum),
    "top": Reducer(None, lambda acc, e, d: d if acc is None else max(acc, d), combine=combine_max),
    "low": Reducer(None, lambda acc, e, d: d if acc is None else min(acc, d), combine=combine_min),
    "tally": Reducer(dict, tally, combine=combine_counts),
    "last": Reducer(dict, lambda acc, event, data: {"v": data}, combine=combine_merge),
    "mean": Reducer(lambda: (0, 0), lambda acc, e, d: (acc[0] + d, acc[1] + 1), combine=mean),
    "double": Compute(lambda s: s["count"] * 2),
}
#: Name, slide in ticks, buckets.
SLIDING = {"fast": (8, 4), "one": (16, 1), "odd": (7, 3)}
WINDOWS: dict[str, Lifetime | Tumbling | Sliding] = {
    "life": Lifetime(),
    "fixed": Tumbling(duration=10, anchor=3),
    "hours": Tumbling(period="hour", tz="America/New_York"),
    **{
        n: Sliding(duration=slide * count / TICKS, slide=slide / TICKS)
        for n, (slide, count) in SLIDING.items()
    },
}


@dataclass
class Event:
    wall: float
    tick: int
    data: int


@dataclass
class Naive:
    """All events, from which everything is computed anew. `latest`: the latest time that the wall clock showed."""

    events: list[Event] = field(default_factory=list)
    latest: float = 0.0

    def window(self, name: str, tick: int) -> Any:
        if name == "life":
            return fold(self.events)
        if name in SLIDING:
            slide, count = SLIDING[name]
            newest = tick // slide
            mine = [
                [e for e in self.events if e.tick // slide == newest - back]
                for back in range(count - 1, -1, -1)
            ]
            return slid(mine)
        start = (fixed_start if name == "fixed" else hour_start)(self.latest)
        return fold([event for event in self.events if event.wall >= start])


def fold(events: list[Event]) -> dict[str, Any]:
    data = [event.data for event in events]
    return {
        "count": len(data),
        "sum": sum(data),
        "top": max(data, default=None),
        "low": min(data, default=None),
        "tally": {str(k): n for k in range(3) if (n := sum(1 for d in data if d % 3 == k))},
        "last": {"v": data[-1]} if data else {},
        "mean": (sum(data), len(data)),
        "double": 2 * len(data),
    }


def slid(buckets: list[list[Event]]) -> dict[str, Any]:
    found = fold([event for bucket in buckets for event in bucket])
    parts = [sum(e.data for e in bucket) / len(bucket) for bucket in buckets if bucket]
    found["mean"] = sum(parts) / len(parts) if parts else 0.0
    return {**found, "top": found["top"] or 0, "low": found["low"] or 0}


def fixed_start(wall: float) -> float:
    return math.floor((wall - 3) / 10) * 10 + 3


def hour_start(wall: float) -> float:
    """Read the clock of the zone minute by minute, backwards, until it shows another hour."""

    def label(instant: float) -> tuple[object, ...]:
        shown = datetime.fromtimestamp(instant, ZONE)
        return shown.utcoffset(), shown.date(), shown.hour

    instant = wall - wall % 60
    while label(instant - 60) == label(wall):
        instant -= 60
    return instant


Step = tuple[str, int]
# What is published, how many ticks pass, how many seconds the wall clock is set by.
steps = st.one_of(
    st.tuples(st.just("publish"), st.integers(-9, 9)),
    st.tuples(st.just("wait"), st.integers(0, 40)),
    st.tuples(st.just("wait"), st.sampled_from([160, 161, 480])),
    st.tuples(st.just("set"), st.one_of(st.integers(1, 30), st.sampled_from([1800, HOUR, 2 * HOUR, 86_400]))),
    st.tuples(st.just("set"), st.integers(-9, -1)),
    st.tuples(st.just("block"), st.integers(1, 400)),
)


async def run(start: float, script: list[Step]) -> None:
    counting = Counting(start)
    clock = counting.clock
    counting.declare(a=live.aggregate("requests", FIELDS, topic="stats", windows=WINDOWS))
    naive = Naive(latest=start)

    def tick() -> int:
        return round(clock.monotonic() * TICKS)

    back = 0
    for what, by in script:
        if what == "wait":
            await clock.advance(by / TICKS)
        elif what == "block":  # time passes and no timer runs
            clock._elapsed += by / TICKS
        elif what == "set":
            # By less than a window in all: what is further back is another rule.
            if by < 0 and back + by < -9:
                continue
            back = min(0, back + by)
            clock.set_wall(by)
        else:
            naive.latest = max(naive.latest, clock.now())
            naive.events.append(Event(naive.latest, tick(), by))
            counting.publish(by)
            continue
        naive.latest = max(naive.latest, clock.now())
        for name in WINDOWS:
            found = await counting.load("a", name)
            expected = naive.window(name, tick())
            assert found == expected, (name, what, by)
    for name in WINDOWS:
        assert await counting.load("a", name) == naive.window(name, tick()), name
    assert counting.errors == []
    await counting.close()
    assert clock.pending == 0


@pytest.mark.spec("LIVE-113", "LIVE-119", "LIVE-120", "LIVE-121")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STARTS), st.lists(steps, max_size=30))
def test_windows_are_what_a_recomputation_says(start: float, script: list[Step]) -> None:
    asyncio.run(run(start, script))


def published(
    script: list[Step], slide: int, count: int, wait: int, period: int
) -> list[tuple[int, str, int]]:
    """Go through every tick and say what is published in it: (tick, window, sum)."""
    events: list[tuple[int, int]] = []
    now = 0
    for what, by in script:
        if what == "wait":
            now += by
        else:
            events.append((now, by))

    def total(name: str, upto: list[tuple[int, int]], tick: int, *, ended: bool = False) -> int:
        """Add up the window of a tick; `ended`: of the one that ends there, where it begins anew."""
        if name == "s":
            return sum(by for at, by in upto if tick // slide - at // slide < count)
        return sum(by for at, by in upto if at // period == tick // period - ended)

    found: list[tuple[int, str, int]] = []
    for name, step in (("s", slide), ("t", period)):
        waits: int | None = None
        for tick in range(now + 1):
            before = [one for one in events if one[0] < tick]
            if tick and tick % step == 0:
                waits = None
                found.append((tick, name, total(name, before, tick, ended=True)))
            elif tick == waits:
                waits = None
                found.append((tick, name, total(name, before, tick)))
            for index, (at, _) in enumerate(events):
                if at == tick and wait:
                    waits = tick + wait
                elif at == tick:
                    found.append((tick, name, total(name, events[: index + 1], tick)))
    return sorted(found, key=lambda one: one[:2])


@pytest.mark.spec("LIVE-119", "LIVE-121")
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(1, 9)),
            st.tuples(st.just("wait"), st.integers(0, 30)),
        ),
        max_size=30,
    ),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from([0, 1, 3, 20]),
    st.sampled_from([5, 16, 40]),
)
def test_what_is_published_and_when(
    script: list[Step], slide: int, count: int, wait: int, period: int
) -> None:
    async def run() -> list[tuple[int, str, int]]:
        counting = Counting(now=0.0)
        windows: dict[str, Any] = {
            "s": Sliding(duration=slide * count / TICKS, slide=slide / TICKS),
            "t": Tumbling(duration=period / TICKS),
        }
        total: Callable[[int, str, int], int] = lambda acc, event, data: acc + data  # noqa: E731
        fields = {"n": Reducer(lambda: 0, total, combine=combine_sum)}
        counting.declare(
            a=live.aggregate("requests", fields, topic="x", windows=windows, debounce=wait / TICKS)
        )
        for what, by in script:
            if what == "wait":
                await counting.clock.advance(by / TICKS)
            else:
                counting.publish(by)
        await counting.close()
        return [(round(at * TICKS), topic[2:], value["n"]) for at, topic, value in counting.taken()]

    found = asyncio.run(run())
    assert sorted(found, key=lambda one: one[:2]) == published(script, slide, count, wait, period)
