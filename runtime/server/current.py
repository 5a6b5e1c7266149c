"""What `runtime` offers code that nobody hands a platform to. Spec: live-api 17.3, platform 2.8."""

from __future__ import annotations

from typing import Any

from runtime.core.currentplatform import forget_platform, get_platform, set_platform, settings
from runtime.core.errors import PlatformNotReady

__all__ = ["forget_platform", "get_platform", "publish", "set_platform", "settings"]


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
    platform = get_platform()
    if platform is None:
        raise PlatformNotReady(
            "publish() was called before the app was started; do it in the init hook or later"
        )
    return platform.publish(topic, event, data, relay=relay, seq=seq, volatile=volatile)
