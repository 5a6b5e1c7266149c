"""A real server on a free port, for tests that need sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection

from runtime.core.settings import Settings
from runtime.server.app import RealtimeApp, create_app
from runtime.server.serving import RealtimeServer

TIMEOUT = 5.0


class Forced:
    """What the fixture `write_path` says: no context variable, for the task of a test begins before its fixtures."""

    #: `fast_path` of every app that is served, instead of that of its settings.
    fast_path: str | None = None


class Served:
    """A serving app: its address, its runtime, and connections to it."""

    def __init__(self, app: RealtimeApp, server: RealtimeServer, port: int) -> None:
        self.app = app
        self.server = server
        self.runtime = app.runtime
        self.address = f"127.0.0.1:{port}"
        self.http = f"http://{self.address}"
        self.ws = f"ws://{self.address}{app.runtime.settings.websocket.path}"

    def connect(self, **options: Any) -> Any:
        """Connect like a page of this server would; `origin=None` for a client that sends none."""
        options.setdefault("origin", self.http)
        return websockets.connect(self.ws, **options)


@contextlib.asynccontextmanager
async def served(project: Any, settings: Settings, **options: Any) -> AsyncIterator[Served]:
    """Serve `project` with uvicorn until the block ends."""
    path = Forced.fast_path
    if path is not None:
        websocket = msgspec.structs.replace(settings.websocket, fast_path=path)
        settings = msgspec.structs.replace(settings, websocket=websocket)
    app = create_app(project, settings=settings, **options)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(256)
    server = RealtimeServer(app)
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    ready = asyncio.ensure_future(server.ready.wait())
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED, timeout=TIMEOUT)
    if running.done():
        ready.cancel()
        running.result()
    try:
        yield Served(app, server, listening.getsockname()[1])
    finally:
        server.should_exit = True
        await running


async def receive(ws: ClientConnection) -> Any:
    """Return the next frame, parsed."""
    async with asyncio.timeout(TIMEOUT):
        return json.loads(await ws.recv())


async def receive_until(ws: ClientConnection, **wanted: Any) -> Any:
    """Return the next frame that has these keys and values."""
    while True:
        frame = await receive(ws)
        if all(frame.get(key) == value for key, value in wanted.items()):
            return frame


async def call(ws: ClientConnection, path: str, *args: Any, id: str = "c1") -> Any:
    """Call `path` and return the inner object of the reply."""
    await ws.send(json.dumps({"rpc": path, "id": id, "args": list(args)}))
    return (await receive_until(ws, topic="__rpc", event=id))["data"]
