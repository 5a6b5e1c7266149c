"""A real server in the test's own process: uvicorn on a free local port. Spec: live-api 20, house 2.8."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.client import connect
from runtime.core.tasks import TaskOwner
from runtime.server.app import RealtimeApp, create_app
from runtime.server.serving import RealtimeServer
from runtime.server.settings_source import load_settings

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterator

    from runtime.client.client import Connecting
    from runtime.core.settings import Settings
    from runtime.server.assembly import Runtime

__all__ = ["RunningServer", "running_server"]

HOST = "127.0.0.1"
#: Seconds that running handlers get at the end, where the settings of the project are taken.
SHUTDOWN_TIMEOUT = 0.5


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts connections. `url` is its address without a slash at the end."""

    app: RealtimeApp
    port: int

    @property
    def url(self) -> str:
        """The address of its pages, as in `http://127.0.0.1:43210`."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The address of its WebSocket endpoint."""
        return f"ws://{HOST}:{self.port}{self.runtime.settings.websocket.path}"

    @property
    def runtime(self) -> Runtime:
        """The wired parts behind the app."""
        return self.app.runtime

    def connect(self, **options: Any) -> Connecting:
        """Return the Python client's `connect` to this server."""
        return connect(self.ws_url, **options)


@contextlib.asynccontextmanager
async def running_server(
    project: str | os.PathLike[str] | RealtimeApp, *, settings: Settings | None = None
) -> AsyncIterator[RunningServer]:
    """Serve a project's folder, or an app made by `create_app`, until the block is left.

    Args:
        project: the folder or the app.
        settings: for a folder, instead of its own. Its own have `[server] env` `test` unless they say
            otherwise, and running handlers get half a second at the end.

    Raises:
        StartupError: the app cannot start.
    """
    app = project if isinstance(project, RealtimeApp) else _app(project, settings)
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
        server = _InTestServer(app, host=HOST, port=port)
        tasks = TaskOwner("running server")
        serving = tasks.start(_serve(server, listening), name="serve")
        ready = tasks.start(server.ready.wait(), name="ready")
        try:
            await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                error = serving.result()
                raise error or RuntimeError("the server ended before it accepted connections")
            yield RunningServer(app, port)
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
            await tasks.close()


class _InTestServer(RealtimeServer):
    """A server that leaves signals to the test runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(server: RealtimeServer, listening: socket.socket) -> Exception | None:
    """Serve to the end; return what kept the server from starting, which the caller raises."""
    try:
        await server.serve(sockets=[listening])
    except Exception as error:
        return error
    return None


def _app(project: str | os.PathLike[str], settings: Settings | None) -> RealtimeApp:
    if settings is None:
        settings = load_settings(Path(project), env_default="test").settings
        server = msgspec.structs.replace(settings.server, shutdown_timeout=SHUTDOWN_TIMEOUT)
        settings = msgspec.structs.replace(settings, server=server)
    return create_app(project, settings=settings)
