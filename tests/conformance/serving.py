"""A project behind a real socket: in the loop of one test, or in a thread of its own for several."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from runtime import create_app
from runtime.server.serving import RealtimeServer
from runtime.server.settings_source import load_settings

__all__ = ["serving", "serving_in_thread"]

START_TIMEOUT = 30.0


@contextlib.asynccontextmanager
async def serving(project: Path, write_path: str = "auto") -> AsyncIterator[tuple[RealtimeServer, str]]:
    """Serve `project` on a free port; gives the server and the URL of its WebSocket endpoint.

    `write_path` is the `fast_path` of its settings: `off` for plain ASGI.
    """
    settings = load_settings(project, env_default="test").settings
    websocket = msgspec.structs.replace(settings.websocket, fast_path=write_path)
    settings = msgspec.structs.replace(settings, websocket=websocket)
    server = RealtimeServer(create_app(project, settings=settings))
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    task = asyncio.create_task(server.serve(sockets=[listening]), name="server")
    ready = asyncio.create_task(server.ready.wait(), name="ready")
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield server, f"ws://127.0.0.1:{port}/ws"
    finally:
        ready.cancel()
        server.should_exit = True
        await asyncio.wait([task])
        await asyncio.gather(ready, return_exceptions=True)
        listening.close()
    task.result()


@contextlib.contextmanager
def serving_in_thread(project: Path, write_path: str = "auto") -> Iterator[tuple[RealtimeServer, str]]:
    """Serve `project` for more than one test, each of which has a loop and a leak check of its own."""
    served: list[tuple[RealtimeServer, str]] = []
    failure: list[BaseException] = []
    ready = threading.Event()
    end: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        async with serving(project, write_path) as pair:
            served.append(pair)
            end.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failure.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="server", daemon=True)
    thread.start()
    ready.wait(START_TIMEOUT)
    try:
        if served:
            yield served[0]
    finally:
        for loop, stop in end:
            loop.call_soon_threadsafe(stop.set)
        thread.join(START_TIMEOUT)
    for error in failure:
        raise error
