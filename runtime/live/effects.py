"""Runs the functions under `live.effect` after publishes, in tasks of their own. Spec: live-api 10.2."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

from runtime.core import capacity, nesting
from runtime.core.tasks import TaskOwner, reraise_own_cancellation
from runtime.live.callables import call, call_in_thread
from runtime.live.context import leave_call
from runtime.live.trigger import Cause, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from runtime.core.clock import Clock
    from runtime.core.platform import Platform
    from runtime.live.derived import Effect
    from runtime.live.generation import Generation
    from runtime.live.watchers import Watchers
    from runtime.live.wiring import Wiring

__all__ = ["Effects"]

logger = logging.getLogger("realtime.live")

RUNS = "MAX_EFFECT_RUNS"


class _Watched:
    """One effect and the publishes that it waits for."""

    __slots__ = ("effect", "ends", "running", "trigger")

    def __init__(self, effect: Effect, trigger: Trigger) -> None:
        self.effect = effect
        self.trigger = trigger
        self.ends: list[Callable[[], None]] = []
        self.running = 0


class Effects:
    """The effects of one worker; each has at most `MAX_EFFECT_RUNS` runs that have not ended."""

    __slots__ = (
        "_clock",
        "_executor",
        "_generation",
        "_platform",
        "_tasks",
        "_watched",
        "_watchers",
        "_wiring",
    )

    def __init__(
        self, platform: Platform, watchers: Watchers, wiring: Wiring, clock: Clock, executor: Executor
    ) -> None:
        self._platform = platform
        self._watchers = watchers
        self._wiring = wiring
        self._clock = clock
        self._executor = executor
        self._watched: dict[str, _Watched] = {}
        self._tasks = TaskOwner("effects")
        self._generation: Generation | None = None

    def sizes(self) -> dict[str, int]:
        """Return how many runs the busiest effect has."""
        return {RUNS: max((one.running for one in self._watched.values()), default=0)}

    def adopt(self, generation: Generation) -> None:
        """Take the effects of a registry that comes into force. What waits is run by the new code."""
        self._generation = generation
        effects = generation.registry.effects
        for path in [path for path in self._watched if path not in effects]:
            gone = self._watched.pop(path)
            _unwatch(gone)
            gone.trigger.flush()
        for path, effect in effects.items():
            watched = self._watched.get(path)
            if watched is None:
                watched = self._watched[path] = self._new(effect)
            elif watched.effect is effect:
                continue
            _unwatch(watched)
            watched.effect = effect
            watched.trigger.wait = effect.options.debounce
            watched.ends = [
                self._watchers.add(topic, watched.trigger.hit) for topic in effect.options.sources
            ]

    def _new(self, effect: Effect) -> _Watched:
        def fire(cause: Cause) -> None:
            self._start(watched, cause)

        watched = _Watched(effect, Trigger(self._clock, effect.options.debounce, fire))
        return watched

    def _start(self, watched: _Watched, cause: Cause) -> None:
        generation = self._generation
        if generation is None or self._tasks.closed:
            return
        if watched.running >= capacity.get(RUNS):
            capacity.record(RUNS, "reject", hint=f"{watched.effect.path} is slower than what it runs after")
            return
        generation.enter()
        watched.running += 1

        def ended(_: asyncio.Task[None]) -> None:
            watched.running -= 1
            generation.exit()

        task = self._tasks.start(self._run(watched.effect, cause), name=watched.effect.path)
        task.add_done_callback(ended)

    async def _run(self, effect: Effect, cause: Cause) -> None:
        leave_call()
        nesting.enter(cause.depth + 1)
        try:
            given: tuple[Any, ...] = (cause.last.event, cause.last.copy(), self._platform)
            args = given[: effect.options.wanted]
            if effect.thread and not inspect.iscoroutinefunction(effect.function):
                await call_in_thread(self._executor, effect.function, *args)
            else:
                await call(effect.function, *args)
        except (Exception, asyncio.CancelledError) as error:
            reraise_own_cancellation()
            self._wiring.report("effect", error)

    async def close(self, timeout: float) -> None:
        """Run what waits for silence, and wait for all runs, at most `timeout` seconds; then end them."""
        for watched in self._watched.values():
            _unwatch(watched)
            watched.trigger.flush()
        if not await self._tasks.wait_idle(timeout=timeout):
            logger.warning(
                "%d effects were still running when the worker stopped, and were cancelled",
                self._tasks.running,
            )
        await self._tasks.close()


def _unwatch(watched: _Watched) -> None:
    for end in watched.ends:
        end()
    watched.ends = []
