"""Realtime Toolkit: what apps import.

Names are loaded when they are first used, so that `import runtime` costs next to nothing and a client script does not
load the server.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.core.assertions import InvariantViolation
    from runtime.core.busvalidator import BusValidator
    from runtime.core.connection import Connection, SendResult
    from runtime.core.errors import (
        CapacityExceeded,
        ConnectionBusy,
        ConnectionClosed,
        IdempotencyPendingError,
        IdempotencySlotLostError,
        LiveError,
        LockCleared,
        LockError,
        LockLost,
        LockQueueFull,
        LockReentry,
        LockTimeout,
        OfflineError,
        PayloadTooLarge,
        PlatformError,
        PlatformNotReady,
        QueueCleared,
        QueueFull,
        RealtimeError,
        RequestFailed,
        RequestTimeout,
    )
    from runtime.core.platform import BatchMessage, Platform, ScopedTopic
    from runtime.core.pressure import PressureSnapshot, TopicRate
    from runtime.core.rpcerror import RpcError
    from runtime.core.signal import Signal
    from runtime.core.transport import Transport, transport
    from runtime.live.aggregate import Compute, Lifetime, Reducer, Sliding, Tumbling
    from runtime.live.aggregateclass import Aggregate
    from runtime.live.combiners import (
        associative,
        combine_counts,
        combine_max,
        combine_merge,
        combine_min,
        combine_sum,
    )
    from runtime.live.context import Ctx, current_ctx
    from runtime.live.cronconfig import configure_cron
    from runtime.live.cronctx import CronCtx
    from runtime.live.declare import live as live
    from runtime.live.delta import Delta
    from runtime.live.guards import guard
    from runtime.live.messageoptions import create_message
    from runtime.live.pageload import Preloaded
    from runtime.live.pipe import pipe
    from runtime.live.ratelimit import Rule
    from runtime.live.roomclass import Room
    from runtime.live.roomctx import RoomCtx
    from runtime.live.signals import enable_signals
    from runtime.live.streamvalue import Page
    from runtime.live.uploadstream import UploadCtx
    from runtime.live.wiring import (
        RealtimeHooks,
        activate_derived,
        get_bus,
        on_error,
        realtime,
        set_bus,
        set_cron_platform,
    )
    from runtime.plugins.dedup import Dedup
    from runtime.plugins.defaults import default_idempotency_store, default_lock
    from runtime.plugins.idempotency import MemoryIdempotencyStore
    from runtime.plugins.keyedqueue import Queue
    from runtime.plugins.lock import Lock
    from runtime.plugins.session import Session
    from runtime.plugins.topics import define_topics
    from runtime.server.app import RealtimeApp, create_app
    from runtime.server.cookies import Cookies
    from runtime.server.current import get_platform, publish, publish_threadsafe, settings
    from runtime.server.hooks import HookContext, HookSignatureError
    from runtime.server.livedata import live_data, live_error
    from runtime.server.metricsregistry import metrics_registry
    from runtime.server.proxies import ClientAddressError
    from runtime.server.rendering import render
    from runtime.server.startup import StartupError, StartupRefused
    from runtime.server.upgrade import UpgradeResponse

__version__ = "0.5.0"

_HOMES = {
    "Aggregate": "runtime.live.aggregateclass",
    "Compute": "runtime.live.aggregate",
    "Lifetime": "runtime.live.aggregate",
    "Reducer": "runtime.live.aggregate",
    "Sliding": "runtime.live.aggregate",
    "Tumbling": "runtime.live.aggregate",
    "associative": "runtime.live.combiners",
    "combine_counts": "runtime.live.combiners",
    "combine_max": "runtime.live.combiners",
    "combine_merge": "runtime.live.combiners",
    "combine_min": "runtime.live.combiners",
    "combine_sum": "runtime.live.combiners",
    "BatchMessage": "runtime.core.platform",
    "BusValidator": "runtime.core.busvalidator",
    "CapacityExceeded": "runtime.core.errors",
    "ClientAddressError": "runtime.server.proxies",
    "Connection": "runtime.core.connection",
    "ConnectionBusy": "runtime.core.errors",
    "ConnectionClosed": "runtime.core.errors",
    "Cookies": "runtime.server.cookies",
    "Ctx": "runtime.live.context",
    "InvariantViolation": "runtime.core.assertions",
    "HookContext": "runtime.server.hooks",
    "HookSignatureError": "runtime.server.hooks",
    "LiveError": "runtime.core.errors",
    "OfflineError": "runtime.core.errors",
    "Page": "runtime.live.streamvalue",
    "Delta": "runtime.live.delta",
    "PayloadTooLarge": "runtime.core.errors",
    "Platform": "runtime.core.platform",
    "PlatformError": "runtime.core.errors",
    "PlatformNotReady": "runtime.core.errors",
    "PressureSnapshot": "runtime.core.pressure",
    "RealtimeApp": "runtime.server.app",
    "RealtimeError": "runtime.core.errors",
    "RealtimeHooks": "runtime.live.wiring",
    "RequestFailed": "runtime.core.errors",
    "RequestTimeout": "runtime.core.errors",
    "Room": "runtime.live.roomclass",
    "CronCtx": "runtime.live.cronctx",
    "RoomCtx": "runtime.live.roomctx",
    "Rule": "runtime.live.ratelimit",
    "ScopedTopic": "runtime.core.platform",
    "SendResult": "runtime.core.connection",
    "Signal": "runtime.core.signal",
    "TopicRate": "runtime.core.pressure",
    "UploadCtx": "runtime.live.uploadstream",
    "StartupError": "runtime.server.startup",
    "StartupRefused": "runtime.server.startup",
    "UpgradeResponse": "runtime.server.upgrade",
    "activate_derived": "runtime.live.wiring",
    "configure_cron": "runtime.live.cronconfig",
    "create_app": "runtime.server.app",
    "create_message": "runtime.live.messageoptions",
    "current_ctx": "runtime.live.context",
    "define_topics": "runtime.plugins.topics",
    "enable_signals": "runtime.live.signals",
    "get_bus": "runtime.live.wiring",
    "get_platform": "runtime.server.current",
    "guard": "runtime.live.guards",
    "live": "runtime.live.declare",
    "metrics_registry": "runtime.server.metricsregistry",
    "on_error": "runtime.live.wiring",
    "pipe": "runtime.live.pipe",
    "publish": "runtime.server.current",
    "publish_threadsafe": "runtime.server.current",
    "realtime": "runtime.live.wiring",
    "set_bus": "runtime.live.wiring",
    "set_cron_platform": "runtime.live.wiring",
    "settings": "runtime.server.current",
    "RpcError": "runtime.core.rpcerror",
    "Transport": "runtime.core.transport",
    "transport": "runtime.core.transport",
    "Preloaded": "runtime.live.pageload",
    "live_data": "runtime.server.livedata",
    "live_error": "runtime.server.livedata",
    "render": "runtime.server.rendering",
    "Dedup": "runtime.plugins.dedup",
    "IdempotencyPendingError": "runtime.core.errors",
    "IdempotencySlotLostError": "runtime.core.errors",
    "Lock": "runtime.plugins.lock",
    "LockCleared": "runtime.core.errors",
    "LockError": "runtime.core.errors",
    "LockLost": "runtime.core.errors",
    "LockQueueFull": "runtime.core.errors",
    "LockReentry": "runtime.core.errors",
    "LockTimeout": "runtime.core.errors",
    "MemoryIdempotencyStore": "runtime.plugins.idempotency",
    "Queue": "runtime.plugins.keyedqueue",
    "QueueCleared": "runtime.core.errors",
    "QueueFull": "runtime.core.errors",
    "Session": "runtime.plugins.session",
    "default_idempotency_store": "runtime.plugins.defaults",
    "default_lock": "runtime.plugins.defaults",
}

__all__ = [
    "Aggregate",
    "BatchMessage",
    "BusValidator",
    "CapacityExceeded",
    "ClientAddressError",
    "Compute",
    "Connection",
    "ConnectionBusy",
    "ConnectionClosed",
    "Cookies",
    "CronCtx",
    "Ctx",
    "Dedup",
    "Delta",
    "HookContext",
    "HookSignatureError",
    "IdempotencyPendingError",
    "IdempotencySlotLostError",
    "InvariantViolation",
    "Lifetime",
    "LiveError",
    "Lock",
    "LockCleared",
    "LockError",
    "LockLost",
    "LockQueueFull",
    "LockReentry",
    "LockTimeout",
    "MemoryIdempotencyStore",
    "OfflineError",
    "Page",
    "PayloadTooLarge",
    "Platform",
    "PlatformError",
    "PlatformNotReady",
    "Preloaded",
    "PressureSnapshot",
    "Queue",
    "QueueCleared",
    "QueueFull",
    "RealtimeApp",
    "RealtimeError",
    "RealtimeHooks",
    "Reducer",
    "RequestFailed",
    "RequestTimeout",
    "Room",
    "RoomCtx",
    "RpcError",
    "Rule",
    "ScopedTopic",
    "SendResult",
    "Session",
    "Signal",
    "Sliding",
    "StartupError",
    "StartupRefused",
    "TopicRate",
    "Transport",
    "Tumbling",
    "UpgradeResponse",
    "UploadCtx",
    "__version__",
    "activate_derived",
    "associative",
    "combine_counts",
    "combine_max",
    "combine_merge",
    "combine_min",
    "combine_sum",
    "configure_cron",
    "create_app",
    "create_message",
    "current_ctx",
    "default_idempotency_store",
    "default_lock",
    "define_topics",
    "enable_signals",
    "get_bus",
    "get_platform",
    "guard",
    "live",
    "live_data",
    "live_error",
    "metrics_registry",
    "on_error",
    "pipe",
    "publish",
    "publish_threadsafe",
    "realtime",
    "render",
    "set_bus",
    "set_cron_platform",
    "settings",
    "transport",
]


#: Names of 0.4 that are gone, and what they are called now.
_GONE = {"on_cron_error": "on_error"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        if name in _GONE:
            # Not an AttributeError: `from runtime import ...` would put a text of its own in place of this one.
            raise ImportError(
                f"runtime.{name} is runtime.{_GONE[name]} since 0.5: realtime upgrade renames it"
            )
        if name.isupper() and not name.startswith("_"):
            bounds: dict[str, int] = importlib.import_module("runtime.core.capacity").DEFAULTS
            if name in bounds:
                return bounds[name]
        raise AttributeError(f"module 'runtime' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Runtime(types.ModuleType):
    """`runtime.live` is both a package and the decorators: whoever asks for the attribute means the decorators.

    The import system sets the package as an attribute once it is loaded; here that is not kept. Modules inside are
    still found by their full names. See docs/adr for the reasons.
    """

    @property
    def live(self) -> Any:
        """The decorators of the live API."""
        return importlib.import_module("runtime.live.declare").live

    @live.setter
    def live(self, package: types.ModuleType) -> None:
        """Ignore what the import system sets."""


sys.modules[__name__].__class__ = _Runtime
