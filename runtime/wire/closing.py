"""Close codes and what a client does on each. Spec: wire 1.9."""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "ABNORMAL",
    "FORBIDDEN",
    "GOING_AWAY",
    "INTERNAL_ERROR",
    "NORMAL",
    "POLICY_VIOLATION",
    "RATE_LIMITED",
    "RESTART_REASON",
    "SERVICE_RESTART",
    "SHUTDOWN_REASON",
    "TOO_BIG",
    "TRY_AGAIN_LATER",
    "UNAUTHORIZED",
    "CloseClass",
    "close_class",
]

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
ABNORMAL: Final = 1006
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
RATE_LIMITED: Final = 4429

SHUTDOWN_REASON: Final = "Server shutting down"
RESTART_REASON: Final = "Handler reloaded"

_TERMINAL = frozenset({POLICY_VIOLATION, UNAUTHORIZED, FORBIDDEN})


class CloseClass(enum.Enum):
    """What a client does after a close."""

    TERMINAL = "TERMINAL"  # never connects again
    THROTTLE = "THROTTLE"  # connects again after a long wait
    RETRY = "RETRY"  # connects again by backoff


def close_class(code: int) -> CloseClass:
    """Return what a client does after a close with `code`. Spec: wire 1.9."""
    if code in _TERMINAL:
        return CloseClass.TERMINAL
    return CloseClass.THROTTLE if code == RATE_LIMITED else CloseClass.RETRY
