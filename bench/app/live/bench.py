"""What the load cases call: an echo, and bursts of publishes. The guard lets nobody in who has no user."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime import guard, live
from runtime.plugins import CircuitBreaker

TOPIC = "bench"
PADDING = "x" * 120

_guard = guard(authenticated=True)


@live
async def echo(ctx: Any, value: int) -> int:
    """Give the argument back."""
    return value


@live
def echo_plain(ctx: Any, value: int) -> int:
    """Give the argument back, from a function that is not asynchronous."""
    return value


@live.scoped(live.access.owner())
@live.rate_limit(points=1_000_000_000, window=3600)
@live.idempotent(key_from=lambda ctx, value: f"{ctx.ws.id}:{value}")
@live.lock(lambda ctx, value: f"{ctx.ws.id}:{value}", max_wait=5)
@live.breaker(CircuitBreaker())
@live.validated(int)
@live
async def echo_wrapped(ctx: Any, value: int) -> int:
    """Give the argument back, under every wrapper."""
    return value


@live.upload(max_size=1 << 40)
async def take(ctx: Any) -> int:
    """Count the bytes of an upload."""
    size = 0
    async for chunk in ctx.stream:
        size += len(chunk)
    return size


@live
async def burst(ctx: Any, count: int, per_turn: int, first: int) -> None:
    """Publish numbered events to one topic, so many per turn of the loop."""
    for number in range(first, first + count):
        ctx.publish(TOPIC, "tick", {"n": number, "text": PADDING})
        if (number + 1 - first) % per_turn == 0:
            await asyncio.sleep(0)


@live
async def spread(ctx: Any, passes: int, per_turn: int, topics: int) -> None:
    """Publish one event to each of many topics, so many per turn of the loop, in several passes."""
    for number in range(passes):
        for topic in range(topics):
            ctx.publish(f"{TOPIC}-{topic}", "tick", {"n": number, "text": PADDING})
            if (topic + 1) % per_turn == 0:
                await asyncio.sleep(0)
