"""The bytes of a WebSocket client -> its messages. Spec: RFC 6455 section 5, RFC 7692.

No I/O: bytes go in, whole messages and control frames come out. Unmasking is C (`websockets.speedups`, or its Python
form where that is not built); everything else is a few comparisons per frame. Only an incomplete frame is kept, so a
peer costs what it has begun to send and at most `max_size`.
"""

from __future__ import annotations

import codecs
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.wire import framing
from runtime.wire.limits import MAX_FRAGMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from websockets.speedups import apply_mask
except ImportError:  # the wheel of this platform has no compiled part
    from websockets.utils import apply_mask

__all__ = ["Close", "Failure", "MessageReader", "Ping", "Pong", "Received"]

MAX_CONTROL_PAYLOAD = 125
MAX_HEAD = 14  # bytes of the longest head of a masked frame

WHOLE = (0x81, 0x82)  # first bytes of a whole text or binary message, which nearly every frame is
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
NO_STATUS = 1005


class Ping(NamedTuple):
    """A ping, to be answered with its payload."""

    payload: bytes


class Pong(NamedTuple):
    """An answer to a ping, or a sign of life without one."""

    payload: bytes


class Close(NamedTuple):
    """The peer's close frame; code 1005 when it named none. Nothing behind it is read."""

    code: int
    reason: str


class Failure(NamedTuple):
    """The peer broke the protocol: the connection has to be closed with this. Nothing behind it is read."""

    code: int
    reason: str


# It takes whatever has a buffer; its annotation names less.
unmask: Callable[[Any, bytes], bytes] = apply_mask

#: What can be read from: a piece of the stream, wherever it lies.
Bytes = bytes | bytearray | memoryview
EMPTY = bytearray()

Received = str | bytes | Ping | Pong | Close | Failure


