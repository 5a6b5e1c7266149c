from __future__ import annotations

from runtime import guard, live
from runtime.cluster import DistributedLock, RedisClient

_guard = guard(authenticated=True)

BOOKING = DistributedLock(RedisClient())


@live
async def book(ctx, seat: str) -> str:
    async def take() -> str:
        return seat

    return await BOOKING.with_lock(f"{ctx.user['id']}:{seat}", take)
