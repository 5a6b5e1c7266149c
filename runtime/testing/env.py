"""`TestEnv`: a whole app in the test's own process and loop, without sockets. Spec: live-api 20."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.core.settings import ServerSettings, Settings
from runtime.core.tasks import TaskOwner
from runtime.live.registry import build_module
from runtime.server.assembly import Handshake, assemble
from runtime.server.hooks import HookSet
from runtime.server.settings_source import load_settings
from runtime.testing.caps import reset_caps
from runtime.testing.clock import FakeClock
from runtime.testing.peers import TestClient

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from runtime.core.platform import Platform
    from runtime.core.sink import Sink
    from runtime.live.registry import LiveModule
    from runtime.server.inbound import Inbound

__all__ = ["TestEnv"]

#: Seconds that running handlers get at the end of a test before they are cancelled.
SHUTDOWN_TIMEOUT = 0.5


class TestEnv:
    """The real runtime with an in-memory transport and a clock that stands still.

    Use it with `async with`, or call `cleanup` at the end. It starts with its first connection, or with `start`.

    Args:
        dev: behave as `realtime dev` does: replies of unexpected exceptions carry a traceback.
        hooks: a module, or a mapping of names to functions, with hooks as in `hooks.py`.
        settings: other settings; `[server] env` is `test` unless they say otherwise.
    """

    __test__ = False

    def __init__(
        self,
        dev: bool = False,
        *,
        hooks: ModuleType | Mapping[str, Any] | None = None,
        settings: Settings | None = None,
        project: Path | None = None,
    ) -> None:
        if settings is None:
            settings = Settings(server=ServerSettings(env="dev" if dev else "test"))
        server = msgspec.structs.replace(settings.server, shutdown_timeout=SHUTDOWN_TIMEOUT)
        #: The clock of the server's side; `tick` moves it.
        self.clock = FakeClock()
        self.runtime = assemble(project, msgspec.structs.replace(settings, server=server), clock=self.clock)
        if hooks is not None:
            self.runtime.set_hooks(HookSet.from_module(_as_module("hooks", hooks)))
        self.tasks = TaskOwner("test env")
        self._clients: list[TestClient] = []
        self._starting = asyncio.Lock()
        self._started = False
        self._clean = False

    @classmethod
    def from_project(cls, project: str | os.PathLike[str], *, dev: bool = False) -> TestEnv:
        """Return the env of the project in a folder: its settings, `hooks.py` and `live/*.py`.

        Raises:
            SettingsError: the settings are broken; a module that does not load raises `StartupError` at the start.
        """
        folder = Path(project).resolve()
        settings = load_settings(folder, env_default="dev" if dev else "test").settings
        return cls(settings=settings, project=folder)

    async def __aenter__(self) -> TestEnv:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cleanup()

    @property
    def platform(self) -> Platform:
        """The platform that hooks and live functions see."""
        return self.runtime.platform

    def register(self, module: str, exports: ModuleType | Mapping[str, Any]) -> None:
        """Register live functions as the file `live/<module>.py` would.

        Args:
            module: `todos` makes `todos/add` of `add`.
            exports: an imported module, or names to decorated functions; `_guard` is the module's guard.

        Raises:
            ValueError: a declaration that the server would refuse to load; the message says which and why.
        """
        self.runtime.live.register(_live_module(module, exports))
        problems = self.runtime.live.registry.problems
        if problems:
            raise ValueError("\n".join(f"{module}: {problem}" for problem in problems))

    def connect(self, user_data: Any = None) -> TestClient:
        """Return a new client, as if the `upgrade` hook had returned `user_data`."""
        client = TestClient(self, user_data)
        self._clients.append(client)
        return client

    async def tick(self, seconds: float) -> None:
        """Move the server's clock, running whatever becomes due meanwhile."""
        await self.start()
        await self.clock.advance(seconds)

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
        """Disconnect everybody, run the `shutdown` hook, end what runs and put every bound back. Idempotent."""
        if self._clean:
            return
        self._clean = True
        for client in self._clients:
            await client.close()
        self._clients.clear()
        await self.tasks.close()
        await self.runtime.stop("cleanup")
        reset_caps()

    async def open(self, sink: Sink, user_data: Any) -> Inbound:
        """Make the server's side of one connection; `connect` is the usual way."""
        await self.start()
        if isinstance(user_data, dict):
            user_data = dict(user_data)  # the server adds the address; the test's own stays as it is
        return await self.runtime.open(sink, Handshake(user_data=user_data, has_user=user_data is not None))


def _as_module(name: str, exports: ModuleType | Mapping[str, Any]) -> ModuleType:
    if isinstance(exports, ModuleType):
        return exports
    module = ModuleType(name)
    vars(module).update(exports)
    return module


def _live_module(name: str, exports: ModuleType | Mapping[str, Any]) -> LiveModule:
    """Describe live functions that no loader imported; they may come from several files."""
    if isinstance(exports, ModuleType):
        return _described(exports, name, Path(exports.__file__ or f"{name}.py"))
    guard = {key: value for key, value in exports.items() if key == "_guard"}
    homes: dict[tuple[str, str], dict[str, Any]] = {}
    for key, value in exports.items():
        if key != "_guard":
            homes.setdefault(_home(value), {})[key] = value
    parts = []
    for (module_name, file), members in homes.items():
        part = ModuleType(module_name)
        vars(part).update({**guard, **members})
        parts.append(_described(part, name, Path(file)))
    if not parts:
        raise ValueError(f"{name}: there is nothing to register")
    return dataclasses.replace(
        parts[0],
        endpoints=tuple(endpoint for part in parts for endpoint in part.endpoints),
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def _described(module: ModuleType, name: str, file: Path) -> LiveModule:
    return build_module(module, name, file, file.parent)


def _home(value: Any) -> tuple[str, str]:
    """Return the module and the file in which a live declaration was written."""
    file = getattr(value, "file", None)
    if not isinstance(file, str):
        try:
            file = inspect.getsourcefile(inspect.unwrap(value)) or ""
        except TypeError:
            file = ""
    return getattr(value, "__module__", "") or "", file
