"""Apps with scheduled functions, on a clock that a test moves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from runtime.core.settings import CronSettings
from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import App

__all__ = ["JumpClock", "at", "start", "statuses"]

#: When the tests begin, unless they say otherwise: a Thursday.
BEGIN = "2026-11-26T10:00:30+00:00"


def at(text: str) -> int:
    """Return the instant of an ISO date in seconds."""
    return int(datetime.fromisoformat(text).timestamp())


class JumpClock(FakeClock):
    """A clock whose wall clock can also be set, and on which time can pass without a timer being looked at."""

    jumped = 0.0

    def now(self) -> float:
        return super().now() + self.jumped

    def jump(self, seconds: float) -> None:
        """Set the wall clock: so much time passed while nothing ran, or somebody corrected it."""
        self.jumped += seconds

    async def advance_to(self, text: str) -> None:
        """Let time pass until an ISO date."""
        await self.advance(at(text) - self.now())


async def start(
    make_app: AppFactory, source: str | dict[str, str], begin: str = BEGIN, *, env: str = "test", **cron: Any
) -> tuple[App, JumpClock]:
    """Return a started app with `live/m.py`, or these files, and its clock."""
    files = source if isinstance(source, dict) else {"live/m.py": source}
    clock = JumpClock(at(begin))
    app = await make_app(files, env=env, clock=clock, cron=CronSettings(**{"tz": "UTC", **cron}))
    return app, clock


def statuses(app: App, path: str = "m/job") -> dict[str, int]:
    """Return how often a job ended how; `*` has the ticks in which nothing could run."""
    counted = app.runtime.metrics.snapshot().get("cron_total", {})
    return {labels[1]: int(value) for labels, value in counted.items() if labels[0] == path}
