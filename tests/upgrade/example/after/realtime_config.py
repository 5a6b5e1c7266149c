"""Settings of the 0.4 app."""
import os

HOUR = 3600

config = {
    # TODO(realtime-upgrade UPG102): set [postgres] dsn in realtime.toml, then remove this key
    "dsn": "postgres://db/" + os.uname().nodename,
    "session_ttl": HOUR * 8,
}
