"""Throttle and debounce beside a dict of the newest value of each topic."""

from __future__ import annotations

import asyncio

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Side
from runtime.plugins import Debounce, Throttle, debounce, throttle
from runtime.wire import jsoncodec

__all__ = ["CASES"]

TOPICS = [f"sensor-number-{n:05d}" for n in range(100)]
PEOPLE = 100


def _watched() -> Crowd:
    crowd = Crowd()
    for n in range(PEOPLE):
        ws = crowd.come(f"user-number-{n:05d}")
        for topic in TOPICS:
            ws.subscribe(topic)
    return crowd


async def _limited(count: int, limiter: Throttle | Debounce, crowd: Crowd | None = None) -> None:
    crowd = crowd or Crowd()
    for n in range(count):
        limiter.publish(crowd.platform, TOPICS[n % 100], "moved", {"n": n})
        if n % 1000 == 0:
            await asyncio.sleep(0)
    await limiter.close()


async def _throttle(count: int) -> None:
    await _limited(count, throttle(60))


async def _debounce(count: int) -> None:
    await _limited(count, debounce(60))


async def _newest(count: int) -> None:
    """Encodes the value at once, as the two do, so that it may be changed afterwards."""
    newest: dict[str, bytes] = {}
    for n in range(count):
        newest[TOPICS[n % 100]] = jsoncodec.encode({"n": n})


async def _throttle_to_many(count: int) -> None:
    await _limited(count, throttle(60), _watched())


async def _publish_to_many(count: int) -> None:
    crowd = _watched()
    for n in range(count):
        crowd.platform.publish(TOPICS[n % 100], "moved", {"n": n})
        if n % 1000 == 0:
            await asyncio.sleep(0)


async def _waiting(entries: int) -> object:
    crowd, limiter = Crowd(), debounce(3600)
    for n in range(entries):
        limiter.publish(crowd.platform, f"sensor-number-{n:07d}", "moved", {"n": n})
    return crowd, limiter


async def _waiting_floor(entries: int) -> object:
    loop = asyncio.get_running_loop()
    newest: dict[str, tuple[bytes, asyncio.TimerHandle]] = {}
    for n in range(entries):
        topic = f"sensor-number-{n:07d}"
        newest[topic] = jsoncodec.encode({"n": n}), loop.call_later(3600, newest.pop, topic, None)
    return newest


CASES = [
    Case(
        "throttle",
        "`publish` inside the window",
        Side("ours", _throttle),
        Side("a dict of the newest value, as JSON", _newest),
    ),
    Case(
        "throttle",
        "`debounce`: `publish` of a topic that waits; an entry is a topic with its timer",
        Side("ours", _debounce, _waiting),
        Side("a dict of the newest value; bytes: with a timer", _newest, _waiting_floor),
    ),
    Case(
        "throttle",
        f"`publish` inside the window, {PEOPLE} subscribers",
        Side("ours", _throttle_to_many),
        Side("`platform.publish`, 1,000 a turn", _publish_to_many),
    ),
]
