"""The rate limit beside a dict of `[points, time]` by address."""

from __future__ import annotations

import time

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Run, Side
from runtime.core.connection import Connection
from runtime.plugins import RateLimit

__all__ = ["CASES"]

CALLERS = 1000
POINTS = 1_000_000_000


def _callers(count: int) -> list[Connection]:
    crowd = Crowd()
    people = [crowd.come(f"user-number-{n:07d}") for n in range(count)]
    for n, ws in enumerate(people):
        ws.user_data = {"remote_address": f"2001:db8::{n:x}:0001"}
    return people


_PEOPLE = _callers(CALLERS)


async def _consume(count: int) -> None:
    limit = RateLimit(points=POINTS, interval=3600)
    for n in range(count):
        await limit.consume(_PEOPLE[n % CALLERS])
    await limit.close()


async def _refuse(count: int) -> None:
    limit = RateLimit(points=1, interval=3600)
    for n in range(count):
        await limit.consume(_PEOPLE[n % CALLERS])
    await limit.close()


def _windows(points: int) -> Run:
    """Count what the limit counts, without bounds and bans."""

    async def run(count: int) -> None:
        windows: dict[str, list[float]] = {}

        async def consume(ws: Connection) -> bool:
            address, now = ws.user_data["remote_address"], time.monotonic()
            window = windows.get(address)
            if window is None or window[1] <= now:
                window = windows[address] = [points, now + 3600]
            if window[0] < 1:
                return False
            window[0] -= 1
            return True

        for n in range(count):
            await consume(_PEOPLE[n % CALLERS])

    return run


async def _buckets(entries: int) -> object:
    limit = RateLimit(points=10, interval=3600, key_by=lambda ws: ws.id)
    for ws in (people := _callers(entries)):
        limit.consume_nowait(ws)
    return limit, people


async def _people(entries: int) -> object:
    return _callers(entries)


CASES = [
    Case(
        "ratelimit",
        f"`consume` that is allowed, {CALLERS:,} callers",
        Side("ours", _consume, _buckets),
        Side("a dict of `[points, time]`; bytes: the connections alone", _windows(POINTS), _people),
        entries=5000,
    ),
    Case(
        "ratelimit",
        "`consume` that is refused",
        Side("ours", _refuse),
        Side("a dict of `[points, time]`", _windows(1)),
    ),
]