class MessageReader:
    """Reads what one client sends. `feed` it every piece; after a `Close` or `Failure` it ignores further ones.

    Messages are `str` (text) or `bytes` (binary). `inflates`: permessage-deflate was negotiated, without context
    takeover by the client.
    """

    __slots__ = (
        "_ended",
        "_filled",
        "_fragments",
        "_inflate",
        "_is_sized",
        "_kind",
        "_left",
        "_pieces",
        "_size",
        "_utf8",
        "inflates",
        "max_size",
    )

    def __init__(self, max_size: int, *, inflates: bool = False) -> None:
        self.max_size = max_size
        self.inflates = inflates
        self._left = EMPTY  # room for an incomplete frame, or for its head
        self._filled = 0  # bytes of it that have come
        self._is_sized = False  # whether its length is known
        self._kind = 0  # opcode of the fragmented message, 0 outside of one
        self._inflate = False  # whether that message is deflated
        self._pieces: list[bytes] | None = None
        self._fragments = 0
        self._size = 0
        self._utf8: codecs.IncrementalDecoder | None = None
        self._ended = False

    def feed(self, data: Bytes) -> list[Received]:
        """Return what became complete with `data`, in order; `data` itself is not kept."""
        found: list[Received] = []
        position = self._complete(data, found) if self._filled else 0
        if position < len(data):
            self._parse(data, position, found)
        return found

    def _complete(self, data: Bytes, found: list[Received]) -> int:
        """Add to the incomplete frame only what it lacks; return how much of `data` that took."""
        position = 0
        while self._filled and position < len(data):
            left, filled = self._left, self._filled
            piece = data[position : position + len(left) - filled]
            position += len(piece)
            left[filled : filled + len(piece)] = piece
            if self._is_sized and filled + len(piece) < len(left):
                self._filled = filled + len(piece)
                break
            self._left, self._filled = EMPTY, 0
            self._parse(memoryview(left)[: filled + len(piece)], 0, found)
        return position

    def _keep(self, data: Bytes, position: int, wanted: int) -> None:
        """Keep what has come of a frame of `wanted` bytes, 0 when its length is not known yet."""
        piece = data[position:]
        self._is_sized = wanted > 0
        self._left = bytearray(wanted or MAX_HEAD)
        self._left[: len(piece)] = piece
        self._filled = len(piece)

    def _parse(self, data: Bytes, position: int, found: list[Received]) -> None:
        end = len(data)
        wanted = 0
        while end - position >= 2 and not self._ended:
            first, length = data[position], data[position + 1]
            start = position + 6
            if length == 254:
                if end - position < 4:
                    self._look(found, first, length)
                    break
                size = data[position + 2] << 8 | data[position + 3]
                start = position + 8
            elif length == 255:
                if end - position < 10:
                    self._look(found, first, length)
                    break
                size = int.from_bytes(data[position + 2 : position + 10], "big")
                start = position + 14
            else:
                size = length & 127
            stop = start + size
            if first not in WHOLE or length < 128 or self._kind or size > self.max_size:
                problem = self._problem(first, length, size)
                if problem is not None:
                    self._end(found, problem)
                    break
            if stop > end:
                wanted = stop - position
                break
            payload = unmask(data[start:stop], bytes(data[start - 4 : start])) if size else b""
            position = stop
            if first == 0x81:
                try:
                    found.append(payload.decode())
                except UnicodeDecodeError:
                    self._end(found, Failure(INVALID_DATA, "invalid UTF-8"))
            elif first == 0x82:
                found.append(payload)
            else:
                self._unusual(found, first, payload)
        if position < end and not self._ended:
            self._keep(data, position, wanted)

    def _look(self, found: list[Received], first: int, length: int) -> None:
        """Tell what is wrong with a frame whose length is not known yet, without waiting for it."""
        problem = self._problem(first, length, 0)
        if problem is not None:
            self._end(found, problem)

    def _problem(self, first: int, length: int, size: int) -> Failure | None:
        """Return what is wrong with a frame's head, or `None`."""
        if length < 128:
            return Failure(PROTOCOL_ERROR, "frame of a client is not masked")
        opcode = first & 0x0F
        if first & 0x70 and (first & 0x30 or not self.inflates or opcode not in (1, 2)):
            return Failure(PROTOCOL_ERROR, "reserved bits are set")
        if opcode >= 8:
            if opcode > framing.PONG:
                return Failure(PROTOCOL_ERROR, f"unknown opcode {opcode}")
            if not first & 0x80:
                return Failure(PROTOCOL_ERROR, "control frame is fragmented")
            if length & 127 > MAX_CONTROL_PAYLOAD:
                return Failure(PROTOCOL_ERROR, "control frame is too long")
            return None
        if opcode > framing.BINARY:
            return Failure(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        if opcode == framing.CONTINUATION:
            if not self._kind:
                return Failure(PROTOCOL_ERROR, "nothing to be continued")
        elif self._kind:
            return Failure(PROTOCOL_ERROR, "fragmented message was not finished")
        if size + self._size > self.max_size:
            if size >> 63:
                return Failure(PROTOCOL_ERROR, "length has its highest bit set")
            return Failure(TOO_BIG, "message is too big")
        return None

    def _unusual(self, found: list[Received], first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == framing.PING:
            found.append(Ping(payload))
        elif opcode == framing.PONG:
            found.append(Pong(payload))
        elif opcode == framing.CLOSE:
            self._end(found, _close(payload))
        else:
            self._fragment(found, first, opcode, payload)

    def _fragment(self, found: list[Received], first: int, opcode: int, payload: bytes) -> None:
        """Take a part of a message, or a whole deflated one."""
        if opcode:
            self._kind = opcode
            self._inflate = bool(first & framing.COMPRESSED)
            self._pieces = []
            self._fragments = self._size = 0
            self._utf8 = None
            if opcode == framing.TEXT and not self._inflate:
                self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._fragments += 1
        self._size += len(payload)
        pieces = self._pieces
        if pieces is None or self._fragments > MAX_FRAGMENTS:
            self._end(found, Failure(PROTOCOL_ERROR, "message has too many fragments"))
            return
        if payload:
            pieces.append(payload)
        is_last = bool(first & framing.FIN)
        if self._utf8 is not None:
            try:
                # Told at the first bad byte, not when the message ends.
                self._utf8.decode(payload, is_last)
            except UnicodeDecodeError:
                self._end(found, Failure(INVALID_DATA, "invalid UTF-8"))
                return
        if is_last:
            self._finish(found, b"".join(pieces))

    def _finish(self, found: list[Received], message: bytes) -> None:
        kind, inflate = self._kind, self._inflate
        self._kind = self._size = 0
        self._pieces = self._utf8 = None
        if inflate:
            inflater = zlib.decompressobj(framing.DEFLATE_WINDOW)
            try:
                message = inflater.decompress(message + framing.DEFLATE_TAIL, self.max_size + 1)
            except zlib.error:
                self._end(found, Failure(PROTOCOL_ERROR, "message is not deflated"))
                return
            if len(message) > self.max_size:
                self._end(found, Failure(TOO_BIG, "message is too big"))
                return
        if kind == framing.BINARY:
            found.append(message)
            return
        try:
            found.append(message.decode())
        except UnicodeDecodeError:
            self._end(found, Failure(INVALID_DATA, "invalid UTF-8"))

    def _end(self, found: list[Received], last: Close | Failure) -> None:
        self._ended = True
        self._left, self._filled = EMPTY, 0
        self._pieces = None
        found.append(last)


def _close(payload: bytes) -> Close | Failure:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        return Failure(PROTOCOL_ERROR, "close frame is too short")
    code = int.from_bytes(payload[:2], "big")
    if not framing.is_close_code(code):
        return Failure(PROTOCOL_ERROR, f"close code {code} may not be sent")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Failure(INVALID_DATA, "invalid UTF-8")
