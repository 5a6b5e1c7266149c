"""Sends large bodies to a server: as an upload over a WebSocket, or as the body of a request. Blocking sockets.

Frames are masked with a key of zeros: the server undoes that as it undoes any other, and the generator, which shares a
machine with it, has less to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from bench.processes import cores
from bench.sockets import HANDSHAKE
from runtime.wire.binary import encode_chunk, encode_upload_header

FRAME = 1024 * 1024  # the largest frame that a server with default settings takes
PAYLOAD = bytes(range(256)) * (FRAME // 256)
PATH = "bench/take"
TIMEOUT = 120.0
UPLOADS_PER_CONNECTION = 4  # the default of `live.upload`
READ = 65536


class Sender:
    """One connection from an address of its own, since connects are limited by address."""

    def __init__(self, port: int, number: int = 0) -> None:
        source = f"127.0.{number // 250}.{number % 250 + 2}"
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT, (source, 0))
        self._data = b""

    def close(self) -> None:
        """Drop the connection."""
        self.socket.close()

    def read_until(self, end: bytes) -> bytes:
        """Return what comes up to and with `end`."""
        while end not in self._data:
            data = self.socket.recv(READ)
            if not data:
                raise RuntimeError(f"the server closed the connection: {self._data[-200:]!r}")
            self._data += data
        found, _, self._data = self._data.partition(end)
        return found + end


class SocketSender(Sender):
    """Uploads over a WebSocket."""

    def __init__(self, port: int, number: int = 0) -> None:
        super().__init__(port, number)
        self.socket.sendall(HANDSHAKE.format(path="/ws", port=port).encode())
        if b" 101 " not in self.read_until(b"\r\n\r\n"):
            raise RuntimeError("the server refused the handshake")

    def send(self, sizes: Sequence[int], tick: Callable[[], None]) -> None:
        """Send an upload of each size, a frame of each in turn, and check what the server has counted."""
        header = encode_upload_header(PATH, [])
        left, turn = dict(enumerate(sizes, 1)), 0
        while left:
            for id, rest in list(left.items()):
                room = FRAME - 12 - len(header)
                size = min(rest, room)
                head = encode_chunk(id, turn, b"", is_last=size == rest, header=None if turn else header)
                length = len(head) + size
                frame = b"\x82\xff" + length.to_bytes(8, "big") + bytes(4) + head
                self._send_all(frame, memoryview(PAYLOAD)[:size])
                left[id] -= size
                if not left[id]:
                    del left[id]
                tick()
            turn += 1
        for _ in sizes:
            self.read_until(b'"topic":"__upload"')
            answer = self.read_until(b"}}")
            if not any(b'"data":%d' % size in answer for size in sizes):
                raise RuntimeError(f"the server has not counted {sizes[0]} bytes: {answer!r}")

    def _send_all(self, head: bytes, payload: memoryview) -> None:
        sent = self.socket.sendmsg([head, payload])
        if sent < len(head):
            self.socket.sendall(head[sent:])
            sent = len(head)
        self.socket.sendall(payload[sent - len(head) :])


class RequestSender(Sender):
    """Sends the body of a request."""

    def send(self, sizes: Sequence[int], tick: Callable[[], None]) -> None:
        """Send a body of each size, one request after the other, and check what the server has counted."""
        for size in sizes:
            head = f"POST /take HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {size}\r\n\r\n"
            self.socket.sendall(head.encode())
            for start in range(0, size, FRAME):
                self.socket.sendall(memoryview(PAYLOAD)[: min(FRAME, size - start)])
                tick()
            answer = self.read_until(b"}")
            if json.loads(answer.rpartition(b"\r\n")[2]) != {"size": size}:
                raise RuntimeError(f"the server has not counted {size} bytes: {answer!r}")


def upload(port: int, size: int, count: int, *, over_http: bool, tick: Callable[[], None]) -> float:
    """Send `count` bodies of `size` bytes at once and return the seconds that it took.

    Over HTTP each has a connection, over WebSockets four share one, as many as one may have. `tick` is called after
    each MiB, in the thread that sent it.
    """
    each = 1 if over_http else min(count, UPLOADS_PER_CONNECTION)
    kind = RequestSender if over_http else SocketSender
    problems: list[BaseException] = []
    with contextlib.ExitStack() as stack, on_core_of_the_generator():
        senders = [kind(port, number) for number in range(count // each)]
        for sender in senders:
            stack.callback(sender.close)

        def send(sender: SocketSender | RequestSender) -> None:
            try:
                sender.send([size] * each, tick)
            except (OSError, RuntimeError) as problem:
                problems.append(problem)

        threads = [threading.Thread(target=send, args=(sender,)) for sender in senders]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
    if problems:
        raise RuntimeError(f"{len(problems)} of {len(senders)} connections failed: {problems[0]}")
    return seconds


@contextlib.contextmanager
def on_core_of_the_generator() -> Iterator[None]:
    """Stay off the core of the server for the length of the block."""
    core = cores()[1]
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
