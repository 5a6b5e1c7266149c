"""Settings become wired objects here, and nowhere else. Spec: platform 1.9; house 2.1."""

from __future__ import annotations

import logging
import uuid
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import assertions, capacity, coalesce
from runtime.core.assertions import assert_invariant
from runtime.core.clock import Clock, SystemClock
from runtime.core.connection import Connection
from runtime.core.events import ConnectionOpened, EventBus
from runtime.core.gate import Gate, Membership
from runtime.core.outbox import TurnOutbox
from runtime.core.platform import Platform, PlatformCore
from runtime.core.publisher import Publisher
from runtime.core.redactor import LogRedaction
from runtime.core.sequence import Sequence, clock_base
from runtime.core.subscriptions import Subscriptions
from runtime.core.tasks import TaskOwner
from runtime.core.turnbatch import TurnBatch
from runtime.core.unread import lets_pending_in
from runtime.live.app import LiveApp
from runtime.live.problems import LoadProblem, problem_from
from runtime.live.ratelimit import RateLimits, Rule
from runtime.live.signals import AutomaticSignals
from runtime.plugins.replay import Replay
from runtime.server.edge import Edge
from runtime.server.hooks import HookSet, load_hooks
from runtime.server.hookwatch import HookWatch
from runtime.server.inbound import Inbound
from runtime.server.keepalive import Keepalive
from runtime.server.lifecycle import Lifecycle
from runtime.server.metricssources import make_metrics, watch_runtime
from runtime.server.startup import StartupError, StartupRefused, require_guards
from runtime.server.wsdebug import DebugPublisher, DebugSubscriptions, WsDebug
from runtime.wire import closing, control

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from runtime.core.settings import Settings
    from runtime.core.sink import Sink
    from runtime.server.devtools import Devtools
    from runtime.server.metricsendpoint import MetricsEndpoint
    from runtime.server.static import StaticIndex

__all__ = ["Handshake", "Runtime", "StartupError", "StartupRefused", "assemble"]

logger = logging.getLogger("realtime.server")

