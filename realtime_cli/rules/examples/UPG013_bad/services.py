from __future__ import annotations

from runtime.cluster import PubSubBus, RedisClient

bus = PubSubBus(RedisClient())
