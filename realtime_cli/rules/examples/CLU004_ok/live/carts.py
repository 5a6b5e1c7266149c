from __future__ import annotations

from runtime import guard, live
from runtime.cluster import DistributedSession, RedisClient

_guard = guard(authenticated=True)

CARTS = DistributedSession(RedisClient(), ttl=3600)


@live
async def cart(ctx) -> list[str]:
    return await CARTS.get(ctx.user["id"]) or []
