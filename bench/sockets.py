"""A blocking WebSocket connection for the cases that measure when something happens, not how much."""

from __future__ import annotations

import os
import socket
import struct
import time

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Origin: http://127.0.0.1:{port}\r\n\r\n"
)


class PlainSocket:
    """One connection to 127.0.0.1: sends text frames below 64 KB; closed by `close` or a `with` block."""

    def __init__(self, port: int, path: str = "/ws", timeout: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(HANDSHAKE.format(path=path, port=port).encode())
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._receive()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            self.close()
            raise ConnectionError(f"handshake refused: {head[:80]!r}")

    def __enter__(self) -> PlainSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._data += data

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._receive()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def send(self, text: str) -> None:
        """Send one text frame."""
        payload = text.encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        size = len(payload)
        head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
        self._socket.sendall(head + mask + masked)

    def receive(self) -> str:
        """Return the next text frame; raises `ConnectionError` on a close frame."""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._take(8))
            payload = self._take(size)
            if first & 0x0F == 0x1:
                return payload.decode()
            if first & 0x0F == 0x8:
                raise ConnectionError(f"closed by the server: {payload[2:]!r}")

    def receive_until(self, text: str) -> str:
        """Return the first frame that holds a text."""
        while True:
            frame = self.receive()
            if text in frame:
                return frame

    def close(self) -> None:
        """Drop the connection without a closing handshake."""
        self._socket.close()


def first_frame(port: int, deadline: float) -> str:
    """Return the first frame that a server on the port sends, trying until it answers or the time is over."""
    while True:
        try:
            with PlainSocket(port, timeout=2.0) as connection:
                return connection.receive()
        except OSError:
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.002)
