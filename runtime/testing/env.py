"""`TestEnv`: a whole app in the test's own process and loop, without sockets. Spec: live-api 20."""

from __future__ import annotations

import asyncio
import functools
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.core.settings import ServerSettings, Settings
from runtime.core.tasks import TaskOwner
from runtime.live import collector
from runtime.live.registry import build_registry
from runtime.server.assembly import Handshake, assemble
from runtime.server.hooks import HookSet
from runtime.server.settings_source import load_settings
from runtime.testing.caps import reset_caps
from runtime.testing.chaos import Chaos, ChaosConfig, ChaosPublisher, config_of
from runtime.testing.client import TestClient
from runtime.testing.clock import DEFAULT_NOW, FakeClock
from runtime.testing.eventlog import EventLog, PublishedEvent
from runtime.testing.memory import MemorySink
from runtime.testing.modules import as_module, live_module
from runtime.testing.outbound import OutboundChaos, TestPlatform
from runtime.testing.waiting import eventually
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Mapping
    from types import ModuleType, TracebackType
    from typing import TypeVar

    from runtime.core.platform import Platform, PlatformCore
    from runtime.core.sink import Sink
    from runtime.server.inbound import Inbound

    T = TypeVar("T")

__all__ = ["TestEnv"]

#: Seconds of real time that one wait of a test may take where nothing else was said.
WAIT_TIMEOUT = 5.0
#: Seconds of real time that `tick` may take.
TICK_TIMEOUT = 30.0
#: Seconds that running handlers get at the end of a test before they are cancelled.
SHUTDOWN_TIMEOUT = 0.5
#: Seconds that the whole end of an env may take.
CLEANUP_TIMEOUT = 20.0
#: While it takes long, the server's clock moves on: by how many seconds, how often.
CLEANUP_STEP = 60.0
CLEANUP_INTERVAL = 1.5
#: What the framework itself tells clients is no publish of the app.
SYSTEM_TOPIC = "__realtime"


