from __future__ import annotations

from redis.asyncio import Redis


async def relay_prices(platform) -> None:
    pubsub = Redis().pubsub()
    await pubsub.subscribe("prices")
    async for message in pubsub.listen():
        await platform.publish("prices", "updated", message["data"])
