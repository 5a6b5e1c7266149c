"""Who talks to the target: attackers that write bytes, and somebody else, whom nothing of it may disturb."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.server.attacks.target import MALLORY, SECRET, TOKEN, VICTIM, Target
from tests.server.rawpeer import KEY, RawPeer, client_frame

__all__ = ["Answer", "Attacker", "Witness", "attacker", "chat", "upgrade_head", "witness"]

#: Longest time in which the witness must have its answer, on a machine that is busy with other things.
PATIENCE = 5.0
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_addresses = itertools.count(1)


class Answer:
    """A response as it came: status, headers as a list, body."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.raw = raw
        self.status = int(first.split(" ")[1]) if raw else 0
        pairs = (line.partition(":") for line in lines)
        self.headers = [(name.lower(), value.strip()) for name, _, value in pairs]

    def get(self, name: str) -> str | None:
        """Return the value of the only header called `name`."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) < 2, self.headers
        return found[0] if found else None


def upgrade_head(target: Target, *headers: str, sid: str | None = MALLORY, origin: str | None = "") -> bytes:
    """Return an upgrade request of a page of the app; `origin=None` sends none, further `headers` come behind."""
    lines = [
        "GET /ws HTTP/1.1",
        f"host: {target.address}",
        "upgrade: websocket",
        "connection: Upgrade",
        f"sec-websocket-key: {KEY}",
        "sec-websocket-version: 13",
        *([f"origin: {origin or target.http}"] if origin is not None else []),
        *([f"cookie: sid={sid}"] if sid is not None else []),
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Attacker:
    """Somebody at an address of their own, so that the rate of one test is not that of another."""

    def __init__(self, target: Target) -> None:
        self.target = target
        number = next(_addresses)
        self.ip = f"127.7.{number // 250}.{number % 250 + 1}"

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a new connection."""
        host, port = self.target.address.split(":")
        return await asyncio.open_connection(host, int(port), local_addr=(self.ip, 0), limit=2**24)

    async def send(self, *pieces: bytes | str) -> Answer:
        """Send pieces on a connection of their own; return the first answer, read to the end of the connection."""
        reader, writer = await self.open()
        try:
            for piece in pieces:
                writer.write(piece if isinstance(piece, bytes) else piece.encode("latin-1"))
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            return Answer(await _rest(reader))
        finally:
            writer.close()

    async def get(self, path: str, *headers: str, method: str = "GET", body: str = "") -> Answer:
        """Ask for a path exactly as it is written."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.target.address}", "connection: close", *headers]
        return await self.send("\r\n".join([*lines, "", body]))

    async def counts(self) -> dict[str, int]:
        """Return how often the app's own code ran."""
        found: dict[str, int] = json.loads((await self.get("/seen")).body)
        return found

    async def metric(self, series: str) -> float:
        """Return the value of one series, 0 for one that is not there."""
        answer = await self.get("/metrics", f"authorization: Bearer {TOKEN}")
        assert answer.status == 200
        lines = [line for line in answer.body.decode().splitlines() if line.startswith(series)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    @contextlib.asynccontextmanager
    async def peer(self, head: bytes | None = None) -> AsyncIterator[RawPeer]:
        """Connect by WebSocket, as Mallory where nothing else is said; `status` says what came of it."""
        reader, writer = await self.open()
        try:
            writer.write(upgrade_head(self.target) if head is None else head)
            async with asyncio.timeout(PATIENCE):
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            yield RawPeer(reader, writer, lines[0].split(" ", 1)[1], headers)
        finally:
            writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the end; a reset is an end, and a server that keeps the connection is asked for more."""
    found = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE * 2):
            while piece := await reader.read(65536):
                found += piece
    return found


@contextlib.asynccontextmanager
async def attacker(target: Target) -> AsyncIterator[Attacker]:
    """Attack, while somebody else works; both must come out as they should."""
    async with witness(target):
        yield Attacker(target)


class Chat:
    """A WebSocket whose handshake is done: JSON out, JSON in."""

    def __init__(self, peer: RawPeer) -> None:
        assert peer.status.startswith("101"), peer.status
        self.peer = peer
        self.frames: list[str] = []
        self._refs = itertools.count(1)

    def write(self, *frames: Any) -> None:
        """Send frames: text as it is, anything else as JSON."""
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            self.peer.write(client_frame(TEXT, text.encode("utf-8", "surrogatepass")))

    async def read(self) -> Any:
        """Return the next frame."""
        payload = await self.peer.until(TEXT)
        self.frames.append(payload.decode())
        return json.loads(payload)

    async def until(self, wanted: Any) -> Any:
        """Return the first frame, or envelope of a batch, for which `wanted` holds."""
        while True:
            frame = await self.read()
            for one in frame["events"] if frame.get("type") == "batch" else [frame]:
                if wanted(one):
                    return one

    async def call(self, path: str, *args: Any, **keys: Any) -> Any:
        """Call a function; return the inside of its reply."""
        id = f"c{next(self._refs)}"
        self.write({"rpc": path, "id": id, "args": list(args), **keys})
        reply = await self.until(lambda one: one.get("topic") == "__rpc" and one.get("event") == id)
        return reply["data"]

    async def settle(self) -> str:
        """Wait until everything sent so far has been looked at; return all that came."""
        await self.call("ledger/echo", "settled")
        return "\n".join(self.frames)


def chat(peer: RawPeer) -> Chat:
    """Return what speaks through a connection that was accepted."""
    return Chat(peer)


class Witness:
    """The victim at work: calls, and hears of what it did, each time in time and in order."""

    def __init__(self, talk: Chat) -> None:
        self._talk = talk
        self.done = 0
        self.slowest = 0.0

    async def work(self, until: asyncio.Event) -> None:
        """Add an entry, wait for the event and the reply, and again, until `until`."""
        loop = asyncio.get_running_loop()
        first = await self._talk.call("ledger/entries", stream=True)
        assert first["ok"], first
        while not until.is_set() or self.done < 3:
            begun = loop.time()
            async with asyncio.timeout(PATIENCE):
                number = self.done
                self._talk.write({"rpc": "ledger/add", "id": f"w{number}", "args": [number]})
                event = await self._talk.until(lambda one: one.get("event") == "created")
                assert event["data"] == {"id": number, "note": SECRET}
                reply = await self._talk.until(lambda one, id=f"w{number}": one.get("event") == id)
                assert reply["data"] == {"ok": True, "data": number, **_extra(reply["data"])}
            self.slowest = max(self.slowest, loop.time() - begun)
            self.done += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), 0.02)


def _extra(data: dict[str, Any]) -> dict[str, Any]:
    return {key: data[key] for key in data.keys() - {"ok", "data"}}


@contextlib.asynccontextmanager
async def witness(target: Target) -> AsyncIterator[Witness]:
    """Let the victim work while the block runs, from an address of its own."""
    async with Attacker(target).peer(upgrade_head(target, sid=VICTIM)) as peer:
        seen, until = Witness(Chat(peer)), asyncio.Event()
        working = asyncio.ensure_future(seen.work(until))
        try:
            yield seen
        finally:
            until.set()
            await working