class TestEnv:
    """The real runtime with an in-memory transport and a clock that stands still.

    Use it with `async with`, or call `cleanup` at the end. It starts with its first connection, or with `start`. Each
    wait of it, of its clients and of their streams has a limit, and what ends at one shows the last frames.

    Args:
        dev: behave as `realtime dev` does: replies of unexpected exceptions carry a traceback.
        chaos: what `chaos.set` takes, as a mapping, from the beginning on.
        hooks: a module, or a mapping of names to functions, with hooks as in `hooks.py`.
        settings: other settings; `[server] env` is `test` unless they say otherwise.
        project: the folder of a project; `from_project` is the usual way.
        now: where the server's wall clock starts, in seconds since the epoch or as a datetime with a zone.
        timeout: seconds of real time that one wait may take where nothing else is said.

    Attributes:
        clock: the clock of the server's side; `tick` moves it.
        chaos: loses, delays and reorders publishes and breaks lines, see `Chaos`.
        published: every publish so far, of whatever function, hook or job, as `.topic`, `.event` and `.data`:
            `env.published.on("todos")`, `await env.published.wait_for("created", topic="todos")`.
    """

    __test__ = False

    def __init__(
        self,
        dev: bool = False,
        chaos: Mapping[str, Any] | ChaosConfig | None = None,
        *,
        hooks: ModuleType | Mapping[str, Any] | None = None,
        settings: Settings | None = None,
        project: Path | None = None,
        now: float | datetime = DEFAULT_NOW,
        timeout: float = WAIT_TIMEOUT,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout: must be above 0, not {timeout!r}")
        if settings is None:
            settings = Settings(server=ServerSettings(env="dev" if dev else "test"))
        server = msgspec.structs.replace(
            settings.server, shutdown_timeout=SHUTDOWN_TIMEOUT, shutdown_spread=0
        )
        self.timeout = timeout
        self.clock = FakeClock(_epoch(now), until_idle=True)
        self._clients: list[TestClient] = []
        self.chaos = Chaos(self.clock, lambda: self._clients)
        if chaos is not None:
            self.chaos.set(**config_of(chaos))
        self.published: EventLog[PublishedEvent] = EventLog("publish", self.last_frames)
        self._outbound = OutboundChaos(self.clock, lambda: self.runtime.connections.values())
        self.runtime = assemble(
            project,
            msgspec.structs.replace(settings, server=server),
            clock=self.clock,
            publisher=functools.partial(ChaosPublisher, self.chaos, self._note_publish),
            platform=self._make_platform,
        )
        if hooks is not None:
            self.runtime.set_hooks(HookSet.from_module(as_module("hooks", hooks)))
        self.tasks = TaskOwner("test env")
        self._forget_declared = collector.ambient.remember()
        self._starting = asyncio.Lock()
        self._started = False
        self._clean = False

    @classmethod
    def from_project(cls, project: str | os.PathLike[str], *, dev: bool = False, **options: Any) -> TestEnv:
        """Return the env of the project in a folder: its settings, `hooks.py` and `live/*.py`.

        Args:
            project: the folder.
            dev: as of `TestEnv`.
            options: further ones of `TestEnv`, `hooks`, `settings` and `project` excepted.

        Raises:
            SettingsError: the settings are broken; a module that does not load raises `StartupError` at the start.
        """
        folder = Path(project).resolve()
        settings = load_settings(folder, env_default="dev" if dev else "test").settings
        return cls(settings=settings, project=folder, **options)

    async def __aenter__(self) -> TestEnv:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cleanup()

    @property
    def platform(self) -> TestPlatform:
        """The platform that hooks and live functions see, with `chaos(scenario)` for frames on their way to clients."""
        return self._platform

    def register(self, module: str, exports: ModuleType | Mapping[str, Any]) -> None:
        """Register live functions as the file `live/<module>.py` would; one of the same name is replaced.

        Args:
            module: `todos` makes `todos/add` of `add`.
            exports: an imported module, or names to whatever a live module may declare; `_guard` is its guard.

        Raises:
            ValueError: a declaration that the server would refuse to load; the message says which and why, and nothing
                of the module is registered.
        """
        live, made = self.runtime.live, live_module(module, exports)
        modules = {**live.registry.modules, made.name: made}
        problems = build_registry(modules.values(), apart=[live.collector]).problems
        if problems:
            raise ValueError("\n".join(f"{module}: {problem}" for problem in problems))
        live.register(made)

    def connect(self, user_data: Any = None) -> TestClient:
        """Return a new client, as if the `upgrade` hook had returned `user_data`.

        Raises:
            RuntimeError: the env was cleaned up.
        """
        if self._clean:
            raise RuntimeError("this env was cleaned up; make another one for another client")
        client = TestClient(self, user_data)
        self._clients.append(client)
        return client

    async def tick(self, seconds: float, *, timeout: float = TICK_TIMEOUT) -> None:
        """Move the server's clock, running whatever becomes due meanwhile, each at its own time: cron jobs, windows,
        debounces, grace periods, timeouts. `tick(0)` lets what runs go on for a moment. A day takes some seconds.

        Raises:
            ValueError: `seconds` is negative. TimeoutError: it took more than `timeout` seconds of real time.
            RuntimeError: timers that set each other for the same instant, without end.
        """
        await self.start()
        begun = self.clock.monotonic()
        try:
            async with asyncio.timeout(timeout):
                await self.clock.advance(seconds)
        except TimeoutError:
            moved = self.clock.monotonic() - begun
            raise TimeoutError(
                f"tick({seconds:g}) came {moved:g} seconds far in {timeout:g}s of real time: much becomes due on the "
                "way; tick shorter, or pass timeout="
            ) from None

    async def tick_to(self, instant: float | datetime, *, timeout: float = TICK_TIMEOUT) -> None:
        """Move the server's clock to an instant, as `tick` does.

        Raises:
            ValueError: it is in the past, or a datetime without a zone. Others as `tick`.
        """
        await self.tick(_epoch(instant) - self.clock.now(), timeout=timeout)

    async def eventually(self, predicate: Callable[[], T | Awaitable[T]], timeout: float | None = None) -> T:
        """Wait until `predicate()` gives something true and return that, as `runtime.testing.eventually`.

        Raises:
            AssertionError: it did not in `timeout` seconds, of the env when missing; with the last frames of everybody.
        """
        try:
            return await eventually(predicate, self.timeout if timeout is None else timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.last_frames()}") from error

    def last_frames(self) -> str:
        """Return the last frames of every client as lines of text."""
        return "\n".join(client.last_frames() for client in self._clients) or "no client has connected"

    async def start(self) -> None:
        """Load the project, if there is one, and run the `init` hook. A second call does nothing.

        Raises:
            StartupError: what does not load, or the `init` hook, raised.
        """
        async with self._starting:
            if not self._started:
                await self.runtime.start()
                self._started = True

    async def cleanup(self) -> None:
        """Disconnect everybody, run the `shutdown` hook, end what runs, and put back every bound and whatever was
        declared for all apps since the env was made. Idempotent.

        Raises:
            TimeoutError: something did not end within 20 seconds; it is named.
        """
        if self._clean:
            return
        self._clean = True
        self.chaos.forget()
        self._outbound.set(None)
        try:
            async with asyncio.timeout(CLEANUP_TIMEOUT):
                await self._end()
        except TimeoutError:
            running = ", ".join(sorted(task.get_name() for task in asyncio.all_tasks()))
            raise TimeoutError(
                f"the env did not end within {CLEANUP_TIMEOUT:g}s; still running: {running}\n{self.last_frames()}"
            ) from None
        finally:
            await self.tasks.close()
            self.runtime.abandon()
            self._forget_declared()
            reset_caps()

    async def _end(self) -> None:
        """Close and stop everything; what waits for the clock, which nobody moves any more, goes on after a second."""

        async def end() -> None:
            for client in self._clients:
                await client.close()
            await self.runtime.stop("cleanup")

        ending = self.tasks.start(end(), name="cleanup")
        while not ending.done():
            await asyncio.wait([ending], timeout=CLEANUP_INTERVAL)
            if not ending.done():
                await self.clock.advance(CLEANUP_STEP)
        ending.result()

    async def open(self, sink: Sink, user_data: Any) -> Inbound:
        """Make the server's side of one connection; `connect` is the usual way."""
        await self.start()
        if isinstance(sink, MemorySink):
            sink.chaos = self._outbound
        if isinstance(user_data, dict):
            user_data = dict(user_data)  # the server adds the address; the test's own stays as it is
        return await self.runtime.open(sink, Handshake(user_data=user_data, has_user=user_data is not None))

    def _make_platform(self, core: PlatformCore, request_id: str) -> Platform:
        self._platform = TestPlatform(core, request_id, self._outbound)
        return self._platform

    def _note_publish(self, topic: str, event: str, data: bytes) -> None:
        if topic != SYSTEM_TOPIC:
            self.published.add(PublishedEvent(topic, event, jsoncodec.decode(data)))


def _epoch(instant: float | datetime) -> float:
    if not isinstance(instant, datetime):
        return float(instant)
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no zone: write datetime(..., tzinfo=UTC) or another zone")
    return instant.timestamp()
