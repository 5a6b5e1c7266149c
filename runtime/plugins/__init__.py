"""In-process primitives. Their cluster twins have the same methods: swap the import, nothing else."""

from __future__ import annotations

from runtime.core.errors import (
    IdempotencyPendingError,
    IdempotencySlotLostError,
    LockCleared,
    LockError,
    LockLost,
    LockQueueFull,
    LockReentry,
    LockTimeout,
    QueueCleared,
    QueueFull,
)
from runtime.plugins.breaker import CircuitBreaker, CircuitBrokenError
from runtime.plugins.channel import Channel, ValidationError
from runtime.plugins.cursor import Cursor
from runtime.plugins.dedup import Dedup
from runtime.plugins.defaults import default_idempotency_store, default_lock
from runtime.plugins.group import Group
from runtime.plugins.idempotency import MemoryIdempotencyStore
from runtime.plugins.keyedqueue import Queue
from runtime.plugins.leader import Leader
from runtime.plugins.lock import Lock
from runtime.plugins.middleware import Middleware, MiddlewareContext
from runtime.plugins.presence import Presence
from runtime.plugins.protocols import (
    ConsumeResult,
    CursorProtocol,
    DedupProtocol,
    Gap,
    GroupProtocol,
    IdempotencyProtocol,
    LeaderProtocol,
    LockHandle,
    LockProtocol,
    PresenceProtocol,
    RateLimitProtocol,
    ReplayMessage,
    ReplayOutcome,
    ReplayProtocol,
    SessionProtocol,
    Slot,
)
from runtime.plugins.ratelimit import RateLimit
from runtime.plugins.replay import Replay
from runtime.plugins.session import Session
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
    "Dedup",
    "DedupProtocol",
    "Gap",
    "Group",
    "GroupProtocol",
    "IdempotencyPendingError",
    "IdempotencyProtocol",
    "IdempotencySlotLostError",
    "Leader",
    "LeaderProtocol",
    "Lock",
    "LockCleared",
    "LockError",
    "LockHandle",
    "LockLost",
    "LockProtocol",
    "LockQueueFull",
    "LockReentry",
    "LockTimeout",
    "MemoryIdempotencyStore",
    "Middleware",
    "MiddlewareContext",
    "Presence",
    "PresenceProtocol",
    "Queue",
    "QueueCleared",
    "QueueFull",
    "RateLimit",
    "RateLimitProtocol",
    "Replay",
    "ReplayMessage",
    "ReplayOutcome",
    "ReplayProtocol",
    "Session",
    "SessionProtocol",
    "Slot",
    "Throttle",
    "Topics",
    "ValidationError",
    "debounce",
    "default_idempotency_store",
    "default_lock",
    "define_topics",
    "throttle",
]
