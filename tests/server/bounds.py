"""A server on a clock that only the test moves, and clients that do what no library would."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from runtime.core.settings import ServerSettings, Settings
from runtime.server import serving
from runtime.server.httpprotocol import BoundedHttp, Part
from runtime.server.httpvariants import bounded_protocol
from runtime.testing import FakeClock, eventually
from tests.server.sockets import TIMEOUT, Served, served

HEAD = b"GET /hello HTTP/1.1\r\nhost: t\r\n\r\n"


class Client:
    """A TCP connection without any idea of HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(TIMEOUT):
            self.writer.write(data)
            await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """Return what comes until the server closes; `ConnectionResetError` if it does not do so in order."""
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.read()


class Site:
    """A served app and what it saw."""

    def __init__(self, server: Served, clock: FakeClock, app: App) -> None:
        self.server = server
        self.clock = clock
        self.app = app

    @contextlib.asynccontextmanager
    async def client(
        self, *, buffer: int | None = None, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Client]:
        host, port = self.server.address.split(":")
        made = socket.socket()
        made.setblocking(False)
        if buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
        name = host if tls is not None else None
        reader, writer = await asyncio.open_connection(sock=made, limit=2**14, ssl=tls, server_hostname=name)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            await eventually(lambda: not self.protocols)

    @property
    def protocols(self) -> list[BoundedHttp]:
        return [p for p in self.server.server.server_state.connections if isinstance(p, BoundedHttp)]

    async def reads(self, part: Part, size: int = 0) -> BoundedHttp:
        """Wait until the one connection is in this part of a request, and `size` bytes of the body were taken."""
        await eventually(lambda: [p.part() for p in self.protocols] == [part] and self.app.taken >= size)
        return self.protocols[0]

    def refusals(self) -> dict[str, int]:
        found = self.server.runtime.metrics.snapshot().get("security_refusals_total", {})
        return {labels[0]: count for labels, count in found.items()}


class Begun:
    """Begins its answer before it has the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send({"type": "http.response.body", "body": b""})


class App:
    """Routes that show what the server hands to an app, and when."""

    def __init__(self) -> None:
        self.taken = 0
        self.left = 0
        self.may_go = asyncio.Event()
        self.running = 0
        self.failure: BaseException | None = None

    def routes(self) -> list[Route]:
        return [
            Route("/hello", self.hello),
            Route("/upload", self.upload, methods=["POST"]),
            Route("/early", self.early, methods=["POST"]),
            Route("/late", self.late, methods=["POST"]),
            Route("/begun", Begun(), methods=["POST"]),
            Route("/slow", self.slow),
            Route("/endless", self.endless),
            Route("/large", self.large),
        ]

    async def hello(self, request: Request) -> Response:
        if self.failure is not None:
            raise self.failure
        return PlainTextResponse("hello")

    async def upload(self, request: Request) -> Response:
        try:
            async for chunk in request.stream():
                self.taken += len(chunk)
        except Exception:
            self.left += 1
            raise
        return PlainTextResponse(str(self.taken))

    async def early(self, request: Request) -> Response:
        """Answer without having read the body."""
        return PlainTextResponse("no thanks")

    async def late(self, request: Request) -> Response:
        """Read the body only when the test says so."""
        self.running += 1
        await self.may_go.wait()
        return PlainTextResponse(str(len(await request.body())))

    async def slow(self, request: Request) -> Response:
        self.running += 1
        await self.may_go.wait()
        return PlainTextResponse("at last")

    async def endless(self, request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            while True:  # without ever waiting for anything
                yield b"x" * 10_000

        return StreamingResponse(body())

    async def large(self, request: Request) -> Response:
        return PlainTextResponse("y" * 20_000_000)


@contextlib.asynccontextmanager
async def bounded_site(
    folder: Path, monkeypatch: pytest.MonkeyPatch, parser: str = "httptools", **server: Any
) -> AsyncIterator[Site]:
    """Serve the routes of an `App` with uvicorn's `parser`, on a clock of the test."""
    monkeypatch.setattr(serving, "bounded_protocol", functools.partial(bounded_protocol, parser=parser))
    clock, app = FakeClock(), App()
    settings = Settings(server=ServerSettings(**{"env": "test", "shutdown_timeout": 1, **server}))
    async with served(folder, settings, clock=clock, routes=app.routes()) as running:
        site = Site(running, clock, app)
        try:
            yield site
        finally:
            app.may_go.set()
            for protocol in site.protocols:  # of a test that failed: the clock of the shutdown stands still
                protocol.transport.abort()
