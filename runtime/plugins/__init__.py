"""In-process primitives. Their cluster twins have the same methods: swap the import, nothing else."""

from __future__ import annotations

from runtime.plugins.breaker import CircuitBreaker, CircuitBrokenError
from runtime.plugins.channel import Channel, ValidationError
from runtime.plugins.cursor import Cursor
from runtime.plugins.group import Group
from runtime.plugins.middleware import Middleware, MiddlewareContext
from runtime.plugins.presence import Presence
from runtime.plugins.protocols import (
    ConsumeResult,
    CursorProtocol,
    Gap,
    GroupProtocol,
    PresenceProtocol,
    RateLimitProtocol,
    ReplayMessage,
    ReplayOutcome,
    ReplayProtocol,
)
from runtime.plugins.ratelimit import RateLimit
from runtime.plugins.replay import Replay
from runtime.plugins.throttle import Debounce, Throttle, debounce, throttle
from runtime.plugins.topics import Topics, define_topics

__all__ = [
    "Channel",
    "CircuitBreaker",
    "CircuitBrokenError",
    "ConsumeResult",
    "Cursor",
    "CursorProtocol",
    "Debounce",
    "Gap",
    "Group",
    "GroupProtocol",
    "Middleware",
    "MiddlewareContext",
    "Presence",
    "PresenceProtocol",
    "RateLimit",
    "RateLimitProtocol",
    "Replay",
    "ReplayMessage",
    "ReplayOutcome",
    "ReplayProtocol",
    "Throttle",
    "Topics",
    "ValidationError",
    "debounce",
    "define_topics",
    "throttle",
]
