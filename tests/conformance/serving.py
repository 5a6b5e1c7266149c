"""A project behind a real socket, in the loop of the test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from runtime import create_app
from runtime.server.serving import RealtimeServer

__all__ = ["serving"]


@contextlib.asynccontextmanager
async def serving(project: Path) -> AsyncIterator[tuple[RealtimeServer, str]]:
    """Serve `project` on a free port; gives the server and the URL of its WebSocket endpoint."""
    server = RealtimeServer(create_app(project))
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
