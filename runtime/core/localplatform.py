"""The platform that a bus wraps, and the moment at which that happens. Spec: live-api 17.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.core.bus import Outlet
from runtime.core.platform import Platform

if TYPE_CHECKING:
    from runtime.core.bus import Bus

__all__ = ["LocalPlatform", "install_bus"]


class LocalPlatform(Platform):
    """A platform whose publishes stay in this worker, whatever bus is set."""

    __slots__ = ()
    is_local = True


def install_bus(platform: Platform, bus: Bus | None) -> None:
    """Let everything that is published from now on go through `bus`, or through none."""
    core = platform.parts
    core.publisher.has_bus = bus is not None
    core.outlet = (
        None
        if bus is None
        else Outlet(bus.wrap(LocalPlatform(core, platform.request_id)), core.publisher, bus)
    )
