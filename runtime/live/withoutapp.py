"""The lock and the store of wrapped functions that a test calls itself, while no app runs. Spec: live-api 20, LIVE-10.

Both last as long as the loop of the test, so that no test meets the keys of another.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

from runtime.core import currentplatform
from runtime.plugins.defaults import default_idempotency_store, default_lock
from runtime.plugins.idempotency import MemoryIdempotencyStore
from runtime.plugins.lock import Lock

if TYPE_CHECKING:
    from runtime.core.platform import Platform
    from runtime.plugins.protocols import IdempotencyProtocol, LockProtocol

__all__ = ["lock_of", "store_of"]

_locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Lock] = weakref.WeakKeyDictionary()
_stores: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, MemoryIdempotencyStore] = (
    weakref.WeakKeyDictionary()
)


def lock_of(platform: Platform | Any | None) -> LockProtocol | Lock:
    """Return the lock of the app behind `platform`, or of the app that runs."""
    if platform is not None or currentplatform.get_platform() is not None:
        return default_lock(platform)
    return _locks.setdefault(asyncio.get_running_loop(), Lock())


def store_of(platform: Platform | Any | None) -> IdempotencyProtocol | MemoryIdempotencyStore:
    """Return the idempotency store of the app behind `platform`, or of the app that runs."""
    if platform is not None or currentplatform.get_platform() is not None:
        return default_idempotency_store(platform)
    return _stores.setdefault(asyncio.get_running_loop(), MemoryIdempotencyStore())
