"""Aggregates without a server: the core, a clock that a test moves, and what was published when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from runtime.core.tasks import TaskOwner
from runtime.live.aggregate import AggregateDeclaration
from runtime.live.aggregates import Aggregates
from runtime.live.pushes import Pushes
from runtime.live.registry import Registry
from runtime.live.watchers import Watchers
from runtime.live.wiring import Wiring
from runtime.testing import FakeClock
from tests.unit.core.parts import Core


class SetClock(FakeClock):
    """A clock whose wall part can be set, as an administrator does."""

    def set_wall(self, by: float) -> None:
        self._start += by


class Counting:
    """The aggregates of a worker. `seen`: (monotonic time, topic, value) of what they published."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.clock = SetClock(now)
        self.core = Core(clock=self.clock)
        self.platform = self.core.platform
        self.watchers = Watchers(self.core.publisher, self.core.metrics)
        self.wiring = Wiring(self.platform, Pushes(self.platform))
        self.errors: list[tuple[str, BaseException]] = []
        self.wiring.apply({"on_error": lambda path, error: self.errors.append((path, error))})
        self.tasks = TaskOwner("test")
        self.aggregates = Aggregates(self.platform, self.watchers, self.tasks, self.wiring)
        self.seen: list[tuple[float, str, Any]] = []

    def declare(self, **declared: AggregateDeclaration) -> None:
        """Run these, and no others, as `m/<name>`."""
        endpoints: dict[str, Any] = {}
        for name, one in declared.items():
            for topic in map(one.topic_of, one.window_names()):
                if not self.watchers.watches(topic):
                    self.watchers.add(topic, lambda published: self._keep(published.topic, published.copy()))
            for part in one.parts(f"m/{name}"):
                endpoints[f"m/{name}{part.segment}"] = SimpleNamespace(aggregate=part)
        self.aggregates.renew(Registry(endpoints=endpoints))

    def _keep(self, topic: str, value: Any) -> None:
        self.seen.append((round(self.clock.monotonic(), 6), topic, value))

    def publish(self, data: Any = None, *, event: str = "hit", topic: str = "requests") -> None:
        self.platform.publish(topic, event, data)

    async def publish_at(self, moment: float, data: Any = None) -> None:
        """Publish when so many seconds have passed since the beginning."""
        await self.until(moment)
        self.publish(data)

    async def until(self, moment: float) -> None:
        await self.clock.advance(moment - self.clock.monotonic())

    def taken(self) -> list[tuple[float, str, Any]]:
        """Return what was published since the last call."""
        seen, self.seen = self.seen, []
        return seen

    async def load(self, name: str, window: str | None = None) -> Any:
        return await self.aggregates.load(f"m/{name}", window)

    async def close(self) -> None:
        await self.aggregates.close()
        await self.tasks.close()
