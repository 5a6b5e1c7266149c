"""A client that writes bytes instead of messages, to send what no library would."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
TIMEOUT = 5.0
MASK = b"\x37\xfa\x21\x3d"


def client_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    """Return one frame as a client sends it."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65536:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


@dataclass
class RawPeer:
    """A connection whose handshake is done, or was refused with `status`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def write(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame of the server, which is whole and not masked."""
        async with asyncio.timeout(TIMEOUT):
            first, size = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80
            assert size < 128
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def until(self, opcode: int) -> bytes:
        """Return the payload of the next frame with this opcode."""
        while True:
            found, payload = await self.frame()
            if found == opcode:
                return payload

    async def closed_with(self) -> int:
        """Return the code of the server's close frame, 1005 for an empty one, behind which the connection ends."""
        payload = await self.until(0x8)
        # What of ours the server has not read makes its end a reset.
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(TIMEOUT):
                assert await self.reader.read() == b""
        return int.from_bytes(payload[:2], "big") if payload else 1005


def request(address: str, **changed: str | None) -> bytes:
    """Return an upgrade request; `changed` headers (`_` for `-`) are replaced, or left out when `None`."""
    headers: dict[str, str | None] = {
        "host": address,
        "origin": f"http://{address}",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    lines = [
        "GET /ws HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items() if value is not None),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Asking:
    """A peer that has sent its request and has not read the answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    async def answer(self) -> RawPeer:
        """Return the peer with the head of the answer read."""
        async with asyncio.timeout(TIMEOUT):
            answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in answer[1:] if line)
        return RawPeer(self._reader, self._writer, answer[0].split(" ", 1)[1], headers)


@contextlib.asynccontextmanager
async def asking_peer(address: str, head: bytes | None = None) -> AsyncIterator[Asking]:
    """Connect and send `head` (default: a proper request)."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request(address) if head is None else head)
        yield Asking(reader, writer)
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def raw_peer(address: str, head: bytes | None = None) -> AsyncIterator[RawPeer]:
    """Connect, send `head` (default: a proper request) and read the answer's head."""
    async with asking_peer(address, head) as asking:
        yield await asking.answer()
