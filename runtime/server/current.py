"""What `runtime` offers code that nobody hands a platform to. Spec: live-api 17.3, platform 2.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.core.currentplatform import forget_platform, get_platform, set_platform, settings
from runtime.core.errors import PlatformNotReady

if TYPE_CHECKING:
    from runtime.core.platform import Platform

__all__ = ["forget_platform", "get_platform", "publish", "publish_threadsafe", "set_platform", "settings"]


def publish(
    topic: str,
    event: str,
    data: Any = None,
    *,
    relay: bool = True,
    seq: bool | int = True,
    volatile: bool = False,
) -> bool:
    """Publish from outside of live functions, as `platform.publish` does.

    Raises:
        PlatformNotReady: no app was started.
    """
    platform = _running("publish")
    return platform.publish(topic, event, data, relay=relay, seq=seq, volatile=volatile)


def publish_threadsafe(
    topic: str,
    event: str,
    data: Any = None,
    *,
    relay: bool = True,
    seq: bool | int = True,
    volatile: bool = False,
) -> None:
    """Publish from any thread, as `platform.threadsafe.publish` does; the loop sends it.

    Raises:
        PlatformNotReady: no app was started. CapacityExceeded: `MAX_THREADSAFE_QUEUE` calls wait for the loop.
    """
    platform = _running("publish_threadsafe")
    platform.threadsafe.publish(topic, event, data, relay=relay, seq=seq, volatile=volatile)


def _running(what: str) -> Platform:
    platform = get_platform()
    if platform is None:
        raise PlatformNotReady(
            f"{what}() was called before the app was started; do it in the init hook or later"
        )
    return platform
