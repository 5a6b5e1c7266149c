"""Time that only a test moves."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Any

from runtime.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_NOW", "FakeClock"]

#: Where the wall clock of a test starts: 2023-11-14 22:13:20 UTC.
DEFAULT_NOW = 1_700_000_000.0
#: Timers that may run at one instant of `advance`.
MAX_AT_ONCE = 10_000
#: Turns of the loop in which the tasks woken by a timer go on before the next timer is looked at.
SETTLE_TURNS = 20
#: The most of them where the end is known: when nothing is left that could run.
MAX_SETTLE_TURNS = 1000


class _Timer:
    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        """Forget the callback."""
        self.callback = None
        self.args = ()


class FakeClock:
    """A `Clock` that stands still until `advance` is awaited.

    Args:
        now: where the wall clock starts, in seconds since the epoch; the monotonic clock starts at 0.
        until_idle: let the tasks that a timer woke go on until nothing can run. That is quick, and enough where nothing
            waits for sockets. Without it, and on a loop that does not tell, they get 20 turns.
    """

    def __init__(self, now: float = DEFAULT_NOW, *, until_idle: bool = False) -> None:
        self._until_idle = until_idle
        self._start = now
        self._elapsed = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()
        self._real = SystemClock()

    def now(self) -> float:
        """Return the wall clock in seconds since the epoch."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Return the seconds that the clock was advanced by so far."""
        return self._elapsed

    @property
    def pending(self) -> int:
        """Number of timers that wait, sleeping tasks included."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> _Timer:
        """Run `callback(*args)` when the clock has been advanced by `delay` seconds."""
        timer = _Timer(callback, args)
        heapq.heappush(self._timers, (self._elapsed + max(delay, 0.0), next(self._order), timer))
        return timer

    async def sleep(self, delay: float) -> None:
        """Wait until the clock has been advanced by `delay` seconds; 0 gives the loop a turn."""
        if delay <= 0:
            await self._real.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(delay, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    async def advance(self, seconds: float) -> None:
        """Move the clock, running every timer that becomes due at its own time and in order.

        After each timer the tasks that it woke get some turns of the loop, so that a task that sleeps again
        inside the span is woken again inside it.

        Raises:
            ValueError: `seconds` is negative.
            RuntimeError: more than 10,000 timers ran at one instant; such time never ends.
        """
        if seconds < 0:
            raise ValueError(f"seconds: time goes forward only, not by {seconds!r}")
        target = self._elapsed + seconds
        instant, at_once = -1.0, 0
        await self._settle()
        while self._timers and self._timers[0][0] <= target:
            due, _, timer = heapq.heappop(self._timers)
            if timer.callback is None:
                continue
            self._elapsed = max(self._elapsed, due)
            callback, args = timer.callback, timer.args
            at_once = at_once + 1 if self._elapsed == instant else 1
            instant = self._elapsed
            if at_once > MAX_AT_ONCE:
                raise RuntimeError(
                    f"more than {MAX_AT_ONCE} timers at one instant, the last one {callback!r}: something waits for no "
                    "time at all, again and again"
                )
            timer.cancel()
            callback(*args)
            await self._settle()
        self._elapsed = target

    async def _settle(self) -> None:
        # The callbacks that asyncio's own loops are about to run; there is no public way to ask.
        ready = getattr(asyncio.get_running_loop(), "_ready", None) if self._until_idle else None
        for _ in range(SETTLE_TURNS if ready is None else MAX_SETTLE_TURNS):
            await self._real.sleep(0)
            if ready is not None and not ready:
                return
