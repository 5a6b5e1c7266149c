"""Settings become wired objects here, and nowhere else. Spec: platform 1.9; house 2.1."""

from __future__ import annotations

import asyncio
import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.clock import Clock, SystemClock
from runtime.core.connection import Connection
from runtime.core.errors import RealtimeError
from runtime.core.events import ConnectionOpened, EventBus
from runtime.core.gate import Gate, Membership
from runtime.core.metrics import Metrics
from runtime.core.outbox import TurnOutbox
from runtime.core.platform import Platform, PlatformCore
from runtime.core.pressure import Sampler
from runtime.core.publisher import Publisher
from runtime.core.sequence import Sequence, clock_base
from runtime.core.subscriptions import Subscriptions
from runtime.core.tasks import TaskOwner
from runtime.core.turnbatch import TurnBatch
from runtime.live.app import LiveApp
from runtime.live.problems import LoadProblem, problem_from
from runtime.live.ratelimit import RateLimits, Rule
from runtime.server.current import forget_platform, set_platform
from runtime.server.hooks import HookSet, load_hooks
from runtime.server.inbound import Inbound
from runtime.server.keepalive import Keepalive
from runtime.wire import closing, control

if TYPE_CHECKING:
    from collections.abc import Sequence as SequenceOf
    from pathlib import Path

    from runtime.core.settings import Settings
    from runtime.core.sink import Sink
    from runtime.server.static import StaticIndex

__all__ = ["Handshake", "Runtime", "StartupError", "assemble"]

logger = logging.getLogger("realtime")

SHARED_REQUEST_ID = "worker-0"
SAMPLE_INTERVAL = 1.0  # seconds between pressure samples
FAREWELL_TIMEOUT = 0.5  # seconds that peers have at the end to take what was sent to them


class StartupError(RealtimeError):
    """The app cannot start. `problems` say what is wrong where."""

    def __init__(self, message: str, problems: SequenceOf[LoadProblem] = ()) -> None:
        super().__init__("\n".join([message, *(str(problem) for problem in problems)]))
        self.problems = list(problems)


@dataclass(slots=True)
class Handshake:
    """What is known of a peer once its upgrade was accepted. `has_user`: the `upgrade` hook named somebody."""

    user_data: Any = None
    has_user: bool = True
    remote_address: str = ""
    request_id: str | None = None
    origin: str | None = None
    path: str = "/ws"
    is_secure: bool = False


