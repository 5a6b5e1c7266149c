"""The scheduler of one worker: which jobs are due, who may run them, and what became of them. Spec: live-api 16.

Time is looked at in ticks, on whole seconds: when the next job is due, and at each full minute, so that a clock that
was set or a machine that slept is noticed. A tick runs what became due since the one before: once, however often that
was, and only if it is at most `GRACE` late.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, tzinfo
from math import floor
from typing import TYPE_CHECKING, Any

from runtime.core.signal import Signal
from runtime.core.tasks import TaskOwner, reraise_own_cancellation
from runtime.live.cronctx import CronCtx
from runtime.live.cronjobs import CronJob
from runtime.live.cronleader import LeaderGate
from runtime.live.cronschedule import Schedule, zone_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from runtime.core.clock import Clock, TimerHandle
    from runtime.core.metrics import Metrics
    from runtime.core.platform import Platform
    from runtime.live.generation import Generation
    from runtime.live.runner import FunctionRunner
    from runtime.live.scope import LiveScope
    from runtime.live.wiring import Wiring

__all__ = ["Cron", "JobReport", "Tick"]

logger = logging.getLogger("realtime.cron")

GRACE = 60  # seconds that a run may be late; spec live-api 16.3
MINUTE = 60
EARLY = 0.005  # seconds that a timer may fire before its time
MAX_ERROR_TEXT = 2000  # characters of the last error that are kept of a job
MAX_COUNTED_MISSES = 1000  # per job and pause, so that counting the misses of a night holds nobody up


@dataclass(slots=True, frozen=True)
class JobReport:
    """What is known of one job in this worker. Times are seconds since the epoch, `duration` seconds.

    `last_status` is `ok`, `error` or `skipped`, `None` before the first run.
    """

    path: str
    schedule: str
    zone: str
    topic: str | None
    per_worker: bool
    next_run: int | None
    is_running: bool
    last_run: float | None
    last_status: str | None
    duration: float | None
    error: str | None


class Tick:
    """What one tick started: `started` has the paths. Awaiting it waits until these runs have ended."""

    __slots__ = ("_tasks", "started")

    def __init__(self, runs: Mapping[str, asyncio.Task[None]]) -> None:
        self.started = tuple(runs)
        self._tasks = tuple(runs.values())

    def __await__(self) -> Generator[Any, None, Tick]:
        return self._ended().__await__()

    async def _ended(self) -> Tick:
        if self._tasks:
            await asyncio.wait(self._tasks)
        return self


@dataclass(slots=True, eq=False)
class _State:
    """A job and what this worker knows of it. `due` is its first instant that no tick has looked at."""

    job: CronJob
    schedule: Schedule
    due: int | None = None
    task: asyncio.Task[None] | None = None
    last_run: float | None = None
    last_status: str | None = None
    duration: float | None = None
    error: str | None = None


class Cron:
    """Runs the jobs of the registry that is in force; found as `app.live.cron`. All methods belong to the loop."""

    def __init__(
        self,
        platform: Platform,
        scope: LiveScope,
        functions: FunctionRunner,
        wiring: Wiring,
        *,
        metrics: Metrics,
        clock: Clock,
        dev: bool,
    ) -> None:
        self._platform = platform
        self._scope = scope
        self._functions = functions
        self._wiring = wiring
        self._metrics = metrics
        self._clock = clock
        self._dev = dev
        settings = platform.settings.cron
        self._zone: tzinfo | None = zone_of(settings.tz)
        self._is_timed = settings.enabled
        self._gate = LeaderGate()
        self._generation: Generation | None = None
        self._jobs: dict[str, _State] = {}
        self._runs = TaskOwner("cron")
        #: The signals of the runs that go on, those of replaced code among them.
        self._signals: set[Signal] = set()
        self._timer: TimerHandle | None = None
        #: The last instant that a tick has looked at.
        self._handled = 0
        self._is_active = False
        self._is_stopped = False
        self._warned: set[str] = set()

    @property
    def jobs(self) -> list[JobReport]:
        """Every job of this worker with its next run and what became of the last one, by path."""
        return [self._report(state) for _, state in sorted(self._jobs.items())]

    def adopt(self, generation: Generation) -> None:
        """Take the jobs of a registry that comes into force.

        A job whose module ran again runs in its new code from now on, whatever the old code is still at; one with the
        same schedule is due when it was due before.
        """
        self._generation = generation
        before, self._jobs = self._jobs, {}
        now = floor(self._clock.now())
        for path, job in generation.registry.jobs.items():
            old = before.get(path)
            if old is not None and old.job is job:
                self._jobs[path] = old
                continue
            options = job.options
            state = _State(job, Schedule(options.expression, options.zone or self._zone))
            is_same = old is not None and old.job.options.expression == options.expression
            if old is not None and is_same and old.job.options.zone == options.zone:
                state.due = old.due
            else:
                state.due = state.schedule.next_after(now)
            self._jobs[path] = state
        self._arm()

    def start(self) -> None:
        """Begin to tick: nothing that was due before runs. With `[cron] enabled = false` only `tick(now)` runs jobs."""
        if self._is_stopped or self._is_active:
            return
        self._is_active = True
        self._begin(floor(self._clock.now()))
        self._arm()

    def tick(self, now: float | datetime | None = None) -> Tick:
        """Run what is due at `now` and no tick has looked at: at once what it starts, concurrently.

        A `now` that lies more than a minute before that of the last tick begins anew there.

        Args:
            now: seconds since the epoch, or a datetime, whose zone counts; the present without it.
        """
        if not self._is_active:
            if not self._is_stopped:
                self._warn("platform", "cron: the app has not started; jobs run when it has")
            return Tick({})
        moment = self._clock.now() if now is None else now
        instant = floor((moment.timestamp() if isinstance(moment, datetime) else moment) + EARLY)
        if instant < self._handled - GRACE:
            self._begin(instant - 1)
        self._handled = max(self._handled, instant)
        due = [state for state in self._jobs.values() if state.due is not None and state.due <= instant]
        refusal = self._refusal(due)
        runs: dict[str, asyncio.Task[None]] = {}
        for state in due:
            is_due, missed = self._catch_up(state, instant)
            if refusal is not None and not state.job.options.per_worker:
                continue
            if missed:
                self._metrics.add("cron_total", state.job.path, "missed", amount=missed)
            if is_due:
                task = self._start(state)
                if task is not None:
                    runs[state.job.path] = task
        return Tick(runs)

    async def drain(self, limit: float) -> None:
        """Take no more ticks and wait for the runs that go on, at most `limit` seconds; then cancel them."""
        self._is_active, self._is_stopped = False, True
        self._disarm()
        for signal in tuple(self._signals):
            signal.abort("the worker stops")
        if not await self._runs.wait_idle(timeout=limit):
            logger.warning(
                "%d cron runs were still going on %g s into the shutdown and were cancelled",
                self._runs.running,
                limit,
            )
        await self._runs.close()

    def _begin(self, handled: int) -> None:
        """Look at every instant behind `handled` from now on."""
        self._handled = handled
        for state in self._jobs.values():
            state.due = state.schedule.next_after(handled)

    # ------------------------------------------------------------ time

    def _arm(self) -> None:
        """Wake up when the next job is due, or at the next full minute."""
        self._disarm()
        if not self._is_active or not self._is_timed or not self._jobs:
            return
        now = self._clock.now()
        wanted = (floor(now + EARLY) // MINUTE + 1) * MINUTE
        for state in self._jobs.values():
            if state.due is not None and state.due < wanted:
                wanted = state.due
        self._timer = self._clock.call_later(max(0.0, wanted - now), self._wake)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        self._timer = None
        try:
            self.tick()
        finally:
            self._arm()

    @staticmethod
    def _catch_up(state: _State, instant: int) -> tuple[bool, int]:
        """Pass by everything due up to `instant`; return whether to run now, and how often there will be no run."""
        due, missed = state.due, 0
        late = instant - GRACE
        while due is not None and due < late:
            missed += 1
            due = state.schedule.next_after(due if missed < MAX_COUNTED_MISSES else late - 1)
        passed = 0
        while due is not None and due <= instant:
            passed += 1
            due = state.schedule.next_after(due)
        state.due = due
        return passed > 0, missed + max(0, passed - 1)

    def _refusal(self, due: list[_State]) -> str | None:
        """Return why nothing may run in this worker, counted once, or `None`. Asks the leader when that matters."""
        leader = self._wiring.leader
        if leader is None or all(state.job.options.per_worker for state in due):
            return None
        outlet = self._platform.parts.outlet
        if (outlet is None or outlet.bus is None) and self._scope.wrap is None:
            self._warn(
                "bus",
                "cron: there is a leader but no bus: what jobs publish reaches the connections of the leading worker "
                "only; configure_cron(bus=...) or set_bus(...) carries it to the others",
            )
        refusal = self._gate.ask(leader)
        if refusal is not None:
            self._metrics.add("cron_total", "*", refusal)
        return refusal

    def _warn(self, what: str, text: str) -> None:
        """Say something in dev, once."""
        if self._dev and what not in self._warned:
            self._warned.add(what)
            logger.warning("%s", text)

    # ------------------------------------------------------------ one run

    def _start(self, state: _State) -> asyncio.Task[None] | None:
        """Start a run in the code that is in force, unless the previous one goes on."""
        if state.task is not None:
            self._settle(state, "skipped")
            return None
        generation = self._generation
        if generation is None or self._runs.closed:
            return None
        generation.enter()
        signal = Signal()
        self._signals.add(signal)
        state.task = self._runs.start(self._run(state, signal), name=state.job.path)

        def ended(_: asyncio.Task[None]) -> None:
            state.task = None
            self._signals.discard(signal)
            generation.exit()

        state.task.add_done_callback(ended)
        return state.task

    async def _run(self, state: _State, signal: Signal) -> None:
        job, begun = state.job, self._clock.monotonic()
        state.last_run = self._clock.now()
        ctx = CronCtx(self._scope, signal)
        self._functions.bind(ctx)
        try:
            result = await self._functions.invoke(job.call, ctx, [], thread=job.thread)
            if result is not None and job.options.topic is not None:
                ctx.publish(job.options.topic, "set", result)
        except (Exception, asyncio.CancelledError) as error:
            reraise_own_cancellation()
            state.error = _described(error)
            self._settle(state, "error")
            self._metrics.add("cron_errors_total", job.path)
            self._wiring.report(job.path, error)
        else:
            state.error = None
            self._settle(state, "ok")
        finally:
            state.duration = self._clock.monotonic() - begun

    def _settle(self, state: _State, status: str) -> None:
        state.last_status = status
        self._metrics.add("cron_total", state.job.path, status)

    def _report(self, state: _State) -> JobReport:
        options = state.job.options
        return JobReport(
            path=state.job.path,
            schedule=options.expression.text,
            zone=str(state.schedule.zone or "process"),
            topic=options.topic,
            per_worker=options.per_worker,
            next_run=state.due if self._is_active else None,
            is_running=state.task is not None,
            last_run=state.last_run,
            last_status=state.last_status,
            duration=state.duration,
            error=state.error,
        )


def _described(error: BaseException) -> str:
    """Return type and text of what a job raised; an exception may fail to say its own."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"[:MAX_ERROR_TEXT]
    except Exception:
        return name
