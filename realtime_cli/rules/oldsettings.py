"""What settings and variables of 0.4 are called now. Spec: platform 8.5, upgrade 2.1."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from runtime.core.settings import SECTIONS, keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OLD_VARIABLES", "new_key", "new_variable"]

RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "body_size_limit": "server.body_limit",
        "ssl_cert": "server.tls_cert",
        "ssl_key": "server.tls_key",
        "health_check_path": "server.health_path",
        "send_pings_automatically": "websocket.ping",
        "auth_path_require_origin": "security.auth_require_origin",
        "dev_skip_origin_check": "dev.skip_origin_check",
        "memory_heap_used_ratio": "websocket.pressure.memory_ratio",
        "cluster_workers": "server.workers",
        "shutdown_delay_ms": "server.shutdown_delay",
        "redis_url": "redis.url",
        "postgres_dsn": "postgres.dsn",
        "database_url": "postgres.dsn",
    }
)
#: Variables of 0.4 without a prefix whose names mean nothing else.
OLD_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "ORIGIN": "server.origin",
        "BODY_SIZE_LIMIT": "server.body_limit",
        "PROTOCOL_HEADER": "server.protocol_header",
        "HOST_HEADER": "server.host_header",
        "PORT_HEADER": "server.port_header",
        "ADDRESS_HEADER": "server.address_header",
        "XFF_DEPTH": "server.xff_depth",
        "CLUSTER_WORKERS": "server.workers",
        "CLUSTER_MODE": "server.cluster_mode",
        "SHUTDOWN_DELAY_MS": "server.shutdown_delay",
    }
)
#: Keys that stood at the top in 0.4, by their section now.
_HOMES = ("server", "websocket", "security", "dev")


def snake(name: str) -> str:
    """Return a name in small letters with underscores."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def new_key(section: str, name: str) -> str | None:
    """Return the `section.key` that a key of 0.4 has now; None where it is none, or was never another one.

    `section` may be empty: in 0.4 keys stood at the top.
    """
    written = snake(name)
    if written in RENAMED:
        return RENAMED[written]
    if written == name and section:
        return None  # an ordinary name in an ordinary place: whatever it is, it is not from 0.4
    for home in (section, *_HOMES) if section in SECTIONS else _HOMES:
        if home and written in keys_of(SECTIONS[home]):
            return f"{home}.{written}"
    return None


def new_variable(variable: str, value: str) -> str | None:
    """Return the setting that a variable of 0.4 stood for, None when it is none."""
    if variable == "ORIGIN" and not re.match(r"https?://", value):
        return None
    if variable in OLD_VARIABLES:
        return OLD_VARIABLES[variable]
    if variable.startswith("REALTIME_") and "__" not in variable:
        name = variable.removeprefix("REALTIME_").lower()
        if name == "env" or name.startswith(("test_", "check", "strict_")):
            return None
        return new_key("", name)
    return None
