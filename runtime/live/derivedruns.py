"""Computes derived streams anew after publishes on their sources. Spec: live-api 10.1.

A static one has one value as long as it is declared. A dynamic one has a value per tuple of arguments, from its first
subscriber on until the last one has left. Each value is computed by one run at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from runtime.core import capacity, nesting
from runtime.core.errors import LiveError
from runtime.core.signal import Signal
from runtime.core.tasks import TaskOwner, reraise_own_cancellation
from runtime.live.context import Ctx, ThreadCtx, leave_call
from runtime.live.derivedoptions import path_of, texts
from runtime.live.derivedseen import DerivedSeen
from runtime.live.trigger import Cause, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.clock import Clock
    from runtime.core.connection import Connection
    from runtime.live.derivedoptions import DerivedOptions
    from runtime.live.generation import Generation
    from runtime.live.registry import Endpoint
    from runtime.live.runner import FunctionRunner
    from runtime.live.scope import LiveScope
    from runtime.live.watchers import Watchers
    from runtime.live.wiring import Wiring

__all__ = ["DerivedRuns"]

logger = logging.getLogger("realtime.live")

ARGS = "MAX_DERIVED_ARGS"


class _Value:
    """One value that follows its sources."""

    __slots__ = (
        "args",
        "cause",
        "endpoint",
        "ends",
        "is_over",
        "key",
        "signal",
        "task",
        "topic",
        "trigger",
        "user",
        "was_dropped",
    )

    def __init__(self, endpoint: Endpoint, topic: str, args: list[Any], user: Any) -> None:
        self.endpoint = endpoint
        self.topic = topic
        self.args = args
        #: What tells these arguments from others, also where the topic does not.
        self.key = texts(args)
        self.user = user
        self.signal = Signal()
        self.trigger: Trigger
        self.ends: list[Callable[[], None]] = []
        #: What the next run is for.
        self.cause: Cause | None = None
        self.task: asyncio.Task[None] | None = None
        #: Whether the last result was old before it was there.
        self.was_dropped = False
        self.is_over = False

    def unwatch(self) -> None:
        for end in self.ends:
            end()
        self.ends = []

    def end(self) -> None:
        """Follow the sources no longer; a run that goes on publishes nothing."""
        self.is_over = True
        self.unwatch()
        self.trigger.cancel()
        self.cause = None
        self.signal.abort("nobody is subscribed any more")


class DerivedRuns:
    """The derived values of one worker, and the runs that compute them."""

    __slots__ = (
        "_clock",
        "_dynamic",
        "_functions",
        "_generation",
        "_scope",
        "_static",
        "_tasks",
        "_topics",
        "_warned",
        "_watchers",
        "_wiring",
        "seen",
    )

    def __init__(
        self, scope: LiveScope, functions: FunctionRunner, watchers: Watchers, wiring: Wiring, clock: Clock
    ) -> None:
        self._scope = scope
        self._functions = functions
        self._watchers = watchers
        self._wiring = wiring
        self._clock = clock
        self._generation: Generation | None = None
        self._static: dict[str, _Value] = {}
        #: path -> topic -> value, the oldest first; and each by its topic.
        self._dynamic: dict[str, OrderedDict[str, _Value]] = {}
        self._topics: dict[str, _Value] = {}
        self._warned: set[str] = set()
        self._tasks = TaskOwner("derived streams")
        #: Which clients may hold an old value.
        self.seen = DerivedSeen(self._is_derived)

    def sizes(self) -> dict[str, int]:
        """Return how many arguments the derived stream with the most of them has."""
        return {ARGS: max(map(len, self._dynamic.values()), default=0)}

    def adopt(self, generation: Generation) -> None:
        """Take the static derived streams of a registry that comes into force; what waits is run by the new code."""
        self._generation = generation
        before, self._static = self._static, {}
        for path, endpoint in generation.registry.endpoints.items():
            derived = endpoint.derived
            if derived is None or derived.is_dynamic:
                continue
            value = before.pop(path, None)
            if value is None:
                value = self._new(endpoint, path, [], None)
                self._follow(value, endpoint, derived)
            elif value.endpoint is not endpoint:
                self._follow(value, endpoint, derived)
            self._static[path] = value
        for value in before.values():
            value.end()

    def may_keep(self, endpoint: Endpoint, connection: Connection | None, topic: str) -> bool:
        """Return whether a client that has a value of a derived stream has the last one. Spec: wire 5.2."""
        if endpoint.derived is None:
            return False
        if connection is None:
            return True
        current = self._scope.platform.parts.publisher.sequence.current(topic)
        return not self.seen.may_be_old(connection, topic, current)

    def _is_derived(self, topic: str) -> bool:
        generation = self._generation
        endpoint = None if generation is None else generation.registry.find(path_of(topic))
        return endpoint is not None and endpoint.derived is not None

    def check(self, endpoint: Endpoint, topic: str, args: list[Any]) -> None:
        """Refuse arguments that stand for the topic of others: what those see need not be for this client.

        Raises:
            LiveError: `INVALID_REQUEST`.
        """
        value = self._topics.get(topic)
        if endpoint.derived is not None and value is not None and value.key != texts(args):
            raise LiveError("INVALID_REQUEST", "Other arguments have this topic already")

    def enter(self, endpoint: Endpoint, topic: str, args: list[Any], user: Any) -> None:
        """Follow the sources for a connection that got on `topic`, unless somebody is on it already.

        Raises:
            LiveError: as `check`. Exception: the app's function of the sources failed.
        """
        derived = endpoint.derived
        if derived is None or not derived.is_dynamic:
            return
        if topic in self._topics:
            self.check(endpoint, topic, args)
            return
        value = self._new(endpoint, topic, args, user)
        self._follow(value, endpoint, derived)
        mine = self._dynamic.setdefault(endpoint.path, OrderedDict())
        if len(mine) >= capacity.get(ARGS):
            capacity.record(
                ARGS, "evict", hint=f"{endpoint.path}: the oldest arguments get no more live values"
            )
            _, oldest = mine.popitem(last=False)
            del self._topics[oldest.topic]
            oldest.end()
        mine[topic] = self._topics[topic] = value

    def leave(self, topic: str) -> None:
        """Follow no longer what nobody is subscribed to."""
        value = self._topics.pop(topic, None)
        if value is None:
            return
        value.end()
        path = value.endpoint.path
        del self._dynamic[path][topic]
        if not self._dynamic[path]:
            del self._dynamic[path]

    def renew(self, topic: str, endpoint: Endpoint | None, args: list[Any]) -> None:
        """Go on with the code of a stream that was reloaded; `args` as the client sent them."""
        value = self._topics.get(topic)
        if value is None or value.endpoint is endpoint:
            return
        try:
            derived = endpoint.derived if endpoint is not None else None
            if endpoint is None or derived is None or not derived.is_dynamic:
                self.leave(topic)
                return
            value.args = endpoint.decode(args)
            self._follow(value, endpoint, derived)
        except Exception as error:
            # Its clients ask anew when the code is right.
            self.leave(topic)
            self._wiring.report("derived", error)

    def _new(self, endpoint: Endpoint, topic: str, args: list[Any], user: Any) -> _Value:
        value = _Value(endpoint, topic, args, user)
        value.trigger = Trigger(self._clock, 0, lambda cause: self._due(value, cause))
        return value

    def _follow(self, value: _Value, endpoint: Endpoint, derived: DerivedOptions) -> None:
        """Watch the sources of `value` as `endpoint` names them now."""
        sources = derived.sources_for(value.args)
        value.unwatch()
        value.endpoint = endpoint
        value.trigger.wait = derived.debounce
        if sources is None:
            self._warn(endpoint)
        value.ends = [self._watchers.add(topic, value.trigger.hit) for topic in sources or ()]

    def _warn(self, endpoint: Endpoint) -> None:
        if self._scope.dev is not None and endpoint.path not in self._warned:
            self._warned.add(endpoint.path)
            logger.warning(
                "%s:%d: the sources of %s are no list of topics, or an empty one: its value does not change",
                endpoint.file,
                endpoint.line,
                endpoint.path,
            )

    def _due(self, value: _Value, cause: Cause) -> None:
        if value.is_over or self._tasks.closed:
            return
        value.cause = cause.with_earlier(value.cause)
        if value.task is None:
            value.task = self._tasks.start(self._run(value), name=value.endpoint.path)

    async def _run(self, value: _Value) -> None:
        leave_call()
        try:
            while value.cause is not None:
                cause, value.cause = value.cause, None
                nesting.enter(cause.depth + 1)
                generation = self._generation
                if generation is None:
                    return
                generation.enter()
                try:
                    await self._compute(value, cause)
                finally:
                    generation.exit()
        finally:
            value.task = None

    async def _compute(self, value: _Value, cause: Cause) -> None:
        endpoint = value.endpoint
        try:
            result = await self._functions.run(endpoint, self._ctx(value), list(value.args))
            if value.is_over:
                return
            newer = value.cause
            if newer is not None and not value.was_dropped:
                # Old already; but of two in a row one is shown, or nothing would be while publishes keep coming.
                value.was_dropped = True
                value.cause = Cause(newer.last, newer.depth, newer.relay or cause.relay)
                return
            value.was_dropped = False
            event = "set" if endpoint.derived is None else endpoint.derived.event
            self._scope.platform.publish(value.topic, event, result, relay=cause.relay)
        except (Exception, asyncio.CancelledError) as error:
            reraise_own_cancellation()
            self._wiring.report("derived", error)

    def _ctx(self, value: _Value) -> Ctx:
        kind = ThreadCtx if value.endpoint.thread else Ctx
        ctx = kind(
            self._scope,
            None,
            user=value.user,
            signal=value.signal,
            request_id=self._scope.platform.request_id,
        )
        if isinstance(ctx, ThreadCtx):
            self._functions.bind(ctx)
        return ctx

    async def close(self) -> None:
        """Follow nothing any more, and end the runs that go on."""
        for value in (*self._static.values(), *self._topics.values()):
            value.end()
        self._static.clear()
        self._dynamic.clear()
        self._topics.clear()
        await self._tasks.close()
