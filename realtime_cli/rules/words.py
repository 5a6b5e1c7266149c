"""What the names of variables and fields tell of what they hold."""

from __future__ import annotations

import re

__all__ = ["holds_secret", "is_about"]

_SECRET = re.compile(
    r"(^|_)(tok|token|secret|signature|hmac|digest|password|passwd|pwd|api_?key|apikey|access_?key|private_?key)s?($|_)"
    r"|(token|secret|password|apikey)$",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"(type|kind|name|names|id|ids|count|length|len|size|url|uri|path|file|field|fields|index|expires|expiry|ttl|age"
    r"|line|lines|policy|rules|hint|label|pos|position|start|end|version|algorithm|scheme|prefix|suffix)$",
    re.IGNORECASE,
)


def is_about(name: str) -> bool:
    """Return whether a name is of what is said of a thing, and not of the thing: `token_count`, `password_hint`."""
    return bool(_ABOUT.search(name))


def holds_secret(name: str) -> bool:
    """Return whether what has a name is likely a secret."""
    return bool(_SECRET.search(name.replace("-", "_"))) and not is_about(name)
