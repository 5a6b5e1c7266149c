"""Every bound of the runtime: its default, its effective value, and what happened at it.

Code reads `get("MAX_TOPICS")`; the app overrides by name in `[capacity]`, a test with `capacity_override(...)`.
Spec: platform 6.1 and 6.2, live-api 27.1.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from runtime.core.clock import Clock, SystemClock
from runtime.wire import limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "BINARY_MAX_SIZE",
    "COSTS",
    "DEFAULTS",
    "MAX_AGGREGATE_BUCKETS",
    "MAX_AGGREGATE_HYDRATION_QUEUE",
    "MAX_BATCH_CALLS",
    "MAX_BATCH_EVENTS",
    "MAX_BREAKER_LISTENERS",
    "MAX_CLIENT_QUEUE",
    "MAX_COALESCED_KEYS_PER_CONNECTION",
    "MAX_CONTROL_BYTES",
    "MAX_CONTROL_QUEUE",
    "MAX_CURSOR_CONNECTIONS",
    "MAX_CURSOR_TOPICS",
    "MAX_DEBOUNCE_TIMERS",
    "MAX_DEDUP_IDS",
    "MAX_DEFERRED_UPGRADES",
    "MAX_DEGRADED_CAUSES",
    "MAX_DERIVED_ARGS",
    "MAX_DEVTOOLS_BYTES",
    "MAX_DEVTOOLS_CALLS",
    "MAX_DEVTOOLS_FRAMES",
    "MAX_DEVTOOLS_ROWS",
    "MAX_DEVTOOLS_TOPICS",
    "MAX_EFFECT_RUNS",
    "MAX_ENVELOPE_DEPTH",
    "MAX_GROUPS_LOCAL_MEMBERS",
    "MAX_HELD_FRAMES",
    "MAX_HISTOGRAM_BUCKETS",
    "MAX_IDEMPOTENCY_INFLIGHT",
    "MAX_IDEMPOTENCY_KEY",
    "MAX_IDEMPOTENCY_KEY_LENGTH",
    "MAX_IDEMPOTENCY_RESULTS",
    "MAX_INFLIGHT_BYTES",
    "MAX_INFLIGHT_CALLS",
    "MAX_JSON_DEPTH",
    "MAX_LIVE_KEPT",
    "MAX_LOCK_KEYS",
    "MAX_LOCK_WAITERS",
    "MAX_METRIC_SERIES",
    "MAX_NOTIFIES",
    "MAX_OPTIMISTIC_QUEUE_DEPTH",
    "MAX_PENDING_REQUESTS_PER_CONNECTION",
    "MAX_PLUGINS",
    "MAX_PRESENCE_CONNECTIONS",
    "MAX_PRESENCE_REF",
    "MAX_PRESENCE_TOPICS",
    "MAX_PRESSURE_LISTENERS",
    "MAX_PUSH_REGISTRY",
    "MAX_QUEUE_KEYS",
    "MAX_QUEUE_SIZE",
    "MAX_RATELIMIT_BUCKETS",
    "MAX_RATE_LIMIT_IDENTITIES",
    "MAX_REPLAY_BYTES",
    "MAX_REPLAY_RECORDED",
    "MAX_REPLAY_SIZE",
    "MAX_REPLAY_TOPICS",
    "MAX_RESUME_TOPICS",
    "MAX_SESSIONS",
    "MAX_SKIP_GATES",
    "MAX_SSR_DEDUP",
    "MAX_SSR_DEDUP_BODY",
    "MAX_SSR_DEDUP_WAITERS",
    "MAX_STREAM_SUBSCRIPTIONS",
    "MAX_SUBSCRIPTIONS_PER_CONNECTION",
    "MAX_THREADSAFE_QUEUE",
    "MAX_THROTTLE_TIMERS",
    "MAX_THROTTLE_TOPICS",
    "MAX_TOPICS",
    "MAX_TOPIC_SEQS",
    "MAX_TOPIC_STATS",
    "MAX_TOPIC_WS_COUNTS",
    "MAX_UPGRADE_RATE_ENTRIES",
    "MAX_USER_ID_LENGTH",
    "MAX_WATCHER_DEPTH",
    "MAX_WRAPPER_DEPTH",
    "OF_ONE",
    "PAYLOAD_WARN_CAP",
    "PUBLISH_RATE_WARN_DEDUP_MAX",
    "PUBLISH_WARN_DEDUP_MAX",
    "SILENT_TOPIC_WARN_DEDUP_MAX",
    "STREAM_EVENTS_QUEUE",
    "TOPIC_SEQS_WARN_THRESHOLD",
    "TOPIC_WS_COUNTS_WARN_THRESHOLD",
    "UPLOAD_MAX_BUFFERED_CHUNKS",
    "UPLOAD_MAX_CONCURRENT_PER_SESSION",
    "UPLOAD_MAX_CONCURRENT_TOTAL",
    "UPLOAD_MAX_SIZE",
    "UPLOAD_PENDING_MAX_AGGREGATE",
    "UPLOAD_PENDING_MAX_CHUNKS",
    "UPLOAD_PENDING_MAX_SIZE",
    "VOLATILE_WARN_CAP",
    "capacity_override",
    "configure",
    "count",
    "events",
    "get",
    "record",
]

logger = logging.getLogger("realtime.capacity")

UPLOAD_MAX_SIZE = 100 * 1024 * 1024  # bytes of one upload; REJECT
UPLOAD_MAX_CONCURRENT_PER_SESSION = 4  # uploads of one connection; REJECT
UPLOAD_MAX_CONCURRENT_TOTAL = 1_000_000  # uploads of one worker, as good as any number; REJECT
UPLOAD_MAX_BUFFERED_CHUNKS = (
    64  # pieces of an upload that its handler has not read; the sender waits, then REJECT
)
UPLOAD_PENDING_MAX_CHUNKS = 64  # pieces of an upload whose handler is being looked up; REJECT
UPLOAD_PENDING_MAX_SIZE = 16 * 1024 * 1024  # bytes of such an upload; REJECT
UPLOAD_PENDING_MAX_AGGREGATE = 64 * 1024 * 1024  # bytes of all such uploads; REJECT
BINARY_MAX_SIZE = 10 * 1024 * 1024  # bytes of the payload of a binary call; REJECT
MAX_SUBSCRIPTIONS_PER_CONNECTION = 1_000_000  # topics of one connection; REJECT
MAX_CONTROL_QUEUE = 1024  # control frames waiting on one connection; REJECT
MAX_CONTROL_BYTES = 4 * 1024 * 1024  # bytes of the frames waiting on one connection; REJECT
MAX_INFLIGHT_BYTES = 16 * 1024 * 1024  # bytes of the large frames whose calls run on one connection; REJECT
MAX_INFLIGHT_CALLS = 1000  # running calls of one connection; REJECT
MAX_HELD_FRAMES = 1000  # frames held while one subscription loads; the loader runs again
MAX_REPLAY_SIZE = 1000  # events that a replay keeps of one topic; the oldest is overwritten
MAX_REPLAY_TOPICS = 100  # topics of which a replay keeps events; LRU
MAX_REPLAY_BYTES = 64 * 1024 * 1024  # bytes of all events of a replay; those of the topic unused longest go
MAX_REPLAY_RECORDED = 100_000  # topics whose publishes a replay records; EVICT the one asked for longest ago
MAX_HISTOGRAM_BUCKETS = 32  # buckets of one histogram; REJECT
MAX_RESUME_TOPICS = 1000  # entries of lastSeenSeqs; the rest is ignored
MAX_TOPICS = 2_000_000  # topics with a subscriber; REJECT
TOPIC_SEQS_WARN_THRESHOLD = 1_000_000  # topics ever stamped; WARN
MAX_TOPIC_SEQS = 10_000_000  # topics ever stamped; SKIP
MAX_TOPIC_STATS = 100_000  # topics counted in one pressure window; BYPASS
MAX_BATCH_EVENTS = 10_000  # events per batch frame; split
MAX_RATE_LIMIT_IDENTITIES = 5000  # rate-limit buckets; stale swept, then REJECT
MAX_UPGRADE_RATE_ENTRIES = 10_000  # addresses in one rate window; EVICT the least active of 16
MAX_DEFERRED_UPGRADES = 10_000  # upgrades waiting for a later turn of the loop; REJECT
MAX_SSR_DEDUP = 500  # pages that are being rendered for several at once; BYPASS
MAX_SSR_DEDUP_BODY = 524_288  # bytes of a page that is shared; BYPASS
MAX_SSR_DEDUP_WAITERS = 10_000  # requests that wait for the page of another; BYPASS
MAX_METRIC_SERIES = 10_000  # label sets per metric; SKIP
MAX_PRESENCE_REF = 1_000_000  # users in rooms of one worker; those in their grace leave, then SKIP
MAX_PUSH_REGISTRY = 10_000_000  # users that can be pushed to; SKIP
MAX_OPTIMISTIC_QUEUE_DEPTH = 1000  # mutations of one stream of a Python client that wait; REJECT
MAX_NOTIFIES = 100_000  # notifications whose answers are awaited; SKIP
VOLATILE_WARN_CAP = 256  # dev warnings remembered; further paths may warn again
TOPIC_WS_COUNTS_WARN_THRESHOLD = 1_000_000  # topics with stream subscribers; WARN
MAX_TOPIC_WS_COUNTS = 10_000_000  # the same; REJECT OVERLOADED
MAX_STREAM_SUBSCRIPTIONS = 100_000  # logical stream subscriptions of one connection; REJECT
MAX_LIVE_KEPT = 10_000  # values of live.keep; REJECT
MAX_COALESCED_KEYS_PER_CONNECTION = 1_000_000  # coalesced values waiting for one connection; EVICT
MAX_DEGRADED_CAUSES = 100  # reasons for which a worker is degraded; REJECT
MAX_PENDING_REQUESTS_PER_CONNECTION = 1_000_000  # unanswered requests to one connection; REJECT
MAX_PRESSURE_LISTENERS = 100  # callbacks of each kind; REJECT
MAX_THREADSAFE_QUEUE = 100_000  # publishes of other threads that the loop has not taken; REJECT
PAYLOAD_WARN_CAP = 256  # topics whose payloads dev warned of; then it warns no more
SILENT_TOPIC_WARN_DEDUP_MAX = 1_000_000  # topics known not to be silent, or warned of (dev); EVICT
PUBLISH_RATE_WARN_DEDUP_MAX = 1_000_000  # topics warned of as too busy for pages (dev); EVICT
PUBLISH_WARN_DEDUP_MAX = 1_000_000  # topics whose runaway publishing was warned of; EVICT
MAX_LOCK_KEYS = 1_000_000  # keys that one lock holds or waits for; REJECT
MAX_LOCK_WAITERS = 1000  # who waits for one key of a lock; REJECT
MAX_SESSIONS = 10_000  # entries of one session store; at 110 % the expired go, then EVICT
MAX_DEDUP_IDS = 10_000  # ids that one dedup remembers; at 110 % the expired go, then EVICT
MAX_PRESENCE_CONNECTIONS = 1_000_000  # connections in one presence; EVICT with a proper leave
MAX_PRESENCE_TOPICS = 1_000_000  # topics of one presence; EVICT with proper leaves
MAX_CURSOR_CONNECTIONS = 1_000_000  # connections with a cursor; EVICT
MAX_CURSOR_TOPICS = 1_000_000  # topics of one cursor plugin; EVICT
MAX_THROTTLE_TOPICS = 1_000_000  # topics of one throttle or debounce; the oldest is flushed, then dropped
MAX_RATELIMIT_BUCKETS = 1_000_000  # buckets of one rate limit; EVICT (fails open for that key)
MAX_QUEUE_SIZE = 1_000_000  # tasks of one key of a queue; REJECT
MAX_QUEUE_KEYS = 100_000  # keys of one queue; REJECT
MAX_IDEMPOTENCY_RESULTS = 10_000  # results of one idempotency store; the oldest 10 % go
MAX_IDEMPOTENCY_INFLIGHT = 10_000  # keys that run in one idempotency store; REJECT
MAX_IDEMPOTENCY_KEY_LENGTH = 1024  # characters of a whole stored key; REJECT
MAX_GROUPS_LOCAL_MEMBERS = 10_000_000  # members of one group on this worker; REJECT
MAX_BREAKER_LISTENERS = 10_000  # listeners of one circuit breaker; REJECT
MAX_PLUGINS = 10_000  # plugins that one worker closes when it stops; SKIP
MAX_DEBOUNCE_TIMERS = 5000  # keys of ctx.publish_debounced that wait; BYPASS
MAX_SKIP_GATES = 5000  # shut gates of ctx.skip; BYPASS
MAX_THROTTLE_TIMERS = 5000  # keys of ctx.publish_throttled with a window; BYPASS
MAX_IDEMPOTENCY_KEY = 256  # characters of an idempotency key of a call; REJECT
MAX_DERIVED_ARGS = 10_000  # argument tuples of one derived stream; EVICT oldest
MAX_EFFECT_RUNS = 10_000  # runs of one effect that have not ended; REJECT
MAX_WATCHER_DEPTH = 8  # publishes that watchers make for each other; deeper ones are not watched
MAX_WRAPPER_DEPTH = 10  # wrappers of a handler that learn its path; deeper ones do not
MAX_AGGREGATE_BUCKETS = 1000  # buckets of one sliding window; REJECT at its declaration
MAX_AGGREGATE_HYDRATION_QUEUE = 10_000  # events that wait for the snapshot of an aggregate; EVICT the oldest
MAX_DEVTOOLS_BYTES = 8 * 1024 * 1024  # bytes of the frames that the devtools keep; EVICT the oldest
MAX_DEVTOOLS_CALLS = 1000  # calls whose answers the devtools wait for; EVICT the oldest
MAX_DEVTOOLS_FRAMES = 2000  # frames that the devtools keep; EVICT the oldest
MAX_DEVTOOLS_ROWS = 500  # rows of one list that the devtools send to a page; the rest is counted
MAX_DEVTOOLS_TOPICS = 1000  # topics whose events the devtools count; EVICT the one silent longest
MAX_BATCH_CALLS = limits.MAX_BATCH_CALLS  # calls per RPC batch; REJECT
MAX_ENVELOPE_DEPTH = limits.MAX_ENVELOPE_DEPTH  # nesting of an RPC frame; REJECT
MAX_JSON_DEPTH = limits.MAX_JSON_DEPTH  # nesting of another JSON frame; it is not parsed
MAX_USER_ID_LENGTH = limits.MAX_USER_ID_LENGTH  # characters of a user id in a topic; REJECT
MAX_CLIENT_QUEUE = 1000  # frames of a Python client that wait for a connection; EVICT the oldest
STREAM_EVENTS_QUEUE = 10_000  # events of a Python client that their reader has not taken; REJECT

DEFAULTS: Mapping[str, int] = MappingProxyType(
    {
        "BINARY_MAX_SIZE": BINARY_MAX_SIZE,
        "MAX_AGGREGATE_BUCKETS": MAX_AGGREGATE_BUCKETS,
        "MAX_AGGREGATE_HYDRATION_QUEUE": MAX_AGGREGATE_HYDRATION_QUEUE,
        "MAX_BATCH_CALLS": MAX_BATCH_CALLS,
        "MAX_BATCH_EVENTS": MAX_BATCH_EVENTS,
        "MAX_BREAKER_LISTENERS": MAX_BREAKER_LISTENERS,
        "MAX_CLIENT_QUEUE": MAX_CLIENT_QUEUE,
        "MAX_COALESCED_KEYS_PER_CONNECTION": MAX_COALESCED_KEYS_PER_CONNECTION,
        "MAX_CONTROL_BYTES": MAX_CONTROL_BYTES,
        "MAX_CONTROL_QUEUE": MAX_CONTROL_QUEUE,
        "MAX_CURSOR_CONNECTIONS": MAX_CURSOR_CONNECTIONS,
        "MAX_CURSOR_TOPICS": MAX_CURSOR_TOPICS,
        "MAX_DEBOUNCE_TIMERS": MAX_DEBOUNCE_TIMERS,
        "MAX_DEDUP_IDS": MAX_DEDUP_IDS,
        "MAX_DEFERRED_UPGRADES": MAX_DEFERRED_UPGRADES,
        "MAX_DEGRADED_CAUSES": MAX_DEGRADED_CAUSES,
        "MAX_DERIVED_ARGS": MAX_DERIVED_ARGS,
        "MAX_DEVTOOLS_BYTES": MAX_DEVTOOLS_BYTES,
        "MAX_DEVTOOLS_CALLS": MAX_DEVTOOLS_CALLS,
        "MAX_DEVTOOLS_FRAMES": MAX_DEVTOOLS_FRAMES,
        "MAX_DEVTOOLS_ROWS": MAX_DEVTOOLS_ROWS,
        "MAX_DEVTOOLS_TOPICS": MAX_DEVTOOLS_TOPICS,
        "MAX_EFFECT_RUNS": MAX_EFFECT_RUNS,
        "MAX_ENVELOPE_DEPTH": MAX_ENVELOPE_DEPTH,
        "MAX_GROUPS_LOCAL_MEMBERS": MAX_GROUPS_LOCAL_MEMBERS,
        "MAX_HELD_FRAMES": MAX_HELD_FRAMES,
        "MAX_HISTOGRAM_BUCKETS": MAX_HISTOGRAM_BUCKETS,
        "MAX_IDEMPOTENCY_INFLIGHT": MAX_IDEMPOTENCY_INFLIGHT,
        "MAX_IDEMPOTENCY_KEY": MAX_IDEMPOTENCY_KEY,
        "MAX_IDEMPOTENCY_KEY_LENGTH": MAX_IDEMPOTENCY_KEY_LENGTH,
        "MAX_IDEMPOTENCY_RESULTS": MAX_IDEMPOTENCY_RESULTS,
        "MAX_INFLIGHT_BYTES": MAX_INFLIGHT_BYTES,
        "MAX_INFLIGHT_CALLS": MAX_INFLIGHT_CALLS,
        "MAX_JSON_DEPTH": MAX_JSON_DEPTH,
        "MAX_LIVE_KEPT": MAX_LIVE_KEPT,
        "MAX_LOCK_KEYS": MAX_LOCK_KEYS,
        "MAX_LOCK_WAITERS": MAX_LOCK_WAITERS,
        "MAX_METRIC_SERIES": MAX_METRIC_SERIES,
        "MAX_NOTIFIES": MAX_NOTIFIES,
        "MAX_OPTIMISTIC_QUEUE_DEPTH": MAX_OPTIMISTIC_QUEUE_DEPTH,
        "MAX_PENDING_REQUESTS_PER_CONNECTION": MAX_PENDING_REQUESTS_PER_CONNECTION,
        "MAX_PLUGINS": MAX_PLUGINS,
        "MAX_PRESENCE_CONNECTIONS": MAX_PRESENCE_CONNECTIONS,
        "MAX_PRESENCE_REF": MAX_PRESENCE_REF,
        "MAX_PRESENCE_TOPICS": MAX_PRESENCE_TOPICS,
        "MAX_PRESSURE_LISTENERS": MAX_PRESSURE_LISTENERS,
        "MAX_PUSH_REGISTRY": MAX_PUSH_REGISTRY,
        "MAX_QUEUE_KEYS": MAX_QUEUE_KEYS,
        "MAX_QUEUE_SIZE": MAX_QUEUE_SIZE,
        "MAX_RATELIMIT_BUCKETS": MAX_RATELIMIT_BUCKETS,
        "MAX_RATE_LIMIT_IDENTITIES": MAX_RATE_LIMIT_IDENTITIES,
        "MAX_REPLAY_BYTES": MAX_REPLAY_BYTES,
        "MAX_REPLAY_RECORDED": MAX_REPLAY_RECORDED,
        "MAX_REPLAY_SIZE": MAX_REPLAY_SIZE,
        "MAX_REPLAY_TOPICS": MAX_REPLAY_TOPICS,
        "MAX_RESUME_TOPICS": MAX_RESUME_TOPICS,
        "MAX_SESSIONS": MAX_SESSIONS,
        "MAX_SKIP_GATES": MAX_SKIP_GATES,
        "MAX_SSR_DEDUP": MAX_SSR_DEDUP,
        "MAX_SSR_DEDUP_BODY": MAX_SSR_DEDUP_BODY,
        "MAX_SSR_DEDUP_WAITERS": MAX_SSR_DEDUP_WAITERS,
        "MAX_STREAM_SUBSCRIPTIONS": MAX_STREAM_SUBSCRIPTIONS,
        "MAX_SUBSCRIPTIONS_PER_CONNECTION": MAX_SUBSCRIPTIONS_PER_CONNECTION,
        "MAX_THREADSAFE_QUEUE": MAX_THREADSAFE_QUEUE,
        "MAX_THROTTLE_TIMERS": MAX_THROTTLE_TIMERS,
        "MAX_THROTTLE_TOPICS": MAX_THROTTLE_TOPICS,
        "MAX_TOPICS": MAX_TOPICS,
        "MAX_TOPIC_SEQS": MAX_TOPIC_SEQS,
        "MAX_TOPIC_STATS": MAX_TOPIC_STATS,
        "MAX_TOPIC_WS_COUNTS": MAX_TOPIC_WS_COUNTS,
        "MAX_UPGRADE_RATE_ENTRIES": MAX_UPGRADE_RATE_ENTRIES,
        "MAX_USER_ID_LENGTH": MAX_USER_ID_LENGTH,
        "MAX_WATCHER_DEPTH": MAX_WATCHER_DEPTH,
        "MAX_WRAPPER_DEPTH": MAX_WRAPPER_DEPTH,
        "PAYLOAD_WARN_CAP": PAYLOAD_WARN_CAP,
        "PUBLISH_RATE_WARN_DEDUP_MAX": PUBLISH_RATE_WARN_DEDUP_MAX,
        "PUBLISH_WARN_DEDUP_MAX": PUBLISH_WARN_DEDUP_MAX,
        "SILENT_TOPIC_WARN_DEDUP_MAX": SILENT_TOPIC_WARN_DEDUP_MAX,
        "STREAM_EVENTS_QUEUE": STREAM_EVENTS_QUEUE,
        "TOPIC_SEQS_WARN_THRESHOLD": TOPIC_SEQS_WARN_THRESHOLD,
        "TOPIC_WS_COUNTS_WARN_THRESHOLD": TOPIC_WS_COUNTS_WARN_THRESHOLD,
        "UPLOAD_MAX_BUFFERED_CHUNKS": UPLOAD_MAX_BUFFERED_CHUNKS,
        "UPLOAD_MAX_CONCURRENT_PER_SESSION": UPLOAD_MAX_CONCURRENT_PER_SESSION,
        "UPLOAD_MAX_CONCURRENT_TOTAL": UPLOAD_MAX_CONCURRENT_TOTAL,
        "UPLOAD_MAX_SIZE": UPLOAD_MAX_SIZE,
        "UPLOAD_PENDING_MAX_AGGREGATE": UPLOAD_PENDING_MAX_AGGREGATE,
        "UPLOAD_PENDING_MAX_CHUNKS": UPLOAD_PENDING_MAX_CHUNKS,
        "UPLOAD_PENDING_MAX_SIZE": UPLOAD_PENDING_MAX_SIZE,
        "VOLATILE_WARN_CAP": VOLATILE_WARN_CAP,
    }
)

#: Bounds of one thing, by length or depth or at its declaration: of them there is no present size.
OF_ONE: frozenset[str] = frozenset(
    {
        "BINARY_MAX_SIZE",
        "MAX_AGGREGATE_BUCKETS",
        "MAX_BATCH_CALLS",
        "MAX_BATCH_EVENTS",
        "MAX_DEVTOOLS_ROWS",
        "MAX_ENVELOPE_DEPTH",
        "MAX_HISTOGRAM_BUCKETS",
        "MAX_IDEMPOTENCY_KEY",
        "MAX_IDEMPOTENCY_KEY_LENGTH",
        "MAX_JSON_DEPTH",
        "MAX_RESUME_TOPICS",
        "MAX_SSR_DEDUP_BODY",
        "MAX_USER_ID_LENGTH",
        "MAX_WATCHER_DEPTH",
        "MAX_WRAPPER_DEPTH",
        "UPLOAD_MAX_SIZE",
    }
)

SILENCE = 3600.0  # seconds between two log lines of one structure

#: Bytes that one more of each takes of a worker's memory, as `bench.memory` and `bench.itemcosts` measure them.
#: `worker` is one whose app has no code; entries have keys of some 20 characters. Spec: platform 8.6.
COSTS: Mapping[str, int] = MappingProxyType(
    {
        "worker": 57_300_000,
        "connection": 4400,  # on the fast path
        "connection_asgi": 28_500,
        "compression": 4600,  # on top of either
        "subscription": 240,
        "topic": 220,
        "seq_counter": 135,
        "coalesced_key": 175,  # and what waits
        "pending_request": 810,
        "session": 550,
        "dedup_id": 125,
        "presence_entry": 890,
        "push_entry": 75,
        "rate_bucket": 500,
        "replay_event": 300,  # and its data
    }
)

# What get() reads: the defaults, what the app configured, and on top what a test overrides.
_configured: dict[str, int] = dict(DEFAULTS)
_overrides: dict[str, int] = {}
_effective: dict[str, int] = dict(DEFAULTS)
# structure -> when the log last had a line of it
_told: dict[str, float] = {}
_clocks: list[Clock] = [SystemClock()]

#: (structure, action) -> how often a bound was met in this process.
events: Counter[tuple[str, str]] = Counter()


def get(name: str) -> int:
    """Return the effective value of a bound.

    Raises:
        KeyError: there is no bound of that name.
    """
    return _effective[name]


def configure(values: Mapping[str, int], clock: Clock | None = None) -> None:
    """Make `values` (from `[capacity]`) the effective ones on top of the defaults, once at start.

    `clock` tells from then on when the log may have another line of a structure.

    Raises:
        ValueError: an unknown name or a value below 1.
    """
    _check(values)
    _configured.clear()
    _configured.update(DEFAULTS)
    _configured.update(values)
    if clock is not None:
        _clocks[0] = clock
        _told.clear()
    _apply()


def count(structure: str, action: str) -> None:
    """Count that a bound was met where that is how things go, as with a ring that is full; nothing is logged."""
    events[structure, action] += 1


def record(
    structure: str, action: str, *, hint: str = "", size: int | None = None, limit: float | None = None
) -> None:
    """Count that a bound was met; once an hour for a structure also say so in the log.

    Args:
        structure: the name of the bound.
        action: what was done: `reject`, `evict`, `skip`, `bypass` or `warn`.
        hint: what may be done about it.
        size: how much there is; the bound itself without it.
        limit: the bound where it is not the effective one, as with an option of a plugin.
    """
    events[structure, action] += 1
    now = _clocks[0].monotonic()
    before = _told.get(structure)
    if before is not None and now - before < SILENCE:
        return
    _told[structure] = now
    bound = _effective.get(structure) if limit is None else limit
    line = {
        "structure": structure,
        "size": bound if size is None else size,
        "limit": bound,
        "action": action,
        "hint": hint,
    }
    logger.warning("[realtime/capacity] %s", json.dumps(line))


@contextlib.contextmanager
def capacity_override(**values: int) -> Iterator[None]:
    """Use other bounds inside a `with` block of a test, also for an app that is made in it. Spec: platform 6.1."""
    _check(values)
    before = dict(_overrides)
    _overrides.update(values)
    _apply()
    try:
        yield
    finally:
        _overrides.clear()
        _overrides.update(before)
        _apply()


def _check(values: Mapping[str, int]) -> None:
    for name, value in values.items():
        if name not in DEFAULTS:
            raise ValueError(f"unknown capacity {name!r}; known: {', '.join(DEFAULTS)}")
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"capacity {name} must be a whole number, not {value!r}")
        if value < 1:
            raise ValueError(f"capacity {name} must be at least 1, not {value}")


def _apply() -> None:
    _effective.clear()
    _effective.update(_configured)
    _effective.update(_overrides)
