"""Loads a stream anew for everybody on its topic: after a time without a publish, or after one elsewhere.

Spec: live-api 8.9 and 8.10, wire 5.8. One watch per topic, of the stream that got on it first; gone with its last
subscriber on this worker.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core.clock import TimerHandle
from runtime.core.tasks import reraise_own_cancellation
from runtime.live.streamvalue import data_of
from runtime.live.topicpatterns import compile_patterns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.core.clock import Clock
    from runtime.core.platform import Platform
    from runtime.live.context import Ctx
    from runtime.live.options import StreamOptions
    from runtime.live.registry import Endpoint
    from runtime.live.runner import FunctionRunner
    from runtime.live.streamsubs import StreamSubs

    #: Runs a loader: endpoint, ctx, decoded arguments, topic. Tells the stream's `on_error` of a failure.
    Load = Callable[[Endpoint, Ctx, list[Any], str], Awaitable[Any]]

__all__ = ["TopicReloads"]

logger = logging.getLogger("realtime.stream")

REFRESHED = "refreshed"
# A reload that was asked for again while it ran follows at once; what is asked for during that one waits this long, so
# that a loader which publishes what it watches does not run without end.
RERUN_PAUSE = 1.0
# Topics whose matches are remembered; beyond that they are looked for anew.
MAX_REMEMBERED_MATCHES = 10_000


@dataclass(slots=True, eq=False)
class _Watch:
    topic: str
    path: str
    stale_after: float | None
    pattern: re.Pattern[str] | None
    published_at: float
    timer: TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    again: bool = False


class TopicReloads:
    """The watches of one worker."""

    __slots__ = ("_clock", "_functions", "_load", "_matches", "_platform", "_subs", "_watches")

    def __init__(self, platform: Platform, functions: FunctionRunner, subs: StreamSubs, load: Load) -> None:
        self._platform = platform
        self._clock: Clock = platform.parts.clock
        self._functions = functions
        self._subs = subs
        self._load = load
        self._watches: dict[str, _Watch] = {}
        self._matches: dict[str, tuple[_Watch, ...]] = {}

    def arm(self, endpoint: Endpoint, topic: str, options: StreamOptions) -> None:
        """Watch a topic that somebody has got on, if its stream wants that and nobody else's does already."""
        if (options.stale_after is None and not options.invalidate_on) or topic in self._watches:
            return
        pattern = compile_patterns(options.invalidate_on) if options.invalidate_on else None
        watch = _Watch(topic, endpoint.path, options.stale_after, pattern, self._clock.monotonic())
        if not self._watches:
            self._publisher.observers = (*self._publisher.observers, self._published)
        self._watches[topic] = watch
        self._matches.clear()
        self._start_timer(watch)

    def disarm(self, topic: str) -> None:
        """Watch a topic no longer; a reload that runs is ended."""
        watch = self._watches.pop(topic, None)
        if watch is None:
            return
        self._matches.clear()
        if watch.timer is not None:
            watch.timer.cancel()
        if watch.task is not None:
            watch.task.cancel()
        if not self._watches:
            self._publisher.observers = tuple(
                other for other in self._publisher.observers if other != self._published
            )

    def close(self) -> None:
        """Watch nothing any more."""
        for topic in list(self._watches):
            self.disarm(topic)

    @property
    def _publisher(self) -> Any:
        return self._platform.parts.publisher

    def _published(self, topic: str, event: str) -> None:
        watch = self._watches.get(topic)
        if watch is not None:
            watch.published_at = self._clock.monotonic()
        if event != REFRESHED:
            for match in self._matching(topic):
                self._ask(match)

    def _matching(self, topic: str) -> tuple[_Watch, ...]:
        known = self._matches.get(topic)
        if known is None:
            if len(self._matches) >= MAX_REMEMBERED_MATCHES:
                self._matches.clear()
            known = self._matches[topic] = tuple(
                watch
                for watch in self._watches.values()
                if watch.pattern is not None and watch.pattern.fullmatch(topic)
            )
        return known

    def _start_timer(self, watch: _Watch) -> None:
        if watch.stale_after is not None:
            passed = self._clock.monotonic() - watch.published_at
            watch.timer = self._clock.call_later(max(0.0, watch.stale_after - passed), self._look, watch)

    def _look(self, watch: _Watch) -> None:
        """Reload what has been silent for long enough; a publish since the timer began only moves it on."""
        watch.timer = None
        passed = self._clock.monotonic() - watch.published_at
        if watch.stale_after is not None and passed < watch.stale_after - 1e-9:
            self._start_timer(watch)
        else:
            self._ask(watch)

    def _ask(self, watch: _Watch) -> None:
        if watch.task is not None:
            watch.again = True
            return
        if self._functions.tasks.closed:
            return
        watch.task = self._functions.tasks.start(self._run(watch), name=f"reload {watch.path}")

    async def _run(self, watch: _Watch) -> None:
        runs = 0
        try:
            while runs == 0 or watch.again:
                watch.again = False
                if runs > 1:
                    await self._clock.sleep(RERUN_PAUSE)
                await self._reload(watch)
                runs += 1
        finally:
            watch.task = None
        if self._watches.get(watch.topic) is watch:
            watch.published_at = self._clock.monotonic()
            if watch.timer is None:
                self._start_timer(watch)

    async def _reload(self, watch: _Watch) -> None:
        sub = self._subs.first(watch.topic, watch.path)
        if sub is None:
            return
        endpoint = sub.endpoint
        ctx = self._functions.ctx_for(sub.connection, thread=endpoint.thread)
        try:
            value = await self._load(endpoint, ctx, endpoint.decode(sub.args), watch.topic)
            numbered = endpoint.options is None or not endpoint.options.volatile
            self._platform.publish(watch.topic, REFRESHED, data_of(value), seq=numbered)
        except Exception:
            reraise_own_cancellation()
            logger.exception("%s was not loaded anew; its subscribers keep what they have", watch.path)
