"""Checks of what must always hold. A violation is a mistake of ours, not of the app's.

In production and dev a violation is counted and logged, and the code goes on: to raise in the middle of bookkeeping
would leave it half done. In tests it raises. These are no `assert` statements: `python -O` must not remove them.
Spec: platform 6.4.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from runtime.core.clock import Clock, SystemClock
from runtime.core.sensitive import strip_internal
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "AGGREGATE_BUCKET_INDEX",
    "CAPACITY_OVER_LIMIT",
    "COALESCE_ENTRY_EVENT_TYPE",
    "COALESCE_ENTRY_TOPIC_TYPE",
    "COALESCE_PENDING_TYPE",
    "CONN_CLOSE_TWICE",
    "CONN_WRITE_AFTER_CLOSE",
    "ENVELOPE_BATCH_EMPTY",
    "ENVELOPE_EMPTY",
    "ENVELOPE_SEND_EMPTY",
    "HANDLE_RPC_ENVELOPE",
    "LOCK_WAITER_SHAPE",
    "LOOP_THREAD",
    "PRESSURE_WINDOW_NEGATIVE",
    "PUSH_REGISTRY_ENTRY_TRACKED",
    "REQUEST_ENTRY_REJECT_SHAPE",
    "REQUEST_ENTRY_RESOLVE_SHAPE",
    "REQUEST_PENDING_TYPE",
    "SUBSCRIPTION_WS_TRACKED",
    "SUBS_SHAPE",
    "SUBS_SHAPE_BATCH",
    "SUBS_SHAPE_UNSUBSCRIBE",
    "SUBS_TOTAL_NEGATIVE",
    "TOPICS_INDEX_MISMATCH",
    "TOPIC_STATS_SHAPE",
    "UPLOAD_ACCOUNTING",
    "WS_PLATFORM_DOUBLE_INIT",
    "WS_REQUEST_ID_LEAK",
    "InvariantViolation",
    "assert_invariant",
    "assertion_counters",
    "configure",
    "dev_assert",
    "extension_counters",
    "listen",
    "unlisten",
]

logger = logging.getLogger("realtime.assert")

# What can be violated. A category is a label of a metric, so it is always one of such constants.
AGGREGATE_BUCKET_INDEX: Final = "realtime/aggregate.bucket-index"
CAPACITY_OVER_LIMIT: Final = "capacity.over-limit"
COALESCE_ENTRY_EVENT_TYPE: Final = "coalesce.entry-event-type"
COALESCE_ENTRY_TOPIC_TYPE: Final = "coalesce.entry-topic-type"
COALESCE_PENDING_TYPE: Final = "coalesce.pending-type"
CONN_CLOSE_TWICE: Final = "conn.close-twice"
CONN_WRITE_AFTER_CLOSE: Final = "conn.write-after-close"
ENVELOPE_BATCH_EMPTY: Final = "envelope.batch-empty"
ENVELOPE_EMPTY: Final = "envelope.empty"
ENVELOPE_SEND_EMPTY: Final = "envelope.send-empty"
HANDLE_RPC_ENVELOPE: Final = "realtime/handleRpc.envelope.non-empty"
LOCK_WAITER_SHAPE: Final = "realtime/lock.waiter.shape"
LOOP_THREAD: Final = "loop.thread"
PRESSURE_WINDOW_NEGATIVE: Final = "pressure.window-negative"
PUSH_REGISTRY_ENTRY_TRACKED: Final = "realtime/push-registry.entry-tracked"
REQUEST_ENTRY_REJECT_SHAPE: Final = "request.entry-reject-shape"
REQUEST_ENTRY_RESOLVE_SHAPE: Final = "request.entry-resolve-shape"
REQUEST_PENDING_TYPE: Final = "request.pending-type"
SUBS_SHAPE: Final = "subs.shape"
SUBS_SHAPE_BATCH: Final = "subs.shape-batch"
SUBS_SHAPE_UNSUBSCRIBE: Final = "subs.shape-unsubscribe"
SUBSCRIPTION_WS_TRACKED: Final = "realtime/subscription.bookkeeping.ws-was-tracked"
SUBS_TOTAL_NEGATIVE: Final = "subs.total-negative"
TOPIC_STATS_SHAPE: Final = "topic.stats-shape"
TOPICS_INDEX_MISMATCH: Final = "topics.index-mismatch"
UPLOAD_ACCOUNTING: Final = "realtime/upload.accounting"
WS_PLATFORM_DOUBLE_INIT: Final = "ws.platform-double-init"
WS_REQUEST_ID_LEAK: Final = "ws.request-id-leak"

LINES_PER_MINUTE = 10  # of one category; the counter has no limit
MAX_LINE = 4096  # characters of a context; a longer one is left out

# Which part of the system a category belongs to, by its beginning.
EXTENSIONS: Final = "extensions"
_LAYERS = (("realtime/", "realtime"), ("registry.", EXTENSIONS), ("pubsub.", EXTENSIONS))


@dataclass(slots=True)
class _Process:
    """What the checks know of the process they run in."""

    env: str = "production"
    clock: Clock = field(default_factory=SystemClock)
    #: category -> begin of the minute and lines logged in it
    lines: dict[str, tuple[float, int]] = field(default_factory=dict)


_process = _Process()
_counts: Counter[str] = Counter()
_view: Mapping[str, int] = MappingProxyType(_counts)
#: Who else counts.
_listeners: list[Callable[[str], object]] = []


class InvariantViolation(AssertionError):
    """Something that must always hold does not; raised in tests only. Has `category` and `context`."""

    def __init__(self, category: str, context: Mapping[str, Any]) -> None:
        super().__init__(f"{category} {dict(context)!r}")
        self.category = category
        self.context = dict(context)


def assert_invariant(cond: object, category: str, **context: Any) -> None:
    """Count and log that `cond`, which must always hold, does not; in tests also raise.

    Args:
        cond: true where all is well.
        category: one of the constants of this module, or of the layer that calls; never made from input.
        context: what helps to understand it. Secrets are taken out, and what has no JSON form is left out.

    Raises:
        InvariantViolation: in tests, after counting.
    """
    if cond:
        return
    _counts[category] += 1
    for listener in tuple(_listeners):
        listener(category)
    if _may_log(category):
        logger.error("[%s/assert] %s", _layer(category), _line(category, context))
    if _mode() == "test":
        raise InvariantViolation(category, context)


def listen(listener: Callable[[str], object]) -> None:
    """Tell `listener(category)` of every violation in this process; it must not raise."""
    _listeners.append(listener)


def unlisten(listener: Callable[[str], object]) -> None:
    """Tell `listener` no more."""
    if listener in _listeners:
        _listeners.remove(listener)


def dev_assert(cond: object, message: str, **context: Any) -> None:
    """Warn outside production that `cond` does not hold. Raises with `REALTIME_STRICT_DEV=1`, for our own tests.

    Raises:
        AssertionError: see above.
    """
    if cond or _mode() == "production":
        return
    logger.warning("%s %s", message, _json(context) or "")
    if os.environ.get("REALTIME_STRICT_DEV") == "1":
        raise AssertionError(message)


def assertion_counters() -> Mapping[str, int]:
    """Return how often each category was violated in this process: one live, read-only view."""
    return _view


def extension_counters() -> Mapping[str, int]:
    """Return the counters of the cluster layer alone, which dashboards know under a name of their own."""
    return {name: count for name, count in _counts.items() if _layer(name) == EXTENSIONS}


def configure(env: str, clock: Clock | None = None) -> None:
    """Name the environment that decides whether violations raise; the latest app of a process decides."""
    _process.env = env
    if clock is not None:
        _process.clock = clock
        _process.lines.clear()


def _mode() -> str:
    if _process.env == "test" or "pytest" in sys.modules:
        return "test"
    return "dev" if _process.env == "dev" else "production"


def _may_log(category: str) -> bool:
    now = _process.clock.monotonic()
    began, lines = _process.lines.get(category, (now, 0))
    if now - began >= 60 or now < began:
        began, lines = now, 0
    _process.lines[category] = began, lines + 1
    return lines < LINES_PER_MINUTE


def _layer(category: str) -> str:
    return next((layer for prefix, layer in _LAYERS if category.startswith(prefix)), "platform")


def _line(category: str, context: Mapping[str, Any]) -> str:
    name = jsoncodec.encode(category).decode()
    encoded = _json(context)
    return f'{{"category":{name}}}' if encoded is None else f'{{"category":{name},"context":{encoded}}}'


def _json(context: Mapping[str, Any]) -> str | None:
    """Return the context as JSON without secrets; `None` when it has no such form or is too long."""
    try:
        text = jsoncodec.encode(strip_internal(context)).decode()
    except Exception:
        # Objects of the app are walked here: whatever they raise, the violation itself must be told.
        return None
    return text if len(text) <= MAX_LINE else None
