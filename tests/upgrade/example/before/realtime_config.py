"""Settings of the 0.4 app."""
import os

HOUR = 3600

config = {
    "port": 3000,
    "websocket": {
        "path": "/ws",
        "allowed_origins": "same-origin",  # one host only
        "idle_timeout": 2 * 60,
        "worker_relay_hmac_secret": "x",
    },
    "body_size_limit": "512K",
    "redis_url": os.environ["REDIS_URL"],
    "dsn": "postgres://db/" + os.uname().nodename,
    "session_ttl": HOUR * 8,
}
