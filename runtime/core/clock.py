"""Time as a dependency: everything in the runtime that looks at a clock or waits is handed one of these."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "SystemClock", "TimerHandle"]


class TimerHandle(Protocol):
    """A scheduled callback that has not run yet."""

    def cancel(self) -> None:
        """Forget the callback; does nothing once it ran."""


class Clock(Protocol):
    """What the runtime needs of time. `SystemClock` is real, `runtime.testing.FakeClock` is moved by a test."""

    def now(self) -> float:
        """Return the wall clock in seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""

    async def sleep(self, delay: float) -> None:
        """Wait `delay` seconds."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Run `callback(*args)` in the loop's thread after `delay` seconds."""


class SystemClock:
    """The machine's own clocks and the running loop's timers."""

    def now(self) -> float:
        """Return the wall clock in seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""
        return time.monotonic()

    async def sleep(self, delay: float) -> None:
        """Wait `delay` seconds."""
        await asyncio.sleep(delay)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Run `callback(*args)` in the loop's thread after `delay` seconds."""
        return asyncio.get_running_loop().call_later(delay, callback, *args)
