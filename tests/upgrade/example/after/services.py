import json
from runtime.plugins import Lock
from runtime.cluster import ConnectionRegistry, Cursor, JobQueue, PgClient, PgReplay, Presence, PubSubBus, RedisClient
from runtime.cluster.lease import LEASE_RELEASE_SCRIPT as RELEASE
from realtime_config import config
from runtime import settings

redis = RedisClient(settings().redis.url)
pg = PgClient(config["dsn"])
bus = PubSubBus(redis)
presence = Presence(redis, key="id")
cursor = Cursor(redis, select=lambda u: {"id": u["id"]})
jobs = JobQueue(pg, table="ws_jobs")
replay = PgReplay(pg, size=500, table="ws_replay")
locks = Lock()
registry = ConnectionRegistry(redis, identify=lambda ws: ws.user_data["id"])


def wrap_with_replay(platform):
    # TODO(realtime-upgrade UPG120): 0.5 routes replay=True topics itself; drop this wrapper
    class Wrapped:
        wrapped_for_replay = True

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
