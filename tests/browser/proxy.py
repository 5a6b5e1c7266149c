"""A TCP proxy in front of a server that a test can cut, stall, slow and point elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from runtime.core.clock import SystemClock
from runtime.core.tasks import TaskOwner

HOST = "127.0.0.1"
CHUNK = 65_536
#: A slow line hands on what it has this many times a second.
SLICES = 50

_clock = SystemClock()


class CuttableProxy:
    """Forwards connections to `target_port`, which may be changed for connections to come.

    * `cut`: what is open breaks without a word, what is new is refused, until `restore`.
    * `stall`: everything stays open, also what is new, and nothing passes either way, until `flow`.
    * `slow`: so many bytes per second pass each way, in each connection, until `flow`.
    * `cut_after`: the connections break when the server has sent so many more bytes in all.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.is_connected = True
        self.accepted = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bytes_per_second: int | None = None
        self._bytes_until_cut: int | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks = TaskOwner("proxy")

    @property
    def url(self) -> str:
        """Where a browser finds the server behind it."""
        return f"http://{HOST}:{self.port}"

    def cut(self) -> None:
        """Break every connection, without a word to either side, and refuse new ones."""
        self.is_connected = False
        self.break_connections()

    def break_connections(self) -> None:
        """Break every connection, without a word to either side; new ones get through."""
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        """Let new connections through again."""
        self.is_connected = True

    def stall(self) -> None:
        """Let nothing pass any more: what is open stays open, what is new is accepted and hears nothing."""
        self._flowing.clear()

    def slow(self, bytes_per_second: int) -> None:
        """Let so much pass, each way and in each connection."""
        self._bytes_per_second = bytes_per_second

    def flow(self) -> None:
        """Let everything pass again, also what was held back."""
        self._bytes_per_second = None
        self._flowing.set()

    def cut_after(self, sent_by_server: int) -> None:
        """Break the connections when the server has sent so many more bytes; new ones get through."""
        self._bytes_until_cut = sent_by_server

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection to its end."""
        if not self.is_connected:
            writer.transport.abort()
            return
        self.accepted += 1
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            upstream_reader, upstream = await asyncio.open_connection(HOST, self.target_port)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(upstream)
        try:
            pumps = [
                self._tasks.start(self._pump(reader, upstream, from_server=False), name="up"),
                self._tasks.start(self._pump(upstream_reader, writer, from_server=True), name="down"),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers -= {writer, upstream}
            for one in (writer, upstream):
                one.transport.abort()

    async def close(self) -> None:
        """Break everything and stop."""
        self.cut()
        self.flow()
        await self._tasks.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                for piece in self._pieces(data):
                    if self._bytes_per_second is not None:
                        await _clock.sleep(len(piece) / self._bytes_per_second)
                    await self._flowing.wait()
                    if from_server:
                        piece = self._counted(piece)
                    writer.write(piece)
                    await writer.drain()
                    if self._bytes_until_cut == 0 and from_server:
                        self._bytes_until_cut = None
                        self.break_connections()
            await self._flowing.wait()

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        size = len(data) if self._bytes_per_second is None else max(1, self._bytes_per_second // SLICES)
        for start in range(0, len(data), size):
            yield data[start : start + size]

    def _counted(self, piece: bytes) -> bytes:
        if self._bytes_until_cut is None:
            return piece
        piece = piece[: self._bytes_until_cut]
        self._bytes_until_cut -= len(piece)
        return piece


@contextlib.asynccontextmanager
async def cuttable_proxy(target_port: int) -> AsyncIterator[CuttableProxy]:
    """Run a proxy in front of a local port until the block is left."""
    proxy = CuttableProxy(target_port)
    accepting = TaskOwner("proxy connections")

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepting.start(proxy.serve(reader, writer), name="connection")

    server = await asyncio.start_server(accept, HOST, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await accepting.close()
