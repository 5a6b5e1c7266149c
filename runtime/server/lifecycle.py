"""Start and stop of one worker, in order. Spec: platform 1.3 and 1.9.

A start that fails at any step closes what the steps before it opened. A stop goes on to its end whatever its steps
raise, and each of them has a limit.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

from runtime.core.tasks import reraise_own_cancellation
from runtime.live.problems import problem_from
from runtime.server.current import forget_platform, set_platform
from runtime.server.startup import StartupError, announce, refuse_unsafe, require_extras
from runtime.wire import closing

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.connection import Connection
    from runtime.server.assembly import Runtime

__all__ = ["Lifecycle"]

logger = logging.getLogger("realtime")

FAREWELL_TIMEOUT = 0.5  # seconds that peers have at the end to take what was sent to them
HOOK_GRACE = 2.0  # seconds that the shutdown hook has for its cleaning up when it was ended
STEP_TIMEOUT = 10.0  # seconds that closing one resource may take
SPREAD_STEP = 0.05  # seconds between two handfuls of goodbyes that are spread


class Lifecycle:
    """Starts and stops one runtime, each once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._started = False
        self._stopped = False
        self._failure: BaseException | None = None
        self._hook_ran = False
        #: What peers were told at the end; `None` before.
        self._goodbye: tuple[int, str] | None = None
        #: When the shutdown is to be over, on the monotonic clock; known from its beginning on.
        self._over_at: float | None = None
        self._sampling: asyncio.Task[None] | None = None
        #: Set when the last connection is gone; there is one while somebody waits for that.
        self._emptied: asyncio.Event | None = None

    async def start(self, app: Any) -> None:
        """See `Runtime.start`."""
        runtime = self._runtime
        if self._failure is not None:
            raise StartupError(
                "this app could not start before; make a new one with create_app()",
                self._failure.problems if isinstance(self._failure, StartupError) else (),
            ) from self._failure
        if self._stopped:
            raise StartupError("this app was stopped; make a new one with create_app()")
        if self._started:
            return
        self._started = True
        runtime.log_redaction.install()
        runtime.threads.open()
        set_platform(runtime.platform, runtime.settings)
        try:
            if runtime.live.loader is None:
                runtime.load()
            has_hook = runtime.hooks.get("upgrade") is not None or runtime.hooks_problem is not None
            refuse_unsafe(runtime.settings, has_upgrade_hook=has_hook)
            require_extras(runtime.settings)
            announce(runtime.settings, runtime.metrics)
            if runtime.scraping is not None:
                await runtime.scraping.start()
            await self._init(app)
            runtime.log_redaction.install()  # the hook may have set up handlers
            runtime.keepalive.start()
            runtime.live.cron.start()
            self._sampling = runtime.tasks.start(runtime.sample_pressure(), name="pressure")
        except BaseException as failure:
            self._failure = failure
            self._stopped = True
            await self._release(0.0)
            raise
        runtime.is_ready = True

    async def _init(self, app: Any) -> None:
        runtime = self._runtime
        try:
            await runtime.hooks.run(
                "init",
                runtime.settings.server.init_timeout,
                platform=runtime.platform,
                settings=runtime.settings,
                app=app,
                worker=0,
            )
        except (Exception, asyncio.CancelledError) as error:
            reraise_own_cancellation()
            problems = []
            if runtime.project is not None:
                hooks_file = runtime.project / runtime.settings.server.hooks
                problems = [problem_from(error, runtime.project, hooks_file)]
            raise StartupError("the init hook failed", problems) from error

    async def drain(self, reason: str) -> None:
        """See `Runtime.drain`."""
        runtime = self._runtime
        runtime.is_draining = True
        if not self._hook_ran:
            self._hook_ran = True
            server = runtime.settings.server
            if server.shutdown_delay and reason.startswith("SIG"):
                await runtime.clock.sleep(server.shutdown_delay)
            runtime.is_ready = False
            await self._shutdown_hook(reason)
            self._over_at = runtime.clock.monotonic() + server.shutdown_timeout
            limit = min(STEP_TIMEOUT, server.shutdown_timeout)
            await self._step("cron", lambda: runtime.live.cron.drain(limit), limit + STEP_TIMEOUT)
        runtime.is_ready = False

    async def _shutdown_hook(self, reason: str) -> None:
        """Run the hook within its limit; one that ignores its end is left to itself."""
        runtime = self._runtime
        limit = runtime.settings.server.shutdown_hook_timeout
        hook = runtime.tasks.start(
            runtime.hooks.attempt("shutdown", limit, platform=runtime.platform, reason=reason, worker=0),
            name="shutdown hook",
        )
        try:
            await asyncio.wait([hook], timeout=limit and limit + HOOK_GRACE)
            if not hook.done():
                logger.error(
                    "the shutdown hook goes on although it was cancelled; the shutdown does not wait for it"
                )
        finally:
            hook.cancel()

    def close_connections(self, code: int, reason: str) -> None:
        """See `Runtime.close_connections`."""
        self._flush()
        for connection in list(self._runtime.connections.values()):
            _close(connection, code, reason)

    def _flush(self) -> None:
        try:
            self._runtime.turn.flush()
        except Exception:
            logger.exception("shutdown: what was published last could not be sent; going on")

    async def farewell(self, code: int, reason: str) -> None:
        """See `Runtime.farewell`."""
        if self._goodbye is None:
            self._goodbye = code, reason
            self._stop_sampling()
            self._runtime.platform.parts.closing.flush()
            server = self._runtime.settings.server
            over = min(server.shutdown_spread, server.shutdown_timeout)
            if over and code == closing.GOING_AWAY:
                await self._spread(code, reason, over)
        self.close_connections(code, reason)

    async def _spread(self, code: int, reason: str, over: float) -> None:
        """Close the connections of now evenly over so many seconds, so that they do not all come back at once."""
        clock = self._runtime.clock
        self._flush()
        waiting = list(self._runtime.connections.values())
        begun, closed = clock.monotonic(), 0
        while closed < len(waiting):
            share = (clock.monotonic() - begun + SPREAD_STEP) / over
            due = min(len(waiting), int(len(waiting) * share))
            for connection in waiting[closed:due]:
                _close(connection, code, reason)
            closed = max(closed, due)
            if closed < len(waiting):
                await clock.sleep(SPREAD_STEP)

    async def stop(self, reason: str, timeout: float | None) -> None:
        """See `Runtime.stop`."""
        if not self._started:
            if self._runtime.live.loader is not None:  # it was loaded, and nothing else
                self.abandon()
            return
        if self._stopped:
            return
        self._stopped = True
        await self.drain(reason)
        await self.farewell(closing.GOING_AWAY, closing.SHUTDOWN_REASON)
        if timeout is None:
            now = self._runtime.clock.monotonic()
            timeout = max(0.0, (self._over_at or now) - now)
        await self._release(timeout)

    def left(self) -> None:
        """Note that a connection is gone."""
        if self._emptied is not None and not self._runtime.connections:
            self._emptied.set()

    async def _release(self, timeout: float) -> None:
        """Wait for what runs, at most `timeout` seconds, then end it and close everything."""
        runtime = self._runtime
        runtime.is_ready = False
        self._stop_sampling()
        runtime.keepalive.stop()
        runtime.end_connections(*(self._goodbye or (closing.GOING_AWAY, closing.SHUTDOWN_REASON)))
        begun = runtime.clock.monotonic()
        await runtime.live.calls.wait_idle(timeout=timeout)
        left = max(0.0, timeout - (runtime.clock.monotonic() - begun))
        await self._wait_for_close_hooks(left)
        ended = [(runtime.live.calls.running, "calls"), (len(runtime.connections), "close hooks")]
        await self._step("live modules", lambda: runtime.live.close(timeout=left), left + STEP_TIMEOUT)
        await self._step("plugins", lambda: runtime.platform.parts.closing.close(STEP_TIMEOUT / 2))
        await self._step("frames on their way", self._send_the_last)
        if runtime.scraping is not None:
            await self._step("metrics", runtime.scraping.stop)
        await self._step("tasks", runtime.tasks.close)
        await self._step("calls of other threads", runtime.threads.close)
        await self._step("threads", lambda: runtime.executor.shutdown(wait=False, cancel_futures=True))
        self._tell_of_ended(ended)
        self.abandon()

    def abandon(self) -> None:
        """See `Runtime.abandon`."""
        runtime = self._runtime
        self._stopped = True
        forget_platform(runtime.platform)
        if runtime.live.loader is not None:
            runtime.live.loader.close()
        runtime.hooks.forget()
        runtime.log_redaction.remove()

    def _tell_of_ended(self, ended: list[tuple[int, str]]) -> None:
        if any(count for count, _ in ended):
            logger.warning(
                "%s were still running at the shutdown timeout and were cancelled",
                " and ".join(f"{count} {what}" for count, what in ended if count),
            )

    async def _wait_for_close_hooks(self, timeout: float) -> None:
        if not self._runtime.connections:
            return
        self._emptied = asyncio.Event()
        try:
            async with asyncio.timeout(timeout):
                await self._emptied.wait()
        except TimeoutError:
            pass

    async def _send_the_last(self) -> None:
        sends = self._runtime.sends
        await sends.wait_idle(timeout=FAREWELL_TIMEOUT)
        await sends.close()

    async def _step(self, what: str, close: Callable[[], Any], limit: float = STEP_TIMEOUT) -> None:
        """Close one thing; one that fails or hangs does not keep the others open."""
        try:
            async with asyncio.timeout(limit):
                result = close()
                if inspect.isawaitable(result):
                    await result
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            logger.exception("shutdown: the %s could not be closed; going on", what)

    def _stop_sampling(self) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None


def _close(connection: Connection, code: int, reason: str) -> None:
    try:
        connection.close_soon(code, reason)
    except Exception:
        logger.exception("connection %s could not be closed; it is dropped", connection.id)
        connection.terminate()