class Runtime:
    """Everything of one worker, wired. `await start()` before the first `open`, `await stop(reason)` at the end."""

    def __init__(self, project: Path | None, settings: Settings, clock: Clock) -> None:
        capacity.configure(settings.capacity)
        self.project = project
        self.settings = settings
        self.clock = clock
        self.is_dev = settings.server.env == "dev"
        self.metrics = Metrics()
        self.events = EventBus()
        self.subscriptions = Subscriptions()
        self.outbox = TurnOutbox(
            self.subscriptions,
            self.metrics,
            clock,
            max_frame=settings.websocket.max_outbound_frame or 0,
            stall_limit=settings.websocket.close_on_backpressure_for or 0,
        )
        self.hooks = HookSet()
        self.hooks_problem: LoadProblem | None = None
        #: Markup that goes into the head of every HTML page, behind the import map.
        self.page_snippets: list[str] = []
        #: The index of `web/`; set by the HTTP side, `None` for an app without a project.
        self.static: StaticIndex | None = None
        self.is_ready = False
        self.is_draining = False
        #: Upgrade requests that are neither connected nor refused yet; they count against `max_connections`.
        self.upgrading = 0
        self.tasks = TaskOwner("runtime")
        #: Frames on their way to peers that do not take them at once.
        self.sends = TaskOwner("sends")
        websocket = settings.websocket
        base = 0 if websocket.seq_base == 0 or settings.server.env == "test" else clock_base(clock.now())
        max_frame = websocket.max_outbound_frame or 0
        self.sequence = Sequence(base)
        self.publisher = Publisher(self.subscriptions, self.outbox, self.sequence, self.metrics, max_frame)
        self.turn = TurnBatch(self.publisher)
        self.membership = Membership(self.subscriptions, Gate(self.metrics))
        self._core = PlatformCore(
            subscriptions=self.subscriptions,
            publisher=self.publisher,
            turn=self.turn,
            membership=self.membership,
            metrics=self.metrics,
            settings=settings,
            sampler=Sampler(self.metrics, clock),
            on_unsubscribed=self._unsubscribed,
        )
        self.platform = Platform(self._core, SHARED_REQUEST_ID)
        self.executor = ThreadPoolExecutor(settings.server.threads, thread_name_prefix="realtime")
        self.live = LiveApp(
            platform=self.platform,
            turn=self.turn,
            membership=self.membership,
            subscriptions=self.subscriptions,
            metrics=self.metrics,
            events=self.events,
            clock=clock,
            executor=self.executor,
            max_frame=max_frame,
            dev=self.is_dev,
        )
        self._keepalive = Keepalive(self.connections, websocket.text_keepalive or 0, clock)
        self._started = False
        self._stopped = False
        self._failure: BaseException | None = None
        self._hook_ran = False
        #: When the shutdown is to be over, on the monotonic clock; known from its beginning on.
        self._over_at: float | None = None
        self._app: Any = None

    @property
    def connections(self) -> dict[str, Connection]:
        """The open connections by session id."""
        return self._core.connections

    @property
    def problems(self) -> list[LoadProblem]:
        """What is wrong with the project's code as it is loaded now."""
        found = [self.hooks_problem] if self.hooks_problem else []
        return [*found, *self.live.registry.problems]

    def load(self) -> None:
        """Import `hooks.py` and the live modules.

        In dev mistakes are kept in `problems` and the rest works; elsewhere any of them stops the start.

        Raises:
            StartupError: outside dev, a file that fails; everywhere, a file that hides one of our packages, or whose
                module another app of this process has from its own project.
        """
        rates = self.settings.rate_limits
        if rates.default is not None or rates.overrides:
            default = Rule(rates.default.points, rates.default.window) if rates.default else None
            overrides = {path: Rule(rule.points, rule.window) for path, rule in rates.overrides.items()}
            self.live.collector.rate_limits = RateLimits(default, overrides, rates.exempt)
        if self.project is None:
            return
        server = self.settings.server
        loader = self.live.prepare(self.project, self.project / server.live)
        shadowing = loader.shadowing()
        if shadowing:
            names = ", ".join(file.relative_to(self.project).as_posix() for file in shadowing)
            raise StartupError(f"{names} hides a package of Realtime Toolkit from every import; rename it")
        for file, imported in loader.package.foreign():
            raise StartupError(
                f"{file} cannot be imported: another app of this process has imported {imported} under that name; "
                "rename one of them, or run the apps in processes of their own"
            )
        hooks_file = self.project / server.hooks
        try:
            self.set_hooks(load_hooks(hooks_file, self.live.collector))
        except (Exception, SystemExit) as error:
            self.hooks_problem = problem_from(error, self.project, hooks_file)
            if not self.is_dev:
                raise StartupError("hooks.py does not load", [self.hooks_problem]) from error
        registry = self.live.load()
        if registry.problems and not self.is_dev:
            raise StartupError("live modules do not load", registry.problems)

    def set_hooks(self, hooks: HookSet) -> None:
        """Put `hooks` in force; also used by tests that have no hooks file."""
        self.hooks = hooks
        single, batch = hooks.get("subscribe"), hooks.get("subscribe_batch")
        self.membership.gate = Gate(
            self.metrics,
            subscribe=None
            if single is None
            else lambda ws, topic: single(ws=ws, topic=topic, platform=ws.platform),
            subscribe_batch=None
            if batch is None
            else lambda ws, topics: batch(ws=ws, topics=topics, platform=ws.platform),
            timeout=self.settings.websocket.hook_timeout or 0,
        )

    async def start(self, app: Any = None) -> None:
        """Load the project's code unless that was done, run the `init` hook, and be ready.

        A second call does nothing.

        Raises:
            StartupError: something does not load, or `init` raised or took too long; also each further time, and
                when the runtime was stopped: what a start needs is gone by then.
        """
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
        self._app = app
        set_platform(self.platform, self.settings)
        try:
            if self.live.loader is None:
                self.load()
            await self._init()
        except BaseException as failure:
            self._failure = failure
            self._stopped = True
            await self._teardown(self.settings.server.shutdown_timeout)
            raise
        self._keepalive.start()
        self._schedule_sample()
        self.is_ready = True

    async def _init(self) -> None:
        try:
            await self.hooks.run(
                "init",
                self.settings.server.init_timeout,
                platform=self.platform,
                settings=self.settings,
                app=self._app,
                worker=0,
            )
        except Exception as error:
            problems = []
            if self.project is not None:
                problems = [problem_from(error, self.project, self.project / self.settings.server.hooks)]
            raise StartupError("the init hook failed", problems) from error

    async def open(self, sink: Sink, handshake: Handshake) -> Inbound:
        """Make the connection of an accepted peer: welcome, `open` hook, then its frames. Spec: wire 1.6.

        Feed frames to the returned `Inbound` from the moment it is returned.
        """
        inbound = self.connect(sink, handshake)
        await self.opened(inbound)
        return inbound

    def connect(self, sink: Sink, handshake: Handshake) -> Inbound:
        """Do the part of `open` that comes before the hook; frames that are fed meanwhile wait for it."""
        user_data, has_user = handshake.user_data, handshake.has_user and handshake.user_data is not None
        if user_data is None:
            user_data = {}
        if isinstance(user_data, dict):
            user_data.setdefault("remote_address", handshake.remote_address)
        connection = Connection(
            id=str(uuid.uuid4()),
            sink=sink,
            outbox=self.outbox,
            subscriptions=self.subscriptions,
            platform=self.platform,
            metrics=self.metrics,
            max_backpressure=self.settings.websocket.max_backpressure,
            opened_at=self.clock.monotonic(),
            user_data=user_data,
            has_user=has_user,
            request_id=handshake.request_id or str(uuid.uuid4()),
            remote_address=handshake.remote_address,
            origin=handshake.origin,
            path=handshake.path,
            is_secure=handshake.is_secure,
        )
        connection.write_control(control.encode_welcome(connection.id))
        self.connections[connection.id] = connection
        self.metrics.add("connections")
        connection.subscribe("__realtime")
        if self.events.listeners:
            self.events.emit(ConnectionOpened(connection.id, connection.user, connection.remote_address))
        return Inbound(self, connection)

    async def opened(self, inbound: Inbound) -> None:
        """Run the `open` hook and let the peer's frames through. A hook that fails closes with 1011."""
        connection = inbound.connection
        if self.hooks.get("open") is not None:
            try:
                await self.hooks.run(
                    "open", self.settings.websocket.hook_timeout, ws=connection, platform=connection.platform
                )
            except Exception:
                logger.exception("hook open failed")
                self.metrics.add("hook_errors_total", "open")
                connection.close_soon(closing.INTERNAL_ERROR, "open failed")
        inbound.opened()

    def forget(self, connection: Connection) -> None:
        """Drop what is kept of a connection that is gone."""
        self.subscriptions.remove_all(connection)
        if self.connections.pop(connection.id, None) is not None:
            self.metrics.add("connections", amount=-1)

    async def drain(self, reason: str) -> None:
        """Stop being ready and run the `shutdown` hook, once, while everything still works. Spec: platform 1.3."""
        self.is_ready = False
        self.is_draining = True
        if self._hook_ran:
            return
        self._hook_ran = True
        try:
            await self.hooks.run(
                "shutdown",
                self.settings.server.shutdown_hook_timeout,
                platform=self.platform,
                reason=reason,
                worker=0,
            )
        except Exception:
            logger.exception("hook shutdown failed")
            self.metrics.add("hook_errors_total", "shutdown")
        self._over_at = self.clock.monotonic() + self.settings.server.shutdown_timeout

    def close_connections(self, code: int, reason: str) -> None:
        """Say goodbye to every peer."""
        self.turn.flush()
        for connection in list(self.connections.values()):
            connection.close_soon(code, reason)

    async def stop(self, reason: str = "shutdown", *, timeout: float | None = None) -> None:
        """Run the shutdown in order: hook, goodbye to those still there, running calls, resources. Once.

        Running calls have `timeout` seconds; without it, what is left of `[server] shutdown_timeout` since the
        shutdown hook. They are cancelled then, and what does not end for that is named in a warning.
        """
        if self._stopped or not self._started:
            return
        self._stopped = True
        await self.drain(reason)
        self.close_connections(closing.GOING_AWAY, closing.SHUTDOWN_REASON)
        if timeout is None:
            now = self.clock.monotonic()
            timeout = max(0.0, (self._over_at or now) - now)
        await self._teardown(timeout)

    async def _teardown(self, timeout: float) -> None:
        self.is_ready = False
        self._keepalive.stop()
        ended = await self.live.close(timeout=timeout)
        if ended:
            logger.warning("%d calls were still running at the shutdown timeout and were cancelled", ended)
        await self.sends.wait_idle(timeout=FAREWELL_TIMEOUT)
        await self.sends.close()
        await self.tasks.close()
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.hooks.forget()
        forget_platform(self.platform)

    def _schedule_sample(self) -> None:
        async def sample() -> None:
            while True:
                await self.clock.sleep(SAMPLE_INTERVAL)
                self._core.sampler.sample(
                    connections=len(self.connections), subscriptions=self.subscriptions.total
                )

        self.tasks.start(sample(), name="pressure")

    def _unsubscribed(self, connection: Connection, topic: str) -> None:
        self.live.left_topic(connection, topic)
        if self.hooks.get("unsubscribe") is not None:
            self.tasks.start(self._unsubscribe_hook(connection, topic), name="unsubscribe")

    async def _unsubscribe_hook(self, connection: Connection, topic: str) -> None:
        try:
            async with asyncio.timeout(self.settings.websocket.hook_timeout):
                await self.hooks.run(
                    "unsubscribe", None, ws=connection, topic=topic, platform=connection.platform
                )
        except Exception:
            logger.exception("hook unsubscribe failed")
            self.metrics.add("hook_errors_total", "unsubscribe")


def assemble(project: Path | None, settings: Settings, *, clock: Clock | None = None) -> Runtime:
    """Wire one worker for the project in folder `project`, or for modules registered by hand (`None`)."""
    return Runtime(project.resolve() if project is not None else None, settings, clock or SystemClock())