SHARED_REQUEST_ID = "worker-0"
CLOSES_PER_LOOK = 1000  # closes of connections per look at the index of their topics
DEFAULT_HOOKS = "hooks.py"  # may be missing; a file that the settings name may not


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

    def __init__(
        self,
        project: Path | None,
        settings: Settings,
        clock: Clock,
        publisher: Callable[..., Publisher] | None = None,
        platform: Callable[[PlatformCore, str], Platform] = Platform,
    ) -> None:
        depth = settings.security.max_envelope_depth
        capacity.configure({"MAX_ENVELOPE_DEPTH": depth, **settings.capacity}, clock)
        assertions.configure(settings.server.env, clock)
        self.project = project
        self.settings = settings
        self.clock = clock
        self.is_dev = settings.server.env == "dev"
        self.metrics = make_metrics(settings.metrics)
        #: Present sizes of what has a bound, by the name of the bound.
        self.sizes: dict[str, Callable[[], int]] = {}
        self.events = EventBus()
        #: Logs what connections do, with `[websocket] ws_debug`.
        self.debug = WsDebug() if settings.websocket.ws_debug else None
        self.subscriptions = Subscriptions() if self.debug is None else DebugSubscriptions()
        self.outbox = TurnOutbox(
            self.subscriptions,
            self.metrics,
            clock,
            max_frame=settings.websocket.max_outbound_frame or 0,
            stall_limit=settings.websocket.close_on_backpressure_for or 0,
        )
        #: The rules that a request passes before anything of the app sees it.
        self.edge = Edge(settings, clock)
        self.hooks = HookSet()
        self.hooks_problem: LoadProblem | None = None
        self._has_hooks = True
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
        publisher = publisher or (Publisher if self.debug is None else DebugPublisher)
        #: What a developer may look at; `None` where there is no page for that.
        self.devtools: Devtools | None = None
        if settings.has_devtools:
            from runtime.server.devtools import Devtools

            self.devtools = Devtools(self)
            publisher = self.devtools.publisher(publisher)
        self.publisher = publisher(self.subscriptions, self.outbox, self.sequence, self.metrics, max_frame)
        self.turn = TurnBatch(self.publisher, self.metrics)
        self.membership = Membership(self.subscriptions, Gate(self.metrics))
        self._core = PlatformCore(
            subscriptions=self.subscriptions,
            publisher=self.publisher,
            turn=self.turn,
            membership=self.membership,
            metrics=self.metrics,
            settings=settings,
            clock=clock,
            tasks=self.tasks,
            on_unsubscribed=self._unsubscribed,
        )
        #: Hides the secrets of the settings, in the log and in what developers are shown.
        self.redactor = self._core.redactor
        self.log_redaction = LogRedaction(self.redactor)
        self.platform = platform(self._core, SHARED_REQUEST_ID)
        self.platform.replay = Replay(clock=clock)
        #: The way of other threads into the loop.
        self.threads = self._core.threads
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
        if self.devtools is not None:
            self.devtools.start()
        self._signals = AutomaticSignals() if websocket.signals else None
        self.keepalive = Keepalive(self.connections, websocket.text_keepalive or 0, clock)
        self._inbounds: dict[Inbound, None] = {}
        self._bytes_of_the_gone = 0
        self._closes = 0
        self.metrics.watch("ws_bytes_in_total", self._bytes_in)
        watch_runtime(self)
        #: Shows the metrics; `None` unless `[metrics] enabled`.
        self.scraping: MetricsEndpoint | None = None
        if settings.metrics.enabled:
            from runtime.server.metricsendpoint import MetricsEndpoint  # and with it prometheus-client

            self.scraping = MetricsEndpoint(self)
        self._hook_watch = HookWatch(self.metrics, clock, dev=self.is_dev)
        self._lifecycle = Lifecycle(self)

    @property
    def connections(self) -> dict[str, Connection]:
        """The open connections by session id."""
        return self._core.connections

    @property
    def inbounds(self) -> Collection[Inbound]:
        """The readers of the open connections."""
        return self._inbounds

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
            self.live.rewire()
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
            is_named = server.hooks != DEFAULT_HOOKS
            if self._has_hooks:
                self.set_hooks(load_hooks(hooks_file, self.live.collector, required=is_named))
        except (Exception, SystemExit) as error:
            self.hooks_problem = problem_from(error, self.project, hooks_file)
            if not self.is_dev:
                raise StartupError("hooks.py does not load", [self.hooks_problem]) from error
        registry = self.live.load()
        if registry.problems and not self.is_dev:
            raise StartupError("live modules do not load", registry.problems)
        require_guards(self.settings, registry.modules.values())

    def leave_out_hooks(self, problem: LoadProblem) -> None:
        """Start without `hooks.py`, for which `problem` says why; then every upgrade is refused."""
        self._has_hooks = False
        self.hooks_problem = problem

    def set_hooks(self, hooks: HookSet) -> None:
        """Put `hooks` in force; also used by tests that have no hooks file."""
        self.hooks = hooks
        hooks.watch = self._hook_watch
        limit = self.settings.websocket.hook_timeout

        unread = lets_pending_in(self.settings)

        async def subscribe(ws: Connection, topic: str) -> Any:
            if unread:
                return hooks.run_unread("subscribe", ws=ws, topic=topic, platform=ws.platform)
            return await hooks.run("subscribe", limit, ws=ws, topic=topic, platform=ws.platform)

        async def subscribe_batch(ws: Connection, topics: list[str]) -> Any:
            if unread:
                return hooks.run_unread("subscribe_batch", ws=ws, topics=topics, platform=ws.platform)
            return await hooks.run("subscribe_batch", limit, ws=ws, topics=topics, platform=ws.platform)

        self.membership.gate = Gate(
            self.metrics,
            subscribe=subscribe if hooks.get("subscribe") is not None else None,
            subscribe_batch=subscribe_batch if hooks.get("subscribe_batch") is not None else None,
        )

    async def start(self, app: Any = None) -> None:
        """Load the project's code unless that was done, run the `init` hook, and be ready.

        What fails closes whatever was opened before it; the `shutdown` hook does not run then. A second call does
        nothing.

        Raises:
            StartupError: something does not load, or `init` raised or took too long; also each further time, and
                when the runtime was stopped: what a start needs is gone by then.
            StartupRefused: the settings are not safe to start with.
        """
        await self._lifecycle.start(app)

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
        if isinstance(user_data, MutableMapping) and "remote_address" not in user_data:
            if type(user_data) is dict:
                user_data = dict(user_data)  # the hook may return one for all connections of a user
            user_data["remote_address"] = handshake.remote_address
        make = Connection if self.devtools is None else self.devtools.connection
        connection = make(
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
        if self.debug is not None:
            self.debug.opened(connection)
        assert_invariant(connection.id not in self.connections, assertions.WS_PLATFORM_DOUBLE_INIT)
        connection.write_control(control.encode_welcome(connection.id))
        self.connections[connection.id] = connection
        self.metrics.add("ws_connections")
        connection.subscribe("__realtime")
        if self.events.listeners:
            self.events.emit(ConnectionOpened(connection.id, connection.user, connection.remote_address))
        if self.hooks.get("drain") is not None:
            connection.on_drain = self._drained
        inbound = Inbound(self, connection) if self.devtools is None else self.devtools.inbound(connection)
        self._inbounds[inbound] = None
        return inbound

    async def opened(self, inbound: Inbound) -> None:
        """Run the `open` hook, then do what `let_through` does. A hook that fails closes with 1011."""
        connection = inbound.connection
        try:
            if not await self.attempt("open", connection):
                connection.close_soon(closing.INTERNAL_ERROR, "open failed")
        finally:
            self.let_through(inbound)

    def let_through(self, inbound: Inbound) -> None:
        """Register who has come, and let the frames of the peer through; for a connection without an `open` hook.

        One whose user cannot be named closes with 1011.
        """
        connection = inbound.connection
        try:
            self.live.opened(connection)
            if self._signals is not None:
                self._signals.opened(connection)
        except Exception:
            logger.exception("connection %s cannot be registered for pushes", connection.id)
            connection.close_soon(closing.INTERNAL_ERROR, "open failed")
        finally:
            inbound.opened()

    async def attempt(self, name: str, connection: Connection, **values: Any) -> bool:
        """Run a hook of one connection, if there is one, within `hook_timeout`; return whether it went well.

        A failure is logged and counted, and ends nothing else.
        """
        limit = self.settings.websocket.hook_timeout
        platform = connection.platform
        assert_invariant(
            platform.request_id == connection.request_id, assertions.WS_REQUEST_ID_LEAK, hook=name
        )
        return await self.hooks.attempt(name, limit, ws=connection, platform=platform, **values)

    def forget(self, inbound: Inbound, code: int, duration: float) -> None:
        """Drop what is kept of a connection that is gone, and note how long it lived and what it moved."""
        connection, metrics = inbound.connection, self.metrics
        self._closes += 1
        is_sample = self._closes % CLOSES_PER_LOOK == 0
        mismatch = self.subscriptions.mismatch(connection) if is_sample else None
        self._core.departures.gone(connection)
        self.subscriptions.remove_all(connection)
        self._inbounds.pop(inbound, None)
        self._core.resumes.forget(connection)
        coalesce.forget(connection)
        known = self.connections.pop(connection.id, None)
        assert_invariant(known is connection, assertions.CONN_CLOSE_TWICE)
        if known is None:
            return
        if self.debug is not None:
            self.debug.closed(connection, code, duration)
        metrics.add("ws_connections", amount=-1)
        metrics.add("ws_connection_close_total", str(code))
        self._bytes_of_the_gone += connection.bytes_in
        metrics.observe("ws_connection_duration_seconds", duration)
        metrics.observe("ws_connection_messages_in", connection.messages_in)
        metrics.observe("ws_connection_messages_out", connection.messages_out)
        metrics.observe("ws_connection_bytes_in", connection.bytes_in)
        metrics.observe("ws_connection_bytes_out", connection.bytes_out)
        self._lifecycle.left()
        assert_invariant(mismatch is None, assertions.TOPICS_INDEX_MISMATCH, topic=mismatch)

    async def drain(self, reason: str) -> None:
        """Begin to stop, once: not ready from now on; the `shutdown` hook, while everything else still works.

        After a signal (`reason` is its name) `[server] shutdown_delay` passes first, in which everything is accepted
        as before. Spec: platform 1.3 and 1.9.
        """
        await self._lifecycle.drain(reason)

    def _bytes_in(self) -> int:
        return self._bytes_of_the_gone + sum(one.bytes_in for one in self.connections.values())

    def close_connections(self, code: int, reason: str) -> None:
        """Say goodbye to every peer at once."""
        self._lifecycle.close_connections(code, reason)

    async def farewell(self, code: int, reason: str) -> None:
        """Stop the pressure sampler and say goodbye to every peer; with 1001 over `[server] shutdown_spread`."""
        await self._lifecycle.farewell(code, reason)

    async def stop(self, reason: str = "shutdown", *, timeout: float | None = None) -> None:
        """Run the shutdown in order: hook, goodbye to those still there, running calls, resources. Once.

        Running calls and `close` hooks have `timeout` seconds; without it, what is left of `[server]
        shutdown_timeout` since the shutdown hook. They are cancelled then, and their number is logged.
        """
        await self._lifecycle.stop(reason, timeout)

    def abandon(self) -> None:
        """Take back what the app put into the process: modules, filters of logs, the platform of `get_platform`.

        The end of `stop`; by itself for an app that does not stop. Idempotent.
        """
        self._lifecycle.abandon()

    def end_connections(self, code: int, reason: str) -> None:
        """Run the end of every connection whose peer has not gone by itself; for the shutdown."""
        for inbound in list(self._inbounds):
            self.tasks.start(inbound.closed(code, reason), name="close")

    async def sample_pressure(self) -> None:
        """Look at the load of this worker once per `sample_interval`, without end."""
        await self._core.sampler.run()

    def _unsubscribed(self, connection: Connection, topic: str) -> None:
        self.live.left_topic(connection, topic)
        if self.hooks.get("unsubscribe") is not None:
            self.tasks.start(self.attempt("unsubscribe", connection, topic=topic), name="unsubscribe")

    def _drained(self, connection: Connection) -> None:
        if not self.tasks.closed:
            self.tasks.start(self.attempt("drain", connection), name="drain")


def assemble(
    project: Path | None,
    settings: Settings,
    *,
    clock: Clock | None = None,
    publisher: Callable[..., Publisher] | None = None,
    platform: Callable[[PlatformCore, str], Platform] = Platform,
) -> Runtime:
    """Wire one worker for the project in folder `project`, or for modules registered by hand (`None`).

    `publisher` makes the publisher, of what `Publisher` takes, and `platform` the platform; tests have their own.
    """
    folder = project.resolve() if project is not None else None
    return Runtime(folder, settings, clock or SystemClock(), publisher, platform)
