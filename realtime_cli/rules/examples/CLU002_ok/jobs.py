from __future__ import annotations

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from runtime.cluster import Leader, RedisClient

scheduler = AsyncIOScheduler()
leader = Leader(RedisClient())
