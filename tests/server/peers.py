"""A peer without a socket: what it sends goes through the real pipeline, what it gets is kept as frames."""

from __future__ import annotations

import asyncio
import itertools
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.core.clock import Clock
from runtime.core.connection import Connection
from runtime.core.settings import ServerSettings, Settings
from runtime.core.sink import Frame
from runtime.server.assembly import Handshake, Runtime, assemble
from runtime.server.inbound import Inbound

TIMEOUT = 5.0


class MemorySink:
    """Keeps every frame; `buffered` can be raised to play a slow peer."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.writes: list[int] = []
        self.closed: tuple[int, str] | None = None
        self.buffered = 0
        self.changed = asyncio.Event()
        self.transmit = None
        self.deflates = False
        self.is_paused = False

    def attach(self, connection: Connection) -> None:
        self.connection = connection

    def watch(self) -> None:
        """A test calls `connection.drained()` itself."""

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def ping(self, payload: bytes) -> None:
        """There is nobody to answer it."""

    def write(self, frames: Sequence[Frame]) -> None:
        self.writes.append(len(frames))
        self.frames.extend(frame.text for frame in frames)
        self.changed.set()

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.changed.set()

    def terminate(self) -> None:
        self.closed = (1006, "")
        self.changed.set()


class Peer:
    """One connection of a runtime."""

    def __init__(self, sink: MemorySink, inbound: Inbound) -> None:
        self.sink = sink
        self.inbound = inbound
        self.connection = inbound.connection
        self._ids = itertools.count(1)

    @property
    def frames(self) -> list[str]:
        return self.sink.frames

    def parsed(self) -> list[Any]:
        return [json.loads(frame) for frame in self.frames]

    def send(self, frame: Any) -> None:
        self.inbound.feed(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def wait(self, predicate: Any) -> Any:
        """Return the first parsed frame for which `predicate` holds, waiting for it."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                for frame in self.parsed():
                    if predicate(frame):
                        return frame
                self.sink.changed.clear()
                await self.sink.changed.wait()

    async def reply(self, id: str) -> Any:
        """Return the inner object of the reply to `id`."""
        frame = await self.wait(lambda f: f.get("topic") == "__rpc" and f.get("event") == id)
        return frame["data"]

    async def request(self, path: str, *args: Any, **keys: Any) -> Any:
        """Call `path` and return the inner object of its reply."""
        id = f"q{next(self._ids)}"
        self.send({"rpc": path, "id": id, "args": list(args), **keys})
        return await self.reply(id)

    async def stream(self, path: str, *args: Any, **keys: Any) -> Any:
        return await self.request(path, *args, stream=True, **keys)

    def events(self, topic: str) -> list[tuple[str, Any]]:
        """Return (event, data) of every envelope on `topic`, batch frames opened."""
        found = []
        for frame in self.parsed():
            for envelope in frame["events"] if frame.get("type") == "batch" else [frame]:
                if envelope.get("topic") == topic and "event" in envelope:
                    found.append((envelope["event"], envelope["data"]))
        return found

    async def leave(self, code: int = 1000, reason: str = "") -> None:
        await self.inbound.closed(code, reason)


class App:
    """A project on disk and its runtime."""

    def __init__(self, project: Path, env: str, clock: Clock | None = None, **settings: Any) -> None:
        self.project = project
        server = ServerSettings(env=env, shutdown_timeout=0.2, allowed_hosts=["app.example"])
        self.runtime: Runtime = assemble(project, Settings(server=server, **settings), clock=clock)

    async def connect(self, user: Any = None, caps: Sequence[str] = ("batch",), **handshake: Any) -> Peer:
        sink = MemorySink()
        inbound = await self.runtime.open(
            sink, Handshake(user_data=user, has_user=user is not None, **handshake)
        )
        peer = Peer(sink, inbound)
        if caps:
            peer.send({"type": "hello", "caps": list(caps)})
        await peer.wait(lambda frame: frame.get("type") == "welcome")
        return peer

    def write(self, name: str, source: str) -> Path:
        return write_file(self.project, name, source)


def write_file(project: Path, name: str, source: str) -> Path:
    file = project / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(source), encoding="utf-8")
    return file


async def turns(count: int = 5) -> None:
    """Let the loop turn a few times, for what is scheduled but has no frame to wait for."""
    for _ in range(count):
        await asyncio.sleep(0)
