"""Which pages may connect. Spec: wire 1.4."""

from __future__ import annotations

import urllib.parse

__all__ = ["is_allowed_origin"]

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_allowed_origin(
    origin: str | None, *, policy: str | tuple[str, ...], host: str, scheme: str, has_upgrade_hook: bool
) -> bool:
    """Return whether a request with this `Origin` header may open a WebSocket.

    Args:
        origin: the header, `None` when it is missing: then an upgrade hook has to authenticate the client.
        policy: `*`, `same-origin`, or the origins that are allowed.
        host: the `Host` header.
        scheme: `http` or `https`, as the request came in.
        has_upgrade_hook: whether the app has an `upgrade` hook.
    """
    if policy == "*":
        return True
    if origin is None:
        return has_upgrade_hook
    if policy != "same-origin":
        return origin in policy
    sent = _normal(origin)
    return sent is not None and sent == _normal(f"{scheme}://{host}")


def _normal(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None:
        return None
    return parts.scheme, parts.hostname, port
