"""How long hooks take: measured for the metrics, and told to the developer when one holds up the loop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.core.clock import Clock
    from runtime.core.metrics import Metrics

__all__ = ["BLOCKING_LIMIT", "HookWatch"]

logger = logging.getLogger("realtime.hooks")

BLOCKING_LIMIT = 0.1  # seconds without an await from which on a hook is reported
REPORT_INTERVAL = 10.0  # seconds between two reports of the same hook


class HookWatch:
    """Measures the hooks of one worker. Spec: platform 1.1 and 9.3.

    A time limit ends what is awaited. A plain function that blocks cannot be interrupted, so in dev it is reported.
    """

    __slots__ = ("_clock", "_dev", "_metrics", "_reported")

    def __init__(self, metrics: Metrics, clock: Clock, *, dev: bool) -> None:
        self._metrics = metrics
        self._clock = clock
        self._dev = dev
        self._reported: dict[str, float] = {}  # by hook, of which there are a dozen

    def count(self, metric: str, hook: str) -> None:
        """Add one to `metric` for `hook`."""
        self._metrics.add(metric, hook)

    def now(self) -> float:
        """Return what `ran` and `returned` want to know of the start."""
        return self._clock.monotonic()

    def ran(self, hook: str, started: float) -> None:
        """Note that a run of `hook` has ended, however that was."""
        self._metrics.observe("hook_duration_seconds", self._clock.monotonic() - started, hook)

    def returned(self, hook: str, started: float) -> None:
        """Note that the part of `hook` in which nothing else can run is over."""
        if self._dev:
            now = self._clock.monotonic()
            if now - started >= BLOCKING_LIMIT:
                self._report(hook, now - started, now)

    def _report(self, hook: str, duration: float, now: float) -> None:
        last = self._reported.get(hook)
        if last is not None and now - last < REPORT_INTERVAL:
            return
        self._reported[hook] = now
        logger.warning(
            "hook %s blocked everybody for %.0f ms: nothing else runs until it returns; make it async def and await "
            "what it waits for, or run it with asyncio.to_thread",
            hook,
            duration * 1000,
        )
