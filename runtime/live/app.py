"""The live side of one worker: loads the modules, keeps the generation in force, swaps it on reload.

Spec: live-api 1.2 and 21.1; design page, decision 3.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import TYPE_CHECKING, Any

from runtime.core.events import EventBus, LiveFailed, LiveReloaded
from runtime.core.tasks import TaskOwner, reraise_own_cancellation
from runtime.live.aggregates import Aggregates
from runtime.live.apppackage import public_text
from runtime.live.collector import Collector
from runtime.live.cron import Cron
from runtime.live.derivedruns import DerivedRuns
from runtime.live.dispatch import Dispatcher
from runtime.live.effects import Effects
from runtime.live.generation import Generation
from runtime.live.loader import LiveLoader
from runtime.live.messageoptions import take_message
from runtime.live.pageload import PageLoads
from runtime.live.pipeline import Pipeline
from runtime.live.problems import user_traceback
from runtime.live.pushes import Pushes
from runtime.live.ratelimit import identity_of
from runtime.live.registry import Endpoint, LiveModule, Registry, build_registry
from runtime.live.reload import Refresher, ReloadResult, compare
from runtime.live.roompresence import RoomPresence
from runtime.live.runner import FunctionRunner
from runtime.live.scope import LiveScope
from runtime.live.stream import StreamRunner
from runtime.live.streamsubs import StreamSubs
from runtime.live.tracing import tracing_for
from runtime.live.uploads import Uploads
from runtime.live.watchers import Watchers
from runtime.live.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import Executor
    from pathlib import Path

    from runtime.core.clock import Clock
    from runtime.core.connection import Connection
    from runtime.core.gate import Membership
    from runtime.core.metrics import Metrics
    from runtime.core.platform import Platform
    from runtime.core.subscriptions import Subscriptions
    from runtime.core.turnbatch import TurnBatch

__all__ = ["LiveApp"]

logger = logging.getLogger("realtime.live")


class LiveApp:
    """Everything that live modules declare, and what runs it."""

    def __init__(
        self,
        *,
        platform: Platform,
        turn: TurnBatch,
        membership: Membership,
        subscriptions: Subscriptions,
        metrics: Metrics,
        events: EventBus,
        clock: Clock,
        executor: Executor,
        max_frame: int,
        dev: bool,
    ) -> None:
        self._platform = platform
        self._events = events
        self._clock = clock
        self._dev = dev
        self._loader: LiveLoader | None = None
        self._old: set[Generation] = set()
        self._scope = LiveScope(platform, turn, max_frame)
        self.generation = Generation(0, Registry())
        self.functions = FunctionRunner(self._scope, executor)
        #: Who hears of the publishes on a topic.
        self.watchers = Watchers(platform.parts.publisher, metrics)
        #: Calls in flight: they outlive their connection, and are ended at shutdown.
        self.calls = TaskOwner("live calls")
        presence = RoomPresence(platform, self.functions, clock)
        self._scope.cursors = presence.cursors
        self.streams = StreamRunner(
            self._scope,
            membership,
            subscriptions,
            StreamSubs(metrics),
            self.functions,
            presence,
            max_frame,
        )
        self._buckets = self._scope.buckets
        self.pushes = Pushes(platform)
        self.wiring = platform.parts.wiring = Wiring(platform, self.pushes)
        self.wiring.loads = PageLoads(
            self._scope, self.functions, self.streams, executor, lambda: self.generation
        )
        #: What counts publishes.
        self.aggregates = Aggregates(platform, self.watchers, self.functions.tasks, self.wiring)
        self._scope.aggregates = self.aggregates
        #: What runs at its time.
        self.cron = Cron(
            platform, self._scope, self.functions, self.wiring, metrics=metrics, clock=clock, dev=dev
        )
        self.wiring.tasks = self.functions.tasks
        #: What follows publishes.
        self.effects = Effects(platform, self.watchers, self.wiring, clock, executor)
        self.streams.derived = DerivedRuns(self._scope, self.functions, self.watchers, self.wiring, clock)
        platform.parts.resumes.began = self.streams.derived.seen.resumed
        pipeline = Pipeline(self.functions, self.streams, self._buckets)
        self.dispatcher = Dispatcher(
            pipeline=pipeline,
            functions=self.functions,
            streams=self.streams,
            turn=turn,
            metrics=metrics,
            events=events,
            clock=clock,
            generation=lambda: self.generation,
            max_frame=max_frame,
            dev=dev,
            traceback_of=self._traceback_of,
        )
        tracing = tracing_for(platform.settings.tracing.enabled)
        self.dispatcher.tracing = self.wiring.loads.tracing = tracing
        websocket = platform.settings.websocket
        #: What clients send in pieces.
        self.uploads = Uploads(
            self._scope,
            self.dispatcher,
            pipeline,
            self.calls,
            turn=turn,
            metrics=metrics,
            clock=clock,
            generation=lambda: self.generation,
            max_frame=max_frame,
            max_payload=websocket.max_payload_length,
            max_pause=websocket.upload_pause or 0.0,
        )
        self._refresher = Refresher(
            self.functions, self.streams, subscriptions, pipeline, lambda: self.generation
        )
        self.streams.resyncs.refresh = self._refresher.refresh_one
        #: What hooks.py and the settings declare for the whole app.
        self.collector = Collector()

    @property
    def registry(self) -> Registry:
        """The registry in force."""
        return self.generation.registry

    @property
    def loader(self) -> LiveLoader | None:
        """The loader of the project's modules; `None` when modules were registered by hand."""
        return self._loader

    def prepare(self, project: Path, live_dir: Path) -> LiveLoader:
        """Make the project's modules importable, as `hooks.py` may want them, without running any."""
        self._loader = LiveLoader(project, live_dir)
        self._loader.package.install()
        return self._loader

    def load(self) -> Registry:
        """Import the prepared project's live modules and put them in force; mistakes are in `problems`.

        Raises:
            RuntimeError: `prepare` was not called.
        """
        if self._loader is None:
            raise RuntimeError("prepare(project, live_dir) comes before load()")
        result = self._loader.load(self.collector)
        self._swap(result.registry)
        for module in result.registry.modules.values():
            self._warn(module)
        return result.registry

    def register(self, module: LiveModule) -> None:
        """Add one module by hand, as tests do; one of the same name is replaced."""
        modules = {**self.registry.modules, module.name: module}
        self._swap(build_registry(modules.values(), apart=[self.collector]))

    async def reload(self, changed: Collection[Path]) -> ReloadResult:
        """Run changed modules and their dependents again and swap the registry, between two turns of the loop.

        No connection and no subscription is lost; calls in flight end in the old code. Streams of the modules that
        ran again load anew for their subscribers, who get the result as `refreshed`. Where the new code fails, the
        old one stays in force and the result says why.
        """
        if self._loader is None:
            raise RuntimeError("there is no project to reload; load() was not called")
        started = self._clock.monotonic()
        before = self.registry
        loaded = self._loader.reload(changed, self.collector)
        result = compare(before, loaded.registry)
        if self._dev:
            for file, name in loaded.renewed:
                logger.warning(
                    "%s: live.keep(%r) starts anew: its factory or an argument has changed", file, name
                )
        result.duration = self._clock.monotonic() - started
        if loaded.executed or result.modules or result.removed or loaded.registry.problems != before.problems:
            self._swap(loaded.registry)
        if loaded.registry.problems:
            self._events.emit(LiveFailed(list(loaded.registry.problems)))
        if result.modules or result.removed:
            for name in result.modules:
                self._warn(loaded.registry.modules[name], before.modules.get(name))
            self.streams.renew_topics({*result.modules, *result.removed}, self.registry)
            resubscribe = self._refresher.moved(set(result.modules), self.registry)
            if self._dev:
                data = {"modules": [*result.modules, *result.removed], "resubscribe": resubscribe}
                self._platform.publish("__realtime", "reload", data, seq=False)
            self._refresher.refresh(set(result.modules), set(resubscribe))
            self._events.emit(LiveReloaded(result.modules, result.added, result.removed, result.duration))
        return result

    def rewire(self) -> None:
        """Put in force what the loaded code, or nobody's module, wired by hand."""
        self.wiring.declare(self.registry.wiring)
        wrap = self.registry.options.platform
        if wrap is not self._scope.wrap:
            self._scope.wrap_platform(wrap)
            if wrap is not None and self._platform.parts.outlet is not None and self._dev:
                logger.warning(
                    "message_options(platform=...) wraps a platform that the bus wraps already: everything is relayed "
                    "twice; leave it out"
                )

    def sizes(self) -> dict[str, int]:
        """Return how full what live modules use is, by the name of the bound."""
        found: dict[str, int] = {"MAX_LIVE_KEPT": 0 if self._loader is None else self._loader.kept}
        for sizes in (
            self._buckets.sizes(),
            self.dispatcher.sizes(),
            self.effects.sizes(),
            self.pushes.sizes(),
            self.streams.sizes(),
            self.uploads.sizes(),
        ):
            found.update({name: max(size, found.get(name, 0)) for name, size in sizes.items()})
        return found

    def opened(self, connection: Connection) -> None:
        """Register a connection whose `open` hook has run.

        Raises:
            ValueError: its user id cannot name a user.
        """
        self.pushes.opened(connection)

    async def take_message(
        self, ws: Connection, data: str | bytes, msg: dict[str, Any] | None, limit: float | None
    ) -> None:
        """Hand a frame that is no call to what `live.message_options` named; what fails there is logged."""
        options = self.registry.options
        wrap = options.platform
        try:
            async with asyncio.timeout(limit or None):
                await take_message(options, ws, data, msg, ws.platform if wrap is None else wrap(ws.platform))
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            logger.exception("on_json_message or on_unhandled failed")

    def left_topic(self, connection: Connection, topic: str) -> None:
        """End the streams of `connection` on `topic`."""
        self.streams.leave(connection, topic)

    def connection_closed(self, connection: Connection) -> None:
        """End everything of a connection that is gone."""
        self.pushes.closed(connection)
        self.streams.derived.seen.forget(connection)
        self.uploads.connection_closed(connection)
        self.streams.leave_all(connection, self.registry.leavable)
        self.streams.presence.cursors.connection_closed(connection)
        if self._buckets:
            self._buckets.forget(identity_of(None, connection.id))

    async def close(self, *, timeout: float) -> int:
        """Wait for running calls, at most `timeout` seconds, then end them; return how many were ended."""
        self._refresher.close()
        await self.cron.drain(0.0)
        self.streams.reloads.close()
        self.streams.warnings.close()
        await self.calls.wait_idle(timeout=timeout)
        ended = self.calls.running
        await self.calls.close()
        await self.pushes.close(timeout)
        await self.aggregates.close()
        self.streams.presence.close()
        await self.functions.tasks.wait_idle(timeout=timeout)
        await self.streams.derived.close()
        await self.effects.close(timeout)
        await self.functions.tasks.close()
        for generation in (*self._old, self.generation):
            await generation.tasks.close()
        self.wiring.apply({"metrics": None})
        return ended

    def _swap(self, registry: Registry) -> None:
        old, self.generation = self.generation, Generation(self.generation.number + 1, registry)
        self._scope.admission = registry.admission
        self.streams.warnings.configure(registry.warnings)
        self.rewire()
        self.cron.adopt(self.generation)
        self.streams.derived.adopt(self.generation)
        self.effects.adopt(self.generation)
        self.aggregates.renew(registry)
        self._old.add(old)
        old.retire(self._drained)

    def _drained(self, generation: Generation) -> None:
        self._old.discard(generation)
        if generation.tasks.running:
            self.functions.tasks.start(generation.tasks.close(), name=f"close generation {generation.number}")

    def _traceback_of(self, error: BaseException) -> str:
        """Return the traceback as its author wants it: the frames of the project, where there are any."""
        hide = self._platform.parts.redactor.text
        if self._loader is None:
            return hide("".join(traceback.format_exception(error)))
        return hide(public_text(user_traceback(error, self._loader.project), self._loader.package))

    def _warn(self, module: LiveModule, before: LiveModule | None = None) -> None:
        """In dev, say what is odd about a module, and nothing that was said of it before the reload."""
        if self._dev:
            is_silent = self._platform.settings.security.require_guard == "off"
            for warning in module.warnings:
                if is_silent and warning == module.unguarded:
                    continue
                if before is None or warning not in before.warnings:
                    logger.warning("%s", warning)
            for endpoint in module.endpoints:
                self._warn_of_class(endpoint)

    def _warn_of_class(self, endpoint: Endpoint) -> None:
        admission = self.registry.admission
        name = endpoint.options.class_of_service if endpoint.options is not None else None
        problem = admission.unknown(name) if admission is not None and name is not None else None
        if problem is not None:
            logger.warning(
                "%s:%d: class_of_service: %s; whoever subscribes to %s is refused",
                endpoint.file,
                endpoint.line,
                problem,
                endpoint.path,
            )
