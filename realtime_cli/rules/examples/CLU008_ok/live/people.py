from __future__ import annotations

from runtime import guard, live
from runtime.cluster import ConnectionRegistry, RedisClient

_guard = guard(authenticated=True)
REGISTRY = ConnectionRegistry(RedisClient())


@live
async def online(ctx) -> int:
    return await REGISTRY.count()
