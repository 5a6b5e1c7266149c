"""A server that a test plays by hand, and a client on it whose clock stands still."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from runtime.client import ClientOptions, Realtime
from runtime.client.transport import ConnectFailed, Socket, SocketClosed, is_binary
from runtime.testing import FakeClock, eventually


class ScriptedSocket:
    """The server's end of one connection: `sent` is what the client sent, `push` answers."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.binaries: list[bytes] = []
        self.closed_with: tuple[int, str] | None = None
        self.stalled: asyncio.Event | None = None
        self._incoming: asyncio.Queue[bytes | SocketClosed] = asyncio.Queue()

    @property
    def buffered(self) -> int:
        return 0

    async def send(self, frame: bytes) -> None:
        if self.stalled is not None:
            await self.stalled.wait()
        self.raw.append(frame)
        if is_binary(frame):
            self.binaries.append(frame)
        else:
            self.sent.append(json.loads(frame))

    async def recv(self) -> bytes:
        item = await self._incoming.get()
        if isinstance(item, SocketClosed):
            raise item
        return item

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = (code, reason)
        self._incoming.put_nowait(SocketClosed(code, reason))

    def push(self, *messages: Any) -> None:
        for message in messages:
            frame = message if isinstance(message, bytes) else json.dumps(message).encode()
            self._incoming.put_nowait(frame)

    def publish(self, topic: str, event: str, data: Any = None, seq: int | None = None) -> None:
        message = {"topic": topic, "event": event, "data": data}
        self.push(message if seq is None else {**message, "seq": seq})

    def reply(self, request: dict[str, Any], data: Any = None, **keys: Any) -> None:
        inner = {"id": request["id"], "ok": True, "data": data, **keys}
        self.push({"topic": "__rpc", "event": request["id"], "data": inner})

    def refuse(self, request: dict[str, Any], code: str, error: str = "no", **keys: Any) -> None:
        inner = {"id": request["id"], "ok": False, "code": code, "error": error, **keys}
        self.push({"topic": "__rpc", "event": request["id"], "data": inner})

    def drop(self, code: int = 1006, reason: str = "") -> None:
        self._incoming.put_nowait(SocketClosed(code, reason))

    def requests(self, path: str | None = None) -> list[dict[str, Any]]:
        """Every call so far, those in batches included."""
        found = []
        for frame in self.sent:
            found += [frame] if "rpc" in frame else frame.get("batch", [])
        return [call for call in found if path in (None, call["rpc"])]

    def control(self) -> list[dict[str, Any]]:
        """Every control frame so far but `hello`."""
        return [frame for frame in self.sent if frame.get("type") not in (None, "hello")]


class ScriptedTransport:
    """Opens scripted sockets; `outcomes` are what the next attempts come to, a socket when it is empty."""

    def __init__(self) -> None:
        self.sockets: list[ScriptedSocket] = []
        self.outcomes: deque[Exception] = deque()
        self.attempts = 0
        self.is_down = False

    async def open(self, cookies: str | None) -> Socket:
        self.attempts += 1
        if self.outcomes:
            raise self.outcomes.popleft()
        if self.is_down:
            raise ConnectFailed("refused")
        socket = ScriptedSocket()
        self.sockets.append(socket)
        socket.push({"type": "welcome", "sessionId": f"session-{len(self.sockets)}"})
        return socket


class Scripted:
    """A client, its clock and the server's side of it."""

    def __init__(self, client: Realtime, transport: ScriptedTransport, clock: FakeClock) -> None:
        self.client = client
        self.transport = transport
        self.clock = clock

    @property
    def socket(self) -> ScriptedSocket:
        return self.transport.sockets[-1]

    @property
    def timers(self) -> int:
        """Timers that wait, but for the one that watches an open line."""
        return self.clock.pending - self.client._connection.is_open

    async def settle(self) -> None:
        """Let everything that can go on do so."""
        await self.clock.advance(0)

    async def request(self, path: str, number: int = -1) -> dict[str, Any]:
        """The request for `path` on the present socket, once it is there."""
        await self.settle()
        return self.socket.requests(path)[number]

    async def reopen(self, code: int = 1006) -> None:
        """Lose the connection and get it back; the clock stands at most 10 ms behind that moment then."""
        self.socket.drop(code)
        await self.status("disconnected")
        for _ in range(int(4 / 0.01)):
            await self.clock.advance(0.01)
            if self.client.status.value == "open":
                return
        raise AssertionError("the client did not come back within 4 s")

    async def status(self, wanted: str) -> None:
        await eventually(lambda: self.client.status.value == wanted)
        await self.settle()


@contextlib.asynccontextmanager
async def scripted(
    *, opened: bool = True, url: str = "ws://test.example/ws", **options: Any
) -> AsyncIterator[Scripted]:
    """A client on a scripted server, open unless `opened` is false."""
    transport, clock = ScriptedTransport(), FakeClock()
    client = Realtime(
        url,
        ClientOptions.of(options),
        transport=transport,
        clock=clock,
        rng=random.Random(7),
    )
    made = Scripted(client, transport, clock)
    client.start()
    try:
        if opened:
            await made.status("open")
        yield made
    finally:
        await client.close()


LIST = "todos/list"


def rows(*ids: Any) -> list[dict[str, Any]]:
    return [{"id": id} for id in ids]


async def answer(s: Scripted, data: Any, path: str = LIST, **keys: Any) -> dict[str, Any]:
    """Answer the last request for the stream; the topic is `todos`, the strategy crud unless it is said."""
    request = await s.request(path)
    keys = {"topic": "todos", "merge": "crud", **keys}
    if keys["merge"] == "crud":
        keys.setdefault("key", "id")
    s.socket.reply(request, data, **{name: value for name, value in keys.items() if value is not None})
    await s.settle()
    return request
