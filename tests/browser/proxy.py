"""A TCP proxy in front of a server that a test can cut: what is open breaks, what is new is refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from runtime.core.tasks import TaskOwner

HOST = "127.0.0.1"
CHUNK = 65_536


class CuttableProxy:
    """Forwards connections to `target_port` while `is_connected`."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.is_connected = True
        self.accepted = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks = TaskOwner("proxy")

    @property
    def url(self) -> str:
        """Where a browser finds the server behind it."""
        return f"http://{HOST}:{self.port}"

    def cut(self) -> None:
        """Break every connection, without a word to either side, and refuse new ones."""
        self.is_connected = False
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        """Let new connections through again."""
        self.is_connected = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_connected:
            writer.transport.abort()
            return
        self.accepted += 1
        upstream_reader, upstream = await asyncio.open_connection(HOST, self.target_port)
        self._writers |= {writer, upstream}
        try:
            done = asyncio.FIRST_COMPLETED
            pumps = [
                self._tasks.start(_pump(reader, upstream), name="up"),
                self._tasks.start(_pump(upstream_reader, writer), name="down"),
            ]
            await asyncio.wait(pumps, return_when=done)
        finally:
            self._writers -= {writer, upstream}
            for one in (writer, upstream):
                one.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def cuttable_proxy(target_port: int) -> AsyncIterator[CuttableProxy]:
    """Run a proxy in front of a local port until the block is left."""
    proxy = CuttableProxy(target_port)
    accepting = TaskOwner("proxy connections")

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepting.start(proxy._serve(reader, writer), name="connection")

    server = await asyncio.start_server(accept, HOST, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await accepting.close()
        await proxy._tasks.close()
