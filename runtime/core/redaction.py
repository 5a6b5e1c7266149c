"""Copies of values for developers to look at: without secrets, not too deep and not too long. Spec: live-api 21.2."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

__all__ = [
    "CUT",
    "CYCLE",
    "DEPTH_CAP",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_PARTS",
    "MAX_TEXT",
    "REDACTED",
    "REDACTED_KEYS",
    "redacted",
]

#: Keys whose values are never kept, compared without case.
REDACTED_KEYS: Final = frozenset(
    {
        "password",
        "token",
        "apikey",
        "api_key",
        "secret",
        "authorization",
        "cookie",
        "sessionid",
        "session_id",
        "csrf",
        "csrftoken",
        "csrf_token",
    }
)
REDACTED: Final = "[REDACTED]"
DEPTH_CAP: Final = "[depth-cap]"
CYCLE: Final = "[cycle]"
CUT: Final = "[cut]"
MAX_DEPTH: Final = 5
MAX_ITEMS: Final = 50  # of a list; of a mapping the same number of keys
MAX_PARTS: Final = (
    3000  # of one value: 50 lists of 50 items, and not 50 lists of 50 such lists, which take long
)
MAX_TEXT: Final = 2000  # characters of one string
MIN_INT: Final = -(2**63)  # numbers beyond these become text
MAX_INT: Final = 2**64 - 1


def redacted(value: Any, keys: Collection[str] = REDACTED_KEYS) -> Any:
    """Return a copy of a JSON value in which the values of `keys` (lower case) are `[REDACTED]`.

    What lies deeper than five levels is `[depth-cap]`, a list is cut at 50 items, a mapping at as many keys, a string
    at 2,000 characters, and what holds itself is `[cycle]`. Behind 3,000 parts lists and mappings are `[cut]`. What has
    no JSON form is named by its type.
    """
    return _redacted(value, keys, (), [MAX_PARTS])


def _redacted(value: Any, keys: Collection[str], above: tuple[Any, ...], left: list[int]) -> Any:
    if isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}… [{len(value)} characters]"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[bytes: {len(value)}]"
    if not isinstance(value, Mapping | list | tuple):
        return f"[{type(value).__name__}]"
    if any(value is one for one in above):
        return CYCLE
    if len(above) >= MAX_DEPTH:
        return DEPTH_CAP
    left[0] -= min(len(value), MAX_ITEMS)
    if left[0] < 0:
        return CUT
    inside = (*above, value)
    if isinstance(value, Mapping):
        shown = list(value.items())[:MAX_ITEMS]
        return {
            str(key): REDACTED if str(key).lower() in keys else _redacted(item, keys, inside, left)
            for key, item in shown
        }
    return [_redacted(item, keys, inside, left) for item in value[:MAX_ITEMS]]
