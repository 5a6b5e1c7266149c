"""The aggregates of one worker: they fold what is published on their sources, and publish what comes out.

Each worker counts for itself, and publishes for its own subscribers only: every worker sees the same events.
Spec: live-api 11.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.currentplatform import get_platform
from runtime.core.errors import LiveError, PlatformNotReady
from runtime.core.tasks import reraise_own_cancellation
from runtime.live.aggregate import SINGLE
from runtime.live.aggregatewindow import Fields, State, running_window
from runtime.live.callables import call
from runtime.live.wiring import wiring_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.platform import Platform
    from runtime.core.tasks import TaskOwner
    from runtime.live.aggregate import AggregateDeclaration, Snapshot
    from runtime.live.aggregatewindow import RunningWindow
    from runtime.live.registry import Registry
    from runtime.live.watchers import Published, Watchers
    from runtime.live.wiring import Wiring

__all__ = ["AggregateReport", "Aggregates", "AggregatesHandle"]

logger = logging.getLogger("realtime.live")

QUEUE = "MAX_AGGREGATE_HYDRATION_QUEUE"
# What a reducer could change of an event.
_CHANGEABLE = frozenset({dict, list})
# Seconds that a snapshot has; subscribers wait for it.
SNAPSHOT_TIMEOUT = 30.0


@dataclass(slots=True, frozen=True)
class AggregateReport:
    """What is known of one aggregate in this worker. `windows` has topic and value of each, `waiting` counts events."""

    path: str
    source: str
    is_restoring: bool
    waiting: int
    windows: Mapping[str, tuple[str, State]]


class _Running:
    """One aggregate with its windows."""

    __slots__ = (
        "_aggregates",
        "_end",
        "_queue",
        "_started",
        "declared",
        "hydration",
        "recipe",
        "windows",
    )

    def __init__(self, declared: AggregateDeclaration, aggregates: Aggregates) -> None:
        self.declared = declared
        self.recipe = declared.recipe()
        self._aggregates = aggregates
        clock = aggregates.clock
        fields = Fields(declared.fields, aggregates.failed)
        self.windows: dict[str | None, RunningWindow] = {
            name: running_window(declared, name, fields, clock, self._publisher(declared.topic_of(name)))
            for name in declared.window_names()
        }
        #: Restores the windows; `None` when there is nothing to wait for.
        self.hydration: asyncio.Task[None] | None = None
        #: Events that came meanwhile, each with the time of both clocks; `None` outside of that.
        self._queue: deque[tuple[Published, float, float]] | None = None
        self._started = False
        self._end = aggregates.watchers.add(declared.source, self._published)

    def start(self) -> None:
        """Restore what there are snapshots of, and look after the windows from then on; once."""
        if self._started:
            return
        self._started = True
        snapshots = {
            name: snapshot
            for name in self.windows
            if (snapshot := self.declared.snapshot_of(name)) is not None
        }
        if not snapshots:
            self._start_windows()
            return
        self._queue = deque()
        path = self.declared.path
        self.hydration = self._aggregates.tasks.start(self._hydrate(snapshots), name=f"restore {path}")

    def adopt(self, declared: AggregateDeclaration) -> None:
        """Go on with the functions of newer code that means the same."""
        self.declared = declared
        fields = Fields(declared.fields, self._aggregates.failed)
        for window in self.windows.values():
            window.fields = fields

    def close(self) -> None:
        """Count no more."""
        self._end()
        if self.hydration is not None:
            self.hydration.cancel()
        for window in self.windows.values():
            window.close()

    @property
    def waiting(self) -> int:
        """How many events wait for the snapshots."""
        return len(self._queue or ())

    def view(self, name: str | None) -> State:
        """Return what a subscriber of a window sees now."""
        window = self.windows[name]
        clock = self._aggregates.clock
        window.roll(clock.now(), clock.monotonic())
        return window.view()

    def _publisher(self, topic: str) -> Callable[[State], None]:
        def publish(view: State) -> None:
            self._aggregates.publish(topic, view)

        return publish

    def _published(self, published: Published) -> None:
        self.start()
        clock = self._aggregates.clock
        now, monotonic = clock.now(), clock.monotonic()
        if self._queue is not None:
            if len(self._queue) >= capacity.get(QUEUE):
                self._queue.popleft()
                capacity.record(
                    QUEUE, "evict", hint="a snapshot takes long, and the oldest events are not counted"
                )
            self._queue.append((published, now, monotonic))
            return
        self._fold(published, now, monotonic)
        # All windows first: what is published here may come back as an event, which is the next one for all of them.
        for window in self.windows.values():
            window.changed(monotonic, published.depth + 1)

    def _fold(self, published: Published, now: float, monotonic: float) -> None:
        data = published.data
        can_change = data.__class__ in _CHANGEABLE
        for window in self.windows.values():
            # A reducer may make the event its value and add to that later, which is no event for anybody else.
            own = published.copy() if can_change else data
            window.fold(published.event, own, now, monotonic)

    async def _hydrate(self, snapshots: Mapping[str | None, Snapshot]) -> None:
        try:
            await asyncio.gather(*(self._restore(name, snapshot) for name, snapshot in snapshots.items()))
        finally:
            self.hydration = None
            waiting, self._queue = self._queue, None
        for one in waiting or ():
            self._fold(*one)
        self._start_windows()
        if waiting:
            for window in self.windows.values():
                window.changed(self._aggregates.clock.monotonic(), 1)

    async def _restore(self, name: str | None, snapshot: Snapshot) -> None:
        try:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT):
                stored = await call(snapshot)
            if stored is None:
                return
            if not isinstance(stored, Mapping):
                raise TypeError(f"a snapshot must return a mapping or None, not {type(stored).__name__}")
            self.windows[name].restore(stored)
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            logger.exception(
                "the snapshot of %s%s could not be restored; it starts empty",
                self.declared.path,
                "" if name is None else f", window {name!r},",
            )

    def _start_windows(self) -> None:
        for window in self.windows.values():
            window.start()


class Aggregates:
    """What runs the aggregates of the registry in force. Bounded by what is declared."""

    #: Its name in logs.
    label = "aggregates"

    __slots__ = ("__weakref__", "_platform", "_running", "_wiring", "clock", "tasks", "watchers")

    def __init__(self, platform: Platform, watchers: Watchers, tasks: TaskOwner, wiring: Wiring) -> None:
        self._platform = platform
        self._wiring = wiring
        self.watchers = watchers
        self.tasks = tasks
        self.clock = platform.parts.clock
        self._running: dict[str, _Running] = {}
        wiring.aggregates = self
        platform.parts.closing.add(self)

    @property
    def reports(self) -> list[AggregateReport]:
        """Every aggregate of this worker with what its windows show now, by path."""
        return [self._report(path, one) for path, one in sorted(self._running.items())]

    @staticmethod
    def _report(path: str, running: _Running) -> AggregateReport:
        windows = {
            SINGLE if name is None else name: (running.declared.topic_of(name), window.view())
            for name, window in running.windows.items()
        }
        is_restoring = running.hydration is not None
        return AggregateReport(path, running.declared.source, is_restoring, running.waiting, windows)

    def renew(self, registry: Registry) -> None:
        """Run the aggregates of this registry. Those that are declared as before go on with their states."""
        declared = {
            part.aggregate.path: part.aggregate
            for endpoint in registry.endpoints.values()
            if (part := endpoint.aggregate) is not None and part.aggregate.path is not None
        }
        for path in [path for path in self._running if path not in declared]:
            self._running.pop(path).close()
        for path, one in declared.items():
            before = self._running.get(path)
            if before is not None and before.declared is one:
                continue
            if before is not None and before.recipe.same_as(one.recipe()):
                before.adopt(one)
                continue
            if before is not None:
                before.close()
            running = self._running[path] = _Running(one, self)
            if _has_loop():  # else the first event or subscriber starts it
                running.start()

    async def load(self, path: str, window: str | None) -> State:
        """Return the present value of a window, when it is restored; it belongs to the caller.

        Raises:
            LiveError: `NOT_FOUND` when a reload has taken it away.
        """
        running = self._running.get(path)
        if running is not None:
            running.start()
            if running.hydration is not None:
                await asyncio.wait([running.hydration])
                running = self._running.get(path)
        if running is None or window not in running.windows:
            raise LiveError("NOT_FOUND")
        return copy.deepcopy(running.view(window))

    def dump(self, path: str) -> dict[str, State]:
        """Do what `live.aggregates.dump` does."""
        running = self._running.get(path)
        if running is None:
            known = ", ".join(sorted(self._running)) or "none"
            raise ValueError(f"there is no aggregate {path!r}; there are: {known}")
        found = {}
        for name, window in running.windows.items():
            state = window.dump()
            if state is not None:
                found[SINGLE if name is None else name] = state
        return found

    def failed(self, error: BaseException) -> None:
        """Tell the app what one of its functions raised."""
        self._platform.parts.metrics.add("aggregate_reducer_errors_total")
        self._wiring.report("aggregate", error)

    def publish(self, topic: str, view: State) -> None:
        """Publish to the subscribers of this worker; whoever published the event is not told of a failure."""
        try:
            self._platform.publish(topic, "set", view, relay=False)
        except Exception as error:
            self._wiring.report("aggregate", error)

    def sizes(self) -> Mapping[str, int]:
        """Return how many events wait for a snapshot, where most do."""
        return {QUEUE: max((one.waiting for one in self._running.values()), default=0)}

    def flush(self) -> None:
        """Publish what waits for silence."""
        for running in self._running.values():
            for window in running.windows.values():
                window.flush()

    async def close(self) -> None:
        """Count no more."""
        running, self._running = self._running, {}
        for one in running.values():
            one.close()


class AggregatesHandle:
    """`live.aggregates`: the aggregates of the app that runs."""

    def dump(self, path: str) -> dict[str, dict[str, Any]]:
        """Return the states of an aggregate's windows, to store them and to return them in `snapshots`.

        Sliding windows are not among them. A tumbling window has `window_start` in its state; it is restored only
        while that window lasts. An aggregate without windows is found under `lifetime`.

        Args:
            path: its path, as `stats/requests` for `requests` in `live/stats.py`.

        Raises:
            ValueError: there is no such aggregate. PlatformNotReady: no app runs.
        """
        platform = get_platform()
        if platform is None:
            raise PlatformNotReady("live.aggregates.dump: no app runs here yet")
        return wiring_of(platform).aggregates.dump(path)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
