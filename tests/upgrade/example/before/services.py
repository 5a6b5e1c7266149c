import json
from runtime.plugins import Lock
from runtime.cluster import ConnectionRegistry, Cursor, JobQueue, PgClient, PgReplay, Presence, PubSubBus, RedisClient
from runtime.cluster.lock import RELEASE_SCRIPT as RELEASE
from realtime_config import config

redis = RedisClient(config["redis_url"])
pg = PgClient(config["dsn"])
bus = PubSubBus(redis)
presence = Presence(redis, key="id")
cursor = Cursor(redis, select=lambda u: {"id": u["id"]})
jobs = JobQueue(pg)
replay = PgReplay(pg, size=500)
locks = Lock()
registry = ConnectionRegistry(redis, identify=lambda ws: ws.user_data["id"])


def wrap_with_replay(platform):
    class Wrapped:
        def __getattr__(self, name):
            return getattr(platform, name)

        async def publish(self, topic, event, data=None):
            if topic.startswith("board:"):
                return await replay.publish(platform, topic, event, data)
            return platform.publish(topic, event, data)

    return Wrapped()


def decode_presence(frame):
    topic, event, data = frame["topic"], frame["event"], frame["data"]
    if topic.startswith("__presence:") and event == "list":
        return set(data)
    if event == "updated":
        return json.dumps(data)
