"""The lock and the idempotency store that live functions use unless they are given another one. Spec: platform 7.

They belong to the app: what the settings make of them holds for everything that asks here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from runtime.core import currentplatform
from runtime.core.errors import PlatformNotReady
from runtime.plugins.idempotency import MemoryIdempotencyStore
from runtime.plugins.lock import Lock

if TYPE_CHECKING:
    from runtime.core.platform import Platform, PlatformCore
    from runtime.plugins.protocols import IdempotencyProtocol, LockProtocol

__all__ = ["default_idempotency_store", "default_lock"]


def default_lock(platform: Platform | None = None) -> LockProtocol:
    """Return the app's lock, made at the first call.

    Raises:
        PlatformNotReady: no platform was given and no app runs.
    """
    core = _parts(platform, "default_lock")
    if core.locks is None:
        core.locks = Lock(clock=core.clock)
    return cast("LockProtocol", core.locks)


def default_idempotency_store(platform: Platform | None = None) -> IdempotencyProtocol:
    """Return the app's idempotency store, made at the first call.

    Raises:
        PlatformNotReady: no platform was given and no app runs.
    """
    core = _parts(platform, "default_idempotency_store")
    if core.idempotency is None:
        core.idempotency = MemoryIdempotencyStore(clock=core.clock)
    return cast("IdempotencyProtocol", core.idempotency)


def _parts(platform: Platform | None, what: str) -> PlatformCore:
    found = platform if platform is not None else currentplatform.get_platform()
    if found is None:
        raise PlatformNotReady(
            f"{what}() was called before the app was started; do it in the init hook or later"
        )
    return found.parts
