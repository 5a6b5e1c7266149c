"""Which pages may connect. Spec: wire 1.4, platform 5.8."""

from __future__ import annotations

import functools
import re
import urllib.parse

__all__ = ["is_allowed_origin"]

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_KNOWN_ORIGINS = 256  # whose parts are remembered; the one unused for longest is forgotten
NO_PORT = -1  # of origins such as capacitor://localhost, whose scheme has no default

# A scheme, a host and perhaps a port: no user, path, query, blank or backslash, which parsers read differently.
_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@\\:\[\]]+)(?::[0-9]+)?")


def is_allowed_origin(
    origin: str | None, *, policy: str | tuple[str, ...], base: str, has_upgrade_hook: bool
) -> bool:
    """Return whether a request with this `Origin` header may open a WebSocket.

    Both sides are compared by scheme, host and port, letters of either case and default ports being the same. An
    origin with a user, a path or port 0 is never allowed but by `*`, and neither is `null`.

    Args:
        origin: the header, `None` when it is missing: then an upgrade hook has to authenticate the client.
        policy: `*`, `same-origin`, or the origins that are allowed; `https://*.app.example` stands for one or more
            labels before `.app.example`.
        base: the app's own origin for `same-origin`: `[server] origin`, or what the request is for.
        has_upgrade_hook: whether the app has an `upgrade` hook.
    """
    if policy == "*":
        return True
    if origin is None:
        return has_upgrade_hook
    sent = _normal(origin)
    if sent is None:
        return False
    if policy == "same-origin":
        return sent == _normal(base)
    return any(_matches(sent, _normal(entry)) for entry in policy)


def _matches(sent: tuple[str, str, int], entry: tuple[str, str, int] | None) -> bool:
    if entry is None:
        return False
    scheme, host, port = entry
    if not host.startswith("*."):
        return sent == entry
    suffix = host[1:]
    return sent[0] == scheme and sent[2] == port and sent[1].endswith(suffix) and sent[1] != suffix


@functools.lru_cache(MAX_KNOWN_ORIGINS)
def _normal(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin in lower case, or `None` when it is none."""
    if _SHAPE.fullmatch(url) is None:
        return None
    try:
        parts = urllib.parse.urlsplit(url)
        port = DEFAULT_PORTS.get(parts.scheme, NO_PORT) if parts.port is None else parts.port
    except ValueError:
        return None
    if not parts.hostname or not port:
        return None
    return parts.scheme, parts.hostname, port
