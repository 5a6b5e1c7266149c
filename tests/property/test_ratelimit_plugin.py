"""The windows of the rate limit give what counting all calls anew would give. Spec: platform 7.6."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.plugins import RateLimit
from tests.unit.core.parts import Core

TICKS = 16  # of a second: times are exact in binary


class Naive:
    """Remembers each call of one caller with its moment, and derives windows and bans from all of them each time."""

    def __init__(self, points: int, interval: int, block: int) -> None:
        self.points = points
        self.interval = interval
        self.block = block
        self.asked: list[tuple[int, int]] = []

    def consume(self, now: int, cost: int) -> tuple[bool, int, int]:
        self.asked.append((now, cost))
        start, left, banned = 0, 0, 0
        answer = (False, 0, 0)
        for number, (moment, asked) in enumerate(self.asked):
            if moment < banned:
                answer = (False, 0, banned - moment)
                continue
            if number == 0 or moment >= start + self.interval:
                start, left = moment, self.points
            if asked <= left:
                left -= asked
                answer = (True, left, start + self.interval - moment)
            elif self.block:
                banned = moment + self.block
                answer = (False, 0, self.block)
            else:
                answer = (False, left, start + self.interval - moment)
        return answer


@settings(max_examples=200, deadline=None)
@given(
    points=st.integers(1, 6),
    interval=st.sampled_from([4, 16, 64]),
    block=st.sampled_from([0, 8, 100]),
    calls=st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab"), st.integers(0, 4)), max_size=60),
)
def test_windows_are_equal_to_counting_anew(
    points: int, interval: int, block: int, calls: list[tuple[int, str, int]]
) -> None:
    async def run() -> None:
        core = Core()
        limit = RateLimit(
            points=points,
            interval=interval / TICKS,
            block=block / TICKS,
            key_by=lambda ws: str(ws.user_data),
            clock=core.clock,
        )
        peers = {name: core.connect(user=name) for name in "ab"}
        naive = {name: Naive(points, interval, block) for name in "ab"}
        now = 0
        for pause, name, cost in calls:
            now += pause
            core.clock._elapsed = now / TICKS  # moved by hand: nothing here waits
            found = await limit.consume(peers[name], cost)
            allowed, remaining, reset = naive[name].consume(now, cost)
            assert found == (allowed, remaining, reset / TICKS)

    asyncio.run(run())
